#!/usr/bin/env bash
# sqlx and MariaDB: the statement after one that is not kept prepared waits 40 ms. That is every statement after one with
# `persistent(false)`, and every statement that takes the place of another in the full cache of its connection.
#
# The driver closes a prepared statement with a packet that has no response (COM_STMT_CLOSE), and sends the next request by
# itself. Its socket has Nagle's algorithm enabled, so the request waits until the server's system has acknowledged the first
# packet, which it delays by 40 ms. TLS makes no difference. Inserts of several rows have a text for each number of rows, so
# batches of varying lengths fill the cache of 100 statements, and each further one costs 40 ms.
#
# Seen with sqlx 0.9.0 and MariaDB 10.11, on loopback, the median of 41 statements; the times vary a little:
#   the same statement again: 0.1 ms
#   after a statement that is not persistent: 43.9 ms
#   more texts than the cache has room for: 44.0 ms
#   as many texts as the cache has room for: 0.1 ms
# Needs: cargo, a C compiler, python3, and apt-get of Debian 12. Takes some 2 minutes.
set -euo pipefail

MARIADB=1:10.11.*
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .

apt-get download -qq "mariadb-server=$MARIADB" "mariadb-server-core=$MARIADB" "mariadb-client-core=$MARIADB" liburing2 libnuma1 libaio1 \
  libsnappy1v5 2>apt.log >&2 || { cat apt.log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
mkdir data && { [ "$(id -u)" != 0 ] || chown 65534:65534 data; }
server=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
user "$folder/root/usr/bin/mariadb-install-db" --no-defaults --basedir="$folder/root/usr" --datadir="$folder/data/db" --skip-test-db \
  --auth-root-authentication-method=normal >install.log 2>&1 || { cat install.log; exit 1; }
printf '%s;\n' "CREATE DATABASE f" "CREATE USER f@'%' IDENTIFIED BY 'f'" "GRANT ALL ON f.* TO f@'%'" >start.sql
user "$folder/root/usr/sbin/mariadbd" --no-defaults --basedir="$folder/root/usr" --datadir="$folder/data/db" --bind-address=127.0.0.1 \
  --port="$server" --socket="$folder/data/socket" --pid-file="$folder/data/pid" --init-file="$folder/start.sql" --skip-name-resolve \
  --plugin-dir="$folder/root/usr/lib/mysql/plugin" >data.log 2>&1 &
pids+=($!)
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null && break; sleep 0.1; done

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["mysql", "runtime-tokio"] }
tokio = { version = "=1.47.1", features = ["macros", "rt", "time"] }
TOML
cat >program/src/main.rs <<'RUST'
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use std::time::Instant;

const CACHE: usize = 4;
const COUNT: usize = 41;

async fn connect() -> MySqlConnection {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let options = MySqlConnectOptions::new().host("127.0.0.1").port(port).username("f").password("f").database("f");
    options.ssl_mode(MySqlSslMode::Disabled).statement_cache_capacity(CACHE).connect().await.unwrap()
}

/// One of several statements that differ in their text only.
async fn select(connection: &mut MySqlConnection, text: usize, is_persistent: bool) {
    let select = sqlx::query_scalar(AssertSqlSafe(format!("SELECT ? + {text}"))).bind(1_i64).persistent(is_persistent);
    let _: i64 = select.fetch_one(connection).await.unwrap();
}

/// Prints the median time of the statements that alternate between so many texts.
async fn measure(name: &str, texts: usize, is_persistent: bool) {
    let mut connection = connect().await;
    let mut times = Vec::new();
    for number in 0..COUNT + 2 * texts {
        let start = Instant::now();
        select(&mut connection, number % texts, is_persistent).await;
        times.push(start.elapsed());
    }
    // Without those that prepare a text for the first time.
    let mut times = times.split_off(2 * texts);
    times.sort_unstable();
    println!("{name}: {:.1} ms", times[COUNT / 2].as_secs_f64() * 1_000.0);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    measure("the same statement again", 1, true).await;
    measure("after a statement that is not persistent", 1, false).await;
    measure("more texts than the cache has room for", CACHE + 1, true).await;
    measure("as many texts as the cache has room for", CACHE, true).await;
}
RUST
cargo build -q --release --manifest-path program/Cargo.toml
for _ in $(seq 100); do program/target/release/finding "$server" >output 2>error && break; sleep 0.2; done
[ -s output ] || { cat error; exit 1; }
cat output

# slow NAME, fast NAME: whether the time is over 30 ms, or below 10 ms.
slow() { awk -F': ' -v name="$1" '$1 == name { found = $2 + 0 > 30 } END { exit !found }' output; }
fast() { awk -F': ' -v name="$1" '$1 == name { found = $2 + 0 < 10 } END { exit !found }' output; }
fast 'the same statement again' && fast 'as many texts as the cache has room for' ||
  { echo "CHANGED: statements that stay prepared are slow"; exit 1; }
slow 'after a statement that is not persistent' || { echo "CHANGED: a statement that is closed delays no other"; exit 1; }
slow 'more texts than the cache has room for' || { echo "CHANGED: an evicted statement delays no other"; exit 1; }
