#!/usr/bin/env bash
# async-nats (Rust) and nats-server 2.9, the version of Debian 12: `create_key_value` fails, although the server supports buckets.
#
# For a key-value bucket with the default settings, the client first asks for the account and reads limits from the answer that
# servers before 2.10 do not send. A stream with the settings of a bucket, created by hand, is a bucket to the same client:
# `get_key_value` opens it, and values can be written and read.
#
# Seen with async-nats 0.51.0 and nats-server 2.9.10:
#   create_key_value fails: true; bucket made with create_stream: "value"
# Needs: cargo, go, python3. Takes some 3 minutes.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

GOPATH=$folder/go GOBIN=$folder/bin GOFLAGS=-modcacherw go install github.com/nats-io/nats-server/v2@v2.9.10 >go.log 2>&1 ||
  { tail -20 go.log; exit 1; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bin/nats-server -a 127.0.0.1 -p "$port" -js -sd data >server.log 2>&1 &
pids+=($!)

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[dependencies]
async-nats = { version = "=0.51.0", default-features = false, features = ["jetstream", "kv", "ring"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
TOML
cat >program/src/main.rs <<'RUST'
use async_nats::jetstream::{self, kv, stream};

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url).await.unwrap();
    let jetstream = jetstream::new(client);
    let created = jetstream.create_key_value(kv::Config { bucket: "first".into(), ..Default::default() }).await;
    if let Err(error) = &created {
        eprintln!("{error}");
    }
    let config = stream::Config {
        name: "KV_second".into(),
        subjects: vec!["$KV.second.>".into()],
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let bucket = jetstream.get_key_value("second").await.unwrap();
    bucket.put("key", "value".into()).await.unwrap();
    let value = bucket.get("key").await.unwrap().unwrap();
    println!("create_key_value fails: {}; bucket made with create_stream: {:?}", created.is_err(), std::str::from_utf8(&value).unwrap());
}
RUST
(cd program && CARGO_TARGET_DIR="$folder/target" cargo build -q) >build.log 2>&1 || { tail -20 build.log; exit 1; }
timeout 60 target/debug/finding "nats://127.0.0.1:$port" | tee seen
[ "$(cat seen)" = 'create_key_value fails: true; bucket made with create_stream: "value"' ] || { echo "the behaviour has changed"; exit 1; }
