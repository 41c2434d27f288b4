//! Picks the broker that the configuration names, among those compiled in.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use kennel_core::broker::BrokerError;
use kennel_core::{Clock, DeadLetterSink, DeadLetters};
use serde::{Deserialize, Serialize};

use crate::Broker;
#[cfg(feature = "kafka")]
use crate::kafka::{KafkaBroker, KafkaConfig};
use crate::memory::{Limits, MemoryBroker};
#[cfg(feature = "nats")]
use crate::nats::{NatsBroker, NatsConfig};
#[cfg(feature = "rabbitmq")]
use crate::rabbitmq::{RabbitBroker, RabbitConfig};

/// A broker by its name, as the variable `BROKER` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Inside the process.
    #[default]
    Memory,
    /// NATS JetStream.
    Nats,
    /// Kafka.
    Kafka,
    /// RabbitMQ.
    #[serde(rename = "rabbitmq")]
    RabbitMq,
}

impl Backend {
    /// Every broker there is, compiled in or not.
    pub const ALL: &'static [Self] = &[Self::Memory, Self::Nats, Self::Kafka, Self::RabbitMq];
    /// The brokers that this build has.
    pub const COMPILED_IN: &'static [Self] = &[
        Self::Memory,
        #[cfg(feature = "nats")]
        Self::Nats,
        #[cfg(feature = "kafka")]
        Self::Kafka,
        #[cfg(feature = "rabbitmq")]
        Self::RabbitMq,
    ];

    /// Its name, which is also that of the Cargo feature that compiles it in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no broker's.
#[derive(Debug, thiserror::Error)]
#[error("no broker is called that; there are {}", names(Backend::ALL))]
pub struct UnknownBackend;

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|backend| backend.name() == text);
        named.copied().ok_or(UnknownBackend)
    }
}

/// Why there is no broker to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build lacks it.
    #[error("the broker `{0}` is not compiled in: this build has {built}; build with the feature `{0}`", built = names(Backend::COMPILED_IN))]
    NotCompiledIn(Backend),
    /// A setting is missing or wrong. Its value is not told: it may be a secret.
    #[error("the setting `{setting}` of the broker {problem}")]
    Setting {
        /// Its name, such as `nats.url`.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The broker refused.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// A broker, and who keeps what its groups gave up on.
pub struct Connected {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The dead letters, when the broker keeps them itself; `None` when they are with the sink.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
}

impl Connected {
    /// A broker that keeps its dead letters itself.
    #[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
    fn durable(broker: impl Broker, dead_letters: impl DeadLetters) -> Self {
        Self { broker: Arc::new(broker), dead_letters: Some(Arc::new(dead_letters)) }
    }
}

fn names(backends: &[Backend]) -> String {
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    names.join(", ")
}

/// Which broker, and its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// Which broker.
    pub backend: Backend,
    /// How many events a subscription may hold unsettled.
    pub in_flight: NonZeroUsize,
    /// How many unsettled events the broker inside the process holds for a group before publishing waits.
    pub queue: NonZeroUsize,
    /// How many events the broker inside the process holds for a slow broadcast subscription before it loses the oldest.
    pub broadcast_buffer: NonZeroUsize,
    /// NATS.
    #[cfg(feature = "nats")]
    pub nats: NatsConfig,
    /// Kafka.
    #[cfg(feature = "kafka")]
    pub kafka: KafkaConfig,
    /// RabbitMQ.
    #[cfg(feature = "rabbitmq")]
    pub rabbitmq: RabbitConfig,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            backend: Backend::default(),
            in_flight: limits.in_flight,
            queue: limits.queue,
            broadcast_buffer: limits.broadcast_buffer,
            #[cfg(feature = "nats")]
            nats: NatsConfig::default(),
            #[cfg(feature = "kafka")]
            kafka: KafkaConfig::default(),
            #[cfg(feature = "rabbitmq")]
            rabbitmq: RabbitConfig::default(),
        }
    }
}

/// Opens the broker that the configuration names. The only code that knows every adapter.
///
/// Dead letters go to `sink` when the broker has no durable place of its own for them. A server that is away fails
/// nothing here: calls to the broker do, until it is back.
pub async fn connect(
    config: &BrokerConfig,
    sink: Arc<dyn DeadLetterSink>,
    clock: Arc<dyn Clock>,
) -> Result<Connected, ConnectError> {
    match config.backend {
        Backend::Memory => {
            let limits =
                Limits { in_flight: config.in_flight, queue: config.queue, broadcast_buffer: config.broadcast_buffer };
            Ok(Connected { broker: Arc::new(MemoryBroker::new(limits, sink, clock)), dead_letters: None })
        }
        #[cfg(feature = "nats")]
        Backend::Nats => {
            let broker = NatsBroker::connect(&config.nats, config.in_flight, clock).await?;
            let letters = broker.dead_letters();
            Ok(Connected::durable(broker, letters))
        }
        #[cfg(feature = "kafka")]
        Backend::Kafka => {
            let broker = KafkaBroker::connect(&config.kafka, config.in_flight, clock)?;
            let letters = broker.dead_letters();
            Ok(Connected::durable(broker, letters))
        }
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => {
            let broker = RabbitBroker::connect(&config.rabbitmq, config.in_flight, clock)?;
            let letters = broker.dead_letters();
            Ok(Connected::durable(broker, letters))
        }
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => Err(ConnectError::NotCompiledIn(absent)),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use kennel_core::{DeadLetter, RepoError, SystemClock};

    use super::*;

    struct NoSink;

    #[async_trait]
    impl DeadLetterSink for NoSink {
        async fn bury(&self, _: &DeadLetter) -> Result<(), RepoError> {
            Err(RepoError::Conflict)
        }
    }

    #[test]
    fn every_backend_is_known_by_its_name() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse::<Backend>().unwrap(), *backend);
            assert_eq!(serde_json::to_string(backend).unwrap(), format!("\"{backend}\""));
        }
        let unknown = "zeromq".parse::<Backend>().unwrap_err();
        assert_eq!(unknown.to_string(), "no broker is called that; there are memory, nats, kafka, rabbitmq");
    }

    #[tokio::test]
    async fn what_is_compiled_in_opens_and_the_rest_says_what_to_do() {
        for backend in Backend::ALL.iter().copied() {
            let config = BrokerConfig { backend, ..BrokerConfig::default() };
            match connect(&config, Arc::new(NoSink), Arc::new(SystemClock)).await {
                Ok(connected) => {
                    assert_eq!(backend, Backend::Memory, "no other has a default for where it is");
                    connected.broker.ping().await.unwrap();
                    connected.broker.close().await;
                    assert!(connected.broker.ping().await.is_err());
                    assert!(connected.dead_letters.is_none());
                }
                Err(ConnectError::Setting { .. }) => assert!(Backend::COMPILED_IN.contains(&backend), "{backend}"),
                Err(error) => {
                    assert!(!Backend::COMPILED_IN.contains(&backend), "{backend}");
                    let text = error.to_string();
                    assert!(text.contains("this build has memory"), "{text}");
                    assert!(text.contains(&format!("feature `{backend}`")), "{text}");
                }
            }
        }
    }

    #[test]
    fn settings_have_limits() {
        assert!(serde_json::from_str::<BrokerConfig>(r#"{"in_flight": 0}"#).is_err());
        assert!(serde_json::from_str::<BrokerConfig>(r#"{"inflight": 1}"#).is_err());
        let (read, default) = (serde_json::from_str::<BrokerConfig>("{}").unwrap(), BrokerConfig::default());
        assert_eq!(format!("{read:?}"), format!("{default:?}"));
    }
}
