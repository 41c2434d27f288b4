//! Events as rows.

use std::borrow::Borrow;

use kennel_core::{Event, RepoError};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::classify;
pub(super) use crate::rows::{event, read_all, timestamp};

/// Maximum number of rows per statement.
const MAX_ROWS: usize = 64;
/// Maximum bytes of event data per statement; stays below the smallest default `max_allowed_packet` of servers.
const MAX_BYTES: usize = 1 << 20;

fn insert(rows: usize) -> String {
    format!(
        "INSERT INTO outbox (id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate) VALUES {}",
        vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ")
    )
}

/// Adds events to the outbox, in this order, within the transaction that `connection` is in. Fails with
/// [`RepoError::Conflict`] when one of them is already pending there.
///
/// Call it after the change: the `commit_seq` is assigned now, and the order of a key's events is correct only while
/// the transaction has locked the row that the key identifies.
pub async fn append(connection: &mut MySqlConnection, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
    let mut rest = events;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(fitting(rest));
        append_rows(connection, now).await?;
        rest = later;
    }
    Ok(())
}

/// How many of the events fit into one statement; at least one.
fn fitting(events: &[impl Borrow<Event>]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Event| {
        bytes += event.data.len();
        bytes <= MAX_BYTES
    };
    events.iter().map(Borrow::borrow).take(MAX_ROWS).take_while(fits).count().max(1)
}

async fn append_rows(connection: &mut MySqlConnection, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
    // One statement takes consecutive numbers, so that the events of a change stay together.
    // Only a few lengths stay prepared, so that they do not evict other statements from the connection's cache.
    let persistent = events.len() < 4 || events.len().is_power_of_two();
    let mut insert = sqlx::query(AssertSqlSafe(insert(events.len()))).persistent(persistent);
    for event in events.iter().map(Borrow::borrow) {
        insert = insert
            .bind(event.id)
            .bind(&event.name)
            .bind(&event.source)
            .bind(&event.topic)
            .bind(&event.key)
            .bind(event.time.as_millis())
            .bind(&event.content_type)
            .bind(&event.data[..])
            .bind(event.trace.as_ref().map(|trace| &trace.traceparent))
            .bind(event.trace.as_ref().and_then(|trace| trace.tracestate.as_ref()));
    }
    insert.execute(connection).await.map_err(classify)?;
    Ok(())
}
