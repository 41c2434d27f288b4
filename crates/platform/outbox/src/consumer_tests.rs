use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use kennel_app::Check as _;
use kennel_core::RepoError;
use kennel_core::broker::BrokerError;
use kennel_telemetry::propagation;
use opentelemetry::trace::SpanKind;
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::sleep;

use super::*;
use crate::fakes::{Broker, MemoryInbox, Settled, TestClock, event, eventually, in_trace, run_alongside};
use crate::metrics::Outcome;

#[path = "attempts_tests.rs"]
mod attempts;
#[path = "consumer_failures_tests.rs"]
mod failures;

/// Scripted result of a handler call, by the event's id and the number of the call.
type Script = Box<dyn Fn(u128, u32) -> Reaction + Send + Sync>;

#[derive(Clone, Copy)]
enum Reaction {
    Done,
    Recorded,
    Retry,
    Unavailable,
    Permanent,
    Panic,
    Hang,
    Slow,
}

struct Scripted {
    script: Script,
    calls: Mutex<BTreeMap<u128, u32>>,
    order: Mutex<Vec<u128>>,
    traces: Mutex<Vec<String>>,
    running: AtomicU32,
    most: AtomicU32,
    paused: watch::Sender<bool>,
}

impl Scripted {
    fn new(script: impl Fn(u128, u32) -> Reaction + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            calls: Mutex::default(),
            order: Mutex::default(),
            traces: Mutex::default(),
            running: AtomicU32::new(0),
            most: AtomicU32::new(0),
            paused: watch::Sender::new(false),
        })
    }

    fn calls(&self, id: u128) -> u32 {
        self.calls.lock().unwrap().get(&id).copied().unwrap_or(0)
    }

    fn order(&self) -> Vec<u128> {
        self.order.lock().unwrap().clone()
    }
}

#[async_trait]
impl Handler for Scripted {
    fn filter(&self) -> EventFilter {
        EventFilter::names(["dogs.created"])
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        assert_eq!((receipt.group.as_str(), receipt.event), ("thumbnails", event.id));
        let id = event.id.as_u128();
        let call = *self.calls.lock().unwrap().entry(id).and_modify(|calls| *calls += 1).or_insert(1);
        self.order.lock().unwrap().push(id);
        self.traces.lock().unwrap().extend(propagation::current().map(|trace| trace.traceparent));
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
        self.running.fetch_sub(1, Ordering::SeqCst);
        match (self.script)(id, call) {
            Reaction::Done => Ok(Handled::Done),
            Reaction::Recorded => Ok(Handled::Recorded),
            Reaction::Retry => Err(HandlerError::Retry(RepoError::Unavailable("no disk".into()).into())),
            Reaction::Unavailable => Err(HandlerError::Unavailable("no disk".into())),
            Reaction::Permanent => Err(HandlerError::Permanent("not a picture".into())),
            Reaction::Panic => panic!("the bowl is empty"),
            Reaction::Hang => std::future::pending().await,
            Reaction::Slow => {
                sleep(Duration::from_millis(10)).await;
                Ok(Handled::Done)
            }
        }
    }
}

struct Setup {
    broker: Broker,
    inbox: Arc<MemoryInbox>,
    registry: Registry,
    metrics: ConsumerMetrics,
    config: ConsumerConfig,
}

fn setup() -> Setup {
    let registry = Registry::new();
    Setup {
        broker: Broker::default(),
        inbox: Arc::default(),
        metrics: ConsumerMetrics::register(&registry).unwrap(),
        registry,
        config: ConsumerConfig { max_attempts: 3, ..ConsumerConfig::default() },
    }
}

impl Setup {
    fn consumer(&self, handler: &Arc<Scripted>) -> Consumer {
        let ports = ConsumerPorts {
            subscriber: Arc::new(self.broker.clone()),
            inbox: Arc::clone(&self.inbox) as Arc<dyn Inbox>,
            clock: TestClock::new(),
            metrics: self.metrics.clone(),
            quarantine: Quarantine::default(),
            system: "fake",
        };
        let handler = Arc::clone(handler) as Arc<dyn Handler>;
        Consumer::new("thumbnails", "dogs", handler, self.config, ports)
    }

    fn send(&self, ids: impl IntoIterator<Item = u128>, key: &str) {
        for id in ids {
            self.broker.send(event(id, key));
        }
    }

    async fn until_settled(&self, count: usize) -> Vec<Settled> {
        eventually("settled", || self.broker.settled().len() >= count).await;
        self.broker.settled()
    }

    fn counted(&self, outcome: Outcome) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let name = "broker_consumed_total";
        let series = format!(r#"{name}{{group="thumbnails",outcome="{}",topic="dogs"}} "#, outcome.label());
        text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_handled_once() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&handler), async {
        setup.send([1, 1, 2, 1], "rex");
        setup.until_settled(4).await;
    })
    .await;
    assert_eq!(setup.broker.acks(), [1, 1, 2, 1]);
    assert_eq!((handler.calls(1), handler.calls(2)), (1, 1));
    assert_eq!((setup.counted(Outcome::Ok), setup.counted(Outcome::Duplicate)), (2, 2));

    // Another process of the group, later on.
    let later = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&later), async {
        setup.send([2], "rex");
        setup.until_settled(5).await;
    })
    .await;
    assert_eq!(later.calls(2), 0);
}

#[tokio::test(start_paused = true)]
async fn the_consumer_records_no_receipt_that_the_handler_recorded() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Recorded);
    run_alongside(setup.consumer(&handler), async {
        setup.send([1], "rex");
        setup.until_settled(1).await;
    })
    .await;
    assert!(!setup.inbox.seen("thumbnails", event(1, "rex").id).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_subscription_has_the_filter_of_the_handler() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    run_alongside(setup.consumer(&handler), async {
        setup.broker.send(Event { name: "dogs.other".to_owned(), ..event(1, "rex") });
        setup.until_settled(1).await;
    })
    .await;
    assert_eq!((setup.broker.acks(), handler.calls(1)), (vec![1], 0));
}

#[tokio::test(start_paused = true)]
async fn keys_are_concurrent_and_each_is_in_order() {
    let mut setup = setup();
    setup.config.concurrency = 3;
    let handler = Scripted::new(|_, _| Reaction::Done);
    handler.paused.send_replace(true);
    run_alongside(setup.consumer(&handler), async {
        setup.send([1, 2], "rex");
        setup.send([3], "bella");
        setup.send([4], "max");
        eventually("two keys at work", || handler.order() == [1, 3]).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(handler.order(), [1, 3], "the second of a key waits, and the fourth is over the limit");
        assert_eq!(setup.broker.queued(), 1);
        handler.paused.send_replace(false);
        setup.until_settled(4).await;
    })
    .await;
    let order = handler.order();
    let position = |id| order.iter().position(|other| *other == id).unwrap();
    assert!(position(1) < position(2), "{order:?}");
    assert_eq!(handler.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_subscription_is_created_again_forever() {
    let setup = setup();
    setup.broker.refuse(50);
    let handler = Scripted::new(|_, _| Reaction::Done);
    let mut consumer = setup.consumer(&handler);
    let source = SubscriptionSource {
        subscriber: Arc::new(setup.broker.clone()),
        topic: "dogs",
        name: "thumbnails",
        group: Group::Shared("thumbnails".to_owned()),
        filter: EventFilter::All,
    };
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(1));
    consumer.subscription = ResilientSubscription::new(source, backoff, setup.metrics.clone(), Progress::default());
    run_alongside(consumer, async {
        setup.send([1], "rex");
        setup.until_settled(1).await;
        setup.broker.interrupt(Some(BrokerError::Unavailable("cable cut".into())));
        setup.send([2], "rex");
        setup.until_settled(2).await;
        setup.broker.interrupt(None);
        setup.send([3], "rex");
        setup.until_settled(3).await;
        assert_eq!(setup.broker.subscriptions(), 3);
        setup.broker.interrupt(Some(BrokerError::Corrupt("not ours".into())));
        setup.send([4], "rex");
        setup.until_settled(4).await;
        assert_eq!(setup.broker.subscriptions(), 3, "an unreadable message does not end the subscription");
    })
    .await;
    assert_eq!(setup.broker.acks(), [1, 2, 3, 4]);
    let text = prometheus::TextEncoder::new().encode_to_string(&setup.registry.gather()).unwrap();
    let errors = r#"broker_subscription_errors_total{group="thumbnails",topic="dogs"} 53"#;
    assert!(text.contains(errors), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_group_is_joined_before_the_component_runs() {
    let setup = setup();
    let mut consumer = setup.consumer(&Scripted::new(|_, _| Reaction::Done));
    consumer.init().await.unwrap();
    assert_eq!(setup.broker.subscriptions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_deliveries_in_progress_and_returns_the_rest() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    handler.paused.send_replace(true);
    let stop = Stop::new();
    let ((), ended) = tokio::join!(
        async {
            setup.send([1, 2], "rex");
            eventually("one in progress, one queued", || setup.broker.queued() == 0 && handler.order() == [1]).await;
            stop.request();
            setup.send([3], "rex");
            sleep(Duration::from_secs(1)).await;
            handler.paused.send_replace(false);
        },
        Box::new(setup.consumer(&handler)).run(stop.clone())
    );
    ended.unwrap();
    assert_eq!((setup.broker.acks(), handler.order()), (vec![1], vec![1]));
    assert_eq!(setup.broker.queued(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_deliveries_in_progress() {
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Hang);
    let stop = Stop::new();
    let began = Instant::now();
    let ((), ended) = tokio::join!(
        async {
            setup.send([1], "rex");
            eventually("in progress", || handler.order() == [1]).await;
            stop.abort();
        },
        Box::new(setup.consumer(&handler)).run(stop.clone())
    );
    ended.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(setup.broker.queued(), 1, "it is delivered again");
}

#[tokio::test]
async fn the_handler_runs_in_the_trace_of_the_event() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let setup = setup();
    let handler = Scripted::new(|_, _| Reaction::Done);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    run_alongside(setup.consumer(&handler), async {
        setup.broker.send(in_trace(event(1, "rex"), trace));
        setup.until_settled(1).await;
    })
    .await;
    let spans = spans.get_finished_spans().unwrap();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.name.as_ref(), &span.span_kind), ("process dogs", &SpanKind::Consumer));
    assert_eq!(span.span_context.trace_id().to_string(), trace);
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    let inside = handler.traces.lock().unwrap().clone();
    assert!(inside[0].contains(trace) && inside[0].contains(&span.span_context.span_id().to_string()), "{inside:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_links_to_the_previous_one() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let setup = setup();
    let handler = Scripted::new(|_, call| if call < 3 { Reaction::Retry } else { Reaction::Done });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    run_alongside(setup.consumer(&handler), async {
        setup.broker.send(in_trace(event(1, "rex"), trace));
        setup.until_settled(3).await;
    })
    .await;
    let spans = spans.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| span.span_context.trace_id().to_string() == trace));
    let links = |at: usize| spans[at].links.iter().map(|link| link.span_context.span_id()).collect::<Vec<_>>();
    assert_eq!(links(0), []);
    assert_eq!(links(1), [spans[0].span_context.span_id()]);
    assert_eq!(links(2), [spans[1].span_context.span_id()]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_a_subscription_makes_no_progress() {
    let setup = setup();
    setup.broker.refuse(u32::MAX);
    let consumer = setup.consumer(&Scripted::new(|_, _| Reaction::Done));
    let (progress, limit) = (consumer.progress(), setup.config.stall_limit);
    let began = Instant::now();
    run_alongside(consumer, async {
        sleep(limit.saturating_sub(Duration::from_secs(1))).await;
        progress.check().await.unwrap();
        eventually("reported", || progress.detail().is_some()).await;
        assert!(began.elapsed() < limit + Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(progress.detail().unwrap(), "no subscription to dogs for 30 s");
        setup.broker.refuse(0);
        eventually("it is over", || progress.detail().is_none()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_breaks_immediately_is_no_progress_and_an_idle_one_is() {
    let setup = setup();
    let consumer = setup.consumer(&Scripted::new(|_, _| Reaction::Done));
    let progress = consumer.progress();
    run_alongside(consumer, async {
        for count in 1..=10 {
            eventually("subscribed", || setup.broker.subscriptions() == count).await;
            setup.broker.interrupt(Some(BrokerError::Unavailable("cable cut".into())));
        }
        assert!(progress.detail().is_some(), "it subscribes and loses it each time");
        eventually("it lasts", || progress.detail().is_none()).await;
        sleep(Duration::from_hours(1)).await;
        progress.check().await.unwrap();
    })
    .await;
}
