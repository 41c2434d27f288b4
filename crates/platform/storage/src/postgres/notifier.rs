//! Notifies waiting outboxes, in this process and in others, that events were committed.
//!
//! Within the process this is a [`Notify`]. Other processes get a `NOTIFY`. It is sent after the transaction, because
//! inside it all commits of the server would wait for one lock, and once for all commits of [`COALESCE_WINDOW`]. A lost
//! notification only delays: waiting callers also poll.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::Backoff;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CHANNEL: &str = "kennel_outbox";
/// Commits within this time share one notification.
const COALESCE_WINDOW: Duration = Duration::from_millis(10);
/// How long the final notification may take when the database is closed.
const FINAL_NOTIFY_TIMEOUT: Duration = Duration::from_secs(1);
/// Delays between attempts to listen.
const RECONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));

/// Wakes callers that wait for commits.
#[derive(Debug)]
pub(super) struct CommitNotifier {
    pool: PgPool,
    listening: Option<PgPool>,
    state: Arc<NotifyState>,
    task: Mutex<Option<JoinSet<()>>>,
}

#[derive(Debug, Default)]
struct NotifyState {
    /// Events may have been committed, here or elsewhere.
    committed: Notify,
    /// Other processes have not been notified yet.
    notify_pending: AtomicBool,
    notify_requested: Notify,
}

impl NotifyState {
    fn wake_waiters(&self) {
        self.committed.notify_waiters();
        // Stores a permit for a caller that has just polled and is about to wait.
        self.committed.notify_one();
    }
}

impl CommitNotifier {
    /// Notifies through `pool` and listens on the single connection of `listening`. Without `listening`, other
    /// processes are not notified, and their notifications are not received.
    pub(super) fn new(pool: PgPool, listening: Option<PgPool>) -> Self {
        Self { pool, listening, state: Arc::default(), task: Mutex::new(None) }
    }

    /// Announces that this process has committed events.
    pub(super) fn committed(&self) {
        self.state.wake_waiters();
        self.state.notify_pending.store(true, Ordering::Release);
        self.state.notify_requested.notify_one();
        self.start();
    }

    /// Returns when events may have been committed, here or elsewhere, or after `max_wait`.
    pub(super) async fn wait(&self, max_wait: Duration) {
        self.start();
        // A notification and a timeout both end the wait.
        drop(timeout(max_wait, self.state.committed.notified()).await);
    }

    /// Sends the final notification and stops listening.
    pub(super) async fn close(&self) {
        let Some(listening) = &self.listening else { return };
        drop(self.task.lock().unwrap_or_else(PoisonError::into_inner).take());
        // A lost notification only delays: waiting callers also poll.
        drop(timeout(FINAL_NOTIFY_TIMEOUT, notify(&self.pool, &self.state, 0)).await);
        listening.close().await;
    }

    /// Starts listening on first use: most CLI commands neither commit events nor wait for them.
    fn start(&self) {
        let Some(listening) = &self.listening else { return };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_some() || listening.is_closed() {
            return;
        }
        let (pool, listening, state) = (self.pool.clone(), listening.clone(), Arc::clone(&self.state));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { listen_and_notify(&pool, &listening, &state).await });
        *task = Some(tasks);
    }
}

/// Sends and receives notifications until the database is closed.
async fn listen_and_notify(pool: &PgPool, listening: &PgPool, state: &NotifyState) {
    let mut failures = 0;
    while !listening.is_closed() {
        let Err(error) = listen(pool, listening, state, &mut failures).await;
        failures += 1;
        let delay = RECONNECT_BACKOFF.delay(failures);
        if !matches!(error, sqlx::Error::PoolClosed) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                ?delay,
                "LISTEN connection lost, falling back to polling"
            );
        }
        sleep(delay).await;
    }
}

async fn listen(
    pool: &PgPool,
    listening: &PgPool,
    state: &NotifyState,
    failures: &mut u32,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(listening).await?;
    listener.listen(CHANNEL).await?;
    let (own,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()").fetch_one(&mut listener).await?;
    *failures = 0;
    // Notifications before LISTEN are lost, so waiting callers must poll once.
    state.wake_waiters();
    let own_payload = own.to_string();
    loop {
        tokio::select! {
            received = listener.try_recv() => {
                // None after a reconnect: notifications may have been lost.
                if received?.is_none_or(|notification| notification.payload() != own_payload) {
                    state.wake_waiters();
                }
            }
            () = state.notify_requested.notified() => {
                sleep(COALESCE_WINDOW).await;
                notify(pool, state, own).await?;
            }
        }
    }
}

async fn notify(pool: &PgPool, state: &NotifyState, own: i32) -> Result<(), sqlx::Error> {
    if state.notify_pending.swap(false, Ordering::AcqRel) {
        let sent = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(own.to_string()).execute(pool).await;
        if sent.is_err() {
            state.notify_pending.store(true, Ordering::Release);
            state.notify_requested.notify_one();
        }
        sent?;
    }
    Ok(())
}
