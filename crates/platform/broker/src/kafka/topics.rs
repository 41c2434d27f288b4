//! Kafka topics: names, routing of events, and creation.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_core::Event;
use kennel_core::broker::BrokerError;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;

use super::context::LoggingContext;
use super::error::classify;
use crate::config::{KafkaConfig, Route};

/// The rule for names.
pub(super) const NAME_RULE: &str = "must be 1 to 249 letters, digits, dots, dashes and underscores";

/// Kafka does not allow this name.
#[derive(Debug, thiserror::Error)]
#[error("name {NAME_RULE}")]
struct BadName;

/// Returns whether Kafka allows this as a topic name.
pub(super) fn is_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(is_legal)
}

/// Fails when Kafka does not allow this as a topic name.
pub(super) fn checked(name: String) -> Result<String, BrokerError> {
    if is_name(&name) { Ok(name) } else { Err(BrokerError::Backend(BadName.into())) }
}

/// Maps topics and groups to their names in Kafka, and events to topics.
#[derive(Debug, Clone, Default)]
pub(super) struct Router {
    prefix: String,
    routes: Vec<Route>,
}

impl Router {
    /// Creates a router; names begin with `prefix` and a dot, unless it is empty. The targets of routes have no prefix.
    pub(super) const fn new(prefix: String, routes: Vec<Route>) -> Self {
        Self { prefix, routes }
    }

    /// Returns the Kafka topic of events of `topic` without a route.
    pub(super) fn topic(&self, topic: &str) -> String {
        if self.prefix.is_empty() { topic.to_owned() } else { format!("{}.{topic}", self.prefix) }
    }

    /// Returns the group id, which contains the topic: in Kafka, a group is not bound to one topic.
    pub(super) fn group(&self, topic: &str, group: &str) -> String {
        format!("{}.{group}", self.topic(topic))
    }

    /// Returns the Kafka topic of an event.
    pub(super) fn target(&self, event: &Event) -> String {
        let route = self.routes.iter().find(|route| route.event == event.name && route.topic == event.topic);
        route.map_or_else(|| self.topic(&event.topic), |route| route.to.clone())
    }

    /// Returns all Kafka topics that contain events of `topic`.
    pub(super) fn sources(&self, topic: &str) -> Vec<String> {
        let mut sources = vec![self.topic(topic)];
        for route in self.routes.iter().filter(|route| route.topic == topic) {
            if !sources.contains(&route.to) {
                sources.push(route.to.clone());
            }
        }
        sources
    }
}

/// How a missing topic is created.
#[derive(Debug, Clone, Copy)]
pub(super) enum TopicKind {
    /// Events, with the retention of the cluster.
    Events,
    /// Dead letters: compacted, so that the latest record of each key is retained.
    DeadLetters,
}

/// A topic is missing, and the cluster does not allow this user to create it.
#[derive(Debug, thiserror::Error)]
#[error("topic `{0}` does not exist and may not be created: {1}")]
struct CreateForbidden(String, Code);

/// Time limit of a metadata request.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

fn admin(settings: &ClientConfig) -> Result<Arc<AdminClient<LoggingContext>>, BrokerError> {
    AdminClient::from_config_and_context(settings, LoggingContext).map(Arc::new).map_err(classify)
}

/// Creates topics, each one once, and again after it was deleted.
pub(super) struct Topics {
    settings: ClientConfig,
    /// Replaced after a failed request: it may have lost all brokers (see `BrokerWatch`).
    admin: Mutex<Arc<AdminClient<LoggingContext>>>,
    known: Mutex<HashSet<String>>,
    /// Missing topics that may not be created and have been reported.
    forbidden: Mutex<HashSet<String>>,
    partitions: i32,
    /// -1 is the default of the cluster.
    replication: i32,
    timeout: Duration,
}

impl Topics {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, BrokerError> {
        let settings = config.client();
        Ok(Self {
            admin: Mutex::new(admin(&settings)?),
            settings,
            known: Mutex::default(),
            forbidden: Mutex::default(),
            partitions: config.kafka_partitions.get().into(),
            replication: config.kafka_replication.map_or(-1, |copies| copies.get().into()),
            timeout: config.tuning.publish_timeout,
        })
    }

    fn admin(&self) -> MutexGuard<'_, Arc<AdminClient<LoggingContext>>> {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request; after a failed one, the next one has a new client.
    async fn request<T>(
        &self,
        work: impl AsyncFnOnce(Arc<AdminClient<LoggingContext>>) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let client = Arc::clone(&self.admin());
        let done = work(Arc::clone(&client)).await;
        if done.is_err() {
            let fresh = admin(&self.settings)?;
            let mut current = self.admin();
            if Arc::ptr_eq(&current, &client) {
                *current = fresh;
            }
        }
        // Dropping the last reference waits for its thread.
        drop(tokio::task::spawn_blocking(move || drop(client)));
        done
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the topic unless it is known to exist.
    pub(super) async fn ensure(&self, name: &str, kind: TopicKind) -> Result<(), BrokerError> {
        if self.known().contains(name) { Ok(()) } else { self.create(name, kind).await }
    }

    /// Creates the topic if it does not exist.
    pub(super) async fn create(&self, name: &str, kind: TopicKind) -> Result<(), BrokerError> {
        let partitions = match kind {
            TopicKind::Events => self.partitions,
            TopicKind::DeadLetters => 1,
        };
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(self.replication));
        if matches!(kind, TopicKind::DeadLetters) {
            topic = topic.set("cleanup.policy", "compact");
        }
        let timeout = Some(self.timeout);
        let options = AdminOptions::new().operation_timeout(timeout).request_timeout(timeout);
        let create = async |admin: Arc<AdminClient<_>>| admin.create_topics([&topic], &options).await.map_err(classify);
        let results = self.request(create).await?;
        for result in results {
            let Err((_, code)) = result else { continue };
            match code {
                Code::TopicAlreadyExists => {}
                // Without the right to create topics, existing ones can still be used.
                Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::PolicyViolation => {
                    self.check_exists(name, code).await?;
                }
                _ => return Err(classify(KafkaError::AdminOp(code))),
            }
        }
        self.known().insert(name.to_owned());
        Ok(())
    }

    /// Fails when the topic, which may not be created, does not exist; logs that once.
    async fn check_exists(&self, name: &str, code: Code) -> Result<(), BrokerError> {
        let is_missing = self.is_missing(name).await?;
        let mut forbidden = self.forbidden.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_missing {
            forbidden.remove(name);
            return Ok(());
        }
        if forbidden.insert(name.to_owned()) {
            tracing::error!(topic = name, %code, "cannot create topic; create it manually");
        }
        Err(BrokerError::Unavailable(CreateForbidden(name.to_owned(), code).into()))
    }

    /// Returns whether the cluster reports that the topic does not exist.
    async fn is_missing(&self, name: &str) -> Result<bool, BrokerError> {
        let name = name.to_owned();
        let fetch = async |admin: Arc<AdminClient<_>>| {
            let request = tokio::task::spawn_blocking(move || {
                let metadata = admin.inner().fetch_metadata(Some(&name), METADATA_TIMEOUT).map_err(classify)?;
                Ok(metadata.topics().iter().any(|topic| topic.name() == name && is_missing(topic)))
            });
            request.await.map_err(|error| BrokerError::Backend(error.into()))?
        };
        self.request(fetch).await
    }

    /// Returns whether the cluster reports that one of these topics does not exist. It then no longer counts as known.
    pub(super) async fn find_missing(&self, names: &BTreeSet<String>) -> bool {
        let mut found = false;
        for name in names {
            if matches!(self.is_missing(name).await, Ok(true)) && self.known().remove(name) {
                tracing::warn!(topic = name, "topic was deleted and is created again");
                found = true;
            }
        }
        found
    }
}

/// Returns whether this is the metadata of a topic that does not exist.
pub(super) fn is_missing(topic: &MetadataTopic) -> bool {
    topic.error() == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn event(name: &str, topic: &str) -> Event {
        Event {
            id: Uuid::nil(),
            name: name.to_owned(),
            source: "/tests".to_owned(),
            topic: topic.to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: bytes::Bytes::new(),
            trace: None,
        }
    }

    #[test]
    fn names_follow_the_rule_of_kafka() {
        for good in ["dogs", "dogs.events", "A-b_c.9", &"x".repeat(249)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "h\u{fc}tte", &"x".repeat(250)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn events_are_routed_and_found_by_their_route() {
        let route = |event: &str, to: &str| Route { event: event.into(), topic: "dogs".into(), to: to.into() };
        let all = vec![route("born", "puppies"), route("left", "puppies"), route("ate", "food")];
        let router = Router::new(String::new(), all.clone());
        for (name, topic, target) in [
            ("born", "dogs", "puppies"),
            ("left", "dogs", "puppies"),
            ("ate", "dogs", "food"),
            ("slept", "dogs", "dogs"),
            ("born", "cats", "cats"),
        ] {
            assert_eq!(router.target(&event(name, topic)), target, "{name} {topic}");
        }
        assert_eq!(router.sources("dogs"), ["dogs", "puppies", "food"]);
        assert_eq!(router.sources("cats"), ["cats"]);

        let router = Router::new("test".to_owned(), all);
        assert_eq!(router.sources("dogs"), ["test.dogs", "puppies", "food"]);
        assert_eq!(router.target(&event("slept", "dogs")), "test.dogs");
        assert_eq!(router.target(&event("born", "dogs")), "puppies");
        assert_eq!(router.group("dogs", "vets"), "test.dogs.vets");
    }
}
