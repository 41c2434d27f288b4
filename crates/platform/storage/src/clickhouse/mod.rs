//! ClickHouse: one table of record versions, written in groups by one committer per process.
//!
//! # Guarantees
//!
//! ClickHouse has no transactions. This module replaces them as follows:
//!
//! - A commit is one insert of one block into one table, which the server stores completely or not at all. The events
//!   and receipts of a change are rows of that block; the outbox reads the event rows.
//! - Each process has one committer. It takes all queued writes, reads the records they need, runs them in order, each
//!   on the result of the ones before it, and inserts all their rows as one data part (group commit). While the server
//!   stores one group, the next one is collected; an idle system adds no delay.
//! - A commit has a number, the last number plus one, and uses it as the deduplication token of its insert. The server
//!   accepts only the first insert of a token. Afterwards the committer reads which process wrote the commit of that
//!   number; if it was another process, it reads the records again, runs the writes again and tries the next number. So
//!   all writes of all processes have one order: of several writes that expect the same revision or key, exactly one
//!   succeeds. An insert that is retried because its response was lost is stored once.
//! - The lease of the outbox works in the same way, with its own sequence of numbers.
//!
//! This is valid for processes that write to one server. Limits: a process that pauses between building an insert and
//! sending it, for as long as other processes need for 10,000 commits (`non_replicated_deduplication_window`), could
//! reuse a number. With a load balancer over replicated tables (`ENGINE = ReplicatedReplacingMergeTree`), reads and
//! writes must be sequentially consistent too: set `select_sequential_consistency = 1`, `insert_quorum = 'auto'` and
//! `insert_quorum_parallel = 0` in the user's settings profile. A commit is as durable as a stored data part: it is in
//! the operating system's cache unless `fsync_after_insert` is set for the table.

mod commit;
mod dead_letters;
mod dsn;
mod errors;
mod events;
mod inbox;
mod migrate;
mod outbox;
mod pool;
mod records;

pub use commit::Write;
pub use dead_letters::ClickHouseDeadLetters;
pub(crate) use dsn::parse_dsn;
pub use errors::classify;
pub use inbox::{ClickHouseInbox, receipt};
pub use migrate::ClickHouseMigrator;
pub use outbox::ClickHouseOutbox;
pub use pool::{ClickHouse, KeyRange};
pub use records::{Record, RecordKey, RecordKind};

use crate::{Migration, migration};

/// The table of record versions, with events, receipts and dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/clickhouse", 1, "0001_events");
