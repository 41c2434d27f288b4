//! Events as rows.

use std::borrow::Borrow;

use kennel_core::{Event, RepoError, TraceContext};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::classify;
pub(super) use crate::rows::{event, read_all, timestamp};

/// Adds events to the outbox, in this order, within the transaction of `executor`. Fails with [`RepoError::Conflict`]
/// when one of them is already pending there.
///
/// Call it after the change: the `commit_seq` is assigned now, and the order of a key's events is correct only while
/// the transaction has locked the row that the key identifies.
pub async fn append(executor: impl PgExecutor<'_>, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
    if events.is_empty() {
        return Ok(());
    }
    let events = || events.iter().map(Borrow::borrow);
    let column = |read: fn(&Event) -> &str| events().map(read).collect::<Vec<_>>();
    let of_trace = |read: fn(&TraceContext) -> Option<&str>| {
        events().map(|event| event.trace.as_ref().and_then(read)).collect::<Vec<_>>()
    };
    sqlx::query(
        "WITH change AS MATERIALIZED (SELECT nextval('outbox_commit_seq') AS commit_seq)
         INSERT INTO outbox (commit_seq, ordinal, id, name, source, topic, key, time, content_type, data, traceparent,
                             tracestate)
         SELECT change.commit_seq, given.ordinal, given.id, given.name, given.source, given.topic, given.key,
                given.time, given.content_type, given.data, given.traceparent, given.tracestate
         FROM change, unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                            $8::bytea[], $9::text[], $10::text[])
              WITH ORDINALITY AS given (id, name, source, topic, key, time, content_type, data, traceparent, tracestate,
                                        ordinal)",
    )
    .bind(events().map(|event| event.id).collect::<Vec<Uuid>>())
    .bind(column(|event| &event.name))
    .bind(column(|event| &event.source))
    .bind(column(|event| &event.topic))
    .bind(column(|event| &event.key))
    .bind(events().map(|event| event.time.as_millis()).collect::<Vec<i64>>())
    .bind(column(|event| &event.content_type))
    .bind(events().map(|event| &event.data[..]).collect::<Vec<&[u8]>>())
    .bind(of_trace(|trace| Some(&trace.traceparent)))
    .bind(of_trace(|trace| trace.tracestate.as_deref()))
    .execute(executor)
    .await
    .map_err(classify)?;
    Ok(())
}
