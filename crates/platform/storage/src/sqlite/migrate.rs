//! Migrations in SQLite. All migrations of a call run in one transaction, which is also the lock between processes.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::events::{read_all, timestamp};
use super::{Sqlite, Write, classify};
use crate::migration::{AppliedMigration, check, compare};
use crate::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};

/// Migrates a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteMigrator {
    database: Sqlite,
    steps: &'static [Migration],
}

impl SqliteMigrator {
    /// Migrates `database` along `steps`, which must be sorted by number.
    pub const fn new(database: Sqlite, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }
}

#[async_trait]
impl Migrator for SqliteMigrator {
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut write = self.database.write().await?;
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
        let mut write = self.database.write().await?;
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
        let mut reader = self.database.readers().acquire().await.map_err(classify)?;
        Ok(compare(self.steps, &applied(&mut reader).await?))
    }
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<AppliedMigration>, RepoError> {
    let (exists,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')")
            .fetch_one(&mut *connection)
            .await
            .map_err(classify)?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    read_all(&rows, |row: &SqliteRow| {
        Ok(AppliedMigration {
            version: row.try_get("version")?,
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
            version INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            checksum BLOB NOT NULL,
            applied_at INTEGER NOT NULL
        ) STRICT",
    )
    .execute(write.connection())
    .await
    .map_err(classify)?;
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(&migration.checksum()[..])
        .bind(now.as_millis())
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(())
}

async fn remove_applied(write: &mut Write, migration: &Migration) -> Result<(), RepoError> {
    sqlx::query("DELETE FROM schema_migrations WHERE version = ?")
        .bind(migration.version)
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(())
}
