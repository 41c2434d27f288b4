//! MySQL and `MariaDB`.

use std::sync::Arc;

use dogs_storages::{MIGRATIONS, MysqlDogs};
use kennel_core::Outbox;
use kennel_storage::mysql::{Mysql, MysqlMigrator, MysqlOutbox};
use kennel_storage::{Migration, Migrator, Storage, StorageConfig};
use kennel_testkit::TestDatabase;

use crate::Server;

impl Server for Mysql {
    type Dogs = MysqlDogs;

    const STORAGE: Storage = Storage::Mysql;
    const STEPS: &'static [Migration] = MIGRATIONS.mysql;
    const NO_DOGS: &'static str = "dogs' doesn't exist";

    async fn home() -> Option<TestDatabase> {
        TestDatabase::mysql().await
    }

    fn config(home: &TestDatabase) -> StorageConfig {
        StorageConfig::mysql(home.dsn())
    }

    async fn open(home: &TestDatabase) -> Self {
        Self::open(&Self::config(home)).await.unwrap()
    }

    fn dogs(&self) -> MysqlDogs {
        MysqlDogs::new(self.clone())
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
