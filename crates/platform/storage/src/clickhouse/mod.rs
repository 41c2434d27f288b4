//! ClickHouse: one table of records, written in groups by one committer for each process.
//!
//! # What is guaranteed
//!
//! ClickHouse has no transactions. What stands in for them:
//!
//! - All that commits together goes into one table by one insert of one block, which the server stores whole or not
//!   at all. The events of a change are rows of that block, and the outbox tails them; so are receipts.
//! - Each process has one committer. It takes all writes that wait, reads what they need, lets each decide on what the
//!   ones before it have left, and inserts the rows of all in one part (group commit). While the server is busy with
//!   one group the next one gathers; an idle system adds no wait.
//! - A commit has a number, the one after the last, and names it as the deduplication token of its insert. The server
//!   takes the first insert of a token alone. After it, the committer reads who made the commit of that number; if it
//!   was another process, it reads anew, decides anew and goes on behind. So writes are in one order across all
//!   processes: of several that expect one revision or one key, exactly one wins, wherever they run. An insert that is
//!   repeated because its answer was lost is stored once.
//! - The lease of the outbox is taken in the same way, in a row of numbers of its own.
//!
//! This holds for processes that write to one server. Its limits: a process that is stopped between the decision to
//! insert and the insert for as long as 10,000 commits of others take (`non_replicated_deduplication_window`) could
//! repeat a number. Behind a load balancer over replicated tables (`ENGINE = ReplicatedReplacingMergeTree`), the server
//! has to be told to read and write in one order as well: `select_sequential_consistency = 1`, `insert_quorum = 'auto'`,
//! `insert_quorum_parallel = 0` in the user's settings profile. Commits are acknowledged as durably as the server stores
//! parts, which is with the operating system unless `fsync_after_insert` is set for the table.

mod commit;
mod config;
mod errors;
mod events;
mod inbox;
mod letters;
mod migrate;
mod outbox;
mod pool;
mod records;

pub use commit::Write;
pub use config::ClickHouseConfig;
pub use errors::classify;
pub use inbox::{ClickHouseInbox, receipt};
pub use letters::ClickHouseDeadLetters;
pub use migrate::ClickHouseMigrator;
pub use outbox::ClickHouseOutbox;
pub use pool::{ClickHouse, Range};
pub use records::{Found, Kind, Place};

use crate::{Migration, migration};

/// The table of records, with its events, receipts and dead letters: the first step of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/clickhouse", 1, "0001_events");
