//! Settings of the store.

use std::num::NonZeroU32;
use std::path::PathBuf;

use dogs_storages::{Storage, StorageConfig};
use kennel_config::{HumanDuration, Problems, Secret, Section};
use kennel_storage::{Pooler, SqliteConfig, Synchronous};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
use super::login;

/// The store of dogs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StorageSettings {
    /// Which store: `sqlite`, or another one that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub storage: Storage,
    /// Apply pending migrations when the service starts; if off, the service does not start with an old schema.
    pub migrate_on_start: bool,
    /// The file of SQLite; it and its directory are created if missing.
    #[schemars(with = "String")]
    pub sqlite_path: PathBuf,
    /// When SQLite commits are complete: `full`, when they are on disk, or `normal`, when the operating system has them.
    #[schemars(with = "String")]
    pub sqlite_synchronous: Synchronous,
    /// SQLite connections for reads; all writes share another one.
    pub sqlite_readers: NonZeroU32,
    /// The database of `postgres`, such as `postgres://user:password@host:5432/dogs?sslmode=verify-full`.
    pub postgres_dsn: Option<Secret>,
    /// The password of the user in `postgres_dsn`; unlike in the URL, without percent-encoding.
    pub postgres_password: Option<Secret>,
    /// The pooler between the service and PostgreSQL: `none`, or `transaction` for one that assigns connections per
    /// transaction, such as PgBouncer with `pool_mode=transaction`.
    #[schemars(with = "String")]
    pub postgres_pooler: Pooler,
    /// The database of `mysql`, such as `mysql://user:password@host:3306/dogs?ssl-mode=VERIFY_IDENTITY`.
    pub mysql_dsn: Option<Secret>,
    /// The password of the user in `mysql_dsn`, without percent-encoding.
    pub mysql_password: Option<Secret>,
    /// The database of `clickhouse`, such as `https://user:password@host:8443/dogs`, or `http://` and port 8123.
    pub clickhouse_dsn: Option<Secret>,
    /// The password of the user in `clickhouse_dsn`, without percent-encoding.
    pub clickhouse_password: Option<Secret>,
    /// Maximum number of connections to a database server.
    pub database_max_connections: NonZeroU32,
    /// How long a call waits for a free connection to the database server.
    pub database_acquire_timeout: HumanDuration,
    /// How long a statement may run before the database server cancels it.
    pub database_statement_timeout: HumanDuration,
}

impl Default for StorageSettings {
    fn default() -> Self {
        let sqlite = SqliteConfig::at("data/dogs.db");
        Self {
            storage: Storage::default(),
            migrate_on_start: true,
            sqlite_path: sqlite.path,
            sqlite_synchronous: sqlite.synchronous,
            sqlite_readers: sqlite.readers,
            postgres_dsn: None,
            postgres_password: None,
            postgres_pooler: Pooler::default(),
            mysql_dsn: None,
            mysql_password: None,
            clickhouse_dsn: None,
            clickhouse_password: None,
            database_max_connections: NonZeroU32::MIN.saturating_add(9),
            database_acquire_timeout: HumanDuration::from_secs(5),
            database_statement_timeout: HumanDuration::from_secs(15),
        }
    }
}

impl Section for StorageSettings {
    const TITLE: &'static str = "Storage";

    fn check(&self, problems: &mut Problems) {
        for (key, reason) in self.problems() {
            problems.add(&key, reason);
        }
    }
}

impl StorageSettings {
    /// The same settings, for another store.
    #[must_use]
    pub fn of(&self, storage: Storage) -> Self {
        Self { storage, ..self.clone() }
    }

    /// The settings that prevent opening the store, each with its problem.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let (key, dsn, password) = match self.storage {
            Storage::Postgres => ("postgres_password", &self.postgres_dsn, &self.postgres_password),
            Storage::Mysql => ("mysql_password", &self.mysql_dsn, &self.mysql_password),
            Storage::Clickhouse => ("clickhouse_password", &self.clickhouse_dsn, &self.clickhouse_password),
            _ => ("", &None, &None),
        };
        if let Some(Err(reason)) = dsn.as_ref().map(|dsn| dsn.with_password(password.as_ref())) {
            return vec![(key.to_owned(), format!("the URL of this password {reason}"))];
        }
        self.storage().check("", &mut found);
        let named = |line: String| {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key = path.trim_start_matches('.').replace('.', "_");
            // All database servers share the settings of connection limits.
            let limit =
                key.split_once("_pool_").map(|(_, limit)| format!("database_{}", limit.trim_end_matches("_ms")));
            (limit.unwrap_or(key), reason.to_owned())
        };
        found.into_iter().map(named).collect()
    }

    /// The configuration of the store to open.
    pub fn storage(&self) -> StorageConfig {
        StorageConfig {
            storage: self.storage,
            #[cfg(feature = "sqlite")]
            sqlite: SqliteConfig {
                synchronous: self.sqlite_synchronous,
                readers: self.sqlite_readers,
                ..SqliteConfig::at(self.sqlite_path.clone())
            },
            #[cfg(feature = "postgres")]
            postgres: kennel_storage::postgres::PostgresConfig {
                dsn: login(self.postgres_dsn.as_ref(), self.postgres_password.as_ref()).map(|dsn| dsn.expose().into()),
                pooler: self.postgres_pooler,
                pool: self.pool(),
            },
            #[cfg(feature = "mysql")]
            mysql: kennel_storage::mysql::MysqlConfig {
                dsn: login(self.mysql_dsn.as_ref(), self.mysql_password.as_ref()).map(|dsn| dsn.expose().into()),
                pool: self.pool(),
                ..kennel_storage::mysql::MysqlConfig::default()
            },
            #[cfg(feature = "clickhouse")]
            clickhouse: kennel_storage::clickhouse::ClickHouseConfig {
                dsn: login(self.clickhouse_dsn.as_ref(), self.clickhouse_password.as_ref())
                    .map(|dsn| dsn.expose().into()),
                pool: self.pool(),
            },
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
    fn pool(&self) -> kennel_storage::PoolConfig {
        let milliseconds = |span: HumanDuration| u64::try_from(span.get().as_millis()).unwrap_or(u64::MAX);
        kennel_storage::PoolConfig {
            max_connections: self.database_max_connections,
            acquire_timeout_ms: milliseconds(self.database_acquire_timeout),
            statement_timeout_ms: milliseconds(self.database_statement_timeout),
        }
    }
}
