//! The outbox lease when clocks disagree.
//!
//! The store's clock decides when a lease expires. That clock can be set back, and SQLite uses the clock of each
//! process, so a stored lease can expire later than any lease granted now would. Its expiry is then meaningless: the
//! lease is valid for as long as this process sees it renewed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// A stored lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: Uuid,
    /// When it expires, in milliseconds since the Unix epoch.
    pub(crate) expires_at: i64,
}

/// Watches a lease that expires too late. Clones share their observations.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseWatch(Arc<Mutex<Option<(Lease, Instant)>>>);

impl LeaseWatch {
    /// Records that another process has this lease at the store's time `now`; a lease lasts for `ttl`.
    pub(crate) fn observe(&self, lease: Lease, now: i64, ttl: Duration) {
        let is_too_far = lease.expires_at.saturating_sub(now) > as_millis(ttl);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = match *seen {
            _ if !is_too_far => None,
            Some((known, since)) if known == lease => Some((known, since)),
            _ => Some((lease, Instant::now())),
        };
    }

    /// The lease that may be taken over although it has not expired: it was not renewed for `ttl`.
    pub(crate) fn abandoned(&self, ttl: Duration) -> Option<Lease> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, since)| since.elapsed() >= ttl).map(|(lease, _)| lease)
    }
}

/// `ttl` in milliseconds, the unit of the column.
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
    async fn a_lease_that_expires_too_late_is_abandoned_when_not_renewed() {
        let watch = LeaseWatch::default();
        let lease = Lease { holder: Uuid::from_u128(1), expires_at: HOUR };
        watch.observe(lease, 0, TTL);
        advance(TTL / 2).await;
        watch.observe(lease, 1_500, TTL);
        assert_eq!(watch.abandoned(TTL), None);
        advance(TTL / 2).await;
        assert_eq!(watch.abandoned(TTL), Some(lease));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_or_expires_in_time_is_not_abandoned() {
        let watch = LeaseWatch::default();
        let holder = Uuid::from_u128(1);
        for round in 0..9 {
            watch.observe(Lease { holder, expires_at: HOUR + round }, round, TTL);
            advance(TTL / 3).await;
            assert_eq!(watch.abandoned(TTL), None);
        }
        // The clock is correct again.
        watch.observe(Lease { holder, expires_at: 3_000 }, 0, TTL);
        advance(TTL * 2).await;
        assert_eq!(watch.abandoned(TTL), None);
    }
}
