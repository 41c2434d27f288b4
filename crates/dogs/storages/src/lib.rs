//! Dog repositories: one folder per store, decorators of the port, and [`connect`], which selects the store.

mod cached;
#[cfg(feature = "clickhouse")]
mod clickhouse;
mod connect;
mod instrumented;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use cached::CachedDogRepository;
#[cfg(feature = "clickhouse")]
pub use clickhouse::{ClickHouseDogs, MIGRATIONS as CLICKHOUSE_MIGRATIONS};
pub use connect::{ConnectError, Storage, StorageConfig, Stores, connect};
pub use instrumented::InstrumentedDogRepository;
#[cfg(feature = "mysql")]
pub use mysql::{MIGRATIONS as MYSQL_MIGRATIONS, MysqlDogs};
#[cfg(feature = "postgres")]
pub use postgres::{MIGRATIONS as POSTGRES_MIGRATIONS, PostgresDogs};
#[cfg(feature = "sqlite")]
pub use sqlite::{MIGRATIONS as SQLITE_MIGRATIONS, SqliteDogs};
