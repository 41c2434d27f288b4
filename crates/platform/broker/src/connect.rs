//! Picks the broker that the configuration names, among those compiled in.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use kennel_core::{Clock, DeadLetterSink};
use serde::{Deserialize, Serialize};

use crate::Broker;
use crate::memory::{Limits, MemoryBroker};

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
    pub const COMPILED_IN: &'static [Self] = &[Self::Memory];

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
}

fn names(backends: &[Backend]) -> String {
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    names.join(", ")
}

/// Which broker, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Default for BrokerConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            backend: Backend::default(),
            in_flight: limits.in_flight,
            queue: limits.queue,
            broadcast_buffer: limits.broadcast_buffer,
        }
    }
}

/// Opens the broker that the configuration names. The only code that knows every adapter.
///
/// Dead letters go to `sink` when the broker has no durable place of its own for them.
pub async fn connect(
    config: &BrokerConfig,
    sink: Arc<dyn DeadLetterSink>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>, ConnectError> {
    match config.backend {
        Backend::Memory => {
            let limits =
                Limits { in_flight: config.in_flight, queue: config.queue, broadcast_buffer: config.broadcast_buffer };
            Ok(Arc::new(MemoryBroker::new(limits, sink, clock)))
        }
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
                Ok(broker) => {
                    assert!(Backend::COMPILED_IN.contains(&backend), "{backend}");
                    broker.ping().await.unwrap();
                    broker.close().await;
                    assert!(broker.ping().await.is_err());
                }
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
        assert_eq!(serde_json::from_str::<BrokerConfig>("{}").unwrap(), BrokerConfig::default());
    }
}
