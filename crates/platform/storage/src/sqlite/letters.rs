//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Sqlite, Write, classify};
use crate::letters::whole_events;

/// The dead letters of a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteDeadLetters(Sqlite);

impl SqliteDeadLetters {
    /// The dead letters in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Sqlite) -> Self {
        Self(database)
    }
}

#[async_trait]
impl DeadLetterSink for SqliteDeadLetters {
    async fn store(&self, letter: &DeadLetter) -> Result<(), RepoError> {
        let event = &letter.event;
        let mut write = self.0.write().await?;
        sqlx::query(
            "INSERT INTO dead_letters (id, name, source, topic, key, time, data, traceparent, tracestate,
                                       group_name, attempts, reason, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id, group_name) DO UPDATE SET
                 name = excluded.name, source = excluded.source, topic = excluded.topic, key = excluded.key,
                 time = excluded.time, data = excluded.data, traceparent = excluded.traceparent,
                 tracestate = excluded.tracestate, attempts = excluded.attempts, reason = excluded.reason,
                 at = excluded.at
             WHERE excluded.at >= dead_letters.at",
        )
        .bind(event.id)
        .bind(&event.name)
        .bind(&event.source)
        .bind(&event.topic)
        .bind(&event.key)
        .bind(event.time.as_millis())
        .bind(&event.data[..])
        .bind(event.trace.as_ref().map(|trace| &trace.traceparent))
        .bind(event.trace.as_ref().and_then(|trace| trace.tracestate.as_ref()))
        .bind(&letter.group)
        .bind(letter.attempts)
        .bind(&letter.reason)
        .bind(letter.at.as_millis())
        .execute(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await
    }
}

#[async_trait]
impl DeadLetters for SqliteDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate,
                    group_name, attempts, reason, at
             FROM dead_letters WHERE id > ? ORDER BY id, group_name LIMIT ?",
        )
        .bind(after.map_or_else(Vec::new, |after| after.as_bytes().to_vec()))
        .bind(i64::from(limit) + 1)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        Ok(whole_events(read_all(&rows, letter)?, limit as usize))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate,
                    group_name, attempts, reason, at
             FROM dead_letters WHERE id = ? ORDER BY group_name",
        )
        .bind(event)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        read_all(&rows, letter)
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let Some(buried) = latest(&mut write, event).await? else {
            return Ok(false);
        };
        if !waits(&mut write, event).await? {
            write.append(&[buried]).await?;
        }
        remove(&mut write, event).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let removed = remove(&mut write, event).await?;
        write.commit().await?;
        Ok(removed > 0)
    }
}

/// The event as it was last buried.
async fn latest(write: &mut Write, id: Uuid) -> Result<Option<Event>, RepoError> {
    sqlx::query(
        "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
         FROM dead_letters WHERE id = ? ORDER BY at DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(write.connection())
    .await
    .and_then(|row| row.as_ref().map(event).transpose())
    .map_err(classify)
}

/// Whether the event is about to be published as it is.
async fn waits(write: &mut Write, id: Uuid) -> Result<bool, RepoError> {
    let (waits,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ? AND position IS NULL)")
        .bind(id)
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
    Ok(waits)
}

async fn remove(write: &mut Write, id: Uuid) -> Result<u64, RepoError> {
    let removed = sqlx::query("DELETE FROM dead_letters WHERE id = ?")
        .bind(id)
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(removed.rows_affected())
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        event: event(row)?,
        group: row.try_get("group_name")?,
        attempts: row.try_get("attempts")?,
        reason: row.try_get("reason")?,
        at: timestamp(row.try_get("at")?)?,
    })
}
