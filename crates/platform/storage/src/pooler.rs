//! What is between a service and PostgreSQL. A setting of every build, so that the reference of settings is the same.

use serde::{Deserialize, Serialize};

/// What is between the service and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// Nothing, or a pooler that hands its connections out by the session and passes settings of a session on.
    #[default]
    None,
    /// A pooler that hands its connections out by the transaction, as `PgBouncer` with `pool_mode = transaction`. Each
    /// statement is in a transaction and none is prepared for later ones, and commits of other processes are noticed by
    /// looking for them.
    Transaction,
}
