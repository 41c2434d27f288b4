//! `PostgreSQL`.

use futures_util::future::try_join_all;
use kennel_storage::postgres::{EVENTS, Postgres, PostgresConfig, PostgresInbox, PostgresMigrator};
use kennel_testkit::TestDatabase;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::Store;

async fn open(home: &TestDatabase) -> (Store, Postgres) {
    let postgres = Postgres::open(&PostgresConfig::at(home.dsn())).await.unwrap();
    let migrator = PostgresMigrator::new(postgres.clone(), &[EVENTS]);
    (Store::new(postgres.clone(), PostgresInbox::new(postgres.clone()), migrator).await, postgres)
}

/// Runs a statement on all connections that a pool can have; answers how many these are.
async fn on_all(postgres: &Postgres, sql: &'static str) -> u32 {
    let size = postgres.pool().options().get_max_connections();
    let mut connections = try_join_all((0..size).map(|_| postgres.pool().acquire())).await.unwrap();
    for connection in &mut connections {
        connection.execute(sql).await.unwrap();
    }
    size
}

async fn end_all(admin: &mut PgConnection) {
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let ended: Vec<bool> = sqlx::query_scalar(end).fetch_all(admin).await.unwrap();
    assert!(!ended.is_empty() && ended.iter().all(|ended| *ended), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_read_only_are_replaced() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    store.takes_writes().await;
    on_all(&postgres, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").await;
    store.takes_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_again_right_after_a_failover() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    store.takes_writes().await;
    on_all(&postgres, "SELECT 1").await;
    home.set_read_only(true).await;
    store.takes_no_writes().await;
    // Those that are open now stay read-only for good.
    on_all(&postgres, "SELECT 1").await;
    home.set_read_only(false).await;
    store.takes_writes_soon().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_connections_that_were_ended_one_call_finds_out() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let (store, postgres) = open(&home).await;
    let size = on_all(&postgres, "SELECT 1").await;
    end_all(&mut PgConnection::connect(&home.dsn()).await.unwrap()).await;
    let failures = store.failures(size * 2).await;
    assert!(failures <= 1, "{failures}, where {size} connections were ended");
    store.database.close().await;
}
