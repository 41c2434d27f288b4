//! MySQL from 8 and `MariaDB` from 10.11 on: a pool of connections to one database, which other processes share.

mod config;
mod errors;
mod events;
mod inbox;
mod letters;
mod migrate;
mod outbox;
mod pool;

pub use config::MysqlConfig;
pub use errors::classify;
pub use events::append;
pub use inbox::{MysqlInbox, record};
pub use letters::MysqlDeadLetters;
pub use migrate::MysqlMigrator;
pub use outbox::MysqlOutbox;
pub use pool::{Mysql, Write};

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first step of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/mysql", 1, "0001_events");

/// The counted attempts of the inbox, which every service's schema has after its first steps.
pub const ATTEMPTS: Migration = migration!("../../../../../migrations/mysql", 5, "0005_attempts");
