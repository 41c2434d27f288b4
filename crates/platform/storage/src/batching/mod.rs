//! Batches of calls to a database that form only while it is busy.
//!
//! A call that arrives while few others run is executed at once, alone and in its caller's task. Other calls queue, and
//! the next batch takes those that are waiting when it starts, the oldest first. A batch of reads starts when fewer than
//! [`BatchLimits::in_flight`] calls and batches run. One of writes starts when none runs; once a call has waited for
//! [`BatchLimits::overlap_after`], it starts as one of reads does. So an idle database adds no wait and no timer, and a
//! busy one executes many calls at the price of a few.
//!
//! - [`Coalescer`] finds single values by key: concurrent calls become one query for many keys.
//! - [`GroupCommit`] executes operations: concurrent calls become one transaction.
//!
//! The queue is limited in length and in time. Each call has its own result: when a batch fails with an error that one
//! call can cause, it is executed again in halves, down to single calls. A cancelled call leaves the queue; once its
//! batch runs, it neither ends the batch nor fails its neighbours.

mod coalescer;
mod group;
mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use coalescer::{Coalescer, Lookup};
pub use group::{Group, GroupCommit};

use crate::StorageConfig;

/// Maximum number of calls per batch. More calls per batch hardly make a query cheaper per call, but each waits for all
/// of them; and a span has at most 128 links.
const MAX_BATCH: usize = 128;
/// Maximum number of calls that wait for their batch. Servers limit their requests in flight to less than this.
const MAX_QUEUE: usize = 4_096;
/// Number of batches in flight. With one, the database idles while the next batch is prepared; with more than two,
/// batches are smaller and cost more per call; see docs/performance.md.
const IN_FLIGHT: usize = 2;
/// How long a call waits before the next batch of writes starts while another one runs. A fast database commits more per
/// second in one large batch after the other; with a slow one, or if a batch waits for a lock, the next batch must not
/// wait for its end.
const OVERLAP_AFTER: Duration = Duration::from_millis(3);
/// Number of reads that run at once before further ones wait. A few callers are served sooner by a query each than by a
/// batch of two. Commits are not: each waits for the disk.
const READS_ALONE: usize = 4;

/// The limits of one [`Coalescer`] or [`GroupCommit`].
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Maximum number of batches that run at the same time, calls that are executed alone included.
    pub in_flight: usize,
    /// How long a write waits before a batch starts although another one runs.
    pub overlap_after: Duration,
    /// How many reads may run at the same time, each alone, before further ones wait. For writes it is `in_flight`.
    pub reads_alone: usize,
    /// Maximum number of calls per batch.
    pub batch: usize,
    /// Maximum number of waiting calls; a further one fails with [`kennel_core::RepoError::Unavailable`] at once.
    pub queue: usize,
    /// How long a call may wait for its batch to start; then it fails with [`kennel_core::RepoError::Unavailable`].
    pub wait: Duration,
}

impl BatchLimits {
    /// The limits for a database with these settings. A call waits for its batch as long as it may wait for a
    /// connection.
    pub fn new(config: &StorageConfig) -> Self {
        let connections = usize::try_from(config.database_max_connections.get()).unwrap_or(usize::MAX);
        Self {
            in_flight: IN_FLIGHT.min(connections),
            overlap_after: OVERLAP_AFTER,
            reads_alone: READS_ALONE.min(connections),
            batch: MAX_BATCH,
            queue: MAX_QUEUE,
            wait: config.acquire_timeout(),
        }
    }
}
