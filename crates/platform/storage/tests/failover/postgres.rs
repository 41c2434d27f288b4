//! `PostgreSQL`.

use futures_util::future::try_join_all;
use kennel_storage::StorageConfig;
use kennel_storage::postgres::{EVENTS, Postgres, PostgresInbox, PostgresMigrator};
use kennel_testkit::TestDatabase;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::Store;

async fn open(home: &TestDatabase) -> (Store, Postgres) {
    let postgres = Postgres::open(&StorageConfig::postgres(home.dsn())).await.unwrap();
    let migrator = PostgresMigrator::new(postgres.clone(), &[EVENTS]);
    (Store::new(postgres.clone(), PostgresInbox::new(postgres.clone()), migrator).await, postgres)
}

/// Runs a statement on all connections that a pool can have; returns their number.
async fn on_all_connections(postgres: &Postgres, sql: &'static str) -> u32 {
    let size = postgres.pool().options().get_max_connections();
    let mut connections = try_join_all((0..size).map(|_| postgres.pool().acquire())).await.unwrap();
    for connection in &mut connections {
        connection.execute(sql).await.unwrap();
    }
    size
}

async fn close_all_connections(admin: &mut PgConnection) {
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let ended: Vec<bool> = sqlx::query_scalar(end).fetch_all(admin).await.unwrap();
    assert!(!ended.is_empty() && ended.iter().all(|ended| *ended), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_sessions_are_replaced() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    store.accepts_writes().await;
    on_all_connections(&postgres, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").await;
    store.accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_again_right_after_a_failover() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    store.accepts_writes().await;
    on_all_connections(&postgres, "SELECT 1").await;
    home.set_read_only(true).await;
    store.rejects_writes().await;
    // The connections that are open now stay read-only.
    on_all_connections(&postgres, "SELECT 1").await;
    home.set_read_only(false).await;
    store.soon_accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_closed_connections_at_most_one_call_fails() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    let size = on_all_connections(&postgres, "SELECT 1").await;
    close_all_connections(&mut PgConnection::connect(&home.dsn()).await.unwrap()).await;
    let failures = store.failures(size * 2).await;
    assert!(failures <= 1, "{failures}, where {size} connections were closed");
    store.database.close().await;
}
