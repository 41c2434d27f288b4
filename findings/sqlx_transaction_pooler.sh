#!/usr/bin/env bash
# sqlx and PgBouncer with `pool_mode = transaction`: a statement without a name still takes two requests, and between the two
# another client's statement can take its place.
#
# sqlx prepares a statement in one request and binds and runs it in the next, also with the statement cache off and
# `persistent(false)`, where the statement has no name. Outside a transaction, each request may go to another server
# connection of the pooler, and each server connection has one statement without a name. So valid queries of several
# clients fail with 08P01 (a bind message with as many parameters as another client's statement has not); within BEGIN and
# COMMIT they do not.
#
# Seen with sqlx 0.9.0, PgBouncer 1.18.0 and PostgreSQL 15, for 8 clients on 2 server connections; the numbers of the first line vary:
#   single statements: {"error 08P01": 1287, "right": 313}
#   in transactions: {"right": 1600}
# Needs: cargo, a C compiler, python3, and apt-get of Debian 12. Takes some 2 minutes.
set -euo pipefail

POSTGRES=15.*
PGBOUNCER=1.18.0*
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .

apt-get download -qq "postgresql-15=$POSTGRES" "pgbouncer=$PGBOUNCER" libc-ares2 libevent-2.1-7 libpq5 2>apt.log >&2 ||
  { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
bin=$folder/root/usr/lib/postgresql/15/bin
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
mkdir data && { [ "$(id -u)" != 0 ] || chown 65534:65534 data; }

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
server=$(port) pooler=$(port)
user "$bin/initdb" -D data/db -U kennel -A trust -L "$folder/root/usr/share/postgresql/15" >/dev/null
user "$bin/postgres" -D data/db -p "$server" -h 127.0.0.1 -k "$folder/data" >data.log 2>&1 &
pids+=($!)
cat >data/pgbouncer.ini <<INI
[databases]
postgres = host=127.0.0.1 port=$server user=kennel
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
INI
user root/usr/sbin/pgbouncer data/pgbouncer.ini >pooler.log 2>&1 &
pids+=($!)
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$pooler") 2>/dev/null && break; sleep 0.1; done
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null && break; sleep 0.1; done

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "=1.47.1", features = ["macros", "rt-multi-thread"] }
TOML
cat >program/src/main.rs <<'RUST'
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::collections::BTreeMap;

const CLIENTS: i32 = 8;
const QUERIES: i32 = 200;

/// Each client asks for its own number, in a statement of its own.
async fn client(pool: PgPool, client: i32, transaction: bool) -> BTreeMap<String, u32> {
    let sql = format!("SELECT {client}{}", " + $1::int4".repeat(client as usize));
    let mut seen = BTreeMap::new();
    for _ in 0..QUERIES {
        let mut query = sqlx::query_scalar::<_, i32>(sqlx::AssertSqlSafe(sql.clone())).persistent(false);
        for _ in 0..client {
            query = query.bind(0);
        }
        let answer = async {
            if !transaction {
                return query.fetch_one(&pool).await;
            }
            let mut within = pool.begin().await?;
            let answer = query.fetch_one(&mut *within).await?;
            within.commit().await?;
            Ok(answer)
        };
        let outcome = match answer.await {
            Ok(answer) if answer == client => "right".to_owned(),
            Ok(_) => "wrong".to_owned(),
            Err(sqlx::Error::Database(error)) => format!("error {}", error.code().unwrap_or_default()),
            Err(_) => "error of the driver".to_owned(),
        };
        *seen.entry(outcome).or_default() += 1;
    }
    seen
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("kennel").database("postgres");
    let options = options.statement_cache_capacity(0).ssl_mode(sqlx::postgres::PgSslMode::Disable);
    for transaction in [false, true] {
        let pool = PgPoolOptions::new().max_connections(CLIENTS as u32).connect_with(options.clone()).await.unwrap();
        let tasks: Vec<_> = (1..=CLIENTS).map(|n| tokio::spawn(client(pool.clone(), n, transaction))).collect();
        let mut all = BTreeMap::<String, u32>::new();
        for task in tasks {
            for (outcome, count) in task.await.unwrap() {
                *all.entry(outcome).or_default() += count;
            }
        }
        println!("{} {all:?}", if transaction { "in transactions:" } else { "single statements:" });
        pool.close().await;
    }
}
RUST
cargo build -q --release --manifest-path program/Cargo.toml
root/usr/sbin/pgbouncer --version | head -1
program/target/release/finding "$pooler" | tee output

grep -q '^single statements:.*error' output || { echo "CHANGED: single statements do not fail any more"; exit 1; }
grep -qx 'in transactions: {"right": 1600}' output || { echo "CHANGED: statements in transactions fail"; exit 1; }
