//! `MariaDB`, a server per test: the read-only mode affects the whole server.

use futures_util::future::try_join_all;
use kennel_storage::StorageConfig;
use kennel_storage::mysql::{EVENTS, Mysql, MysqlInbox, MysqlMigrator};
use kennel_testkit::TestDatabase;
use kennel_testkit::server::{PrivateServer, Server};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

use crate::Store;

async fn open(dsn: &str) -> (Store, Mysql) {
    let mysql = Mysql::open(&StorageConfig::mysql(dsn)).await.unwrap();
    let migrator = MysqlMigrator::new(mysql.clone(), &[EVENTS]);
    (Store::new(mysql.clone(), MysqlInbox::new(mysql.clone()), migrator).await, mysql)
}

/// Runs a statement on all connections that a pool can have; returns their number.
async fn on_all_connections(mysql: &Mysql, sql: &'static str) -> u32 {
    let size = mysql.pool().options().get_max_connections();
    let mut connections = try_join_all((0..size).map(|_| mysql.pool().acquire())).await.unwrap();
    for connection in &mut connections {
        connection.execute(sql).await.unwrap();
    }
    size
}

/// A server, a connection of its administrator, and the DSN of a user without administrator rights.
async fn start() -> Option<(PrivateServer, MySqlConnection, String)> {
    let server = PrivateServer::start(Server::MySql).await?;
    let mut admin = MySqlConnection::connect(&server.url()).await.unwrap();
    for sql in [
        "CREATE DATABASE app",
        "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'",
        "GRANT ALL ON app.* TO app@'127.0.0.1'",
    ] {
        admin.execute(sql).await.unwrap();
    }
    let dsn = format!("mysql://app:app@{}/app", server.address());
    Some((server, admin, dsn))
}

/// Closes all other connections to a database.
async fn close_all_connections(admin: &mut MySqlConnection, database: &str) {
    let others = "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()";
    let others: Vec<i64> = sqlx::query_scalar(others).bind(database).fetch_all(&mut *admin).await.unwrap();
    assert!(!others.is_empty());
    for id in others {
        admin.execute(AssertSqlSafe(format!("KILL CONNECTION {id}"))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_sessions_are_replaced() {
    let Some(home) = TestDatabase::mysql().await else { return };
    let (store, mysql) = open(&home.dsn()).await;
    store.accepts_writes().await;
    on_all_connections(&mysql, "SET SESSION TRANSACTION READ ONLY").await;
    store.accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_again_right_after_a_failover() {
    let Some((_server, mut admin, dsn)) = start().await else { return };
    let (store, mysql) = open(&dsn).await;
    store.accepts_writes().await;
    admin.execute("SET GLOBAL tx_read_only = ON").await.unwrap();
    on_all_connections(&mysql, "SELECT 1").await;
    close_all_connections(&mut admin, "app").await;
    store.rejects_writes().await;
    // The connections that are open now stay read-only.
    on_all_connections(&mysql, "SELECT 1").await;
    admin.execute("SET GLOBAL tx_read_only = OFF").await.unwrap();
    store.soon_accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_is_unavailable_for_writes_only() {
    let Some((_server, mut admin, dsn)) = start().await else { return };
    let (store, _) = open(&dsn).await;
    store.accepts_writes().await;
    admin.execute("SET GLOBAL read_only = ON").await.unwrap();
    store.rejects_writes().await;
    admin.execute("SET GLOBAL read_only = OFF").await.unwrap();
    store.soon_accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_closed_connections_at_most_one_call_fails() {
    let Some(home) = TestDatabase::mysql().await else { return };
    let (store, mysql) = open(&home.dsn()).await;
    let size = on_all_connections(&mysql, "SELECT 1").await;
    let mut admin = MySqlConnection::connect(&home.dsn()).await.unwrap();
    let (database,): (String,) = sqlx::query_as("SELECT DATABASE()").fetch_one(&mut admin).await.unwrap();
    close_all_connections(&mut admin, &database).await;
    let failures = store.failures(size * 2).await;
    assert!(failures <= 1, "{failures}, where {size} connections were closed");
    store.database.close().await;
}
