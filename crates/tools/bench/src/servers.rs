//! Databases for contests.
//!
//! `PostgreSQL` and MySQL are started for the benchmarks where `.ci/services` can do so, and sync every commit to disk. The
//! servers of the tests do not; they are used where that program is missing.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::ensure;
use kennel_testkit::TestDatabase;
use kennel_testkit::clickhouse::TestClickHouse;
use kennel_testkit::server::{PrivateServer, Server};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::{Handle, Runtime};
use uuid::Uuid;

use crate::service::Running;

/// A store of dogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
    Mysql,
    ClickHouse,
}

impl Store {
    pub(crate) const ALL: [Self; 4] = [Self::Sqlite, Self::Postgres, Self::Mysql, Self::ClickHouse];

    /// Its value of `STORAGE`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::ClickHouse => "clickhouse",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLITE_PATH",
            Self::Postgres => "POSTGRES_DSN",
            Self::Mysql => "MYSQL_DSN",
            Self::ClickHouse => "CLICKHOUSE_DSN",
        }
    }
}

/// An empty database, which is dropped with the value.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) dsn: String,
    _owned: Owned,
}

enum Owned {
    Folder(tempfile::TempDir),
    Server(TestDatabase),
    ClickHouse(TestClickHouse),
}

impl Database {
    /// Starts dogs on the database, with its schema and without a cache.
    pub(crate) fn start(&self, program: &Path, env: &[(&str, &str)]) -> anyhow::Result<Running> {
        Running::service(program, &[&self.env()[..], &[("CACHE", "none")], env].concat())
    }

    /// Creates the schema.
    pub(crate) fn migrate(&self, program: &Path) -> anyhow::Result<()> {
        let migrated = Command::new(program).args(["migrate", "up"]).env_clear().envs(self.env()).output()?;
        ensure!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
        Ok(())
    }

    /// The settings that select it.
    pub(crate) fn env(&self) -> [(&'static str, &str); 2] {
        [("STORAGE", self.store.name()), (self.store.variable(), &self.dsn)]
    }
}

/// The servers that were needed so far, until they are dropped.
pub(crate) struct Servers {
    // Dropped before their server.
    filled: RefCell<HashMap<u32, Rc<Database>>>,
    postgres: OnceCell<Option<PrivateServer>>,
    mysql: OnceCell<Option<PrivateServer>>,
    runtime: Runtime,
}

impl Servers {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (postgres, mysql) = (OnceCell::new(), OnceCell::new());
        Ok(Self { runtime: Runtime::new()?, postgres, mysql, filled: RefCell::default() })
    }

    /// The runtime that their clients run on.
    pub(crate) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// A new database, with the schema of `program`; `None` without a server.
    pub(crate) fn migrated(&self, store: Store, program: &Path) -> anyhow::Result<Option<Database>> {
        let Some(database) = self.database(store)? else { return Ok(None) };
        database.migrate(program)?;
        Ok(Some(database))
    }

    /// A new database; `None` without a server.
    pub(crate) fn database(&self, store: Store) -> anyhow::Result<Option<Database>> {
        let owned = match store {
            Store::Sqlite => Some(Owned::Folder(tempfile::tempdir()?)),
            Store::Postgres => self.postgres().map(Owned::Server),
            Store::Mysql => self.mysql().map(Owned::Server),
            Store::ClickHouse => TestClickHouse::create().map(Owned::ClickHouse),
        };
        let dsn = match &owned {
            None => return Ok(None),
            Some(Owned::Folder(folder)) => folder.path().join("dogs.db").to_string_lossy().into_owned(),
            Some(Owned::Server(database)) => database.dsn(),
            Some(Owned::ClickHouse(database)) => database.dsn(),
        };
        Ok(owned.map(|owned| Database { store, dsn, _owned: owned }))
    }

    /// A `PostgreSQL` database with so many dogs, which are numbered by [`dog_id`]. It is created once, for all contests.
    pub(crate) fn filled(&self, rows: u32, program: &Path) -> anyhow::Result<Option<Rc<Database>>> {
        if let Some(database) = self.filled.borrow().get(&rows) {
            return Ok(Some(Rc::clone(database)));
        }
        let Some(database) = self.migrated(Store::Postgres, program)?.map(Rc::new) else { return Ok(None) };
        self.runtime.block_on(fill(&database.dsn, rows))?;
        self.filled.borrow_mut().insert(rows, Rc::clone(&database));
        Ok(Some(database))
    }

    fn postgres(&self) -> Option<TestDatabase> {
        match self.private(&self.postgres, Server::Postgres) {
            Some(server) => Some(self.runtime.block_on(TestDatabase::postgres_on(&server.url()))),
            None => self.runtime.block_on(TestDatabase::postgres()),
        }
    }

    fn mysql(&self) -> Option<TestDatabase> {
        match self.private(&self.mysql, Server::MySql) {
            Some(server) => Some(self.runtime.block_on(TestDatabase::mysql_on(&server.url()))),
            None => self.runtime.block_on(TestDatabase::mysql()),
        }
    }

    /// The server of this run, which is started by the first call.
    fn private<'a>(&self, cell: &'a OnceCell<Option<PrivateServer>>, server: Server) -> Option<&'a PrivateServer> {
        cell.get_or_init(|| self.runtime.block_on(PrivateServer::start_durable(server))).as_ref()
    }
}

/// The id of a dog of [`Servers::filled`].
pub(crate) fn dog_id(number: u32) -> Uuid {
    Uuid::from_u128(0x7000_8000_0000_0000_0000 | u128::from(number))
}

async fn fill(dsn: &str, rows: u32) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(dsn).await?;
    let insert = "INSERT INTO dogs (id, breed, revision, created_at, updated_at)
        SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'husky', 1, 0, 0
        FROM generate_series(0, $1 - 1) n";
    sqlx::query(insert).bind(i64::from(rows)).execute(&mut connection).await?;
    // As autovacuum leaves a table that is not new.
    sqlx::query("VACUUM ANALYZE dogs").execute(&mut connection).await?;
    Ok(connection.close().await?)
}
