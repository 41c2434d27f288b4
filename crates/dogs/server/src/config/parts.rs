//! Settings of the parts that the service stands on.

use std::num::NonZeroU32;
use std::path::PathBuf;

use dogs_storages::{Storage, StorageConfig};
use kennel_broker::BrokerConfig;
use kennel_cache::{CacheConfig, Policy, RedisConfig};
use kennel_config::{ByteSize, HumanDuration, Problems, Secret, Section};
use kennel_core::Part as _;
use kennel_objects::{ObjectsConfig, S3Config};
use kennel_outbox::{ConsumerConfig, RelayConfig};
use kennel_storage::{SqliteConfig, Synchronous};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::serving::{WEB_URL, is_web_url};

/// Where dogs are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StorageSettings {
    /// Which store: `sqlite`, or another that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::part")]
    pub storage: Storage,
    /// Apply missing migrations when the service starts; without it, a service over an old schema does not start.
    pub migrate_on_start: bool,
    /// The file of SQLite; it and its folder are made when missing.
    #[schemars(with = "String")]
    pub sqlite_path: PathBuf,
    /// When SQLite's commits count as done: `full`, on the disk, or `normal`, with the operating system.
    #[schemars(with = "String")]
    pub sqlite_synchronous: Synchronous,
    /// SQLite connections for reading; writes share one of their own.
    pub sqlite_readers: NonZeroU32,
    /// The database of `postgres`, such as `postgres://user:password@host:5432/dogs?sslmode=verify-full`.
    pub postgres_dsn: Option<Secret>,
    /// The database of `mysql`, such as `mysql://user:password@host:3306/dogs?ssl-mode=VERIFY_IDENTITY`.
    pub mysql_dsn: Option<Secret>,
    /// The database of `clickhouse`, such as `https://user:password@host:8443/dogs`, or `http://` and port 8123.
    pub clickhouse_dsn: Option<Secret>,
    /// Connections to a database server at most.
    pub database_max_connections: NonZeroU32,
    /// How long a call waits for a free connection to the database server.
    pub database_acquire_timeout: HumanDuration,
    /// How long the database server works on one statement before it gives it up.
    pub database_statement_timeout: HumanDuration,
}

impl Default for StorageSettings {
    fn default() -> Self {
        let sqlite = SqliteConfig::at("data/dogs.db");
        Self {
            storage: Storage::default(),
            migrate_on_start: true,
            sqlite_path: sqlite.path,
            sqlite_synchronous: sqlite.synchronous,
            sqlite_readers: sqlite.readers,
            postgres_dsn: None,
            mysql_dsn: None,
            clickhouse_dsn: None,
            database_max_connections: NonZeroU32::MIN.saturating_add(9),
            database_acquire_timeout: HumanDuration::from_secs(5),
            database_statement_timeout: HumanDuration::from_secs(15),
        }
    }
}

impl Section for StorageSettings {
    const TITLE: &'static str = "Storage";

    fn check(&self, problems: &mut Problems) {
        for (key, reason) in self.problems() {
            problems.add(&key, reason);
        }
    }
}

impl StorageSettings {
    /// The same settings, for another store.
    #[must_use]
    pub fn of(&self, storage: Storage) -> Self {
        Self { storage, ..self.clone() }
    }

    /// What keeps the store from being opened: settings, and what is wrong with them.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.storage().check("", &mut found);
        let named = |line: String| {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key = path.trim_start_matches('.').replace('.', "_");
            // The limits of connections are the same settings for each database server.
            let limit =
                key.split_once("_pool_").map(|(_, limit)| format!("database_{}", limit.trim_end_matches("_ms")));
            (limit.unwrap_or(key), reason.to_owned())
        };
        found.into_iter().map(named).collect()
    }

    /// What to open.
    pub fn storage(&self) -> StorageConfig {
        StorageConfig {
            storage: self.storage,
            #[cfg(feature = "sqlite")]
            sqlite: SqliteConfig {
                synchronous: self.sqlite_synchronous,
                readers: self.sqlite_readers,
                ..SqliteConfig::at(self.sqlite_path.clone())
            },
            #[cfg(feature = "postgres")]
            postgres: kennel_storage::postgres::PostgresConfig {
                dsn: self.postgres_dsn.as_ref().map(|dsn| dsn.expose().into()),
                pool: self.pool(),
            },
            #[cfg(feature = "mysql")]
            mysql: kennel_storage::mysql::MysqlConfig {
                dsn: self.mysql_dsn.as_ref().map(|dsn| dsn.expose().into()),
                pool: self.pool(),
                ..kennel_storage::mysql::MysqlConfig::default()
            },
            #[cfg(feature = "clickhouse")]
            clickhouse: kennel_storage::clickhouse::ClickHouseConfig {
                dsn: self.clickhouse_dsn.as_ref().map(|dsn| dsn.expose().into()),
                pool: self.pool(),
            },
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
    fn pool(&self) -> kennel_storage::PoolConfig {
        let milliseconds = |span: HumanDuration| u64::try_from(span.get().as_millis()).unwrap_or(u64::MAX);
        kennel_storage::PoolConfig {
            max_connections: self.database_max_connections,
            acquire_timeout_ms: milliseconds(self.database_acquire_timeout),
            statement_timeout_ms: milliseconds(self.database_statement_timeout),
        }
    }
}

/// Where events go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BrokerSettings {
    /// Which broker: `memory`, inside the process, or another that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::part")]
    pub broker: kennel_broker::Backend,
    /// What the names of everything at the broker begin with, so that installations can share one. Unset: `kennel` at
    /// `nats` and `rabbitmq`, nothing at `kafka`. Topics that settings name are named as they are.
    pub broker_prefix: Option<String>,
    /// The servers of `nats`, such as `nats://user:password@host:4222`, parted by commas; `tls://` encrypts.
    pub nats_url: Option<Secret>,
    /// The server of `rabbitmq`, such as `amqp://user:password@host:5672/%2f`; `amqps://` encrypts.
    pub rabbitmq_url: Option<Secret>,
}

impl BrokerSettings {
    /// What to open.
    pub fn broker(&self) -> BrokerConfig {
        BrokerConfig {
            backend: self.broker,
            #[cfg(feature = "nats")]
            nats: kennel_broker::nats::NatsConfig {
                url: self.nats_url.clone().map(Into::into),
                ..self.prefixed(kennel_broker::nats::NatsConfig::default(), |config| &mut config.prefix)
            },
            #[cfg(feature = "rabbitmq")]
            rabbitmq: kennel_broker::rabbitmq::RabbitConfig {
                url: self.rabbitmq_url.clone().map(Into::into),
                ..self.prefixed(kennel_broker::rabbitmq::RabbitConfig::default(), |config| &mut config.prefix)
            },
            ..BrokerConfig::default()
        }
    }
}

impl BrokerSettings {
    /// A broker's settings with the prefix, where one is set.
    #[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
    pub(super) fn prefixed<T>(&self, mut config: T, place: impl FnOnce(&mut T) -> &mut String) -> T {
        if let Some(prefix) = &self.broker_prefix {
            place(&mut config).clone_from(prefix);
        }
        config
    }
}

impl Section for BrokerSettings {
    const TITLE: &'static str = "Broker";

    fn check(&self, problems: &mut Problems) {
        if let Err(absent) = self.broker.require() {
            problems.add("broker", absent.to_string());
        }
        if self.broker_prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            problems.add("broker_prefix", "must be 1 to 64 letters, digits, `-` and `_`");
        }
        for (broker, key, url) in [
            (kennel_broker::Backend::Nats, "nats_url", &self.nats_url),
            (kennel_broker::Backend::RabbitMq, "rabbitmq_url", &self.rabbitmq_url),
        ] {
            if self.broker == broker && url.as_ref().is_none_or(|url| url.expose().trim().is_empty()) {
                problems.add(key, format!("must be set when the broker is {}", broker.name()));
            }
        }
    }
}

/// Whether the names that every broker has may begin with it: a dot parts the words of NATS's subjects.
fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// How events get to the broker and to their consumers, and when they are forgotten.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutboxSettings {
    /// Events published together at most.
    pub outbox_batch: NonZeroU32,
    /// How long another process waits before it takes over from a relay that was killed.
    pub outbox_lease: HumanDuration,
    /// How often to look for events that another process committed.
    pub outbox_poll: HumanDuration,
    /// Tries before an event becomes a dead letter.
    pub consumer_max_attempts: NonZeroU32,
    /// How long published events, receipts, idempotency keys and the progress of imports are kept.
    pub retention: HumanDuration,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        let relay = RelayConfig::default();
        Self {
            outbox_batch: NonZeroU32::new(relay.batch).unwrap_or(NonZeroU32::MIN),
            outbox_lease: HumanDuration(relay.lease_ttl),
            outbox_poll: HumanDuration(relay.poll),
            // The in-process broker holds later events back until an event is settled: about three seconds with these tries.
            consumer_max_attempts: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            retention: HumanDuration(relay.retention),
        }
    }
}

impl Section for OutboxSettings {
    const TITLE: &'static str = "Events";

    fn check(&self, problems: &mut Problems) {
        for (key, span) in [("outbox_lease", self.outbox_lease), ("outbox_poll", self.outbox_poll)] {
            if span.get().is_zero() {
                problems.add(key, "must be longer than nothing");
            }
        }
        if self.outbox_batch.get() > 1_000 {
            problems.add("outbox_batch", "must be 1 to 1000");
        }
    }
}

impl OutboxSettings {
    /// The relay's part, for a broker that has `in_flight` events in hand before another batch has to wait.
    pub fn relay(&self, in_flight: u32) -> RelayConfig {
        RelayConfig {
            in_flight,
            batch: self.outbox_batch.get(),
            lease_ttl: self.outbox_lease.get(),
            poll: self.outbox_poll.get(),
            retention: self.retention.get(),
            ..RelayConfig::default()
        }
    }

    /// The consumers' part.
    pub fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig { max_attempts: self.consumer_max_attempts.get(), ..ConsumerConfig::default() }
    }
}

/// What is remembered of dogs that were read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheSettings {
    /// Which cache: `none`, `memory`, inside the process, or another that is compiled in, as `redis`, which has memory in front.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::part")]
    pub cache: kennel_cache::Backend,
    /// How many bytes the cache inside the process may hold.
    pub cache_size: ByteSize,
    /// The longest that a dog is remembered, and so the longest that a lost event can leave an old answer.
    pub cache_ttl: HumanDuration,
    /// Host and port of Redis, as `cache:6379`.
    pub redis_addr: Option<String>,
    /// The password of Redis, when it asks for one.
    pub redis_password: Option<Secret>,
    /// The number of the database in Redis.
    pub redis_db: u32,
    /// How long a request may wait for Redis; while Redis is away, none waits.
    pub redis_timeout: HumanDuration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let cache = CacheConfig::default();
        Self {
            cache: cache.backend,
            cache_size: ByteSize(cache.memory_bytes),
            cache_ttl: HumanDuration::from_secs(30),
            redis_addr: None,
            redis_password: None,
            redis_db: cache.redis.db,
            redis_timeout: HumanDuration(cache.redis.timeout),
        }
    }
}

impl Section for CacheSettings {
    const TITLE: &'static str = "Cache";

    fn check(&self, problems: &mut Problems) {
        let mut found = Vec::new();
        self.cache().check("", &mut found);
        for line in found {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key =
                if path == ".backend" { "cache".to_owned() } else { path.trim_start_matches('.').replace('.', "_") };
            problems.add(&key, reason);
        }
    }
}

impl CacheSettings {
    /// What to open.
    pub fn cache(&self) -> CacheConfig {
        let redis = RedisConfig {
            addr: self.redis_addr.clone(),
            password: self.redis_password.clone().map(Into::into),
            db: self.redis_db,
            prefix: "dogs".to_owned(),
            timeout: self.redis_timeout.get(),
            ..RedisConfig::default()
        };
        CacheConfig { backend: self.cache, memory_bytes: self.cache_size.0, redis }
    }

    /// How dogs are kept in it.
    pub fn dogs(&self) -> Policy {
        Policy::new("dogs.by_id", self.cache_ttl.get())
    }
}

/// Where pictures are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectSettings {
    /// Which object store: `fs`, a folder, or another that is compiled in, as `s3`.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::part")]
    pub objects: kennel_objects::Backend,
    /// The folder of `fs`; made when missing.
    #[schemars(with = "String")]
    pub objects_path: PathBuf,
    /// The largest picture that is taken, from users and from the dog API.
    pub picture_limit: ByteSize,
    /// The id of the access key to S3.
    pub s3_storage_key: Option<String>,
    /// The secret of the access key to S3.
    pub s3_storage_secret: Option<Secret>,
    /// The bucket in S3.
    pub s3_storage_bucket: Option<String>,
    /// Base URL of what speaks the protocol of S3, as `http://minio:9000`. Unset: Amazon's own, by the region.
    pub s3_storage_endpoint: Option<String>,
    /// Base URL under which browsers reach the same store. Unset: as above.
    pub s3_storage_endpoint_public: Option<String>,
    /// The region of the bucket. Unset: `us-east-1` where an endpoint is set.
    pub s3_storage_region: Option<String>,
    /// Make the bucket when it is not there; for development.
    pub s3_storage_create_bucket: bool,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            objects: kennel_objects::Backend::default(),
            objects_path: PathBuf::from("data/objects"),
            picture_limit: ByteSize(10 * 1024 * 1024),
            s3_storage_key: None,
            s3_storage_secret: None,
            s3_storage_bucket: None,
            s3_storage_endpoint: None,
            s3_storage_endpoint_public: None,
            s3_storage_region: None,
            s3_storage_create_bucket: false,
        }
    }
}

impl ObjectSettings {
    /// What to open.
    pub fn objects(&self) -> ObjectsConfig {
        let s3 = S3Config {
            key: self.s3_storage_key.clone(),
            secret: self.s3_storage_secret.clone().map(Into::into),
            bucket: self.s3_storage_bucket.clone(),
            endpoint: self.s3_storage_endpoint.clone(),
            endpoint_public: self.s3_storage_endpoint_public.clone(),
            region: self.s3_storage_region.clone(),
            create_bucket: self.s3_storage_create_bucket,
            ..S3Config::default()
        };
        ObjectsConfig { backend: self.objects, path: self.objects_path.clone(), s3 }
    }
}

impl Section for ObjectSettings {
    const TITLE: &'static str = "Objects";

    fn check(&self, problems: &mut Problems) {
        let mut found = Vec::new();
        self.objects().check("", &mut found);
        for line in found {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key =
                path.strip_prefix(".s3.").map_or_else(|| "objects".to_owned(), |name| format!("s3_storage_{name}"));
            problems.add(&key, reason);
        }
        if self.objects_path.as_os_str().is_empty() {
            problems.add("objects_path", "must name a folder");
        }
        if !(1..=256 * 1024 * 1024).contains(&self.picture_limit.0) {
            problems.add("picture_limit", "must be 1B to 256MiB");
        }
    }
}

/// Where new pictures of dogs come from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SourceSettings {
    /// Base URL of an API with the contract of dog.ceo, such as `https://dog.ceo/api`. Unset: pictures are drawn in-process.
    pub dog_api_base_url: Option<String>,
    /// How long a request to the dog API may take, retries included.
    pub dog_api_timeout: HumanDuration,
    /// Let the dog API, and the pictures it names, be at private and loopback addresses.
    pub dog_api_allow_private: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self { dog_api_base_url: None, dog_api_timeout: HumanDuration::from_secs(10), dog_api_allow_private: false }
    }
}

impl Section for SourceSettings {
    const TITLE: &'static str = "Dog API";

    fn check(&self, problems: &mut Problems) {
        if self.dog_api_base_url.as_deref().is_some_and(|text| !is_web_url(text)) {
            problems.add("dog_api_base_url", WEB_URL);
        }
        if self.dog_api_timeout.get().is_zero() {
            problems.add("dog_api_timeout", "must be longer than nothing");
        }
    }
}
