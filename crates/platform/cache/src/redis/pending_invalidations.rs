//! Removals that failed because Redis was unreachable, and that run before the next connection is used.

use std::collections::HashSet;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::{change_message, lease_key, value_key};

/// Maximum number of stored keys; with more, all keys in Redis are removed.
const MAX_KEYS: usize = 10_000;
/// Number of keys in one pipeline.
const BATCH_KEYS: usize = 500;

/// The keys to remove, or all.
#[derive(Default)]
pub(super) struct PendingInvalidations {
    keys: HashSet<String>,
    all: bool,
}

impl PendingInvalidations {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.all
    }

    pub(super) fn add(&mut self, key: &str) {
        if self.keys.len() < MAX_KEYS {
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

    /// Runs the removals.
    pub(super) async fn apply(
        &self,
        prefix: &str,
        channel: &str,
        mut connection: MultiplexedConnection,
    ) -> RedisResult<()> {
        if self.all {
            return remove_all(prefix, channel, &mut connection).await;
        }
        let keys: Vec<_> = self.keys.iter().collect();
        for batch in keys.chunks(BATCH_KEYS) {
            let mut pipe = redis::pipe();
            for key in batch {
                pipe.del(&[value_key(prefix, key), lease_key(prefix, key)]).ignore();
                pipe.publish(channel, change_message(key)).ignore();
            }
            pipe.exec_async(&mut connection).await?;
        }
        Ok(())
    }
}

async fn remove_all(prefix: &str, channel: &str, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}:[vl]:*")).arg("COUNT").arg(1_000);
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
    fn too_many_keys_become_all() {
        let mut pending = PendingInvalidations::default();
        for number in 0..MAX_KEYS {
            pending.add(&number.to_string());
        }
        pending.add("0");
        assert!(!pending.all && pending.keys.len() == MAX_KEYS);
        pending.add("one more");
        assert!(pending.all && pending.keys.len() == MAX_KEYS, "no further key is stored");
        let mut other = PendingInvalidations::default();
        other.add_all(pending.take());
        assert!(pending.is_empty() && other.all);
    }
}
