//! A virtual host of its own on the RabbitMQ server would need its management plugin, so a prefix has to do.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker;
use kennel_broker::rabbitmq::{RabbitBroker, RabbitConfig};
use kennel_core::{DeadLetters, IdSource as _, SystemClock, UuidV7};
use kennel_testkit::Backend;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::{Home, IN_FLIGHT, TOPIC, moved, place};

const PARTITIONS: u16 = 4;

/// Exchanges and queues of one prefix, removed with the value.
struct RabbitHome {
    url: String,
    config: RabbitConfig,
}

impl Home for RabbitHome {
    fn new() -> Option<Self> {
        let url = Backend::RabbitMq.address()?;
        let config = RabbitConfig {
            prefix: format!("t{}", UuidV7.next().simple()),
            partitions: NonZeroU16::new(PARTITIONS).unwrap(),
            balance: Duration::from_millis(200),
            ..RabbitConfig::default()
        };
        Some(Self { url, config })
    }

    fn server(&self) -> SocketAddr {
        place(&self.url, 5672)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config = RabbitConfig { url: Some(moved(&self.url, address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = RabbitBroker::connect(&config, in_flight, Arc::new(SystemClock)).unwrap();
        let letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(letters))
    }

    async fn send_rubbish(&self) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let exchange = format!("{}.topic.{}", self.config.prefix, TOPIC.replace('.', "_"));
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish(exchange.into(), "0".into(), options, b"rubbish", properties).await;
        assert!(sent.unwrap().await.unwrap().is_ack());
        connection.close(200, "done".into()).await.unwrap();
    }
}

impl RabbitHome {
    /// The names that the tests' topics and groups can have led to.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let prefix = &self.config.prefix;
        let (mut exchanges, mut queues) = (vec![format!("{prefix}.dead")], vec![format!("{prefix}.dead")]);
        for topic in ["", ".other", ".0", ".1", ".2"].map(|behind| format!("{TOPIC}{behind}").replace('.', "_")) {
            exchanges.extend(["topic", "groups", "unclaimed"].map(|kind| format!("{prefix}.{kind}.{topic}")));
            queues.push(format!("{prefix}.unclaimed.{topic}"));
            for group in ["g", "one", "other"] {
                queues.extend((0..PARTITIONS).map(|number| format!("{prefix}.queue.{topic}.{group}.{number}")));
            }
        }
        (exchanges, queues)
    }
}

impl Drop for RabbitHome {
    fn drop(&mut self) {
        let ((exchanges, queues), url) = (self.names(), self.url.clone());
        // On a thread of its own: the test's runtime is on its way out.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
                let channel = connection.create_channel().await.unwrap();
                for queue in queues {
                    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.ok();
                }
                for exchange in exchanges {
                    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.ok();
                }
                connection.close(200, "done".into()).await.ok();
            });
        });
        cleaning.join().ok();
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
