//! `PostgreSQL`: a pool of connections to one database, shared with other processes.

mod dsn;
mod errors;
mod events;
mod inbox;
mod notifier;
mod outbox;
mod pool;
mod session;

pub(crate) use dsn::parse_dsn;
pub use errors::classify;
pub use events::{append, bind_events, with_events};
pub use inbox::{PostgresInbox, record, record_all};
pub use outbox::PostgresOutbox;
pub use pool::{Postgres, Write};
pub use session::{Session, Sessions};

use crate::{Migration, migration};

/// Migrates a `PostgreSQL` database.
pub type PostgresMigrator = crate::SqlMigrator<Postgres>;

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/postgres", 1, "0001_events");
