//! Limits how often a password can be guessed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kennel_cache::Counters;
use kennel_core::{BoxError, Clock};
use kennel_net::client_network;

use crate::store::AccountKind;

/// Counts attempts to log in, over all replicas that share a cache. An attempt counts before the password is checked, so that
/// concurrent ones cannot pass together; it is taken back unless its password was wrong.
///
/// The address counts first: one that is refused changes no other counter, so it can neither lock an account nor evict counters
/// with invented names. The secret of a service account cannot be guessed, so its name does not count.
#[derive(Clone)]
pub struct Throttle {
    counters: Counters,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

/// How many failed attempts are allowed in a window.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one name from one address, whether an account has the name or not.
    pub per_account: i64,
    /// For one name from all addresses. Whoever has many addresses can lock an account with it.
    pub per_name: i64,
    /// From one address.
    pub per_address: i64,
    /// The length of a window. Windows follow each other without a gap.
    pub window: Duration,
}

/// An attempt that was counted.
#[derive(Debug)]
#[must_use]
pub struct Attempt(Vec<String>);

/// Why an attempt is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Throttled {
    /// There were too many.
    #[error("too many attempts; try again later")]
    TooMany {
        /// The rest of the window.
        retry_after: Duration,
    },
    /// The counters are unavailable. Without them, passwords could be guessed without a limit.
    #[error("attempts cannot be counted")]
    Unavailable(#[source] BoxError),
}

impl Throttle {
    /// Counts in `counters`.
    pub const fn new(counters: Counters, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self { counters, limits, clock }
    }

    /// Counts an attempt. Fails if there were too many: then it counts only for what has refused it.
    pub async fn attempt(&self, kind: AccountKind, name: &str, address: IpAddr) -> Result<Attempt, Throttled> {
        let (window, rest) = self.window();
        let (kind_name, address) = (kind.name(), client_network(address));
        // The key has the number of the window: an attempt that is taken back later does not change the next one.
        let mut limits = vec![(format!("{kind_name}:{window}:address:{address}"), self.limits.per_address)];
        if kind == AccountKind::User {
            limits.push((format!("{kind_name}:{window}:account:{name}:{address}"), self.limits.per_account));
            limits.push((format!("{kind_name}:{window}:name:{name}"), self.limits.per_name));
        }
        let mut counted = Attempt(Vec::new());
        for (key, limit) in limits {
            if self.add(&key, 1).await? > limit {
                self.take_back(counted).await?;
                return Err(Throttled::TooMany { retry_after: rest });
            }
            counted.0.push(key);
        }
        Ok(counted)
    }

    /// Takes an attempt back: its password was right, or could not be checked.
    pub async fn take_back(&self, attempt: Attempt) -> Result<(), Throttled> {
        for key in attempt.0 {
            self.add(&key, -1).await?;
        }
        Ok(())
    }

    /// The number of the current window, and how long it lasts.
    fn window(&self) -> (u64, Duration) {
        let now = u64::try_from(self.clock.now().as_millis()).unwrap_or_default();
        let length = u64::try_from(self.limits.window.as_millis()).unwrap_or(u64::MAX).max(1);
        (now / length, Duration::from_millis(length - now % length))
    }

    async fn add(&self, key: &str, by: i64) -> Result<i64, Throttled> {
        let counted = self.counters.increment(key, by, self.limits.window).await;
        counted.map_err(|error| Throttled::Unavailable(error.into()))
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kennel_cache::Connected;
    use kennel_core::{ManualClock, Timestamp};

    use super::*;
    use AccountKind::{Service, User};

    const WINDOW: Duration = Duration::from_mins(15);

    /// Counters whose window began 20 seconds ago.
    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let limits = Limits { per_account: 3, per_name: 6, per_address: 5, window: WINDOW };
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000 * 1_000_000 + 20_000).unwrap()));
        let counters = Counters::new(&Connected::memory(1_000_000), "test");
        (Throttle::new(counters, limits, Arc::<ManualClock>::clone(&clock)), clock)
    }

    fn addresses<const N: usize>(texts: [&str; N]) -> [IpAddr; N] {
        texts.map(|text| text.parse().unwrap())
    }

    async fn is_refused(throttle: &Throttle, kind: AccountKind, name: &str, address: IpAddr) -> bool {
        matches!(throttle.attempt(kind, name, address).await, Err(Throttled::TooMany { .. }))
    }

    async fn fail(throttle: &Throttle, kind: AccountKind, name: &str, address: IpAddr, times: u32) {
        for _ in 0..times {
            drop(throttle.attempt(kind, name, address).await.unwrap());
        }
    }

    #[tokio::test]
    async fn failed_attempts_count_for_the_name_and_for_the_address() {
        let (throttle, _) = throttle();
        let [one, two, three, four] = addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        fail(&throttle, User, "ann", one, 3).await;
        assert!(is_refused(&throttle, User, "ann", one).await, "the name from this address");
        fail(&throttle, User, "ann", two, 2).await;
        fail(&throttle, User, "ann", three, 1).await;
        assert!(is_refused(&throttle, User, "ann", four).await, "the name from anywhere");
        fail(&throttle, User, "bob", one, 1).await;
        fail(&throttle, User, "cat", one, 1).await;
        assert!(is_refused(&throttle, User, "dan", one).await, "any name from this address");
        fail(&throttle, User, "dan", four, 1).await;
    }

    #[tokio::test]
    async fn an_address_that_is_refused_locks_no_account() {
        let (throttle, _) = throttle();
        let [bad, good] = addresses(["10.0.0.1", "10.0.0.2"]);
        for name in ["a", "b", "c", "d", "e"] {
            fail(&throttle, User, name, bad, 1).await;
        }
        for _ in 0..100 {
            assert!(is_refused(&throttle, User, "ann", bad).await);
        }
        fail(&throttle, User, "ann", good, 3).await;
    }

    #[tokio::test]
    async fn names_of_service_accounts_do_not_count_and_kinds_count_apart() {
        let (throttle, _) = throttle();
        let [one, two, three] = addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        fail(&throttle, Service, "nightly", one, 5).await;
        assert!(is_refused(&throttle, Service, "nightly", one).await);
        fail(&throttle, Service, "nightly", two, 5).await;
        fail(&throttle, Service, "nightly", three, 1).await;
        fail(&throttle, User, "nightly", one, 3).await;
    }

    #[tokio::test]
    async fn attempts_that_are_taken_back_do_not_count() {
        let (throttle, clock) = throttle();
        let [address] = addresses(["10.0.0.1"]);
        for _ in 0..20 {
            let attempt = throttle.attempt(User, "ann", address).await.unwrap();
            throttle.take_back(attempt).await.unwrap();
        }
        let late = throttle.attempt(User, "ann", address).await.unwrap();
        clock.advance(WINDOW);
        throttle.take_back(late).await.unwrap();
        fail(&throttle, User, "ann", address, 3).await;
        assert!(is_refused(&throttle, User, "ann", address).await, "the next window has no credit");
    }

    #[tokio::test]
    async fn a_refusal_lasts_for_the_rest_of_the_window() {
        let (throttle, clock) = throttle();
        let [address] = addresses(["10.0.0.1"]);
        fail(&throttle, User, "ann", address, 3).await;
        let error = throttle.attempt(User, "ann", address).await.unwrap_err();
        let rest = WINDOW.saturating_sub(Duration::from_secs(20));
        assert!(matches!(error, Throttled::TooMany { retry_after } if retry_after == rest), "{error:?}");
        clock.advance(rest);
        fail(&throttle, User, "ann", address, 1).await;
    }
}
