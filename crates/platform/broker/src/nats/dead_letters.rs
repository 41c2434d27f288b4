//! Dead letters: a stream with one subject per event and group, which stores the last message of each.

use std::sync::Arc;

use async_nats::HeaderValue;
use async_nats::jetstream::stream::{Config as StreamConfig, LastRawMessageErrorKind, StorageType, Stream};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, DeadLetters, RepoError, Timestamp};
use uuid::Uuid;

use super::{Core, Names, unavailable, wire};
use crate::dead_letters::latest;
use crate::group::dead_letters::{FAILURE_HEADER, FailureDetails, page};

/// Dead-letter store of the groups of a prefix.
pub struct NatsDeadLetters(Arc<Core>);

impl Core {
    async fn dead_stream(&self) -> Result<Stream<()>, BrokerError> {
        let stream = self.stored_stream(StreamConfig {
            name: self.names.dead_stream(),
            subjects: vec![self.names.dead_subjects(None)],
            max_messages_per_subject: 1,
            storage: StorageType::File,
            ..StreamConfig::default()
        });
        self.jetstream.get_stream_no_info(stream.await?).await.map_err(unavailable)
    }

    /// Stores a dead letter durably.
    pub(super) async fn store_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError> {
        self.dead_stream().await?;
        let details = serde_json::to_string(&FailureDetails::of(dead_letter))
            .map_err(|error| BrokerError::Backend(error.into()))?;
        let subject = self.names.dead_subject(dead_letter.event.id, &dead_letter.group);
        let message = wire::message(&dead_letter.event, &[(FAILURE_HEADER, &details)])?.outbound_message(subject);
        let headers = message.headers.unwrap_or_default();
        let sent = self.jetstream.publish_with_headers(message.subject, headers, message.payload).await;
        sent.map_err(unavailable)?.await.map_err(unavailable)?;
        Ok(())
    }
}

fn into_repo_error(error: BrokerError) -> RepoError {
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

    /// Returns the subjects of the dead letters of an event, or of all, in order.
    async fn subjects(&self, event: Option<Uuid>) -> Result<(Stream<()>, Vec<String>), BrokerError> {
        let stream = self.0.dead_stream().await?;
        let filter = self.0.names.dead_subjects(event);
        let found = stream.info_with_subjects(filter).await.map_err(unavailable)?;
        let mut subjects: Vec<_> =
            found.map_ok(|(subject, _)| subject).try_collect::<Vec<_>>().await.map_err(unavailable)?;
        subjects.sort_unstable();
        Ok((stream, subjects))
    }

    /// Returns the dead letters of these subjects with their sequence numbers; one may have been deleted since.
    async fn read(&self, stream: &Stream<()>, subjects: &[String]) -> Result<Vec<(u64, DeadLetter)>, BrokerError> {
        let mut dead_letters = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let message = match stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(unavailable(error)),
            };
            let corrupt = |error: serde_json::Error| BrokerError::Corrupt(error.into());
            let details = message.headers.get(FAILURE_HEADER).map_or("", HeaderValue::as_str);
            let details: FailureDetails = serde_json::from_str(details).map_err(corrupt)?;
            let event = wire::event(&details.topic, &message.headers, message.payload);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            dead_letters.push((message.sequence, details.into_dead_letter(event)));
        }
        Ok(dead_letters)
    }

    async fn of_event(&self, event: Uuid) -> Result<(Stream<()>, Vec<(u64, DeadLetter)>), BrokerError> {
        let (stream, subjects) = self.subjects(Some(event)).await?;
        let dead_letters = self.read(&stream, &subjects).await?;
        Ok((stream, dead_letters))
    }

    /// Removes the dead letters of an event, only those before the sequence number `before` if it is given. Returns
    /// false when there is none.
    async fn remove(&self, stream: &Stream<()>, event: Uuid, before: Option<u64>) -> Result<bool, BrokerError> {
        let purge = stream.purge().filter(self.0.names.dead_subjects(Some(event)));
        let purged = match before {
            Some(before) => purge.sequence(before).await,
            None => purge.await,
        };
        Ok(purged.map_err(unavailable)?.purged > 0)
    }

    async fn replay_one(&self, event: Uuid, now: Timestamp) -> Result<bool, BrokerError> {
        let (stream, dead_letters) = self.of_event(event).await?;
        let (Some((_, last)), Some(sequence)) = (
            dead_letters.iter().max_by_key(|(_, dead_letter)| dead_letter.at),
            dead_letters.iter().map(|(sequence, _)| sequence).max(),
        ) else {
            return Ok(false);
        };
        self.0.topic(&last.event.topic).await?;
        // With the event id alone, the server would deduplicate it.
        let name = format!("{event} again {now}");
        self.0.store(&last.event, &name).await?;
        // The event may have failed again already; that dead letter remains.
        self.remove(&stream, event, Some(sequence + 1)).await?;
        Ok(true)
    }
}

fn dead_letters(read: Vec<(u64, DeadLetter)>) -> Vec<DeadLetter> {
    latest(read.into_iter().map(|(_, dead_letter)| dead_letter))
}

#[async_trait]
impl DeadLetters for NatsDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let (stream, subjects) = self.subjects(None).await.map_err(into_repo_error)?;
        let subjects = page(subjects, |subject| Names::event_of(subject).unwrap_or_default(), after, limit);
        Ok(dead_letters(self.read(&stream, &subjects).await.map_err(into_repo_error)?))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(dead_letters(self.of_event(event).await.map_err(into_repo_error)?.1))
    }

    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError> {
        self.replay_one(event, now).await.map_err(into_repo_error)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let removed = async {
            let stream = self.0.dead_stream().await?;
            self.remove(&stream, event, None).await
        };
        removed.await.map_err(into_repo_error)
    }
}
