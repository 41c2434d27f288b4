//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use sqlx::MySqlExecutor;
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Mysql, Write, classify};
use crate::dead_letters::truncate_at_event;

/// The dead letters of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlDeadLetters(Mysql);

impl MysqlDeadLetters {
    /// The dead letters in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Mysql) -> Self {
        Self(database)
    }

    async fn try_store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        let event = &dead_letter.event;
        // MySQL evaluates assignments from left to right, so `created_at`, which the others compare, comes last.
        sqlx::query(
            "INSERT INTO dead_letters (id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate,
                                       group_name, attempts, reason, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON DUPLICATE KEY UPDATE
                 name = IF(VALUES(created_at) >= created_at, VALUES(name), name),
                 source = IF(VALUES(created_at) >= created_at, VALUES(source), source),
                 topic = IF(VALUES(created_at) >= created_at, VALUES(topic), topic),
                 `key` = IF(VALUES(created_at) >= created_at, VALUES(`key`), `key`),
                 time = IF(VALUES(created_at) >= created_at, VALUES(time), time),
                 content_type = IF(VALUES(created_at) >= created_at, VALUES(content_type), content_type),
                 data = IF(VALUES(created_at) >= created_at, VALUES(data), data),
                 traceparent = IF(VALUES(created_at) >= created_at, VALUES(traceparent), traceparent),
                 tracestate = IF(VALUES(created_at) >= created_at, VALUES(tracestate), tracestate),
                 attempts = IF(VALUES(created_at) >= created_at, VALUES(attempts), attempts),
                 reason = IF(VALUES(created_at) >= created_at, VALUES(reason), reason),
                 created_at = GREATEST(created_at, VALUES(created_at))",
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
        .bind(dead_letter.group.as_bytes())
        .bind(dead_letter.attempts)
        .bind(&dead_letter.reason)
        .bind(dead_letter.at.as_millis())
        .execute(self.0.pool())
        .await
        .map_err(classify)?;
        Ok(())
    }

    async fn try_list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let select = match after {
            None => sqlx::query(
                "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate,
                        group_name, attempts, reason, created_at
                 FROM dead_letters ORDER BY id, group_name LIMIT ?",
            ),
            Some(after) => sqlx::query(
                "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate,
                        group_name, attempts, reason, created_at
                 FROM dead_letters WHERE id > ? ORDER BY id, group_name LIMIT ?",
            )
            .bind(after),
        };
        let rows = select.bind(u64::from(limit) + 1).fetch_all(self.0.pool()).await.map_err(classify)?;
        Ok(truncate_at_event(read_all(&rows, dead_letter)?, limit as usize))
    }

    async fn try_find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate,
                    group_name, attempts, reason, created_at
             FROM dead_letters WHERE id = ? ORDER BY group_name",
        )
        .bind(event)
        .fetch_all(self.0.pool())
        .await
        .map_err(classify)?;
        read_all(&rows, dead_letter)
    }

    async fn try_replay(&self, event: Uuid) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let Some(event_to_replay) = latest(&mut write, event).await? else {
            return Ok(false);
        };
        if !is_pending(&mut write, event).await? {
            write.append(&[event_to_replay]).await?;
        }
        remove(write.connection(), event).await?;
        write.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl DeadLetterSink for MysqlDeadLetters {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        self.0.run(|| self.try_store(dead_letter)).await
    }
}

#[async_trait]
impl DeadLetters for MysqlDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        self.0.run(|| self.try_list(after, limit)).await
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        self.0.run(|| self.try_find(event)).await
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        self.0.run(|| self.try_replay(event)).await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let removed = self.0.run(|| remove(self.0.pool(), event)).await?;
        Ok(removed > 0)
    }
}

/// The event of the latest dead letter. Its dead letters are locked, so that only one of several concurrent replays
/// finds them.
async fn latest(write: &mut Write, id: Uuid) -> Result<Option<Event>, RepoError> {
    let rows = sqlx::query(
        "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate
         FROM dead_letters WHERE id = ? ORDER BY created_at DESC FOR UPDATE",
    )
    .bind(id)
    .fetch_all(write.connection())
    .await
    .map_err(classify)?;
    rows.first().map(event).transpose().map_err(classify)
}

/// Whether the event is already pending in the outbox.
async fn is_pending(write: &mut Write, id: Uuid) -> Result<bool, RepoError> {
    let (pending,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM outbox WHERE pending_id = ?)")
        .bind(id)
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
    Ok(pending)
}

async fn remove(executor: impl MySqlExecutor<'_>, id: Uuid) -> Result<u64, RepoError> {
    let removed =
        sqlx::query("DELETE FROM dead_letters WHERE id = ?").bind(id).execute(executor).await.map_err(classify)?;
    Ok(removed.rows_affected())
}

fn dead_letter(row: &MySqlRow) -> Result<DeadLetter, sqlx::Error> {
    let group: Vec<u8> = row.try_get("group_name")?;
    Ok(DeadLetter {
        event: event(row)?,
        group: String::from_utf8(group).map_err(|error| sqlx::Error::Decode(error.into()))?,
        attempts: row.try_get("attempts")?,
        reason: row.try_get("reason")?,
        at: timestamp(row.try_get("created_at")?)?,
    })
}
