#!/usr/bin/env bash
# rdkafka (Rust): after `resume`, the first message of a partition comes only after a pause of its own, though the broker has it.
#
# A consumer pauses its only partition while it is busy, and resumes it. The thread of the driver that fetches from the leader
# sleeps meanwhile and is not woken by the resume. Any request to the leader, such as one for the watermarks, wakes it, and then it
# fetches at once. `fetch.queue.backoff.ms`, which delays fetches by a second by default, is 1 here, so that it is not the cause.
#
# The broker is the mock cluster inside librdkafka.
#
# Seen with rdkafka 0.39.0 and rdkafka-sys 4.10.0+2.12.1:
#   769 ms, and 1 ms with a request
#   over 100 ms: true, under 50 ms with a request: true
# Needs: cargo, a C and a C++ compiler, make. Takes some 3 minutes.
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

const PATIENCE: Duration = Duration::from_secs(10);
const ROUNDS: usize = 15;

fn read(consumer: &BaseConsumer) {
    let began = Instant::now();
    while !matches!(consumer.poll(Duration::from_millis(5)), Some(Ok(_))) {
        assert!(began.elapsed() < PATIENCE, "no message");
    }
}

/// The median of the milliseconds from the resume to the next message.
fn delay(consumer: &BaseConsumer, partition: &TopicPartitionList, wake: bool) -> u128 {
    let mut delays = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..200 {
            read(consumer);
        }
        consumer.pause(partition).unwrap();
        let paused = Instant::now();
        while paused.elapsed() < Duration::from_millis(230) {
            assert!(consumer.poll(Duration::from_millis(5)).is_none());
        }
        consumer.resume(partition).unwrap();
        let resumed = Instant::now();
        if wake {
            consumer.fetch_watermarks("t", 0, PATIENCE).unwrap();
        }
        read(consumer);
        delays.push(resumed.elapsed().as_millis());
    }
    delays.sort_unstable();
    delays[ROUNDS / 2]
}

fn main() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let settings = |pairs: &[(&str, &str)]| {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", cluster.bootstrap_servers());
        pairs.iter().for_each(|(name, value)| drop(settings.set(*name, *value)));
        settings
    };
    let producer: BaseProducer = settings(&[]).create().unwrap();
    for number in 0..20_000 {
        let payload = number.to_string();
        producer.send(BaseRecord::<str, str>::to("t").partition(0).payload(&payload)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();

    let pairs = [("group.id", "g"), ("fetch.queue.backoff.ms", "1"), ("fetch.wait.max.ms", "10"), ("queued.min.messages", "1000")];
    let consumer: BaseConsumer = settings(&pairs).create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let (alone, woken) = (delay(&consumer, &partition, false), delay(&consumer, &partition, true));
    eprintln!("{alone} ms, and {woken} ms with a request");
    println!("over 100 ms: {}, under 50 ms with a request: {}", alone > 100, woken < 50);
}
RUST
(cd program && CARGO_TARGET_DIR="$folder/target" cargo build -q) >build.log 2>&1 || { tail -20 build.log; exit 1; }
timeout 120 target/debug/finding | tee seen
[ "$(cat seen)" = "over 100 ms: true, under 50 ms with a request: true" ] || { echo "the behaviour has changed"; exit 1; }
