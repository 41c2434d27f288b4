//! Closing pools of connections.

use std::time::Duration;

use sqlx::{Database, Pool};
use tokio::time::timeout;

/// How long closing waits for connections that are still checked out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Closes a pool after its connections have been returned, or after [`CLOSE_TIMEOUT`]. A connection that is not
/// returned ends with the process: commits are safe, and a shutdown that has done all its work must not fail because of
/// it.
pub(crate) async fn close<DB: Database>(pool: &Pool<DB>) {
    if timeout(CLOSE_TIMEOUT, pool.close()).await.is_err() {
        let (database, open, idle) = (DB::NAME, pool.size(), pool.num_idle());
        // The testkit fails a test when a service logs this text at shutdown.
        tracing::warn!(database, open, idle, "pool closed with connections still checked out");
    }
}
