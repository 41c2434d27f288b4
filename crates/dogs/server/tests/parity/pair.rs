//! A store and a broker with separate namespaces on each server, and the service with them.

use std::fmt;

use kennel_broker::Backend;
use kennel_core::BackendKind as _;
use kennel_storage::Storage;
use kennel_testkit::{Collector, Upstream};

use crate::service_dir::{RunningService, ServiceDir};
use crate::support::PUBLIC_URL;

/// A store and a broker.
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

/// Cleans up when it is dropped.
type Guard = Box<dyn Send>;

/// The service directory of a pair, and the servers that it uses.
pub struct TestEnvironment {
    pub directory: ServiceDir,
    pub pair: Pair,
    pub collector: Collector,
    _upstream: Upstream,
    _guards: Vec<Guard>,
}

impl Pair {
    /// Sets up the environment of this pair; `None`, with a message, when a server is missing.
    ///
    /// Store servers are combined with Redis and S3, if available; SQLite with the embedded cache and object store.
    pub async fn set_up(self) -> Option<TestEnvironment> {
        let (upstream, collector) = (Upstream::new().await, Collector::start().await);
        let directory = ServiceDir::with_upstream(&upstream)
            .set("PUBLIC_URL", PUBLIC_URL)
            .set("OUTBOX_LEASE", "20s")
            .set("CACHE_TTL", "10m")
            .set("BODY_LIMIT", "4KiB")
            .set("IMAGE_LIMIT", "64KiB")
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
            .set("OTEL_BSP_SCHEDULE_DELAY", "20");
        let (directory, database) = database(self.store, directory).await?;
        let (directory, namespace) = broker_namespace(self.broker, directory)?;
        let (directory, extras) =
            if self.store == Storage::Sqlite { (directory, Vec::new()) } else { with_redis_and_s3(directory) };
        let guards = extras.into_iter().chain([database, namespace]).collect();
        Some(TestEnvironment { directory, pair: self, collector, _upstream: upstream, _guards: guards })
    }
}

impl TestEnvironment {
    /// Starts the service with all components.
    pub async fn serve(&self) -> RunningService {
        self.directory.serve().await
    }
}

/// Creates an empty database; `None`, with a message, when its server is missing.
#[allow(clippy::unused_async, clippy::allow_attributes, reason = "depends on the features")]
async fn database(store: Storage, directory: ServiceDir) -> Option<(ServiceDir, Guard)> {
    let directory = directory.set("STORAGE", store.name());
    match store {
        #[cfg(feature = "postgres")]
        Storage::Postgres => {
            let database = kennel_testkit::TestDatabase::postgres().await?;
            Some((directory.set("POSTGRES_DSN", &database.dsn()), Box::new(database)))
        }
        #[cfg(feature = "mysql")]
        Storage::Mysql => {
            let database = kennel_testkit::TestDatabase::mysql().await?;
            Some((directory.set("MYSQL_DSN", &database.dsn()), Box::new(database)))
        }
        #[cfg(feature = "clickhouse")]
        Storage::Clickhouse => {
            let database = kennel_testkit::TestClickHouse::create()?;
            Some((directory.set("CLICKHOUSE_DSN", &database.dsn()), Box::new(database)))
        }
        _ => Some((directory, Box::new(()))),
    }
}

/// Creates a namespace at the broker; `None`, with a message, when its server is missing.
#[allow(clippy::unnecessary_wraps, clippy::allow_attributes, reason = "depends on the features")]
fn broker_namespace(broker: Backend, directory: ServiceDir) -> Option<(ServiceDir, Guard)> {
    let directory = directory.set("BROKER", broker.name());
    match broker {
        #[cfg(feature = "nats")]
        Backend::Nats => {
            let namespace = kennel_testkit::broker_namespace::Nats::find()?;
            let directory = directory.set("NATS_URL", namespace.url()).set("BROKER_PREFIX", namespace.prefix());
            Some((directory, Box::new(namespace)))
        }
        #[cfg(feature = "kafka")]
        Backend::Kafka => {
            let namespace = kennel_testkit::broker_namespace::Kafka::find()?;
            let directory =
                directory.set("KAFKA_BROKERS", namespace.brokers()).set("BROKER_PREFIX", namespace.prefix());
            Some((directory, Box::new(namespace)))
        }
        #[cfg(feature = "rabbitmq")]
        Backend::RabbitMq => {
            let namespace =
                kennel_testkit::broker_namespace::Rabbit::find()?.with(&["dogs.events"], &["dogs.thumbnailer"], 8);
            let directory = directory.set("RABBITMQ_URL", namespace.url()).set("BROKER_PREFIX", namespace.prefix());
            Some((directory, Box::new(namespace)))
        }
        _ => Some((directory, Box::new(()))),
    }
}

/// Sets Redis and S3, if available.
#[allow(unused_mut, clippy::allow_attributes, reason = "depends on the features")]
fn with_redis_and_s3(mut directory: ServiceDir) -> (ServiceDir, Vec<Guard>) {
    let mut guards: Vec<Guard> = Vec::new();
    #[cfg(feature = "redis")]
    if let Some(address) = kennel_testkit::Backend::Redis.address() {
        directory = directory.set("CACHE", "redis").set("REDIS_ADDR", &address).set("REDIS_TIMEOUT", "5s");
    }
    #[cfg(feature = "s3")]
    if let Some(bucket) = kennel_testkit::TestBucket::find() {
        for (name, value) in bucket.variables() {
            directory = directory.set(name, &value);
        }
        guards.push(Box::new(bucket));
    }
    (directory, guards)
}
