//! Opens the broker that the configuration selects, among those compiled in.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kennel_core::broker::BrokerError;
use kennel_core::{BackendError, BackendKind, Clock, DeadLetterSink, DeadLetters};
use serde::Deserialize;

use crate::Broker;
#[cfg(feature = "kafka")]
use crate::kafka::{KafkaBroker, KafkaConfig};
use crate::memory::{Limits, MemoryBroker};
#[cfg(feature = "nats")]
use crate::nats::{NatsBroker, NatsConfig};
#[cfg(feature = "rabbitmq")]
use crate::rabbitmq::{RabbitBroker, RabbitConfig};

/// A broker, with the names that the variable `BROKER` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// In-process.
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

/// Why no broker could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The broker is not compiled in.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// A setting is missing or invalid. The error does not contain its value, which may be a secret.
    #[error("the setting `{setting}` of the broker {problem}")]
    Setting {
        /// Name of the setting, such as `nats.url`.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The broker could not be opened.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// An open broker and its dead-letter store.
pub struct Connected {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The dead-letter store, if the broker stores dead letters itself; `None` if they go to the sink.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
}

impl Connected {
    /// Creates the value for a broker that stores dead letters itself.
    #[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
    fn durable(broker: impl Broker, dead_letters: impl DeadLetters) -> Self {
        Self { broker: Arc::new(broker), dead_letters: Some(Arc::new(dead_letters)) }
    }
}

/// The selected broker and its limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// The selected broker.
    #[serde(with = "kennel_core::backend")]
    pub backend: Backend,
    /// Maximum number of unsettled deliveries of a subscription.
    pub in_flight: NonZeroUsize,
    /// Maximum number of unsettled events of a group in the in-process broker; publishing waits above it.
    pub queue: NonZeroUsize,
    /// Maximum number of events that the in-process broker stores for a slow broadcast subscription; above it, the oldest
    /// are lost.
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

/// Opens the broker that the configuration selects. The only code that knows every adapter.
///
/// Dead letters go to `sink` when the broker cannot store them durably. An unreachable server is not an error here:
/// calls to the broker fail until it responds.
pub async fn connect(
    config: &BrokerConfig,
    sink: Arc<dyn DeadLetterSink>,
    clock: Arc<dyn Clock>,
) -> Result<Connected, ConnectError> {
    if let Some(connected) = connect_server(config, Arc::clone(&clock)).await? {
        return Ok(connected);
    }
    let limits = Limits { in_flight: config.in_flight, queue: config.queue, broadcast_buffer: config.broadcast_buffer };
    Ok(Connected { broker: Arc::new(MemoryBroker::new(limits, sink, clock)), dead_letters: None })
}

/// Opens the broker like [`connect`] if it is a server, which stores dead letters itself; `None` for the in-process
/// broker.
#[cfg_attr(
    not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")),
    expect(unused_variables, reason = "no server is compiled in")
)]
pub async fn connect_server(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<Option<Connected>, ConnectError> {
    match config.backend {
        Backend::Memory => Ok(None),
        #[cfg(feature = "nats")]
        Backend::Nats => {
            let broker = NatsBroker::connect(&config.nats, config.in_flight, clock).await?;
            let dead_letters = broker.dead_letters();
            Ok(Some(Connected::durable(broker, dead_letters)))
        }
        #[cfg(feature = "kafka")]
        Backend::Kafka => {
            let broker = KafkaBroker::connect(&config.kafka, config.in_flight, clock)?;
            let dead_letters = broker.dead_letters();
            Ok(Some(Connected::durable(broker, dead_letters)))
        }
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => {
            let broker = RabbitBroker::connect(&config.rabbitmq, config.in_flight, clock)?;
            let dead_letters = broker.dead_letters();
            Ok(Some(Connected::durable(broker, dead_letters)))
        }
        #[expect(clippy::allow_attributes, reason = "with all features, no broker is absent")]
        #[allow(unreachable_patterns)]
        absent => Err(absent.absent().into()),
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
        async fn store(&self, _: &DeadLetter) -> Result<(), RepoError> {
            Err(RepoError::Conflict)
        }
    }

    #[tokio::test]
    async fn compiled_in_brokers_open_and_others_name_their_feature() {
        for (backend, name, built) in Backend::ALL.iter().copied() {
            let config = BrokerConfig { backend, ..BrokerConfig::default() };
            match connect(&config, Arc::new(NoSink), Arc::new(SystemClock)).await {
                Ok(connected) => {
                    assert_eq!(backend, Backend::Memory, "no other broker has a default address");
                    connected.broker.ping().await.unwrap();
                    connected.broker.close().await;
                    assert!(connected.broker.ping().await.is_err());
                    assert!(connected.dead_letters.is_none());
                }
                Err(ConnectError::Setting { .. }) => assert!(built, "{name}"),
                Err(error) => {
                    assert!(!built, "{name}");
                    assert_eq!(error.to_string(), backend.absent().to_string());
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
