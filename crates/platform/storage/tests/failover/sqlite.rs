//! SQLite.

use kennel_storage::StorageConfig;
use kennel_storage::sqlite::{EVENTS, Sqlite, SqliteInbox, SqliteMigrator};
use sqlx::Executor as _;

use crate::Store;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_cannot_write_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&StorageConfig::sqlite(folder.path().join("test.db")), "test").await.unwrap();
    let migrator = SqliteMigrator::new(sqlite.clone(), &[EVENTS]);
    let store = Store::new(sqlite.clone(), SqliteInbox::new(sqlite.clone()), migrator).await;
    store.accepts_writes().await;

    // Simulates a connection that was opened while the file was read-only.
    let make_read_only = async || {
        let mut write = sqlite.write().await.unwrap();
        write.connection().execute("PRAGMA query_only = ON").await.unwrap();
        write.commit().await.unwrap();
    };
    make_read_only().await;
    crate::unavailable(&store.write().await);
    store.accepts_writes().await;
    make_read_only().await;
    crate::unavailable(&store.database.writable().await);
    store.accepts_writes().await;
    store.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_busy_writer_accepts_writes() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&StorageConfig::sqlite(folder.path().join("test.db")), "test").await.unwrap();
    let migrator = SqliteMigrator::new(sqlite.clone(), &[EVENTS]);
    let store = Store::new(sqlite.clone(), SqliteInbox::new(sqlite.clone()), migrator).await;
    let write = sqlite.write().await.unwrap();
    store.database.writable().await.unwrap();
    write.commit().await.unwrap();
    store.accepts_writes().await;
}
