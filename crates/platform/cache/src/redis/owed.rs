//! Removals that could not be done because Redis was away, and are done before it is used again.

use std::collections::HashSet;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::{announce, lease_key, value_key};
use crate::redis_config::RedisConfig;

/// Beyond as many keys, all are removed.
const MOST: usize = 10_000;
/// How many keys go to Redis at a time.
const BATCH: usize = 500;

/// What to remove.
#[derive(Default)]
pub(super) struct Owed {
    keys: HashSet<String>,
    all: bool,
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.all
    }

    pub(super) fn add(&mut self, key: &str) {
        if self.keys.len() < MOST {
            self.keys.insert(key.to_owned());
        } else if !self.keys.contains(key) {
            self.all = true;
        }
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.all |= other.all;
        for key in other.keys {
            self.add(&key);
        }
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Does the removals.
    pub(super) async fn settle(
        &self,
        config: &RedisConfig,
        channel: &str,
        mut connection: MultiplexedConnection,
    ) -> RedisResult<()> {
        if self.all {
            return remove_all(config, channel, &mut connection).await;
        }
        let keys: Vec<_> = self.keys.iter().collect();
        for batch in keys.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for key in batch {
                pipe.del(&[value_key(&config.prefix, key), lease_key(&config.prefix, key)]).ignore();
                pipe.publish(channel, announce(key)).ignore();
            }
            pipe.exec_async(&mut connection).await?;
        }
        Ok(())
    }
}

async fn remove_all(config: &RedisConfig, channel: &str, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}:[vl]:*", config.prefix)).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).exec_async(connection).await?;
        }
        if next == 0 {
            break;
        }
        cursor = next;
    }
    redis::cmd("PUBLISH").arg(channel).arg("").exec_async(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_become_all() {
        let mut owed = Owed::default();
        for number in 0..MOST {
            owed.add(&number.to_string());
        }
        owed.add("0");
        assert!(!owed.all && owed.keys.len() == MOST);
        owed.add("one more");
        assert!(owed.all && owed.keys.len() == MOST, "and take no more room");
        let mut other = Owed::default();
        other.add_all(owed.take());
        assert!(owed.is_empty() && other.all);
    }
}
