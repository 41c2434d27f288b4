//! Events as rows.

use std::borrow::Borrow;
use std::sync::LazyLock;

use kennel_core::{Event, RepoError};
use sqlx::MySqlConnection;

use super::bulk::Bulk;
pub(super) use crate::rows::{event, read_all, timestamp};

static INSERT: LazyLock<Bulk> = LazyLock::new(|| {
    let columns = "outbox (id, name, source, topic, `key`, time, content_type, data, traceparent, tracestate)";
    Bulk::insert(columns, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "")
});

/// Adds events to the outbox, in this order, within the transaction that `connection` is in. Fails with
/// [`RepoError::Conflict`] when one of them is already pending there.
///
/// Call it after the change: the `commit_seq` is assigned now, and the order of a key's events is correct only while
/// the transaction has locked the row that the key identifies.
pub async fn append(connection: &mut MySqlConnection, events: &[impl Borrow<Event> + Sync]) -> Result<(), RepoError> {
    let events: Vec<&Event> = events.iter().map(Borrow::borrow).collect();
    INSERT.execute(connection, &events).await
}
