//! `PostgreSQL`.

use std::sync::Arc;

use dogs_domain::DogRepository;
use dogs_storages::{POSTGRES_MIGRATIONS, PostgresDogs, Storage, StorageConfig};
use kennel_core::Outbox;
use kennel_storage::postgres::{Postgres, PostgresConfig, PostgresMigrator, PostgresOutbox};
use kennel_storage::{Migration, Migrator};
use kennel_testkit::TestDatabase;

use crate::Server;

impl Server for Postgres {
    const STORAGE: Storage = Storage::Postgres;
    const STEPS: &'static [Migration] = POSTGRES_MIGRATIONS;
    const NO_DOGS: &'static str = "relation \"dogs\" does not exist";

    async fn home() -> Option<TestDatabase> {
        TestDatabase::postgres().await
    }

    fn config(home: &TestDatabase) -> StorageConfig {
        let mut config = StorageConfig { storage: Self::STORAGE, ..StorageConfig::default() };
        config.postgres = PostgresConfig::at(home.dsn());
        config
    }

    async fn open(home: &TestDatabase) -> Self {
        Self::open(&PostgresConfig::at(home.dsn())).await.unwrap()
    }

    fn dogs(&self) -> Arc<dyn DogRepository> {
        Arc::new(PostgresDogs::new(self.clone()))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(PostgresOutbox::new(self.clone()))
    }

    fn migrator(&self) -> Arc<dyn Migrator> {
        Arc::new(PostgresMigrator::new(self.clone(), Self::STEPS))
    }

    async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(self.pool()).await.map(drop)
    }

    async fn tables(&self) -> Vec<String> {
        let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')";
        let tables: Vec<(String,)> = sqlx::query_as(sql).fetch_all(self.pool()).await.unwrap();
        tables.into_iter().map(|(name,)| name).collect()
    }
}

crate::server_cases!(Postgres);

#[tokio::test]
async fn an_address_must_be_given() {
    crate::an_address_must_be_given(Storage::Postgres).await;
}
