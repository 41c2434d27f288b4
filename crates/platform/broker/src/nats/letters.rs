//! Dead letters: a stream with a subject for each event and group, which keeps the last message of each.

use std::sync::Arc;

use async_nats::HeaderValue;
use async_nats::jetstream::stream::{Config as StreamConfig, LastRawMessageErrorKind, StorageType, Stream};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, DeadLetters, RepoError, Timestamp};
use uuid::Uuid;

use super::{Core, Names, unavailable, wire};
use crate::group::letters::{NOTE_HEADER, Note, page};
use crate::letters::latest;

/// The dead letters of the groups of a prefix.
pub struct NatsDeadLetters(Arc<Core>);

impl Core {
    async fn dead_stream(&self) -> Result<Stream<()>, BrokerError> {
        let made = self.stream(StreamConfig {
            name: self.names.dead_stream(),
            subjects: vec![self.names.dead_subjects(None)],
            max_messages_per_subject: 1,
            storage: StorageType::File,
            ..StreamConfig::default()
        });
        made.await?;
        self.jetstream.get_stream_no_info(self.names.dead_stream()).await.map_err(unavailable)
    }

    /// Stores a letter durably.
    pub(super) async fn bury(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        self.dead_stream().await?;
        let note = serde_json::to_string(&Note::on(letter)).map_err(|error| BrokerError::Backend(error.into()))?;
        let subject = self.names.dead_subject(letter.event.id, &letter.group);
        let message = wire::message(&letter.event, &[(NOTE_HEADER, &note)])?.outbound_message(subject);
        let headers = message.headers.unwrap_or_default();
        let sent = self.jetstream.publish_with_headers(message.subject, headers, message.payload).await;
        sent.map_err(unavailable)?.await.map_err(unavailable)?;
        Ok(())
    }
}

fn in_repository(error: BrokerError) -> RepoError {
    match error {
        BrokerError::Unavailable(source) => RepoError::Unavailable(source),
        BrokerError::Corrupt(source) => RepoError::Corrupt(source),
        other => RepoError::Backend(other.into()),
    }
}

impl NatsDeadLetters {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// The subjects of an event's letters, or of all, in order.
    async fn subjects(&self, event: Option<Uuid>) -> Result<(Stream<()>, Vec<String>), BrokerError> {
        let stream = self.0.dead_stream().await?;
        let filter = self.0.names.dead_subjects(event);
        let found = stream.info_with_subjects(filter).await.map_err(unavailable)?;
        let mut subjects: Vec<_> =
            found.map_ok(|(subject, _)| subject).try_collect::<Vec<_>>().await.map_err(unavailable)?;
        subjects.sort_unstable();
        Ok((stream, subjects))
    }

    /// The letters that these subjects have, each with its place in the stream; one may have gone since.
    async fn read(&self, stream: &Stream<()>, subjects: &[String]) -> Result<Vec<(u64, DeadLetter)>, BrokerError> {
        let mut letters = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let message = match stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(unavailable(error)),
            };
            let corrupt = |error: serde_json::Error| BrokerError::Corrupt(error.into());
            let note = message.headers.get(NOTE_HEADER).map_or("", HeaderValue::as_str);
            let note: Note = serde_json::from_str(note).map_err(corrupt)?;
            let event = wire::event(&note.topic, &message.headers, message.payload);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            letters.push((message.sequence, note.letter(event)));
        }
        Ok(letters)
    }

    async fn of(&self, event: Uuid) -> Result<(Stream<()>, Vec<(u64, DeadLetter)>), BrokerError> {
        let (stream, subjects) = self.subjects(Some(event)).await?;
        let letters = self.read(&stream, &subjects).await?;
        Ok((stream, letters))
    }

    /// Removes the letters of an event; of those that come in meanwhile none when `before`, a place in the stream, is
    /// given. False when there is none.
    async fn remove(&self, stream: &Stream<()>, event: Uuid, before: Option<u64>) -> Result<bool, BrokerError> {
        let purge = stream.purge().filter(self.0.names.dead_subjects(Some(event)));
        let purged = match before {
            Some(before) => purge.sequence(before).await,
            None => purge.await,
        };
        Ok(purged.map_err(unavailable)?.purged > 0)
    }

    async fn replay_one(&self, event: Uuid, now: Timestamp) -> Result<bool, BrokerError> {
        let (stream, letters) = self.of(event).await?;
        let (Some((_, last)), Some(place)) =
            (letters.iter().max_by_key(|(_, letter)| letter.at), letters.iter().map(|(place, _)| place).max())
        else {
            return Ok(false);
        };
        self.0.topic(&last.event.topic).await?;
        // By its id alone the server would take it for one that it has.
        let name = format!("{event} again {now}");
        self.0.store(&last.event, &name).await?;
        // The event may have failed again by now; that letter stays.
        self.remove(&stream, event, Some(place + 1)).await?;
        Ok(true)
    }
}

fn letters(read: Vec<(u64, DeadLetter)>) -> Vec<DeadLetter> {
    latest(read.into_iter().map(|(_, letter)| letter))
}

#[async_trait]
impl DeadLetters for NatsDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let (stream, subjects) = self.subjects(None).await.map_err(in_repository)?;
        let subjects = page(subjects, |subject| Names::event_of(subject).unwrap_or_default(), after, limit);
        Ok(letters(self.read(&stream, &subjects).await.map_err(in_repository)?))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(letters(self.of(event).await.map_err(in_repository)?.1))
    }

    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError> {
        self.replay_one(event, now).await.map_err(in_repository)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let removed = async {
            let stream = self.0.dead_stream().await?;
            self.remove(&stream, event, None).await
        };
        removed.await.map_err(in_repository)
    }
}
