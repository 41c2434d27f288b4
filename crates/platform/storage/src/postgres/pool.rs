//! The connections to one `PostgreSQL` database, and its write transaction.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, Receipt, RepoError, Timestamp};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{ConnectOptions as _, PgConnection, Row as _};
use uuid::Uuid;

use super::notifier::CommitNotifier;
use super::session::{Session, Sessions};
use super::{append, classify, parse_dsn, record, record_all};
use crate::closing::close;
use crate::config::parsed;
use crate::error::WRITE_PROBE;
use crate::server::{CallTimeout, Probe};
use crate::{Connections, Driver, Pooler, StorageConfig};

/// An open `PostgreSQL` database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Postgres {
    sessions: Sessions,
    calls: CallTimeout,
    notifier: Arc<CommitNotifier>,
}

impl Postgres {
    /// Connects to the database.
    pub async fn open(config: &StorageConfig) -> Result<Self, RepoError> {
        let options = options(config)?;
        let calls = CallTimeout::new(config);
        let pool = config.pool_options(&calls).connect_with(options.clone()).await;
        let pool: PgPool = pool.map_err(|error| classify_connect_error(config, error))?;
        if config.postgres_pooler == Pooler::None {
            check_session(&pool, config).await?;
        }
        // A separate pool, so that listening never takes a connection from calls.
        let listening = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(config.acquire_timeout())
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options);
        // LISTEN does not work through a pooler in transaction mode; waiting callers poll instead.
        let listening = (config.postgres_pooler == Pooler::None).then_some(listening);
        let notifier = Arc::new(CommitNotifier::new(pool.clone(), listening));
        Ok(Self { sessions: Sessions::new(pool, config), calls, notifier })
    }

    /// The connection pool itself, without the transactions that a pooler needs; see [`Self::single`].
    pub fn pool(&self) -> &PgPool {
        self.sessions.pool()
    }

    /// The executor of single statements.
    pub const fn single(&self) -> &Sessions {
        &self.sessions
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
        let session = self.sessions.begin().await.map_err(classify)?;
        Ok(Write { session, notifier: Arc::clone(&self.notifier), has_events: false })
    }

    /// Executes a statement of [`with_events`](super::with_events), and wakes callers that wait for events. Returns the
    /// number of events that it added: none if it changed nothing. After an error it is unknown whether it took effect,
    /// as after one of a commit.
    pub async fn execute_with_events(
        &self,
        statement: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<u64, RepoError> {
        let _notify = NotifyOnDrop(&self.notifier);
        Ok(statement.execute(self.single()).await.map_err(classify)?.rows_affected())
    }

    /// Removes a batch of old rows with `delete`, whose parameters are the time before which a row is old and the
    /// maximum number of rows. The statement must lock its rows with `FOR UPDATE SKIP LOCKED`: a row that is in use
    /// then stays, and concurrent purges share the work.
    pub async fn purge(&self, delete: &'static str, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let purge = || async {
            let delete = sqlx::query(delete).bind(before.as_millis()).bind(i64::from(limit));
            Ok(delete.execute(self.single()).await.map_err(classify)?.rows_affected())
        };
        self.run(purge).await
    }

    pub(super) fn notifier(&self) -> &Arc<CommitNotifier> {
        &self.notifier
    }
}

#[async_trait]
impl Driver for Postgres {
    fn system(&self) -> &'static str {
        "postgresql"
    }

    async fn ping(&self) -> Result<(), RepoError> {
        let ping = || async {
            sqlx::query("SELECT 1").execute(self.single()).await.map_err(classify)?;
            Ok(())
        };
        self.run(ping).await
    }

    async fn writable(&self) -> Result<(), RepoError> {
        let write = || async {
            sqlx::query(WRITE_PROBE).execute(self.single()).await.map_err(classify)?;
            Ok(())
        };
        self.run(write).await
    }

    fn connections(&self) -> Connections {
        Connections::of(&[self.pool()])
    }

    async fn close(&self) {
        self.notifier.close().await;
        close(self.pool()).await;
    }
}

/// A write transaction: changes, and the events and receipts that are committed with them.
pub struct Write {
    session: Session,
    notifier: Arc<CommitNotifier>,
    has_events: bool,
}

impl Write {
    /// The executor of the transaction's statements.
    pub const fn connection(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Adds events to the outbox, in this order; see [`append`].
    pub async fn append(&mut self, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
        append(&mut self.session, events).await?;
        self.has_events |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. Returns false when it was already recorded.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(&mut self.session, receipt).await
    }

    /// Adds receipts to the inbox. Returns the events that had none.
    pub async fn record_all(&mut self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        record_all(&mut self.session, receipts).await
    }

    /// Commits, and wakes callers that wait for events. After an error it is unknown whether the transaction was
    /// committed.
    pub async fn commit(self) -> Result<(), RepoError> {
        let _notify = self.has_events.then(|| NotifyOnDrop(&self.notifier));
        self.session.commit().await.map_err(classify)
    }
}

/// Wakes callers that wait for events when a commit has ended, also if it was cancelled or has failed: the server may
/// have committed then.
struct NotifyOnDrop<'n>(&'n CommitNotifier);

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.0.committed();
    }
}

impl Probe for PgConnection {
    /// The driver skips the remaining responses of cancelled calls. But a transaction whose `BEGIN` was cancelled before its
    /// response stays open (sqlx 0.9.0): later statements on the connection would not be committed, or be refused. In an
    /// open transaction, a statement is later than its transaction.
    async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        let probe = sqlx::raw_sql("SELECT transaction_timestamp() = statement_timestamp()");
        probe.fetch_one(self).await?.try_get(0)
    }
}

fn options(config: &StorageConfig) -> Result<PgConnectOptions, RepoError> {
    let address = parsed(config.postgres_url(), parse_dsn)?;
    let milliseconds = config.statement_timeout().as_millis().to_string();
    let settings = [
        ("statement_timeout", milliseconds.as_str()),
        ("idle_in_transaction_session_timeout", &milliseconds),
        // Suppresses the notices of `IF NOT EXISTS`.
        ("client_min_messages", "warning"),
    ];
    let named = address.get_application_name().is_some();
    let address = if named { address } else { address.application_name("kennel") };
    let address = match config.postgres_pooler {
        Pooler::None => address.options(settings),
        // A pooler rejects most startup parameters; every transaction sets the limits above instead.
        Pooler::Transaction => address.extra_float_digits(None),
    };
    Ok(address.disable_statement_logging())
}

/// Maps an error of the first connection, and explains the setting for a pooler.
fn classify_connect_error(config: &StorageConfig, error: sqlx::Error) -> RepoError {
    let pooler =
        error.as_database_error().is_some_and(|error| error.message().contains("unsupported startup parameter"));
    if pooler && config.postgres_pooler == Pooler::None {
        return RepoError::Backend(PoolerError::Refuses(error).into());
    }
    classify(error)
}

/// Fails when the session settings have not reached the server: without them statements have no timeout.
async fn check_session(pool: &PgPool, config: &StorageConfig) -> Result<(), RepoError> {
    let limit = sqlx::raw_sql("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'").fetch_one(pool);
    let limit: String = limit.await.and_then(|row| row.try_get(0)).map_err(classify)?;
    if limit == config.statement_timeout().as_millis().to_string() {
        return Ok(());
    }
    Err(RepoError::Backend(PoolerError::Ignores { limit }.into()))
}

/// The peer is a pooler that needs `POSTGRES_POOLER=transaction`.
#[derive(Debug, thiserror::Error)]
enum PoolerError {
    #[error("a pooler rejects session settings; set POSTGRES_POOLER=transaction")]
    Refuses(#[source] sqlx::Error),
    #[error(
        "a pooler drops session settings, so that statement_timeout is {limit} ms; set POSTGRES_POOLER=transaction"
    )]
    Ignores { limit: String },
}
