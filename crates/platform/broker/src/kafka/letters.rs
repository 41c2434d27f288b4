//! Dead letters, in topics of their own.
//!
//! What a group gives up goes to `<topic>.<group>.dlq`: the event as it was, with the reason in headers, under the
//! event's id and the place that it was read from. The topic is compacted, so that a letter stays until it is taken
//! back; a record without a value does that. It has one partition and is read from its beginning whenever letters are
//! looked at: first for where they are, then for what they say, so that what is held is bounded by the page, not by
//! the letters.

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
use super::context::Quiet;
use super::error::{classify, classify_letters};
use super::offsets::{PATIENCE, ends};
use super::producer::Record;
use super::record;
use super::topics::{Kind, checked};
use super::window::Part;
use crate::cloudevents::Binding;
use crate::letters::latest;

const SUFFIX: &str = ".dlq";
const TOPIC: &str = "dlq-topic";
const GROUP: &str = "dlq-group";
const ATTEMPTS: &str = "dlq-attempts";
const REASON: &str = "dlq-reason";
const AT: &str = "dlq-at";
const ORIGIN_TOPIC: &str = "dlq-origin-topic";
const ORIGIN_PARTITION: &str = "dlq-origin-partition";
const ORIGIN_OFFSET: &str = "dlq-origin-offset";
/// Longer reasons are cut.
const LONGEST_REASON: usize = 4_096;
/// More letters than these in one topic are not looked at.
const MOST_LETTERS: usize = 1_000_000;

/// There are more letters than are held in memory to look at them.
#[derive(Debug, thiserror::Error)]
#[error("topic `{0}` has more than {MOST_LETTERS} dead letters")]
struct TooMany(String);

/// The dead letters of some topics.
pub struct KafkaDeadLetters {
    core: Arc<Core>,
}

/// Where a letter is.
struct Place {
    topic: String,
    offset: i64,
}

/// A letter, and what it takes to take it back.
struct Letter {
    topic: String,
    key: Vec<u8>,
    content: DeadLetter,
}

/// What a letter is called: for its event, and for where that was read, so that taking the letter back leaves the one
/// of an event that was replayed and has failed again.
fn key(event: Uuid, origin: &Part, offset: i64) -> String {
    format!("{event} {}/{}/{offset}", origin.topic, origin.number)
}

fn event_of(key: &[u8]) -> Option<Uuid> {
    std::str::from_utf8(key).ok()?.split(' ').next()?.parse().ok()
}

impl Core {
    /// Stores the letter of an event read at `offset` of `origin`.
    pub(super) async fn bury(
        &self,
        letter: &DeadLetter,
        topic: &str,
        origin: &Part,
        offset: i64,
    ) -> Result<(), BrokerError> {
        let name = checked(format!("{}{SUFFIX}", self.router.group(topic, &letter.group)))?;
        let mut headers = Binding::KAFKA.headers(&letter.event);
        let reason: String = letter.reason.chars().take(LONGEST_REASON).collect();
        for (key, value) in [
            (TOPIC, topic.to_owned()),
            (GROUP, letter.group.clone()),
            (ATTEMPTS, letter.attempts.to_string()),
            (REASON, reason),
            (AT, letter.at.to_string()),
            (ORIGIN_TOPIC, origin.topic.to_string()),
            (ORIGIN_PARTITION, origin.number.to_string()),
            (ORIGIN_OFFSET, offset.to_string()),
        ] {
            headers.push((key.to_owned(), value));
        }
        let key = key(letter.event.id, origin, offset);
        let value = Some(&*letter.event.data);
        let record = || vec![Record { topic: &name, key: key.as_bytes(), headers: headers.clone(), value }];
        self.send(&BTreeSet::from([name.clone()]), Kind::Letters, record).await
    }

    async fn take_back(&self, letters: &[Letter]) -> Result<(), BrokerError> {
        let records =
            letters.iter().map(|Letter { topic, key, .. }| Record { topic, key, headers: Vec::new(), value: None });
        self.producer.send(records.collect()).await
    }
}

impl KafkaDeadLetters {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Looks at the letters that `wanted` picks out of all event ids, in ascending order.
    async fn read(
        &self,
        wanted: impl FnOnce(&BTreeMap<Uuid, Vec<Place>>) -> BTreeSet<Uuid> + Send + 'static,
    ) -> Result<Vec<Letter>, RepoError> {
        let settings = self.core.reader("dead-letters");
        let topics = self.core.shown_topics();
        let within: Vec<_> = topics.iter().map(|topic| format!("{}.", self.core.router.topic(topic))).collect();
        let read = tokio::task::spawn_blocking(move || Reader::open(&settings)?.read(&topics, &within, wanted));
        read.await.map_err(|error| RepoError::Backend(error.into()))?.map_err(classify_letters)
    }

    async fn of(&self, event: Uuid) -> Result<Vec<Letter>, RepoError> {
        self.read(move |all| all.contains_key(&event).then_some(event).into_iter().collect()).await
    }
}

#[async_trait]
impl DeadLetters for KafkaDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(shown(self.read(move |all| page(all, after, limit as usize)).await?))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(shown(self.of(event).await?))
    }

    async fn replay(&self, event: Uuid, _: Timestamp) -> Result<bool, RepoError> {
        let letters = self.of(event).await?;
        let Some(Letter { content, .. }) = letters.first() else {
            return Ok(false);
        };
        self.core.publish(std::slice::from_ref(&content.event)).await.map_err(classify_letters)?;
        self.core.take_back(&letters).await.map_err(classify_letters)?;
        Ok(true)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let letters = self.of(event).await?;
        self.core.take_back(&letters).await.map_err(classify_letters)?;
        Ok(!letters.is_empty())
    }
}

/// One letter for each event and group, the latest, in the order of the port.
fn shown(letters: Vec<Letter>) -> Vec<DeadLetter> {
    latest(letters.into_iter().map(|letter| letter.content))
}

/// The events of a page: as many as have up to `limit` letters together, and one at least.
fn page(all: &BTreeMap<Uuid, Vec<Place>>, after: Option<Uuid>, limit: usize) -> BTreeSet<Uuid> {
    let (mut events, mut letters) = (BTreeSet::new(), 0);
    for (event, places) in all.iter().filter(|(event, _)| after.is_none_or(|after| **event > after)) {
        letters += places.len();
        if letters > limit && (limit == 0 || !events.is_empty()) {
            break;
        }
        events.insert(*event);
    }
    events
}

/// Reads dead letters; blocks.
struct Reader(BaseConsumer<Quiet>);

impl Reader {
    fn open(settings: &ClientConfig) -> Result<Self, BrokerError> {
        settings.create_with_context(Quiet).map(Self).map_err(classify)
    }

    fn read(
        &self,
        topics: &BTreeSet<String>,
        within: &[String],
        wanted: impl FnOnce(&BTreeMap<Uuid, Vec<Place>>) -> BTreeSet<Uuid>,
    ) -> Result<Vec<Letter>, BrokerError> {
        let mut all: BTreeMap<Uuid, Vec<Place>> = BTreeMap::new();
        for topic in self.letter_topics(within)? {
            for (event, offset) in self.index(&topic, topics)? {
                all.entry(event).or_default().push(Place { topic: topic.clone(), offset });
            }
        }
        let wanted = wanted(&all);
        let mut offsets: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for place in wanted.iter().filter_map(|event| all.remove(event)).flatten() {
            offsets.entry(place.topic).or_default().insert(place.offset);
        }
        let mut letters = Vec::new();
        for (topic, offsets) in offsets {
            letters.extend(self.letters(&topic, &offsets)?);
        }
        Ok(letters)
    }

    /// The topics that may have letters: those of the topics whose names these are the beginnings of.
    fn letter_topics(&self, within: &[String]) -> Result<Vec<String>, BrokerError> {
        let metadata = self.0.fetch_metadata(None, PATIENCE).map_err(classify)?;
        let found = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
        let is_within = |name: &&str| name.ends_with(SUFFIX) && within.iter().any(|start| name.starts_with(start));
        Ok(found.filter(is_within).map(str::to_owned).collect())
    }

    /// The events and offsets of letters.
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
            if index.len() > MOST_LETTERS {
                return Err(BrokerError::Backend(TooMany(name.to_owned()).into()));
            }
            Ok(true)
        })?;
        Ok(index.into_values().collect())
    }

    fn letters(&self, name: &str, offsets: &BTreeSet<i64>) -> Result<Vec<Letter>, BrokerError> {
        let mut letters = Vec::with_capacity(offsets.len());
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return Ok(letters);
        };
        self.scan(name, *first, |message| {
            if offsets.contains(&message.offset()) {
                let (topic, key) = (name.to_owned(), message.key().unwrap_or_default().to_owned());
                letters.push(Letter { topic, key, content: letter(message)? });
            }
            Ok(message.offset() < *last)
        })?;
        Ok(letters)
    }

    /// Shows each record from `start` on until `see` says no more, or none is left of those there are by now.
    fn scan(
        &self,
        topic: &str,
        start: i64,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, BrokerError>,
    ) -> Result<(), BrokerError> {
        let (low, high) = ends(&self.0, topic, 0)?;
        if start.max(low) >= high {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Offset(start.max(low))).map_err(classify)?;
        self.0.assign(&assignment).map_err(classify)?;
        loop {
            match self.0.poll(PATIENCE) {
                Some(Ok(message)) => {
                    if !see(&message)? || message.offset() + 1 >= high {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) => return Err(classify(error)),
                None => return Err(BrokerError::Unavailable("dead letters were not read in time".into())),
            }
        }
    }
}

fn letter(message: &BorrowedMessage<'_>) -> Result<DeadLetter, BrokerError> {
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
    fn pages_hold_whole_events() {
        let place = || Place { topic: "t".to_owned(), offset: 0 };
        let id = Uuid::from_u128;
        let all: BTreeMap<_, _> =
            [(id(1), vec![place()]), (id(2), vec![place(), place()]), (id(3), vec![place()])].into();
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
