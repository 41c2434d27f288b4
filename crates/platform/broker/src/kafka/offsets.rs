//! Asks the cluster which partitions a topic has, and from where to where they go. Blocks.

use std::thread;
use std::time::{Duration, Instant};

use kennel_core::broker::BrokerError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::context::Quiet;
use super::error::classify;

/// How long the cluster may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a topic that was just made.
const PAUSE: Duration = Duration::from_millis(20);

/// The partitions of a topic.
pub(super) fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    patiently(|| {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(classify)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && !found.partitions().is_empty());
        let found = found.ok_or_else(|| BrokerError::Unavailable("topic has no partitions".into()))?;
        Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    })
}

/// The oldest offset of a partition, and the next one.
pub(super) fn ends(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
    patiently(|| consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(classify))
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
