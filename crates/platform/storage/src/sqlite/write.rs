//! Write transactions, and the group commit that lets many of them share one `fsync`.
//!
//! SQLite runs one write transaction at a time, and the commit is its expensive part. So writes that arrive while
//! others are running join one transaction, each inside its own savepoint, and it is committed once for all of them as
//! soon as the queued writes have finished. A single write does not wait. Each write still succeeds or is rolled back
//! on its own, and its caller gets the result only after the shared commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_core::{Event, Receipt, RepoError};
use sqlx::sqlite::SqlitePool;
use sqlx::{SqliteConnection, Transaction};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::errors::is_read_only;
use super::{append, classify, record, record_all};
use crate::error::{SharedError, WRITE_PROBE};

/// Starts write transactions, in order of arrival.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pool: SqlitePool,
    /// The mutex is fair: the task that commits a group queues after the writes that were waiting, so those join the
    /// group.
    group: Arc<Mutex<Option<CommitGroup>>>,
    committed: Arc<Notify>,
    /// A write was not committed, so the connection may be unable to write.
    connection_suspect: Arc<AtomicBool>,
    acquire_timeout: Duration,
}

/// Writes that are committed together.
#[derive(Debug)]
struct CommitGroup {
    transaction: Transaction<'static, sqlx::Sqlite>,
    /// Sends the outcome to the callers that wait for the commit.
    outcome: watch::Sender<Option<CommitOutcome>>,
    /// Number of finished writes; the first of them starts the commit.
    finished_writes: usize,
    /// There may be a savepoint that belongs to no write: one was cancelled, and it is not rolled back yet. There is never
    /// more than one: rolling back would otherwise undo what succeeded after the older one.
    rollback_pending: bool,
    has_events: bool,
}

type CommitOutcome = Result<(), SharedError>;

impl Writer {
    /// Writes through the single connection of `pool`; a write waits for it at most `acquire_timeout`.
    pub(super) fn new(pool: SqlitePool, acquire_timeout: Duration) -> Self {
        Self {
            pool,
            group: Arc::default(),
            committed: Arc::default(),
            connection_suspect: Arc::default(),
            acquire_timeout,
        }
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.committed
    }

    pub(super) async fn write(&self) -> Result<Write, RepoError> {
        let waiting = timeout(self.acquire_timeout, Arc::clone(&self.group).lock_owned());
        self.join(waiting.await.map_err(|passed| RepoError::Unavailable(passed.into()))?).await
    }

    /// Fails when the store rejects writes. Succeeds while another write is running: that write gets the error itself.
    pub(super) async fn try_write(&self) -> Result<(), RepoError> {
        let Ok(slot) = Arc::clone(&self.group).try_lock_owned() else { return Ok(()) };
        let mut write = self.join(slot).await?;
        sqlx::query(WRITE_PROBE).execute(write.connection()).await.map_err(classify)?;
        write.commit().await
    }

    async fn join(&self, mut slot: OwnedMutexGuard<Option<CommitGroup>>) -> Result<Write, RepoError> {
        let nested = slot.is_some();
        match slot.as_mut() {
            Some(group) => group.savepoint().await.map_err(classify)?,
            None => *slot = Some(self.begin().await.map_err(classify)?),
        }
        Ok(Write { slot, writer: self.clone(), nested, done: false })
    }

    async fn begin(&self) -> Result<CommitGroup, sqlx::Error> {
        if self.connection_suspect.swap(false, Ordering::Relaxed) {
            self.renew().await?;
        }
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await;
        self.connection_suspect.fetch_or(transaction.is_err(), Ordering::Relaxed);
        Ok(CommitGroup {
            transaction: transaction?,
            outcome: watch::Sender::new(None),
            finished_writes: 0,
            rollback_pending: false,
            has_events: false,
        })
    }

    /// Closes the connection if it cannot write, so that the pool opens a new one: a connection that was opened while
    /// its file was read-only stays read-only.
    async fn renew(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        // The next write reports other errors.
        if let Err(error) = sqlx::query(WRITE_PROBE).execute(&mut *connection).await
            && is_read_only(&error)
        {
            connection.close().await?;
        }
        Ok(())
    }

    /// Commits the group after the writes that are queued now have joined it.
    async fn commit_group(self) {
        let mut slot = self.group.lock_owned().await;
        let Some(mut group) = slot.take() else { return };
        let ended = match group.roll_back_abandoned().await {
            Ok(()) => group.transaction.commit().await,
            Err(error) => Err(error),
        };
        drop(slot);
        self.connection_suspect.fetch_or(ended.is_err(), Ordering::Relaxed);
        if ended.is_ok() && group.has_events {
            self.committed.notify_waiters();
            // Stores a permit for a caller that has just polled and is about to wait.
            self.committed.notify_one();
        }
        group.outcome.send_replace(Some(ended.map_err(|error| SharedError::new(classify(error)))));
    }
}

impl CommitGroup {
    /// Starts a savepoint, which belongs to the caller from then on.
    async fn savepoint(&mut self) -> Result<(), sqlx::Error> {
        self.roll_back_abandoned().await?;
        // The statement is executed also if this is cancelled while it waits.
        self.rollback_pending = true;
        sqlx::query("SAVEPOINT kennel_write").execute(&mut *self.transaction).await?;
        self.rollback_pending = false;
        Ok(())
    }

    /// Rolls back the savepoint of a cancelled write. A write that was cancelled during its commit may have released
    /// its savepoint already; it is then committed with the group. If this is cancelled, it is done again.
    async fn roll_back_abandoned(&mut self) -> Result<(), sqlx::Error> {
        if !self.rollback_pending {
            return Ok(());
        }
        match sqlx::query("ROLLBACK TO kennel_write").execute(&mut *self.transaction).await {
            Err(sqlx::Error::Database(error)) if error.message().starts_with("no such savepoint") => {}
            ended => {
                ended?;
                sqlx::query("RELEASE kennel_write").execute(&mut *self.transaction).await?;
            }
        }
        self.rollback_pending = false;
        Ok(())
    }
}

/// A write transaction: changes, and the events and receipts that are committed with them. It is rolled back when
/// dropped without a commit.
pub struct Write {
    slot: OwnedMutexGuard<Option<CommitGroup>>,
    writer: Writer,
    nested: bool,
    done: bool,
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Write").field("nested", &self.nested).finish_non_exhaustive()
    }
}

impl Write {
    /// The connection, for statements of the transaction.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.group().transaction
    }

    /// Adds events to the outbox, in this order.
    pub async fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        append(self.connection(), events).await?;
        self.group().has_events |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. Returns false when it was already recorded.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(self.connection(), receipt).await
    }

    /// Adds receipts to the inbox. Returns the events that had none.
    pub async fn record_all(&mut self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        record_all(self.connection(), receipts).await
    }

    /// Commits, and wakes callers that wait for events. After an error it is unknown whether the transaction was
    /// committed.
    pub async fn commit(mut self) -> Result<(), RepoError> {
        if self.nested {
            sqlx::query("RELEASE kennel_write").execute(self.connection()).await.map_err(classify)?;
        }
        self.done = true;
        let group = self.group();
        group.finished_writes += 1;
        let (first, mut outcome) = (group.finished_writes == 1, group.outcome.subscribe());
        let writer = self.writer.clone();
        drop(self);
        if first {
            commit_in_background(writer);
        }
        let outcome =
            outcome.wait_for(Option::is_some).await.map_err(|closed| RepoError::Unavailable(closed.into()))?;
        outcome.clone().unwrap_or(Ok(())).map_err(|error| error.to_error())
    }

    fn group(&mut self) -> &mut CommitGroup {
        self.slot.as_mut().expect("the slot has a group while a write has locked it")
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.writer.connection_suspect.store(true, Ordering::Relaxed);
        match self.slot.as_mut() {
            Some(group) if group.finished_writes > 0 => group.rollback_pending = true,
            // The group has no other write: dropping the transaction rolls it back.
            _ => *self.slot = None,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "other callers wait for this commit, so it must not be cancelled with one caller's request"
)]
fn commit_in_background(writer: Writer) {
    drop(tokio::spawn(writer.commit_group()));
}
