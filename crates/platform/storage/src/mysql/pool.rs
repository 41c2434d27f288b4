//! The connections to one MySQL database, and its write transaction.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{Event, Receipt, RepoError, Timestamp};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, Row as _, Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{append, classify, parse_dsn, record, record_all};
use crate::closing::close;
use crate::config::parsed;
use crate::error::WRITE_PROBE;
use crate::server::{CallTimeout, Probe};
use crate::{Connections, Driver, StorageConfig};

/// An open MySQL database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Mysql {
    pool: MySqlPool,
    calls: CallTimeout,
    commits: Arc<CommitWatch>,
}

/// The commits that waiting outboxes know of.
#[derive(Debug, Default)]
pub(super) struct CommitWatch {
    /// This process has committed events.
    pub(super) committed: Notify,
    /// The highest `commit_seq` of the outbox that was seen.
    pub(super) last_seen_seq: AtomicU64,
}

impl Mysql {
    /// Connects to the database.
    pub async fn open(config: &StorageConfig) -> Result<Self, RepoError> {
        let options = options(config)?;
        let calls = CallTimeout::new(config);
        let timeout = config.statement_timeout();
        let pool = config
            .pool_options(&calls)
            .after_connect(move |connection, _| Box::pin(configure_session(connection, timeout)));
        let pool = pool.connect_with(options).await.map_err(classify)?;
        Ok(Self { pool, calls, commits: Arc::default() })
    }

    /// The connections, for single statements.
    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Runs a call within the configured limits. It is repeated after a deadlock, so it must be a complete transaction
    /// or a single statement.
    pub async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        self.calls.run(call).await
    }

    /// Begins a write transaction. It is rolled back when dropped without a commit.
    pub async fn write(&self) -> Result<Write, RepoError> {
        let transaction = self.pool.begin().await.map_err(classify)?;
        Ok(Write { transaction, commits: Arc::clone(&self.commits), has_events: false })
    }

    /// Removes a batch of old rows with `delete`, whose parameters are the time before which a row is old and the
    /// maximum number of rows.
    pub async fn purge(&self, delete: &'static str, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let purge = || async {
            let delete = sqlx::query(delete).bind(before.as_millis()).bind(limit);
            Ok(delete.execute(&self.pool).await.map_err(classify)?.rows_affected())
        };
        self.run(purge).await
    }

    pub(super) fn commits(&self) -> &CommitWatch {
        &self.commits
    }
}

#[async_trait]
impl Driver for Mysql {
    fn system(&self) -> &'static str {
        "mysql"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        let ping = || async {
            sqlx::query("SELECT 1").execute(&self.pool).await.map_err(classify)?;
            Ok(())
        };
        self.run(ping).await
    }

    async fn writable(&self) -> Result<(), RepoError> {
        let write = || async {
            sqlx::query(WRITE_PROBE).execute(&self.pool).await.map_err(classify)?;
            Ok(())
        };
        self.run(write).await
    }

    fn connections(&self) -> Connections {
        Connections::of(&[&self.pool])
    }

    async fn close(&self) {
        close(&self.pool).await;
    }
}

/// A write transaction: changes, and the events and receipts that are committed with them.
pub struct Write {
    transaction: Transaction<'static, sqlx::MySql>,
    commits: Arc<CommitWatch>,
    has_events: bool,
}

impl Write {
    /// The connection, for statements of the transaction.
    pub fn connection(&mut self) -> &mut MySqlConnection {
        &mut self.transaction
    }

    /// Adds events to the outbox, in this order; see [`append`].
    pub async fn append(&mut self, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
        append(&mut self.transaction, events).await?;
        self.has_events |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. Returns false when it was already recorded.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(&mut *self.transaction, receipt).await
    }

    /// Adds receipts to the inbox. Returns the events that had none.
    pub async fn record_all(&mut self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        record_all(&mut self.transaction, receipts).await
    }

    /// Commits, and wakes callers that wait for events. After an error it is unknown whether the transaction was
    /// committed.
    pub async fn commit(self) -> Result<(), RepoError> {
        self.transaction.commit().await.map_err(classify)?;
        if self.has_events {
            self.commits.committed.notify_waiters();
            // Stores a permit for a caller that has just polled and is about to wait.
            self.commits.committed.notify_one();
        }
        Ok(())
    }
}

impl Probe for MySqlConnection {
    /// The driver does not track the response to a statement whose call was cancelled while it was prepared: the next
    /// request can receive that response, and so on for every later request. So the probe selects a unique number. Nor does
    /// it end a transaction that was cancelled while it began.
    async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        static NEXT_PROBE: AtomicI64 = AtomicI64::new(1 << 62);
        self.execute(sqlx::raw_sql("ROLLBACK")).await?;
        let number = NEXT_PROBE.fetch_add(1, Ordering::Relaxed);
        let row = self.fetch_one(sqlx::raw_sql(AssertSqlSafe(format!("SELECT {number}")))).await?;
        Ok(row.try_get::<i64, _>(0)? == number)
    }
}

/// Number of statements that stay prepared on a connection. More than a service has: those of several rows are ten for each
/// table, and what follows an evicted one waits 40 ms; see [`super::Bulk`]. By default, a server has 16,382 in all.
const STATEMENTS: usize = 256;

fn options(config: &StorageConfig) -> Result<MySqlConnectOptions, RepoError> {
    let address = parsed(config.mysql_url(), parse_dsn)?;
    // The modes are set by `configure_session`.
    let address = address.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging();
    Ok(address.statement_cache_capacity(STATEMENTS))
}

/// Makes a session independent of the server's settings.
///
/// The isolation level is READ COMMITTED, as in the other databases, without gap locks. A value that does not fit is an
/// error. Statements have a timeout: in MySQL it only applies to reads, so lock waits have one too.
async fn configure_session(connection: &mut MySqlConnection, statement_timeout: Duration) -> Result<(), sqlx::Error> {
    configure_modes(connection).await?;
    let (version,): (String,) = sqlx::query_as("SELECT VERSION()").fetch_one(&mut *connection).await?;
    let limit = if version.contains("MariaDB") {
        format!("max_statement_time = {}", statement_timeout.as_secs_f64())
    } else {
        format!("max_execution_time = {}", statement_timeout.as_millis())
    };
    let lock_wait = statement_timeout.as_secs().max(1);
    let limits = format!("SET SESSION {limit}, SESSION innodb_lock_wait_timeout = {lock_wait}");
    connection.execute(AssertSqlSafe(limits)).await?;
    Ok(())
}

/// The part that also applies to migrations, which may run longer than the timeouts.
pub(super) async fn configure_modes(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    connection.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'").await?;
    Ok(())
}
