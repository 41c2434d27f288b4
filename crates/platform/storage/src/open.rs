//! Opens the configured database: the only code that knows every engine, and with `config` the only code with `#[cfg]`s
//! for their features.

use std::sync::Arc;

use kennel_core::{BackendError, BackendKind as _, DeadLetterSink, DeadLetters, Inbox, Outbox, RepoError};
use prometheus::Registry;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use crate::SqlDeadLetters;
use crate::batching::BatchLimits;
#[cfg(feature = "clickhouse")]
use crate::clickhouse::{self, ClickHouse, ClickHouseDeadLetters};
#[cfg(feature = "mysql")]
use crate::mysql::{self, Mysql};
#[cfg(feature = "postgres")]
use crate::postgres::{self, Postgres};
#[cfg(feature = "sqlite")]
use crate::sqlite::{self, Sqlite};
use crate::{DatabaseMetrics, Driver, Instrumented, Migration, Migrator, Storage, StorageConfig};

/// The migrations of a service for each store, in the order of their numbers. They begin with the platform's `EVENTS`.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// For SQLite.
    pub sqlite: &'static [Migration],
    /// For `PostgreSQL`.
    pub postgres: &'static [Migration],
    /// For MySQL.
    pub mysql: &'static [Migration],
    /// For ClickHouse.
    pub clickhouse: &'static [Migration],
}

impl Migrations {
    /// No migrations.
    pub const NONE: Self = Self { sqlite: &[], postgres: &[], mysql: &[], clickhouse: &[] };
}

/// The engine of an open database, from which a service creates its repositories. A build of a service
/// without a store has none, so no database can be open.
#[derive(Clone)]
#[non_exhaustive]
pub enum Engine {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
    /// `PostgreSQL`.
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
    /// MySQL.
    #[cfg(feature = "mysql")]
    Mysql(Mysql),
    /// ClickHouse.
    #[cfg(feature = "clickhouse")]
    ClickHouse(ClickHouse),
}

/// The repository of a service in an open [`Database`]: for each engine the adapter that is created from it, as an
/// [`Arc`]. An engine without its feature is left out.
///
/// ```ignore
/// let notes: Arc<dyn NoteRepository> = kennel_storage::adapter! {
///     database;
///     #[cfg(feature = "sqlite")]
///     Sqlite => sql::SqlNotes,
/// };
/// ```
#[macro_export]
macro_rules! adapter {
    ($database:expr; $($(#[$condition:meta])* $engine:ident => $adapter:path),* $(,)?) => {
        match &$database.engine {
            $($(#[$condition])* $crate::Engine::$engine(engine) => ::std::sync::Arc::new($adapter(engine.clone())),)*
            // Whether there is another one depends on the features.
            #[allow(clippy::allow_attributes, unreachable_patterns)]
            _ => unreachable!("a service has the stores of the platform that it is built with"),
        }
    };
}

/// An open database, with the ports that the platform implements in it. All of them record metrics and spans.
#[derive(Clone)]
pub struct Database {
    /// Which store it is.
    pub storage: Storage,
    /// The engine, from which a service creates its repositories.
    pub engine: Engine,
    /// The connections.
    pub driver: Arc<dyn Driver>,
    /// Pending and published events.
    pub outbox: Arc<dyn Outbox>,
    /// Receipts of processed events.
    pub inbox: Arc<dyn Inbox>,
    /// Dead letters, for operators.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Dead letters, for brokers.
    pub dead_letter_sink: Arc<dyn DeadLetterSink>,
    /// Migrates the schema, which all ports require.
    pub migrator: Arc<dyn Migrator>,
    /// The metrics of calls, for the decorators of a service's repositories.
    pub metrics: DatabaseMetrics,
    /// The limits of batches, for the decorators of a service's repositories.
    pub batches: BatchLimits,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The build does not include the store.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// The store does not open.
    #[error("the store `{}` does not open", storage.name())]
    Open {
        /// The store.
        storage: Storage,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// Its metrics exist already.
    #[error("cannot register the metrics of the store")]
    Metrics(#[from] prometheus::Error),
}

/// Opens the store that `config` selects, for the service of this name. Does not migrate it. The metrics of its calls and
/// connections are registered in `registry`.
pub async fn open(
    config: &StorageConfig,
    service: &str,
    migrations: &Migrations,
    registry: &Registry,
) -> Result<Database, OpenError> {
    let storage = config.storage;
    let opened: Result<Engine, RepoError> = match storage {
        #[cfg(feature = "sqlite")]
        Storage::Sqlite => Sqlite::open(config, service).await.map(Engine::Sqlite),
        #[cfg(feature = "postgres")]
        Storage::Postgres => Postgres::open(config).await.map(Engine::Postgres),
        #[cfg(feature = "mysql")]
        Storage::Mysql => Mysql::open(config).await.map(Engine::Mysql),
        #[cfg(feature = "clickhouse")]
        Storage::Clickhouse => ClickHouse::open(config).await.map(Engine::ClickHouse),
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => return Err(absent.absent().into()),
    };
    let engine = opened.map_err(|source| OpenError::Open { storage, source })?;
    Ok(Database::new(config, engine, migrations, registry)?)
}

/// The ports of one engine, without metrics.
struct Ports {
    driver: Arc<dyn Driver>,
    outbox: Arc<dyn Outbox>,
    inbox: Arc<dyn Inbox>,
    dead_letters: Arc<dyn DeadLetters>,
    dead_letter_sink: Arc<dyn DeadLetterSink>,
    migrator: Arc<dyn Migrator>,
}

/// The ports of `$engine`: its dead letters, and those that its module implements.
macro_rules! ports {
    ($engine:ident, $migrations:expr, $letters:ident, $module:ident::{$outbox:ident, $inbox:ident, $migrator:ident}) => {{
        let dead_letters = Arc::new($letters::new($engine.clone()));
        Ports {
            driver: Arc::new($engine.clone()),
            outbox: Arc::new($module::$outbox::new($engine.clone())),
            inbox: Arc::new($module::$inbox::new($engine.clone())),
            dead_letters: Arc::clone(&dead_letters) as _,
            dead_letter_sink: dead_letters,
            migrator: Arc::new($module::$migrator::new($engine.clone(), $migrations)),
        }
    }};
}

impl Database {
    fn new(
        config: &StorageConfig,
        engine: Engine,
        migrations: &Migrations,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let ports: Ports = match engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(ref engine) => {
                ports!(engine, migrations.sqlite, SqlDeadLetters, sqlite::{SqliteOutbox, SqliteInbox, SqliteMigrator})
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(ref engine) => ports!(
                engine,
                migrations.postgres,
                SqlDeadLetters,
                postgres::{PostgresOutbox, PostgresInbox, PostgresMigrator}
            ),
            #[cfg(feature = "mysql")]
            Engine::Mysql(ref engine) => {
                ports!(engine, migrations.mysql, SqlDeadLetters, mysql::{MysqlOutbox, MysqlInbox, MysqlMigrator})
            }
            #[cfg(feature = "clickhouse")]
            Engine::ClickHouse(ref engine) => ports!(
                engine,
                migrations.clickhouse,
                ClickHouseDeadLetters,
                clickhouse::{ClickHouseOutbox, ClickHouseInbox, ClickHouseMigrator}
            ),
        };
        let metrics = DatabaseMetrics::register(registry, Arc::clone(&ports.driver))?;
        Ok(Self {
            storage: config.storage,
            engine,
            driver: ports.driver,
            outbox: Arc::new(Instrumented::new(ports.outbox, metrics.clone())),
            inbox: Arc::new(Instrumented::new(ports.inbox, metrics.clone())),
            dead_letters: Arc::new(Instrumented::new(ports.dead_letters, metrics.clone())),
            dead_letter_sink: Arc::new(Instrumented::new(ports.dead_letter_sink, metrics.clone())),
            migrator: ports.migrator,
            metrics,
            batches: BatchLimits::new(config),
        })
    }

    /// Closes the database after calls in progress have ended.
    pub async fn close(&self) {
        self.driver.close().await;
    }
}

#[cfg(test)]
mod tests {
    use kennel_config::{Problems, Section as _};

    use super::*;

    #[tokio::test]
    async fn a_store_that_is_not_built_is_named_with_its_feature() {
        for (storage, ..) in Storage::ALL.iter().filter(|(.., built)| !built) {
            let config = StorageConfig::default().of(*storage);
            let mut problems = Problems::default();
            config.check(&mut problems);
            let errors = problems.into_result().unwrap_err();
            assert_eq!(errors.to_string(), format!("STORAGE (not set): {}", storage.absent()));
            let error = open(&config, "test", &Migrations::NONE, &Registry::new()).await.err().unwrap();
            assert_eq!(error.to_string(), storage.absent().to_string());
        }
    }
}
