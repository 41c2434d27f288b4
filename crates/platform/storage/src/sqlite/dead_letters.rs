//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Sqlite, Write, classify};
use crate::dead_letters::truncate_at_event;

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
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        let event = &dead_letter.event;
        let mut write = self.0.write().await?;
        sqlx::query(
            "INSERT INTO dead_letters (id, name, source, topic, key, time, content_type, data, traceparent, tracestate,
                                       group_name, attempts, reason, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id, group_name) DO UPDATE SET
                 name = excluded.name, source = excluded.source, topic = excluded.topic, key = excluded.key,
                 time = excluded.time, content_type = excluded.content_type, data = excluded.data, traceparent = excluded.traceparent,
                 tracestate = excluded.tracestate, attempts = excluded.attempts, reason = excluded.reason,
                 created_at = excluded.created_at
             WHERE excluded.created_at >= dead_letters.created_at",
        )
        .bind(event.id)
        .bind(&event.name)
        .bind(&event.source)
        .bind(&event.topic)
        .bind(&event.key)
        .bind(event.time.as_millis())
        .bind(&event.content_type)
        .bind(&event.data[..])
        .bind(event.trace.as_ref().map(|trace| &trace.traceparent))
        .bind(event.trace.as_ref().and_then(|trace| trace.tracestate.as_ref()))
        .bind(&dead_letter.group)
        .bind(dead_letter.attempts)
        .bind(&dead_letter.reason)
        .bind(dead_letter.at.as_millis())
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
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate,
                    group_name, attempts, reason, created_at
             FROM dead_letters WHERE id > ? ORDER BY id, group_name LIMIT ?",
        )
        .bind(after.map_or_else(Vec::new, |after| after.as_bytes().to_vec()))
        .bind(i64::from(limit) + 1)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        Ok(truncate_at_event(read_all(&rows, dead_letter)?, limit as usize))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate,
                    group_name, attempts, reason, created_at
             FROM dead_letters WHERE id = ? ORDER BY group_name",
        )
        .bind(event)
        .fetch_all(self.0.readers())
        .await
        .map_err(classify)?;
        read_all(&rows, dead_letter)
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let Some(event_to_replay) = latest(&mut write, event).await? else {
            return Ok(false);
        };
        if !is_pending(&mut write, event).await? {
            write.append(&[event_to_replay]).await?;
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

/// The event of the latest dead letter.
async fn latest(write: &mut Write, id: Uuid) -> Result<Option<Event>, RepoError> {
    sqlx::query(
        "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate
         FROM dead_letters WHERE id = ? ORDER BY created_at DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(write.connection())
    .await
    .and_then(|row| row.as_ref().map(event).transpose())
    .map_err(classify)
}

/// Whether the event is already pending in the outbox.
async fn is_pending(write: &mut Write, id: Uuid) -> Result<bool, RepoError> {
    let (pending,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ? AND publish_seq IS NULL)")
        .bind(id)
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
    Ok(pending)
}

async fn remove(write: &mut Write, id: Uuid) -> Result<u64, RepoError> {
    let removed = sqlx::query("DELETE FROM dead_letters WHERE id = ?")
        .bind(id)
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(removed.rows_affected())
}

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        event: event(row)?,
        group: row.try_get("group_name")?,
        attempts: row.try_get("attempts")?,
        reason: row.try_get("reason")?,
        at: timestamp(row.try_get("created_at")?)?,
    })
}
