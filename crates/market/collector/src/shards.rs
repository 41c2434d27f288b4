//! Which symbols of a venue this collector has, when several collectors share them.
//!
//! Symbols belong to shards. A collector has the locks of its shards in the cache, and renews them. The collectors are counted in
//! periods of the length of a lock, so that each has the same number of shards: with more than its share, it releases some. After a
//! collector has ended or stands still, its locks expire, and the others take its shards.
//!
//! While the cache does not answer, a collector continues with what it has: nobody else can acquire it. If two have one symbol for a
//! moment, they publish the same events, which are counted once. A cache inside one process gives this collector all shards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kennel_cache::{Counters, Locks};
use kennel_core::Clock;
use kennel_core::cache::CacheError;
use market_domain::{Symbol, Venue};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::metrics::CollectorMetrics;

/// How often a lock is renewed within its lifetime.
const RENEWALS: u32 = 3;

/// The shards that a collector has.
pub(crate) type Owned = BTreeSet<u16>;

/// The shards of one venue.
pub(crate) struct Shards {
    pub(crate) venue: Venue,
    pub(crate) locks: Locks,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: CollectorMetrics,
    /// Number of shards.
    pub(crate) count: u16,
    /// Lifetime of a lock.
    pub(crate) ttl: Duration,
}

/// The shard of a symbol; the same in every process and version.
pub(crate) fn shard_of(symbol: &Symbol, count: u16) -> u16 {
    let hash = symbol
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    u16::try_from((hash ^ (hash >> 32)) % u64::from(count.max(1))).unwrap_or(0)
}

impl Shards {
    /// Acquires, renews and releases shards; never returns. `owned` has those that the collector has.
    pub(crate) async fn maintain(self, owned: &watch::Sender<Owned>) {
        let (mut counted, mut failures) = (None, 0_u32);
        loop {
            let mut shards = owned.borrow().clone();
            match self.round(&mut shards, &mut counted).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(venue = %self.venue, error, "cannot renew shards, continues with what it has");
                    }
                }
            }
            self.metrics.shards(self.venue, shards.len());
            owned.send_if_modified(|owned| {
                let is_changed = *owned != shards;
                if is_changed {
                    tracing::info!(venue = %self.venue, shards = shards.len(), of = self.count, "shards have changed");
                    *owned = shards;
                }
                is_changed
            });
            sleep(self.ttl / RENEWALS).await;
        }
    }

    /// One round. After an error, `shards` has what is known to be lost or won until then.
    async fn round(&self, shards: &mut Owned, counted: &mut Option<i64>) -> Result<(), CacheError> {
        for shard in shards.clone() {
            if !self.locks.acquire(&self.key(shard), self.ttl).await? {
                shards.remove(&shard);
            }
        }
        let share = self.share(self.members(counted).await?);
        while shards.len() > share
            && let Some(last) = shards.pop_last()
        {
            self.locks.release(&self.key(last)).await?;
        }
        for shard in 0..self.count {
            if shards.len() < share
                && !shards.contains(&shard)
                && self.locks.acquire(&self.key(shard), self.ttl).await?
            {
                shards.insert(shard);
            }
        }
        Ok(())
    }

    /// The number of collectors in this period or the one before, whichever is larger.
    async fn members(&self, counted: &mut Option<i64>) -> Result<i64, CacheError> {
        let millis = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        let period = self.clock.now().as_millis() / millis;
        let count = async |period: i64, by| {
            self.counters.increment(&format!("{}:{period}", self.venue), by, self.ttl * RENEWALS).await
        };
        let now = count(period, i64::from(*counted != Some(period))).await?;
        *counted = Some(period);
        Ok(now.max(count(period - 1, 0).await?))
    }

    fn share(&self, members: i64) -> usize {
        usize::from(self.count).div_ceil(usize::try_from(members).unwrap_or(1).max(1))
    }

    fn key(&self, shard: u16) -> String {
        // With another number of shards, a shard has other symbols.
        format!("{}:{}:{shard}", self.venue, self.count)
    }
}

#[cfg(test)]
mod tests {
    use kennel_cache::Connected;
    use kennel_core::SystemClock;
    use tokio::time::timeout;

    use super::*;

    const TTL: Duration = Duration::from_millis(300);

    fn shards(cache: &Connected, holder: &str) -> Shards {
        Shards {
            venue: Venue::Kraken,
            locks: Locks::new(cache, "shards", holder),
            counters: Counters::new(cache, "members"),
            clock: Arc::new(SystemClock),
            metrics: CollectorMetrics::register(&prometheus::Registry::new()).unwrap(),
            count: 8,
            ttl: TTL,
        }
    }

    async fn until(owned: &mut watch::Receiver<Owned>, count: usize) -> Owned {
        let found = timeout(Duration::from_mins(1), owned.wait_for(|owned| owned.len() == count)).await;
        found.expect("the shards are moved").unwrap().clone()
    }

    #[tokio::test]
    async fn collectors_share_the_shards_and_take_those_of_one_that_has_ended() {
        let cache = Connected::memory(1 << 20);
        let [first, second] = [(); 2].map(|()| watch::Sender::new(Owned::new()));
        let (mut of_first, mut of_second) = (first.subscribe(), second.subscribe());
        let one = shards(&cache, "one").maintain(&first);
        tokio::pin!(one);
        tokio::select! {
            () = &mut one => {}
            all = until(&mut of_first, 8) => assert_eq!(all.len(), 8, "it is alone"),
        }
        {
            let other = shards(&cache, "other").maintain(&second);
            let both = async { tokio::join!(until(&mut of_first, 4), until(&mut of_second, 4)) };
            tokio::select! {
                () = &mut one => {}
                () = other => {}
                (one, other) = both => assert!(one.is_disjoint(&other), "{one:?} {other:?}"),
            }
        }
        // The other one has ended without a word.
        tokio::select! {
            () = &mut one => {}
            all = until(&mut of_first, 8) => assert_eq!(all.len(), 8),
        }
    }

    #[test]
    fn symbols_are_spread_over_the_shards_and_stay_there() {
        let symbol = |n: usize| format!("A{n}-USD").parse::<Symbol>().unwrap();
        let mut counts = [0; 8];
        for n in 0..800 {
            counts[usize::from(shard_of(&symbol(n), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
        let pinned = ["BTC-USD", "ETH-USD"].map(|symbol| shard_of(&symbol.parse().unwrap(), 8));
        assert_eq!(pinned, [7, 2], "another version of the program has the same");
        assert!((0..100).all(|n| shard_of(&symbol(n), 1) == 0));
    }
}
