#!/usr/bin/env bash
# rdkafka (Rust): the commit callback of a consumer is never called for an asynchronous commit that succeeded.
#
# `ConsumerContext::commit_callback` "will run after a group of offsets was committed to the offset store". A `BaseConsumer` that
# commits with `CommitMode::Async` and is polled all the while never has it called, though the broker has stored the offset, so
# that a program cannot know when such a commit has ended (upstream issue 856). A synchronous commit returns its outcome.
#
# The broker is the mock cluster inside librdkafka.
#
# Seen with rdkafka 0.39.0 and rdkafka-sys 4.10.0+2.12.1:
#   committed offset: Offset(1), callbacks: 0
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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

#[derive(Default)]
struct Counting(AtomicUsize);
impl ClientContext for Counting {}
impl ConsumerContext for Counting {
    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

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
    producer.send(BaseRecord::<str, str>::to("t").partition(0).payload("event")).unwrap();
    producer.flush(PATIENCE).unwrap();

    let settings = settings(&[("group.id", "g"), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")]);
    let consumer: BaseConsumer<Counting> = settings.create_with_context(Counting::default()).unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let began = Instant::now();
    while consumer.poll(Duration::from_millis(100)).is_none_or(|polled| polled.is_err()) {
        assert!(began.elapsed() < 3 * PATIENCE, "no event");
    }
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("t", 0, Offset::Offset(1)).unwrap();
    consumer.commit(&offsets, CommitMode::Async).unwrap();
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        consumer.poll(Duration::from_millis(100));
    }
    let committed = consumer.committed(PATIENCE).unwrap();
    let offset = committed.elements()[0].offset();
    println!("committed offset: {offset:?}, callbacks: {}", consumer.context().0.load(Ordering::SeqCst));
}
RUST
(cd program && CARGO_TARGET_DIR="$folder/target" cargo build -q) >build.log 2>&1 || { tail -20 build.log; exit 1; }
timeout 120 target/debug/finding 2>/dev/null | tee seen
[ "$(cat seen)" = "committed offset: Offset(1), callbacks: 0" ] || { echo "the behaviour has changed"; exit 1; }
