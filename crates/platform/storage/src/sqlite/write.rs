//! Write transactions, and the group commit that lets many of them share one trip to the disk.
//!
//! SQLite writes one transaction at a time, and the dear part of it is the commit. So writes that arrive while others
//! are under way join one transaction, each behind a savepoint of its own, and it commits once for all of them as soon
//! as those who were waiting are through. A write that comes alone waits for no one. Each write still succeeds or
//! leaves no trace by itself; none is told that it is done before the commit that holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kennel_core::{Event, Receipt, RepoError};
use sqlx::sqlite::SqlitePool;
use sqlx::{SqliteConnection, Transaction};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio::time::timeout;

use super::errors::is_read_only;
use super::{append, classify, record};
use crate::error::TRY_WRITE;

/// Hands out write transactions, in order of arrival.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pool: SqlitePool,
    /// The mutex is fair: whoever ends a group queues behind the writes that were waiting, and those join it.
    group: Arc<Mutex<Option<Group>>>,
    committed: Arc<Notify>,
    /// A write was not committed: perhaps the connection cannot write.
    doubted: Arc<AtomicBool>,
    patience: Duration,
}

/// Writes that commit together.
#[derive(Debug)]
struct Group {
    transaction: Transaction<'static, sqlx::Sqlite>,
    /// Told to those who wait for the commit.
    outcome: watch::Sender<Option<Outcome>>,
    /// Writes in it that are done; the first of them sees to the commit.
    members: usize,
    /// A write was given up, and its savepoint has still to be rolled back.
    torn: bool,
    tells: bool,
}

type Outcome = Result<(), Arc<RepoError>>;

impl Writer {
    /// Writes through the one connection of `pool`, for which a write waits at most `patience`.
    pub(super) fn new(pool: SqlitePool, patience: Duration) -> Self {
        Self { pool, group: Arc::default(), committed: Arc::default(), doubted: Arc::default(), patience }
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.committed
    }

    pub(super) async fn write(&self) -> Result<Write, RepoError> {
        let waiting = timeout(self.patience, Arc::clone(&self.group).lock_owned());
        self.join(waiting.await.map_err(|passed| RepoError::Unavailable(passed.into()))?).await
    }

    /// Fails when writes are refused. Those that are under way find out for themselves.
    pub(super) async fn try_write(&self) -> Result<(), RepoError> {
        let Ok(place) = Arc::clone(&self.group).try_lock_owned() else { return Ok(()) };
        let mut write = self.join(place).await?;
        sqlx::query(TRY_WRITE).execute(write.connection()).await.map_err(classify)?;
        write.commit().await
    }

    async fn join(&self, mut place: OwnedMutexGuard<Option<Group>>) -> Result<Write, RepoError> {
        let nested = place.is_some();
        match place.as_mut() {
            Some(group) => group.savepoint().await.map_err(classify)?,
            None => *place = Some(self.begin().await.map_err(classify)?),
        }
        Ok(Write { place, writer: self.clone(), nested, done: false })
    }

    async fn begin(&self) -> Result<Group, sqlx::Error> {
        if self.doubted.swap(false, Ordering::Relaxed) {
            self.renew().await?;
        }
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        self.doubted.fetch_or(begun.is_err(), Ordering::Relaxed);
        Ok(Group { transaction: begun?, outcome: watch::Sender::new(None), members: 0, torn: false, tells: false })
    }

    /// Gives the connection up if it cannot write, so that it is opened anew: one that was opened while its file was
    /// read-only stays so, whatever becomes of the file.
    async fn renew(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        // Other errors are those of the write that comes next.
        if let Err(error) = sqlx::query(TRY_WRITE).execute(&mut *connection).await
            && is_read_only(&error)
        {
            connection.close().await?;
        }
        Ok(())
    }

    /// Commits the group once those who are waiting now have joined it.
    async fn end(self) {
        let mut place = self.group.lock_owned().await;
        let Some(mut group) = place.take() else { return };
        let ended = match group.mend().await {
            Ok(()) => group.transaction.commit().await,
            Err(error) => Err(error),
        };
        drop(place);
        self.doubted.fetch_or(ended.is_err(), Ordering::Relaxed);
        if ended.is_ok() && group.tells {
            self.committed.notify_waiters();
            // Kept for one who has just looked and is about to wait.
            self.committed.notify_one();
        }
        group.outcome.send_replace(Some(ended.map_err(|error| Arc::new(classify(error)))));
    }
}

impl Group {
    async fn savepoint(&mut self) -> Result<(), sqlx::Error> {
        self.mend().await?;
        sqlx::query("SAVEPOINT one").execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Takes back what a write that was given up has left. A write given up in the middle of its commit may be past
    /// its savepoint already, and then stays.
    async fn mend(&mut self) -> Result<(), sqlx::Error> {
        if !std::mem::take(&mut self.torn) {
            return Ok(());
        }
        match sqlx::query("ROLLBACK TO one").execute(&mut *self.transaction).await {
            Err(sqlx::Error::Database(error)) if error.message().starts_with("no such savepoint") => return Ok(()),
            ended => ended?,
        };
        sqlx::query("RELEASE one").execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// A write transaction: the changes, and the events and receipts that commit with them. Dropped without a commit, it
/// leaves no trace.
pub struct Write {
    place: OwnedMutexGuard<Option<Group>>,
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
        self.group().tells |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. False when it was there already.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(self.connection(), receipt).await
    }

    /// Makes the changes last, and wakes whoever waits for events. After an error it is open whether they do.
    pub async fn commit(mut self) -> Result<(), RepoError> {
        if self.nested {
            sqlx::query("RELEASE one").execute(self.connection()).await.map_err(classify)?;
        }
        self.done = true;
        let group = self.group();
        group.members += 1;
        let (first, mut outcome) = (group.members == 1, group.outcome.subscribe());
        let writer = self.writer.clone();
        drop(self);
        if first {
            end_in_background(writer);
        }
        let told = outcome.wait_for(Option::is_some).await.map_err(|gone| RepoError::Unavailable(gone.into()))?;
        told.clone().unwrap_or(Ok(())).map_err(shared)
    }

    fn group(&mut self) -> &mut Group {
        self.place.as_mut().expect("a group stays in place while a write of it holds the place")
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.writer.doubted.store(true, Ordering::Relaxed);
        match self.place.as_mut() {
            Some(group) if group.members > 0 => group.torn = true,
            // Nobody else is in it: dropping the transaction rolls it back.
            _ => *self.place = None,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "others wait for this commit: it must not end with one caller's request")]
fn end_in_background(writer: Writer) {
    drop(tokio::spawn(writer.end()));
}

/// The same error for each member of a group.
fn shared(error: Arc<RepoError>) -> RepoError {
    match &*error {
        RepoError::Conflict => RepoError::Conflict,
        RepoError::Unavailable(_) => RepoError::Unavailable(error.into()),
        RepoError::Corrupt(_) => RepoError::Corrupt(error.into()),
        _ => RepoError::Backend(error.into()),
    }
}
