//! Events as rows.

use kennel_core::{Event, RepoError};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::classify;
pub(super) use crate::rows::{event, read_all, timestamp};

/// Rows of one statement at most.
const ROWS: usize = 64;
/// Data of the events of one statement, so that it stays below the smallest packet that servers take by default.
const BYTES: usize = 1 << 20;

fn insert(rows: usize) -> String {
    format!(
        "INSERT INTO outbox (id, name, source, topic, `key`, time, data, traceparent, tracestate) VALUES {}",
        vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ")
    )
}

/// Adds events to the outbox, in this order, within the transaction that `connection` is in.
/// Fails with [`RepoError::Conflict`] when one of them waits there already.
///
/// Their place among other transactions' events is taken now. So that the events of a key keep the order of its
/// changes, this comes after the change, which has locked the row that the key stands for.
pub async fn append(connection: &mut MySqlConnection, events: &[Event]) -> Result<(), RepoError> {
    let mut rest = events;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(fitting(rest));
        append_rows(connection, now).await?;
        rest = later;
    }
    Ok(())
}

/// How many of the events go into one statement; one always does.
fn fitting(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Event| {
        bytes += event.data.len();
        bytes <= BYTES
    };
    events.iter().take(ROWS).take_while(fits).count().max(1)
}

async fn append_rows(connection: &mut MySqlConnection, events: &[Event]) -> Result<(), RepoError> {
    // One statement takes its numbers in a row, so that the events of a change stay together.
    let mut insert = sqlx::query(AssertSqlSafe(insert(events.len())));
    for event in events {
        insert = insert
            .bind(event.id)
            .bind(&event.name)
            .bind(&event.source)
            .bind(&event.topic)
            .bind(&event.key)
            .bind(event.time.as_millis())
            .bind(&event.data[..])
            .bind(event.trace.as_ref().map(|trace| &trace.traceparent))
            .bind(event.trace.as_ref().and_then(|trace| trace.tracestate.as_ref()));
    }
    insert.execute(connection).await.map_err(classify)?;
    Ok(())
}
