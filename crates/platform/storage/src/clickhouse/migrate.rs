//! Migrations in ClickHouse, which has no transactions for them.
//!
//! A migration is a list of idempotent statements (`IF NOT EXISTS`), each ended by `;` at the end of its line. It
//! counts as applied after its last statement. After a failure the next `up` runs it again from its start; nothing is
//! removed for cleanup.
//!
//! The lock between processes is a sequence of rows: the process that inserts the next number has the lock. The number
//! is the deduplication token of the insert, and the server accepts only the first insert of a token, so only one of
//! several concurrent processes gets the lock. It expires when its holder stops renewing it.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{IdSource as _, RepoError, Timestamp, UuidV7};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::ClickHouse;
use super::events::{hex, timestamp, unhex};
use crate::migration::{AppliedMigration, check, compare};
use crate::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};

const LOCK_TTL: Duration = Duration::from_secs(30);
const LOCK_RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// How long to wait for another process that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_mins(5);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(100);

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS schema_lock (number UInt64, holder String, expires_at Int64)
     ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 1000",
    "CREATE TABLE IF NOT EXISTS schema_migrations (
         version UInt32, name String, checksum String, applied_at Int64, change UInt64, deleted UInt8
     ) ENGINE = ReplacingMergeTree(change, deleted) ORDER BY version",
];

/// Migrates a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseMigrator {
    database: ClickHouse,
    steps: &'static [Migration],
}

impl ClickHouseMigrator {
    /// Migrates `database` along `steps`, which must be sorted by number.
    pub const fn new(database: ClickHouse, steps: &'static [Migration]) -> Self {
        Self { database, steps }
    }

    fn step(&self, version: u32) -> Option<&Migration> {
        self.steps.iter().find(|step| step.version == version)
    }

    /// Runs `work` under the lock.
    async fn locked<T>(&self, work: impl AsyncFnOnce(u64) -> Result<T, MigrateError>) -> Result<T, MigrateError> {
        for table in TABLES {
            self.database.execute(table).await?;
        }
        let mut lock = MigrationLock::acquire(&self.database).await?;
        let number = lock.number;
        let result = tokio::select! {
            result = work(number) => result,
            lost = lock.keep_renewed() => Err(lost.into()),
        };
        // A lock that cannot be released expires.
        drop(lock.release().await);
        result
    }

    async fn go_up(&self, change: u64, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        let steps = compare(self.steps, &applied(&self.database).await?);
        check(&steps)?;
        let mut done = Vec::new();
        for step in steps.into_iter().filter(|step| step.state == MigrationState::Pending) {
            let Some(migration) = self.step(step.version) else { continue };
            self.run(migration, migration.up).await?;
            self.record_step(migration, now, change, false).await?;
            done.push(MigrationStep { state: MigrationState::Applied { at: now }, ..step });
        }
        Ok(done)
    }

    async fn go_down(&self, change: u64, steps: u32) -> Result<Vec<MigrationStep>, MigrateError> {
        let all = compare(self.steps, &applied(&self.database).await?);
        check(&all)?;
        let mut done = Vec::new();
        let applied = all.into_iter().rev().filter_map(|step| match step.state {
            MigrationState::Applied { at } => Some((step, at)),
            _ => None,
        });
        for (step, at) in applied.take(steps as usize) {
            let Some(migration) = self.step(step.version) else { continue };
            self.run(migration, migration.down).await?;
            self.record_step(migration, at, change, true).await?;
            done.push(MigrationStep { state: MigrationState::Pending, ..step });
        }
        Ok(done)
    }

    async fn run(&self, migration: &Migration, sql: &str) -> Result<(), MigrateError> {
        for statement in statements(sql) {
            self.database.execute_long(&statement).await.map_err(|source| MigrateError::Step {
                version: migration.version,
                name: migration.name.to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    async fn record_step(
        &self,
        migration: &Migration,
        at: Timestamp,
        change: u64,
        deleted: bool,
    ) -> Result<(), RepoError> {
        let (version, name, deleted) = (migration.version, migration.name, u8::from(deleted));
        let (checksum, at) = (hex(&migration.checksum()), at.as_millis());
        let sql = format!(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at, change, deleted)
             VALUES ({version}, '{name}', '{checksum}', {at}, {change}, {deleted})"
        );
        self.database.execute(&sql).await
    }
}

#[async_trait]
impl Migrator for ClickHouseMigrator {
    async fn up(&self, now: Timestamp) -> Result<Vec<MigrationStep>, MigrateError> {
        self.locked(async |change| self.go_up(change, now).await).await
    }

    async fn down(&self, steps: u32) -> Result<Vec<MigrationStep>, MigrateError> {
        self.locked(async |change| self.go_down(change, steps).await).await
    }

    async fn status(&self) -> Result<Vec<MigrationStep>, MigrateError> {
        Ok(compare(self.steps, &applied(&self.database).await?))
    }
}

/// The lock, as acquired by this process.
struct MigrationLock {
    database: ClickHouse,
    holder: String,
    number: u64,
}

#[derive(Deserialize)]
struct LockRow {
    number: u64,
    holder: String,
    free: u8,
}

impl MigrationLock {
    async fn acquire(database: &ClickHouse) -> Result<Self, RepoError> {
        let mut lock = Self { database: database.clone(), holder: UuidV7.next().to_string(), number: 0 };
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while Instant::now() < deadline {
            let last = lock.last().await?;
            if last.as_ref().is_none_or(|last| last.free != 0) {
                lock.number = last.map_or(0, |last| last.number);
                let holder = lock.holder.clone();
                if lock.advance(&holder).await? {
                    return Ok(lock);
                }
            } else {
                sleep(LOCK_POLL_INTERVAL).await;
            }
        }
        Err(RepoError::Unavailable("another process has migrated for too long".into()))
    }

    async fn last(&self) -> Result<Option<LockRow>, RepoError> {
        let sql =
            "SELECT number, holder, toUInt8(holder = '' OR expires_at <= toUnixTimestamp64Milli(now64(3))) AS free
                   FROM schema_lock ORDER BY number DESC LIMIT 1";
        Ok(self.database.rows(self.database.query(sql)).await?.into_iter().next())
    }

    /// Inserts the next number for `holder`. Returns false when another process has inserted it.
    async fn advance(&mut self, holder: &str) -> Result<bool, RepoError> {
        let (number, ttl) = (self.number + 1, LOCK_TTL.as_millis());
        let sql = format!(
            "INSERT INTO schema_lock (number, holder, expires_at)
             VALUES ({number}, '{holder}', toUnixTimestamp64Milli(now64(3)) + {ttl})"
        );
        self.database.execute_once(&sql, &format!("lock {number}")).await?;
        let sql = "SELECT number, holder, toUInt8(0) AS free FROM schema_lock WHERE number = ? LIMIT 1";
        let rows: Vec<LockRow> = self.database.rows(self.database.query(sql).bind(number)).await?;
        let added = rows.first().is_some_and(|row| row.holder == holder);
        if added {
            self.number = number;
        }
        Ok(added)
    }

    /// Renews the lock for as long as it is polled; returns the reason when the lock is lost.
    async fn keep_renewed(&mut self) -> RepoError {
        let holder = self.holder.clone();
        loop {
            sleep(LOCK_RENEW_INTERVAL).await;
            match self.advance(&holder).await {
                Ok(true) => {}
                Ok(false) => return RepoError::Unavailable("another process has taken the lock".into()),
                Err(error) => return error,
            }
        }
    }

    async fn release(&mut self) -> Result<bool, RepoError> {
        self.advance("").await
    }
}

async fn applied(database: &ClickHouse) -> Result<Vec<AppliedMigration>, RepoError> {
    #[derive(Deserialize)]
    struct TableName {}
    #[derive(Deserialize)]
    struct Row {
        version: u32,
        name: String,
        checksum: String,
        applied_at: i64,
    }
    let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'";
    let exists: Vec<TableName> = database.rows(database.query(sql)).await?;
    if exists.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name, checksum, applied_at FROM schema_migrations FINAL ORDER BY version";
    let rows: Vec<Row> = database.rows(database.query(sql)).await?;
    let applied = rows.into_iter().map(|row| {
        Ok(AppliedMigration {
            version: row.version,
            name: row.name,
            checksum: unhex(&row.checksum)?,
            at: timestamp(row.applied_at)?,
        })
    });
    applied.collect()
}

/// The statements of a migration: each ends with `;` at the end of a line. Comment lines are removed.
fn statements(sql: &str) -> Vec<String> {
    let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let code = code.collect::<Vec<_>>().join("\n");
    let statements = code.split(";\n").map(|statement| statement.trim().trim_end_matches(';').to_owned());
    statements.filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_with_their_line() {
        let sql = "-- about; this;\nCREATE TABLE t (\n  a String -- why;not\n);\n\n  -- more\nSELECT ';';\nSELECT 2;";
        assert_eq!(statements(sql), ["CREATE TABLE t (\n  a String -- why;not\n)", "SELECT ';'", "SELECT 2"]);
        assert!(statements(" \n-- nothing;\n").is_empty());
    }
}
