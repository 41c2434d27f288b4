//! The streams that store events and dead letters, which are found by their subjects.
//!
//! A stream that was lost is created again under another name: nats-server 2.9 removes the files of a deleted stream
//! some time after it has stopped listing it, and those of a new stream of the same name with them
//! (`findings/nats_server_create_during_delete.sh`).

use std::sync::PoisonError;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamByNameErrorKind};
use async_nats::jetstream::stream::{Config, StorageType};
use kennel_core::broker::BrokerError;

use super::{Core, DUPLICATE_WINDOW, unavailable};

/// Last known state of a stream.
pub(super) enum StreamState {
    /// It has this name.
    Exists(String),
    /// It had this name, and was missing later.
    Lost(String),
}

impl Core {
    /// Returns the name of the stream that stores the subjects of `config`; creates it if there is none.
    pub(super) async fn stored_stream(&self, config: Config) -> Result<String, BrokerError> {
        let (known_as, subjects) = (config.name.clone(), config.subjects.join(" "));
        let name = if let Some(name) = self.stream_with(&subjects).await? {
            name
        } else {
            let name = match self.streams.lock().unwrap_or_else(PoisonError::into_inner).get(&known_as) {
                Some(StreamState::Exists(last) | StreamState::Lost(last)) => successor(&known_as, last),
                None => known_as.clone(),
            };
            match self.create_stream(Config { name: name.clone(), ..config }).await {
                Ok(()) => name,
                // Another process was faster.
                Err(error) => self.stream_with(&subjects).await?.ok_or(error)?,
            }
        };
        let exists = StreamState::Exists(name.clone());
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(known_as, exists);
        Ok(name)
    }

    async fn stream_with(&self, subjects: &str) -> Result<Option<String>, BrokerError> {
        match self.jetstream.stream_by_subject(subjects).await {
            Ok(name) => Ok(Some(name)),
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Creates a stream, unless there is one of this name.
    pub(super) async fn create_stream(&self, config: Config) -> Result<(), BrokerError> {
        let config = Config { num_replicas: self.config.replicas.get(), ..config };
        let created = match self.jetstream.get_or_create_stream(&config).await {
            // The server could not create the files, which was seen of 2.9 while it deleted other streams.
            Err(error) if is_storage_error(&error.kind()) => self.jetstream.get_or_create_stream(&config).await,
            created => created,
        };
        created.map(|_| ()).map_err(unavailable)
    }

    /// Returns the name of the stream of a topic; looks for it, and creates it, only if none is known.
    pub(super) async fn topic(&self, topic: &str) -> Result<String, BrokerError> {
        let known = self.names.topic_stream(topic);
        if let Some(StreamState::Exists(name)) = self.streams.lock().unwrap_or_else(PoisonError::into_inner).get(&known)
        {
            return Ok(name.clone());
        }
        self.topic_stream(topic).await
    }

    /// Returns the name of the stream of a topic; creates it if the server does not have it.
    pub(super) async fn topic_stream(&self, topic: &str) -> Result<String, BrokerError> {
        let stream = self.stored_stream(Config {
            name: self.names.topic_stream(topic),
            subjects: vec![self.names.topic_subjects(topic)],
            max_age: self.config.retention,
            duplicate_window: DUPLICATE_WINDOW.min(self.config.retention),
            storage: StorageType::File,
            ..Config::default()
        });
        stream.await
    }

    /// Notes that the stream of a topic is missing.
    pub(super) fn mark_topic_lost(&self, topic: &str) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = streams.get_mut(&self.names.topic_stream(topic))
            && let StreamState::Exists(name) = state
        {
            *state = StreamState::Lost(std::mem::take(name));
            tracing::warn!(topic, "stream of the topic was lost and is created again");
        }
    }
}

/// Returns the name of the stream that replaces `last`. All processes use the same: servers of a cluster accept two streams of the
/// same subjects if both are created at the same moment.
fn successor(first: &str, last: &str) -> String {
    let number = last.strip_prefix(first).and_then(|rest| rest.strip_prefix('-')?.parse::<u64>().ok());
    format!("{first}-{}", number.unwrap_or(1).saturating_add(1))
}

fn is_storage_error(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_CREATE)
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn streams_are_numbered() {
        assert_eq!(successor("kennel-topic-a-7", "kennel-topic-a-7"), "kennel-topic-a-7-2");
        assert_eq!(successor("kennel-dead", "kennel-dead-9"), "kennel-dead-10");
        assert_eq!(successor("kennel-dead", "another"), "kennel-dead-2");
    }
}
