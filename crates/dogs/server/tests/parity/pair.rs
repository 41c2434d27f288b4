//! A store and a broker, with a corner of their own on each server, and the program over them.

use std::fmt;

use dogs_storages::Storage;
use kennel_broker::Backend;
use kennel_core::BackendKind as _;
use kennel_testkit::{Collector, Upstream};

use crate::service_dir::{RunningService, ServiceDir};
use crate::support::PUBLIC_URL;

/// One of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub store: Storage,
    pub broker: Backend,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.store.name(), self.broker.name())
    }
}

/// What goes away with a value.
type Belongings = Box<dyn Send>;

/// A place where the program is at home with one pair, and what it talks to.
pub struct Kennel {
    pub home: ServiceDir,
    pub pair: Pair,
    pub collector: Collector,
    _upstream: Upstream,
    _belongings: Vec<Belongings>,
}

impl Pair {
    /// Furnishes a place for this pair; `None`, said aloud, when a server is missing.
    ///
    /// Stores that are servers go with Redis as the cache and S3 for pictures where there are any; SQLite stays embedded.
    pub async fn furnish(self) -> Option<Kennel> {
        let (upstream, collector) = (Upstream::new().await, Collector::start().await);
        let home = ServiceDir::with_upstream(&upstream)
            .set("PUBLIC_URL", PUBLIC_URL)
            .set("OUTBOX_LEASE", "20s")
            .set("CACHE_TTL", "10m")
            .set("BODY_LIMIT", "4KiB")
            .set("IMAGE_LIMIT", "64KiB")
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
            .set("OTEL_BSP_SCHEDULE_DELAY", "20");
        let (home, database) = database(self.store, home).await?;
        let (home, corner) = corner(self.broker, home)?;
        let (home, extras) = if self.store == Storage::Sqlite { (home, Vec::new()) } else { beside(home) };
        let belongings = extras.into_iter().chain([database, corner]).collect();
        Some(Kennel { home, pair: self, collector, _upstream: upstream, _belongings: belongings })
    }
}

impl Kennel {
    /// Serves everything.
    pub async fn serve(&self) -> RunningService {
        self.home.serve().await
    }
}

/// Sets an empty database up; `None`, said aloud, when there is no server for it.
#[allow(clippy::unused_async, clippy::allow_attributes, reason = "the features say which there are")]
async fn database(store: Storage, home: ServiceDir) -> Option<(ServiceDir, Belongings)> {
    let home = home.set("STORAGE", store.name());
    match store {
        #[cfg(feature = "postgres")]
        Storage::Postgres => {
            let database = kennel_testkit::TestDatabase::postgres().await?;
            Some((home.set("POSTGRES_DSN", &database.dsn()), Box::new(database)))
        }
        #[cfg(feature = "mysql")]
        Storage::Mysql => {
            let database = kennel_testkit::TestDatabase::mysql().await?;
            Some((home.set("MYSQL_DSN", &database.dsn()), Box::new(database)))
        }
        #[cfg(feature = "clickhouse")]
        Storage::Clickhouse => {
            let database = kennel_testkit::TestClickHouse::create()?;
            Some((home.set("CLICKHOUSE_DSN", &database.dsn()), Box::new(database)))
        }
        _ => Some((home, Box::new(()))),
    }
}

/// Sets a corner of its own up; `None`, said aloud, when there is no server for it.
#[allow(clippy::unnecessary_wraps, clippy::allow_attributes, reason = "the features say which there are")]
fn corner(broker: Backend, home: ServiceDir) -> Option<(ServiceDir, Belongings)> {
    let home = home.set("BROKER", broker.name());
    match broker {
        #[cfg(feature = "nats")]
        Backend::Nats => {
            let corner = kennel_testkit::broker_namespace::Nats::find()?;
            let home = home.set("NATS_URL", corner.url()).set("BROKER_PREFIX", corner.prefix());
            Some((home, Box::new(corner)))
        }
        #[cfg(feature = "kafka")]
        Backend::Kafka => {
            let corner = kennel_testkit::broker_namespace::Kafka::find()?;
            let home = home.set("KAFKA_BROKERS", corner.brokers()).set("BROKER_PREFIX", corner.prefix());
            Some((home, Box::new(corner)))
        }
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => {
            let corner =
                kennel_testkit::broker_namespace::Rabbit::find()?.with(&["dogs.events"], &["dogs.thumbnailer"], 8);
            let home = home.set("RABBITMQ_URL", corner.url()).set("BROKER_PREFIX", corner.prefix());
            Some((home, Box::new(corner)))
        }
        _ => Some((home, Box::new(()))),
    }
}

/// Redis and S3, those of them that there are.
#[allow(unused_mut, clippy::allow_attributes, reason = "the features say what there is")]
fn beside(mut home: ServiceDir) -> (ServiceDir, Vec<Belongings>) {
    let mut belongings: Vec<Belongings> = Vec::new();
    #[cfg(feature = "redis")]
    if let Some(address) = kennel_testkit::Backend::Redis.address() {
        home = home.set("CACHE", "redis").set("REDIS_ADDR", &address).set("REDIS_TIMEOUT", "5s");
    }
    #[cfg(feature = "s3")]
    if let Some(bucket) = kennel_testkit::TestBucket::find() {
        for (name, value) in bucket.variables() {
            home = home.set(name, &value);
        }
        belongings.push(Box::new(bucket));
    }
    (home, belongings)
}
