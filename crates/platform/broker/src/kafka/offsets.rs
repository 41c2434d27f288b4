//! Asks the cluster which partitions a topic has, and from where to where they go. Blocks.

use std::thread;
use std::time::{Duration, Instant};

use kennel_core::broker::BrokerError;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;

use super::context::Quiet;
use super::error::classify;
use super::topics::is_missing;
use super::window::Part;

/// How long the cluster may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take when nothing depends on the answer.
const GLANCE: Duration = Duration::from_secs(1);
/// Between two looks at a topic that was just made.
const PAUSE: Duration = Duration::from_millis(20);

/// The partitions of a topic.
pub(super) fn partitions<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    patiently(|| {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(classify)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && !found.partitions().is_empty());
        let found = found.ok_or_else(|| BrokerError::Unavailable("topic has no partitions".into()))?;
        Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    })
}

/// The partitions of a topic; none when the cluster answers that there is no such topic.
pub(super) fn existing(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(classify)?;
    if metadata.topics().iter().any(is_missing) { Ok(Vec::new()) } else { partitions(consumer, topic) }
}

/// The oldest offset of a partition, and the next one.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), BrokerError> {
    patiently(|| consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(classify))
}

/// Whether one of these logs, of which the given offsets are read next, ends before: another has replaced it. Fails, too,
/// when a topic is not there.
pub(super) fn is_replaced<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    positions: &[(Part, i64)],
) -> KafkaResult<bool> {
    for (part, next) in positions {
        let (_, end) = consumer.fetch_watermarks(&part.topic, part.number, GLANCE)?;
        if end < *next {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Asks again while the answer is one that passes: a topic that was just made has no leaders for a moment.
fn patiently<T>(ask: impl Fn() -> Result<T, BrokerError>) -> Result<T, BrokerError> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(BrokerError::Unavailable(_)) if began.elapsed() < PATIENCE => thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}
