//! SQLite: one file, one writer and a few readers in this process; other processes may share the file.

mod dead_letters;
mod errors;
mod events;
mod inbox;
mod migrate;
mod outbox;
mod pool;
mod write;

pub use dead_letters::SqliteDeadLetters;
pub use errors::classify;
pub use events::append;
pub use inbox::{SqliteInbox, record, record_all};
pub use migrate::SqliteMigrator;
pub use outbox::SqliteOutbox;
pub use pool::Sqlite;
pub use write::Write;

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/sqlite", 1, "0001_events");
