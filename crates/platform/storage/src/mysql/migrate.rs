//! Migrations in MySQL, under a lock between processes.
//!
//! DDL cannot be rolled back: when a statement fails, the statements before it stay applied, and the migration stays
//! pending. So migrations are idempotent, with `IF NOT EXISTS` and `IF EXISTS`, and the next call completes them.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{ConnectOptions as _, Connection as _, MySqlConnection, Row as _};

use super::events::{read_all, timestamp};
use super::pool::configure_modes;
use super::{Mysql, classify};
use crate::migration::{AppliedMigration, check, compare};
use crate::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};

/// How long to wait for the migration of another process, in seconds.
const LOCK_WAIT: u32 = 3_600;

/// Migrates a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlMigrator {
    database: Mysql,
    steps: &'static [Migration],
}

impl MysqlMigrator {
    /// Migrates `database` along `steps`, which must be sorted by number.
    pub const fn new(database: Mysql, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }

    async fn up_locked(
        &self,
        connection: &mut MySqlConnection,
        now: Timestamp,
    ) -> Result<Vec<MigrationStep>, MigrateError> {
        let steps = compare(self.steps, &applied(connection).await?);
        check(&steps)?;
        let mut done = Vec::new();
        for step in steps.into_iter().filter(|step| step.state == MigrationState::Pending) {
            let Some(migration) = self.step(step.version) else { continue };
            run(connection, migration, migration.up).await?;
            record_applied(connection, migration, now).await?;
            done.push(MigrationStep { state: MigrationState::Applied { at: now }, ..step });
        }
        Ok(done)
    }

    async fn down_locked(
        &self,
        connection: &mut MySqlConnection,
        steps: u32,
    ) -> Result<Vec<MigrationStep>, MigrateError> {
        let all = compare(self.steps, &applied(connection).await?);
        check(&all)?;
        let mut done = Vec::new();
        let applied = all.into_iter().rev().filter(|step| step.state != MigrationState::Pending);
        for step in applied.take(steps as usize) {
            let Some(migration) = self.step(step.version) else { continue };
            run(connection, migration, migration.down).await?;
            remove_applied(connection, migration).await?;
            done.push(MigrationStep { state: MigrationState::Pending, ..step });
        }
        Ok(done)
    }
}

#[async_trait]
impl Migrator for MysqlMigrator {
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut connection = locked(&self.database).await?;
        let done = self.up_locked(&mut connection, now).await;
        unlock(connection).await;
        done
    }

    async fn down(&self, steps: u32) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut connection = locked(&self.database).await?;
        let done = self.down_locked(&mut connection, steps).await;
        unlock(connection).await;
        done
    }

    async fn status(&self) -> Result<Vec<MigrationStep>, MigrateError> {
        let mut reader = self.database.pool().acquire().await.map_err(classify)?;
        Ok(compare(self.steps, &applied(&mut reader).await?))
    }
}

/// Opens a separate connection that takes the lock. The server releases the lock when the connection ends, also after a
/// crash.
async fn locked(database: &Mysql) -> Result<MySqlConnection, RepoError> {
    let options: MySqlConnectOptions = database.pool().connect_options().as_ref().clone();
    let mut connection = options.connect().await.map_err(classify)?;
    configure_modes(&mut connection).await.map_err(classify)?;
    // The lock is global to the server, so its name contains the database.
    let (locked,): (Option<i64>,) =
        sqlx::query_as("SELECT GET_LOCK(CONCAT('kennel.', LEFT(SHA2(DATABASE(), 256), 40)), ?)")
            .bind(LOCK_WAIT)
            .fetch_one(&mut connection)
            .await
            .map_err(classify)?;
    if locked == Some(1) {
        Ok(connection)
    } else {
        Err(RepoError::Unavailable("another process has migrated for too long".into()))
    }
}

/// Closes the connection, which releases the lock. An error is ignored: the server then ends the connection by itself.
async fn unlock(connection: MySqlConnection) {
    drop(connection.close().await);
}

async fn applied(connection: &mut MySqlConnection) -> Result<Vec<AppliedMigration>, RepoError> {
    let (exists,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM information_schema.tables
                        WHERE table_schema = DATABASE() AND table_name = 'schema_migrations')",
    )
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
    read_all(&rows, |row: &MySqlRow| {
        Ok(AppliedMigration {
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
            at: timestamp(row.try_get("applied_at")?)?,
        })
    })
}

async fn run(connection: &mut MySqlConnection, migration: &Migration, sql: &'static str) -> Result<(), MigrateError> {
    match sqlx::raw_sql(sql).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) => Err(MigrateError::Step {
            version: migration.version,
            name: migration.name.to_owned(),
            source: classify(error),
        }),
    }
}

async fn record_applied(
    connection: &mut MySqlConnection,
    migration: &Migration,
    now: Timestamp,
) -> Result<(), RepoError> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version INT UNSIGNED NOT NULL PRIMARY KEY,
            name VARCHAR(255) NOT NULL,
            checksum BINARY(32) NOT NULL,
            applied_at BIGINT NOT NULL
        ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
    )
    .execute(&mut *connection)
    .await
    .map_err(classify)?;
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(&migration.checksum()[..])
        .bind(now.as_millis())
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(())
}

async fn remove_applied(connection: &mut MySqlConnection, migration: &Migration) -> Result<(), RepoError> {
    sqlx::query("DELETE FROM schema_migrations WHERE version = ?")
        .bind(migration.version)
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(())
}
