//! A broker whose work is counted, timed and traced.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, Group, Publisher, Settle, Subscriber, Subscription};
use kennel_telemetry::metrics::{LATENCY_BUCKETS, Outcome};
use kennel_telemetry::propagation;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::Broker;

/// The label of topics that no one announced.
const OTHER: &str = "other";

/// Metrics of a broker. Cheap to clone; every clone feeds the same series.
#[derive(Debug, Clone)]
pub struct BrokerMetrics {
    published: IntCounterVec,
    publish_duration: HistogramVec,
    consumed: IntCounterVec,
}

impl BrokerMetrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let published = Opts::new("broker_published_total", "Events published by outcome");
        let consumed = Opts::new("broker_consumed_total", "Deliveries by how they were settled");
        let duration = HistogramOpts::new(
            "broker_publish_duration_seconds",
            "Time until the broker had a batch durably; inside the process, until it was dealt with",
        );
        let duration = duration.buckets(LATENCY_BUCKETS.to_vec());
        Ok(Self {
            published: added(registry, IntCounterVec::new(published, &["topic", "outcome"])?)?,
            publish_duration: added(registry, HistogramVec::new(duration, &["outcome"])?)?,
            consumed: added(registry, IntCounterVec::new(consumed, &["topic", "group", "outcome"])?)?,
        })
    }
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Watches a broker.
#[derive(Clone)]
pub struct Metered {
    inner: Arc<dyn Broker>,
    metrics: BrokerMetrics,
    topics: &'static [&'static str],
}

impl Metered {
    /// Watches `inner`. Events of other topics than `topics` are counted together.
    pub fn new(inner: Arc<dyn Broker>, metrics: BrokerMetrics, topics: &'static [&'static str]) -> Self {
        Self { inner, metrics, topics }
    }

    fn label(&self, topic: &str) -> &'static str {
        self.topics.iter().find(|known| **known == topic).copied().unwrap_or(OTHER)
    }

    /// The producer's span, linked to where each event of the batch happened.
    fn span(&self, batch: &[Event]) -> tracing::Span {
        let mut topics = batch.iter().map(|event| event.topic.as_str());
        let first = topics.next().unwrap_or_default();
        let destination = if topics.all(|topic| topic == first) { first } else { "(several)" };
        let span = tracing::info_span!(
            "publish",
            otel.name = format!("publish {destination}"),
            otel.kind = "producer",
            messaging.system = self.inner.system(),
            messaging.operation.name = "publish",
            messaging.operation.r#type = "send",
            messaging.destination.name = destination,
            messaging.batch.message_count = batch.len(),
        );
        for trace in batch.iter().filter_map(|event| event.trace.as_ref()) {
            propagation::add_link(&span, trace);
        }
        span
    }
}

#[async_trait]
impl Publisher for Metered {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        let began = Instant::now();
        let published = self.inner.publish(batch).instrument(self.span(batch)).await;
        let outcome = label(Outcome::of(&published));
        self.metrics.publish_duration.with_label_values(&[outcome]).observe(began.elapsed().as_secs_f64());
        for event in batch {
            self.metrics.published.with_label_values(&[self.label(&event.topic), outcome]).inc();
        }
        published
    }
}

const fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Error => "error",
    }
}

#[async_trait]
impl Subscriber for Metered {
    async fn subscribe(&self, topic: &str, group: &Group) -> Result<Box<dyn Subscription>, BrokerError> {
        let inner = self.inner.subscribe(topic, group).await?;
        let group = match group {
            Group::Shared(name) => name.as_str(),
            Group::Broadcast => "(broadcast)",
        };
        let count = |outcome| self.metrics.consumed.with_label_values(&[self.label(topic), group, outcome]);
        let settled = Settled {
            acked: count("ack"),
            nacked: count("nack"),
            dead_lettered: count("dead_letter"),
            dropped: count("dropped"),
            failed: count("error"),
        };
        Ok(Box::new(MeteredSubscription { inner, settled: Arc::new(settled) }))
    }
}

#[async_trait]
impl Broker for Metered {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// How the deliveries of one group ended.
struct Settled {
    acked: IntCounter,
    nacked: IntCounter,
    dead_lettered: IntCounter,
    dropped: IntCounter,
    failed: IntCounter,
}

struct MeteredSubscription {
    inner: Box<dyn Subscription>,
    settled: Arc<Settled>,
}

#[async_trait]
impl Subscription for MeteredSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let next = self.inner.next().await?;
        if next.is_err() {
            self.settled.failed.inc();
        }
        let wrap = |inner| Box::new(Counted { inner: Some(inner), settled: Arc::clone(&self.settled) }) as Box<_>;
        Some(next.map(|delivery| delivery.map_settle(wrap)))
    }
}

struct Counted {
    /// Gone once settled.
    inner: Option<Box<dyn Settle>>,
    settled: Arc<Settled>,
}

impl Counted {
    fn count<T>(&self, settled: &Result<T, BrokerError>, counter: &IntCounter) {
        if settled.is_ok() { counter.inc() } else { self.settled.failed.inc() }
    }
}

#[async_trait]
impl Settle for Counted {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        let settled = inner.ack().await;
        self.count(&settled, &self.settled.acked);
        settled
    }

    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        let settled = inner.nack(delay).await;
        self.count(&settled, &self.settled.nacked);
        settled
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        let settled = inner.dead_letter(event, attempts, reason).await;
        self.count(&settled, &self.settled.dead_lettered);
        settled
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.settled.dropped.inc();
        }
    }
}
