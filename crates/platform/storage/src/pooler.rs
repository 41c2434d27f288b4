//! The connection pooler between a service and PostgreSQL. Every build has this setting, so that the settings reference
//! is the same in all builds.

use serde::{Deserialize, Serialize};

/// The connection pooler between the service and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// None, or a pooler in session mode that passes session settings to the server.
    #[default]
    None,
    /// A pooler in transaction mode, such as `PgBouncer` with `pool_mode = transaction`. Every statement runs in a
    /// transaction, no named prepared statement is used, and commits of other processes are found by polling.
    Transaction,
}
