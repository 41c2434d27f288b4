//! Reads the partitions of topics and their offsets; blocking.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use kennel_core::broker::BrokerError;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::context::LoggingContext;
use super::error::classify;
use super::topics::is_missing;
use super::window::PartitionId;

/// Time limit of a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a request whose result is optional. When a request expires, the driver closes the connection, as of
/// librdkafka 2.12, and what is being fetched through it is lost: longer than a slow connection takes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay between requests about a topic that was just created.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the partitions of a topic.
pub(super) fn partitions<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    retry(|| {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(classify)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && !found.partitions().is_empty());
        let found = found.ok_or_else(|| BrokerError::Unavailable("topic has no partitions".into()))?;
        Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    })
}

/// Returns the partitions of a topic; none if the topic does not exist.
pub(super) fn existing(consumer: &BaseConsumer<LoggingContext>, topic: &str) -> Result<Vec<i32>, BrokerError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(classify)?;
    if metadata.topics().iter().any(is_missing) { Ok(Vec::new()) } else { partitions(consumer, topic) }
}

/// Returns the oldest offset of a partition, and the next one to be written.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), BrokerError> {
    retry(|| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).map_err(classify))
}

/// Returns those of these partitions, with their next offsets, of which the cluster has more; `None` if a log ends before its
/// offset: then another one has replaced it. Also fails when a topic does not exist.
pub(super) fn unread<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    positions: impl IntoIterator<Item = (PartitionId, i64)>,
) -> KafkaResult<Option<HashMap<PartitionId, i64>>> {
    let mut unread = HashMap::new();
    for (id, next) in positions {
        let end = match consumer.fetch_watermarks(&id.topic, id.number, CHECK_TIMEOUT) {
            Ok((_, end)) => end,
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) => {
                // The driver also says so of a partition without a leader.
                let metadata = consumer.fetch_metadata(Some(&id.topic), CHECK_TIMEOUT)?;
                let is_removed = metadata.topics().iter().any(is_missing);
                let leaderless = KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
                return Err(if is_removed { error } else { leaderless });
            }
            Err(error) => return Err(error),
        };
        match end.cmp(&next) {
            Ordering::Less => return Ok(None),
            Ordering::Equal => {}
            Ordering::Greater => drop(unread.insert(id, next)),
        }
    }
    Ok(Some(unread))
}

/// Retries transient errors: a topic that was just created has no leaders for a moment.
fn retry<T>(request: impl Fn() -> Result<T, BrokerError>) -> Result<T, BrokerError> {
    let began = Instant::now();
    loop {
        match request() {
            Err(BrokerError::Unavailable(_)) if began.elapsed() < REQUEST_TIMEOUT => thread::sleep(RETRY_INTERVAL),
            result => return result,
        }
    }
}
