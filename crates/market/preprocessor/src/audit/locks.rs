//! The limits of a venue are for all processes: one at a time compares.

use std::time::Duration;

use kennel_cache::Locks;
use kennel_core::cache::CacheError;
use tokio::time::sleep;

/// The lock of the process that compares regularly.
const REGULAR: &str = "venues";
/// The lock of a comparison that is running.
const RUNNING: &str = "running";
/// How long it lasts after its last renewal.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is tried to acquire it.
const POLL: Duration = Duration::from_millis(500);

/// Why something did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// The cache with the locks.
    #[error("the locks are unavailable")]
    Cache(#[from] CacheError),
    /// The lock has expired, and another process has it.
    #[error("another process compares now")]
    Lost,
}

/// Runs `work` once no other process compares.
pub(crate) async fn alone<T>(locks: &Locks, work: impl Future<Output = T>) -> Result<T, LockError> {
    let mut waits = false;
    while !locks.acquire(RUNNING, LEASE).await? {
        if !std::mem::replace(&mut waits, true) {
            tracing::info!("another process compares; waiting until it has ended");
        }
        sleep(POLL).await;
    }
    let result = renewing(locks, RUNNING, LEASE, LEASE / 3, work).await;
    // If it cannot be released, it expires.
    locks.release(RUNNING).await.ok();
    result
}

/// Runs `work` once no other process compares, unless another replica does so regularly: returns `None` then. The lock outlives the
/// interval, so it stays with one replica until that one has ended.
pub(crate) async fn regularly<T>(
    locks: &Locks,
    interval: Duration,
    work: impl Future<Output = T>,
) -> Result<Option<T>, LockError> {
    let lifetime = interval.saturating_mul(2);
    if !locks.acquire(REGULAR, lifetime).await? {
        return Ok(None);
    }
    renewing(locks, REGULAR, lifetime, interval, alone(locks, work)).await?.map(Some)
}

/// Runs `work` as long as the lock can be renewed. While the cache does not respond, it goes on.
async fn renewing<T>(
    locks: &Locks,
    key: &str,
    lifetime: Duration,
    interval: Duration,
    work: impl Future<Output = T>,
) -> Result<T, LockError> {
    let lost = async {
        loop {
            sleep(interval).await;
            if let Ok(false) = locks.acquire(key, lifetime).await {
                return;
            }
        }
    };
    tokio::select! {
        result = work => Ok(result),
        () = lost => Err(LockError::Lost),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use kennel_cache::Connected;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_process_compares_at_a_time() {
        let cache = Connected::memory(1 << 20);
        let [service, command, replica] =
            ["service", "command", "replica"].map(|holder| Locks::new(&cache, "audit", holder));
        let interval = Duration::from_mins(1);
        let (end, ended) = oneshot::channel::<()>();
        let regular = regularly(&service, interval, ended);
        tokio::pin!(regular);
        // It has started: another replica leaves it alone.
        assert!(regular.as_mut().now_or_never().is_none());
        assert!(regularly(&replica, interval, async {}).await.unwrap().is_none());
        let other = alone(&command, async {});
        tokio::pin!(other);
        assert!(other.as_mut().now_or_never().is_none(), "it waits");
        end.send(()).unwrap();
        assert_eq!(regular.await.unwrap(), Some(Ok(())));
        other.await.unwrap();
        // Between two comparisons, the replica that compares regularly is still the same.
        assert!(regularly(&replica, interval, async {}).await.unwrap().is_none());
    }
}
