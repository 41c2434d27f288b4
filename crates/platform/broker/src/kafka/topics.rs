//! Topics in Kafka: their names, which events go to which, and making them.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_core::Event;
use kennel_core::broker::BrokerError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;

use super::config::{Route, Tuning};
use super::context::Quiet;
use super::error::classify;

/// What a name has to be like.
pub(super) const NAME_RULE: &str = "must be 1 to 249 letters, digits, dots, dashes and underscores";

/// A name that Kafka does not take.
#[derive(Debug, thiserror::Error)]
#[error("name {NAME_RULE}")]
struct BadName;

/// Whether Kafka takes this as a topic's name.
pub(super) fn is_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(is_legal)
}

/// Fails when Kafka does not take this as a topic's name.
pub(super) fn checked(name: String) -> Result<String, BrokerError> {
    if is_name(&name) { Ok(name) } else { Err(BrokerError::Backend(BadName.into())) }
}

/// What things are called in Kafka, and which topic there an event goes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Router {
    prefix: String,
    routes: Vec<Route>,
}

impl Router {
    /// Names that begin with `prefix` and a dot, unless it is empty; where a route leads is named as it is.
    pub(super) const fn new(prefix: String, routes: Vec<Route>) -> Self {
        Self { prefix, routes }
    }

    /// The topic that the events of `topic` go to when no route leads elsewhere.
    pub(super) fn topic(&self, topic: &str) -> String {
        if self.prefix.is_empty() { topic.to_owned() } else { format!("{}.{topic}", self.prefix) }
    }

    /// The name of a group, which in Kafka is not divided by topic.
    pub(super) fn group(&self, topic: &str, group: &str) -> String {
        format!("{}.{group}", self.topic(topic))
    }

    /// Where to send the event.
    pub(super) fn target(&self, event: &Event) -> String {
        let route = self.routes.iter().find(|route| route.event == event.name && route.topic == event.topic);
        route.map_or_else(|| self.topic(&event.topic), |route| route.to.clone())
    }

    /// Where the events of `topic` are found.
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

/// How a topic that is not there is made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Events, kept as long as the cluster keeps things.
    Events,
    /// The latest record of each key, kept until it is taken back.
    Letters,
}

/// A topic is missing, and the cluster does not let this user create it.
#[derive(Debug, thiserror::Error)]
#[error("topic `{0}` does not exist and may not be created: {1}")]
struct Forbidden(String, Code);

/// How long the cluster may take to answer whether it has a topic.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes topics, each one once, and again when it has been removed since.
pub(super) struct Topics {
    admin: Arc<AdminClient<Quiet>>,
    known: Mutex<HashSet<String>>,
    /// What may not be created and has been reported.
    forbidden: Mutex<HashSet<String>>,
    tuning: Tuning,
}

impl Topics {
    pub(super) fn new(admin: AdminClient<Quiet>, tuning: Tuning) -> Self {
        Self { admin: Arc::new(admin), known: Mutex::default(), forbidden: Mutex::default(), tuning }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the topic unless it is known to be there.
    pub(super) async fn ensure(&self, name: &str, kind: Kind) -> Result<(), BrokerError> {
        if self.known().contains(name) { Ok(()) } else { self.create(name, kind).await }
    }

    /// Makes the topic unless it is there.
    pub(super) async fn create(&self, name: &str, kind: Kind) -> Result<(), BrokerError> {
        let replication = self.tuning.replication.map_or(-1, |copies| i32::from(copies.get()));
        let partitions = match kind {
            Kind::Events => i32::from(self.tuning.partitions.get()),
            Kind::Letters => 1,
        };
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
        if matches!(kind, Kind::Letters) {
            topic = topic.set("cleanup.policy", "compact");
        }
        let patience = Some(self.tuning.publish_timeout());
        let options = AdminOptions::new().operation_timeout(patience).request_timeout(patience);
        let results = self.admin.create_topics([&topic], &options).await.map_err(classify)?;
        for result in results {
            let Err((_, code)) = result else { continue };
            match code {
                Code::TopicAlreadyExists => {}
                // Whoever may not make topics may still use those that an operator has made.
                Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::PolicyViolation => {
                    self.look_for(name, code).await?;
                }
                _ => return Err(classify(KafkaError::AdminOp(code))),
            }
        }
        self.known().insert(name.to_owned());
        Ok(())
    }

    /// Fails when the topic, which may not be created, is not there; logs that once.
    async fn look_for(&self, name: &str, code: Code) -> Result<(), BrokerError> {
        let is_missing = self.is_missing(name).await?;
        let mut forbidden = self.forbidden.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_missing {
            forbidden.remove(name);
            return Ok(());
        }
        if forbidden.insert(name.to_owned()) {
            tracing::error!(topic = name, %code, "cannot create topic; create it manually");
        }
        Err(BrokerError::Unavailable(Forbidden(name.to_owned(), code).into()))
    }

    /// Whether the cluster answers that it does not have the topic.
    async fn is_missing(&self, name: &str) -> Result<bool, BrokerError> {
        let (admin, name) = (Arc::clone(&self.admin), name.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE).map_err(classify)?;
            Ok(metadata.topics().iter().any(|topic| topic.name() == name && is_missing(topic)))
        });
        asked.await.map_err(|error| BrokerError::Backend(error.into()))?
    }

    /// Whether the cluster answers that it does not have one of these topics, which is then not known any more.
    pub(super) async fn find_missing(&self, names: &BTreeSet<String>) -> bool {
        let mut found = false;
        for name in names {
            if matches!(self.is_missing(name).await, Ok(true)) && self.known().remove(name) {
                tracing::warn!(topic = name, "topic has been removed and is created again");
                found = true;
            }
        }
        found
    }
}

/// Whether this is the answer for a topic that does not exist.
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
            data: bytes::Bytes::new(),
            trace: None,
        }
    }

    #[test]
    fn names_are_those_that_kafka_takes() {
        for good in ["dogs", "dogs.events", "A-b_c.9", &"x".repeat(249)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "h\u{fc}tte", &"x".repeat(250)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn events_go_where_their_route_says_and_are_found_there() {
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
