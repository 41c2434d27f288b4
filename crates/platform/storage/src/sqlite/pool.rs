//! The connections to one SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{BoxError, RepoError, Timestamp};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::write::Writer;
use super::{SqliteConfig, Synchronous, Write, classify};
use crate::closing::close;
use crate::{Connections, Database};

/// A disk with less room than this counts as full: a write needs a page of the log for each page that it changes.
const LEAST_SPACE: u64 = 1024 * 1024;

/// An open SQLite database. Clones share its connections.
///
/// SQLite lets one connection write at a time. All writes of a process go through one connection, where they queue
/// in order of arrival; reads go through others and never wait for them (write-ahead log). So only writes of other
/// processes can be in the way, and for those a write waits at its start, never in its middle.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the file, and makes it, and its folder, when missing. Errors name the file.
    pub async fn open(config: &SqliteConfig) -> Result<Self, RepoError> {
        Self::open_file(config).await.map_err(|error| named(&config.path, error))
    }

    async fn open_file(config: &SqliteConfig) -> Result<Self, RepoError> {
        if let Some(folder) = config.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|error| RepoError::Unavailable(error.into()))?;
        }
        let writer = open_writer(config).await.map_err(classify)?;
        let readers = open_readers(config).await.map_err(classify)?;
        let writer = Writer::new(writer, Duration::from_millis(config.busy_timeout_ms));
        Ok(Self { writer, readers, path: config.path.as_path().into() })
    }

    /// The connections for reading; a write through them fails.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a write transaction, once the writes before it are done. Writes that queue commit together; see [`Write`].
    pub async fn write(&self) -> Result<Write, RepoError> {
        self.writer.write().await
    }

    /// Removes a batch of old rows by `delete`, which takes the time before which a row is old, and how many to remove.
    pub async fn purge(&self, delete: &'static str, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let mut write = self.write().await?;
        let delete = sqlx::query(delete).bind(before.as_millis()).bind(limit);
        let removed = delete.execute(write.connection()).await.map_err(classify)?.rows_affected();
        write.commit().await?;
        Ok(removed)
    }

    pub(super) fn committed(&self) -> &Notify {
        self.writer.committed()
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

    async fn writable(&self) -> Result<(), RepoError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        space_in(folder.to_owned()).await?;
        self.writer.try_write().await
    }

    fn connections(&self) -> Connections {
        Connections::of(&[self.writer.pool(), &self.readers])
    }

    async fn close(&self) {
        // The one that writes comes last: with it SQLite tidies the file up.
        close(&self.readers).await;
        close(self.writer.pool()).await;
    }
}

/// Fails when the disk of a folder is full.
async fn space_in(folder: PathBuf) -> Result<(), RepoError> {
    let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
    let disk = asked.map_err(|error| RepoError::Unavailable(error.into()))?;
    let disk = disk.map_err(|error| RepoError::Unavailable(error.into()))?;
    // File systems of some kinds have no blocks at all, and say nothing of their room.
    if disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_SPACE {
        return Err(RepoError::Unavailable("the disk is full".into()));
    }
    Ok(())
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("the file {}", path.display())]
struct InFile {
    path: PathBuf,
    source: BoxError,
}

fn named(path: &Path, error: RepoError) -> RepoError {
    let named = |source| InFile { path: path.to_owned(), source }.into();
    match error {
        RepoError::Unavailable(source) => RepoError::Unavailable(named(source)),
        RepoError::Corrupt(source) => RepoError::Corrupt(named(source)),
        RepoError::Backend(source) => RepoError::Backend(named(source)),
        other => other,
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
