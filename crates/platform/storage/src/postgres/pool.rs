//! The connections to one `PostgreSQL` database, and its write transaction.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, Receipt, RepoError, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};

use super::session::{Session, Sessions};
use super::wake::Wake;
use super::{PostgresConfig, append, classify, record};
use crate::closing::close;
use crate::error::TRY_WRITE;
use crate::server::{Calls, Probe};
use crate::{Connections, Database, Pooler};

/// An open `PostgreSQL` database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Postgres {
    sessions: Sessions,
    calls: Calls,
    wake: Arc<Wake>,
}

impl Postgres {
    /// Connects to the database.
    pub async fn open(config: &PostgresConfig) -> Result<Self, RepoError> {
        let options = options(config)?;
        let calls = Calls::new(&config.pool);
        let pool = config.pool.options(&calls).connect_with(options.clone()).await;
        let pool: PgPool = pool.map_err(|error| refused(config, error))?;
        if config.pooler == Pooler::None {
            check_session(&pool, config).await?;
        }
        // Apart from the others, so that one who listens never keeps a call waiting.
        let listening = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(config.pool.acquire_timeout())
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options);
        // Behind a pooler nothing is heard, and whoever waits looks again after a while.
        let listening = (config.pooler == Pooler::None).then_some(listening);
        let wake = Arc::new(Wake::new(pool.clone(), listening));
        Ok(Self { sessions: Sessions::new(pool, config), calls, wake })
    }

    /// The connections themselves. What a pooler needs is not seen to; see [`Self::single`].
    pub fn pool(&self) -> &PgPool {
        self.sessions.pool()
    }

    /// The executor of single statements.
    pub const fn single(&self) -> &Sessions {
        &self.sessions
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
        let session = self.sessions.begin().await.map_err(classify)?;
        Ok(Write { session, wake: Arc::clone(&self.wake), tells: false })
    }

    /// Removes a batch of old rows by `delete`, which takes the time before which a row is old, and how many to remove.
    /// It has to lock the rows that it picks, `FOR UPDATE SKIP LOCKED`: a row that is in use meanwhile then stays, and
    /// processes that remove at the same time share the work.
    pub async fn purge(&self, delete: &'static str, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let purge = || async {
            let delete = sqlx::query(delete).bind(before.as_millis()).bind(i64::from(limit));
            Ok(delete.execute(self.single()).await.map_err(classify)?.rows_affected())
        };
        self.run(purge).await
    }

    pub(super) fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }
}

#[async_trait]
impl Database for Postgres {
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
            sqlx::query(TRY_WRITE).execute(self.single()).await.map_err(classify)?;
            Ok(())
        };
        self.run(write).await
    }

    fn connections(&self) -> Connections {
        Connections::of(&[self.pool()])
    }

    async fn close(&self) {
        self.wake.close().await;
        close(self.pool()).await;
    }
}

/// A write transaction: the changes, and the events and receipts that commit with them.
pub struct Write {
    session: Session,
    wake: Arc<Wake>,
    tells: bool,
}

impl Write {
    /// The executor of the transaction's statements.
    pub const fn connection(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Adds events to the outbox, in this order; see [`append`].
    pub async fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
        append(&mut self.session, events).await?;
        self.tells |= !events.is_empty();
        Ok(())
    }

    /// Adds a receipt to the inbox. False when it was there already.
    pub async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
        record(&mut self.session, receipt).await
    }

    /// Makes the changes last, and wakes whoever waits for events. After an error it is open whether they do.
    pub async fn commit(self) -> Result<(), RepoError> {
        self.session.commit().await.map_err(classify)?;
        if self.tells {
            self.wake.committed();
        }
        Ok(())
    }
}

impl Probe for PgConnection {
    /// The driver passes over what is left of the answers to dropped calls.
    async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        self.ping().await.map(|()| true)
    }
}

fn options(config: &PostgresConfig) -> Result<PgConnectOptions, RepoError> {
    let address = config.address().map_err(|problem| RepoError::Backend(format!("dsn: {problem}").into()))?;
    let milliseconds = config.pool.statement_timeout_ms.to_string();
    let settings = [
        ("statement_timeout", milliseconds.as_str()),
        ("idle_in_transaction_session_timeout", &milliseconds),
        // That a table is there already is no news.
        ("client_min_messages", "warning"),
    ];
    let named = address.get_application_name().is_some();
    let address = if named { address } else { address.application_name("kennel") };
    let address = match config.pooler {
        Pooler::None => address.options(settings),
        // It knows few settings of a session and refuses the others; each transaction begins with those above.
        Pooler::Transaction => address.extra_float_digits(None),
    };
    Ok(address.disable_statement_logging())
}

/// Why no session can be had.
fn refused(config: &PostgresConfig, error: sqlx::Error) -> RepoError {
    let pooler =
        error.as_database_error().is_some_and(|error| error.message().contains("unsupported startup parameter"));
    if pooler && config.pooler == Pooler::None {
        return RepoError::Backend(Pooled::Refuses(error).into());
    }
    classify(error)
}

/// Fails when the settings of the session have not reached the server: without them no statement has a limit.
async fn check_session(pool: &PgPool, config: &PostgresConfig) -> Result<(), RepoError> {
    let limit = sqlx::raw_sql("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'").fetch_one(pool);
    let limit: String = limit.await.and_then(|row| row.try_get(0)).map_err(classify)?;
    if limit == config.pool.statement_timeout_ms.to_string() {
        return Ok(());
    }
    Err(RepoError::Backend(Pooled::Ignores { limit }.into()))
}

/// What answers is no server, but a pooler in front of one.
#[derive(Debug, thiserror::Error)]
enum Pooled {
    #[error("a pooler refuses the settings of a session; POSTGRES_POOLER=transaction does without them")]
    Refuses(#[source] sqlx::Error),
    #[error(
        "a pooler leaves out the settings of a session, so that statement_timeout is {limit} ms; \
         POSTGRES_POOLER=transaction does without them"
    )]
    Ignores { limit: String },
}
