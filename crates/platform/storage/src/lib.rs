//! Databases for services: pools, migrations, error classes, metrics, and the outbox, inbox and dead letters in SQL.
//!
//! One folder per database, with the same file names in each; shared code is in the files next to the folders. Nothing
//! here knows a service's tables: repositories bring their own SQL and write through the database's write transaction.

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod closing;
pub mod database;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod dead_letters;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod dsn;
pub mod error;
mod instrumented;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod lease;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod limits;
pub mod metrics;
pub mod migration;
#[cfg(feature = "mysql")]
pub mod mysql;
mod pooler;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod sqlite_config;

pub use database::{Connections, Database, DatabaseCheck, WriteCheck};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
pub use dsn::Dsn;
pub use error::classify;
pub use instrumented::Instrumented;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "clickhouse"))]
pub use limits::PoolConfig;
pub use metrics::DatabaseMetrics;
pub use migration::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};
pub use pooler::Pooler;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use rows::{Columns, Value};
pub use sqlite_config::{SqliteConfig, Synchronous};
#[doc(hidden)]
pub use tracing;
