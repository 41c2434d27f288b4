//! The inbox.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError, Timestamp};
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{MySql, MySqlConnection, MySqlExecutor};
use uuid::Uuid;

use super::{Bulk, BulkRow, MAX_IDS, Mysql, classify, json_array};

static INSERT: LazyLock<Bulk> =
    LazyLock::new(|| Bulk::insert("inbox (group_name, event, created_at)", "(?, ?, ?)", ""));
static COUNT: LazyLock<Bulk> = LazyLock::new(|| {
    let columns = "inbox_attempts (group_name, event, attempts, last_attempt_at)";
    let end = " ON DUPLICATE KEY UPDATE attempts = attempts + 1, last_attempt_at = VALUES(last_attempt_at)";
    Bulk::insert(columns, "(?, ?, 1, ?)", end)
});

/// A receipt, or an attempt to handle an event.
#[derive(Clone, Copy)]
pub(super) struct InboxRow<'a> {
    pub(super) group: &'a str,
    pub(super) event: Uuid,
    pub(super) at: Timestamp,
}

impl<'a> InboxRow<'a> {
    fn of(receipt: &'a Receipt) -> Self {
        Self { group: &receipt.group, event: receipt.event, at: receipt.at }
    }
}

impl BulkRow for InboxRow<'_> {
    fn size(&self) -> usize {
        self.group.len()
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        Ok(query.bind(self.group.as_bytes()).bind(self.event).bind(self.at.as_millis()))
    }
}

/// Adds a receipt with `executor`, which may be a transaction's connection. Returns false when it was already recorded.
pub async fn record(executor: impl MySqlExecutor<'_>, receipt: &Receipt) -> Result<bool, RepoError> {
    record_row(executor, &InboxRow::of(receipt)).await
}

async fn record_row(executor: impl MySqlExecutor<'_>, row: &InboxRow<'_>) -> Result<bool, RepoError> {
    // Not `INSERT IGNORE`, which would truncate a group name that is too long instead of rejecting it.
    let recorded = sqlx::query("INSERT INTO inbox (group_name, event, created_at) VALUES (?, ?, ?)")
        .bind(row.group.as_bytes())
        .bind(row.event)
        .bind(row.at.as_millis())
        .execute(executor)
        .await
        .map_err(classify);
    match recorded {
        Ok(_) => Ok(true),
        Err(RepoError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds receipts within the transaction that `connection` is in. Returns the events that had none.
pub async fn record_all(connection: &mut MySqlConnection, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
    let mut recorded = HashSet::new();
    // In one order for all processes, so that concurrent calls seldom deadlock.
    let mut rows: Vec<_> = receipts.iter().map(InboxRow::of).collect();
    rows.sort_unstable_by_key(|row| row.event);
    let mut rest = &rows[..];
    while let Some((now, later)) = Bulk::split(rest) {
        rest = later;
        match INSERT.execute(connection, now).await {
            Ok(()) => recorded.extend(now.iter().map(|row| row.event)),
            // MySQL does not report which of them exist. That is rare, so only then each is inserted alone.
            Err(RepoError::Conflict) => {
                for row in now {
                    if record_row(&mut *connection, row).await? {
                        recorded.insert(row.event);
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(recorded)
}

/// Adds one attempt at each event; returns the new numbers of attempts.
async fn count(database: &Mysql, group: &str, events: &[Uuid], now: Timestamp) -> Result<Vec<(Uuid, i64)>, RepoError> {
    let mut write = database.write().await?;
    let mut events = events.to_vec();
    // In one order for all processes, so that concurrent calls seldom deadlock.
    events.sort_unstable();
    let started: Vec<_> = events.iter().map(|&event| InboxRow { group, event, at: now }).collect();
    COUNT.execute(write.connection(), &started).await?;
    let mut attempts = Vec::with_capacity(events.len());
    for events in events.chunks(MAX_IDS) {
        attempts.extend(attempts_of(write.connection(), group, events).await?);
    }
    write.commit().await?;
    Ok(attempts)
}

async fn attempts_of(
    executor: impl MySqlExecutor<'_>,
    group: &str,
    events: &[Uuid],
) -> Result<Vec<(Uuid, i64)>, RepoError> {
    let attempts = sqlx::query_as(
        "SELECT event, attempts FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
         STRAIGHT_JOIN inbox_attempts FORCE INDEX (PRIMARY) ON group_name = ? AND event = UNHEX(given.id)",
    );
    let attempts = attempts.bind(json_array(events.iter().copied())?).bind(group.as_bytes());
    attempts.fetch_all(executor).await.map_err(classify)
}

async fn seen_of(executor: impl MySqlExecutor<'_>, group: &str, events: &[Uuid]) -> Result<Vec<Uuid>, RepoError> {
    let seen = sqlx::query_scalar(
        "SELECT event FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
         STRAIGHT_JOIN inbox FORCE INDEX (PRIMARY) ON group_name = ? AND event = UNHEX(given.id)",
    );
    let seen = seen.bind(json_array(events.iter().copied())?).bind(group.as_bytes());
    seen.fetch_all(executor).await.map_err(classify)
}

async fn forget(database: &Mysql, group: &str, event: Uuid) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    for forget in [
        "DELETE FROM inbox_attempts WHERE group_name = ? AND event = ?",
        "DELETE FROM inbox WHERE group_name = ? AND event = ?",
    ] {
        let deleted = sqlx::query(forget).bind(group.as_bytes()).bind(event).execute(write.connection());
        deleted.await.map_err(classify)?;
    }
    write.commit().await
}

/// The inbox of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlInbox(Mysql);

impl MysqlInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Mysql) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for MysqlInbox {
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        let mut seen = HashSet::new();
        for events in events.chunks(MAX_IDS) {
            seen.extend(self.0.run(|| seen_of(self.0.pool(), group, events)).await?);
        }
        Ok(seen)
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.0.run(|| record(self.0.pool(), receipt)).await
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        let record = || async {
            let mut write = self.0.write().await?;
            let recorded = write.record_all(receipts).await?;
            write.commit().await?;
            Ok(recorded)
        };
        self.0.run(record).await
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        Ok(by_event(self.0.run(|| count(&self.0, group, events, now)).await?))
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        let mut attempts = HashMap::new();
        for events in events.chunks(MAX_IDS) {
            attempts.extend(by_event(self.0.run(|| attempts_of(self.0.pool(), group, events)).await?));
        }
        Ok(attempts)
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        self.0.run(|| forget(&self.0, group, event)).await
    }
}

fn by_event(attempts: Vec<(Uuid, i64)>) -> HashMap<Uuid, u32> {
    attempts.into_iter().map(|(event, attempts)| (event, u32::try_from(attempts).unwrap_or(u32::MAX))).collect()
}
