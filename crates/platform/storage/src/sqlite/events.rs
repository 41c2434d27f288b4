//! Events as rows.

use kennel_core::{Event, RepoError, Timestamp, TraceContext};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::classify;

/// Adds events to the outbox, in this order, within the transaction that `connection` is in.
/// Fails with [`RepoError::Conflict`] when one of them waits there already.
pub async fn append(connection: &mut SqliteConnection, events: &[Event]) -> Result<(), RepoError> {
    for event in events {
        sqlx::query(
            "INSERT INTO outbox (id, name, source, topic, key, time, data, traceparent, tracestate)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        .execute(&mut *connection)
        .await
        .map_err(classify)?;
    }
    Ok(())
}

/// The event in a row that has an event's columns.
pub(super) fn event(row: &SqliteRow) -> Result<Event, sqlx::Error> {
    let traceparent: Option<String> = row.try_get("traceparent")?;
    let tracestate = row.try_get("tracestate")?;
    Ok(Event {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        source: row.try_get("source")?,
        topic: row.try_get("topic")?,
        key: row.try_get("key")?,
        time: timestamp(row.try_get("time")?)?,
        data: row.try_get::<Vec<u8>, _>("data")?.into(),
        trace: traceparent.map(|traceparent| TraceContext { traceparent, tracestate }),
    })
}

/// Reads every row with `read`.
pub(super) fn read_all<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, RepoError> {
    rows.iter().map(read).collect::<Result<_, _>>().map_err(classify)
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millis(millis).map_err(|error| sqlx::Error::Decode(error.into()))
}
