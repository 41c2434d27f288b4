//! What every database answers about itself, whichever it is.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_app::Check;
use kennel_core::{BoxError, RepoError};

/// How many connections are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Waiting for work.
    pub idle: u64,
    /// At work.
    pub used: u64,
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
impl Connections {
    /// Those of `pools`. A pool counts a connection among its idle ones only after it has let go of it: one that is closed
    /// in that moment has one more of them than it has connections.
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

/// An open database.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Its name in metrics and spans, as OpenTelemetry's `db.system.name`.
    fn system(&self) -> &'static str;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), RepoError>;

    /// Whether it takes writes, as far as can be known without one. It fails on a replica, a server or a file that is
    /// read-only, and where the schema is not up; reads may go on.
    async fn writable(&self) -> Result<(), RepoError>;

    /// Its connections at this moment.
    fn connections(&self) -> Connections;

    /// Closes it once the work in hand is done, for which it waits some seconds. Later calls fail with
    /// [`RepoError::Unavailable`].
    async fn close(&self);
}

/// The health check of a database.
pub struct DatabaseCheck(pub Arc<dyn Database>);

#[async_trait]
impl Check for DatabaseCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.ping().await?)
    }
}

/// The health check of writing to a database.
pub struct WriteCheck(pub Arc<dyn Database>);

#[async_trait]
impl Check for WriteCheck {
    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.0.writable().await?)
    }

    fn detail(&self) -> Option<String> {
        Some("writes are not accepted".to_owned())
    }
}
