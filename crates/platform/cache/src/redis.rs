//! The cache in Redis, which processes share.
//!
//! A value stands under `<prefix>:v:<key>`. A lookup that finds none leaves a random token under `<prefix>:l:<key>`,
//! or takes the one that is there: the lease. A removal removes both. A fill writes only while its lease stands,
//! checked and done in one script: so a load that began before a removal, in whichever process, fills nothing after
//! it, however long it took. A token is never used again, and one that ran out or was evicted fills nothing either.
//! A plain set ends the leases as well.
//!
//! Each change is announced to all processes. When Redis is away, commands fail at once; removals that
//! failed are done before it is used again.
//!
//! Not covered: a Redis that loses writes, as when a replica that lags takes over. Then an old value can stay until
//! its time is up.

pub(crate) mod link;
mod owed;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kennel_core::Cache;
use kennel_core::cache::{CacheError, Lease, Lookup};
use redis::{RedisError, Script};

use self::link::{CHANGED, Link, Listener};
use crate::redis_config::RedisConfig;

/// A load that takes longer fills nothing.
const LEASE: Duration = Duration::from_mins(1);
/// Longer lives are cut to this one, which Redis can count.
const LONGEST_TTL: Duration = Duration::from_hours(365 * 24);

static LOOK: LazyLock<Script> = LazyLock::new(|| {
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
static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[2])
        return 1",
    )
});
static SET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])",
    )
});

/// See the [module](self).
pub struct RedisCache {
    link: Link,
    prefix: String,
}

/// What Redis has under a key.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A value, and how long it has to live.
    Value(Bytes, Duration),
    /// None.
    Nothing(Lease),
}

impl RedisCache {
    /// Connects. Goes on without Redis, and looks for it, when it is away; fails when it is there and refuses.
    pub async fn connect(config: RedisConfig) -> Result<Self, CacheError> {
        Self::heard_by(config, Arc::new(Deaf)).await.map_err(|error| CacheError(error.into()))
    }

    /// Connects, and has `listener` told of changes.
    pub(crate) async fn heard_by(config: RedisConfig, listener: Arc<dyn Listener>) -> Result<Self, RedisError> {
        let prefix = config.prefix.clone();
        Ok(Self { link: Link::open(config, listener).await?, prefix })
    }

    fn value_key(&self, key: &str) -> String {
        value_key(&self.prefix, key)
    }

    fn lease_key(&self, key: &str) -> String {
        lease_key(&self.prefix, key)
    }

    pub(crate) async fn look(&self, key: &str) -> Result<Found, CacheError> {
        type Answer = (Option<Bytes>, i64, Option<String>);
        let (value, remaining, token): Answer = self
            .link
            .run(async |mut connection| {
                let mut look = LOOK.key(self.value_key(key));
                look.key(self.lease_key(key)).arg(format!("{:032x}", rand::random::<u128>())).arg(millis(LEASE));
                look.invoke_async(&mut connection).await
            })
            .await?;
        if let Some(value) = value {
            return Ok(Found::Value(value, Duration::from_millis(u64::try_from(remaining).unwrap_or(0))));
        }
        let token = token.and_then(|token| u128::from_str_radix(&token, 16).ok());
        Ok(Found::Nothing(token.map_or_else(Lease::default, Lease::new)))
    }

    async fn try_remove(&self, key: &str) -> Result<(), CacheError> {
        self.link
            .run(async |mut connection| {
                let mut pipe = redis::pipe();
                pipe.del(&[self.value_key(key), self.lease_key(key)]).ignore();
                pipe.publish(self.link.channel(), announce(key)).ignore();
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

fn announce(key: &str) -> String {
    format!("{CHANGED}{key}")
}

/// At least one: Redis knows no shorter life.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST_TTL).as_millis()).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.link
            .run(async |mut connection| redis::cmd("GET").arg(self.value_key(key)).query_async(&mut connection).await)
            .await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        if ttl.is_zero() {
            return self.remove(key).await;
        }
        self.link
            .run(async |mut connection| {
                let mut set = SET.key(self.value_key(key));
                set.key(self.lease_key(key)).arg(&*value).arg(millis(ttl));
                set.invoke_async::<()>(&mut connection).await?;
                redis::cmd("PUBLISH").arg(self.link.channel()).arg(announce(key)).exec_async(&mut connection).await
            })
            .await
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        let Err(error) = self.try_remove(key).await else {
            return Ok(());
        };
        if self.link.owe(key) {
            return Err(error);
        }
        // Redis is back already.
        self.try_remove(key).await.inspect_err(|_| {
            self.link.owe(key);
        })
    }

    async fn lookup(&self, key: &str) -> Result<Lookup, CacheError> {
        Ok(match self.look(key).await? {
            Found::Value(value, _) => Lookup::Hit { value, depth: 0 },
            Found::Nothing(lease) => Lookup::Miss(lease),
        })
    }

    async fn fill(&self, key: &str, value: Bytes, ttl: Duration, lease: &Lease) -> Result<bool, CacheError> {
        self.link
            .run(async |mut connection| {
                let Some(token) = lease.token().filter(|_| !ttl.is_zero()) else {
                    return Ok(false);
                };
                let mut fill = FILL.key(self.value_key(key));
                fill.key(self.lease_key(key)).arg(format!("{token:032x}")).arg(&*value).arg(millis(ttl));
                fill.invoke_async(&mut connection).await
            })
            .await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.link.run(async |mut connection| redis::cmd("PING").exec_async(&mut connection).await).await
    }
}

/// Keeps nothing that could grow old.
struct Deaf;

impl Listener for Deaf {
    fn changed(&self, _: &str) {}
    fn all_changed(&self) {}
    fn found(&self) {}
    fn lost(&self) {}
}
