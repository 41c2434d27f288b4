//! `PostgreSQL`: a pool of connections to one database, shared with other processes.

mod dead_letters;
mod dsn;
mod errors;
mod events;
mod inbox;
mod migrate;
mod notifier;
mod outbox;
mod pool;
mod session;

pub use dead_letters::PostgresDeadLetters;
pub(crate) use dsn::parse_dsn;
pub use errors::classify;
pub use events::append;
pub use inbox::{PostgresInbox, record, record_all};
pub use migrate::PostgresMigrator;
pub use outbox::PostgresOutbox;
pub use pool::{Postgres, Write};
pub use session::{Session, Sessions};

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/postgres", 1, "0001_events");
