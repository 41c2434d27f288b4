//! A prefix of its own on the RabbitMQ server.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker;
use kennel_broker::rabbitmq::{RabbitBroker, RabbitConfig};
use kennel_core::{DeadLetters, SystemClock};
use kennel_testkit::corner::Rabbit;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::{Home, IN_FLIGHT, TOPIC, moved, place};

const PARTITIONS: u16 = 4;

/// Exchanges and queues of one prefix, removed with the value.
struct RabbitHome {
    corner: Rabbit,
    config: RabbitConfig,
}

impl Home for RabbitHome {
    fn new() -> Option<Self> {
        let topics = ["", ".other", ".0", ".1", ".2"].map(|behind| format!("{TOPIC}{behind}"));
        let corner = Rabbit::find()?.with(&topics.each_ref().map(String::as_str), &["g", "one", "other"], PARTITIONS);
        let config = RabbitConfig {
            prefix: corner.prefix().to_owned(),
            partitions: NonZeroU16::new(PARTITIONS).unwrap(),
            balance: Duration::from_millis(200),
            ..RabbitConfig::default()
        };
        Some(Self { corner, config })
    }

    fn server(&self) -> SocketAddr {
        place(self.corner.url(), 5672)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config = RabbitConfig { url: Some(moved(self.corner.url(), address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = RabbitBroker::connect(&config, in_flight, Arc::new(SystemClock)).unwrap();
        let letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(letters))
    }

    async fn send_rubbish(&self) {
        let connection = Connection::connect(self.corner.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let exchange = format!("{}.topic.{}", self.config.prefix, TOPIC.replace('.', "_"));
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish(exchange.into(), "0".into(), options, b"rubbish", properties).await;
        assert!(sent.unwrap().await.unwrap().is_ack());
        connection.close(200, "done".into()).await.unwrap();
    }
}

mod conformance {
    use super::RabbitHome;
    use crate::stage;

    kennel_testkit::broker_conformance!(stage::<RabbitHome>);
}

mod server {
    use super::RabbitHome;
    use crate::cases::server_cases;

    server_cases!(RabbitHome);
}
