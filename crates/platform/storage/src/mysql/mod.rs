//! MySQL from 8 and `MariaDB` from 10.11 on: a pool of connections to one database, shared with other processes.

mod bulk;
mod dsn;
mod errors;
mod events;
mod inbox;
mod migrate;
mod outbox;
mod pool;

pub use bulk::{Bulk, BulkRow};
pub(crate) use dsn::parse_dsn;
pub use errors::classify;
pub use events::append;
pub use inbox::{MysqlInbox, record, record_all};
pub use migrate::MysqlMigrator;
pub use outbox::MysqlOutbox;
pub use pool::{Mysql, Write};

use kennel_core::RepoError;
use uuid::Uuid;

use crate::{Migration, migration};

/// The tables of the outbox, the inbox and the dead letters: the first migration of every service's schema.
pub const EVENTS: Migration = migration!("../../../../../migrations/events/mysql", 1, "0001_events");

/// Maximum number of ids in one [`json_array`], which has 35 bytes for each: it fits into one TLS record; see [`Bulk`].
pub const MAX_IDS: usize = 450;

/// Ids as a JSON array, for statements that read a list of any length as one parameter:
/// `JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given`, with `UNHEX(given.id)`.
pub fn json_array(ids: impl IntoIterator<Item = Uuid>) -> Result<String, RepoError> {
    let ids: Vec<_> = ids.into_iter().map(Uuid::simple).collect();
    serde_json::to_string(&ids).map_err(|error| RepoError::Backend(error.into()))
}
