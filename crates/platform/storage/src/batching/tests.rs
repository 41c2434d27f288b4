//! Batches with a fake database.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::{FutureExt as _, poll};
use kennel_core::RepoError;
use prometheus::{Registry, TextEncoder};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tracing::{Instrument as _, Span, info_span};

use super::*;
use crate::DatabaseMetrics;
use crate::metrics::tests::FixedDatabase;

/// Operations with these numbers fail.
const CONFLICT: u64 = 1_000;
const UNAVAILABLE: u64 = 1_001;
const PANIC: u64 = 1_002;
/// An operation that only fits alone.
const LARGE: u64 = 1_003;
const HANGING: u64 = 1_004;

/// Doubles numbers. Each batch waits for a permit of `gate`; without one, the database is busy.
#[derive(Debug, Default)]
struct FakeDatabase {
    batches: Mutex<Vec<Vec<u64>>>,
    running: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Doubling {
    database: Arc<FakeDatabase>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Group for Doubling {
    type Operation = u64;
    type Output = u64;

    async fn execute(&self, operations: &[u64]) -> Result<Vec<Result<u64, RepoError>>, RepoError> {
        self.database.batches.lock().unwrap().push(operations.to_vec());
        self.database.running.fetch_add(1, Ordering::Relaxed);
        self.gate.acquire().await.unwrap().forget();
        self.database.running.fetch_sub(1, Ordering::Relaxed);
        let contains = |number| operations.contains(&number);
        assert!(!contains(PANIC), "the fake database panics");
        if contains(HANGING) {
            pending::<()>().await;
        }
        if contains(UNAVAILABLE) {
            return Err(RepoError::Unavailable("no server".into()));
        }
        if contains(CONFLICT) {
            return Err(RepoError::Conflict);
        }
        let fit = operations.iter().position(|&number| number == LARGE).unwrap_or(operations.len()).max(1);
        Ok(operations[..fit].iter().map(|number| Ok(number * 2)).collect())
    }

    fn span(&self) -> Span {
        info_span!("batch", db.operation.batch.size = tracing::field::Empty)
    }
}

struct Fixture {
    group: GroupCommit<Doubling>,
    database: Arc<FakeDatabase>,
    gate: Arc<Semaphore>,
    registry: Registry,
}

fn limits() -> BatchLimits {
    let (overlap_after, wait) = (Duration::from_millis(3), Duration::from_secs(5));
    BatchLimits { in_flight: 1, overlap_after, reads_alone: 1, batch: 100, queue: 100, wait }
}

fn fixture(limits: BatchLimits) -> Fixture {
    let (database, gate, registry) = (Arc::default(), Arc::new(Semaphore::new(0)), Registry::new());
    let doubling = Doubling { database: Arc::clone(&database), gate: Arc::clone(&gate) };
    let metrics = DatabaseMetrics::register(&registry, Arc::new(FixedDatabase)).unwrap();
    Fixture { group: GroupCommit::new(doubling, limits, metrics.batches("dogs.insert")), database, gate, registry }
}

type Call = Pin<Box<dyn Future<Output = Result<u64, RepoError>> + Send>>;

impl Fixture {
    /// Starts a call, and polls it once.
    async fn start(&self, number: u64) -> Call {
        let group = self.group.clone();
        let mut call: Call = Box::pin(async move { group.run(number).await });
        assert!(poll!(&mut call).is_pending(), "{number} ended early");
        call
    }

    async fn start_all(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<Call> {
        let mut calls = Vec::new();
        for number in numbers {
            calls.push(self.start(number).await);
        }
        calls
    }

    /// Lets this many batches pass.
    fn pass(&self, batches: usize) {
        self.gate.add_permits(batches);
    }

    fn batches(&self) -> Vec<Vec<u64>> {
        self.database.batches.lock().unwrap().clone()
    }
}

/// Lets the tasks of batches run until they wait.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_database_adds_no_wait() {
    let fixture = fixture(limits());
    fixture.pass(3);
    for number in 0..3 {
        // Ready at the first poll: no timer, no other task.
        let result = fixture.group.run(number).now_or_never();
        assert_eq!(result.unwrap().unwrap(), number * 2);
    }
    assert_eq!(fixture.batches(), [[0], [1], [2]]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_arrive_while_the_database_is_busy_share_a_batch_in_their_order() {
    let fixture = fixture(limits());
    let calls = fixture.start_all(0..50).await;
    fixture.pass(2);
    let results: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, (0..50).map(|number| number * 2).collect::<Vec<_>>());
    assert_eq!(fixture.batches(), [vec![0], (1..50).collect()]);
    let text = TextEncoder::new().encode_to_string(&fixture.registry.gather()).unwrap();
    for line in [
        r#"database_batch_size_sum{backend="fixed",operation="dogs.insert"} 50"#,
        r#"database_batch_size_count{backend="fixed",operation="dogs.insert"} 2"#,
        r#"database_batch_queue_seconds_count{backend="fixed",operation="dogs.insert"} 50"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    fixture.pass(1);
    assert!(fixture.group.run(7).now_or_never().is_some(), "it is idle again");
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_and_the_oldest_calls_go_first() {
    let fixture = fixture(BatchLimits { in_flight: 2, batch: 3, ..limits() });
    let calls = fixture.start_all(0..10).await;
    let passing = async {
        for _ in 0..5 {
            settle().await;
            assert!(fixture.database.running.load(Ordering::Relaxed) <= 2);
            fixture.pass(1);
        }
    };
    let (results, ()) = tokio::join!(join_all(calls), passing);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(fixture.batches(), [vec![0], vec![1], vec![2, 3, 4], vec![5, 6, 7], vec![8, 9]]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_rejects_further_calls_at_once() {
    let fixture = fixture(BatchLimits { queue: 2, ..limits() });
    let calls = fixture.start_all(0..3).await;
    let rejected = fixture.group.run(3).now_or_never().unwrap();
    assert!(matches!(rejected, Err(RepoError::Unavailable(_))), "{rejected:?}");
    fixture.pass(2);
    assert!(join_all(calls).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_batch_only_for_a_limited_time() {
    let fixture = fixture(limits());
    let mut calls = fixture.start_all([HANGING, 1]).await;
    fixture.pass(9);
    let waited = calls.pop().unwrap().await;
    assert!(matches!(waited, Err(RepoError::Unavailable(_))), "{waited:?}");
    // A batch that runs is not ended by the limit of the queue.
    drop(calls);
    settle().await;
    assert_eq!(fixture.batches(), [[HANGING]], "a call that waited too long is not executed");
    assert!(fixture.group.run(2).now_or_never().is_some(), "the permit of the cancelled call is free");
}

#[tokio::test(start_paused = true)]
async fn a_slow_batch_is_not_ended_by_the_limit_of_the_queue() {
    let fixture = fixture(limits());
    let calls = fixture.start_all([0, 1, 2]).await;
    fixture.pass(1);
    let (gate, slow) = (Arc::clone(&fixture.gate), limits().wait * 3);
    let passing = async move {
        tokio::time::sleep(slow).await;
        gate.add_permits(1);
    };
    let (results, ()) = tokio::join!(join_all(calls), passing);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_does_not_fail_its_neighbours() {
    let fixture = fixture(limits());
    let calls = fixture.start_all((0..9).chain([CONFLICT]).chain(10..20)).await;
    fixture.pass(100);
    for (number, result) in join_all(calls).await.into_iter().enumerate() {
        match result {
            Err(RepoError::Conflict) => assert_eq!(number, 9),
            result => assert_eq!(result.unwrap(), number as u64 * 2),
        }
    }
    let batches = fixture.batches();
    assert!(batches.len() < 15, "only halves with the failing call are repeated: {batches:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_database_fails_the_batch_without_further_requests() {
    let fixture = fixture(limits());
    let calls = fixture.start_all([0, 1, UNAVAILABLE, 3]).await;
    fixture.pass(100);
    let results = join_all(calls).await;
    assert!(results[0].is_ok());
    assert!(results[1..].iter().all(|result| matches!(result, Err(RepoError::Unavailable(_)))), "{results:?}");
    assert_eq!(fixture.batches().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_every_caller_of_the_batch() {
    let fixture = fixture(limits());
    let calls = fixture.start_all([0, 1, PANIC, 3]).await;
    fixture.pass(100);
    let results = join_all(calls).await;
    assert!(results[0].is_ok());
    assert!(results[1..].iter().all(|result| matches!(result, Err(RepoError::Backend(_)))), "{results:?}");
    assert_eq!(fixture.group.run(4).await.unwrap(), 8, "the permit is free");
}

#[tokio::test(start_paused = true)]
async fn operations_that_do_not_fit_are_executed_next() {
    let fixture = fixture(limits());
    let calls = fixture.start_all([0, 1, LARGE, 3, 4]).await;
    fixture.pass(100);
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(fixture.batches(), [vec![0], vec![1, LARGE, 3, 4], vec![LARGE, 3, 4], vec![3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_leaves_the_queue_and_does_not_end_its_batch() {
    let fixture = fixture(limits());
    let mut calls = fixture.start_all(0..6).await;
    drop(calls.remove(3));
    fixture.pass(1);
    calls.remove(0).await.unwrap();
    settle().await;
    assert_eq!(fixture.batches(), [vec![0], vec![1, 2, 4, 5]]);
    // The batch runs now.
    drop(calls.remove(0));
    fixture.pass(1);
    assert!(join_all(calls).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_that_runs_alone_starts_the_next_batch() {
    let fixture = fixture(limits());
    let mut calls = fixture.start_all(0..3).await;
    drop(calls.remove(0));
    fixture.pass(1);
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(fixture.batches(), [vec![0], vec![1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn writes_overlap_only_while_a_batch_is_slow() {
    let fixture = fixture(BatchLimits { in_flight: 2, ..limits() });
    let mut calls = fixture.start_all(0..4).await;
    fixture.pass(1);
    calls.remove(0).await.unwrap();
    settle().await;
    assert_eq!(fixture.batches(), [vec![0], vec![1]], "one is still running");
    let mut waiting = JoinSet::new();
    waiting.spawn(join_all(calls));
    settle().await;
    tokio::time::sleep(limits().overlap_after * 2).await;
    settle().await;
    assert_eq!(fixture.batches(), [vec![0], vec![1], vec![2, 3]], "it takes long");
    fixture.pass(2);
    assert!(waiting.join_next().await.unwrap().unwrap().iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_call_has_its_own_result() {
    let fixture = fixture(BatchLimits { in_flight: 2, batch: 8, ..limits() });
    fixture.pass(1_000_000);
    let calls = (0..64).map(|caller: u64| {
        let group = fixture.group.clone();
        async move {
            for number in (0..200).map(|call| caller * 1_000 + call).filter(|number| *number > HANGING) {
                assert_eq!(group.run(number).await.unwrap(), number * 2);
            }
        }
    });
    join_all(calls).await;
    let most = fixture.batches().iter().map(Vec::len).max();
    assert!(most <= Some(8), "{most:?}");
}

#[tokio::test]
async fn a_batch_is_a_trace_that_links_its_callers() {
    let (_subscriber, exporter) = kennel_testkit::spans::record();
    let fixture = fixture(limits());
    let call = |number: u64| {
        let span = info_span!("call", number, db.operation.batch.size = tracing::field::Empty);
        fixture.group.run(number).instrument(span)
    };
    let mut calls = Box::pin(join_all((0..4).map(call)));
    assert!(poll!(&mut calls).is_pending());
    fixture.pass(2);
    calls.await;
    settle().await;
    let spans = exporter.get_finished_spans().unwrap();
    let batch = spans.iter().find(|span| span.name == "batch").unwrap();
    let linked: HashSet<_> = batch.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(linked.len(), 3);
    for span in &spans {
        let attributes: Vec<_> = span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        let has = |text: &str| attributes.iter().any(|attribute| attribute == text);
        assert_eq!(has("db.operation.batch.size=3"), !has("number=0"), "{attributes:?}");
        if span.name == "call" {
            assert_eq!(linked.contains(&span.span_context.span_id()), !has("number=0"), "{attributes:?}");
            assert_ne!(span.span_context.trace_id(), batch.span_context.trace_id());
        }
    }
}

/// Finds the square of a number below 100.
struct Squares(Arc<Semaphore>, Arc<Mutex<Vec<Vec<u64>>>>);

#[async_trait]
impl Lookup<u64, u64> for Squares {
    async fn find(&self, key: &u64) -> Result<Option<u64>, RepoError> {
        Ok(self.find_all(&[*key]).await?.remove(key))
    }

    async fn find_all(&self, keys: &[u64]) -> Result<HashMap<u64, u64>, RepoError> {
        self.0.acquire().await.unwrap().forget();
        self.1.lock().unwrap().push(keys.to_vec());
        if keys.contains(&CONFLICT) {
            return Err(RepoError::Corrupt("unreadable".into()));
        }
        Ok(keys.iter().filter(|key| **key < 100).map(|key| (*key, key * key)).collect())
    }

    fn span(&self) -> Span {
        Span::none()
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_has_each_key_once_and_an_unreadable_value_fails_only_its_callers() {
    let (gate, queries) = (Arc::new(Semaphore::new(0)), Arc::default());
    let metrics = DatabaseMetrics::register(&Registry::new(), Arc::new(FixedDatabase)).unwrap();
    let squares = Squares(Arc::clone(&gate), Arc::clone(&queries));
    let squares = Coalescer::new(squares, limits(), metrics.batches("squares.find"));
    let keys = [1, 2, 3, 2, 200, 3, CONFLICT, 4];
    let mut calls = Box::pin(join_all(keys.map(|key| squares.find(key))));
    assert!(poll!(&mut calls).is_pending());
    gate.add_permits(100);
    for (key, result) in keys.into_iter().zip(calls.await) {
        match result {
            Err(RepoError::Corrupt(_)) => assert_eq!(key, CONFLICT),
            found => assert_eq!(found.unwrap(), (key < 100).then_some(key * key)),
        }
    }
    let queries = queries.lock().unwrap();
    assert_eq!((queries[0].as_slice(), queries[1].len()), (&[1][..], 5), "{queries:?}");
}
