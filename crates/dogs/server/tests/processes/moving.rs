//! Moving from one store to another under a service that is in use.

use std::any::Any;
use std::collections::BTreeMap;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, DogId, Revision};
use dogs_storages::{Storage, StorageConfig, Stores};
use kennel_core::{BackendKind as _, Clock as _, Order, SystemClock};
use kennel_testkit::{FaultProxy, Mode, ServiceProcess, TestClickHouse, TestDatabase};
use serde_json::json;

use crate::home::{Home, Served, eventually};
use crate::support::PATIENCE;

/// Dogs in a step of a walk.
const PAGE: usize = dogs::moving::PAGE as usize;

/// A home with an empty database in every store.
struct Stall {
    home: Home,
    config: StorageConfig,
    _databases: Vec<Box<dyn Any + Send>>,
}

impl Stall {
    /// `None`, said aloud, when a server is not there.
    async fn new() -> Option<Self> {
        let (postgres, mysql) = (TestDatabase::postgres().await?, TestDatabase::mysql().await?);
        let clickhouse = TestClickHouse::make()?;
        let home = Home::new()
            .set("POSTGRES_DSN", &postgres.dsn())
            .set("MYSQL_DSN", &mysql.dsn())
            .set("CLICKHOUSE_DSN", &clickhouse.dsn());
        let config = StorageConfig {
            sqlite: kennel_storage::SqliteConfig::at(home.path().join("data/dogs.db")),
            postgres: kennel_storage::postgres::PostgresConfig::at(postgres.dsn()),
            mysql: kennel_storage::mysql::MysqlConfig::at(mysql.dsn()),
            clickhouse: kennel_storage::clickhouse::ClickHouseConfig::at(clickhouse.dsn()),
            ..StorageConfig::default()
        };
        Some(Self { home, config, _databases: vec![Box::new(postgres), Box::new(mysql), Box::new(clickhouse)] })
    }

    fn storing(mut self, storage: Storage) -> Self {
        self.home = self.home.set("STORAGE", storage.name());
        self
    }

    /// The store, past the service.
    async fn stores(&self, storage: Storage) -> Stores {
        dogs_storages::connect(&StorageConfig { storage, ..self.config.clone() }).await.unwrap()
    }

    async fn all(&self, storage: Storage) -> Vec<Dog> {
        let stores = self.stores(storage).await;
        let query = DogQuery { breed: None, after: None, order: Order::Ascending, limit: 1_000_000 };
        let dogs = stores.dogs.list(&query).await.unwrap();
        stores.close().await;
        dogs
    }

    fn copy(&self, from: Storage, to: Storage, options: &[&str]) -> ServiceProcess {
        let args = ["storage", "copy", "--from", from.name(), "--to", to.name()];
        self.home.start(&[&args, options].concat())
    }

    async fn copied(&self, from: Storage, to: Storage, options: &[&str], code: i32) -> String {
        let mut copy = self.copy(from, to, options);
        let ended = copy.wait(PATIENCE * 4).await;
        assert_eq!(ended.code(), Some(code), "{}", copy.output());
        copy.output()
    }

    async fn diff(&self, from: Storage, to: Storage, options: &[&str], code: i32) -> String {
        let args = ["storage", "diff", "--from", from.name(), "--to", to.name()];
        self.home.run(&[&args, options].concat()).await.ends(code).stdout
    }
}

/// Waits until the process has written `text` so many times.
async fn wrote(process: &ServiceProcess, text: &str) {
    eventually(&format!("it says `{text}`"), async || process.output().contains(text).then_some(())).await;
}

async fn stop(mut copy: ServiceProcess) -> String {
    copy.terminate();
    let ended = copy.wait(PATIENCE).await;
    assert_eq!(ended.code(), Some(0), "{}", copy.output());
    copy.output()
}

fn rows(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("{{\"breed\":\"husky\",\"name\":\"dog {n}\"}}\n")).collect::<Vec<_>>().concat()
}

/// One who makes, changes and removes dogs, and knows what has to be there.
#[derive(Default)]
struct Writer {
    turn: usize,
    names: BTreeMap<String, Option<String>>,
}

impl Writer {
    async fn write(&mut self, served: &Served) {
        self.turn += 1;
        let id = served.dog(&format!("made {}", self.turn)).await;
        self.names.insert(id, Some(format!("made {}", self.turn)));
        let some: Vec<_> = self.names.keys().cloned().collect();
        if self.turn.is_multiple_of(2) {
            let (id, name) = (&some[self.turn % some.len()], format!("changed {}", self.turn));
            let change = served.request("PATCH", &format!("/api/v1/dogs/{id}")).json(&json!({ "name": name }));
            assert_eq!(change.send().await.unwrap().status(), 200);
            self.names.insert(id.clone(), Some(name));
        }
        if self.turn.is_multiple_of(5) {
            let id = &some[self.turn * 7 % some.len()];
            let removal = served.request("DELETE", &format!("/api/v1/dogs/{id}")).send().await.unwrap();
            assert_eq!(removal.status(), 204);
            self.names.remove(id);
        }
        if self.turn.is_multiple_of(20) {
            self.import(served).await;
        }
    }

    /// Imports dogs whose events do not name them, some with ids of long ago.
    async fn import(&mut self, served: &Served) {
        let ids: Vec<_> = (0..3).map(|n| format!("00000000-0000-7000-8000-{:012x}", self.turn * 10 + n)).collect();
        let row = |id: &String| format!("{}\n", json!({ "id": id, "breed": "pug", "name": "imported" }));
        let body: String = ids.iter().map(row).collect();
        let import = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
        let import = import.header("idempotency-key", format!("import {}", self.turn).replace(' ', "-")).body(body);
        assert_eq!(import.send().await.unwrap().status(), 200);
        self.names.extend(ids.into_iter().map(|id| (id, Some("imported".to_owned()))));
    }

    fn knows(&self, dogs: &[Dog]) {
        let there: BTreeMap<_, _> = dogs.iter().map(|dog| (dog.id.to_string(), dog.name.clone())).collect();
        assert_eq!(there, self.names);
    }
}

/// Copies while the service writes, and has the service go on with the copy.
async fn hop(stall: Stall, writer: &mut Writer, from: Storage, to: Storage) -> Stall {
    let stall = stall.storing(from);
    let served = stall.home.serve().await;
    for _ in 0..10 {
        writer.write(&served).await;
    }
    let copy = stall.copy(from, to, &["--follow"]);
    let following = format!("following {}", from.name());
    while !copy.output().contains(&following) {
        writer.write(&served).await;
        assert!(writer.turn < 10_000, "it does not come to follow: {}", copy.output());
    }
    for _ in 0..25 {
        writer.write(&served).await;
    }
    served.stop().await;
    let said = stop(copy).await;
    assert!(said.contains("verified: "), "{said}");
    let told = stall.diff(from, to, &[], 0).await;
    assert!(told.ends_with("no differences\n"), "{told}");
    let dogs = stall.all(to).await;
    writer.knows(&dogs);
    assert_eq!(dogs, stall.all(from).await);
    stall
}

#[tokio::test]
async fn dogs_move_from_store_to_store_while_they_are_written() {
    let Some(mut stall) = Stall::new().await else { return };
    let mut writer = Writer::default();
    let (sqlite, postgres) = (Storage::Sqlite, Storage::Postgres);
    let (mysql, clickhouse) = (Storage::Mysql, Storage::Clickhouse);
    for (from, to) in [(sqlite, postgres), (postgres, clickhouse), (clickhouse, mysql)] {
        stall = hop(stall, &mut writer, from, to).await;
    }
    // Home again, to another file than the one it began with.
    stall.home = stall.home.set("SQLITE_PATH", "data/home.db");
    stall.config.sqlite = kennel_storage::SqliteConfig::at(stall.home.path().join("data/home.db"));
    hop(stall, &mut writer, mysql, sqlite).await;
}

/// What the copy of SQLite in this store says of how far it is.
async fn checkpoint(stores: &Stores) -> Option<dogs_domain::replica::Checkpoint> {
    // Before the copy has brought the schema up, there is none.
    stores.replica.checkpoint("sqlite").await.ok().flatten()
}

async fn killed_and_resumed(to: Storage) {
    let Some(stall) = Stall::new().await else { return };
    let count = 4 * PAGE + 7;
    stall.home.run_with_input(&["import", "-", "--key", "k"], rows(0..count).as_bytes()).await.ends(0);
    let served = stall.home.serve().await;
    // The copy goes on behind an event that was published.
    served.anchor().await;
    let target = stall.stores(to).await;
    let mut copy = stall.copy(Storage::Sqlite, to, &[]);
    let reached = eventually("the copy is on its way", async || checkpoint(&target).await?.after).await;
    copy.kill();
    copy.wait(PATIENCE).await;
    let left = checkpoint(&target).await.unwrap();
    assert!(left.scanning && left.after >= Some(reached), "it was killed in the middle: {left:?}");

    // What was copied already changes behind the back of the copy.
    let all = stall.all(Storage::Sqlite).await;
    for (dog, method) in
        [(&all[0], "DELETE"), (&all[1], "PATCH"), (&all[PAGE - 1], "PATCH"), (&all[PAGE - 2], "DELETE")]
    {
        let change = served.request(method, &format!("/api/v1/dogs/{}", dog.id));
        let change = if method == "PATCH" { change.json(&json!({ "name": "changed" })) } else { change };
        assert!(change.send().await.unwrap().status().is_success());
    }
    let said = stall.copied(Storage::Sqlite, to, &[], 0).await;
    assert!(said.contains("going on where an earlier run stopped"), "{said}");
    let line = said.lines().find(|line| line.contains(" dogs walked through, ")).unwrap();
    let walked: usize = line.split(' ').next().unwrap().parse().unwrap();
    assert!(walked <= count + 1 - PAGE, "it began anew: {said}");
    assert!(said.contains(&format!("verified: {} dogs, ", count + 1 - 2)), "{said}");
    assert_eq!(stall.all(to).await, stall.all(Storage::Sqlite).await);
    target.close().await;
    served.stop().await;
}

#[tokio::test]
async fn a_killed_copy_goes_on_in_postgres() {
    killed_and_resumed(Storage::Postgres).await;
}

#[tokio::test]
async fn a_killed_copy_goes_on_in_mysql() {
    killed_and_resumed(Storage::Mysql).await;
}

#[tokio::test]
async fn a_killed_copy_goes_on_in_clickhouse() {
    killed_and_resumed(Storage::Clickhouse).await;
}

#[tokio::test]
async fn differences_are_told_field_by_field_and_a_copy_with_them_fails() {
    let Some(stall) = Stall::new().await else { return };
    let served = stall.home.serve().await;
    served.anchor().await;
    for n in 0..5 {
        served.dog(&format!("dog {n}")).await;
    }
    stall.copied(Storage::Sqlite, Storage::Postgres, &[], 0).await;
    let dogs = stall.all(Storage::Postgres).await;
    let extra = Dog { id: DogId("00000000-0000-7000-8000-000000000001".parse().unwrap()), ..dogs[0].clone() };
    let changed = Dog { name: Some("Rex\n\u{1b}[31m".to_owned()), revision: Revision(2), ..dogs[2].clone() };
    let target = stall.stores(Storage::Postgres).await;
    target.dogs.insert(&extra, &[], None).await.unwrap();
    assert!(target.dogs.delete(dogs[1].id, dogs[1].revision, &[]).await.unwrap());
    assert!(target.dogs.update(&changed, dogs[2].revision, &[]).await.unwrap());
    target.close().await;

    let told = stall.diff(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], format!("{}  missing at sqlite", extra.id));
    assert_eq!(lines[1], format!("{}  missing at postgres", dogs[1].id));
    let name = r#"name "dog 1" at sqlite, "Rex\n\u001b[31m" at postgres"#;
    assert_eq!(lines[2], format!("{}  differs: {name}; revision 1 at sqlite, 2 at postgres", changed.id));
    assert!(lines[3].starts_with("sqlite: 6 dogs, sha256 ") && lines[4].starts_with("postgres: 6 dogs, sha256 "));
    assert_eq!(lines[5..], ["1 missing at postgres, 1 missing at sqlite, 1 differ"]);
    let short = stall.diff(Storage::Sqlite, Storage::Postgres, &["--limit", "1"], 1).await;
    assert_eq!(short.lines().collect::<Vec<_>>(), [&lines[..1], &lines[3..]].concat());
    let back = stall.diff(Storage::Postgres, Storage::Sqlite, &["--limit", "0"], 1).await;
    assert!(back.ends_with("1 missing at sqlite, 1 missing at postgres, 1 differ\n"), "{back}");

    // No event tells of it, so the copy does not know; its verification does.
    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(said.contains("3 dogs differ") && said.contains("storage diff --from sqlite --to postgres"), "{said}");
    served.stop().await;
}

#[tokio::test]
async fn events_that_are_forgotten_are_made_up_for_by_comparing_all() {
    let Some(stall) = Stall::new().await else { return };
    let served = stall.home.serve().await;
    let (gone, changed) = (served.dog("gone").await, served.dog("changed").await);
    let mut events = served.events(None).await;
    served.dog("marker").await;
    events.expect("dogs.created").await;
    stall.copied(Storage::Sqlite, Storage::Mysql, &[], 0).await;
    served.request("DELETE", &format!("/api/v1/dogs/{gone}")).send().await.unwrap();
    let change = served.request("PATCH", &format!("/api/v1/dogs/{changed}")).json(&json!({ "name": "Rex" }));
    change.send().await.unwrap();
    served.stop().await;

    let source = stall.stores(Storage::Sqlite).await;
    source.outbox.purge(SystemClock.now(), u32::MAX).await.unwrap();
    source.close().await;
    let said = stall.copied(Storage::Sqlite, Storage::Mysql, &[], 0).await;
    assert!(said.contains("sqlite has forgotten events that were not carried over"), "{said}");
    assert_eq!(stall.all(Storage::Mysql).await, stall.all(Storage::Sqlite).await);
}

#[tokio::test]
async fn a_dog_that_comes_back_under_its_id_is_followed() {
    let Some(stall) = Stall::new().await else { return };
    let served = stall.home.serve().await;
    let id = served.dog("first").await;
    for name in ["second", "third"] {
        let change = served.request("PATCH", &format!("/api/v1/dogs/{id}")).json(&json!({ "name": name }));
        assert_eq!(change.send().await.unwrap().status(), 200);
    }
    let copy = stall.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wrote(&copy, "following sqlite").await;
    served.request("DELETE", &format!("/api/v1/dogs/{id}")).send().await.unwrap();
    let row = json!({ "id": id, "breed": "pug", "name": "back" }).to_string();
    stall.home.run_with_input(&["import", "-", "--key", &id], row.as_bytes()).await.ends(0);
    served.stop().await;
    let said = stop(copy).await;
    assert!(said.contains("comparing all dogs anew"), "{said}");
    let dogs = stall.all(Storage::Postgres).await;
    assert_eq!((dogs.len(), dogs[0].name.as_deref(), dogs[0].revision), (1, Some("back"), Revision(1)));
}

#[tokio::test]
async fn what_waits_to_be_published_is_carried_over_as_well() {
    let Some(stall) = Stall::new().await else { return };
    let served = stall.home.serve_without_relay().await;
    served.dog("before").await;
    let copy = stall.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wrote(&copy, "following sqlite").await;
    for name in ["one", "two"] {
        served.dog(name).await;
    }
    let target = stall.stores(Storage::Postgres).await;
    eventually("the changes arrive", async || {
        let counts = target.dogs.count_by_breed().await.unwrap();
        (counts.iter().map(|count| count.dogs).sum::<u64>() == 3).then_some(())
    })
    .await;
    target.close().await;
    served.stop().await;
    assert!(stop(copy).await.contains("verified: 3 dogs"));
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_is_waited_for() {
    let Some(stall) = Stall::new().await else { return };
    let Some(database) = TestDatabase::postgres().await else { return };
    let proxy = FaultProxy::new(database.server()).await;
    let stall = Stall { home: stall.home.set("POSTGRES_DSN", &database.dsn_by(proxy.address())), ..stall };
    let served = stall.home.serve().await;
    served.anchor().await;
    let copy = stall.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wrote(&copy, "following sqlite").await;
    proxy.set(Mode::Drop);
    served.dog("meanwhile").await;
    wrote(&copy, "store is away").await;
    proxy.set(Mode::Pass);
    served.stop().await;
    assert!(stop(copy).await.contains("verified: 2 dogs"));
}

#[tokio::test]
async fn a_store_with_dogs_of_its_own_is_not_overwritten_unasked() {
    let Some(stall) = Stall::new().await else { return };
    let stall = stall.storing(Storage::Postgres);
    stall.home.run(&["migrate", "up"]).await.ends(0);
    let target = stall.stores(Storage::Postgres).await;
    let served = stall.home.serve_without_relay().await;
    let own = served.dog("own").await;
    served.stop().await;
    let stall = stall.storing(Storage::Sqlite);
    stall.home.run_with_input(&["import", "-", "--key", "k"], rows(0..3).as_bytes()).await.ends(0);

    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(said.contains("a service writes to the store `postgres`"), "{said}");
    let waiting = target.outbox.pending(10).await.unwrap();
    let ids: Vec<_> = waiting.iter().map(|event| event.id).collect();
    target.outbox.mark_published(&ids, SystemClock.now()).await.unwrap();
    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(said.contains("a service writes to the store `postgres`"), "{said}");
    target.outbox.purge(SystemClock.now().saturating_add(PATIENCE), u32::MAX).await.unwrap();
    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(said.contains("the store `postgres` has dogs already"), "{said}");
    assert_eq!(stall.all(Storage::Postgres).await[0].id.to_string(), own);

    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &["--overwrite"], 0).await;
    assert!(!said.contains("anew"), "the import waited before the walk, which came upon its dogs: {said}");
    assert_eq!(stall.all(Storage::Postgres).await, stall.all(Storage::Sqlite).await);
    target.close().await;
}

#[tokio::test]
async fn stores_that_cannot_be_moved_between_are_named() {
    let home = Home::new().set("POSTGRES_DSN", "postgres://kennel:hunter2@127.0.0.1:1/dogs");
    for command in ["copy", "diff"] {
        let told = async |from: &str, to: &str, code: i32| {
            let ended = home.run(&["storage", command, "--from", from, "--to", to]).await.ends(code);
            assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
            ended.stderr
        };
        assert!(told("sqlite", "sqlite", 64).await.contains("--from and --to name the same store, `sqlite`"));
        assert!(told("sqlite", "oracle", 64).await.contains("there is no store `oracle`; this build has sqlite"));
        let missing = told("mysql", "clickhouse", 64).await;
        assert_eq!(missing, "MYSQL_DSN: must be given\nCLICKHOUSE_DSN: must be given\n");
        home.run(&["migrate", "up"]).await.ends(0);
        let away = told("sqlite", "postgres", 1).await;
        assert!(away.starts_with("error: the store `postgres` does not open: "), "{away}");
    }
}

#[tokio::test]
async fn an_old_schema_is_brought_up_only_where_it_may_be() {
    let Some(stall) = Stall::new().await else { return };
    stall.home.run(&["migrate", "up"]).await.ends(0);
    let stall = Stall { home: stall.home.set("MIGRATE_ON_START", "false"), ..stall };
    let said = stall.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(said.contains("the store `postgres`: the schema lacks `0001_events`"), "{said}");
    let stall = Stall { home: stall.home.set("MIGRATE_ON_START", "true"), ..stall };
    assert!(stall.copied(Storage::Sqlite, Storage::Postgres, &[], 0).await.contains("verified: 0 dogs"));
}
