//! Events as rows.

use std::borrow::Borrow;
use std::sync::LazyLock;

use kennel_core::{Event, RepoError, TraceContext};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgExecutor, SqlSafeStr as _, SqlStr};
use uuid::Uuid;

use super::classify;
pub(super) use crate::rows::{event, read_all, timestamp};

/// The number of a change: those of a key rise in the order of its changes.
static APPEND: LazyLock<SqlStr> =
    LazyLock::new(|| insert("WITH change AS MATERIALIZED (SELECT nextval('outbox_commit_seq') AS commit_seq)", 0));

/// Adds events to the outbox, in this order, within the transaction of `executor`. Fails with [`RepoError::Conflict`]
/// when one of them is already pending there.
///
/// Call it after the change: the `commit_seq` is assigned now, and the order of a key's events is correct only while
/// the transaction has locked the row that the key identifies.
pub async fn append(executor: impl PgExecutor<'_>, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
    if events.is_empty() {
        return Ok(());
    }
    bind_events(sqlx::query(APPEND.clone()), events).execute(executor).await.map_err(classify)?;
    Ok(())
}

/// A statement that makes a change and then adds its events to the outbox: one round trip to the server instead of the
/// four of a transaction. A change that changes no row adds no events. Bind the `parameters` of `change`, which has no
/// `RETURNING`, and then the events with [`bind_events`]; execute it with
/// [`Postgres::execute_with_events`](super::Postgres::execute_with_events).
pub fn with_events(change: &str, parameters: usize) -> SqlStr {
    // The number is assigned after all rows are changed, because it depends on their count.
    let change = format!(
        "WITH changed AS ({change} RETURNING 1), change AS MATERIALIZED (
             SELECT nextval('outbox_commit_seq') AS commit_seq FROM (SELECT 1 FROM changed HAVING count(*) > 0) AS done)"
    );
    insert(&change, parameters)
}

/// The statement that inserts events with the number of `change`, the head of the statement with so many `parameters`.
fn insert(change: &str, parameters: usize) -> SqlStr {
    let types = ["uuid", "text", "text", "text", "text", "bigint", "text", "bytea", "text", "text"];
    let columns: Vec<_> = (parameters + 1..).zip(types).map(|(number, kind)| format!("${number}::{kind}[]")).collect();
    let statement = format!(
        "{change}
         INSERT INTO outbox (commit_seq, ordinal, id, name, source, topic, key, time, content_type, data, traceparent,
                             tracestate)
         SELECT change.commit_seq, given.ordinal, given.id, given.name, given.source, given.topic, given.key,
                given.time, given.content_type, given.data, given.traceparent, given.tracestate
         FROM change, unnest({}) WITH ORDINALITY
              AS given (id, name, source, topic, key, time, content_type, data, traceparent, tracestate, ordinal)",
        columns.join(", ")
    );
    AssertSqlSafe(statement).into_sql_str()
}

/// Binds events as arrays, one for each column.
pub fn bind_events<'q>(
    query: Query<'q, sqlx::Postgres, PgArguments>,
    events: &[impl Borrow<Event>],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    let events = || events.iter().map(Borrow::borrow);
    let column = |read: fn(&Event) -> &str| events().map(read).collect::<Vec<_>>();
    let of_trace = |read: fn(&TraceContext) -> Option<&str>| {
        events().map(|event| event.trace.as_ref().and_then(read)).collect::<Vec<_>>()
    };
    query
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
}
