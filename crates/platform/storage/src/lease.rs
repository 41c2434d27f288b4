//! The lease of an outbox where clocks disagree.
//!
//! The store's own clock says when a lease runs out. That clock can be set back, and SQLite's is that of the process
//! that asks, so a lease can be found that ends further ahead than one can be. Nothing is to be learned from its end
//! then. It holds for as long as it is seen to be renewed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// The lease as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: Uuid,
    /// When it ends, in milliseconds since the Unix epoch.
    pub(crate) until: i64,
}

/// Watches a lease that ends too far ahead. Clones share what they have seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseWatch(Arc<Mutex<Option<(Lease, Instant)>>>);

impl LeaseWatch {
    /// Notes that another process has this lease at the store's time `now`, where leases last for `ttl`.
    pub(crate) fn observe(&self, lease: Lease, now: i64, ttl: Duration) {
        let is_too_far = lease.until.saturating_sub(now) > as_millis(ttl);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = match *seen {
            _ if !is_too_far => None,
            Some((known, since)) if known == lease => Some((known, since)),
            _ => Some((lease, Instant::now())),
        };
    }

    /// The lease that may be taken although its end is ahead: it was not renewed for as long as one lasts.
    pub(crate) fn abandoned(&self, ttl: Duration) -> Option<Lease> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, since)| since.elapsed() >= ttl).map(|(lease, _)| lease)
    }
}

/// `ttl` in the unit of the column.
pub(crate) fn as_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TTL: Duration = Duration::from_secs(3);
    const HOUR: i64 = 3_600_000;

    #[tokio::test(start_paused = true)]
    async fn a_lease_too_far_ahead_is_abandoned_once_it_is_not_renewed() {
        let watch = LeaseWatch::default();
        let lease = Lease { holder: Uuid::from_u128(1), until: HOUR };
        watch.observe(lease, 0, TTL);
        advance(TTL / 2).await;
        watch.observe(lease, 1_500, TTL);
        assert_eq!(watch.abandoned(TTL), None);
        advance(TTL / 2).await;
        assert_eq!(watch.abandoned(TTL), Some(lease));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_or_ends_in_time_is_not_abandoned() {
        let watch = LeaseWatch::default();
        let holder = Uuid::from_u128(1);
        for round in 0..9 {
            watch.observe(Lease { holder, until: HOUR + round }, round, TTL);
            advance(TTL / 3).await;
            assert_eq!(watch.abandoned(TTL), None);
        }
        // The clock is right again.
        watch.observe(Lease { holder, until: 3_000 }, 0, TTL);
        advance(TTL * 2).await;
        assert_eq!(watch.abandoned(TTL), None);
    }
}
