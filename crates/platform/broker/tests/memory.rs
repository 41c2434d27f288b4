//! The in-process broker and its metrics.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::poll;
use kennel_app::{Component as _, Stop};
use kennel_broker::memory::Limits;
use kennel_broker::{Broker as _, BrokerMetrics, InstrumentedBroker, Lag, LagWatch, Lagged, MemoryBroker};
use kennel_core::broker::BrokerError;
use kennel_core::{
    DeadLetter, DeadLetterSink, Delivery, Event, EventFilter, Group, ManualClock, Publisher as _, RepoError,
    Subscriber as _, Subscription, Timestamp, TraceContext,
};
use opentelemetry::trace::SpanKind;
use prometheus::{Registry, TextEncoder};
use uuid::Uuid;

const TOPIC: &str = "dogs.events";
const NOON: i64 = 1_700_000_000_000;

/// A sink that fails on request.
#[derive(Default)]
struct FailingSink {
    down: AtomicBool,
    dead_letters: std::sync::Mutex<Vec<DeadLetter>>,
}

#[async_trait]
impl DeadLetterSink for FailingSink {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(RepoError::Unavailable("down".into()));
        }
        self.dead_letters.lock().unwrap().push(dead_letter.clone());
        Ok(())
    }
}

fn broker(limits: Limits) -> (MemoryBroker, Arc<FailingSink>) {
    let sink = Arc::new(FailingSink::default());
    let clock = ManualClock::new(Timestamp::from_millis(NOON).unwrap());
    (MemoryBroker::new(limits, Arc::clone(&sink) as Arc<_>, Arc::new(clock)), sink)
}

fn event(number: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: TOPIC.to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(0).unwrap(),
        content_type: "application/json".to_owned(),
        data: Bytes::from_static(b"{}"),
        trace: None,
    }
}

async fn join(broker: &MemoryBroker, group: &str) -> Box<dyn Subscription> {
    broker.subscribe(TOPIC, &Group::Shared(group.to_owned()), &EventFilter::All).await.unwrap()
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    next.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn publish_returns_after_every_group_has_settled_every_event() {
    let (broker, _) = broker(Limits::default());
    let (mut one, mut other) = (join(&broker, "one").await, join(&broker, "other").await);
    let batch = [event(1, "rex"), event(2, "bello")];
    let mut publishing = broker.publish(&batch);
    for group in [&mut one, &mut other] {
        for _ in 0..2 {
            assert!(poll!(&mut publishing).is_pending());
            next(group).await.ack().await.unwrap();
        }
    }
    publishing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn publish_returns_after_the_dead_letter_is_stored() {
    let (broker, sink) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    let batch = [event(1, "rex")];
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    next(&mut group).await.nack(Duration::from_secs(9)).await.unwrap();
    let second = next(&mut group).await;
    assert!(poll!(&mut publishing).is_pending());
    second.dead_letter("bad").await.unwrap();
    publishing.await.unwrap();
    assert_eq!(sink.dead_letters.lock().unwrap()[0].at.as_millis(), NOON);
}

#[tokio::test]
async fn services_share_events_and_each_has_its_dead_letters_and_its_lag() {
    let (publisher, own) = broker(Limits::default());
    let sink = Arc::new(FailingSink::default());
    let consumer = publisher.with_sink(Arc::clone(&sink) as Arc<_>);
    let mut group = join(&consumer, "g").await;
    let batch = [event(1, "rex")];
    let mut publishing = publisher.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    assert_eq!(consumer.lag().await.unwrap()[0].events, 1);
    assert_eq!(publisher.lag().await.unwrap(), []);
    next(&mut group).await.dead_letter("bad").await.unwrap();
    publishing.await.unwrap();
    assert_eq!((sink.dead_letters.lock().unwrap().len(), own.dead_letters.lock().unwrap().len()), (1, 0));
    consumer.close().await;
    publisher.publish(&batch).await.unwrap_err();
}

#[tokio::test]
async fn publishing_to_no_group_returns_at_once() {
    let (broker, _) = broker(Limits::default());
    broker.publish(&[event(1, "rex")]).await.unwrap();
    let _listener = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
    broker.publish(&[event(2, "rex")]).await.unwrap();
}

#[tokio::test]
async fn events_of_a_dropped_publishing_still_arrive() {
    let (broker, _) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    {
        let batch = [event(1, "rex")];
        assert!(poll!(broker.publish(&batch)).is_pending());
    }
    next(&mut group).await.ack().await.unwrap();
}

#[tokio::test]
async fn an_unsettled_event_is_not_queued_twice() {
    let (broker, _) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    let (first, second, third) = ([event(1, "rex")], [event(1, "rex")], [event(2, "rex")]);
    assert!(poll!(broker.publish(&first)).is_pending());
    let mut again = broker.publish(&second);
    let mut later = broker.publish(&third);
    assert!(poll!(&mut again).is_pending());
    assert!(poll!(&mut later).is_pending());
    next(&mut group).await.ack().await.unwrap();
    again.await.unwrap();
    let delivery = next(&mut group).await;
    assert_eq!(*delivery.event, event(2, "rex"));
    delivery.ack().await.unwrap();
    later.await.unwrap();
}

#[tokio::test]
async fn a_settled_event_can_be_published_again() {
    let (broker, _) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    for _ in 0..2 {
        let batch = [event(1, "rex")];
        let mut publishing = broker.publish(&batch);
        assert!(poll!(&mut publishing).is_pending());
        let delivery = next(&mut group).await;
        assert_eq!(delivery.attempt, 1);
        delivery.ack().await.unwrap();
        publishing.await.unwrap();
    }
}

#[tokio::test]
async fn publishing_waits_for_capacity() {
    let (broker, _) = broker(Limits { queue: NonZeroUsize::new(2).unwrap(), ..Limits::default() });
    let mut group = join(&broker, "g").await;
    let batch: Vec<_> = (0..5).map(|number| event(number, &format!("k{number}"))).collect();
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    let (one, two) = (next(&mut group).await, next(&mut group).await);
    assert!(poll!(&mut publishing).is_pending());
    assert!(poll!(group.next()).is_pending(), "the queue is full");
    one.ack().await.unwrap();
    two.ack().await.unwrap();
    let rest = async {
        for number in 2..5 {
            let delivery = next(&mut group).await;
            assert_eq!(delivery.event.id.as_u128(), number);
            delivery.ack().await.unwrap();
        }
    };
    let (published, ()) = tokio::join!(publishing, rest);
    published.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_dead_letter_is_not_stored_is_redelivered() {
    let (broker, sink) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    let batch = [event(1, "rex")];
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    sink.down.store(true, Ordering::SeqCst);
    let rejected = next(&mut group).await.dead_letter("bad").await;
    assert!(matches!(rejected, Err(BrokerError::Unavailable(_))), "{rejected:?}");
    assert!(poll!(&mut publishing).is_pending());
    sink.down.store(false, Ordering::SeqCst);
    let again = next(&mut group).await;
    assert_eq!(again.attempt, 2);
    again.dead_letter("bad").await.unwrap();
    publishing.await.unwrap();
}

#[tokio::test]
async fn a_delivery_cannot_be_settled_after_its_subscription_is_dropped() {
    let (broker, _) = broker(Limits::default());
    let mut group = join(&broker, "g").await;
    let batch = [event(1, "rex")];
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    let unsettled = next(&mut group).await;
    drop(group);
    let mut other = join(&broker, "g").await;
    let delivered_elsewhere = next(&mut other).await;
    assert!(unsettled.ack().await.is_err());
    assert!(poll!(&mut publishing).is_pending(), "the late ack settles nothing");
    delivered_elsewhere.ack().await.unwrap();
    publishing.await.unwrap();
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_events_and_gets_an_error() {
    let (broker, _) = broker(Limits { broadcast_buffer: NonZeroUsize::new(4).unwrap(), ..Limits::default() });
    let mut listener = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
    for number in 0..10 {
        broker.publish(&[event(number, "rex")]).await.unwrap();
    }
    let Some(Err(BrokerError::Backend(source))) = listener.next().await else { panic!("no error") };
    assert_eq!(source.downcast_ref(), Some(&Lagged { missed: 6 }));
    for number in 6..10 {
        assert_eq!(next(&mut listener).await.event.id.as_u128(), number);
    }
}

#[tokio::test]
async fn close_ends_every_waiting_call() {
    let (broker, _) = broker(Limits { queue: NonZeroUsize::MIN, ..Limits::default() });
    let (mut group, mut idle) = (join(&broker, "g").await, join(&broker, "idle").await);
    let mut listener = broker.subscribe("other.topic", &Group::Broadcast, &EventFilter::All).await.unwrap();
    let (unsettled, without_room) = ([event(1, "rex")], [event(2, "rex")]);
    let (mut publishing, mut waiting) = (broker.publish(&unsettled), broker.publish(&without_room));
    assert!(poll!(&mut publishing).is_pending());
    assert!(poll!(&mut waiting).is_pending());
    let unsettled = next(&mut group).await;
    next(&mut idle).await.ack().await.unwrap();
    let (mut idle_next, mut listener_next) = (idle.next(), listener.next());
    assert!(poll!(&mut idle_next).is_pending());
    assert!(poll!(&mut listener_next).is_pending());
    broker.close().await;
    for published in [publishing.await, waiting.await] {
        assert!(matches!(published, Err(BrokerError::Unavailable(_))), "{published:?}");
    }
    assert!(idle_next.await.is_none());
    assert!(listener_next.await.is_none());
    assert!(unsettled.ack().await.is_err());
    assert!(group.next().await.is_none());
    assert!(broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.is_err());
    assert!(broker.publish(&[event(3, "rex")]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_neither_lose_nor_duplicate_events() {
    let (broker, _) = broker(Limits { queue: NonZeroUsize::new(16).unwrap(), ..Limits::default() });
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut members = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (mut member, seen) = (join(&broker, "g").await, Arc::clone(&seen));
        members.spawn(async move {
            while let Some(delivery) = member.next().await {
                let delivery = delivery.unwrap();
                if delivery.attempt == 1 && delivery.event.id.as_u128() % 5 == 0 {
                    delivery.nack(Duration::ZERO).await.unwrap();
                    continue;
                }
                seen.lock().unwrap().push(delivery.event.id.as_u128());
                delivery.ack().await.unwrap();
            }
        });
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..4_u128 {
        let broker = broker.clone();
        publishers.spawn(async move {
            for start in (0..500).step_by(50) {
                let event = |number| event(publisher * 500 + start + number, &format!("{publisher}-{}", number % 8));
                broker.publish(&(0..50).map(event).collect::<Vec<_>>()).await.unwrap();
            }
        });
    }
    publishers.join_all().await;
    broker.close().await;
    members.join_all().await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn metric_names_are_pinned() {
    let (memory, _sink) = broker(Limits::default());
    let registry = Registry::new();
    let metrics = BrokerMetrics::register(&registry).unwrap();
    let broker = InstrumentedBroker::new(Arc::new(memory), metrics, vec![TOPIC]);
    let mut group = broker.subscribe(TOPIC, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap();
    let batch = [event(1, "rex"), event(2, "bello"), Event { topic: "surprise".to_owned(), ..event(3, "rex") }];
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    next(&mut group).await.ack().await.unwrap();
    let lag = |events| vec![Lag { topic: TOPIC.to_owned(), group: "g".to_owned(), events }];
    assert_eq!(broker.lag().await.unwrap(), lag(1));
    next(&mut group).await.ack().await.unwrap();
    publishing.await.unwrap();
    broker.close().await;
    broker.lag().await.unwrap_err();
    broker.publish(&[event(4, "rex")]).await.unwrap_err();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let expected = [
        format!(r#"broker_published_total{{outcome="ok",topic="{TOPIC}"}} 2"#),
        r#"broker_published_total{outcome="ok",topic="other"} 1"#.to_owned(),
        format!(r#"broker_published_total{{outcome="error",topic="{TOPIC}"}} 1"#),
        r#"broker_publish_duration_seconds_count{outcome="ok"} 1"#.to_owned(),
        format!(r#"broker_consumer_lag{{group="g",topic="{TOPIC}"}} 1"#),
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn an_event_is_created_in_its_trace_and_published_with_others() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let (memory, _sink) = broker(Limits::default());
    let broker =
        InstrumentedBroker::new(Arc::new(memory), BrokerMetrics::register(&Registry::new()).unwrap(), vec![TOPIC]);
    let traces = ["0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"];
    let batch = traces.map(|trace| Event {
        trace: Some(TraceContext { traceparent: format!("00-{trace}-00f067aa0ba902b7-01"), tracestate: None }),
        ..event(1, "rex")
    });
    let mut received = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
    broker.publish(&batch).await.unwrap();

    let spans = spans.get_finished_spans().unwrap();
    let created: Vec<_> = spans.iter().filter(|span| span.name == format!("create {TOPIC}")).collect();
    for (span, trace) in created.iter().zip(traces) {
        assert_eq!((&span.span_kind, span.span_context.trace_id().to_string().as_str()), (&SpanKind::Producer, trace));
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        let propagated = next(&mut received).await.event.trace.clone().unwrap().traceparent;
        assert_eq!(
            propagated,
            format!("00-{trace}-{}-01", span.span_context.span_id()),
            "it is the parent in consumers"
        );
    }
    let publish = spans.iter().find(|span| span.name == format!("publish {TOPIC}")).unwrap();
    assert_eq!(publish.span_kind, SpanKind::Client);
    let links: Vec<_> = publish.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, created.iter().map(|span| span.span_context.span_id()).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_whose_trace_is_not_recorded_has_no_span_and_retains_its_trace() {
    let (_subscriber, spans) = kennel_testkit::spans::record();
    let (memory, _sink) = broker(Limits::default());
    let broker =
        InstrumentedBroker::new(Arc::new(memory), BrokerMetrics::register(&Registry::new()).unwrap(), vec![TOPIC]);
    let traces = [
        "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ];
    let [unrecorded, recorded] = traces.map(|traceparent| Event {
        trace: Some(TraceContext { traceparent: traceparent.to_owned(), tracestate: None }),
        ..event(1, "rex")
    });
    let mut received = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
    for (batch, created) in [(vec![unrecorded.clone()], 0), (vec![unrecorded.clone(), recorded], 1)] {
        broker.publish(&batch).await.unwrap();
        assert_eq!(next(&mut received).await.event.trace, unrecorded.trace);
        let finished = spans.get_finished_spans().unwrap();
        assert_eq!(finished.iter().filter(|span| span.name.starts_with("create")).count(), created, "{finished:?}");
        let publish = finished.iter().rfind(|span| span.name.starts_with("publish")).unwrap();
        assert_eq!(publish.links.len(), created, "{publish:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watch_updates_the_lag_until_it_is_stopped() {
    let (memory, _sink) = broker(Limits::default());
    let registry = Registry::new();
    let broker =
        Arc::new(InstrumentedBroker::new(Arc::new(memory), BrokerMetrics::register(&registry).unwrap(), vec![TOPIC]));
    let _group = broker.subscribe(TOPIC, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap();
    let stop = Stop::new();
    let watch = Box::new(LagWatch::new(Arc::clone(&broker), Duration::from_secs(5)));
    let mut watching = tokio::task::JoinSet::new();
    watching.spawn(watch.run(stop.clone()));
    let batch = [event(1, "rex"), event(2, "rex")];
    let mut publishing = broker.publish(&batch);
    assert!(poll!(&mut publishing).is_pending());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let line = format!(r#"broker_consumer_lag{{group="g",topic="{TOPIC}"}} 2"#);
    assert!(text.lines().any(|found| found == line), "{text}");
    stop.request();
    watching.join_next().await.unwrap().unwrap().unwrap();
}
