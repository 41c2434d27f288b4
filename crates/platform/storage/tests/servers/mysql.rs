//! MySQL and `MariaDB`.

use std::num::NonZeroU32;
use std::sync::Arc;

use kennel_core::outbox::History;
use kennel_core::{DeadLetterSink, DeadLetters, Event, Inbox as _, Outbox, Receipt, RepoError};
use kennel_storage::mysql::{EVENTS, Mysql, MysqlInbox, MysqlMigrator, MysqlOutbox, Write, classify};
use kennel_storage::{Driver, Migration, Migrator, SqlDeadLetters, StorageConfig};
use kennel_testkit::TestDatabase;

use crate::server::{Pause, Server, commit_events, event, now};

const TABLE: Migration = Migration {
    version: 2,
    name: "0002_table",
    up: "CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
    down: "DROP TABLE IF EXISTS t",
};

const HALF: Migration =
    Migration { version: 3, name: "0003_half", up: "CREATE TABLE IF NOT EXISTS half (n BIGINT)", down: "" };

impl Server for Mysql {
    type Write = Write;
    const STEPS: &'static [Migration] = &[EVENTS, TABLE];
    const CHANGED: &'static [Migration] = &[EVENTS, Migration { up: "SELECT 1", ..TABLE }];
    const BROKEN: &'static [Migration] = &[
        EVENTS,
        TABLE,
        Migration { up: "CREATE TABLE IF NOT EXISTS half (n BIGINT); CREATE TABLE t (n BIGINT)", ..HALF },
    ];
    const REPAIRED: &'static [Migration] = &[EVENTS, TABLE, HALF];

    async fn home() -> Option<TestDatabase> {
        TestDatabase::mysql().await
    }

    async fn open(dsn: String, limits: StorageConfig) -> Result<Self, RepoError> {
        Self::open(&StorageConfig { mysql_dsn: Some(dsn.into()), ..limits }).await
    }

    fn database(&self) -> Arc<dyn Driver> {
        Arc::new(self.clone())
    }

    fn migrator(&self, steps: &'static [Migration]) -> Arc<dyn Migrator> {
        Arc::new(MysqlMigrator::new(self.clone(), steps))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(MysqlOutbox::new(self.clone()))
    }

    fn dead_letters(&self) -> (Arc<dyn DeadLetterSink>, Arc<dyn DeadLetters>) {
        let dead_letters = Arc::new(SqlDeadLetters::new(self.clone()));
        (Arc::clone(&dead_letters) as _, dead_letters)
    }

    async fn tables(&self) -> Vec<String> {
        let sql = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name";
        let tables: Vec<(String,)> = sqlx::query_as(sql).fetch_all(self.pool()).await.unwrap();
        tables.into_iter().map(|(name,)| name).collect()
    }

    async fn begin(&self) -> Result<Write, RepoError> {
        self.write().await
    }

    async fn add(write: &mut Write, id: i64, n: i64) -> Result<(), RepoError> {
        let add = "INSERT INTO t VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + VALUES(n)";
        sqlx::query(add).bind(id).bind(n).execute(write.connection()).await.map_err(classify)?;
        Ok(())
    }

    async fn append(write: &mut Write, events: &[Event]) -> Result<(), RepoError> {
        write.append(events).await
    }

    async fn commit(write: Write) -> Result<(), RepoError> {
        write.commit().await
    }

    async fn get_in(write: &mut Write, id: i64) -> Result<i64, RepoError> {
        let get = sqlx::query_as("SELECT n FROM t WHERE id = ?").bind(id);
        let (n,) = get.fetch_one(write.connection()).await.map_err(classify)?;
        Ok(n)
    }

    fn debug_text(&self) -> String {
        format!("{self:?}")
    }

    async fn get(&self, id: i64) -> Result<i64, RepoError> {
        let get = || async {
            let get = sqlx::query_as("SELECT n FROM t WHERE id = ?").bind(id);
            let (n,) = get.fetch_one(self.pool()).await.map_err(classify)?;
            Ok(n)
        };
        self.run(get).await
    }

    async fn add_two(&self, first: i64, second: i64, pause: &(dyn Pause + Sync)) -> Result<(), RepoError> {
        let add = || async {
            let mut write = self.write().await?;
            <Self as Server>::add(&mut write, first, 1).await?;
            pause.pause().await;
            <Self as Server>::add(&mut write, second, 1).await?;
            write.commit().await
        };
        self.run(add).await
    }

    async fn put(&self, id: i64, n: i64) -> Result<(), RepoError> {
        let put = || async {
            let mut write = self.write().await?;
            <Self as Server>::add(&mut write, id, n).await?;
            write.commit().await
        };
        self.run(put).await
    }

    async fn put_alone(&self, id: i64, n: i64) -> Result<(), RepoError> {
        let put = || async {
            let put = sqlx::query("INSERT INTO t VALUES (?, ?)").bind(id).bind(n);
            put.execute(self.pool()).await.map(drop).map_err(classify)
        };
        self.run(put).await
    }

    async fn begin_only(&self) -> Result<(), RepoError> {
        self.run(|| async { self.write().await.map(drop) }).await
    }
}

crate::server_cases!(Mysql);

/// What follows a statement that is closed waits 40 ms; see [`kennel_storage::mysql::Bulk`].
#[tokio::test]
async fn batches_of_any_length_close_no_statement() {
    let Some(home) = TestDatabase::mysql().await else { return };
    let one = StorageConfig { database_max_connections: NonZeroU32::MIN, ..StorageConfig::mysql(home.dsn()) };
    let database = Mysql::open(&one).await.unwrap();
    database.migrator(Mysql::STEPS).up(now()).await.unwrap();
    let inbox = MysqlInbox::new(database.clone());
    let mut number = 0;
    for length in (1..100).chain([500, 1_000]) {
        let events: Vec<Event> = (number..number + length).map(|number| event(number, "k")).collect();
        number += length;
        commit_events(&database, &events).await;
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let receipt = |&event| Receipt { group: "g".to_owned(), event, at: now() };
        let receipts: Vec<_> = ids.iter().map(receipt).collect();
        assert_eq!(inbox.record_all(&receipts).await.unwrap().len(), ids.len());
        assert_eq!(inbox.list_seen("g", &ids).await.unwrap().len(), ids.len());
        let started = inbox.count_attempts("g", &ids, now()).await.unwrap();
        assert!(started.len() == ids.len() && started.values().all(|&attempts| attempts == 1), "{started:?}");
        assert_eq!(inbox.list_attempts("g", &ids).await.unwrap(), started);
        let outbox = database.outbox();
        outbox.mark_published(&ids, now()).await.unwrap();
        let published = outbox.history(Some(ids[0]), 2_000).await.unwrap();
        assert_eq!(published, History::Events(events[1..].to_vec()), "in the order in which they were marked");
    }
    let closed = sqlx::query_as("SHOW SESSION STATUS LIKE 'Com_stmt_close'").fetch_one(database.pool());
    let (_, closed): (String, String) = closed.await.unwrap();
    assert_eq!(closed, "0");
}
