//! Databases for services: pools, migrations, error classes, metrics, and the outbox, inbox and dead letters in SQL.
//!
//! One folder per database, with the same file names in each; what they share stands beside them. Nothing here knows
//! a service's tables: repositories bring their own SQL and write through the database's own write transaction.

pub mod database;
pub mod error;
pub mod metrics;
pub mod migration;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use database::{Connections, Database, DatabaseCheck};
pub use error::classify;
pub use metrics::DatabaseMetrics;
pub use migration::{MigrateError, Migration, Migrator, State, Step};
