//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use sqlx::PgExecutor;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::events::{event, read_all, timestamp};
use super::{Postgres, Write, classify};
use crate::letters::whole_events;

/// The dead letters of a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct PostgresDeadLetters(Postgres);

impl PostgresDeadLetters {
    /// The dead letters in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Postgres) -> Self {
        Self(database)
    }

    async fn try_bury(&self, letter: &DeadLetter) -> Result<(), RepoError> {
        let event = &letter.event;
        sqlx::query(
            "INSERT INTO dead_letters (id, name, source, topic, key, time, data, traceparent, tracestate,
                                       group_name, attempts, reason, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
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
        .bind(i64::from(letter.attempts))
        .bind(&letter.reason)
        .bind(letter.at.as_millis())
        .execute(self.0.single())
        .await
        .map_err(classify)?;
        Ok(())
    }

    async fn try_list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let select = match after {
            None => sqlx::query(
                "SELECT id, name, source, topic, key, time, data, traceparent, tracestate,
                        group_name, attempts, reason, at
                 FROM dead_letters ORDER BY id, group_name LIMIT $1",
            ),
            Some(after) => sqlx::query(
                "SELECT id, name, source, topic, key, time, data, traceparent, tracestate,
                        group_name, attempts, reason, at
                 FROM dead_letters WHERE id > $1 ORDER BY id, group_name LIMIT $2",
            )
            .bind(after),
        };
        let rows = select.bind(i64::from(limit) + 1).fetch_all(self.0.single()).await.map_err(classify)?;
        Ok(whole_events(read_all(&rows, letter)?, limit as usize))
    }

    async fn try_find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        let rows = sqlx::query(
            "SELECT id, name, source, topic, key, time, data, traceparent, tracestate,
                    group_name, attempts, reason, at
             FROM dead_letters WHERE id = $1 ORDER BY group_name",
        )
        .bind(event)
        .fetch_all(self.0.single())
        .await
        .map_err(classify)?;
        read_all(&rows, letter)
    }

    async fn try_replay(&self, event: Uuid) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let Some(buried) = latest(&mut write, event).await? else {
            return Ok(false);
        };
        if !waits(&mut write, event).await? {
            write.append(&[buried]).await?;
        }
        remove(write.connection(), event).await?;
        write.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl DeadLetterSink for PostgresDeadLetters {
    async fn store(&self, letter: &DeadLetter) -> Result<(), RepoError> {
        self.0.run(|| self.try_bury(letter)).await
    }
}

#[async_trait]
impl DeadLetters for PostgresDeadLetters {
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
        let removed = self.0.run(|| remove(self.0.single(), event)).await?;
        Ok(removed > 0)
    }
}

/// The event as it was last buried. Its letters are locked, so that of several replays at once one finds them.
async fn latest(write: &mut Write, id: Uuid) -> Result<Option<Event>, RepoError> {
    let rows = sqlx::query(
        "SELECT id, name, source, topic, key, time, data, traceparent, tracestate
         FROM dead_letters WHERE id = $1 ORDER BY at DESC FOR UPDATE",
    )
    .bind(id)
    .fetch_all(write.connection())
    .await
    .map_err(classify)?;
    rows.first().map(event).transpose().map_err(classify)
}

/// Whether the event is about to be published as it is.
async fn waits(write: &mut Write, id: Uuid) -> Result<bool, RepoError> {
    let (waits,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = $1 AND position IS NULL)")
        .bind(id)
        .fetch_one(write.connection())
        .await
        .map_err(classify)?;
    Ok(waits)
}

async fn remove(executor: impl PgExecutor<'_>, id: Uuid) -> Result<u64, RepoError> {
    let removed =
        sqlx::query("DELETE FROM dead_letters WHERE id = $1").bind(id).execute(executor).await.map_err(classify)?;
    Ok(removed.rows_affected())
}

fn letter(row: &PgRow) -> Result<DeadLetter, sqlx::Error> {
    let attempts: i64 = row.try_get("attempts")?;
    Ok(DeadLetter {
        event: event(row)?,
        group: row.try_get("group_name")?,
        attempts: attempts.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        reason: row.try_get("reason")?,
        at: timestamp(row.try_get("at")?)?,
    })
}
