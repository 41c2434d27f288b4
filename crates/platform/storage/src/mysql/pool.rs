//! The connections to one MySQL database, and its write transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{Event, Receipt, RepoError, Timestamp};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, Row as _, Transaction};
use tokio::sync::Notify;

use super::{MysqlConfig, append, classify, record};
use crate::closing::close;
use crate::error::TRY_WRITE;
use crate::server::{Calls, Probe};
use crate::{Connections, Database};

/// An open MySQL database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Mysql {
    pool: MySqlPool,
    calls: Calls,
    wake: Arc<Wake>,
    poll: Duration,
}

/// What those who wait for events know.
#[derive(Debug, Default)]
pub(super) struct Wake {
    /// This process has committed events.
    pub(super) committed: Notify,
    /// The last `seq` of the outbox that was come upon.
    pub(super) seen: AtomicU64,
}

impl Mysql {
    /// Connects to the database.
    pub async fn open(config: &MysqlConfig) -> Result<Self, RepoError> {
        let options = options(config)?;
        let calls = Calls::new(&config.pool);
        let timeout = config.pool.statement_timeout();
        let pool =
            config.pool.options(&calls).after_connect(move |connection, _| Box::pin(settle(connection, timeout)));
        let pool = pool.connect_with(options).await.map_err(classify)?;
        Ok(Self { pool, calls, wake: Arc::default(), poll: Duration::from_millis(config.poll_ms) })
    }

    /// The connections, for single statements.
    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Makes a call, within the limits of the settings. One that was given up to end a deadlock is made again, so it is
    /// a whole transaction, or a single statement.
    pub async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
    where
        F: Fn() -> C,
        C: Future<Output = Result<T, RepoError>>,
    {
        self.calls.run(call).await
    }

    /// Begins a write transaction. Dropped without a commit, it leaves no trace.
    pub async fn write(&self) -> Result<Write, RepoError> {
        let transaction = self.pool.begin().await.map_err(classify)?;
        Ok(Write { transaction, wake: Arc::clone(&self.wake), tells: false })
    }

    /// Removes a batch of old rows by `delete`, which takes the time before which a row is old, and how many to remove.
    pub async fn purge(&self, delete: &'static str, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let purge = || async {
            let delete = sqlx::query(delete).bind(before.as_millis()).bind(limit);
            Ok(delete.execute(&self.pool).await.map_err(classify)?.rows_affected())
        };
        self.run(purge).await
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }

    pub(super) const fn poll(&self) -> Duration {
        self.poll
    }
}

#[async_trait]
impl Database for Mysql {
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
            sqlx::query(TRY_WRITE).execute(&self.pool).await.map_err(classify)?;
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

/// A write transaction: the changes, and the events and receipts that commit with them.
pub struct Write {
    transaction: Transaction<'static, sqlx::MySql>,
    wake: Arc<Wake>,
    tells: bool,
}

impl Write {
    /// The connection, for statements of the transaction.
    pub fn connection(&mut self) -> &mut MySqlConnection {
        &mut self.transaction
    }

    /// Adds events to the outbox, in this order; see [`append`].
    pub async fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        append(&mut self.transaction, events).await?;
        self.tells |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. False when it was there already.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(&mut *self.transaction, receipt).await
    }

    /// Makes the changes last, and wakes whoever waits for events. After an error it is open whether they do.
    pub async fn commit(self) -> Result<(), RepoError> {
        self.transaction.commit().await.map_err(classify)?;
        if self.tells {
            self.wake.committed.notify_waiters();
            // Kept for one who has just looked and is about to wait.
            self.wake.committed.notify_one();
        }
        Ok(())
    }
}

impl Probe for MySqlConnection {
    /// The driver does not count the answer to a statement whose call was dropped while it was prepared: what is asked
    /// next may get it, and so on for ever. So the question is one that nothing else is the answer to.
    async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        static ASKED: AtomicI64 = AtomicI64::new(1 << 62);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let answer = self.fetch_one(sqlx::raw_sql(AssertSqlSafe(format!("SELECT {number}")))).await?;
        Ok(answer.try_get::<i64, _>(0)? == number)
    }
}

fn options(config: &MysqlConfig) -> Result<MySqlConnectOptions, RepoError> {
    let address = config.address().map_err(|problem| RepoError::Backend(format!("dsn: {problem}").into()))?;
    // The modes are set as a whole below.
    Ok(address.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging())
}

/// Makes a connection independent of the server's settings.
///
/// Each statement of a transaction sees what was committed before it, as in the other databases, and locks no gaps
/// between rows. A value that does not fit is an error. Statements have a limit: MySQL knows one for reading only, so
/// that waiting for a lock has one too.
async fn settle(connection: &mut MySqlConnection, statement_timeout: Duration) -> Result<(), sqlx::Error> {
    settle_modes(connection).await?;
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

/// The part of it that holds for migrations too, which may take long.
pub(super) async fn settle_modes(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    connection.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'").await?;
    Ok(())
}
