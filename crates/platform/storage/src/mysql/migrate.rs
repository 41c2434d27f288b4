//! Migrations in MySQL, under a lock between processes.
//!
//! Its statements about tables cannot be taken back: one that fails leaves those before it done, and the step pending.
//! So a step is written to be repeatable, with `IF NOT EXISTS` and `IF EXISTS`, and the next call makes it whole.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{ConnectOptions as _, Connection as _, MySqlConnection, Row as _};

use super::events::{read_all, timestamp};
use super::pool::settle_modes;
use super::{Mysql, classify};
use crate::migration::{Applied, check, compare};
use crate::{MigrateError, Migration, Migrator, State, Step};

/// How long another process's migration is waited for, in seconds.
const LOCK_WAIT: u32 = 3_600;

/// Migrates a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlMigrator {
    database: Mysql,
    steps: &'static [Migration],
}

impl MysqlMigrator {
    /// Migrates `database` along `steps`, which are sorted by number.
    pub const fn new(database: Mysql, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }

    async fn up_locked(&self, connection: &mut MySqlConnection, now: Timestamp) -> Result<Vec<Step>, MigrateError> {
        let steps = compare(self.steps, &applied(connection).await?);
        check(&steps)?;
        let mut done = Vec::new();
        for step in steps.into_iter().filter(|step| step.state == State::Pending) {
            let Some(migration) = self.step(step.version) else { continue };
            run(connection, migration, migration.up).await?;
            remember(connection, migration, now).await?;
            done.push(Step { state: State::Applied { at: now }, ..step });
        }
        Ok(done)
    }

    async fn down_locked(&self, connection: &mut MySqlConnection, steps: u32) -> Result<Vec<Step>, MigrateError> {
        let all = compare(self.steps, &applied(connection).await?);
        check(&all)?;
        let mut done = Vec::new();
        let applied = all.into_iter().rev().filter(|step| step.state != State::Pending);
        for step in applied.take(steps as usize) {
            let Some(migration) = self.step(step.version) else { continue };
            run(connection, migration, migration.down).await?;
            forget(connection, migration).await?;
            done.push(Step { state: State::Pending, ..step });
        }
        Ok(done)
    }
}

#[async_trait]
impl Migrator for MysqlMigrator {
    async fn up(&self, now: Timestamp) -> Result<Vec<Step>, MigrateError> {
        let mut connection = locked(&self.database).await?;
        let done = self.up_locked(&mut connection, now).await;
        unlock(connection).await;
        done
    }

    async fn down(&self, steps: u32) -> Result<Vec<Step>, MigrateError> {
        let mut connection = locked(&self.database).await?;
        let done = self.down_locked(&mut connection, steps).await;
        unlock(connection).await;
        done
    }

    async fn status(&self) -> Result<Vec<Step>, MigrateError> {
        let mut reader = self.database.pool().acquire().await.map_err(classify)?;
        Ok(compare(self.steps, &applied(&mut reader).await?))
    }
}

/// A connection of its own that holds the lock, which goes with it, whatever becomes of the process.
async fn locked(database: &Mysql) -> Result<MySqlConnection, RepoError> {
    let options: MySqlConnectOptions = database.pool().connect_options().as_ref().clone();
    let mut connection = options.connect().await.map_err(classify)?;
    settle_modes(&mut connection).await.map_err(classify)?;
    // The lock is one of the whole server, so it is named for the database.
    let (held,): (Option<i64>,) =
        sqlx::query_as("SELECT GET_LOCK(CONCAT('kennel.', LEFT(SHA2(DATABASE(), 256), 40)), ?)")
            .bind(LOCK_WAIT)
            .fetch_one(&mut connection)
            .await
            .map_err(classify)?;
    if held == Some(1) {
        Ok(connection)
    } else {
        Err(RepoError::Unavailable("another process's migration does not end".into()))
    }
}

/// Ends the connection, and the lock with it, also where the goodbye does not get through.
async fn unlock(connection: MySqlConnection) {
    drop(connection.close().await);
}

async fn applied(connection: &mut MySqlConnection) -> Result<Vec<Applied>, RepoError> {
    let (begun,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM information_schema.tables
                        WHERE table_schema = DATABASE() AND table_name = 'schema_migrations')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(classify)?;
    if !begun {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    read_all(&rows, |row: &MySqlRow| {
        Ok(Applied {
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

async fn remember(connection: &mut MySqlConnection, migration: &Migration, now: Timestamp) -> Result<(), RepoError> {
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

async fn forget(connection: &mut MySqlConnection, migration: &Migration) -> Result<(), RepoError> {
    sqlx::query("DELETE FROM schema_migrations WHERE version = ?")
        .bind(migration.version)
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(())
}
