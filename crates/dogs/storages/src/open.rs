//! Opens the store: the only code here that knows every engine, with the `#[cfg]`s for their features.

use std::sync::Arc;

use dogs_domain::{DogReplica, DogRepository};
use kennel_storage::{Database, Engine, Migrations, OpenError, StorageConfig};
use prometheus::Registry;

use crate::InstrumentedDogRepository;

/// The migrations of the schema of dogs.
#[expect(clippy::allow_attributes, reason = "whether a store is left out depends on the features")]
#[allow(clippy::needless_update)]
pub const MIGRATIONS: Migrations = Migrations {
    #[cfg(feature = "sqlite")]
    sqlite: crate::sqlite::MIGRATIONS,
    #[cfg(feature = "postgres")]
    postgres: crate::postgres::MIGRATIONS,
    #[cfg(feature = "mysql")]
    mysql: crate::mysql::MIGRATIONS,
    #[cfg(feature = "clickhouse")]
    clickhouse: crate::clickhouse::MIGRATIONS,
    ..Migrations::NONE
};

/// An open store of dogs.
#[derive(Clone)]
pub struct Stores {
    /// The database, with the ports of events.
    pub database: Database,
    /// Dogs. Calls record metrics and spans.
    pub dogs: Arc<dyn DogRepository>,
    /// Dogs, as the target of a copy.
    pub replica: Arc<dyn DogReplica>,
}

/// Opens the store that `config` selects. Does not migrate it. Metrics are registered in `registry`.
pub async fn open(config: &StorageConfig, registry: &Registry) -> Result<Stores, OpenError> {
    let database = kennel_storage::open(config, "dogs", &MIGRATIONS, registry).await?;
    let (dogs, replica) = repositories(&database.engine);
    let dogs = Arc::new(InstrumentedDogRepository::new(dogs, database.metrics.clone()));
    Ok(Stores { database, dogs, replica })
}

fn repositories(engine: &Engine) -> (Arc<dyn DogRepository>, Arc<dyn DogReplica>) {
    match engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(database) => both(crate::SqliteDogs::new(database.clone())),
        #[cfg(feature = "postgres")]
        Engine::Postgres(database) => both(crate::PostgresDogs::new(database.clone())),
        #[cfg(feature = "mysql")]
        Engine::Mysql(database) => both(crate::MysqlDogs::new(database.clone())),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(database) => both(crate::ClickHouseDogs::new(database.clone())),
        #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
        #[allow(unreachable_patterns)]
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
    }
}

fn both<S: DogRepository + DogReplica>(store: S) -> (Arc<dyn DogRepository>, Arc<dyn DogReplica>) {
    let store = Arc::new(store);
    (Arc::<S>::clone(&store), store)
}
