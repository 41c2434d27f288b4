//! Closing pools of connections.

use std::time::Duration;

use sqlx::{Database, Pool};
use tokio::time::timeout;

/// How long connections may take to come back; whoever used one has ended by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// Closes a pool once its connections are back. One that does not come back ends with the process: what was committed is
/// safe, and a stop that has done all its work must not fail for it.
pub(crate) async fn close<DB: Database>(pool: &Pool<DB>) {
    if timeout(PATIENCE, pool.close()).await.is_err() {
        let (database, open, idle) = (DB::NAME, pool.size(), pool.num_idle());
        // Tests that stop a service look for this text.
        tracing::warn!(database, open, idle, "connections are not given back");
    }
}
