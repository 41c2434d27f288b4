//! Opens the store: the only code here that knows every engine, with the `#[cfg]`s for their features.

use std::sync::Arc;

use dogs_domain::{Capabilities, DogImports, DogReplica, DogRepository, DogRetention};
use kennel_storage::{Database, Engine, Migrations, OpenError, StorageConfig};
use prometheus::Registry;

use crate::batched::InsertAll;
use crate::{BatchedDogs, InstrumentedDogs};

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
    /// Dogs. Calls record metrics and spans, and are executed together while the database is busy.
    pub dogs: Arc<dyn DogRepository>,
    /// Imports of dogs. Calls record metrics and spans.
    pub imports: Arc<dyn DogImports>,
    /// The removal of old data. Calls record metrics and spans.
    pub retention: Arc<dyn DogRetention>,
    /// Dogs, as the target of a copy.
    pub replica: Arc<dyn DogReplica>,
    /// What the store can do.
    pub capabilities: Capabilities,
}

/// Opens the store that `config` selects. Does not migrate it. Metrics are registered in `registry`.
pub async fn open(config: &StorageConfig, registry: &Registry) -> Result<Stores, OpenError> {
    Ok(Stores::new(kennel_storage::open(config, "dogs", &MIGRATIONS, registry).await?))
}

impl Stores {
    /// The dogs in `database`.
    pub fn new(database: Database) -> Self {
        match database.engine.clone() {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(engine) => {
                let store = Arc::new(crate::SqliteDogs::new(engine));
                stores(database, store, None, crate::SqliteDogs::CAPABILITIES)
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres(engine) => {
                let store = Arc::new(crate::PostgresDogs::new(engine));
                let inserts: Arc<dyn InsertAll> = Arc::<crate::PostgresDogs>::clone(&store);
                stores(database, store, Some(inserts), crate::PostgresDogs::CAPABILITIES)
            }
            #[cfg(feature = "mysql")]
            Engine::Mysql(engine) => {
                let store = Arc::new(crate::MysqlDogs::new(engine));
                let inserts: Arc<dyn InsertAll> = Arc::<crate::MysqlDogs>::clone(&store);
                stores(database, store, Some(inserts), crate::MysqlDogs::CAPABILITIES)
            }
            #[cfg(feature = "clickhouse")]
            Engine::ClickHouse(engine) => {
                let store = Arc::new(crate::ClickHouseDogs::new(engine));
                stores(database, store, None, crate::ClickHouseDogs::CAPABILITIES)
            }
            #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
            #[allow(unreachable_patterns)]
            _ => unreachable!("the build of this crate has the same stores as the platform's"),
        }
    }
}

fn stores<S>(
    database: Database,
    store: Arc<S>,
    inserts: Option<Arc<dyn InsertAll>>,
    capabilities: Capabilities,
) -> Stores
where
    S: DogRepository + DogImports + DogRetention + DogReplica,
{
    let metrics = &database.metrics;
    let dogs: Arc<dyn DogRepository> = Arc::new(BatchedDogs::new(Arc::clone(&store), inserts, &database));
    let imports: Arc<dyn DogImports> = Arc::<S>::clone(&store);
    let retention: Arc<dyn DogRetention> = Arc::<S>::clone(&store);
    Stores {
        dogs: Arc::new(InstrumentedDogs::new(dogs, metrics.clone())),
        imports: Arc::new(InstrumentedDogs::new(imports, metrics.clone())),
        retention: Arc::new(InstrumentedDogs::new(retention, metrics.clone())),
        replica: store,
        capabilities,
        database,
    }
}
