//! Dead letters, in separate topics.
//!
//! The dead letters of a group are in `<topic>.<group>.dlq`: the unchanged event, with the failure in headers. The
//! record key is the event's id and the position from which it was read. The topic is compacted, so that a dead letter
//! remains until a record without a value deletes it. It has one partition and is read from its beginning for every
//! request: first for the positions, then for the content of one page. So memory is bounded by the page, not by the
//! number of dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, DeadLetters, Event, RepoError, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::Core;
use super::context::LoggingContext;
use super::error::{classify, classify_dead_letter};
use super::offsets::{REQUEST_TIMEOUT, ends};
use super::producer::Record;
use super::record;
use super::topics::{TopicKind, checked};
use super::window::PartitionId;
use crate::cloudevents::Binding;
use crate::dead_letters::latest;

const SUFFIX: &str = ".dlq";
const TOPIC: &str = "dlq-topic";
const GROUP: &str = "dlq-group";
const ATTEMPTS: &str = "dlq-attempts";
const REASON: &str = "dlq-reason";
const AT: &str = "dlq-at";
const ORIGIN_TOPIC: &str = "dlq-origin-topic";
const ORIGIN_PARTITION: &str = "dlq-origin-partition";
const ORIGIN_OFFSET: &str = "dlq-origin-offset";
/// Maximum length of a reason; longer ones are truncated.
const MAX_REASON_CHARS: usize = 4_096;
/// Maximum number of dead letters in one topic that can be listed.
const MAX_DEAD_LETTERS: usize = 1_000_000;

/// The topic has more dead letters than are indexed in memory.
#[derive(Debug, thiserror::Error)]
#[error("topic `{0}` has more than {MAX_DEAD_LETTERS} dead letters")]
struct TooManyDeadLetters(String);

/// Dead-letter store of some topics.
pub struct KafkaDeadLetters {
    core: Arc<Core>,
}

/// Where a dead letter is stored.
struct RecordPosition {
    topic: String,
    offset: i64,
}

/// A dead letter, and the record to delete.
struct StoredDeadLetter {
    topic: String,
    key: Vec<u8>,
    content: DeadLetter,
}

/// Returns the record key of a dead letter. It contains the position of the event, so that deleting a dead letter does
/// not delete that of an event that was replayed and has failed again.
fn key(event: Uuid, origin: &PartitionId, offset: i64) -> String {
    format!("{event} {}/{}/{offset}", origin.topic, origin.number)
}

fn event_of(key: &[u8]) -> Option<Uuid> {
    std::str::from_utf8(key).ok()?.split(' ').next()?.parse().ok()
}

impl Core {
    /// Stores the dead letter of an event that was read at `offset` of `origin`.
    pub(super) async fn store_dead_letter(
        &self,
        dead_letter: &DeadLetter,
        topic: &str,
        origin: &PartitionId,
        offset: i64,
    ) -> Result<(), BrokerError> {
        let name = checked(format!("{}{SUFFIX}", self.router.group(topic, &dead_letter.group)))?;
        let mut headers = Binding::KAFKA.headers(&dead_letter.event);
        let reason: String = dead_letter.reason.chars().take(MAX_REASON_CHARS).collect();
        for (key, value) in [
            (TOPIC, topic.to_owned()),
            (GROUP, dead_letter.group.clone()),
            (ATTEMPTS, dead_letter.attempts.to_string()),
            (REASON, reason),
            (AT, dead_letter.at.to_string()),
            (ORIGIN_TOPIC, origin.topic.to_string()),
            (ORIGIN_PARTITION, origin.number.to_string()),
            (ORIGIN_OFFSET, offset.to_string()),
        ] {
            headers.push((key.to_owned(), value));
        }
        let key = key(dead_letter.event.id, origin, offset);
        let value = Some(&*dead_letter.event.data);
        let record = || vec![Record { topic: &name, key: key.as_bytes(), headers: headers.clone(), value }];
        self.send(&BTreeSet::from([name.clone()]), TopicKind::DeadLetters, record).await
    }

    async fn delete(&self, dead_letters: &[StoredDeadLetter]) -> Result<(), BrokerError> {
        let records = dead_letters.iter().map(|StoredDeadLetter { topic, key, .. }| Record {
            topic,
            key,
            headers: Vec::new(),
            value: None,
        });
        self.producer.send(records.collect()).await
    }
}

impl KafkaDeadLetters {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Reads the dead letters of the events that `select` picks from all event ids, which are in ascending order.
    async fn read(
        &self,
        select: impl FnOnce(&BTreeMap<Uuid, Vec<RecordPosition>>) -> BTreeSet<Uuid> + Send + 'static,
    ) -> Result<Vec<StoredDeadLetter>, RepoError> {
        let settings = self.core.reader("dead-letters");
        let topics = self.core.dead_letter_topics();
        let prefixes: Vec<_> = topics.iter().map(|topic| format!("{}.", self.core.router.topic(topic))).collect();
        let read =
            tokio::task::spawn_blocking(move || DeadLetterScanner::open(&settings)?.read(&topics, &prefixes, select));
        read.await.map_err(|error| RepoError::Backend(error.into()))?.map_err(classify_dead_letter)
    }

    async fn of_event(&self, event: Uuid) -> Result<Vec<StoredDeadLetter>, RepoError> {
        self.read(move |all| all.contains_key(&event).then_some(event).into_iter().collect()).await
    }
}

#[async_trait]
impl DeadLetters for KafkaDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(latest_of(self.read(move |all| page(all, after, limit as usize)).await?))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(latest_of(self.of_event(event).await?))
    }

    async fn replay(&self, event: Uuid, _: Timestamp) -> Result<bool, RepoError> {
        let dead_letters = self.of_event(event).await?;
        let Some(StoredDeadLetter { content, .. }) = dead_letters.first() else {
            return Ok(false);
        };
        self.core.publish(std::slice::from_ref(&content.event)).await.map_err(classify_dead_letter)?;
        self.core.delete(&dead_letters).await.map_err(classify_dead_letter)?;
        Ok(true)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let dead_letters = self.of_event(event).await?;
        self.core.delete(&dead_letters).await.map_err(classify_dead_letter)?;
        Ok(!dead_letters.is_empty())
    }
}

/// Returns the latest dead letter per event and group, in the order of the port.
fn latest_of(dead_letters: Vec<StoredDeadLetter>) -> Vec<DeadLetter> {
    latest(dead_letters.into_iter().map(|dead_letter| dead_letter.content))
}

/// Returns the events of a page: as many as have up to `limit` dead letters together, and at least one.
fn page(all: &BTreeMap<Uuid, Vec<RecordPosition>>, after: Option<Uuid>, limit: usize) -> BTreeSet<Uuid> {
    let (mut events, mut dead_letters) = (BTreeSet::new(), 0);
    for (event, positions) in all.iter().filter(|(event, _)| after.is_none_or(|after| **event > after)) {
        dead_letters += positions.len();
        if dead_letters > limit && (limit == 0 || !events.is_empty()) {
            break;
        }
        events.insert(*event);
    }
    events
}

/// Reads dead-letter topics; blocking.
struct DeadLetterScanner(BaseConsumer<LoggingContext>);

impl DeadLetterScanner {
    fn open(settings: &ClientConfig) -> Result<Self, BrokerError> {
        settings.create_with_context(LoggingContext).map(Self).map_err(classify)
    }

    fn read(
        &self,
        topics: &BTreeSet<String>,
        prefixes: &[String],
        select: impl FnOnce(&BTreeMap<Uuid, Vec<RecordPosition>>) -> BTreeSet<Uuid>,
    ) -> Result<Vec<StoredDeadLetter>, BrokerError> {
        let mut all: BTreeMap<Uuid, Vec<RecordPosition>> = BTreeMap::new();
        for topic in self.find_topics(prefixes)? {
            for (event, offset) in self.index(&topic, topics)? {
                all.entry(event).or_default().push(RecordPosition { topic: topic.clone(), offset });
            }
        }
        let select = select(&all);
        let mut offsets: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for position in select.iter().filter_map(|event| all.remove(event)).flatten() {
            offsets.entry(position.topic).or_default().insert(position.offset);
        }
        let mut dead_letters = Vec::new();
        for (topic, offsets) in offsets {
            dead_letters.extend(self.dead_letters(&topic, &offsets)?);
        }
        Ok(dead_letters)
    }

    /// Returns the dead-letter topics with one of these name prefixes.
    fn find_topics(&self, prefixes: &[String]) -> Result<Vec<String>, BrokerError> {
        let metadata = self.0.fetch_metadata(None, REQUEST_TIMEOUT).map_err(classify)?;
        let found = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
        let is_dead_letter_topic =
            |name: &&str| name.ends_with(SUFFIX) && prefixes.iter().any(|start| name.starts_with(start));
        Ok(found.filter(is_dead_letter_topic).map(str::to_owned).collect())
    }

    /// Returns the events and offsets of the dead letters in a topic.
    fn index(&self, name: &str, topics: &BTreeSet<String>) -> Result<Vec<(Uuid, i64)>, BrokerError> {
        let mut index = BTreeMap::new();
        self.scan(name, 0, |message| {
            let key = message.key().unwrap_or_default();
            let Some(event) = event_of(key) else {
                return Ok(true);
            };
            if message.payload().is_none() {
                index.remove(key);
            } else if record::header(message, TOPIC).is_some_and(|topic| topics.contains(topic)) {
                index.insert(key.to_owned(), (event, message.offset()));
            }
            if index.len() > MAX_DEAD_LETTERS {
                return Err(BrokerError::Backend(TooManyDeadLetters(name.to_owned()).into()));
            }
            Ok(true)
        })?;
        Ok(index.into_values().collect())
    }

    fn dead_letters(&self, name: &str, offsets: &BTreeSet<i64>) -> Result<Vec<StoredDeadLetter>, BrokerError> {
        let mut dead_letters = Vec::with_capacity(offsets.len());
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return Ok(dead_letters);
        };
        self.scan(name, *first, |message| {
            if offsets.contains(&message.offset()) {
                let (topic, key) = (name.to_owned(), message.key().unwrap_or_default().to_owned());
                dead_letters.push(StoredDeadLetter { topic, key, content: dead_letter(message)? });
            }
            Ok(message.offset() < *last)
        })?;
        Ok(dead_letters)
    }

    /// Calls `visit` with each record from `start` to the present end, until it returns false.
    fn scan(
        &self,
        topic: &str,
        start: i64,
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, BrokerError>,
    ) -> Result<(), BrokerError> {
        let (low, high) = ends(&self.0, topic, 0)?;
        if start.max(low) >= high {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Offset(start.max(low))).map_err(classify)?;
        self.0.assign(&assignment).map_err(classify)?;
        loop {
            match self.0.poll(REQUEST_TIMEOUT) {
                Some(Ok(message)) => {
                    if !visit(&message)? || message.offset() + 1 >= high {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) => return Err(classify(error)),
                None => return Err(BrokerError::Unavailable("reading dead letters timed out".into())),
            }
        }
    }
}

fn dead_letter(message: &BorrowedMessage<'_>) -> Result<DeadLetter, BrokerError> {
    let header = |name| record::header(message, name).unwrap_or_default();
    let data = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let event: Event = Binding::KAFKA
        .read(header(TOPIC), |name| record::header(message, name), data)
        .map_err(|error| BrokerError::Corrupt(error.into()))?;
    Ok(DeadLetter {
        event,
        group: header(GROUP).to_owned(),
        attempts: header(ATTEMPTS).parse().unwrap_or(0),
        reason: header(REASON).to_owned(),
        at: header(AT).parse::<Timestamp>().map_err(|error| BrokerError::Corrupt(error.into()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_contain_all_dead_letters_of_an_event() {
        let position = || RecordPosition { topic: "t".to_owned(), offset: 0 };
        let id = Uuid::from_u128;
        let all: BTreeMap<_, _> =
            [(id(1), vec![position()]), (id(2), vec![position(), position()]), (id(3), vec![position()])].into();
        let pages = |after: Option<u128>, limit| {
            let events = page(&all, after.map(id), limit);
            events.iter().map(Uuid::as_u128).collect::<Vec<_>>()
        };
        assert_eq!(pages(None, 10), [1, 2, 3]);
        assert_eq!(pages(None, 3), [1, 2]);
        assert_eq!(pages(None, 2), [1]);
        assert_eq!(pages(Some(1), 1), [2], "one event at least");
        assert_eq!(pages(Some(2), 1), [3]);
        assert_eq!(pages(Some(3), 1), [0; 0]);
        assert_eq!(pages(None, 0), [0; 0]);
    }
}
