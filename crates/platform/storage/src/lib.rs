//! Databases for services: pools, migrations, error classes, metrics, and the outbox, inbox and dead letters in SQL.
//!
//! One folder per database, with the same file names in each; shared code is in the files next to the folders, that of the SQL
//! databases in `sql`. Nothing here knows a service's tables: repositories bring their own SQL and write through the database's write transaction.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse")),
    expect(
        dead_code,
        unreachable_code,
        unused_macros,
        unused_variables,
        reason = "without any store, no database is opened"
    )
)]

pub mod batching;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod closing;
mod config;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod dead_letters;
pub mod driver;
pub mod error;
mod instrumented;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod lease;
pub mod metrics;
pub mod migration;
#[cfg(feature = "mysql")]
pub mod mysql;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use config::{Pooler, Storage, StorageConfig, Synchronous};
pub use driver::{Connections, DatabaseCheck, Driver, WriteCheck};
pub use error::classify;
pub use instrumented::Instrumented;
#[doc(hidden)]
pub use kennel_telemetry;
pub use metrics::{BatchMetrics, DatabaseMetrics};
pub use migration::{MigrateError, Migration, MigrationState, MigrationStep, Migrator};
pub use open::{Database, Engine, Migrations, OpenError, open};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use rows::{Columns, Value};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlMigrator;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use sql::{Parameter, SqlDeadLetters, SqlStore, SqlWrite, Statement};
#[doc(hidden)]
pub use tracing;
