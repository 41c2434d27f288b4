//! A store, a broker, and what the cases run on them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use kennel_app::{Component, Stop};
use kennel_broker::config::BrokerConfig;
use kennel_broker::{Broker, Connected, SharedBroker};
use kennel_config::{Environment, Reader, Settings, load};
use kennel_core::codec::Protobuf;
use kennel_core::{
    Backoff, Clock, DeadLetters, Event, EventType, IdSource as _, Inbox, Publisher, SystemClock, UuidV7,
};
use kennel_outbox::{
    BatchConsumer, BatchHandler, BatchLimits, Consumer, ConsumerConfig, ConsumerMetrics, ConsumerPorts, Handler,
    Quarantine, Relay, RelayConfig, RelayMetrics,
};
use kennel_storage::{Database, Engine, Migrations, StorageConfig};
use prometheus::Registry;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

pub(crate) const TOPIC: &str = "tests.trades";
pub(crate) const GROUP: &str = "tests.index";
/// Upper bound of a case on a busy machine.
const CASE_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// Something was traded.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Traded {
    #[prost(string, tag = "1")]
    pub(crate) symbol: String,
    #[prost(int64, tag = "2")]
    pub(crate) number: i64,
}

impl EventType for Traded {
    const NAME: &'static str = "tests.traded";
    const TOPIC: &'static str = TOPIC;

    type Codec = Protobuf;

    fn key(&self) -> String {
        self.symbol.clone()
    }
}

pub(crate) fn trade(symbol: &str, number: i64) -> Event {
    let trade = Traded { symbol: symbol.to_owned(), number };
    let id = kennel_core::id::derive_id(["venue", symbol, &number.to_string()]);
    Event::new(id, "/tests", SystemClock.now(), &trade).unwrap()
}

pub(crate) fn number(event: &Event) -> i64 {
    event.decode::<Traded>().unwrap().unwrap().number
}

struct BrokerSettings(BrokerConfig);

impl Settings for BrokerSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(BrokerConfig::read(reader, &[]))
    }
}

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) metrics: ConsumerMetrics,
    _resources: Box<dyn Any + Send + Sync>,
}

pub(crate) async fn memory() -> Option<Fixture> {
    Some(Fixture::open(&[], ()).await)
}

#[cfg(feature = "nats")]
pub(crate) async fn nats() -> Option<Fixture> {
    let namespace = kennel_testkit::broker_namespace::Nats::find()?;
    let variables =
        [("BROKER", "nats"), ("NATS_URL", namespace.url()), ("BROKER_PREFIX", namespace.prefix())].map(owned);
    Some(Fixture::open(&variables, namespace).await)
}

#[cfg(feature = "kafka")]
pub(crate) async fn kafka() -> Option<Fixture> {
    let namespace = kennel_testkit::broker_namespace::Kafka::find()?;
    let variables =
        [("BROKER", "kafka"), ("KAFKA_BROKERS", namespace.brokers()), ("BROKER_PREFIX", namespace.prefix())];
    Some(Fixture::open(&variables.map(owned), namespace).await)
}

#[cfg(feature = "rabbitmq")]
pub(crate) async fn rabbitmq() -> Option<Fixture> {
    let namespace = kennel_testkit::broker_namespace::Rabbit::find()?.with(&[TOPIC], &[GROUP], 8);
    let variables = [("BROKER", "rabbitmq"), ("RABBITMQ_URL", namespace.url()), ("BROKER_PREFIX", namespace.prefix())];
    Some(Fixture::open(&variables.map(owned), namespace).await)
}

#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
fn owned((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}

impl Fixture {
    async fn open(variables: &[(&'static str, String)], namespace: impl Any + Send + Sync) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageConfig::sqlite(folder.path().join("tests.db"));
        let migrations = Migrations { sqlite: &[kennel_storage::sqlite::EVENTS], ..Migrations::NONE };
        let database = kennel_storage::open(&storage, "tests", &migrations, &Registry::new()).await.unwrap();
        database.migrator.up(SystemClock.now()).await.unwrap();
        let environment = Environment::from_pairs(variables.iter().cloned());
        let config = load::<BrokerSettings>(&environment).unwrap().settings.0;
        let sink = Arc::clone(&database.dead_letter_sink);
        let Connected { broker, dead_letters } =
            kennel_broker::connect(&config, &SharedBroker::default(), sink, Arc::new(SystemClock)).await.unwrap();
        let dead_letters = dead_letters.unwrap_or_else(|| Arc::clone(&database.dead_letters));
        let metrics = ConsumerMetrics::register(&Registry::new()).unwrap();
        Self { database, broker, dead_letters, metrics, _resources: Box::new((folder, namespace)) }
    }

    pub(crate) async fn close(&self) {
        self.broker.close().await;
        self.database.close().await;
    }

    fn ports(&self, inbox: Arc<dyn Inbox>) -> ConsumerPorts {
        ConsumerPorts {
            subscriber: Arc::<dyn Broker>::clone(&self.broker),
            inbox,
            clock: Arc::new(SystemClock),
            metrics: self.metrics.clone(),
            quarantine: Quarantine::default(),
            system: self.broker.system(),
        }
    }

    fn config() -> ConsumerConfig {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        ConsumerConfig { max_attempts: 3, backoff, ..ConsumerConfig::default() }
    }

    pub(crate) fn consumer(&self, handler: Arc<dyn Handler>) -> Consumer {
        Consumer::new(GROUP, TOPIC, handler, Self::config(), self.ports(Arc::clone(&self.database.inbox)))
    }

    pub(crate) fn batch_consumer(&self, handler: Arc<dyn BatchHandler>) -> BatchConsumer {
        self.batch_consumer_with(handler, Arc::clone(&self.database.inbox))
    }

    pub(crate) fn batch_consumer_with(&self, handler: Arc<dyn BatchHandler>, inbox: Arc<dyn Inbox>) -> BatchConsumer {
        BatchConsumer::new(GROUP, TOPIC, handler, Self::config(), BatchLimits::default(), self.ports(inbox))
    }

    /// A consumer whose batches have any number of events of a key.
    pub(crate) fn run_consumer(&self, handler: Arc<dyn BatchHandler>) -> BatchConsumer {
        let limits = BatchLimits { of_key: usize::MAX, ..BatchLimits::default() };
        BatchConsumer::new(GROUP, TOPIC, handler, Self::config(), limits, self.ports(Arc::clone(&self.database.inbox)))
    }

    pub(crate) fn relay(&self) -> Relay {
        let (outbox, metrics) = (Arc::clone(&self.database.outbox), RelayMetrics::register(&Registry::new()).unwrap());
        let publisher: Arc<dyn Publisher> = Arc::<dyn Broker>::clone(&self.broker);
        let config = RelayConfig { in_flight: 1_000, ..RelayConfig::default() };
        Relay::new(outbox, publisher, Arc::new(SystemClock), UuidV7.next(), config, metrics)
    }

    pub(crate) async fn append(&self, events: &[Event]) {
        #[expect(clippy::allow_attributes, reason = "with one store, the pattern always matches")]
        #[allow(irrefutable_let_patterns)]
        let Engine::Sqlite(sqlite) = &self.database.engine else { panic!("another store") };
        let mut write = sqlite.write().await.unwrap();
        write.append(events).await.unwrap();
        write.commit().await.unwrap();
    }

    /// Publishes as a service without an outbox does: until it succeeds. In-process, that takes until it is handled.
    pub(crate) async fn publish(&self, events: &[Event]) {
        while self.broker.publish(events).await.is_err() {
            sleep(POLL).await;
        }
    }

    /// Waits until the group has receipts for these events.
    pub(crate) async fn until_handled(&self, events: &[Event]) {
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        eventually("handled", async || self.database.inbox.list_seen(GROUP, &ids).await.unwrap().len() == ids.len())
            .await;
    }

    /// Waits until the broker has nothing left for the group.
    pub(crate) async fn until_settled(&self) {
        eventually("settled", async || {
            let lags = self.broker.lag().await.unwrap_or_default();
            lags.iter().any(|lag| lag.group == GROUP) && lags.iter().all(|lag| lag.events == 0)
        })
        .await;
    }
}

/// Runs a component concurrently with `scenario`, and stops it when that ends.
pub(crate) fn run_alongside<T>(
    component: impl Component,
    scenario: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let (mut component, scenario) = (Box::new(component), Box::pin(scenario));
    async move {
        let stop = Stop::new();
        component.init().await.unwrap();
        let run = component.run(stop.clone());
        let script = async {
            let out = timeout(CASE_TIMEOUT, scenario).await.expect("the scenario ends");
            stop.request();
            out
        };
        let (ended, out) = tokio::join!(run, script);
        ended.unwrap();
        out
    }
}

pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let checked = timeout(CASE_TIMEOUT, async {
        while !check().await {
            sleep(POLL).await;
        }
    });
    checked.await.unwrap_or_else(|_| panic!("never: {what}"));
}
