//! The interface of every database engine: health, connections and shutdown.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_app::Check;
use kennel_core::{BoxError, RepoError};

/// Numbers of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Not in use.
    pub idle: u64,
    /// In use.
    pub used: u64,
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
impl Connections {
    /// Counts the connections of `pools`. A pool that is being closed can report one more idle connection than it has
    /// open, so the idle number is capped.
    pub(crate) fn of<DB: sqlx::Database>(pools: &[&sqlx::Pool<DB>]) -> Self {
        let (mut idle, mut used) = (0, 0);
        for pool in pools {
            let open = u64::from(pool.size());
            let waiting = open.min(pool.num_idle() as u64);
            idle += waiting;
            used += open - waiting;
        }
        Self { idle, used }
    }
}

/// The connections to one open database.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The database's name in metrics and spans, as in OpenTelemetry's `db.system.name`.
    fn system(&self) -> &'static str;

    /// Checks that the database answers. Fails with [`RepoError::Unavailable`] when it does not.
    async fn ping(&self) -> Result<(), RepoError>;

    /// Checks that the database accepts writes, as far as possible without writing. Fails on a replica, on a read-only
    /// server or file, and when the schema is not migrated; reads may still work.
    async fn writable(&self) -> Result<(), RepoError>;

    /// The current numbers of connections.
    fn connections(&self) -> Connections;

    /// Closes the database after calls in progress have ended, for which it waits a few seconds. Later calls fail with
    /// [`RepoError::Unavailable`].
    async fn close(&self);
}

/// The health check of a database.
pub struct DatabaseCheck(pub Arc<dyn Driver>);

#[async_trait]
impl Check for DatabaseCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// The health check of writing to a database.
pub struct WriteCheck(pub Arc<dyn Driver>);

#[async_trait]
impl Check for WriteCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.writable().await?)
    }

    fn detail(&self) -> Option<String> {
        Some("writes are not accepted".to_owned())
    }
}
