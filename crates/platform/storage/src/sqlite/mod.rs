//! SQLite: one file, one writer and a few readers in this process; other processes may share the file.

mod errors;
mod events;
mod inbox;
mod letters;
mod migrate;
mod outbox;
mod pool;
mod write;

pub use errors::classify;
pub use events::append;
pub use inbox::{SqliteInbox, record};
pub use letters::SqliteDeadLetters;
pub use migrate::SqliteMigrator;
pub use outbox::SqliteOutbox;
pub use pool::Sqlite;
pub use write::Write;

pub use crate::sqlite_config::{SqliteConfig, Synchronous};
use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first step of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/sqlite", 1, "0001_events");

/// The counted attempts of the inbox, which every service's schema has after its first steps.
pub const ATTEMPTS: Migration = migration!("../../../../../migrations/sqlite", 5, "0005_attempts");
