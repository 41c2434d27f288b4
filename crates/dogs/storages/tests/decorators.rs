//! The decorators: spans, metrics and the cache.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogs_domain::ports::ImportBatch;
use dogs_domain::{Dog, DogImports, DogRepository, Revision};
use dogs_storages::{CachedDogImports, CachedDogRepository, Stores};
use futures_util::future::join_all;
use kennel_cache::{CacheMetrics, Connected, Policy, TypedCache};
use kennel_core::RepoError;
use kennel_storage::StorageConfig;
use prometheus::{Registry, TextEncoder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

use support::{at, dog, event};

async fn open(folder: &tempfile::TempDir, registry: &Registry) -> Stores {
    let config = StorageConfig::sqlite(folder.path().join("dogs.db"));
    let stores = dogs_storages::open(&config, registry).await.unwrap();
    stores.database.migrator.up(at()).await.unwrap();
    stores
}

fn cached(stores: &Stores, registry: &Registry) -> CachedDogRepository {
    let metrics = CacheMetrics::register(registry).unwrap();
    let policy = Policy::new("dogs.by_id", Duration::from_mins(10));
    CachedDogRepository::new(Arc::clone(&stores.dogs), TypedCache::new(&Connected::memory(1 << 20), policy, &metrics))
}

/// The number of `find` calls that reached the store.
fn finds(registry: &Registry) -> u64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let name = r#"database_query_duration_seconds_count{backend="sqlite",operation="dogs.find",outcome="ok"} "#;
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_dog_is_looked_up_once() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    let dogs = cached(&stores, &registry);
    dogs.insert(&dog(1), &[], None).await.unwrap();
    for _ in 0..3 {
        assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
        assert_eq!(dogs.find(dog(2).id).await.unwrap(), None, "an absence is cached too");
    }
    assert_eq!(finds(&registry), 2);
}

#[tokio::test]
async fn every_change_invalidates_the_dog() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    let dogs = Arc::new(cached(&stores, &registry));
    dogs.insert(&dog(1), &[], None).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
    let changed = Dog { revision: Revision(2), name: Some("Ada".to_owned()), ..dog(1) };
    dogs.update(&changed, Revision(1), &[]).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(changed));
    dogs.delete(dog(1).id, Revision(2), &[]).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), None);
    let batch = ImportBatch { import: "i".to_owned(), dogs: vec![dog(1)], lines: 1, digest: [1; 32], at: at() };
    let imports = CachedDogImports::new(Arc::clone(&stores.imports), Arc::clone(&dogs));
    imports.import(&batch, &|_| Ok(event(1))).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
}

#[tokio::test]
async fn a_write_elsewhere_is_seen_after_an_invalidation() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    let dogs = cached(&stores, &registry);
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), None);
    stores.dogs.insert(&dog(1), &[], None).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), None, "it is cached");
    dogs.invalidate(dog(1).id).await;
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), Some(dog(1)));
}

#[tokio::test]
async fn failures_are_not_cached() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    let dogs = cached(&stores, &registry);
    dogs.insert(&dog(1), &[], None).await.unwrap();
    let steps = stores.database.migrator.status().await.unwrap().len();
    stores.database.migrator.down(u32::try_from(steps).unwrap()).await.unwrap();
    assert!(dogs.find(dog(1).id).await.is_err());
    stores.database.migrator.up(at()).await.unwrap();
    assert_eq!(dogs.find(dog(1).id).await.unwrap(), None);
}

#[tokio::test]
async fn concurrent_finds_share_queries_and_each_has_its_own_dog() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    for number in 1..=30 {
        stores.dogs.insert(&dog(number), &[], None).await.unwrap();
    }
    let find = async |number| stores.dogs.find(dog(number).id).await.unwrap();
    let found = join_all((1..=40).map(find)).await;
    assert_eq!(found, (1..=40).map(|number| (number <= 30).then(|| dog(number))).collect::<Vec<_>>());
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let name = r#"database_batch_size_count{backend="sqlite",operation="dogs.find"} "#;
    let batches = text.lines().find_map(|line| line.strip_prefix(name)).map(|count| count.parse::<u32>().unwrap());
    assert!(batches.is_some_and(|batches| batches < 10), "{batches:?} batches");
}

/// Records the name and fields of each span.
#[derive(Clone, Default)]
struct SpanRecorder(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for SpanRecorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("dogs_storages")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Fields(&mut text));
        let mut spans = self.0.lock().unwrap();
        spans.push(text);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Fields(&mut self.0.lock().unwrap()[index]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn calls_have_spans_and_metrics() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
    let stores = open(&folder, &registry).await;
    let spans = SpanRecorder::default();
    let _guard = kennel_testkit::spans::subscribe(spans.clone());
    stores.dogs.insert(&dog(1), &[], None).await.unwrap();
    assert!(matches!(stores.dogs.insert(&dog(1), &[], None).await, Err(RepoError::Conflict)));
    stores.dogs.count_by_breed().await.unwrap();
    let id = dog(1).id;
    let insert = format!(
        "db.dogs.insert otel.kind=\"client\" db.system.name=\"sqlite\" db.collection.name=\"dogs\" \
         db.operation.name=\"insert\" dog.id={id}"
    );
    let failed = format!("{insert} otel.status_code=\"ERROR\" error.type=\"conflict\"");
    let count = "db.dogs.count_by_breed otel.kind=\"client\" db.system.name=\"sqlite\" db.collection.name=\"dogs\" \
                 db.operation.name=\"count_by_breed\"";
    assert_eq!(*spans.0.lock().unwrap(), [insert, failed, count.to_owned()]);

    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        r#"database_query_duration_seconds_count{backend="sqlite",operation="dogs.insert",outcome="ok"} 1"#,
        r#"database_query_duration_seconds_count{backend="sqlite",operation="dogs.insert",outcome="error"} 1"#,
        r#"database_errors_total{backend="sqlite",kind="conflict"} 1"#,
        r#"database_connections{backend="sqlite",state="used"} "#,
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
}
