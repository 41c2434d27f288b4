//! `PostgreSQL`: a pool of connections to one database, which other processes share.

mod config;
mod errors;
mod events;
mod inbox;
mod letters;
mod migrate;
mod outbox;
mod pool;
mod session;
mod wake;

pub use config::PostgresConfig;
pub use errors::classify;
pub use events::append;
pub use inbox::{PostgresInbox, record};
pub use letters::PostgresDeadLetters;
pub use migrate::PostgresMigrator;
pub use outbox::PostgresOutbox;
pub use pool::{Postgres, Write};
pub use session::{Session, Sessions};

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first step of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/postgres", 1, "0001_events");

/// The counted attempts of the inbox, which every service's schema has after its first steps.
pub const ATTEMPTS: Migration = migration!("../../../../../migrations/postgres", 5, "0005_attempts");
