//! MySQL from 8 and `MariaDB` from 10.11 on: a pool of connections to one database, shared with other processes.

mod dsn;
mod errors;
mod events;
mod inbox;
mod migrate;
mod outbox;
mod pool;

pub(crate) use dsn::parse_dsn;
pub use errors::classify;
pub use events::append;
pub use inbox::{MysqlInbox, record, record_all};
pub use migrate::MysqlMigrator;
pub use outbox::MysqlOutbox;
pub use pool::{Mysql, Write};

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/mysql", 1, "0001_events");
