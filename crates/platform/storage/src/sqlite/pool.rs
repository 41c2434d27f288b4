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
use super::{Write, classify};
use crate::closing::close;
use crate::{Connections, Driver, StorageConfig, Synchronous};

/// A disk with less free space than this (bytes) counts as full: a write needs one page in the log for each page that
/// it changes.
const MIN_FREE_SPACE: u64 = 1024 * 1024;
/// Page cache of each connection, in KiB.
const CACHE_KIB: u32 = 2_048;

/// An open SQLite database. Clones share its connections.
///
/// SQLite lets one connection write at a time. All writes of a process go through one connection, where they queue in
/// order of arrival; reads use other connections and never wait for writes (write-ahead log). So only writes of other
/// processes can block a write, and only at its start, never in the middle.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the file that is configured, by default the one of `service`; creates it and its folder when missing. Errors
    /// contain the path.
    pub async fn open(config: &StorageConfig, service: &str) -> Result<Self, RepoError> {
        let path = config.sqlite_file(service);
        Self::open_file(config, &path).await.map_err(|error| with_path(&path, error))
    }

    async fn open_file(config: &StorageConfig, path: &Path) -> Result<Self, RepoError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|error| RepoError::Unavailable(error.into()))?;
        }
        let writer = open_writer(config, path).await.map_err(classify)?;
        let readers = open_readers(config, path).await.map_err(classify)?;
        let writer = Writer::new(writer, config.acquire_timeout());
        Ok(Self { writer, readers, path: path.into() })
    }

    /// The read-only connections; a write through them fails.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Runs a call, once: there are no deadlocks here. With the other engines' function of this name, one implementation
    /// of a repository serves all SQL databases.
    pub async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        call().await
    }

    /// Begins a write transaction after the writes queued before it. Queued writes are committed together; see
    /// [`Write`].
    pub async fn write(&self) -> Result<Write, RepoError> {
        self.writer.write().await
    }

    /// Removes a batch of old rows with `delete`, whose parameters are the time before which a row is old and the
    /// maximum number of rows.
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
impl Driver for Sqlite {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        // A deleted file that is still open works, but is lost when the process ends; so check the path.
        tokio::fs::metadata(&*self.path).await.map_err(|error| RepoError::Unavailable(error.into()))?;
        sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&self.readers).await.map_err(classify)?;
        Ok(())
    }

    async fn writable(&self) -> Result<(), RepoError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        check_free_space(folder.to_owned()).await?;
        self.writer.try_write().await
    }

    fn connections(&self) -> Connections {
        Connections::of(&[self.writer.pool(), &self.readers])
    }

    async fn close(&self) {
        // The writer is closed last: its close checkpoints the log and removes the `-wal` file.
        close(&self.readers).await;
        close(self.writer.pool()).await;
    }
}

/// Fails when the disk of `folder` is full.
async fn check_free_space(folder: PathBuf) -> Result<(), RepoError> {
    let statvfs = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
    let disk = statvfs.map_err(|error| RepoError::Unavailable(error.into()))?;
    let disk = disk.map_err(|error| RepoError::Unavailable(error.into()))?;
    // Some file systems report zero blocks, and so no free space.
    if disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < MIN_FREE_SPACE {
        return Err(RepoError::Unavailable("the disk is full".into()));
    }
    Ok(())
}

/// An error with the path of the database file.
#[derive(Debug, thiserror::Error)]
#[error("the file {}", path.display())]
struct FileError {
    path: PathBuf,
    source: BoxError,
}

fn with_path(path: &Path, error: RepoError) -> RepoError {
    let with_path = |source| FileError { path: path.to_owned(), source }.into();
    match error {
        RepoError::Unavailable(source) => RepoError::Unavailable(with_path(source)),
        RepoError::Corrupt(source) => RepoError::Corrupt(with_path(source)),
        RepoError::Backend(source) => RepoError::Backend(with_path(source)),
        other => other,
    }
}

fn options(config: &StorageConfig, path: &Path) -> SqliteConnectOptions {
    let synchronous = match config.sqlite_synchronous {
        Synchronous::Normal => SqliteSynchronous::Normal,
        Synchronous::Full => SqliteSynchronous::Full,
    };
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(synchronous)
        .busy_timeout(config.acquire_timeout())
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        // Truncates the log to 64 MiB after a large write.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

fn pool(config: &StorageConfig, size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(size)
        .max_connections(size)
        .acquire_timeout(config.acquire_timeout())
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Retries while the file is busy: when two processes create it at once, SQLite does not apply the busy timeout.
async fn open_writer(config: &StorageConfig, path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + config.acquire_timeout();
    let options = options(config, path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    loop {
        match pool(config, 1).connect_with(options.clone()).await {
            Err(error) if super::errors::is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

async fn open_readers(config: &StorageConfig, path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = options(config, path).create_if_missing(false).pragma("query_only", "ON");
    pool(config, config.sqlite_readers.get()).connect_with(options).await
}
