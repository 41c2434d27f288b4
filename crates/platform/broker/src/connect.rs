//! Opens the broker that the configuration selects, among those compiled in.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_config::ConfigErrors;
use kennel_core::broker::BrokerError;
use kennel_core::{BackendError, BackendKind as _, Clock, DeadLetter, DeadLetterSink, DeadLetters, RepoError};

use crate::Broker;
use crate::config::{Backend, BrokerConfig};
#[cfg(feature = "kafka")]
use crate::kafka::KafkaBroker;
use crate::memory::SharedBroker;
#[cfg(feature = "nats")]
use crate::nats::NatsBroker;
#[cfg(feature = "rabbitmq")]
use crate::rabbitmq::RabbitBroker;

/// Why no broker could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The broker is not compiled in.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// Settings are missing or invalid.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
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

/// Opens the broker that the configuration selects. The only code that knows every adapter.
///
/// `shared` is the in-process broker of the process. Dead letters go to `sink` when the broker cannot store them durably. An
/// unreachable server is not an error here: calls to the broker fail until it responds.
pub async fn connect(
    config: &BrokerConfig,
    shared: &SharedBroker,
    sink: Arc<dyn DeadLetterSink>,
    clock: Arc<dyn Clock>,
) -> Result<Connected, ConnectError> {
    if let Some(connected) = connect_server(config, Arc::clone(&clock)).await? {
        return Ok(connected);
    }
    Ok(Connected { broker: Arc::new(shared.connect(config.limits, sink, clock)), dead_letters: None })
}

/// Opens the broker like [`connect`], for a service without a store. It publishes and has broadcast subscriptions; a group of
/// its own would have no store for the dead letters of the in-process broker.
pub async fn connect_without_store(
    config: &BrokerConfig,
    shared: &SharedBroker,
    clock: Arc<dyn Clock>,
) -> Result<Connected, ConnectError> {
    connect(config, shared, Arc::new(NoStore), clock).await
}

/// The sink of a service without a store.
struct NoStore;

#[async_trait]
impl DeadLetterSink for NoStore {
    async fn store(&self, _: &DeadLetter) -> Result<(), RepoError> {
        Err(RepoError::Backend("the service has no store".into()))
    }
}

/// Opens the broker like [`connect`] if it is a server, which stores dead letters itself; `None` for the in-process
/// broker.
#[cfg_attr(
    not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")),
    expect(unused_variables, reason = "no server is compiled in")
)]
pub async fn connect_server(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<Option<Connected>, ConnectError> {
    match config.broker {
        Backend::Memory => Ok(None),
        #[cfg(feature = "nats")]
        Backend::Nats => {
            let broker = NatsBroker::connect(&config.nats, config.limits.in_flight, clock).await?;
            let dead_letters = broker.dead_letters();
            Ok(Some(Connected::durable(broker, dead_letters)))
        }
        #[cfg(feature = "kafka")]
        Backend::Kafka => {
            let broker = KafkaBroker::connect(&config.kafka, config.limits.in_flight, clock)?;
            let dead_letters = broker.dead_letters();
            Ok(Some(Connected::durable(broker, dead_letters)))
        }
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => {
            let broker = RabbitBroker::connect(&config.rabbitmq, config.limits.in_flight, clock)?;
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
    use kennel_core::broker::Group;
    use kennel_core::{Event, EventFilter, SystemClock, Timestamp};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_service_without_a_store_reaches_the_groups_of_others() {
        let (config, shared) = (BrokerConfig::default(), SharedBroker::default());
        let publisher = connect_without_store(&config, &shared, Arc::new(SystemClock)).await.unwrap().broker;
        let other = connect(&config, &shared, Arc::new(NoStore), Arc::new(SystemClock)).await.unwrap().broker;
        let group = Group::Shared("other.group".to_owned());
        let mut member = other.subscribe("trades", &group, &EventFilter::All).await.unwrap();
        let event = Event {
            id: Uuid::from_u128(1),
            name: "traded".to_owned(),
            source: "/test".to_owned(),
            topic: "trades".to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: "{}".into(),
            trace: None,
        };
        let receive = async {
            let delivery = member.next().await.unwrap().unwrap();
            let received = Event::clone(&delivery.event);
            delivery.ack().await.unwrap();
            received
        };
        let batch = [event.clone()];
        let (sent, received) = tokio::join!(publisher.publish(&batch), receive);
        sent.unwrap();
        assert_eq!(received, event);
    }

    #[tokio::test]
    async fn compiled_in_brokers_open_and_others_name_their_feature() {
        for (backend, name, built) in Backend::ALL.iter().copied() {
            let config = BrokerConfig { broker: backend, ..BrokerConfig::default() };
            match connect(&config, &SharedBroker::default(), Arc::new(NoStore), Arc::new(SystemClock)).await {
                Ok(connected) => {
                    assert_eq!(backend, Backend::Memory, "no other broker has a default address");
                    connected.broker.ping().await.unwrap();
                    connected.broker.close().await;
                    assert!(connected.broker.ping().await.is_err());
                    assert!(connected.dead_letters.is_none());
                }
                Err(ConnectError::Settings(_)) => assert!(built, "{name}"),
                Err(error) => {
                    assert!(!built, "{name}");
                    assert_eq!(error.to_string(), backend.absent().to_string());
                }
            }
        }
    }
}
