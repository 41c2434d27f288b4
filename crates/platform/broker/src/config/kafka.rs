//! Settings of Kafka.

use std::collections::BTreeSet;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use kennel_config::{Reader, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Authentication, with the names that the variable `KAFKA_AUTH_TYPE` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Auth {
    /// No authentication.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The user name and the password in plain text.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof that the client knows the password, with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// A Kafka cluster, for `BROKER=kafka`. There is no default address.
///
/// The variables that name the topic of an event move it from the topic that it shares with other events: it is then ordered
/// only among the events of the same topic.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KafkaConfig {
    /// The bootstrap servers: `host:port`, separated by commas.
    pub kafka_brokers: Option<String>,
    /// The authentication: `none`, `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub kafka_auth_type: Auth,
    /// The user name.
    pub kafka_username: Option<String>,
    /// The password of the user.
    pub kafka_password: Option<Secret>,
    /// Encrypt connections to Kafka.
    pub kafka_tls_enabled: bool,
    /// Do not verify the certificate of Kafka. Rejected unless `kafka_tls_allow_insecure` is also on.
    pub kafka_tls_skip_verify: bool,
    /// Allow settings that expose secrets to the network.
    pub kafka_tls_allow_insecure: bool,
    /// A PEM file with the trusted certificate authorities. Unset: those of the system.
    #[schemars(with = "Option<String>")]
    pub kafka_tls_ca_cert: Option<PathBuf>,
    /// Partitions of created topics. Existing topics are not changed.
    pub kafka_partitions: NonZeroU16,
    /// Replication factor of created topics. Unset: the default of the cluster.
    pub kafka_replication: Option<NonZeroU16>,
    /// Prefix of the names of topics and groups, followed by a dot; may be empty.
    #[serde(skip)]
    pub prefix: String,
    /// Events with a separate topic, from the settings that [`KafkaConfig::read`] reads.
    #[serde(skip)]
    pub routes: Vec<Route>,
    /// Topics whose dead letters are listed, in addition to those that this process consumes.
    #[serde(skip)]
    pub topics: Vec<String>,
    /// Limits that are not settings.
    #[serde(skip)]
    pub tuning: Tuning,
}

/// An event that a service publishes, for which users can set a topic.
#[derive(Debug, Clone)]
pub struct EventTopic {
    /// Its name, such as `dogs.created`.
    pub event: &'static str,
    /// The topic to which it is published.
    pub topic: &'static str,
    /// What happened, such as "a dog was created".
    pub meaning: String,
}

/// Publishes the events of one name to a separate topic.
///
/// Subscriptions to `topic` receive these events as well, with the topic `topic`. Kafka orders the events of a key only within
/// one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The name of the events.
    pub event: String,
    /// Their topic.
    pub topic: String,
    /// The topic in Kafka to which they are published instead.
    pub to: String,
}

/// Limits of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Timeout of publishing, and of creating a topic.
    pub publish_timeout: Duration,
    /// How long a member may be silent before its partitions are assigned to others.
    pub session_timeout: Duration,
    /// Interval of offset commits: after a crash, events of this time are delivered again.
    pub commit_interval: Duration,
    /// How long a member that loses a partition waits for its unsettled events.
    pub revoke_grace: Duration,
    /// Maximum number of events between the oldest unsettled one of a partition and the newest delivered one.
    pub window: NonZeroUsize,
    /// Maximum size of the unsettled events of a partition, in bytes.
    pub window_bytes: NonZeroUsize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            kafka_brokers: None,
            kafka_auth_type: Auth::None,
            kafka_username: None,
            kafka_password: None,
            kafka_tls_enabled: false,
            kafka_tls_skip_verify: false,
            kafka_tls_allow_insecure: false,
            kafka_tls_ca_cert: None,
            kafka_partitions: NonZeroU16::new(3).unwrap_or(NonZeroU16::MIN),
            kafka_replication: None,
            prefix: String::new(),
            routes: Vec::new(),
            topics: Vec::new(),
            tuning: Tuning::default(),
        }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        let size = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            publish_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(10),
            commit_interval: Duration::from_millis(500),
            revoke_grace: Duration::from_secs(1),
            window: size(4_096),
            window_bytes: size(8 * 1024 * 1024),
        }
    }
}

/// Returns the key of the topic of an event: `kafka_topic_dogs_created` for `dogs.created`.
pub(crate) fn topic_key(event: &str) -> String {
    format!("kafka_topic_{}", event.to_ascii_lowercase().replace(['.', '-'], "_"))
}

impl Section for KafkaConfig {
    const TITLE: &'static str = "Kafka";
}

impl KafkaConfig {
    /// Returns the settings of a cluster without authentication.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self { kafka_brokers: Some(brokers.into()), ..Self::default() }
    }

    /// Reads the section, and the topics of these events.
    pub fn read(reader: &mut Reader<'_>, events: &[EventTopic]) -> Self {
        let config: Self = reader.section();
        let description = |event: &EventTopic| format!("A separate topic for the event that {}.", event.meaning);
        let keys = events.iter().map(|event| (topic_key(event.event), description(event)));
        let topics = reader.texts("Kafka topics", keys);
        let route = |event: &EventTopic| {
            let to = topics.get(&topic_key(event.event))?.clone();
            Some(Route { event: event.event.to_owned(), topic: event.topic.to_owned(), to })
        };
        let routes = events.iter().filter_map(route).collect();
        let topics: BTreeSet<_> = events.iter().map(|event| event.topic.to_owned()).collect();
        Self { routes, topics: Vec::from_iter(topics), ..config }
    }
}
