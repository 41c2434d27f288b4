//! Statements that also work through a connection pooler.
//!
//! A pooler in transaction mode (`PgBouncer` with `pool_mode = transaction`) can give each transaction a different
//! server connection, so nothing that outlives a transaction is reliable: no named prepared statement, no session
//! setting, no `LISTEN`. The driver (sqlx 0.9.0) prepares a statement in one request and runs it in the next, also an
//! unnamed one. Outside a transaction these requests can reach different server connections, where the name can belong
//! to another client's statement. So with [`Pooler::Transaction`] every statement runs in a transaction that first sets
//! the limits, and no statement is named. A single statement takes four round trips instead of one.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use kennel_core::BoxError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Either, Execute, Executor, PgConnection, PgPool, SqlSafeStr as _, SqlStr, Transaction};

use crate::{Pooler, StorageConfig};

/// Starts transactions, and runs single statements, each in its own transaction where a pooler needs it.
#[derive(Debug, Clone)]
pub struct Sessions {
    pool: PgPool,
    /// The statements that begin a transaction, when settings must be transaction-local.
    begin: Option<SqlStr>,
}

impl Sessions {
    pub(super) fn new(pool: PgPool, config: &StorageConfig) -> Self {
        let limit = config.statement_timeout().as_millis();
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}; \
             SET LOCAL client_min_messages = warning"
        );
        let begin = (config.postgres_pooler == Pooler::Transaction).then(|| AssertSqlSafe(begin).into_sql_str());
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

    async fn all<'q, E>(&self, query: E) -> Result<Vec<Result<StatementOutput, sqlx::Error>>, sqlx::Error>
    where
        E: Execute<'q, sqlx::Postgres> + 'q,
    {
        let mut session = self.begin().await?;
        let steps: Vec<StatementOutput> = session.fetch_many(query).try_collect().await?;
        session.commit().await?;
        Ok(steps.into_iter().map(Ok).collect())
    }
}

/// A row, or the result of a completed statement.
type StatementOutput = Either<PgQueryResult, PgRow>;

/// A transaction, as the executor of its statements. It is rolled back when dropped without a commit.
#[derive(Debug)]
pub struct Session {
    transaction: Transaction<'static, sqlx::Postgres>,
    named: bool,
}

impl Session {
    /// Commits. After an error it is unknown whether the transaction was committed.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl<'c> Executor<'c> for &'c mut Session {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<StatementOutput, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let named = self.named;
        self.connection().fetch_many(PreparedQuery { query, named })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let named = self.named;
        self.connection().fetch_optional(PreparedQuery { query, named })
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

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<StatementOutput, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_many(query);
        }
        // Results are pages, so buffering them until the commit is cheap.
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
    sqlx::Error::Configuration(BoxError::from("explicit preparation is not supported"))
}

/// A query with a named or an unnamed prepared statement.
struct PreparedQuery<E> {
    query: E,
    named: bool,
}

impl<'q, E: Execute<'q, sqlx::Postgres>> Execute<'q, sqlx::Postgres> for PreparedQuery<E> {
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
