//! SQLite: one file, one writer and a few readers in this process; other processes may share the file.

mod errors;
mod events;
mod inbox;
mod outbox;
mod pool;
mod write;

pub use errors::classify;
pub use events::append;
pub use inbox::{SqliteInbox, record, record_all};
pub use outbox::SqliteOutbox;
pub use pool::Sqlite;
pub use write::Write;

use crate::{Migration, migration};

/// Migrates a SQLite database.
pub type SqliteMigrator = crate::SqlMigrator<Sqlite>;

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/sqlite", 1, "0001_events");
