#!/usr/bin/env bash
# sqlx and PostgreSQL: a call of `Pool::begin` that is dropped while BEGIN is under way returns its connection to the pool inside an open
# transaction. A statement that is later executed on the pool alone succeeds, and is not committed: no other connection sees
# its row, and it is lost when the connection closes. The test of idle connections before they are used (`test_before_acquire`, the
# default) does not find it: the server answers.
#
# Futures are dropped like that by every timeout and by servers whose client disconnects. A probe that compares
# transaction_timestamp() with statement_timestamp(), in one request without a prepared statement, recognizes such a connection.
#
# Seen with sqlx 0.9.0 and PostgreSQL 15: after a call that is dropped after its first poll, the row of one INSERT is there for its own
# connection and for no other one; after a call that is awaited, for both.
#   dropped: own connection 1, another connection 0, in a transaction true, after the pool is closed 0
#   awaited: own connection 1, another connection 1, in a transaction false, after the pool is closed 1
# Needs: cargo, a C compiler, python3, and apt-get of Debian 12. Takes some 2 minutes.
set -euo pipefail

POSTGRES=15.*
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .

apt-get download -qq "postgresql-15=$POSTGRES" libpq5 2>apt.log >&2 || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
bin=$folder/root/usr/lib/postgresql/15/bin
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
mkdir data && { [ "$(id -u)" != 0 ] || chown 65534:65534 data; }
server=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
user "$bin/initdb" -D data/db -U kennel -A trust -L "$folder/root/usr/share/postgresql/15" >/dev/null
user "$bin/postgres" -D data/db -p "$server" -h 127.0.0.1 -k "$folder/data" >data.log 2>&1 &
pids+=($!)
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null && break; sleep 0.1; done

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
futures-util = { version = "=0.3.34", default-features = false, features = ["std", "async-await-macro"] }
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "=1.47.1", features = ["macros", "rt-multi-thread", "time"] }
TOML
cat >program/src/main.rs <<'RUST'
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::time::Duration;

async fn one_connection(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await.unwrap()
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(pool).await.unwrap()
}

/// Begins a transaction, and drops the call after this number of polls, or awaits it and ends the transaction.
async fn begin(pool: &PgPool, polls: Option<u32>) {
    let mut call = Box::pin(pool.begin());
    for _ in 0..polls.unwrap_or(0) {
        if futures_util::poll!(&mut call).is_ready() {
            return;
        }
        // The server answers in the meantime.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if polls.is_none() {
        call.await.unwrap().rollback().await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("kennel").database("postgres");
    let options = options.ssl_mode(sqlx::postgres::PgSslMode::Disable);
    let other = one_connection(&options).await;
    sqlx::query("CREATE TABLE t (n int)").execute(&other).await.unwrap();
    // How many polls it takes until BEGIN was sent is a detail of the driver; one of these numbers does.
    let mut found = None;
    for polls in 1..=8 {
        let lost = outcome(&options, &other, Some(polls)).await;
        if lost.contains("another connection 0") {
            found = Some(lost);
            break;
        }
    }
    println!("dropped: {}", found.unwrap_or_else(|| "no row is lost".to_owned()));
    println!("awaited: {}", outcome(&options, &other, None).await);
}

async fn outcome(options: &PgConnectOptions, other: &PgPool, polls: Option<u32>) -> String {
    sqlx::query("TRUNCATE t").execute(other).await.unwrap();
    let pool = one_connection(options).await;
    begin(&pool, polls).await;
    sqlx::query("INSERT INTO t VALUES (1)").execute(&pool).await.unwrap();
    let (own, seen) = (rows(&pool).await, rows(other).await);
    let probe = sqlx::raw_sql("SELECT transaction_timestamp() <> statement_timestamp()").fetch_one(&pool).await.unwrap();
    let is_open: bool = sqlx::Row::get(&probe, 0);
    pool.close().await;
    format!("own connection {own}, another connection {seen}, in a transaction {is_open}, after the pool is closed {}", rows(other).await)
}
RUST
cargo build -q --release --manifest-path program/Cargo.toml
program/target/release/finding "$server" | tee output

grep -qx 'dropped: own connection 1, another connection 0, in a transaction true, after the pool is closed 0' output ||
  { echo "CHANGED: a dropped call leaves no transaction open"; exit 1; }
grep -qx 'awaited: own connection 1, another connection 1, in a transaction false, after the pool is closed 1' output ||
  { echo "CHANGED: an awaited call is not committed"; exit 1; }
