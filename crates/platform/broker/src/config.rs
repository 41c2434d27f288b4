//! Settings of the broker. Each adapter has a section of its own.

mod kafka;
mod nats;
mod rabbitmq;

use kennel_config::{Problems, Reader, Section};
use kennel_core::BackendKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "kafka")]
pub(crate) use self::kafka::topic_key;
pub use self::kafka::{Auth, EventTopic, KafkaConfig, Route, Tuning};
pub use self::nats::NatsConfig;
pub use self::rabbitmq::RabbitConfig;
use crate::memory::Limits;

/// A broker, with the names that the variable `BROKER` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// Inside the process.
    #[default]
    Memory,
    /// NATS JetStream.
    Nats,
    /// Kafka.
    Kafka,
    /// RabbitMQ.
    RabbitMq,
}

impl BackendKind for Backend {
    const KIND: &'static str = "broker";
    const ALL: &'static [(Self, &'static str, bool)] = &[
        (Self::Memory, "memory", true),
        (Self::Nats, "nats", cfg!(feature = "nats")),
        (Self::Kafka, "kafka", cfg!(feature = "kafka")),
        (Self::RabbitMq, "rabbitmq", cfg!(feature = "rabbitmq")),
    ];
}

/// Which broker, and the settings of each.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BrokerConfig {
    /// Which broker: `memory`, which is in-process, or another one that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub broker: Backend,
    /// The prefix of all names at the broker, so that installations can share one. Unset: `kennel` at `nats` and `rabbitmq`,
    /// none at `kafka`. Topics that settings name get no prefix.
    pub broker_prefix: Option<String>,
    /// Limits that are not settings.
    #[serde(skip)]
    pub limits: Limits,
    /// The section of NATS.
    #[serde(skip)]
    pub nats: NatsConfig,
    /// The section of RabbitMQ.
    #[serde(skip)]
    pub rabbitmq: RabbitConfig,
    /// The section of Kafka.
    #[serde(skip)]
    pub kafka: KafkaConfig,
}

impl Section for BrokerConfig {
    const TITLE: &'static str = "Broker";

    fn check(&self, problems: &mut Problems) {
        if self.broker_prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            problems.add("broker_prefix", "must be 1 to 64 letters, digits, `-` and `_`");
        }
        if let Err(absent) = self.broker.require() {
            problems.add("broker", absent.to_string());
        }
    }
}

impl BrokerConfig {
    /// Reads the sections of all brokers, and the topics of these events in Kafka. Only the broker in use needs settings.
    pub fn read(reader: &mut Reader<'_>, events: &[EventTopic]) -> Self {
        let config: Self = reader.section();
        let config = Self {
            nats: NatsConfig { prefix: config.prefix("kennel"), ..reader.section() },
            rabbitmq: RabbitConfig { prefix: config.prefix("kennel"), ..reader.section() },
            kafka: KafkaConfig { prefix: config.prefix(""), ..KafkaConfig::read(reader, events) },
            ..config
        };
        config.check_backend(reader.problems());
        config
    }

    fn prefix(&self, default: &str) -> String {
        self.broker_prefix.clone().unwrap_or_else(|| default.to_owned())
    }

    /// Adds the problems of the broker in use.
    #[cfg_attr(
        not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")),
        expect(unused_variables, reason = "the broker inside the process needs no settings")
    )]
    fn check_backend(&self, problems: &mut Problems) {
        match self.broker {
            #[cfg(feature = "nats")]
            Backend::Nats => drop(self.nats.servers(problems)),
            #[cfg(feature = "kafka")]
            Backend::Kafka => self.kafka.check_as_broker(problems),
            #[cfg(feature = "rabbitmq")]
            Backend::RabbitMq => drop(self.rabbitmq.server(problems)),
            _ => {}
        }
    }
}

/// Whether the prefix is valid at every broker. Dots are not: they separate the tokens of NATS subjects.
fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use kennel_config::{Environment, Settings, load, reference};

    use super::*;

    fn event() -> EventTopic {
        EventTopic { event: "dogs.born", topic: "dogs", meaning: "a dog was born".to_owned() }
    }

    /// Only the sections of the broker.
    #[derive(Debug)]
    struct Everything(BrokerConfig);

    impl Settings for Everything {
        fn read(reader: &mut Reader<'_>) -> Self {
            Self(BrokerConfig::read(reader, &[event()]))
        }
    }

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<BrokerConfig, Vec<String>> {
        let loaded = load::<Everything>(&Environment::from_pairs(pairs.iter().copied()));
        loaded.map(|loaded| loaded.settings.0).map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
    }

    #[test]
    fn only_the_broker_in_use_needs_settings() {
        for (backend, name, built) in Backend::ALL.iter().copied() {
            let found = read(&[("BROKER", name)]);
            match backend {
                Backend::Memory => assert!(found.is_ok(), "{found:?}"),
                _ if built => assert!(found.unwrap_err()[0].contains(" must be "), "{name}"),
                _ => assert!(found.unwrap_err()[0].contains("is not in this build"), "{name}"),
            }
        }
    }

    #[test]
    fn the_prefix_is_that_of_every_broker() {
        let config = read(&[]).unwrap();
        assert_eq!([config.nats.prefix, config.rabbitmq.prefix, config.kafka.prefix], ["kennel", "kennel", ""]);
        let config = read(&[("BROKER_PREFIX", "mine")]).unwrap();
        assert_eq!([config.nats.prefix, config.rabbitmq.prefix, config.kafka.prefix], ["mine"; 3]);
        assert_eq!(read(&[("BROKER_PREFIX", "dogs.here")]).unwrap_err().len(), 1);
    }

    #[test]
    fn the_topic_of_an_event_is_a_setting() {
        let kafka = read(&[("KAFKA_TOPIC_DOGS_BORN", "puppies")]).unwrap().kafka;
        let route = Route { event: "dogs.born".to_owned(), topic: "dogs".to_owned(), to: "puppies".to_owned() };
        assert_eq!((kafka.routes, kafka.topics), (vec![route], vec!["dogs".to_owned()]));
        let row = "| `KAFKA_TOPIC_DOGS_BORN` | text | none | A separate topic for the event that a dog was born. |";
        assert!(reference::<Everything>().contains(row));
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_wrong_topic_is_reported_with_its_variable() {
        let kafka = [("BROKER", "kafka"), ("KAFKA_BROKERS", "one:9092"), ("KAFKA_TOPIC_DOGS_BORN", "dogs")];
        let errors = read(&kafka).unwrap_err();
        assert!(errors[0].starts_with("KAFKA_TOPIC_DOGS_BORN (environment): "), "{errors:?}");
    }

    #[cfg(feature = "nats")]
    #[test]
    fn a_separate_password_belongs_to_the_url() {
        let of = |url| read(&[("BROKER", "nats"), ("NATS_URL", url), ("NATS_PASSWORD", "hunter2")]);
        assert!(of("nats://u@a:4222").is_ok());
        let errors = of("nats://a:4222").unwrap_err();
        assert!(errors[0].starts_with("NATS_PASSWORD (environment): the URL of this password "), "{errors:?}");
        assert!(!errors.concat().contains("hunter2"));
    }
}
