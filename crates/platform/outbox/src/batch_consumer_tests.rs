use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use kennel_core::{Clock as _, Inbox};
use kennel_telemetry::propagation;
use opentelemetry::trace::SpanKind;
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::*;
use crate::fakes::{Broker, MemoryInbox, Settled, TestClock, event, eventually, in_trace, numbers, run_alongside};
use crate::{ConsumerMetrics, Quarantine};

#[path = "batch_attempts_tests.rs"]
mod attempts;

#[derive(Clone, Copy)]
enum Reaction {
    Done,
    Recorded,
    Retry,
    Permanent,
    /// The whole batch fails.
    FailBatch,
    /// No batch can be handled now.
    Unavailable,
    Panic,
    Hang,
    /// The handler returns no result for it.
    Forget,
}

/// Reacts to each event by its number and the number of calls for it.
struct Scripted {
    recognizes: AtomicBool,
    script: Box<dyn Fn(u128, usize) -> Reaction + Send + Sync>,
    batches: Mutex<Vec<Vec<u128>>>,
    traces: Mutex<Vec<String>>,
    paused: watch::Sender<bool>,
}

impl Scripted {
    fn new(script: impl Fn(u128, usize) -> Reaction + Send + Sync + 'static) -> Arc<Self> {
        let (batches, traces, recognizes) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { recognizes, script: Box::new(script), batches, traces, paused: watch::Sender::new(false) })
    }

    fn batches(&self) -> Vec<Vec<u128>> {
        self.batches.lock().unwrap().clone()
    }

    fn calls(&self, id: u128) -> usize {
        self.batches.lock().unwrap().iter().flatten().filter(|called| **called == id).count()
    }
}

#[async_trait]
impl BatchHandler for Scripted {
    fn filter(&self) -> EventFilter {
        EventFilter::names(["dogs.created"])
    }

    fn recognizes_duplicates(&self) -> bool {
        self.recognizes.load(Ordering::SeqCst)
    }

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        assert!(batch.iter().all(|item| (item.receipt.group.as_str(), item.receipt.event) == ("index", item.event.id)));
        let ids = numbers(batch.iter().map(|item| &*item.event));
        self.batches.lock().unwrap().push(ids.clone());
        self.traces.lock().unwrap().extend(propagation::current().map(|trace| trace.traceparent));
        self.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
        let mut results = Vec::new();
        for id in ids {
            results.push(match (self.script)(id, self.calls(id)) {
                Reaction::Done => Ok(Handled::Done),
                Reaction::Recorded => Ok(Handled::Recorded),
                Reaction::Retry => Err(HandlerError::Retry("no disk".into())),
                Reaction::Permanent => Err(HandlerError::Permanent("not a picture".into())),
                Reaction::FailBatch => return Err(HandlerError::Retry("constraint violated".into())),
                Reaction::Unavailable => return Err(HandlerError::Unavailable("no disk".into())),
                Reaction::Panic => panic!("the bowl is empty"),
                Reaction::Hang => std::future::pending().await,
                Reaction::Forget => continue,
            });
        }
        Ok(results)
    }
}

struct Setup {
    broker: Broker,
    inbox: Arc<MemoryInbox>,
    metrics: ConsumerMetrics,
    config: ConsumerConfig,
    limits: BatchLimits,
}

fn setup() -> Setup {
    Setup {
        broker: Broker::default(),
        inbox: Arc::default(),
        metrics: ConsumerMetrics::register(&Registry::new()).unwrap(),
        config: ConsumerConfig { max_attempts: 3, ..ConsumerConfig::default() },
        limits: BatchLimits::default(),
    }
}

impl Setup {
    fn consumer(&self, handler: &Arc<Scripted>) -> BatchConsumer {
        let ports = ConsumerPorts {
            subscriber: Arc::new(self.broker.clone()),
            inbox: Arc::clone(&self.inbox) as Arc<dyn Inbox>,
            clock: TestClock::new(),
            metrics: self.metrics.clone(),
            quarantine: Quarantine::default(),
            system: "fake",
        };
        let handler = Arc::clone(handler) as Arc<dyn BatchHandler>;
        BatchConsumer::new("index", "dogs", handler, self.config, self.limits, ports)
    }

    /// Sends events with different keys.
    fn send(&self, ids: impl IntoIterator<Item = u128>) {
        for id in ids {
            self.broker.send(event(id, &format!("k{id}")));
        }
    }

    /// Sends events of one key.
    fn send_run(&self, ids: impl IntoIterator<Item = u128>) {
        for id in ids {
            self.broker.send(event(id, "rex"));
        }
    }

    async fn until_settled(&self, count: usize) -> Vec<Settled> {
        eventually("settled", || self.broker.settled().len() >= count).await;
        self.broker.settled()
    }

    fn acks(&self) -> BTreeSet<u128> {
        self.broker.acks().into_iter().collect()
    }

    async fn seen(&self, id: u128) -> bool {
        self.inbox.seen("index", event(id, "").id).await.unwrap()
    }
}

fn dead(settled: &[Settled]) -> Vec<(u128, u32)> {
    let dead = settled.iter().filter_map(|settled| match settled {
        Settled::Dead(id, attempts, _) => Some((*id, *attempts)),
        _ => None,
    });
    dead.collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_one_receipt_write() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send(1..=100);
    run_alongside(setup.consumer(&handler), setup.until_settled(100)).await;
    assert_eq!(handler.batches(), [(1..=100).collect::<Vec<_>>()]);
    assert_eq!(setup.acks(), (1..=100).collect());
    assert_eq!(setup.inbox.receipt_writes.load(Ordering::SeqCst), 1);
    assert!(setup.seen(1).await && setup.seen(100).await);
}

#[tokio::test(start_paused = true)]
async fn receipts_that_the_handler_recorded_are_not_written() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Recorded);
    setup.send(1..=3);
    run_alongside(setup.consumer(&handler), setup.until_settled(3)).await;
    assert_eq!(setup.inbox.receipt_writes.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_for_an_idle_consumer_is_handled_at_once() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&handler), async {
        sleep(Duration::from_secs(1)).await;
        for id in 1..=5 {
            let sent = Instant::now();
            setup.send([id]);
            while setup.broker.acks().len() < usize::try_from(id).unwrap() {
                tokio::task::yield_now().await;
            }
            assert_eq!(sent.elapsed(), Duration::ZERO);
        }
    })
    .await;
    assert_eq!(handler.batches().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_busy_consumer_lingers_for_an_incomplete_batch() {
    let mut setup = setup();
    setup.limits.linger = Duration::from_millis(20);
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send(1..=2);
    run_alongside(setup.consumer(&handler), async {
        setup.until_settled(2).await;
        for id in 3..=6 {
            setup.send([id]);
            sleep(Duration::from_millis(3)).await;
        }
        setup.until_settled(6).await;
    })
    .await;
    assert_eq!(handler.batches(), [vec![1, 2], vec![3, 4, 5, 6]]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_limited_by_count_and_bytes() {
    let mut setup = setup();
    setup.limits.events = 3;
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send(1..=7);
    run_alongside(setup.consumer(&handler), setup.until_settled(7)).await;
    assert_eq!(handler.batches(), [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);

    let mut setup = self::setup();
    setup.limits.bytes = 10;
    let handler = Scripted::new(|_, _| Reaction::Done);
    for (id, size) in [(1, 4), (2, 6), (3, 50), (4, 9), (5, 2)] {
        setup.broker.send(Event { data: vec![b'x'; size].into(), ..event(id, &format!("k{id}")) });
    }
    run_alongside(setup.consumer(&handler), setup.until_settled(5)).await;
    assert_eq!(handler.batches(), [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_one_event_of_a_key() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    for (id, key) in [(1, "rex"), (2, "bella"), (3, "rex"), (4, "rex")] {
        setup.broker.send(event(id, key));
    }
    run_alongside(setup.consumer(&handler), setup.until_settled(4)).await;
    assert_eq!(handler.batches(), [vec![1, 2], vec![3], vec![4]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_as_many_events_of_a_key_as_permitted() {
    let mut setup = setup();
    setup.limits = BatchLimits { events: 8, of_key: 5, ..setup.limits };
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send_run(1..=6);
    setup.send([7, 8]);
    setup.send_run(9..=14);
    run_alongside(setup.consumer(&handler), setup.until_settled(14)).await;
    assert_eq!(handler.batches(), [vec![1, 2, 3, 4, 5], vec![6, 9, 10, 11, 12, 7, 8], vec![13, 14]]);
    assert_eq!(setup.inbox.receipt_writes.load(Ordering::SeqCst), 3);

    let mut setup = self::setup();
    setup.limits = BatchLimits { of_key: 100, bytes: 10, ..setup.limits };
    for id in 1..=7 {
        setup.broker.send(Event { data: vec![b'x'; 4].into(), ..event(id, "rex") });
    }
    let handler = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&handler), setup.until_settled(7)).await;
    assert_eq!(handler.batches(), [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_consumer_adds_to_the_runs_what_arrives_while_it_lingers() {
    let mut setup = setup();
    setup.limits = BatchLimits { of_key: 100, linger: Duration::from_millis(20), ..setup.limits };
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send_run(1..=2);
    run_alongside(setup.consumer(&handler), async {
        setup.until_settled(2).await;
        setup.send_run([3]);
        setup.send([4]);
        sleep(Duration::from_millis(10)).await;
        setup.send_run([5]);
        setup.until_settled(5).await;
    })
    .await;
    assert_eq!(handler.batches()[0], [1, 2]);
    assert_eq!(handler.batches().iter().map(Vec::len).sum::<usize>(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_recognizes_duplicates_needs_no_receipts() {
    let mut setup = setup();
    setup.limits.of_key = 100;
    let handler = Scripted::new(|_, _| Reaction::Recorded);
    handler.recognizes.store(true, Ordering::SeqCst);
    run_alongside(setup.consumer(&handler), async {
        setup.send_run(1..=50);
        setup.until_settled(50).await;
        // From before the start, so these may be repetitions: one attempt is counted, and one receipt says that it ended.
        let old = kennel_core::Timestamp::from_millis(-1).unwrap();
        for id in 51..=100 {
            setup.broker.send(Event { time: old, ..event(id, "rex") });
        }
        setup.until_settled(100).await;
    })
    .await;
    assert_eq!(handler.batches().len(), 2);
    assert_eq!(setup.inbox.receipt_writes.load(Ordering::SeqCst), 1);
    let attempts = |id| setup.inbox.attempts("index", event(id, "").id);
    assert_eq!((attempts(1).await.unwrap(), attempts(51).await.unwrap(), attempts(52).await.unwrap()), (0, 1, 0));
    assert!(setup.seen(51).await && !setup.seen(52).await);
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_skipped() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&handler), async {
        setup.send(1..=3);
        setup.until_settled(3).await;
        setup.send(2..=4);
        setup.until_settled(6).await;
    })
    .await;
    assert_eq!(handler.batches(), [vec![1, 2, 3], vec![4]]);
}

#[tokio::test]
async fn the_span_of_a_batch_links_to_every_producer() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    let trace = |id: u128| format!("{:032x}", 0x0af7_0000 + id);
    for id in 1..=200 {
        setup.broker.send(in_trace(event(id, &format!("k{id}")), &trace(id)));
    }
    run_alongside(setup.consumer(&handler), setup.until_settled(200)).await;
    let spans = spans.get_finished_spans().unwrap();
    let [span] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert_eq!((span.name.as_ref(), &span.span_kind), ("process dogs", &SpanKind::Consumer));
    let links: BTreeSet<_> = span.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
    assert_eq!(links, (1..=200).map(trace).collect());
    let own = span.span_context.trace_id().to_string();
    assert!(!links.contains(&own));
    assert!(handler.traces.lock().unwrap()[0].contains(&own), "the handler runs in the span of the batch");
}

#[tokio::test(start_paused = true)]
async fn an_abort_redelivers_the_batch() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    let consumer = setup.consumer(&handler);
    setup.send(1..=3);
    let stop = Stop::new();
    handler.paused.send_replace(true);
    let ((), ended) = tokio::join!(
        async {
            eventually("in progress", || handler.batches().len() == 1).await;
            stop.abort();
        },
        Box::new(consumer).run(stop.clone())
    );
    ended.unwrap();
    assert!(setup.broker.settled().is_empty());
    assert_eq!(setup.broker.queued(), 3);
    handler.paused.send_replace(false);
    run_alongside(setup.consumer(&handler), setup.until_settled(3)).await;
    assert_eq!(setup.acks(), [1, 2, 3].into());
    assert_eq!(handler.calls(1), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_batch_in_progress() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    handler.paused.send_replace(true);
    let stop = Stop::new();
    let ((), ended) = tokio::join!(
        async {
            setup.send([1, 2]);
            eventually("in progress", || handler.batches().len() == 1).await;
            stop.request();
            setup.send([3]);
            sleep(Duration::from_secs(1)).await;
            handler.paused.send_replace(false);
        },
        Box::new(setup.consumer(&handler)).run(stop.clone())
    );
    ended.unwrap();
    assert_eq!((setup.acks(), setup.broker.queued()), ([1, 2].into(), 1));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_dependency_uses_up_no_attempts_and_pauses() {
    let setup = setup();
    let began = Instant::now();
    let outage = Duration::from_mins(5);
    let handler = Scripted::new(move |id, _| match id {
        _ if began.elapsed() < outage => Reaction::Unavailable,
        1 => Reaction::Retry,
        _ => Reaction::Done,
    });
    let settled = run_alongside(setup.consumer(&handler), async {
        setup.send(1..=3);
        eventually("settled", || setup.broker.settled().iter().any(|settled| matches!(settled, Settled::Dead(..))))
            .await;
        setup.broker.settled()
    })
    .await;
    assert!(handler.batches().len() < 200, "{} calls in {outage:?}", handler.batches().len());
    let dead: Vec<_> = settled.iter().filter(|settled| matches!(settled, Settled::Dead(..))).collect();
    let reason = "event cannot be handled now: no disk".to_owned();
    assert_eq!(dead, [&Settled::Dead(1, 3, reason)]);
    let mut acks = setup.broker.acks();
    acks.sort_unstable();
    assert_eq!(acks, [2, 3]);
    let retries = handler.batches().iter().filter(|batch| batch.as_slice() == [1]).count();
    assert!(retries >= 2, "all attempts are left after the outage");
}
