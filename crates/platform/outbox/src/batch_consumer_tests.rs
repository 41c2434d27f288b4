use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use kennel_core::{Clock as _, Inbox};
use kennel_telemetry::propagation;
use opentelemetry::trace::SpanKind;
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::*;
use crate::fakes::{Broker, MemoryInbox, Settled, TestClock, event, eventually, in_trace, numbers, run_alongside};
use crate::{ConsumerMetrics, Quarantine};

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
    script: Box<dyn Fn(u128, usize) -> Reaction + Send + Sync>,
    batches: Mutex<Vec<Vec<u128>>>,
    traces: Mutex<Vec<String>>,
    paused: watch::Sender<bool>,
}

impl Scripted {
    fn new(script: impl Fn(u128, usize) -> Reaction + Send + Sync + 'static) -> Arc<Self> {
        let (batches, traces) = (Mutex::default(), Mutex::default());
        Arc::new(Self { script: Box::new(script), batches, traces, paused: watch::Sender::new(false) })
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

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        assert!(batch.iter().all(|item| (item.receipt.group.as_str(), item.receipt.event) == ("index", item.event.id)));
        let ids = numbers(batch.iter().map(|item| &item.event));
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

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_retried_and_its_neighbours_are_settled() {
    let setup = setup();
    let handler = Scripted::new(|id, call| match id {
        2 if call < 3 => Reaction::Retry,
        4 => Reaction::Retry,
        5 => Reaction::Permanent,
        _ => Reaction::Done,
    });
    setup.send(1..=6);
    let settled = run_alongside(setup.consumer(&handler), setup.until_settled(6 + 4)).await;
    assert_eq!(setup.acks(), [1, 2, 3, 6].into());
    let mut dead = dead(&settled);
    dead.sort_unstable();
    assert_eq!(dead, [(4, 3), (5, 1)]);
    assert_eq!((1..=6).map(|id| handler.calls(id)).collect::<Vec<_>>(), [1, 3, 1, 3, 1, 1]);
    assert!(setup.seen(4).await && setup.seen(5).await, "a copy would be tried again");
}

#[tokio::test(start_paused = true)]
async fn after_a_batch_fails_each_event_is_handled_alone() {
    for poison in [Reaction::Panic, Reaction::FailBatch, Reaction::Hang, Reaction::Forget] {
        let setup = setup();
        let handler = Scripted::new(move |id, _| if id == 2 { poison } else { Reaction::Done });
        setup.send(1..=4);
        let settled = run_alongside(setup.consumer(&handler), setup.until_settled(4 + 4 + 2)).await;
        assert_eq!(setup.acks(), [1, 3, 4].into());
        assert_eq!(dead(&settled), [(2, 3)], "the failed batch is no attempt");
        let batches = handler.batches();
        assert_eq!(batches[0], [1, 2, 3, 4]);
        assert!(batches[1..].iter().all(|batch| batch.len() == 1), "{batches:?}");
        assert_eq!((handler.calls(1), handler.calls(2)), (2, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_as_for_a_single_event() {
    let setup = setup();
    let handler = Scripted::new(|id, call| if id == 1 && call == 1 { Reaction::Retry } else { Reaction::Done });
    run_alongside(setup.consumer(&handler), async {
        // From before the start, so it may be a repetition; the others are new.
        let old = kennel_core::Timestamp::from_millis(-1).unwrap();
        setup.broker.send(Event { time: old, ..event(3, "k3") });
        setup.send([1, 2]);
        setup.until_settled(4).await;
    })
    .await;
    let mut counts = Vec::new();
    for id in 1..=3 {
        counts.push(setup.inbox.attempts("index", event(id, "").id).await.unwrap());
    }
    assert_eq!(counts, [2, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_may_have_ended_a_process_is_handled_alone() {
    let setup = setup();
    let ids: Vec<_> = (1..=3).map(|id| event(id, "").id).collect();
    setup.inbox.count_attempts("index", &ids[..1], TestClock::new().now()).await.unwrap();
    let handler = Scripted::new(|_, _| Reaction::Done);
    for id in 1..=3 {
        setup.broker.send_again(event(id, &format!("k{id}")), 2);
    }
    run_alongside(setup.consumer(&handler), setup.until_settled(3)).await;
    assert_eq!(handler.batches(), [vec![2, 3], vec![1]]);
    assert_eq!(setup.inbox.attempts("index", ids[0]).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_inbox_never_creates_a_dead_letter() {
    let setup = setup();
    setup.inbox.failing.store(12, Ordering::SeqCst);
    let handler = Scripted::new(|_, _| Reaction::Done);
    setup.send(1..=3);
    run_alongside(setup.consumer(&handler), async {
        eventually("acknowledged", || setup.acks() == [1, 2, 3].into()).await;
    })
    .await;
    assert!(dead(&setup.broker.settled()).is_empty());
    assert!(setup.seen(1).await && setup.seen(2).await && setup.seen(3).await);
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
