//! Events as rows.

use kennel_core::{Event, RepoError};
use sqlx::SqliteConnection;

use super::classify;
pub(super) use crate::rows::{event, read_all, timestamp};

/// Adds events to the outbox, in this order, within the transaction that `connection` is in. Fails with
/// [`RepoError::Conflict`] when one of them is already pending there.
pub async fn append(connection: &mut SqliteConnection, events: &[Event]) -> Result<(), RepoError> {
    for event in events {
        sqlx::query(
            "INSERT INTO outbox (id, name, source, topic, key, time, content_type, data, traceparent, tracestate)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        .execute(&mut *connection)
        .await
        .map_err(classify)?;
    }
    Ok(())
}
