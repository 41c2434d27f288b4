//! A prefix of its own on the NATS server.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker;
use kennel_broker::nats::{NatsBroker, NatsConfig};
use kennel_core::{DeadLetters, SystemClock};
use kennel_testkit::corner::Nats;

use crate::{Home, IN_FLIGHT, TOPIC, moved, place};

/// Streams of one prefix, removed with the value.
struct NatsHome {
    corner: Nats,
    config: NatsConfig,
}

impl Home for NatsHome {
    fn new() -> Option<Self> {
        let corner = Nats::find()?;
        let config = NatsConfig {
            prefix: corner.prefix().to_owned(),
            partitions: NonZeroU16::new(4).unwrap(),
            lease: Duration::from_secs(3),
            ack_wait: Duration::from_secs(3),
            ..NatsConfig::default()
        };
        Some(Self { corner, config })
    }

    fn server(&self) -> SocketAddr {
        place(self.corner.url(), 4222)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config = NatsConfig { url: Some(moved(self.corner.url(), address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = NatsBroker::connect(&config, in_flight, Arc::new(SystemClock)).await.unwrap();
        let letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(letters))
    }

    async fn send_rubbish(&self) {
        let jetstream = async_nats::jetstream::new(async_nats::connect(self.corner.url()).await.unwrap());
        let subject = format!("{}.topic.{}.0", self.config.prefix, TOPIC.replace('.', "_"));
        jetstream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    }
}

mod conformance {
    use super::NatsHome;
    use crate::stage;

    kennel_testkit::broker_conformance!(stage::<NatsHome>);
}

mod server {
    use super::NatsHome;
    use crate::cases::server_cases;

    server_cases!(NatsHome);
}
