//! Statements, as a pooler between the service and the server needs them.
//!
//! A pooler that hands its connections out by the transaction (`PgBouncer` with `pool_mode = transaction`) gives each
//! transaction any of them, so nothing that outlives a transaction can be relied on: no prepared statement with a name, no
//! setting of the session, no `LISTEN`. The driver (sqlx 0.9.0) prepares a statement in one request and runs it in the
//! next, also one without a name, and outside a transaction these two can reach different servers, where another client's
//! statement may stand under the same name. So with [`Pooler::Transaction`] every statement is in a transaction that begins
//! with the limits, and no statement has a name. A single one takes four round trips instead of one.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use kennel_core::BoxError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Either, Execute, Executor, PgConnection, PgPool, SqlSafeStr as _, SqlStr, Transaction};

use super::PostgresConfig;
use crate::Pooler;

/// Transactions of one database, and single statements, each in a transaction of its own.
#[derive(Debug, Clone)]
pub struct Sessions {
    pool: PgPool,
    /// What a transaction begins with, where settings hold for that alone.
    begin: Option<SqlStr>,
}

impl Sessions {
    pub(super) fn new(pool: PgPool, config: &PostgresConfig) -> Self {
        let limit = config.pool.statement_timeout_ms;
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}; \
             SET LOCAL client_min_messages = warning"
        );
        let begin = (config.pooler == Pooler::Transaction).then(|| AssertSqlSafe(begin).into_sql_str());
        Self { pool, begin }
    }

    pub(super) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Session, sqlx::Error> {
        Ok(match &self.begin {
            None => Session { transaction: self.pool.begin().await?, named: true },
            Some(begin) => Session { transaction: self.pool.begin_with(begin.clone()).await?, named: false },
        })
    }

    async fn all<'q, E>(&self, query: E) -> Result<Vec<Result<Step, sqlx::Error>>, sqlx::Error>
    where
        E: Execute<'q, sqlx::Postgres> + 'q,
    {
        let mut session = self.begin().await?;
        let steps: Vec<Step> = session.fetch_many(query).try_collect().await?;
        session.commit().await?;
        Ok(steps.into_iter().map(Ok).collect())
    }
}

/// A row, or the end of a statement.
type Step = Either<PgQueryResult, PgRow>;

/// A transaction, as the executor of its statements. Dropped without a commit, it leaves no trace.
#[derive(Debug)]
pub struct Session {
    transaction: Transaction<'static, sqlx::Postgres>,
    named: bool,
}

impl Session {
    /// Makes the changes last. After an error it is open whether they do.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl<'c> Executor<'c> for &'c mut Session {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let named = self.named;
        self.connection().fetch_many(Sent { query, named })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let named = self.named;
        self.connection().fetch_optional(Sent { query, named })
    }

    fn prepare_with<'e>(self, _: SqlStr, _: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(not_prepared()) })
    }
}

impl<'c> Executor<'c> for &'c Sessions {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_many(query);
        }
        // Answers are pages, so they are held in memory until the commit.
        stream::once(self.all(query)).map_ok(stream::iter).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_optional(query);
        }
        Box::pin(async move {
            let mut session = self.begin().await?;
            let row = session.fetch_optional(query).await?;
            session.commit().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e>(self, _: SqlStr, _: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(not_prepared()) })
    }
}

fn not_prepared() -> sqlx::Error {
    sqlx::Error::Configuration(BoxError::from("statements are prepared by running them"))
}

/// A statement with or without a name at the server.
struct Sent<E> {
    query: E,
    named: bool,
}

impl<'q, E: Execute<'q, sqlx::Postgres>> Execute<'q, sqlx::Postgres> for Sent<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.named && self.query.persistent()
    }
}
