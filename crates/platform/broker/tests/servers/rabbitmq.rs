//! A namespace on the RabbitMQ server.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker;
use kennel_broker::rabbitmq::{RabbitBroker, RabbitConfig};
use kennel_core::{DeadLetters, SystemClock};
use kennel_testkit::Server;
use kennel_testkit::broker_namespace::Rabbit;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, ExchangeUnbindOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::{IN_FLIGHT, ServerNamespace, TOPIC, socket_addr, with_address};

const PARTITIONS: u16 = 4;

/// Exchanges and queues of one prefix, deleted when it is dropped.
struct RabbitNamespace {
    url: String,
    config: RabbitConfig,
    _namespace: Option<Rabbit>,
}

impl RabbitNamespace {
    fn with(url: String, prefix: &str, namespace: Option<Rabbit>) -> Self {
        let config = RabbitConfig {
            prefix: prefix.to_owned(),
            partitions: NonZeroU16::new(PARTITIONS).unwrap(),
            balance: Duration::from_millis(200),
            ..RabbitConfig::default()
        };
        Self { url, config, _namespace: namespace }
    }

    async fn channel(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        (connection, channel)
    }
}

impl ServerNamespace for RabbitNamespace {
    const SERVER: Server = Server::RabbitMq;
    const OBJECTS: &'static [&'static str] = &[
        "exchange topic",
        "exchange groups",
        "exchange unclaimed",
        "exchange renewed",
        "exchange dead",
        "queue unclaimed",
        "queue members",
        "queue dead",
        "queue of a partition",
        "binding of the groups",
        "binding of a partition",
    ];

    fn new() -> Option<Self> {
        let topics = ["", ".other", ".0", ".1", ".2"].map(|later| format!("{TOPIC}{later}"));
        let namespace =
            Rabbit::find()?.with(&topics.each_ref().map(String::as_str), &["g", "one", "other", "late"], PARTITIONS);
        let (url, prefix) = (namespace.url().to_owned(), namespace.prefix().to_owned());
        Some(Self::with(url, &prefix, Some(namespace)))
    }

    fn of(url: String, prefix: &str) -> Self {
        Self::with(url, prefix, None)
    }

    fn server(&self) -> SocketAddr {
        socket_addr(&self.url, 5672)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config =
            RabbitConfig { rabbitmq_url: Some(with_address(&self.url, address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = RabbitBroker::connect(&config, in_flight, Arc::new(SystemClock)).unwrap();
        let dead_letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(dead_letters))
    }

    async fn send_invalid_message(&self) {
        let (connection, channel) = self.channel().await;
        let exchange = format!("{}.topic.{}", self.config.prefix, TOPIC.replace('.', "_"));
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish(exchange.into(), "0".into(), options, b"rubbish", properties).await;
        assert!(sent.unwrap().await.unwrap().is_ack());
        connection.close(200, "done".into()).await.unwrap();
    }

    async fn remove(&self, object: &str) {
        let (connection, channel) = self.channel().await;
        let topic = TOPIC.replace('.', "_");
        let name = |kind: &str| format!("{}.{kind}.{topic}", self.config.prefix);
        let partition = format!("{}.g.1", name("queue"));
        let dead = format!("{}.dead", self.config.prefix);
        match object.split_once(' ').unwrap() {
            ("exchange", kind) => {
                let exchange = if kind == "dead" { dead } else { name(kind) };
                channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
            }
            ("binding", "of the groups") => {
                let (groups, topic, arguments) = (name("groups"), name("topic"), FieldTable::default());
                let options = ExchangeUnbindOptions::default();
                let unbound = channel.exchange_unbind(groups.into(), topic.into(), "".into(), options, arguments);
                unbound.await.unwrap();
            }
            ("binding", _) => {
                let (groups, arguments) = (name("groups"), FieldTable::default());
                channel.queue_unbind(partition.into(), groups.into(), "1".into(), arguments).await.unwrap();
            }
            (_, kind) => {
                let queue = match kind {
                    "dead" => dead,
                    "members" => format!("{}.g", name("members")),
                    "of a partition" => partition,
                    kind => name(kind),
                };
                channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
            }
        }
        connection.close(200, "done".into()).await.unwrap();
    }
}

mod conformance {
    use super::RabbitNamespace;
    use crate::fixture;

    kennel_testkit::broker_conformance!(fixture::<RabbitNamespace>);
}

mod server {
    use super::RabbitNamespace;
    use crate::cases::server_cases;

    server_cases!(RabbitNamespace);
}

mod losses {
    use super::RabbitNamespace;
    use crate::losses::loss_cases;

    loss_cases!(RabbitNamespace);
}

/// The member declares its queues slowly, so that many events are published between the first of its requests and the last.
mod order {
    use std::collections::BTreeMap;

    use futures_util::future::join;
    use kennel_core::{EventFilter, Group};
    use kennel_testkit::{FaultProxy, Mode};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::cases::{POLL, TEST_TIMEOUT, event, publish};

    const KEYS: u128 = 8;
    /// With a pause after each, they take longer than it takes until the member declares its queues again.
    const EVENTS: u128 = 320;

    async fn events_are_in_order_after_the_loss_of(object: &str) {
        let Some(namespace) = RabbitNamespace::new() else { return };
        let proxy = FaultProxy::new(namespace.server()).await;
        let ((publisher, _), (member, _)) = (namespace.open(None).await, namespace.open(Some(proxy.address())).await);
        let group = Group::Shared("g".to_owned());
        let mut events = member.subscribe(TOPIC, &group, &EventFilter::All).await.unwrap();
        let event = |number: u128| event(number, &format!("k{}", number % KEYS));
        publish(&publisher, &(0..KEYS).map(event).collect::<Vec<_>>()).await;
        for _ in 0..KEYS {
            events.next().await.unwrap().unwrap().ack().await.unwrap();
        }
        proxy.set(Mode::Delay(Duration::from_millis(10)));
        namespace.remove(object).await;
        let publishing = async {
            for number in KEYS..EVENTS {
                publish(&publisher, &[event(number)]).await;
                sleep(POLL).await;
            }
        };
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        let receiving = async {
            while by_key.values().map(Vec::len).sum::<usize>() < usize::try_from(EVENTS - KEYS).unwrap() {
                let next = timeout(TEST_TIMEOUT, events.next()).await;
                let Ok(delivery) = next.expect("a delivery arrives").expect("the broker is open") else { continue };
                let received = by_key.entry(delivery.event.key.clone()).or_default();
                let number = delivery.event.id.as_u128();
                // Some are published again.
                if !received.contains(&number) {
                    received.push(number);
                }
                // Otherwise it is delivered again.
                let _lost_connection = delivery.ack().await;
            }
        };
        join(publishing, receiving).await;
        assert!(by_key.values().all(|received| received.is_sorted()), "{object}: {by_key:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn events_are_in_order_after_the_loss_of_the_exchange_of_groups() {
        events_are_in_order_after_the_loss_of("exchange groups").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn events_are_in_order_after_the_loss_of_a_queue() {
        events_are_in_order_after_the_loss_of("queue of a partition").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn events_are_in_order_after_the_loss_of_a_binding() {
        events_are_in_order_after_the_loss_of("binding of a partition").await;
    }
}
