//! Migrations in `PostgreSQL`. All migrations of a call run in one transaction, under a lock between processes.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::events::{read_all, timestamp};
use super::{Postgres, Session, Write, classify};
use crate::migration::{AppliedMigration, check, compare};
use crate::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};

/// The advisory lock of migrations within a database: the letters of `kennel`.
const LOCK: i64 = 0x6b65_6e6e_656c;

/// Migrates a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct PostgresMigrator {
    database: Postgres,
    steps: &'static [Migration],
}

impl PostgresMigrator {
    /// Migrates `database` along `steps`, which must be sorted by number.
    pub const fn new(database: Postgres, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }
}

#[async_trait]
impl Migrator for PostgresMigrator {
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut write = locked(&self.database).await?;
        let steps = compare(self.steps, &applied(write.connection()).await?);
        check(&steps)?;
        let mut done = Vec::new();
        for step in steps.into_iter().filter(|step| step.state == MigrationState::Pending) {
            let Some(migration) = self.step(step.version) else { continue };
            run(&mut write, migration, migration.up).await?;
            record_applied(&mut write, migration, now).await?;
            done.push(MigrationStep { state: MigrationState::Applied { at: now }, ..step });
        }
        if !done.is_empty() {
            write.commit().await?;
        }
        Ok(done)
    }

    async fn down(&self, steps: u32) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut write = locked(&self.database).await?;
        let all = compare(self.steps, &applied(write.connection()).await?);
        check(&all)?;
        let mut done = Vec::new();
        let applied = all.into_iter().rev().filter(|step| step.state != MigrationState::Pending);
        for step in applied.take(steps as usize) {
            let Some(migration) = self.step(step.version) else { continue };
            run(&mut write, migration, migration.down).await?;
            remove_applied(&mut write, migration).await?;
            done.push(MigrationStep { state: MigrationState::Pending, ..step });
        }
        write.commit().await?;
        Ok(done)
    }

    async fn status(&self) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut read = self.database.write().await?;
        Ok(compare(self.steps, &applied(read.connection()).await?))
    }
}

/// Begins a transaction and takes the lock. Waits for the migration of another process, without a limit.
async fn locked(database: &Postgres) -> Result<Write, RepoError> {
    let mut write = database.write().await?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .execute(write.connection())
        .await
        .map_err(classify)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(write.connection()).await.map_err(classify)?;
    Ok(write)
}

async fn applied(session: &mut Session) -> Result<Vec<AppliedMigration>, RepoError> {
    let (exists,): (bool,) = sqlx::query_as("SELECT to_regclass('schema_migrations') IS NOT NULL")
        .fetch_one(&mut *session)
        .await
        .map_err(classify)?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version")
        .fetch_all(session)
        .await
        .map_err(classify)?;
    read_all(&rows, |row: &PgRow| {
        let version: i64 = row.try_get("version")?;
        Ok(AppliedMigration {
            version: version.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
            at: timestamp(row.try_get("applied_at")?)?,
        })
    })
}

async fn run(write: &mut Write, migration: &Migration, sql: &'static str) -> Result<(), MigrateError> {
    match sqlx::raw_sql(sql).execute(write.connection()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(MigrateError::Step {
            version: migration.version,
            name: migration.name.to_owned(),
            source: classify(error),
        }),
    }
}

async fn record_applied(write: &mut Write, migration: &Migration, now: Timestamp) -> Result<(), RepoError> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version bigint PRIMARY KEY,
            name text NOT NULL,
            checksum bytea NOT NULL,
            applied_at bigint NOT NULL
        )",
    )
    .execute(write.connection())
    .await
    .map_err(classify)?;
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(i64::from(migration.version))
        .bind(migration.name)
        .bind(&migration.checksum()[..])
        .bind(now.as_millis())
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(())
}

async fn remove_applied(write: &mut Write, migration: &Migration) -> Result<(), RepoError> {
    sqlx::query("DELETE FROM schema_migrations WHERE version = $1")
        .bind(i64::from(migration.version))
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(())
}
