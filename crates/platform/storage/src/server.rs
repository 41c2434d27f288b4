//! Shared code of SQL databases on a server: pools with limits, and calls with a deadline.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::RepoError;
use sqlx::pool::PoolOptions;
use sqlx::{Connection, Database};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::StorageConfig;
use crate::error::{is_deadlock, is_lost, is_read_only};

/// A connection that was idle for longer is probed before it is used.
const MAX_UNPROBED_IDLE: Duration = Duration::from_secs(1);
/// How long all connections count as suspect after a call was cancelled.
const SUSPECT_PERIOD: Duration = Duration::from_secs(30);
/// How long a connection may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum interval between two renewals of all connections because of a read-only server.
const RENEW_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum number of attempts of a call that runs into deadlocks.
const MAX_ATTEMPTS: u32 = 12;

/// A connection that can be probed.
pub(crate) trait Probe: Connection {
    /// Sends a request; returns whether the response belongs to it.
    fn probe(&mut self) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

impl StorageConfig {
    /// The options of a pool within these limits, whose calls go through `calls`.
    pub(crate) fn pool_options<DB: Database<Connection: Probe>>(&self, calls: &CallTimeout) -> PoolOptions<DB> {
        let (before, after) = (calls.clone(), calls.clone());
        PoolOptions::new()
            .max_connections(self.database_max_connections.get())
            .acquire_timeout(self.acquire_timeout())
            .test_before_acquire(false)
            .before_acquire(move |connection, about| {
                let outdated = before.is_outdated(about.age);
                Box::pin(
                    async move { Ok(!outdated && (about.idle_for <= MAX_UNPROBED_IDLE || is_sound(connection).await)) },
                )
            })
            .after_release(move |connection, about| {
                let (outdated, is_suspect) = (after.is_outdated(about.age), after.is_suspect());
                Box::pin(async move { Ok(!outdated && (!is_suspect || is_sound(connection).await)) })
            })
    }
}

/// Whether a connection answers a probe correctly and in time. A dead connection would otherwise occupy a slot of the
/// pool.
///
/// A failed probe returns false rather than an error: after an error the driver drops the connection without a
/// protocol-level close and then, over TLS, waits for the server to close it, which can take hours. After false it
/// closes the connection properly, and the server responds.
async fn is_sound<C: Probe>(connection: &mut C) -> bool {
    matches!(timeout(PROBE_TIMEOUT, connection.probe()).await, Ok(Ok(true)))
}

/// Runs calls to a server within a deadline, and repeats them where that is safe. Clones share what they know about the
/// connections.
#[derive(Debug, Clone)]
pub(crate) struct CallTimeout {
    limit: Duration,
    suspect_since: Arc<Mutex<Option<Instant>>>,
    /// Connections that were opened before this time are closed instead of used.
    renewed: Arc<Mutex<Option<Instant>>>,
}

impl CallTimeout {
    /// Calls within the limits of `config`, plus one second for the round trip.
    pub(crate) fn new(config: &StorageConfig) -> Self {
        let limit = config.acquire_timeout() + config.statement_timeout() + Duration::from_secs(1);
        Self { limit, suspect_since: Arc::default(), renewed: Arc::default() }
    }

    /// Runs a call. Repeats it after a deadlock and after a read-only error: in both cases nothing was stored. A call
    /// that exceeds the deadline is cancelled and fails with [`RepoError::Unavailable`].
    ///
    /// A pool does not notice a failover: its connections still lead to the old primary, or their sessions stay
    /// read-only. So a read-only error or a lost connection makes the pool replace all its connections.
    pub(crate) async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        let deadline = Instant::now() + self.limit;
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let began = Instant::now();
            let mut answer = pin!(call());
            // Dropped before the call, which then returns its connection to the pool.
            let mut guard = CancelGuard { calls: self, cancelled: true };
            let answered = timeout_at(deadline, &mut answer).await;
            guard.cancelled = answered.is_err();
            match answered {
                Err(elapsed) => return Err(RepoError::Unavailable(elapsed.into())),
                Ok(Err(error)) if attempt < MAX_ATTEMPTS && is_deadlock(&error) => {
                    sleep(Duration::from_millis(u64::from(attempt))).await;
                    attempt += 1;
                }
                Ok(Err(error)) if !renewed && is_read_only(&error) && self.renew(began) => renewed = true,
                Ok(Err(error)) if is_lost(&error) => {
                    self.renew(began);
                    return Err(error);
                }
                Ok(result) => return result,
            }
        }
    }

    /// Replaces all connections that are open now. False when they were replaced just before `began`, which did not
    /// help.
    fn renew(&self, began: Instant) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        match *renewed {
            // Another call replaced them while this one was running.
            Some(at) if at >= began => true,
            Some(at) if at.elapsed() < RENEW_INTERVAL => false,
            _ => {
                *renewed = Some(Instant::now());
                true
            }
        }
    }

    /// Whether a connection of this age was opened before the last renewal.
    fn is_outdated(&self, age: Duration) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_some_and(|at| at.elapsed() <= age)
    }

    /// Marks all connections as suspect from now on.
    fn mark_suspect(&self) {
        *self.suspect_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_suspect(&self) -> bool {
        let suspect_since = self.suspect_since.lock().unwrap_or_else(PoisonError::into_inner);
        suspect_since.is_some_and(|since| since.elapsed() < SUSPECT_PERIOD)
    }
}

/// Marks connections as suspect when a call is cancelled, by its deadline or by its caller: the next response on its
/// connection may belong to the cancelled request, or never arrive.
struct CancelGuard<'c> {
    calls: &'c CallTimeout,
    cancelled: bool,
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        if self.cancelled {
            self.calls.mark_suspect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_response_ends() {
        let calls = CallTimeout::new(&StorageConfig::default());
        assert!(!calls.is_suspect());
        let result: Result<(), _> = calls.run(std::future::pending).await;
        assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
        assert!(calls.is_suspect());
        tokio::time::advance(SUSPECT_PERIOD).await;
        assert!(!calls.is_suspect());
    }

    #[tokio::test]
    async fn a_call_that_its_caller_cancels_marks_connections_suspect() {
        let calls = CallTimeout::new(&StorageConfig::default());
        calls.run(async || Ok(())).await.unwrap();
        assert!(!calls.is_suspect());
        drop(timeout(Duration::ZERO, calls.run(std::future::pending::<Result<(), RepoError>>)).await);
        assert!(calls.is_suspect());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_calls_renew_outdated_connections_once() {
        let calls = CallTimeout::new(&StorageConfig::default());
        let (age, began) = (Duration::from_secs(9), Instant::now());
        assert!(!calls.is_outdated(age));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(calls.renew(began));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(calls.renew(began), "renewed by the first call");
        assert!(calls.is_outdated(age) && !calls.is_outdated(Duration::ZERO));
        assert!(!calls.renew(Instant::now()), "the new connections are read-only too");
        tokio::time::advance(RENEW_INTERVAL).await;
        assert!(calls.renew(Instant::now()));
    }

    #[tokio::test]
    async fn an_error_other_than_a_deadlock_is_not_retried() {
        let attempts = AtomicU32::new(0);
        let call = || async {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(RepoError::Conflict)
        };
        let result = CallTimeout::new(&StorageConfig::default()).run(call).await;
        assert!(matches!(result, Err(RepoError::Conflict)), "{result:?}");
        assert_eq!(attempts.into_inner(), 1);
    }
}
