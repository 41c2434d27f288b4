//! What the SQL databases have in common, so that one implementation of a repository serves all of them.

mod dead_letters;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migrate;

use kennel_core::{Event, Receipt, RepoError};
use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

pub use dead_letters::SqlDeadLetters;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use migrate::SqlMigrator;

use crate::{Columns, Storage};

/// A statement under construction, with the placeholders of its database.
pub trait Statement: Sized + Send {
    /// A statement that starts with this text.
    fn new(sql: &str) -> Self;

    /// Adds text. It must not contain input.
    fn sql(&mut self, sql: &str) -> &mut Self;

    /// Adds a text as a parameter.
    fn text(&mut self, value: &str) -> &mut Self;

    /// Adds a text that can be null as a parameter.
    fn maybe_text(&mut self, value: Option<String>) -> &mut Self;

    /// Adds bytes as a parameter.
    fn bytes(&mut self, value: &[u8]) -> &mut Self;

    /// Adds a number as a parameter.
    fn number(&mut self, value: i64) -> &mut Self;

    /// Adds an id as a parameter.
    fn id(&mut self, value: Uuid) -> &mut Self;
}

/// A type that a driver can encode.
pub trait Parameter<D: Database>: for<'q> Encode<'q, D> + Type<D> {}

impl<D: Database, T: for<'q> Encode<'q, D> + Type<D>> Parameter<D> for T {}

impl<D: Database> Statement for QueryBuilder<D>
where
    String: Parameter<D>,
    Option<String>: Parameter<D>,
    Vec<u8>: Parameter<D>,
    i64: Parameter<D>,
    Uuid: Parameter<D>,
{
    fn new(sql: &str) -> Self {
        Self::new(sql)
    }

    fn sql(&mut self, sql: &str) -> &mut Self {
        self.push(sql)
    }

    fn text(&mut self, value: &str) -> &mut Self {
        self.push_bind(value.to_owned())
    }

    fn maybe_text(&mut self, value: Option<String>) -> &mut Self {
        self.push_bind(value)
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.push_bind(value.to_owned())
    }

    fn number(&mut self, value: i64) -> &mut Self {
        self.push_bind(value)
    }

    fn id(&mut self, value: Uuid) -> &mut Self {
        self.push_bind(value)
    }
}

/// A SQL database.
pub trait SqlStore: Send + Sync + 'static {
    /// A statement.
    type Statement: Statement;
    /// A row of a result.
    type Row: Columns + Send + Sync;
    /// A write transaction.
    type Write: SqlWrite<Statement = Self::Statement, Row = Self::Row>;

    /// Which database it is, for statements that differ.
    const STORAGE: Storage;

    /// Begins a write transaction. It is rolled back when dropped without a commit.
    fn write(&self) -> impl Future<Output = Result<Self::Write, RepoError>> + Send;

    /// Executes a single query, outside a transaction.
    fn fetch(&self, query: Self::Statement) -> impl Future<Output = Result<Vec<Self::Row>, RepoError>> + Send;

    /// Splits the rows of statements whose text depends on their number, at most `max` in each.
    ///
    /// In `MySQL` the numbers are powers of two, the largest first, so that few statements stay prepared: each further one
    /// would evict another from its connection's cache, and what follows would wait 40 ms
    /// (`findings/sqlx_mysql_closed_statement.sh`).
    fn chunks<T: Sync>(mut rows: &[T], max: usize) -> impl Iterator<Item = &[T]> + Send {
        std::iter::from_fn(move || {
            let most = rows.len().min(max);
            let length = match Self::STORAGE {
                Storage::Mysql => 1 << most.checked_ilog2()?,
                _ if most == 0 => return None,
                _ => most,
            };
            let (now, later) = rows.split_at(length);
            rows = later;
            Some(now)
        })
    }

    /// Runs a call within the configured limits. It may be repeated after a deadlock, so it must be a complete transaction or
    /// a single statement.
    fn run<T, F, C>(&self, call: F) -> impl Future<Output = Result<T, RepoError>> + Send
    where
        T: Send,
        F: Fn() -> C + Send + Sync,
        C: Future<Output = Result<T, RepoError>> + Send;

    /// Runs a single query, and reads its rows with `read`.
    fn select<T, Q, R>(&self, query: Q, read: R) -> impl Future<Output = Result<Vec<T>, RepoError>> + Send
    where
        T: Send,
        Q: Fn() -> Self::Statement + Send + Sync,
        R: Fn(&Self::Row) -> Result<T, RepoError> + Send + Sync,
    {
        async move {
            let select = || async {
                let rows = self.fetch(query()).await?;
                rows.iter().map(&read).collect()
            };
            self.run(select).await
        }
    }

    /// Runs a write transaction of a single statement. Returns the number of changed rows.
    fn execute<C>(&self, change: C) -> impl Future<Output = Result<u64, RepoError>> + Send
    where
        C: Fn() -> Self::Statement + Send + Sync,
    {
        async move {
            let execute = || async {
                let mut write = self.write().await?;
                let changed = write.execute(change()).await?;
                write.commit().await?;
                Ok(changed)
            };
            self.run(execute).await
        }
    }

    /// Runs a write transaction that only adds events to the outbox, in this order.
    fn append(&self, events: &[Event]) -> impl Future<Output = Result<(), RepoError>> + Send {
        async move {
            let append = || async {
                let mut write = self.write().await?;
                write.append(events).await?;
                write.commit().await
            };
            self.run(append).await
        }
    }
}

/// A write transaction of a SQL database.
pub trait SqlWrite: Sized + Send {
    /// A statement.
    type Statement: Statement;
    /// A row of a result.
    type Row: Columns;

    /// Executes a statement. Returns the number of changed rows.
    fn execute(&mut self, statement: Self::Statement) -> impl Future<Output = Result<u64, RepoError>> + Send;

    /// Executes a query.
    fn fetch(&mut self, query: Self::Statement) -> impl Future<Output = Result<Vec<Self::Row>, RepoError>> + Send;

    /// Executes statements that are separated by semicolons.
    fn script(&mut self, sql: &'static str) -> impl Future<Output = Result<(), RepoError>> + Send;

    /// Adds events to the outbox, in this order.
    fn append(&mut self, events: &[Event]) -> impl Future<Output = Result<(), RepoError>> + Send;

    /// Adds a receipt to the inbox. Returns false when it was already recorded.
    fn record(&mut self, receipt: &Receipt) -> impl Future<Output = Result<bool, RepoError>> + Send;

    /// Commits. After an error it is unknown whether the transaction was committed.
    fn commit(self) -> impl Future<Output = Result<(), RepoError>> + Send;
}

/// Implements the traits with the functions of the same names that each database has. `$reader` is its executor of single
/// statements.
macro_rules! sql_store {
    ($store:ident, $database:ty, $engine:ident, $reader:ident) => {
        impl SqlStore for crate::$engine::$store {
            type Statement = QueryBuilder<$database>;
            type Row = <$database as Database>::Row;
            type Write = crate::$engine::Write;

            const STORAGE: Storage = Storage::$store;

            async fn write(&self) -> Result<Self::Write, RepoError> {
                self.write().await
            }

            async fn fetch(&self, mut query: Self::Statement) -> Result<Vec<Self::Row>, RepoError> {
                query.build().fetch_all(self.$reader()).await.map_err(crate::$engine::classify)
            }

            async fn run<T, F, C>(&self, call: F) -> Result<T, RepoError>
            where
                T: Send,
                F: Fn() -> C + Send + Sync,
                C: Future<Output = Result<T, RepoError>> + Send,
            {
                self.run(call).await
            }
        }

        impl SqlWrite for crate::$engine::Write {
            type Statement = QueryBuilder<$database>;
            type Row = <$database as Database>::Row;

            async fn execute(&mut self, mut statement: Self::Statement) -> Result<u64, RepoError> {
                let result = statement.build().execute(self.connection()).await;
                Ok(result.map_err(crate::$engine::classify)?.rows_affected())
            }

            async fn fetch(&mut self, mut query: Self::Statement) -> Result<Vec<Self::Row>, RepoError> {
                query.build().fetch_all(self.connection()).await.map_err(crate::$engine::classify)
            }

            async fn script(&mut self, sql: &'static str) -> Result<(), RepoError> {
                sqlx::raw_sql(sql).execute(self.connection()).await.map(drop).map_err(crate::$engine::classify)
            }

            async fn append(&mut self, events: &[Event]) -> Result<(), RepoError> {
                self.append(events).await
            }

            async fn record(&mut self, receipt: &Receipt) -> Result<bool, RepoError> {
                self.record(receipt).await
            }

            async fn commit(self) -> Result<(), RepoError> {
                self.commit().await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
sql_store!(Sqlite, sqlx::Sqlite, sqlite, readers);
#[cfg(feature = "postgres")]
sql_store!(Postgres, sqlx::Postgres, postgres, single);
#[cfg(feature = "mysql")]
sql_store!(Mysql, sqlx::MySql, mysql, pool);
