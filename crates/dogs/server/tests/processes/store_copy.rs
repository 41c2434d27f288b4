//! Copies one store to another while the service is in use.

use std::any::Any;
use std::collections::BTreeMap;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, DogId, Revision};
use dogs_storages::Stores;
use kennel_core::{BackendKind as _, Clock as _, Order, SystemClock};
use kennel_storage::{Storage, StorageConfig};
use kennel_testkit::{FaultProxy, Mode, ServiceProcess, TestClickHouse, TestDatabase};
use serde_json::json;

use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::TEST_TIMEOUT;

/// Dogs per page of a scan.
const PAGE: usize = dogs_store_copy::PAGE as usize;

/// A service directory with an empty database in every store.
struct StoreSet {
    directory: ServiceDir,
    config: StorageConfig,
    _databases: Vec<Box<dyn Any + Send>>,
}

impl StoreSet {
    /// `None`, with a message, when a server is missing.
    async fn new() -> Option<Self> {
        let (postgres, mysql) = (TestDatabase::postgres().await?, TestDatabase::mysql().await?);
        let clickhouse = TestClickHouse::create()?;
        let directory = ServiceDir::new()
            .set("POSTGRES_DSN", &postgres.dsn())
            .set("MYSQL_DSN", &mysql.dsn())
            .set("CLICKHOUSE_DSN", &clickhouse.dsn());
        let config = StorageConfig {
            postgres_dsn: Some(postgres.dsn().into()),
            mysql_dsn: Some(mysql.dsn().into()),
            clickhouse_dsn: Some(clickhouse.dsn().into()),
            ..StorageConfig::sqlite(directory.path().join("data/dogs.db"))
        };
        Some(Self { directory, config, _databases: vec![Box::new(postgres), Box::new(mysql), Box::new(clickhouse)] })
    }

    fn with_storage(mut self, storage: Storage) -> Self {
        self.directory = self.directory.set("STORAGE", storage.name());
        self
    }

    /// Opens the store, without the service.
    async fn open(&self, storage: Storage) -> Stores {
        dogs_storages::open(&self.config.of(storage), &prometheus::Registry::new()).await.unwrap()
    }

    async fn all(&self, storage: Storage) -> Vec<Dog> {
        let stores = self.open(storage).await;
        let query = DogQuery { breed: None, after: None, order: Order::Ascending, limit: 1_000_000 };
        let dogs = stores.dogs.list(&query).await.unwrap();
        stores.database.close().await;
        dogs
    }

    fn copy(&self, from: Storage, to: Storage, options: &[&str]) -> ServiceProcess {
        let args = ["storage", "copy", "--from", from.name(), "--to", to.name()];
        self.directory.start(&[&args, options].concat())
    }

    async fn copied(&self, from: Storage, to: Storage, options: &[&str], code: i32) -> String {
        let mut copy = self.copy(from, to, options);
        let ended = copy.wait(TEST_TIMEOUT * 4).await;
        assert_eq!(ended.code(), Some(code), "{}", copy.output());
        copy.output()
    }

    async fn diff(&self, from: Storage, to: Storage, options: &[&str], code: i32) -> String {
        let args = ["storage", "diff", "--from", from.name(), "--to", to.name()];
        self.directory.run(&[&args, options].concat()).await.ends(code).stdout
    }
}

/// Waits until the process has written `text`.
async fn wait_for_output(process: &ServiceProcess, text: &str) {
    eventually(&format!("it writes `{text}`"), async || process.output().contains(text).then_some(())).await;
}

async fn stop(mut copy: ServiceProcess) -> String {
    copy.terminate();
    let ended = copy.wait(TEST_TIMEOUT).await;
    assert_eq!(ended.code(), Some(0), "{}", copy.output());
    copy.output()
}

fn rows(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("{{\"breed\":\"husky\",\"name\":\"dog {n}\"}}\n")).collect::<Vec<_>>().concat()
}

/// Creates, updates and deletes dogs, and remembers the expected names.
#[derive(Default)]
struct Writer {
    writes: usize,
    names: BTreeMap<String, Option<String>>,
}

impl Writer {
    async fn write(&mut self, served: &RunningService) {
        self.writes += 1;
        let id = served.dog(&format!("created {}", self.writes)).await;
        self.names.insert(id, Some(format!("created {}", self.writes)));
        let ids: Vec<_> = self.names.keys().cloned().collect();
        if self.writes.is_multiple_of(2) {
            let (id, name) = (&ids[self.writes % ids.len()], format!("updated {}", self.writes));
            let change = served.request("PATCH", &format!("/api/v1/dogs/{id}")).json(&json!({ "name": name }));
            assert_eq!(change.send().await.unwrap().status(), 200);
            self.names.insert(id.clone(), Some(name));
        }
        if self.writes.is_multiple_of(5) {
            let id = &ids[self.writes * 7 % ids.len()];
            let removal = served.request("DELETE", &format!("/api/v1/dogs/{id}")).send().await.unwrap();
            assert_eq!(removal.status(), 204);
            self.names.remove(id);
        }
        if self.writes.is_multiple_of(20) {
            self.import(served).await;
        }
    }

    /// Imports dogs, which their events do not name, with ids of the past.
    async fn import(&mut self, served: &RunningService) {
        let ids: Vec<_> = (0..3).map(|n| format!("00000000-0000-7000-8000-{:012x}", self.writes * 10 + n)).collect();
        let row = |id: &String| format!("{}\n", json!({ "id": id, "breed": "pug", "name": "imported" }));
        let body: String = ids.iter().map(row).collect();
        let import = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
        let import = import.header("idempotency-key", format!("import {}", self.writes).replace(' ', "-")).body(body);
        assert_eq!(import.send().await.unwrap().status(), 200);
        self.names.extend(ids.into_iter().map(|id| (id, Some("imported".to_owned()))));
    }

    fn assert_matches(&self, dogs: &[Dog]) {
        let found: BTreeMap<_, _> = dogs.iter().map(|dog| (dog.id.to_string(), dog.name.clone())).collect();
        assert_eq!(found, self.names);
    }
}

/// Copies while the service writes, and compares the copy.
async fn copy_while_writing(stores: StoreSet, writer: &mut Writer, from: Storage, to: Storage) -> StoreSet {
    let stores = stores.with_storage(from);
    let served = stores.directory.serve().await;
    for _ in 0..10 {
        writer.write(&served).await;
    }
    let copy = stores.copy(from, to, &["--follow"]);
    let following = format!("following {}", from.name());
    while !copy.output().contains(&following) {
        writer.write(&served).await;
        assert!(writer.writes < 10_000, "it does not start to follow: {}", copy.output());
    }
    for _ in 0..25 {
        writer.write(&served).await;
    }
    served.stop().await;
    let output = stop(copy).await;
    assert!(output.contains("verified: "), "{output}");
    let diff = stores.diff(from, to, &[], 0).await;
    assert!(diff.ends_with("no differences\n"), "{diff}");
    let dogs = stores.all(to).await;
    writer.assert_matches(&dogs);
    assert_eq!(dogs, stores.all(from).await);
    stores
}

#[tokio::test]
async fn stores_are_copied_while_dogs_are_written() {
    let Some(mut stores) = StoreSet::new().await else { return };
    let mut writer = Writer::default();
    let (sqlite, postgres) = (Storage::Sqlite, Storage::Postgres);
    let (mysql, clickhouse) = (Storage::Mysql, Storage::Clickhouse);
    for (from, to) in [(sqlite, postgres), (postgres, clickhouse), (clickhouse, mysql)] {
        stores = copy_while_writing(stores, &mut writer, from, to).await;
    }
    // Back to SQLite, to another file than the first one.
    stores.directory = stores.directory.set("SQLITE_PATH", "data/copy.db");
    stores.config.sqlite_path = Some(stores.directory.path().join("data/copy.db"));
    copy_while_writing(stores, &mut writer, mysql, sqlite).await;
}

/// The checkpoint of the copy of SQLite in this store.
async fn checkpoint(stores: &Stores) -> Option<dogs_domain::replica::Checkpoint> {
    // Before the copy has migrated the schema, reading it fails.
    stores.replica.checkpoint("sqlite").await.ok().flatten()
}

async fn killed_and_resumed(to: Storage) {
    let Some(stores) = StoreSet::new().await else { return };
    let count = 4 * PAGE + 7;
    stores.directory.run_with_input(&["import", "-", "--key", "k"], rows(0..count).as_bytes()).await.ends(0);
    let served = stores.directory.serve().await;
    // The copy resumes after a published event.
    served.anchor().await;
    let target = stores.open(to).await;
    let mut copy = stores.copy(Storage::Sqlite, to, &[]);
    let reached = eventually("the copy has started", async || checkpoint(&target).await?.after).await;
    copy.kill();
    copy.wait(TEST_TIMEOUT).await;
    let interrupted = checkpoint(&target).await.unwrap();
    assert!(
        interrupted.scanning && interrupted.after >= Some(reached),
        "it was killed during the scan: {interrupted:?}"
    );

    // Change dogs that were already copied, while no copy runs.
    let all = stores.all(Storage::Sqlite).await;
    for (dog, method) in
        [(&all[0], "DELETE"), (&all[1], "PATCH"), (&all[PAGE - 1], "PATCH"), (&all[PAGE - 2], "DELETE")]
    {
        let change = served.request(method, &format!("/api/v1/dogs/{}", dog.id));
        let change = if method == "PATCH" { change.json(&json!({ "name": "changed" })) } else { change };
        assert!(change.send().await.unwrap().status().is_success());
    }
    let output = stores.copied(Storage::Sqlite, to, &[], 0).await;
    assert!(output.contains("resuming an earlier run"), "{output}");
    let line = output.lines().find(|line| line.contains(" dogs scanned, ")).unwrap();
    let scanned: usize = line.split(' ').next().unwrap().parse().unwrap();
    assert!(scanned <= count + 1 - PAGE, "it started again: {output}");
    assert!(output.contains(&format!("verified: {} dogs, ", count + 1 - 2)), "{output}");
    assert_eq!(stores.all(to).await, stores.all(Storage::Sqlite).await);
    target.database.close().await;
    served.stop().await;
}

#[tokio::test]
async fn a_killed_copy_resumes_in_postgres() {
    killed_and_resumed(Storage::Postgres).await;
}

#[tokio::test]
async fn a_killed_copy_resumes_in_mysql() {
    killed_and_resumed(Storage::Mysql).await;
}

#[tokio::test]
async fn a_killed_copy_resumes_in_clickhouse() {
    killed_and_resumed(Storage::Clickhouse).await;
}

#[tokio::test]
async fn differences_are_listed_by_field_and_fail_the_verification() {
    let Some(stores) = StoreSet::new().await else { return };
    let served = stores.directory.serve().await;
    served.anchor().await;
    for n in 0..5 {
        served.dog(&format!("dog {n}")).await;
    }
    stores.copied(Storage::Sqlite, Storage::Postgres, &[], 0).await;
    let dogs = stores.all(Storage::Postgres).await;
    let extra = Dog { id: DogId("00000000-0000-7000-8000-000000000001".parse().unwrap()), ..dogs[0].clone() };
    let changed = Dog { name: Some("Rex\n\u{1b}[31m".to_owned()), revision: Revision(2), ..dogs[2].clone() };
    let target = stores.open(Storage::Postgres).await;
    target.dogs.insert(&extra, &[], None).await.unwrap();
    assert!(target.dogs.delete(dogs[1].id, dogs[1].revision, &[]).await.unwrap());
    assert!(target.dogs.update(&changed, dogs[2].revision, &[]).await.unwrap());
    target.database.close().await;

    let diff = stores.diff(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    let lines: Vec<_> = diff.lines().collect();
    assert_eq!(lines[0], format!("{}  missing at sqlite", extra.id));
    assert_eq!(lines[1], format!("{}  missing at postgres", dogs[1].id));
    let name = r#"name "dog 1" at sqlite, "Rex\n\u001b[31m" at postgres"#;
    assert_eq!(lines[2], format!("{}  differs: {name}; revision 1 at sqlite, 2 at postgres", changed.id));
    assert!(lines[3].starts_with("sqlite: 6 dogs, sha256 ") && lines[4].starts_with("postgres: 6 dogs, sha256 "));
    assert_eq!(lines[5..], ["1 missing at postgres, 1 missing at sqlite, 1 differ"]);
    let short = stores.diff(Storage::Sqlite, Storage::Postgres, &["--limit", "1"], 1).await;
    assert_eq!(short.lines().collect::<Vec<_>>(), [&lines[..1], &lines[3..]].concat());
    let back = stores.diff(Storage::Postgres, Storage::Sqlite, &["--limit", "0"], 1).await;
    assert!(back.ends_with("1 missing at sqlite, 1 missing at postgres, 1 differ\n"), "{back}");

    // No event reports these changes, so only the verification finds them.
    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(
        output.contains("3 dogs differ") && output.contains("storage diff --from sqlite --to postgres"),
        "{output}"
    );
    served.stop().await;
}

#[tokio::test]
async fn all_dogs_are_compared_when_events_were_purged() {
    let Some(stores) = StoreSet::new().await else { return };
    let served = stores.directory.serve().await;
    let (deleted, changed) = (served.dog("deleted").await, served.dog("changed").await);
    let mut events = served.events(None).await;
    served.dog("marker").await;
    events.expect("dogs.created").await;
    stores.copied(Storage::Sqlite, Storage::Mysql, &[], 0).await;
    served.request("DELETE", &format!("/api/v1/dogs/{deleted}")).send().await.unwrap();
    let change = served.request("PATCH", &format!("/api/v1/dogs/{changed}")).json(&json!({ "name": "Rex" }));
    change.send().await.unwrap();
    served.stop().await;

    let source = stores.open(Storage::Sqlite).await;
    source.database.outbox.purge(SystemClock.now(), u32::MAX).await.unwrap();
    source.database.close().await;
    let output = stores.copied(Storage::Sqlite, Storage::Mysql, &[], 0).await;
    assert!(output.contains("sqlite purged events that were not applied yet"), "{output}");
    assert_eq!(stores.all(Storage::Mysql).await, stores.all(Storage::Sqlite).await);
}

#[tokio::test]
async fn a_dog_that_is_created_again_with_its_id_is_copied() {
    let Some(stores) = StoreSet::new().await else { return };
    let served = stores.directory.serve().await;
    let id = served.dog("first").await;
    for name in ["second", "third"] {
        let change = served.request("PATCH", &format!("/api/v1/dogs/{id}")).json(&json!({ "name": name }));
        assert_eq!(change.send().await.unwrap().status(), 200);
    }
    let copy = stores.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wait_for_output(&copy, "following sqlite").await;
    served.request("DELETE", &format!("/api/v1/dogs/{id}")).send().await.unwrap();
    let row = json!({ "id": id, "breed": "pug", "name": "again" }).to_string();
    stores.directory.run_with_input(&["import", "-", "--key", &id], row.as_bytes()).await.ends(0);
    served.stop().await;
    let output = stop(copy).await;
    assert!(output.contains("comparing all dogs again"), "{output}");
    let dogs = stores.all(Storage::Postgres).await;
    assert_eq!((dogs.len(), dogs[0].name.as_deref(), dogs[0].revision), (1, Some("again"), Revision(1)));
}

#[tokio::test]
async fn changes_with_pending_events_are_applied() {
    let Some(stores) = StoreSet::new().await else { return };
    let served = stores.directory.serve_without_relay().await;
    served.dog("before").await;
    let copy = stores.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wait_for_output(&copy, "following sqlite").await;
    for name in ["one", "two"] {
        served.dog(name).await;
    }
    let target = stores.open(Storage::Postgres).await;
    eventually("the changes arrive", async || {
        let counts = target.dogs.count_by_breed().await.unwrap();
        (counts.iter().map(|count| count.dogs).sum::<u64>() == 3).then_some(())
    })
    .await;
    target.database.close().await;
    served.stop().await;
    assert!(stop(copy).await.contains("verified: 3 dogs"));
}

#[tokio::test]
async fn an_unavailable_store_is_retried() {
    let Some(stores) = StoreSet::new().await else { return };
    let Some(database) = TestDatabase::postgres().await else { return };
    let proxy = FaultProxy::new(database.server()).await;
    let stores =
        StoreSet { directory: stores.directory.set("POSTGRES_DSN", &database.dsn_by(proxy.address())), ..stores };
    let served = stores.directory.serve().await;
    served.anchor().await;
    let copy = stores.copy(Storage::Sqlite, Storage::Postgres, &["--follow"]);
    wait_for_output(&copy, "following sqlite").await;
    proxy.set(Mode::Drop);
    served.dog("during the outage").await;
    wait_for_output(&copy, "store is unavailable, retrying").await;
    proxy.set(Mode::Pass);
    served.stop().await;
    assert!(stop(copy).await.contains("verified: 2 dogs"));
}

#[tokio::test]
async fn a_target_with_dogs_is_only_replaced_with_overwrite() {
    let Some(stores) = StoreSet::new().await else { return };
    let stores = stores.with_storage(Storage::Postgres);
    stores.directory.run(&["migrate", "up"]).await.ends(0);
    let target = stores.open(Storage::Postgres).await;
    let served = stores.directory.serve_without_relay().await;
    let own = served.dog("own").await;
    served.stop().await;
    let stores = stores.with_storage(Storage::Sqlite);
    stores.directory.run_with_input(&["import", "-", "--key", "k"], rows(0..3).as_bytes()).await.ends(0);

    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(output.contains("a service writes to the store `postgres`"), "{output}");
    let pending = target.database.outbox.pending(10).await.unwrap();
    let ids: Vec<_> = pending.iter().map(|event| event.id).collect();
    target.database.outbox.mark_published(&ids, SystemClock.now()).await.unwrap();
    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(output.contains("a service writes to the store `postgres`"), "{output}");
    target.database.outbox.purge(SystemClock.now().saturating_add(TEST_TIMEOUT), u32::MAX).await.unwrap();
    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(output.contains("the store `postgres` already has dogs"), "{output}");
    assert_eq!(stores.all(Storage::Postgres).await[0].id.to_string(), own);

    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &["--overwrite"], 0).await;
    assert!(
        !output.contains("comparing all dogs again"),
        "the event of the import was pending before the scan, which read its dogs: {output}"
    );
    assert_eq!(stores.all(Storage::Postgres).await, stores.all(Storage::Sqlite).await);
    target.database.close().await;
}

#[tokio::test]
async fn invalid_pairs_of_stores_are_reported() {
    let directory = ServiceDir::new().set("POSTGRES_DSN", "postgres://kennel:hunter2@127.0.0.1:1/dogs");
    for command in ["copy", "diff"] {
        let error = async |from: &str, to: &str, code: i32| {
            let ended = directory.run(&["storage", command, "--from", from, "--to", to]).await.ends(code);
            assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
            ended.stderr
        };
        assert!(error("sqlite", "sqlite", 64).await.contains("--from and --to name the same store, `sqlite`"));
        assert!(error("sqlite", "oracle", 64).await.contains("there is no store `oracle`; this build has sqlite"));
        let missing = error("mysql", "clickhouse", 64).await;
        assert_eq!(
            missing,
            "MYSQL_DSN (not set): must be set when the store is mysql\n\
             CLICKHOUSE_DSN (not set): must be set when the store is clickhouse\n"
        );
        directory.run(&["migrate", "up"]).await.ends(0);
        let unreachable = error("sqlite", "postgres", 1).await;
        assert!(unreachable.starts_with("error: the store `postgres` does not open: "), "{unreachable}");
    }
}

#[tokio::test]
async fn an_old_schema_is_only_migrated_if_configured() {
    let Some(stores) = StoreSet::new().await else { return };
    stores.directory.run(&["migrate", "up"]).await.ends(0);
    let stores = StoreSet { directory: stores.directory.set("MIGRATE_ON_START", "false"), ..stores };
    let output = stores.copied(Storage::Sqlite, Storage::Postgres, &[], 1).await;
    assert!(output.contains("the store `postgres`: migration `0001_events` is missing"), "{output}");
    let stores = StoreSet { directory: stores.directory.set("MIGRATE_ON_START", "true"), ..stores };
    assert!(stores.copied(Storage::Sqlite, Storage::Postgres, &[], 0).await.contains("verified: 0 dogs"));
}
