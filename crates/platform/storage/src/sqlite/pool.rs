//! The connections to one SQLite file, and its write transaction.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{Event, Receipt, RepoError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection, Transaction};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{SqliteConfig, Synchronous, append, classify, record};
use crate::{Connections, Database};

/// An open SQLite database. Clones share its connections.
///
/// SQLite lets one connection write at a time. All writes of a process go through one connection, where they queue
/// in order of arrival; reads go through others and never wait for them (write-ahead log). So only writes of other
/// processes can be in the way, and for those a write waits at its start, never in its middle.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    committed: Arc<Notify>,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the file, and makes it, and its folder, when missing.
    pub async fn open(config: &SqliteConfig) -> Result<Self, RepoError> {
        if let Some(folder) = config.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|error| RepoError::Unavailable(error.into()))?;
        }
        let writer = open_writer(config).await.map_err(classify)?;
        let readers = open_readers(config).await.map_err(classify)?;
        Ok(Self { writer, readers, committed: Arc::default(), path: config.path.as_path().into() })
    }

    /// The connections for reading; a write through them fails.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a write transaction, once those before it are done. Dropped without a commit, it leaves no trace.
    pub async fn write(&self) -> Result<Write, RepoError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
        Ok(Write { transaction, committed: Arc::clone(&self.committed), tells: false })
    }

    pub(super) fn committed(&self) -> &Notify {
        &self.committed
    }
}

#[async_trait]
impl Database for Sqlite {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        // An open file that was removed still answers, and forgets all at the end of the process.
        tokio::fs::metadata(&*self.path).await.map_err(|error| RepoError::Unavailable(error.into()))?;
        sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&self.readers).await.map_err(classify)?;
        Ok(())
    }

    fn connections(&self) -> Connections {
        let size = u64::from(self.writer.size()) + u64::from(self.readers.size());
        let idle = self.writer.num_idle() as u64 + self.readers.num_idle() as u64;
        Connections { idle, used: size.saturating_sub(idle) }
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A write transaction: the changes, and the events and receipts that commit with them.
pub struct Write {
    transaction: Transaction<'static, sqlx::Sqlite>,
    committed: Arc<Notify>,
    tells: bool,
}

impl Write {
    /// The connection, for statements of the transaction.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Adds events to the outbox, in this order.
    pub async fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        append(&mut self.transaction, events).await?;
        self.tells |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. False when it was there already.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(&mut self.transaction, receipt).await
    }

    /// Makes the changes last, and wakes whoever waits for events. After an error it is open whether they do.
    pub async fn commit(self) -> Result<(), RepoError> {
        self.transaction.commit().await.map_err(classify)?;
        if self.tells {
            self.committed.notify_waiters();
            // Kept for one who has just looked and is about to wait.
            self.committed.notify_one();
        }
        Ok(())
    }
}

fn options(config: &SqliteConfig) -> SqliteConnectOptions {
    let synchronous = match config.synchronous {
        Synchronous::Normal => SqliteSynchronous::Normal,
        Synchronous::Full => SqliteSynchronous::Full,
    };
    SqliteConnectOptions::new()
        .filename(&config.path)
        .foreign_keys(true)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_millis(config.busy_timeout_ms))
        .pragma("cache_size", format!("-{}", config.cache_kib))
        // A write that outgrew the log once does not keep the disk for ever.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

fn pool(config: &SqliteConfig, size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(size)
        .max_connections(size)
        .acquire_timeout(Duration::from_millis(config.busy_timeout_ms))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Two processes that make one file at a time can get in each other's way in a manner that SQLite does not wait out.
async fn open_writer(config: &SqliteConfig) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + Duration::from_millis(config.busy_timeout_ms);
    let options = options(config).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    loop {
        match pool(config, 1).connect_with(options.clone()).await {
            Err(error) if super::errors::is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

async fn open_readers(config: &SqliteConfig) -> Result<SqlitePool, sqlx::Error> {
    let options = options(config).create_if_missing(false).pragma("query_only", "ON");
    pool(config, config.readers.get()).connect_with(options).await
}
