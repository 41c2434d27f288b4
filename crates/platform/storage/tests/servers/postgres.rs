//! `PostgreSQL`.

mod pooled;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use kennel_core::{DeadLetterSink, DeadLetters, Event, Outbox, RepoError};
use kennel_storage::postgres::{
    EVENTS, Postgres, PostgresMigrator, PostgresOutbox, Write, bind_events, classify, with_events,
};
use kennel_storage::{Driver, Migration, Migrator, SqlDeadLetters, StorageConfig};
use kennel_testkit::TestDatabase;
use sqlx::SqlStr;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use tokio::time::{sleep, timeout};

use crate::server::{Pause, Server, event, opened};

const LONG: Duration = Duration::from_secs(20);

const TABLE: Migration = Migration {
    version: 2,
    name: "0002_table",
    up: "CREATE TABLE t (id bigint PRIMARY KEY, n bigint NOT NULL)",
    down: "DROP TABLE t",
};

const HALF: Migration = Migration { version: 3, name: "0003_half", up: "CREATE TABLE half (n bigint)", down: "" };

impl Server for Postgres {
    type Write = Write;
    const STEPS: &'static [Migration] = &[EVENTS, TABLE];
    const CHANGED: &'static [Migration] = &[EVENTS, Migration { up: "SELECT 1", ..TABLE }];
    const BROKEN: &'static [Migration] =
        &[EVENTS, TABLE, Migration { up: "CREATE TABLE half (n bigint); CREATE TABLE t (n bigint)", ..HALF }];
    const REPAIRED: &'static [Migration] = &[EVENTS, TABLE, HALF];

    async fn home() -> Option<TestDatabase> {
        TestDatabase::postgres().await
    }

    async fn open(dsn: String, limits: StorageConfig) -> Result<Self, RepoError> {
        Self::open(&StorageConfig { postgres_dsn: Some(dsn.into()), ..limits }).await
    }

    fn database(&self) -> Arc<dyn Driver> {
        Arc::new(self.clone())
    }

    fn migrator(&self, steps: &'static [Migration]) -> Arc<dyn Migrator> {
        Arc::new(PostgresMigrator::new(self.clone(), steps))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(PostgresOutbox::new(self.clone()))
    }

    fn dead_letters(&self) -> (Arc<dyn DeadLetterSink>, Arc<dyn DeadLetters>) {
        let dead_letters = Arc::new(SqlDeadLetters::new(self.clone()));
        (Arc::clone(&dead_letters) as _, dead_letters)
    }

    async fn tables(&self) -> Vec<String> {
        let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename";
        let tables: Vec<(String,)> = sqlx::query_as(sql).fetch_all(self.pool()).await.unwrap();
        tables.into_iter().map(|(name,)| name).collect()
    }

    async fn begin(&self) -> Result<Write, RepoError> {
        self.write().await
    }

    async fn add(write: &mut Write, id: i64, n: i64) -> Result<(), RepoError> {
        let add = "INSERT INTO t AS old VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = old.n + excluded.n";
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
        let get = sqlx::query_as("SELECT n FROM t WHERE id = $1").bind(id);
        let (n,) = get.fetch_one(write.connection()).await.map_err(classify)?;
        Ok(n)
    }

    fn debug_text(&self) -> String {
        format!("{self:?}")
    }

    async fn get(&self, id: i64) -> Result<i64, RepoError> {
        let get = || async {
            let get = sqlx::query_as("SELECT n FROM t WHERE id = $1").bind(id);
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
            let put = sqlx::query("INSERT INTO t VALUES ($1, $2)").bind(id).bind(n);
            put.execute(self.pool()).await.map(drop).map_err(classify)
        };
        self.run(put).await
    }

    async fn begin_only(&self) -> Result<(), RepoError> {
        self.run(|| async { self.write().await.map(drop) }).await
    }
}

fn with_event(change: &SqlStr, id: i64, event: Event) -> Query<'static, sqlx::Postgres, PgArguments> {
    bind_events(sqlx::query(change.clone()).bind(id), &[event])
}

#[tokio::test]
async fn a_change_that_changes_nothing_adds_no_event() {
    let Some(home) = TestDatabase::postgres().await else { return };
    let database: Postgres = opened(&home).await;
    database.put(1, 1).await.unwrap();
    let change = with_events("UPDATE t SET n = n + 1 WHERE id = $1", 1);
    for (id, added) in [(2, 0), (1, 1)] {
        let event = event(u128::try_from(id).unwrap(), "k");
        assert_eq!(database.execute_with_events(with_event(&change, id, event)).await.unwrap(), added);
    }
    assert_eq!(database.get(1).await.unwrap(), 2);
    assert_eq!(database.outbox().pending(9).await.unwrap(), [event(1, "k")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_call_is_cancelled_wakes_those_that_wait_for_events() {
    let Some(home) = TestDatabase::postgres().await else { return };
    opened::<Postgres>(&home).await.close().await;
    // The next statement comes after the cancelled one.
    let one = StorageConfig { database_max_connections: NonZeroU32::MIN, ..StorageConfig::postgres(home.dsn()) };
    let database = Postgres::open(&one).await.unwrap();
    let (outbox, change) = (database.outbox(), with_events("INSERT INTO t VALUES ($1, 1)", 1));
    for polls in 0..40 {
        // Takes the wake-up of an earlier round.
        while timeout(Duration::from_millis(20), outbox.wait(LONG)).await.is_ok() {}
        let event = event(u128::try_from(polls).unwrap(), "k");
        let insert = || async { database.execute_with_events(with_event(&change, polls, event.clone())).await };
        let mut call = Box::pin(database.run(insert));
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
            sleep(Duration::from_micros(20)).await;
        }
        drop(call);
        if outbox.pending(99).await.unwrap().contains(&event) {
            timeout(LONG / 2, outbox.wait(LONG)).await.expect("it is committed, and nobody was woken");
        }
    }
}

crate::server_cases!(Postgres);
