//! Topics in Kafka: their names, which events go to which, and making them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kennel_core::Event;
use kennel_core::broker::BrokerError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

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

/// Makes topics, each one once.
pub(super) struct Topics {
    admin: AdminClient<Quiet>,
    known: Mutex<HashSet<String>>,
    tuning: Tuning,
}

impl Topics {
    pub(super) fn new(admin: AdminClient<Quiet>, tuning: Tuning) -> Self {
        Self { admin, known: Mutex::default(), tuning }
    }

    /// Makes the topic unless it is there.
    pub(super) async fn ensure(&self, name: &str, kind: Kind) -> Result<(), BrokerError> {
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Ok(());
        }
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
            made(result)?;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(())
    }
}

fn made(result: Result<String, (String, Code)>) -> Result<(), BrokerError> {
    let Err((name, code)) = result else { return Ok(()) };
    match code {
        Code::TopicAlreadyExists => Ok(()),
        // Whoever may not make topics may still use those that an operator has made.
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::PolicyViolation => {
            tracing::warn!(topic = name, %code, "kafka lets no topic be made; it has to be there");
            Ok(())
        }
        _ => Err(classify(KafkaError::AdminOp(code))),
    }
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
