//! A home of the program, with a corner of a broker that can be cut off from it.

use kennel_broker::Backend;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
pub use kennel_testkit::broker_namespace::ProxiedBroker;

use crate::support::service_dir::ServiceDir;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
use crate::{home::RunningService, support::Messages};

/// A corner of a broker that is a server, of which this build has none.
#[cfg(not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
pub enum ProxiedBroker {}

#[cfg(not(any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
impl ProxiedBroker {
    pub fn direct(&self) -> &[(&'static str, String)] {
        match *self {}
    }
}

/// A corner of its own; the broker inside the process needs none. The outer `None`, said aloud: there is no server.
#[allow(clippy::unused_async, clippy::allow_attributes, reason = "the features say which there are")]
pub async fn corner(broker: Backend) -> Option<Option<ProxiedBroker>> {
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

/// The home with these variables as well.
pub fn furnished(home: ServiceDir, variables: &[(&'static str, String)]) -> ServiceDir {
    variables.iter().fold(home, |home, (name, value)| home.set(name, value))
}

#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
/// Follows the events of `served` from a point on where it hears of what `making` does: the broker is joined beside the
/// start. Answers as well the id of an event before that point.
pub async fn listening(served: &RunningService, making: &RunningService) -> (Messages, String) {
    loop {
        let mut events = served.events(None).await;
        let dog = making.dog("anchor").await;
        while let Some(message) = events.next().await
            && message.event != "reset"
        {
            if message.data["subject"] == dog {
                return (events, message.id);
            }
        }
    }
}
