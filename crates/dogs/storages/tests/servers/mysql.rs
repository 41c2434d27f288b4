//! MySQL and `MariaDB`.

use std::sync::Arc;

use dogs_domain::DogRepository;
use dogs_storages::{MYSQL_MIGRATIONS, MysqlDogs, Storage, StorageConfig};
use kennel_core::Outbox;
use kennel_storage::mysql::{Mysql, MysqlConfig, MysqlMigrator, MysqlOutbox};
use kennel_storage::{Migration, Migrator};
use kennel_testkit::TestDatabase;

use crate::Server;

impl Server for Mysql {
    const STORAGE: Storage = Storage::Mysql;
    const STEPS: &'static [Migration] = MYSQL_MIGRATIONS;
    const NO_DOGS: &'static str = "dogs' doesn't exist";

    async fn home() -> Option<TestDatabase> {
        TestDatabase::mysql().await
    }

    fn config(home: &TestDatabase) -> StorageConfig {
        let mut config = StorageConfig { storage: Self::STORAGE, ..StorageConfig::default() };
        config.mysql = MysqlConfig::at(home.dsn());
        config
    }

    async fn open(home: &TestDatabase) -> Self {
        Self::open(&MysqlConfig::at(home.dsn())).await.unwrap()
    }

    fn dogs(&self) -> Arc<dyn DogRepository> {
        Arc::new(MysqlDogs::new(self.clone()))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(MysqlOutbox::new(self.clone()))
    }

    fn migrator(&self) -> Arc<dyn Migrator> {
        Arc::new(MysqlMigrator::new(self.clone(), Self::STEPS))
    }

    async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(self.pool()).await.map(drop)
    }

    async fn tables(&self) -> Vec<String> {
        let sql = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()";
        let tables: Vec<(String,)> = sqlx::query_as(sql).fetch_all(self.pool()).await.unwrap();
        tables.into_iter().map(|(name,)| name).collect()
    }
}

crate::server_cases!(Mysql);

#[tokio::test]
async fn a_dsn_is_required() {
    crate::a_dsn_is_required(Storage::Mysql).await;
}
