//! `PostgreSQL`.

use std::sync::Arc;

use dogs_domain::DogRetention;
use dogs_storages::{MIGRATIONS, PostgresDogs};
use kennel_app::in_batches;
use kennel_config::HumanDuration;
use kennel_core::Outbox;
use kennel_storage::postgres::{Postgres, PostgresMigrator, PostgresOutbox};
use kennel_storage::{Migration, Migrator, Storage, StorageConfig};
use kennel_testkit::TestDatabase;

use crate::Server;
use crate::support::at;

impl Server for Postgres {
    type Dogs = PostgresDogs;

    const STORAGE: Storage = Storage::Postgres;
    const STEPS: &'static [Migration] = MIGRATIONS.postgres;
    const NO_DOGS: &'static str = "relation \"dogs\" does not exist";

    async fn home() -> Option<TestDatabase> {
        TestDatabase::postgres().await
    }

    fn config(home: &TestDatabase) -> StorageConfig {
        StorageConfig::postgres(home.dsn())
    }

    async fn open(home: &TestDatabase) -> Self {
        Self::open(&Self::config(home)).await.unwrap()
    }

    fn dogs(&self) -> PostgresDogs {
        PostgresDogs::new(self.clone())
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
async fn a_dsn_is_required() {
    crate::a_dsn_is_required(Storage::Postgres).await;
}

/// Batches, each in its own transaction, remove what one statement cannot remove within its timeout.
#[tokio::test]
async fn old_keys_are_purged_with_a_short_statement_timeout() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let mut config = Postgres::config(&home);
    config.database_statement_timeout = HumanDuration::from_millis(500);
    let database = Postgres::open(&config).await.unwrap();
    database.migrator().up(at()).await.unwrap();
    // Each row takes a millisecond, as on a slow disk: all of them take twice the statement timeout.
    let fill = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN OLD; END $$;
        CREATE TRIGGER slow BEFORE DELETE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION slow();
        INSERT INTO idempotency_keys SELECT n, decode(repeat('00', 32), 'hex'), '{}', n FROM generate_series(1, 1000) AS n";
    database.execute(fill).await.unwrap();
    let all_at_once = database.execute("DELETE FROM idempotency_keys").await.unwrap_err();
    assert_eq!(all_at_once.as_database_error().unwrap().code().unwrap(), "57014");
    let dogs = database.dogs();
    let removed = in_batches(|rows| dogs.purge(at(), rows)).await.unwrap();
    assert_eq!(removed, 1_000);
}

/// A purge does not wait for a key that is in use, and does not remove it.
#[tokio::test]
async fn a_key_in_use_is_skipped() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (database, dogs) = crate::migrated::<Postgres>(&home).await;
    let fill = "INSERT INTO idempotency_keys SELECT n, decode(repeat('00', 32), 'hex'), '{}', n FROM generate_series(1, 3) AS n";
    database.execute(fill).await.unwrap();
    let mut using = database.pool().begin().await.unwrap();
    sqlx::query("UPDATE idempotency_keys SET used_at = $1 WHERE key = '2'")
        .bind(at().as_millis())
        .execute(&mut *using)
        .await
        .unwrap();
    assert_eq!(dogs.purge(at(), 2).await.unwrap(), 2);
    using.commit().await.unwrap();
    assert_eq!(dogs.purge(at(), 2).await.unwrap(), 0);
}
