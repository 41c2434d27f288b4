//! Events as rows.

use kennel_core::{Event, RepoError, Timestamp, TraceContext};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::classify;

/// Adds events to the outbox, in this order, within the transaction that `connection` is in.
/// Fails with [`RepoError::Conflict`] when one of them waits there already.
///
/// Their place among other transactions' events is taken now. So that the events of a key keep the order of its
/// changes, this comes after the change, which has locked the row that the key stands for.
pub async fn append(connection: &mut PgConnection, events: &[Event]) -> Result<(), RepoError> {
    if events.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&Event) -> &str| events.iter().map(read).collect::<Vec<_>>();
    let of_trace = |read: fn(&TraceContext) -> Option<&str>| {
        events.iter().map(|event| event.trace.as_ref().and_then(read)).collect::<Vec<_>>()
    };
    sqlx::query(
        "WITH place AS MATERIALIZED (SELECT nextval('outbox_seq') AS seq)
         INSERT INTO outbox (seq, ordinal, id, name, source, topic, key, time, data, traceparent, tracestate)
         SELECT place.seq, given.ordinal, given.id, given.name, given.source, given.topic, given.key, given.time,
                given.data, given.traceparent, given.tracestate
         FROM place, unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[],
                            $8::text[], $9::text[])
              WITH ORDINALITY AS given (id, name, source, topic, key, time, data, traceparent, tracestate, ordinal)",
    )
    .bind(events.iter().map(|event| event.id).collect::<Vec<Uuid>>())
    .bind(column(|event| &event.name))
    .bind(column(|event| &event.source))
    .bind(column(|event| &event.topic))
    .bind(column(|event| &event.key))
    .bind(events.iter().map(|event| event.time.as_millis()).collect::<Vec<i64>>())
    .bind(events.iter().map(|event| &event.data[..]).collect::<Vec<&[u8]>>())
    .bind(of_trace(|trace| Some(&trace.traceparent)))
    .bind(of_trace(|trace| trace.tracestate.as_deref()))
    .execute(connection)
    .await
    .map_err(classify)?;
    Ok(())
}

/// The event in a row that has an event's columns.
pub(super) fn event(row: &PgRow) -> Result<Event, sqlx::Error> {
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
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, RepoError> {
    rows.iter().map(read).collect::<Result<_, _>>().map_err(classify)
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millis(millis).map_err(|error| sqlx::Error::Decode(error.into()))
}
