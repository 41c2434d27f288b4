//! Migrations in databases with transactional DDL: all migrations of a call run in one transaction, under a lock between
//! processes.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};

use super::{SqlStore, SqlWrite as _, Statement as _};
use crate::migration::{AppliedMigration, check, compare};
use crate::{Columns, MigrateError, Migration, MigrationState, MigrationStep, Migrator, Storage, classify};

/// The advisory lock of migrations within a database of `PostgreSQL`: the letters of `kennel`.
const LOCK: i64 = 0x6b65_6e6e_656c;

/// Migrates a database of SQLite or `PostgreSQL`.
#[derive(Debug, Clone)]
pub struct SqlMigrator<S> {
    database: S,
    steps: &'static [Migration],
}

impl<S: SqlStore> SqlMigrator<S> {
    const IS_POSTGRES: bool = matches!(S::STORAGE, Storage::Postgres);
    /// Selects a row if migrations were applied.
    const EXISTS: &'static str = if Self::IS_POSTGRES {
        "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL"
    } else {
        "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'"
    };
    const LIST: &'static str = "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version";
    const CREATE: &'static str = if Self::IS_POSTGRES {
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version bigint PRIMARY KEY,
            name text NOT NULL,
            checksum bytea NOT NULL,
            applied_at bigint NOT NULL
        )"
    } else {
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            checksum BLOB NOT NULL,
            applied_at INTEGER NOT NULL
        ) STRICT"
    };

    /// Migrates `database` along `steps`, which must be sorted by number.
    pub const fn new(database: S, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }

    /// Begins a transaction and takes the lock. Waits for the migration of another process, without a limit. In SQLite, a
    /// transaction that writes is the lock.
    async fn locked(&self) -> Result<S::Write, RepoError> {
        let mut write = self.database.write().await?;
        if Self::IS_POSTGRES {
            write.script("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0").await?;
            let mut lock = S::Statement::new("SELECT pg_advisory_xact_lock(");
            lock.number(LOCK).sql(")");
            write.execute(lock).await?;
        }
        Ok(write)
    }

    /// The migrations with their states, in a transaction.
    async fn states(&self, write: &mut S::Write) -> Result<Vec<MigrationStep>, MigrateError> {
        let exists = !write.fetch(S::Statement::new(Self::EXISTS)).await?.is_empty();
        let rows = if exists { write.fetch(S::Statement::new(Self::LIST)).await? } else { Vec::new() };
        let steps = compare(self.steps, &read(&rows)?);
        check(&steps)?;
        Ok(steps)
    }
}

#[async_trait]
impl<S: SqlStore> Migrator for SqlMigrator<S> {
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut write = self.locked().await?;
        let steps = self.states(&mut write).await?;
        let mut done = Vec::new();
        for step in steps.into_iter().filter(|step| step.state == MigrationState::Pending) {
            let Some(migration) = self.step(step.version) else { continue };
            run::<S>(&mut write, migration, migration.up).await?;
            write.script(Self::CREATE).await?;
            let mut insert =
                S::Statement::new("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (");
            insert.number(migration.version.into()).sql(", ").text(migration.name).sql(", ");
            insert.bytes(&migration.checksum()).sql(", ").number(now.as_millis()).sql(")");
            write.execute(insert).await?;
            done.push(MigrationStep { state: MigrationState::Applied { at: now }, ..step });
        }
        if !done.is_empty() {
            write.commit().await?;
        }
        Ok(done)
    }

    async fn down(&self, steps: u32) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut write = self.locked().await?;
        let all = self.states(&mut write).await?;
        let mut done = Vec::new();
        let applied = all.into_iter().rev().filter(|step| step.state != MigrationState::Pending);
        for step in applied.take(steps as usize) {
            let Some(migration) = self.step(step.version) else { continue };
            run::<S>(&mut write, migration, migration.down).await?;
            let mut delete = S::Statement::new("DELETE FROM schema_migrations WHERE version = ");
            delete.number(migration.version.into());
            write.execute(delete).await?;
            done.push(MigrationStep { state: MigrationState::Pending, ..step });
        }
        write.commit().await?;
        Ok(done)
    }

    async fn status(&self) -> Result<Vec<MigrationStep>, MigrateError> {
        let exists = !self.database.fetch(S::Statement::new(Self::EXISTS)).await?.is_empty();
        let rows = if exists { self.database.fetch(S::Statement::new(Self::LIST)).await? } else { Vec::new() };
        Ok(compare(self.steps, &read(&rows)?))
    }
}

async fn run<S: SqlStore>(write: &mut S::Write, migration: &Migration, sql: &'static str) -> Result<(), MigrateError> {
    let step = |source| MigrateError::Step { version: migration.version, name: migration.name.to_owned(), source };
    write.script(sql).await.map_err(step)
}

fn read(rows: &[impl Columns]) -> Result<Vec<AppliedMigration>, RepoError> {
    rows.iter().map(|row| applied(row).map_err(classify)).collect()
}

fn applied(row: &impl Columns) -> Result<AppliedMigration, sqlx::Error> {
    Ok(AppliedMigration {
        version: row.number("version")?.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        name: row.text("name")?,
        checksum: row.bytes("checksum")?,
        at: row.time("applied_at")?,
    })
}
