//! Dog repositories: one folder per store, decorators of the port, and [`open`], which selects the store.

mod batched;
mod cached;
#[cfg(feature = "clickhouse")]
mod clickhouse;
mod instrumented;
#[cfg(feature = "mysql")]
mod mysql;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use batched::BatchedDogs;
pub use cached::{CachedDogImports, CachedDogRepository};
#[cfg(feature = "clickhouse")]
pub use clickhouse::ClickHouseDogs;
pub use instrumented::InstrumentedDogs;
#[cfg(feature = "mysql")]
pub use mysql::MysqlDogs;
pub use open::{MIGRATIONS, Stores, open};
#[cfg(feature = "postgres")]
pub use postgres::PostgresDogs;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteDogs;
