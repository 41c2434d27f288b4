//! What SQL databases on a server share: pools within limits, and calls that are bounded in time.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::RepoError;
use sqlx::pool::PoolOptions;
use sqlx::{Connection, Database};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::PoolConfig;
use crate::error::{is_deadlock, is_lost, is_read_only};

/// Connections that were idle for longer are asked for a sign of life before they are used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long connections are mistrusted after a call was cut short.
const SUSPICION: Duration = Duration::from_secs(30);
/// How long a mistrusted connection may take to answer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// How often the connections are renewed at most because the server that they lead to does not write.
const RENEWAL: Duration = Duration::from_millis(250);
/// How often a call is made at most when it comes into deadlocks with others.
const ATTEMPTS: u32 = 12;

/// How a connection shows that it is sound.
pub(crate) trait Probe: Connection {
    /// Asks it something; whether it is this that it answers.
    fn probe(&mut self) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

impl PoolConfig {
    /// The options of a pool within these limits, whose calls go through `calls`.
    pub(crate) fn options<DB: Database<Connection: Probe>>(&self, calls: &Calls) -> PoolOptions<DB> {
        let (before, after) = (calls.clone(), calls.clone());
        PoolOptions::new()
            .max_connections(self.max_connections.get())
            .acquire_timeout(self.acquire_timeout())
            .test_before_acquire(false)
            .before_acquire(move |connection, about| {
                let outdated = before.is_outdated(about.age);
                Box::pin(async move { Ok(!outdated && (about.idle_for <= TRUSTED_IDLE || is_sound(connection).await)) })
            })
            .after_release(move |connection, about| {
                let (outdated, suspicious) = (after.is_outdated(about.age), after.suspicious());
                Box::pin(async move { Ok(!outdated && (!suspicious || is_sound(connection).await)) })
            })
    }
}

/// Whether a connection answers in time, and what it was asked; one into nowhere would keep its place in the pool.
///
/// A failure is no error of the hook: the driver would close the connection without a word then, and over TLS wait
/// until the server says one, for hours. One that is not sound is told goodbye, which the server answers.
async fn is_sound<C: Probe>(connection: &mut C) -> bool {
    matches!(timeout(SIGN_OF_LIFE, connection.probe()).await, Ok(Ok(true)))
}

/// Makes calls to a server that may be away. Clones share what they learn about it.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    limit: Duration,
    silence: Arc<Mutex<Option<Instant>>>,
    /// Connections that were opened before this are given up.
    renewed: Arc<Mutex<Option<Instant>>>,
}

impl Calls {
    /// Calls within the limits of `config`, with a little time for the way there and back.
    pub(crate) fn new(config: &PoolConfig) -> Self {
        let limit = config.acquire_timeout() + config.statement_timeout() + Duration::from_secs(1);
        Self { limit, silence: Arc::default(), renewed: Arc::default() }
    }

    /// Makes a call, and makes it again when the server chose it to end a deadlock, or does not write: then nothing of it
    /// is stored. A call that takes too long is dropped and fails with [`RepoError::Unavailable`].
    ///
    /// A pool knows nothing of a failover: its connections to a server that has become a replica, or those of a session
    /// that was read-only when it began, stay as they are while what they lead to has long moved on. So an answer that
    /// says so is the end of all of them, and so is a connection that is lost.
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
            // Goes before the call does, which then gives its connection back.
            let mut cut = Cut { calls: self, short: true };
            let answered = timeout_at(deadline, &mut answer).await;
            cut.short = answered.is_err();
            match answered {
                Err(elapsed) => return Err(RepoError::Unavailable(elapsed.into())),
                Ok(Err(error)) if attempt < ATTEMPTS && is_deadlock(&error) => {
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

    /// Gives up all connections that are open now. False when that was done right before `began`, and so was no help.
    fn renew(&self, began: Instant) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        match *renewed {
            // By another call, while this one was under way.
            Some(at) if at >= began => true,
            Some(at) if at.elapsed() < RENEWAL => false,
            _ => {
                *renewed = Some(Instant::now());
                true
            }
        }
    }

    /// Whether a connection of this age has been given up.
    fn is_outdated(&self, age: Duration) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_some_and(|at| at.elapsed() <= age)
    }

    /// Mistrusts connections from now on.
    fn suspect(&self) {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn suspicious(&self) -> bool {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.is_some_and(|since| since.elapsed() < SUSPICION)
    }
}

/// Notices that a call is dropped in the middle, by its own limit or by its caller: what its connection hears next may
/// be the answer to another question, or nothing.
struct Cut<'c> {
    calls: &'c Calls,
    short: bool,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if self.short {
            self.calls.suspect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_into_nowhere_ends() {
        let calls = Calls::new(&PoolConfig::default());
        assert!(!calls.suspicious());
        let result: Result<(), _> = calls.run(std::future::pending).await;
        assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
        assert!(calls.suspicious());
        tokio::time::advance(SUSPICION).await;
        assert!(!calls.suspicious());
    }

    #[tokio::test]
    async fn a_call_that_its_caller_drops_is_noticed() {
        let calls = Calls::new(&PoolConfig::default());
        calls.run(async || Ok(())).await.unwrap();
        assert!(!calls.suspicious());
        drop(timeout(Duration::ZERO, calls.run(std::future::pending::<Result<(), RepoError>>)).await);
        assert!(calls.suspicious());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_renewed_once_for_all_who_found_them_outdated() {
        let calls = Calls::new(&PoolConfig::default());
        let (age, began) = (Duration::from_secs(9), Instant::now());
        assert!(!calls.is_outdated(age));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(calls.renew(began));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(calls.renew(began), "by the first one");
        assert!(calls.is_outdated(age) && !calls.is_outdated(Duration::ZERO));
        assert!(!calls.renew(Instant::now()), "the new ones are no better");
        tokio::time::advance(RENEWAL).await;
        assert!(calls.renew(Instant::now()));
    }

    #[tokio::test]
    async fn a_failure_that_is_no_deadlock_is_not_repeated() {
        let made = AtomicU32::new(0);
        let call = || async {
            made.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(RepoError::Conflict)
        };
        let result = Calls::new(&PoolConfig::default()).run(call).await;
        assert!(matches!(result, Err(RepoError::Conflict)), "{result:?}");
        assert_eq!(made.into_inner(), 1);
    }
}
