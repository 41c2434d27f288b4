//! Where dogs are kept: one folder per store, decorators over the port, and [`connect`], which picks.

mod cached;
mod connect;
mod metered;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use cached::Cached;
pub use connect::{ConnectError, Storage, StorageConfig, Stores, UnknownStorage, connect};
pub use metered::Metered;
#[cfg(feature = "sqlite")]
pub use sqlite::{MIGRATIONS as SQLITE_MIGRATIONS, SqliteDogs};
