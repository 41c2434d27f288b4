#!/usr/bin/env bash
# rdkafka (Rust): a request whose time limit passes closes the connection, so that a consumer that asks for the watermarks now and
# then with a limit below the time of a round trip receives nothing at all.
#
# `socket.max.fails` is 1 by default, and the expired request counts. The request that fetches through the same connection is lost
# with it, and the next one waits for a new connection, whose handshake can be ended by the next expired request.
#
# The broker is the mock cluster inside librdkafka, with a round trip of 1.2 s. The consumer asks for the watermarks every 500 ms
# after the last answer or failure, for 20 s.
#
# Seen with rdkafka 0.39.0 and rdkafka-sys 4.10.0+2.12.1:
#   limit of 1 s: 0 of 1000 messages; limit of 5 s: 1000 of 1000 messages
# Needs: cargo, a C and a C++ compiler, make. Takes some 4 minutes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir -p program/src
cat >program/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[dependencies]
rdkafka = { version = "=0.39.0", default-features = false }
rdkafka-sys = { version = "=4.10.0", default-features = false }
TOML
cat >program/src/main.rs <<'RUST'
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ROUND_TRIP: Duration = Duration::from_millis(1_200);
const MESSAGES: usize = 1_000;

/// The messages that a consumer gets within 20 s while it asks for the watermarks with this limit.
fn received(brokers: &str, limit: Duration) -> usize {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("group.id", "g");
    let consumer: BaseConsumer = settings.create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let (began, mut checked, mut messages) = (Instant::now(), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(20) {
        messages += usize::from(matches!(consumer.poll(Duration::from_millis(50)), Some(Ok(_))));
        if checked.elapsed() > Duration::from_millis(500) {
            consumer.fetch_watermarks("t", 0, limit).ok();
            checked = Instant::now();
        }
    }
    messages
}

fn main() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    for number in 0..MESSAGES {
        let payload = number.to_string();
        producer.send(BaseRecord::<str, str>::to("t").partition(0).payload(&payload)).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    cluster.broker_round_trip_time(1, ROUND_TRIP).unwrap();
    let [short, long] = [1, 5].map(|limit| received(&brokers, Duration::from_secs(limit)));
    println!("limit of 1 s: {short} of {MESSAGES} messages; limit of 5 s: {long} of {MESSAGES} messages");
}
RUST
(cd program && CARGO_TARGET_DIR="$folder/target" cargo build -q) >build.log 2>&1 || { tail -20 build.log; exit 1; }
timeout 120 target/debug/finding 2>/dev/null | tee seen
[ "$(cat seen)" = "limit of 1 s: 0 of 1000 messages; limit of 5 s: 1000 of 1000 messages" ] || { echo "the behaviour has changed"; exit 1; }
