//! A key prefix in the tests' Redis for one test.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file needs a part of it")]

use std::time::Duration;

use kennel_cache::{Backend, CacheConfig, RedisTuning};
use kennel_config::HumanDuration;

/// Keys with a prefix of their own, removed when dropped.
pub(crate) struct Space {
    addr: String,
    prefix: String,
}

impl Space {
    /// `None` without a Redis for tests.
    pub(crate) fn new() -> Option<Self> {
        let addr = kennel_testkit::Backend::Redis.address()?;
        Some(Self { addr, prefix: format!("test-{:032x}", rand::random::<u128>()) })
    }

    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Settings with timeouts for a busy machine.
    pub(crate) fn config(&self) -> CacheConfig {
        CacheConfig {
            cache: Backend::Redis,
            redis_addr: Some(self.addr.clone()),
            redis_timeout: HumanDuration::from_secs(20),
            redis: RedisTuning { connect_timeout: Duration::from_secs(20), ..RedisTuning::default() },
            ..CacheConfig::default()
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let sweep = || -> redis::RedisResult<()> {
            let client = redis::Client::open(format!("redis://{}", self.addr))?;
            let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
            let pattern = format!("{}:*", self.prefix);
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(10_000);
                let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(&mut connection)?;
                if !keys.is_empty() {
                    redis::cmd("UNLINK").arg(keys).exec(&mut connection)?;
                }
                if next == 0 {
                    return Ok(());
                }
                cursor = next;
            }
        };
        if let Err(error) = sweep() {
            eprintln!("keys of {} were not removed: {error}", self.prefix);
        }
    }
}
