//! Service directories whose broker is behind a proxy that can fail.

use kennel_broker::Backend;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
pub use kennel_testkit::broker_namespace::ProxiedBroker;

use crate::service_dir::ServiceDir;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
use crate::{service_dir::RunningService, support::Messages};

/// Stands in for the proxied broker: this build has no broker that is a server.
#[cfg(not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
pub enum ProxiedBroker {}

#[cfg(not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
impl ProxiedBroker {
    pub fn direct(&self) -> &[(&'static str, String)] {
        match *self {}
    }
}

/// Creates a namespace at the broker, behind a proxy; the in-process broker needs none. The outer `None`, with a message,
/// means that there is no server.
#[allow(clippy::unused_async, clippy::allow_attributes, reason = "depends on the features")]
pub async fn proxied_broker(broker: Backend) -> Option<Option<ProxiedBroker>> {
    match broker {
        #[cfg(feature = "nats")]
        Backend::Nats => Some(Some(ProxiedBroker::nats().await?)),
        #[cfg(feature = "kafka")]
        Backend::Kafka => Some(Some(ProxiedBroker::kafka().await?)),
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => Some(Some(ProxiedBroker::rabbit(&["dogs.events"], &["dogs.thumbnailer"], 8).await?)),
        _ => Some(None),
    }
}

/// Sets these environment variables.
pub fn with_variables(directory: ServiceDir, variables: &[(&'static str, String)]) -> ServiceDir {
    variables.iter().fold(directory, |directory, (name, value)| directory.set(name, value))
}

#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
/// Opens the event stream of `served` once it receives the events that `publishing` causes: a process subscribes to the
/// broker asynchronously. Also returns the id of an event before that point.
pub async fn subscribed(served: &RunningService, publishing: &RunningService) -> (Messages, String) {
    loop {
        let mut events = served.events(None).await;
        let dog = publishing.dog("anchor").await;
        while let Some(message) = events.next().await
            && message.event != "reset"
        {
            if message.data["subject"] == dog {
                return (events, message.id);
            }
        }
    }
}
