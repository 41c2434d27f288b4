//! The settings of the store. Every build has all of them, so that the settings reference is the same in all builds.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_config::{HumanDuration, Problems, Secret, Section};
use kennel_core::BackendKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// When a commit to SQLite counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Once it has reached the operating system: survives a crash of the process, including `kill -9`. The last commits
    /// may be lost when the machine loses power or its kernel crashes; the file stays consistent.
    Normal,
    /// Once it is on disk: also survives a power loss. Costs one `fsync` per commit.
    #[default]
    Full,
}

/// The connection pooler between the service and `PostgreSQL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// None, or a pooler in session mode that passes session settings to the server.
    #[default]
    None,
    /// A pooler in transaction mode, such as `PgBouncer` with `pool_mode = transaction`. Every statement runs in a
    /// transaction, no named prepared statement is used, and commits of other processes are found by polling.
    Transaction,
}

/// The store.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StorageConfig {
    /// Which store: `sqlite`, or another one that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub storage: Storage,
    /// Apply pending migrations when the service starts; if off, the service does not start with an old schema.
    pub migrate_on_start: bool,
    /// The file of SQLite; it and its directory are created if missing. Unset: `data/` and the name of the service, with
    /// the ending `.db`.
    #[schemars(with = "Option<String>")]
    pub sqlite_path: Option<PathBuf>,
    /// When SQLite commits are complete: `full`, when they are on disk, or `normal`, when the operating system has them.
    #[schemars(with = "String")]
    pub sqlite_synchronous: Synchronous,
    /// SQLite connections for reads; all writes share another one.
    pub sqlite_readers: NonZeroU32,
    /// The database of `postgres`, such as `postgres://user:password@host:5432/database?sslmode=verify-full`.
    pub postgres_dsn: Option<Secret>,
    /// The password of the user in `postgres_dsn`; unlike in the URL, without percent-encoding.
    pub postgres_password: Option<Secret>,
    /// The pooler between the service and PostgreSQL: `none`, or `transaction` for one that assigns connections per
    /// transaction, such as PgBouncer with `pool_mode=transaction`.
    #[schemars(with = "String")]
    pub postgres_pooler: Pooler,
    /// The database of `mysql`, such as `mysql://user:password@host:3306/database?ssl-mode=VERIFY_IDENTITY`.
    pub mysql_dsn: Option<Secret>,
    /// The password of the user in `mysql_dsn`, without percent-encoding.
    pub mysql_password: Option<Secret>,
    /// The database of `clickhouse`, such as `https://user:password@host:8443/database`, or `http://` and port 8123.
    pub clickhouse_dsn: Option<Secret>,
    /// The password of the user in `clickhouse_dsn`, without percent-encoding.
    pub clickhouse_password: Option<Secret>,
    /// Maximum number of connections to a database server. They are opened on demand.
    pub database_max_connections: NonZeroU32,
    /// How long a call waits for a free connection; with `sqlite`, also for a write of another process to end.
    pub database_acquire_timeout: HumanDuration,
    /// How long a statement may run before the database server cancels it.
    pub database_statement_timeout: HumanDuration,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            storage: Storage::default(),
            migrate_on_start: true,
            sqlite_path: None,
            sqlite_synchronous: Synchronous::default(),
            sqlite_readers: NonZeroU32::MIN.saturating_add(2),
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

impl Section for StorageConfig {
    const TITLE: &'static str = "Storage";

    fn check(&self, problems: &mut Problems) {
        if let Err(absent) = self.storage.require() {
            problems.add("storage", absent.to_string());
        }
        match self.storage {
            #[cfg(feature = "postgres")]
            Storage::Postgres => {
                let (dsn, password) = (self.postgres_dsn.as_ref(), self.postgres_password.as_ref());
                check_dsn(problems, ["postgres_dsn", "postgres_password"], [dsn, password], crate::postgres::parse_dsn);
            }
            #[cfg(feature = "mysql")]
            Storage::Mysql => {
                let (dsn, password) = (self.mysql_dsn.as_ref(), self.mysql_password.as_ref());
                check_dsn(problems, ["mysql_dsn", "mysql_password"], [dsn, password], crate::mysql::parse_dsn);
            }
            #[cfg(feature = "clickhouse")]
            Storage::Clickhouse => {
                let (dsn, password) = (self.clickhouse_dsn.as_ref(), self.clickhouse_password.as_ref());
                let keys = ["clickhouse_dsn", "clickhouse_password"];
                check_dsn(problems, keys, [dsn, password], crate::clickhouse::parse_dsn);
            }
            _ => {}
        }
        let is_file =
            |path: &Path| !path.as_os_str().is_empty() && !path.as_os_str().as_encoded_bytes().starts_with(b":");
        if self.storage == Storage::Sqlite && self.sqlite_path.as_deref().is_some_and(|path| !is_file(path)) {
            problems.add("sqlite_path", "must name a file");
        }
        let shortest = HumanDuration::from_millis(100);
        problems.check_range("sqlite_readers", self.sqlite_readers.get(), 1..=64);
        problems.check_range("database_max_connections", self.database_max_connections.get(), 1..=1_000);
        let acquire = shortest..=HumanDuration::from_secs(600);
        problems.check_range("database_acquire_timeout", self.database_acquire_timeout, acquire);
        let statement = shortest..=HumanDuration::from_secs(3_600);
        problems.check_range("database_statement_timeout", self.database_statement_timeout, statement);
    }
}

/// Checks the URL of a database server. No problem quotes it, because it can contain a password.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
fn check_dsn<T>(
    problems: &mut Problems,
    [dsn_key, password_key]: [&str; 2],
    [dsn, password]: [Option<&Secret>; 2],
    parse: impl FnOnce(&Secret) -> Result<T, &'static str>,
) {
    let store = dsn_key.trim_end_matches("_dsn");
    let url = problems.server_url((dsn_key, dsn), (password_key, password), format_args!("the store is {store}"));
    if let Some(Err(reason)) = url.as_ref().map(parse) {
        problems.add(dsn_key, reason);
    }
}

impl StorageConfig {
    /// The default settings of SQLite with the file `path`.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { storage: Storage::Sqlite, sqlite_path: Some(path.into()), ..Self::default() }
    }

    /// The default settings of the `PostgreSQL` database at `dsn`.
    pub fn postgres(dsn: impl Into<Secret>) -> Self {
        Self { storage: Storage::Postgres, postgres_dsn: Some(dsn.into()), ..Self::default() }
    }

    /// The default settings of the MySQL database at `dsn`.
    pub fn mysql(dsn: impl Into<Secret>) -> Self {
        Self { storage: Storage::Mysql, mysql_dsn: Some(dsn.into()), ..Self::default() }
    }

    /// The default settings of the ClickHouse database at `dsn`.
    pub fn clickhouse(dsn: impl Into<Secret>) -> Self {
        Self { storage: Storage::Clickhouse, clickhouse_dsn: Some(dsn.into()), ..Self::default() }
    }

    /// The same settings, for another store.
    #[must_use]
    pub fn of(&self, storage: Storage) -> Self {
        Self { storage, ..self.clone() }
    }

    /// The file of SQLite, by default one named after the service.
    pub fn sqlite_file(&self, service: &str) -> PathBuf {
        self.sqlite_path.clone().unwrap_or_else(|| format!("data/{service}.db").into())
    }

    /// The key of the setting that names the database.
    pub const fn database_key(&self) -> &'static str {
        match self.storage {
            Storage::Sqlite => "sqlite_path",
            Storage::Postgres => "postgres_dsn",
            Storage::Mysql => "mysql_dsn",
            Storage::Clickhouse => "clickhouse_dsn",
        }
    }

    /// What identifies the database of the service, to compare it with that of another one. It can contain a password.
    pub fn identity(&self, service: &str) -> Secret {
        let dsn = match self.storage {
            Storage::Sqlite => return self.sqlite_file(service).to_string_lossy().into_owned().into(),
            Storage::Postgres => &self.postgres_dsn,
            Storage::Mysql => &self.mysql_dsn,
            Storage::Clickhouse => &self.clickhouse_dsn,
        };
        dsn.clone().unwrap_or_else(|| service.into())
    }

    /// How long a call waits for a free connection.
    pub(crate) const fn acquire_timeout(&self) -> Duration {
        self.database_acquire_timeout.get()
    }

    /// How long the server may work on one statement.
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
    pub(crate) const fn statement_timeout(&self) -> Duration {
        self.database_statement_timeout.get()
    }

    /// The URL of `PostgreSQL`, with the password.
    #[cfg(feature = "postgres")]
    pub(crate) fn postgres_url(&self) -> Result<Option<Secret>, &'static str> {
        with_password(self.postgres_dsn.as_ref(), self.postgres_password.as_ref())
    }

    /// The URL of MySQL, with the password.
    #[cfg(feature = "mysql")]
    pub(crate) fn mysql_url(&self) -> Result<Option<Secret>, &'static str> {
        with_password(self.mysql_dsn.as_ref(), self.mysql_password.as_ref())
    }

    /// The URL of ClickHouse, with the password.
    #[cfg(feature = "clickhouse")]
    pub(crate) fn clickhouse_url(&self) -> Result<Option<Secret>, &'static str> {
        with_password(self.clickhouse_dsn.as_ref(), self.clickhouse_password.as_ref())
    }
}

#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
fn with_password(dsn: Option<&Secret>, password: Option<&Secret>) -> Result<Option<Secret>, &'static str> {
    dsn.map(|dsn| dsn.with_password(password)).transpose()
}

/// Why a configured URL cannot be used to connect. [`Section::check`] reports it before.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
pub(crate) fn parsed<T>(
    url: Result<Option<Secret>, &'static str>,
    parse: impl FnOnce(&Secret) -> Result<T, &'static str>,
) -> Result<T, kennel_core::RepoError> {
    let parsed = url.and_then(|url| parse(&url.ok_or("must be set")?));
    parsed.map_err(|problem| kennel_core::RepoError::Backend(format!("dsn: {problem}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &StorageConfig) -> Vec<String> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.into_result().map_or_else(|errors| errors.0.iter().map(ToString::to_string).collect(), |_| Vec::new())
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn the_defaults_are_durable_and_valid() {
        assert_eq!(problems(&StorageConfig::sqlite("data/kennel.db")), Vec::<String>::new());
        assert_eq!(StorageConfig::default().sqlite_synchronous, Synchronous::Full);
        assert_eq!(StorageConfig::default().sqlite_file("notes"), Path::new("data/notes.db"));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn all_problems_are_reported_at_once() {
        let short = HumanDuration::from_secs(0);
        let config = StorageConfig {
            sqlite_readers: NonZeroU32::MIN.saturating_add(64),
            database_max_connections: NonZeroU32::MIN.saturating_add(1_000),
            database_acquire_timeout: short,
            database_statement_timeout: short,
            ..StorageConfig::sqlite(":memory:")
        };
        let found = problems(&config);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.contains(&"DATABASE_ACQUIRE_TIMEOUT (not set): must be 100ms to 10m".to_owned()), "{found:?}");
    }

    /// Every configuration has one problem, with the key of its setting, that does not quote the URL.
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
    fn assert_rejected(of: fn(&'static str) -> StorageConfig, key: &str, dsns: &[&'static str]) {
        for dsn in dsns {
            let found = problems(&of(dsn));
            let [problem] = &found[..] else { panic!("{dsn}: {found:?}") };
            assert!(
                problem.starts_with(&format!("{key} (not set): must ")) && !problem.contains("hunter2"),
                "{problem}"
            );
        }
        let absent = problems(&StorageConfig::default().of(of("").storage));
        let store = of("").storage.name();
        assert_eq!(absent, [format!("{key} (not set): must be set when the store is {store}")]);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn invalid_postgres_dsns_are_rejected_and_never_quoted() {
        let dsns = [
            "hunter2",
            "mysql://kennel:hunter2@db/dogs",
            "postgres://kennel:hunter2@db:none/dogs",
            "postgres://kennel:hunter2@db",
            "postgres://kennel:hunter2@db/dogs?sslmode=hunter2",
        ];
        assert_rejected(StorageConfig::postgres, "POSTGRES_DSN", &dsns);
        for dsn in ["postgres://u:p@h:5432/d", "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem"] {
            assert!(problems(&StorageConfig::postgres(dsn)).is_empty(), "{dsn}");
        }
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn invalid_mysql_dsns_are_rejected_and_never_quoted() {
        let dsns = [
            "hunter2",
            "postgres://kennel:hunter2@db/dogs",
            "mysql://kennel:hunter2@db:none/dogs",
            "mysql://kennel:hunter2@db",
            "mysql://kennel:hunter2@db/dogs?ssl-mode=hunter2",
        ];
        assert_rejected(StorageConfig::mysql, "MYSQL_DSN", &dsns);
        let valid = "mysql://u:p@h:3306/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem";
        assert!(problems(&StorageConfig::mysql(valid)).is_empty());
    }

    #[cfg(feature = "clickhouse")]
    #[test]
    fn invalid_clickhouse_dsns_are_rejected_and_never_quoted() {
        let dsns = [
            "hunter2",
            "tcp://kennel:hunter2@db:9000/dogs",
            "http://kennel:hunter2@db:none/dogs",
            "http://kennel:hunter2@db:8123",
            "http://kennel:hunter2@db:8123/a/b",
            "http://kennel:hunter2@db/dogs?password=hunter2",
        ];
        assert_rejected(StorageConfig::clickhouse, "CLICKHOUSE_DSN", &dsns);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_separate_password_needs_a_user_in_the_url() {
        let config = StorageConfig {
            postgres_password: Some("hunter2".into()),
            ..StorageConfig::postgres("postgres://db/dogs")
        };
        let found = problems(&config);
        assert!(found.len() == 1 && found[0].starts_with("POSTGRES_PASSWORD (not set): the URL of"), "{found:?}");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
