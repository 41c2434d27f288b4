//! Dead letters in the SQL databases.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, RepoError, Timestamp};
use uuid::Uuid;

use super::{SqlStore, SqlWrite as _, Statement};
use crate::dead_letters::truncate_at_event;
use crate::rows::event;
use crate::{Columns, Storage, classify};

/// The dead letters of a database.
#[derive(Debug, Clone)]
pub struct SqlDeadLetters<S>(S);

impl<S: SqlStore> SqlDeadLetters<S> {
    const IS_MYSQL: bool = matches!(S::STORAGE, Storage::Mysql);
    const SELECT: &'static str = if Self::IS_MYSQL {
        "SELECT id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate, \
             group_name, CAST(attempts AS SIGNED) AS attempts, reason, created_at FROM dead_letters"
    } else {
        "SELECT id, name, source, topic, key, time, content_type, data, traceparent, tracestate, \
             group_name, attempts, reason, created_at FROM dead_letters"
    };

    /// The dead letters in `database`, which has the tables of the platform.
    pub const fn new(database: S) -> Self {
        Self(database)
    }

    async fn try_replay(&self, id: Uuid) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        // The rows are locked, so that only one of several concurrent replays finds them. A write transaction of SQLite is the
        // only one.
        let lock = if matches!(S::STORAGE, Storage::Sqlite) { "" } else { " FOR UPDATE" };
        let mut latest = S::Statement::new(Self::SELECT);
        latest.sql(" WHERE id = ").id(id).sql(" ORDER BY created_at DESC").sql(lock);
        let rows = write.fetch(latest).await?;
        let Some(latest) = rows.first().map(event).transpose().map_err(classify)? else {
            return Ok(false);
        };
        if write.fetch(Self::pending(id)).await?.is_empty() {
            write.append(&[latest]).await?;
        }
        write.execute(remove(id)).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Selects the event if it is already pending in the outbox.
    fn pending(id: Uuid) -> S::Statement {
        let mut select = S::Statement::new("SELECT id FROM outbox WHERE ");
        match S::STORAGE {
            Storage::Mysql => select.sql("pending_id = ").id(id),
            _ => select.sql("publish_seq IS NULL AND id = ").id(id),
        };
        select
    }

    /// Replaces an earlier dead letter of the event and the group.
    fn insert(dead_letter: &DeadLetter) -> S::Statement {
        let DeadLetter { event, group, attempts, reason, at } = dead_letter;
        let (traceparent, tracestate) =
            event.trace.clone().map_or((None, None), |trace| (Some(trace.traceparent), trace.tracestate));
        let mut insert = S::Statement::new(&format!(
            "INSERT INTO dead_letters (id, name, source, topic, {}, time, content_type, data, traceparent, tracestate, \
             group_name, attempts, reason, created_at) VALUES (",
            if Self::IS_MYSQL { "`key`" } else { "key" }
        ));
        insert.id(event.id).sql(", ").text(&event.name).sql(", ").text(&event.source).sql(", ").text(&event.topic);
        insert.sql(", ").text(&event.key).sql(", ").number(event.time.as_millis()).sql(", ").text(&event.content_type);
        insert.sql(", ").bytes(&event.data).sql(", ").maybe_text(traceparent).sql(", ").maybe_text(tracestate);
        insert.sql(", ");
        if Self::IS_MYSQL {
            insert.bytes(group.as_bytes())
        } else {
            insert.text(group)
        };
        insert.sql(", ").number(i64::from(*attempts)).sql(", ").text(reason).sql(", ").number(at.as_millis()).sql(")");
        insert.sql(if Self::IS_MYSQL { MYSQL_UPSERT } else { UPSERT });
        insert
    }

    fn read(row: &S::Row) -> Result<DeadLetter, sqlx::Error> {
        let group = if Self::IS_MYSQL {
            String::from_utf8(row.bytes("group_name")?).map_err(|error| sqlx::Error::Decode(error.into()))?
        } else {
            row.text("group_name")?
        };
        let attempts = row.number("attempts")?.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(DeadLetter { event: event(row)?, group, attempts, reason: row.text("reason")?, at: row.time("created_at")? })
    }
}

const UPSERT: &str = " ON CONFLICT (id, group_name) DO UPDATE SET \
    name = excluded.name, source = excluded.source, topic = excluded.topic, key = excluded.key, \
    time = excluded.time, content_type = excluded.content_type, data = excluded.data, traceparent = excluded.traceparent, \
    tracestate = excluded.tracestate, attempts = excluded.attempts, reason = excluded.reason, \
    created_at = excluded.created_at WHERE excluded.created_at >= dead_letters.created_at";

/// MySQL evaluates assignments from left to right, so `created_at`, which the others compare, comes last.
const MYSQL_UPSERT: &str = " ON DUPLICATE KEY UPDATE \
    name = IF(VALUES(created_at) >= created_at, VALUES(name), name), \
    source = IF(VALUES(created_at) >= created_at, VALUES(source), source), \
    topic = IF(VALUES(created_at) >= created_at, VALUES(topic), topic), \
    `key` = IF(VALUES(created_at) >= created_at, VALUES(`key`), `key`), \
    time = IF(VALUES(created_at) >= created_at, VALUES(time), time), \
    content_type = IF(VALUES(created_at) >= created_at, VALUES(content_type), content_type), \
    data = IF(VALUES(created_at) >= created_at, VALUES(data), data), \
    traceparent = IF(VALUES(created_at) >= created_at, VALUES(traceparent), traceparent), \
    tracestate = IF(VALUES(created_at) >= created_at, VALUES(tracestate), tracestate), \
    attempts = IF(VALUES(created_at) >= created_at, VALUES(attempts), attempts), \
    reason = IF(VALUES(created_at) >= created_at, VALUES(reason), reason), \
    created_at = GREATEST(created_at, VALUES(created_at))";

fn remove<T: Statement>(id: Uuid) -> T {
    let mut delete = T::new("DELETE FROM dead_letters WHERE id = ");
    delete.id(id);
    delete
}

#[async_trait]
impl<S: SqlStore> DeadLetterSink for SqlDeadLetters<S> {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        self.0.execute(|| Self::insert(dead_letter)).await.map(drop)
    }
}

#[async_trait]
impl<S: SqlStore> DeadLetters for SqlDeadLetters<S> {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let select = || {
            let mut select = S::Statement::new(Self::SELECT);
            if let Some(after) = after {
                select.sql(" WHERE id > ").id(after);
            }
            select.sql(" ORDER BY id, group_name LIMIT ").number(i64::from(limit) + 1);
            select
        };
        let found = self.0.select(select, |row| Self::read(row).map_err(classify)).await?;
        Ok(truncate_at_event(found, limit as usize))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        let select = || {
            let mut select = S::Statement::new(Self::SELECT);
            select.sql(" WHERE id = ").id(event).sql(" ORDER BY group_name");
            select
        };
        self.0.select(select, |row| Self::read(row).map_err(classify)).await
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        self.0.run(|| self.try_replay(event)).await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        Ok(self.0.execute(|| remove(event)).await? > 0)
    }
}
