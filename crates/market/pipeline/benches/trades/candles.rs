//! A preprocessor, from a topic that has all trades to candles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel_app::{Component as _, Stop};
use kennel_broker::config::BrokerConfig;
use kennel_broker::{Broker, Connected, SharedBroker};
use kennel_config::{Environment, Reader, Settings, load};
use kennel_core::{Clock as _, Event, SystemClock, Timestamp, UuidV7};
use kennel_outbox::{BatchConsumer, ConsumerConfig, ConsumerMetrics, ConsumerPorts, Quarantine};
use kennel_storage::{Database, StorageConfig};
use kennel_testkit::TestDatabase;
use kennel_testkit::broker_namespace::Kafka;
use market_contracts::{TRADES, TradeReported};
use market_domain::{Decimal, Instrument, Limits, Micros, Side, Trade, Venue};
use market_preprocessor::handler::TradeHandler;
use market_preprocessor::metrics::PreprocessorMetrics;
use market_preprocessor::repository;
use prometheus::Registry;
use tokio::time::sleep;

use crate::setting;

/// Trades of one publish.
const BATCH: usize = 10_000;

struct BrokerSettings(BrokerConfig);

impl Settings for BrokerSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(BrokerConfig::read(reader, &[]))
    }
}

/// A trade that has just happened: for older events than its start, a member looks for attempts of earlier processes.
fn event(id: usize, symbols: usize) -> Event {
    let number = |number: usize| i64::try_from(number).unwrap();
    let at = SystemClock.now();
    let time = Micros(at.as_millis() * 1_000);
    let decimal = |units: usize, scale| Decimal::new(i128::from(number(units)), scale).unwrap();
    let trade = Trade {
        instrument: Instrument { venue: Venue::Binance, symbol: format!("A{}-USDT", id % symbols).parse().unwrap() },
        id: number(id / symbols),
        price: decimal(10_594_420 + id % 977, 2),
        size: decimal(1_000 + id * 7_919 % 99_991, 8),
        taker: Some(if id.is_multiple_of(2) { Side::Buy } else { Side::Sell }),
        time,
        received: time,
    };
    Event::new(TradeReported::event_id(&trade), "/bench", at, &TradeReported::from(&trade)).unwrap()
}

pub(crate) fn run() {
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}

async fn measure() {
    let (count, symbols) = (setting("TRADES", 1_000_000), setting("SYMBOLS", 20));
    let (Some(postgres), Some(kafka)) = (TestDatabase::postgres().await, Kafka::find()) else { return };
    let storage = StorageConfig::postgres(postgres.dsn());
    let registry = Registry::new();
    let database =
        kennel_storage::open(&storage, "market-preprocessor", &repository::MIGRATIONS, &registry).await.unwrap();
    database.migrator.up(Timestamp::from_millis(0).unwrap()).await.unwrap();
    let broker = connect(&kafka, &database).await;
    let consumer = consumer(&database, Arc::clone(&broker), &registry);
    let ids: Vec<_> = (0..count).collect();
    let started = Instant::now();
    for ids in ids.chunks(BATCH) {
        let events: Vec<_> = ids.iter().map(|id| event(*id, symbols)).collect();
        broker.publish(&events).await.unwrap();
    }
    println!("published {count} trades of {symbols} instruments in {:?}", started.elapsed());
    let (started, stop) = (Instant::now(), Stop::new());
    let applied = async {
        let goal = format!("market_trades_applied_total{{outcome=\"new\"}} {count}");
        while !prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap().contains(&goal) {
            sleep(Duration::from_millis(20)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is printed")]
        let rate = count as f64 / started.elapsed().as_secs_f64();
        println!("from kafka to candles in postgres: {rate:.0} trades/s");
        stop.request();
    };
    let (ended, ()) = tokio::join!(Box::new(consumer).run(stop.clone()), applied);
    ended.unwrap();
    broker.close().await;
    database.close().await;
}

async fn connect(kafka: &Kafka, database: &Database) -> Arc<dyn Broker> {
    let variables = [("BROKER", "kafka"), ("KAFKA_BROKERS", kafka.brokers()), ("BROKER_PREFIX", kafka.prefix())];
    let environment = Environment::from_pairs(variables.map(|(name, value)| (name, value.to_owned())));
    let config = load::<BrokerSettings>(&environment).unwrap().settings.0;
    let sink = Arc::clone(&database.dead_letter_sink);
    let Connected { broker, .. } =
        kennel_broker::connect(&config, &SharedBroker::default(), sink, Arc::new(SystemClock)).await.unwrap();
    broker
}

fn consumer(database: &Database, broker: Arc<dyn Broker>, registry: &Registry) -> BatchConsumer {
    let metrics = PreprocessorMetrics::register(registry).unwrap();
    let hold = 60 * Micros::SECOND;
    let store = repository::candles(database);
    let handler = TradeHandler::new(store, (Arc::new(UuidV7), Arc::new(SystemClock)), metrics, Limits::default(), hold);
    let ports = ConsumerPorts {
        system: broker.system(),
        subscriber: broker,
        inbox: Arc::clone(&database.inbox),
        clock: Arc::new(SystemClock),
        metrics: ConsumerMetrics::register(registry).unwrap(),
        quarantine: Quarantine::default(),
    };
    let config = ConsumerConfig::default();
    BatchConsumer::new(TradeHandler::GROUP, TRADES, Arc::new(handler), config, TradeHandler::LIMITS, ports)
}
