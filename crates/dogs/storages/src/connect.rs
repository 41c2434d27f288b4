//! Selects the store: the only code that knows every store, and the only code with `#[cfg]`s for their features.

use std::sync::Arc;

use dogs_domain::{DogReplica, DogRepository};
use kennel_app::Check;
use kennel_core::{BackendError, BackendKind, DeadLetterSink, DeadLetters, Inbox, Outbox, RepoError};
use kennel_storage::{Database, DatabaseCheck, DatabaseMetrics, Migrator};
use serde::{Deserialize, Serialize};

use crate::InstrumentedDogRepository;

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse")))]
compile_error!("enable at least one storage backend: `sqlite`, `postgres`, `mysql` or `clickhouse`");

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// A SQLite file.
    Sqlite,
    /// A `PostgreSQL` server.
    Postgres,
    /// A MySQL server.
    Mysql,
    /// A ClickHouse server.
    Clickhouse,
}

impl BackendKind for Storage {
    const KIND: &'static str = "store";
    const ALL: &'static [(Self, &'static str, bool)] = &[
        (Self::Sqlite, "sqlite", cfg!(feature = "sqlite")),
        (Self::Postgres, "postgres", cfg!(feature = "postgres")),
        (Self::Mysql, "mysql", cfg!(feature = "mysql")),
        (Self::Clickhouse, "clickhouse", cfg!(feature = "clickhouse")),
    ];
}

impl Default for Storage {
    /// The store of this build if there is only one, otherwise SQLite.
    fn default() -> Self {
        let mut built = Self::built();
        match (built.next(), built.next()) {
            (Some(only), None) => only,
            _ => Self::Sqlite,
        }
    }
}

/// Which store to use, and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Which store. Default: the only one of this build, or else `sqlite`.
    #[serde(with = "kennel_core::backend")]
    pub storage: Storage,
    /// Settings of `sqlite`.
    #[cfg(feature = "sqlite")]
    pub sqlite: kennel_storage::SqliteConfig,
    /// Settings of `postgres`.
    #[cfg(feature = "postgres")]
    pub postgres: kennel_storage::postgres::PostgresConfig,
    /// Settings of `mysql`.
    #[cfg(feature = "mysql")]
    pub mysql: kennel_storage::mysql::MysqlConfig,
    /// Settings of `clickhouse`.
    #[cfg(feature = "clickhouse")]
    pub clickhouse: kennel_storage::clickhouse::ClickHouseConfig,
}

#[cfg_attr(not(feature = "sqlite"), expect(clippy::derivable_impls, reason = "SQLite has a default of its own here"))]
impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            storage: Storage::default(),
            #[cfg(feature = "sqlite")]
            sqlite: kennel_storage::SqliteConfig::at("data/dogs.db"),
            #[cfg(feature = "postgres")]
            postgres: kennel_storage::postgres::PostgresConfig::default(),
            #[cfg(feature = "mysql")]
            mysql: kennel_storage::mysql::MysqlConfig::default(),
            #[cfg(feature = "clickhouse")]
            clickhouse: kennel_storage::clickhouse::ClickHouseConfig::default(),
        }
    }
}

impl StorageConfig {
    /// Adds one line per invalid setting, with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if let Err(absent) = self.storage.require() {
            problems.push(format!("{path}.storage: {absent}"));
        }
        #[cfg(feature = "sqlite")]
        if self.storage == Storage::Sqlite {
            self.sqlite.check(&format!("{path}.sqlite"), problems);
        }
        #[cfg(feature = "postgres")]
        if self.storage == Storage::Postgres {
            self.postgres.check(&format!("{path}.postgres"), problems);
        }
        #[cfg(feature = "mysql")]
        if self.storage == Storage::Mysql {
            self.mysql.check(&format!("{path}.mysql"), problems);
        }
        #[cfg(feature = "clickhouse")]
        if self.storage == Storage::Clickhouse {
            self.clickhouse.check(&format!("{path}.clickhouse"), problems);
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
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
}

/// An open store, as the ports that it implements.
#[derive(Clone)]
pub struct Stores {
    /// Which one.
    pub storage: Storage,
    /// Dogs.
    pub dogs: Arc<dyn DogRepository>,
    /// Dogs, as the target of a copy.
    pub replica: Arc<dyn DogReplica>,
    /// Pending and published events.
    pub outbox: Arc<dyn Outbox>,
    /// Receipts of processed events.
    pub inbox: Arc<dyn Inbox>,
    /// Dead letters, for operators.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Dead letters, for brokers.
    pub dead_letter_sink: Arc<dyn DeadLetterSink>,
    /// Whether the store answers.
    pub check: Arc<dyn Check>,
    /// Migrates the store's schema, which the ports above require.
    pub migrator: Arc<dyn Migrator>,
    /// The store itself.
    pub database: Arc<dyn Database>,
}

impl Stores {
    /// Decorates every port with spans and metrics, which are registered in `registry` together with the connection
    /// gauges.
    pub fn instrumented(self, registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        use kennel_storage::Instrumented;

        let metrics = DatabaseMetrics::register(registry, Arc::clone(&self.database))?;
        Ok(Self {
            outbox: Arc::new(Instrumented::new(self.outbox, metrics.clone())),
            inbox: Arc::new(Instrumented::new(self.inbox, metrics.clone())),
            dead_letters: Arc::new(Instrumented::new(self.dead_letters, metrics.clone())),
            dead_letter_sink: Arc::new(Instrumented::new(self.dead_letter_sink, metrics.clone())),
            dogs: Arc::new(InstrumentedDogRepository::new(self.dogs, metrics)),
            ..self
        })
    }

    /// Closes the store after calls in progress have ended.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Opens the store that `config` selects. Does not migrate it.
pub async fn connect(config: &StorageConfig) -> Result<Stores, ConnectError> {
    let storage = config.storage;
    let opened = match storage {
        #[cfg(feature = "sqlite")]
        Storage::Sqlite => sqlite(config).await,
        #[cfg(feature = "postgres")]
        Storage::Postgres => postgres(config).await,
        #[cfg(feature = "mysql")]
        Storage::Mysql => mysql(config).await,
        #[cfg(feature = "clickhouse")]
        Storage::Clickhouse => clickhouse(config).await,
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => return Err(absent.absent().into()),
    };
    opened.map_err(|source| ConnectError::Open { storage, source })
}

#[cfg(feature = "sqlite")]
async fn sqlite(config: &StorageConfig) -> Result<Stores, RepoError> {
    use kennel_storage::sqlite::{Sqlite, SqliteDeadLetters, SqliteInbox, SqliteMigrator, SqliteOutbox};

    let sqlite = Sqlite::open(&config.sqlite).await?;
    let database: Arc<dyn Database> = Arc::new(sqlite.clone());
    let dead_letters = Arc::new(SqliteDeadLetters::new(sqlite.clone()));
    Ok(Stores {
        storage: Storage::Sqlite,
        dogs: Arc::new(crate::SqliteDogs::new(sqlite.clone())),
        replica: Arc::new(crate::SqliteDogs::new(sqlite.clone())),
        outbox: Arc::new(SqliteOutbox::new(sqlite.clone())),
        inbox: Arc::new(SqliteInbox::new(sqlite.clone())),
        dead_letters: Arc::<SqliteDeadLetters>::clone(&dead_letters),
        dead_letter_sink: dead_letters,
        check: Arc::new(DatabaseCheck(Arc::clone(&database))),
        migrator: Arc::new(SqliteMigrator::new(sqlite, crate::SQLITE_MIGRATIONS)),
        database,
    })
}

#[cfg(feature = "postgres")]
async fn postgres(config: &StorageConfig) -> Result<Stores, RepoError> {
    use kennel_storage::postgres::{Postgres, PostgresDeadLetters, PostgresInbox, PostgresMigrator, PostgresOutbox};

    let postgres = Postgres::open(&config.postgres).await?;
    let database: Arc<dyn Database> = Arc::new(postgres.clone());
    let dead_letters = Arc::new(PostgresDeadLetters::new(postgres.clone()));
    Ok(Stores {
        storage: Storage::Postgres,
        dogs: Arc::new(crate::PostgresDogs::new(postgres.clone())),
        replica: Arc::new(crate::PostgresDogs::new(postgres.clone())),
        outbox: Arc::new(PostgresOutbox::new(postgres.clone())),
        inbox: Arc::new(PostgresInbox::new(postgres.clone())),
        dead_letters: Arc::<PostgresDeadLetters>::clone(&dead_letters),
        dead_letter_sink: dead_letters,
        check: Arc::new(DatabaseCheck(Arc::clone(&database))),
        migrator: Arc::new(PostgresMigrator::new(postgres, crate::POSTGRES_MIGRATIONS)),
        database,
    })
}

#[cfg(feature = "mysql")]
async fn mysql(config: &StorageConfig) -> Result<Stores, RepoError> {
    use kennel_storage::mysql::{Mysql, MysqlDeadLetters, MysqlInbox, MysqlMigrator, MysqlOutbox};

    let mysql = Mysql::open(&config.mysql).await?;
    let database: Arc<dyn Database> = Arc::new(mysql.clone());
    let dead_letters = Arc::new(MysqlDeadLetters::new(mysql.clone()));
    Ok(Stores {
        storage: Storage::Mysql,
        dogs: Arc::new(crate::MysqlDogs::new(mysql.clone())),
        replica: Arc::new(crate::MysqlDogs::new(mysql.clone())),
        outbox: Arc::new(MysqlOutbox::new(mysql.clone())),
        inbox: Arc::new(MysqlInbox::new(mysql.clone())),
        dead_letters: Arc::<MysqlDeadLetters>::clone(&dead_letters),
        dead_letter_sink: dead_letters,
        check: Arc::new(DatabaseCheck(Arc::clone(&database))),
        migrator: Arc::new(MysqlMigrator::new(mysql, crate::MYSQL_MIGRATIONS)),
        database,
    })
}

#[cfg(feature = "clickhouse")]
async fn clickhouse(config: &StorageConfig) -> Result<Stores, RepoError> {
    use kennel_storage::clickhouse::{
        ClickHouse, ClickHouseDeadLetters, ClickHouseInbox, ClickHouseMigrator, ClickHouseOutbox,
    };

    let clickhouse = ClickHouse::open(&config.clickhouse).await?;
    let database: Arc<dyn Database> = Arc::new(clickhouse.clone());
    let dead_letters = Arc::new(ClickHouseDeadLetters::new(clickhouse.clone()));
    Ok(Stores {
        storage: Storage::Clickhouse,
        dogs: Arc::new(crate::ClickHouseDogs::new(clickhouse.clone())),
        replica: Arc::new(crate::ClickHouseDogs::new(clickhouse.clone())),
        outbox: Arc::new(ClickHouseOutbox::new(clickhouse.clone())),
        inbox: Arc::new(ClickHouseInbox::new(clickhouse.clone())),
        dead_letters: Arc::<ClickHouseDeadLetters>::clone(&dead_letters),
        dead_letter_sink: dead_letters,
        check: Arc::new(DatabaseCheck(Arc::clone(&database))),
        migrator: Arc::new(ClickHouseMigrator::new(clickhouse, crate::CLICKHOUSE_MIGRATIONS)),
        database,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_is_not_built_is_named_with_its_feature() {
        for (storage, ..) in Storage::ALL.iter().filter(|(.., built)| !built) {
            let config = StorageConfig { storage: *storage, ..StorageConfig::default() };
            let mut problems = Vec::new();
            config.check("dogs", &mut problems);
            assert_eq!(problems, [format!("dogs.storage: {}", storage.absent())]);
            let error = connect(&config).await.err().unwrap();
            assert_eq!(error.to_string(), storage.absent().to_string());
        }
    }
}
