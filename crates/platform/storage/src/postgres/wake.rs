//! Tells those who wait for events, here and in other processes, that some were committed.
//!
//! Within the process that is a word in memory. Other processes are told by `NOTIFY`: not within the transaction, where
//! it would make all commits of the server queue behind one lock, but after it, once for all commits of a moment. Who
//! misses it looks again after a while in any case.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CHANNEL: &str = "kennel_outbox";
/// Commits of so short a time are told of together.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long the last word may take when the database is closed.
const LAST_WORD: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Wakes those who wait for events.
#[derive(Debug)]
pub(super) struct Wake {
    pool: PgPool,
    listening: Option<PgPool>,
    words: Arc<Words>,
    task: Mutex<Option<JoinSet<()>>>,
}

#[derive(Debug, Default)]
struct Words {
    /// Events may have been committed, here or elsewhere.
    committed: Notify,
    /// Other processes are to be told.
    untold: AtomicBool,
    telling: Notify,
}

impl Words {
    fn wake(&self) {
        self.committed.notify_waiters();
        // Kept for one who has just looked and is about to wait.
        self.committed.notify_one();
    }
}

impl Wake {
    /// Tells through `pool` and listens on the one connection of `listening`. Without it, other processes are neither told
    /// nor heard.
    pub(super) fn new(pool: PgPool, listening: Option<PgPool>) -> Self {
        Self { pool, listening, words: Arc::default(), task: Mutex::new(None) }
    }

    /// Says that this process has committed events.
    pub(super) fn committed(&self) {
        self.words.wake();
        self.words.untold.store(true, Ordering::Release);
        self.words.telling.notify_one();
        self.start();
    }

    /// Returns when events may have been committed, here or elsewhere, or after `longest`.
    pub(super) async fn wait(&self, longest: Duration) {
        self.start();
        // Both ends of the wait are good ones.
        drop(timeout(longest, self.words.committed.notified()).await);
    }

    /// Says the last word and ends listening.
    pub(super) async fn close(&self) {
        let Some(listening) = &self.listening else { return };
        drop(self.task.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Whoever misses it looks again after a while.
        drop(timeout(LAST_WORD, tell(&self.pool, &self.words, 0)).await);
        listening.close().await;
    }

    /// Listening begins with the first need of it: most commands neither commit events nor wait for them.
    fn start(&self) {
        let Some(listening) = &self.listening else { return };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_some() || listening.is_closed() {
            return;
        }
        let (pool, listening, words) = (self.pool.clone(), listening.clone(), Arc::clone(&self.words));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { exchange(&pool, &listening, &words).await });
        *task = Some(tasks);
    }
}

/// Tells and listens until the database is closed.
async fn exchange(pool: &PgPool, listening: &PgPool, words: &Words) {
    let mut delay = RETRY_MIN;
    while !listening.is_closed() {
        let Err(error) = listen(pool, listening, words, &mut delay).await;
        if !matches!(error, sqlx::Error::PoolClosed) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                ?delay,
                "commits of other processes are not heard"
            );
        }
        sleep(delay).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
}

async fn listen(
    pool: &PgPool,
    listening: &PgPool,
    words: &Words,
    delay: &mut Duration,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(listening).await?;
    listener.listen(CHANNEL).await?;
    let (own,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()").fetch_one(&mut listener).await?;
    *delay = RETRY_MIN;
    // What was said before is not heard any more.
    words.wake();
    let own_word = own.to_string();
    loop {
        tokio::select! {
            heard = listener.try_recv() => {
                // None after the connection was lost and made again: something may have been missed.
                if heard?.is_none_or(|word| word.payload() != own_word) {
                    words.wake();
                }
            }
            () = words.telling.notified() => {
                sleep(TOGETHER).await;
                tell(pool, words, own).await?;
            }
        }
    }
}

async fn tell(pool: &PgPool, words: &Words, own: i32) -> Result<(), sqlx::Error> {
    if words.untold.swap(false, Ordering::AcqRel) {
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(own.to_string()).execute(pool).await;
        if told.is_err() {
            words.untold.store(true, Ordering::Release);
            words.telling.notify_one();
        }
        told?;
    }
    Ok(())
}
