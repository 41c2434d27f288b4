//! Benchmark of the SQLite store. Compare the ratios within one run: absolute times depend on the machine.
//!
//! `cargo bench -p dogs-storages`; `ROWS=1000000` for more than the default 200,000 dogs.

use std::time::{Duration, Instant};

use dogs_domain::ports::{DogQuery, ImportBatch};
use dogs_domain::{Dog, DogId, DogImports, DogRepository, Revision};
use futures_util::future::join_all;
use kennel_core::{Event, IdSource as _, Order, Timestamp, UuidV7};
use kennel_storage::StorageConfig;

const BATCH: usize = 4_000;
const SINGLES: usize = 500;
const PAGE: u32 = 100;

fn dog(n: usize) -> Dog {
    let at = Timestamp::from_millis(1_700_000_000_000).expect("a time of this century");
    Dog {
        id: DogId(UuidV7.next()),
        breed: ["husky", "beagle", "hound-afghan", "pug"][n % 4].parse().expect("a breed"),
        name: Some(format!("dog {n}")),
        image_url: None,
        photo: None,
        revision: Revision::FIRST,
        created_at: at,
        updated_at: at,
    }
}

fn event(key: &str) -> Event {
    Event {
        id: UuidV7.next(),
        name: "dogs.created".to_owned(),
        source: "/bench".to_owned(),
        topic: "dogs.events".to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(1_700_000_000_000).expect("a time of this century"),
        content_type: "application/json".to_owned(),
        data: "{}".into(),
        trace: None,
    }
}

async fn import(dogs: &dyn DogImports, rows: usize) -> Vec<DogId> {
    let at = Timestamp::from_millis(1_700_000_000_000).expect("a time of this century");
    dogs.begin_import("bench", at).await.expect("an import begins");
    let mut ids = Vec::with_capacity(rows);
    for first in (0..rows).step_by(BATCH) {
        let batch: Vec<_> = (first..rows.min(first + BATCH)).map(dog).collect();
        ids.extend(batch.iter().map(|dog| dog.id));
        let lines = ids.len() as u64;
        let batch = ImportBatch { import: "bench".to_owned(), dogs: batch, lines, digest: [0; 32], at };
        dogs.import(&batch, &|_| Ok(event("bench"))).await.expect("a batch is stored");
    }
    ids
}

async fn page(dogs: &dyn DogRepository, after: DogId) -> Duration {
    let query = DogQuery { breed: None, after: Some(after), order: Order::Ascending, limit: PAGE };
    let mut times = Vec::new();
    for _ in 0..51 {
        let started = Instant::now();
        let found = dogs.list(&query).await.expect("a page");
        times.push(started.elapsed());
        assert_eq!(found.len(), PAGE as usize);
    }
    times.sort();
    times[25]
}

fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let count = count as f64;
    count / took.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(200_000);
    let folder = tempfile::tempdir().expect("a folder");
    let config = StorageConfig::sqlite(folder.path().join("bench.db"));
    let stores = dogs_storages::open(&config, &prometheus::Registry::new()).await.expect("a store");
    stores.database.migrator.up(Timestamp::from_millis(0).expect("a time")).await.expect("a schema");
    let dogs = &*stores.dogs;

    let started = Instant::now();
    let ids = import(&*stores.imports, rows).await;
    let imported = per_second(rows, started.elapsed());

    let started = Instant::now();
    for n in 0..SINGLES {
        dogs.insert(&dog(n), &[event("one")], None).await.expect("an insert");
    }
    let alone = per_second(SINGLES, started.elapsed());

    let started = Instant::now();
    for _ in 0..SINGLES / 50 {
        let many: Vec<_> = (0..50).map(dog).collect();
        let inserts = many.iter().map(|dog| async { dogs.insert(dog, &[event("many")], None).await });
        assert!(join_all(inserts).await.iter().all(Result::is_ok));
    }
    let together = per_second(SINGLES, started.elapsed());

    let first = page(dogs, ids[0]).await;
    let last = page(dogs, ids[rows - 2 * PAGE as usize]).await;

    println!("import                     {imported:>10.0} rows/s");
    println!("insert, one at a time      {alone:>10.0} rows/s   import is {:.0} times as fast", imported / alone);
    println!("insert, 50 at a time       {together:>10.0} rows/s   {:.2} times one at a time", together / alone);
    println!("first page of {PAGE}          {:>10.0} us", first.as_secs_f64() * 1e6);
    println!(
        "last page of {PAGE}           {:>10.0} us      {:.2} times the first",
        last.as_secs_f64() * 1e6,
        last.as_secs_f64() / first.as_secs_f64()
    );
}
