//! Cache in Redis, shared by processes.
//!
//! A value is stored under `<prefix>:v:<key>`. A lookup that finds none stores a random token under `<prefix>:l:<key>`,
//! or returns the existing one: the lease. Half of the token identifies the process that created it. A removal deletes both
//! keys. A fill writes only while its lease exists; one script checks and writes. So a load that started before a removal,
//! in any process, cannot fill the key after it. A token is never reused, and an expired or evicted one fills nothing
//! either. A plain set also ends the lease.
//!
//! A counter is stored under `<prefix>:c:<key>`; one script changes it and sets its lifetime. A lock is its holder under
//! `<prefix>:k:<key>`; one script checks and sets it.
//!
//! Each change is published to all processes. While Redis is unreachable, commands fail immediately; failed removals
//! are repeated before the next connection is used.
//!
//! Not covered: a Redis that loses writes, as after a failover to a lagging replica. Then an old value can be returned
//! until it expires.

pub(crate) mod connection;
mod pending_invalidations;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup, Memo};
use redis::{RedisError, Script};

use self::connection::{CHANGE_PREFIX, ChangeListener, ConnectionManager};
use crate::config::CacheConfig;

/// Lifetime of a lease. A load that takes longer fills nothing.
const LEASE_TTL: Duration = Duration::from_mins(1);
/// Longer lifetimes are capped to this, which Redis can represent.
const MAX_TTL: Duration = Duration::from_hours(365 * 24);

static LOOKUP_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local value = redis.call('GET', KEYS[1])
        if value then return {value, redis.call('PTTL', KEYS[1]), false} end
        local token = redis.call('GET', KEYS[2])
        if not token then
            token = ARGV[1]
            redis.call('SET', KEYS[2], token, 'PX', ARGV[2])
        end
        return {false, 0, token}",
    )
});
static FILL_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[2])
        return 1",
    )
});
static RELEASE_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"));
static SET_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])",
    )
});

/// The result is text: numbers of a script are exact only up to 2^53.
static INCREMENT_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('INCRBY', KEYS[1], ARGV[1])
        if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
        return redis.call('GET', KEYS[1])",
    )
});

static LOCK_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local holder = redis.call('GET', KEYS[1])
        if holder and holder ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1",
    )
});

/// See the [module](self).
pub struct RedisCache {
    connection: ConnectionManager,
    prefix: String,
    /// First half of the tokens of this process.
    process: u64,
}

/// Result of a lookup in Redis.
#[derive(Debug, Clone)]
pub(crate) enum RedisLookup {
    /// A value and its remaining lifetime.
    Value(Bytes, Duration),
    /// No value.
    Missing(Lease),
}

impl RedisCache {
    /// Connects; keys start with `prefix`. When Redis is unreachable, it continues without it and reconnects in the
    /// background; fails when Redis refuses.
    pub async fn connect(config: &CacheConfig, prefix: &str) -> Result<Self, CacheError> {
        let connected = Self::connect_with_listener(config, prefix, Arc::new(NoopListener)).await;
        connected.map_err(|error| CacheError(error.into()))
    }

    /// Connects, and notifies `listener` of changes.
    pub(crate) async fn connect_with_listener(
        config: &CacheConfig,
        prefix: &str,
        listener: Arc<dyn ChangeListener>,
    ) -> Result<Self, RedisError> {
        let connection = ConnectionManager::open(config.clone(), prefix.to_owned(), listener).await?;
        Ok(Self { connection, prefix: prefix.to_owned(), process: rand::random() })
    }

    fn value_key(&self, key: &str) -> String {
        value_key(&self.prefix, key)
    }

    fn lease_key(&self, key: &str) -> String {
        lease_key(&self.prefix, key)
    }

    fn lock_key(&self, key: &str) -> String {
        format!("{}:k:{key}", self.prefix)
    }

    pub(crate) async fn lookup_with_ttl(&self, key: &str) -> Result<RedisLookup, CacheError> {
        type Answer = (Option<Bytes>, i64, Option<String>);
        let (value, remaining, token): Answer = self
            .connection
            .run(async |mut connection| {
                let mut lookup = LOOKUP_SCRIPT.key(self.value_key(key));
                lookup.key(self.lease_key(key)).arg(token_text(self.new_token())).arg(millis(LEASE_TTL));
                lookup.invoke_async(&mut connection).await
            })
            .await?;
        if let Some(value) = value {
            return Ok(RedisLookup::Value(value, Duration::from_millis(u64::try_from(remaining).unwrap_or(0))));
        }
        let token = token.and_then(|token| u128::from_str_radix(&token, 16).ok());
        Ok(RedisLookup::Missing(token.map_or_else(Lease::default, |token| self.lease(token))))
    }

    fn new_token(&self) -> u128 {
        u128::from(self.process) << 64 | u128::from(rand::random::<u64>())
    }

    fn lease(&self, token: u128) -> Lease {
        if token >> 64 == u128::from(self.process) { Lease::new(token) } else { Lease::of_another_process(token) }
    }

    async fn try_remove(&self, key: &str) -> Result<(), CacheError> {
        self.connection
            .run(async |mut connection| {
                let mut pipe = redis::pipe();
                pipe.del(&[self.value_key(key), self.lease_key(key)]).ignore();
                pipe.publish(self.connection.channel(), change_message(key)).ignore();
                pipe.exec_async(&mut connection).await
            })
            .await
    }
}

fn value_key(prefix: &str, key: &str) -> String {
    format!("{prefix}:v:{key}")
}

fn lease_key(prefix: &str, key: &str) -> String {
    format!("{prefix}:l:{key}")
}

fn token_text(token: u128) -> String {
    format!("{token:032x}")
}

fn change_message(key: &str) -> String {
    format!("{CHANGE_PREFIX}{key}")
}

/// Milliseconds of a lifetime; at least one, the shortest that Redis supports.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(MAX_TTL).as_millis()).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.connection
            .run(async |mut connection| redis::cmd("GET").arg(self.value_key(key)).query_async(&mut connection).await)
            .await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        if ttl.is_zero() {
            return self.remove(key).await;
        }
        self.connection
            .run(async |mut connection| {
                let mut set = SET_SCRIPT.key(self.value_key(key));
                set.key(self.lease_key(key)).arg(&*value).arg(millis(ttl));
                set.invoke_async::<()>(&mut connection).await?;
                redis::cmd("PUBLISH")
                    .arg(self.connection.channel())
                    .arg(change_message(key))
                    .exec_async(&mut connection)
                    .await
            })
            .await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        let Err(error) = self.try_remove(key).await else {
            return Ok(());
        };
        if self.connection.defer(key) {
            return Err(error);
        }
        // Reconnected in the meantime, so the removal can run now.
        self.try_remove(key).await.inspect_err(|_| {
            self.connection.defer(key);
        })
    }

    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        Ok(match self.lookup_with_ttl(key).await? {
            RedisLookup::Value(value, _) => Lookup::Hit { value, depth: 0, memo: Memo::default() },
            RedisLookup::Missing(lease) => Lookup::Miss(lease),
        })
    }

    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        self.connection
            .run(async |mut connection| {
                let Some(token) = lease.token().filter(|_| !ttl.is_zero()) else {
                    return Ok(false);
                };
                let mut fill = FILL_SCRIPT.key(self.value_key(key));
                fill.key(self.lease_key(key)).arg(token_text(token)).arg(&*value).arg(millis(ttl));
                fill.invoke_async(&mut connection).await
            })
            .await
    }

    async fn release(&self, key: &str, lease: &Lease) -> Result<(), CacheError> {
        let Some(token) = lease.token() else { return Ok(()) };
        self.connection
            .run(async |mut connection| {
                RELEASE_SCRIPT.key(self.lease_key(key)).arg(token_text(token)).invoke_async(&mut connection).await
            })
            .await
    }

    async fn increment(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        self.connection
            .run(async |mut connection| {
                let mut increment = INCREMENT_SCRIPT.key(format!("{}:c:{key}", self.prefix));
                increment.arg(by).arg(millis(ttl)).invoke_async(&mut connection).await
            })
            .await
    }

    async fn lock(&self, key: &str, holder: &str, ttl: Duration) -> Result<bool, CacheError> {
        self.connection
            .run(async |mut connection| {
                let mut lock = LOCK_SCRIPT.key(self.lock_key(key));
                lock.arg(holder).arg(millis(ttl)).invoke_async(&mut connection).await
            })
            .await
    }

    async fn unlock(&self, key: &str, holder: &str) -> Result<(), CacheError> {
        self.connection
            .run(async |mut connection| {
                RELEASE_SCRIPT.key(self.lock_key(key)).arg(holder).invoke_async(&mut connection).await
            })
            .await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.connection.run(async |mut connection| redis::cmd("PING").exec_async(&mut connection).await).await
    }
}

/// Listener of a cache without a memory tier, which has nothing that could become stale.
struct NoopListener;

impl ChangeListener for NoopListener {
    fn key_changed(&self, _: &str) {}
    fn all_keys_changed(&self) {}
    fn connected(&self) {}
    fn disconnected(&self) {}
}
