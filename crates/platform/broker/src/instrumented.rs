//! Decorator that records metrics and spans of publishing. Consumers record their own.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Event, EventFilter, Group, Publisher, Subscriber, Subscription};
use kennel_telemetry::metrics::{LatencyHistogram, Outcome, names};
use kennel_telemetry::{as_i64, propagation};
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::{Broker, Lag};

/// Label of all topics that were not passed to [`InstrumentedBroker::new`].
const OTHER: &str = "other";

/// Metrics of a broker. Cheap to clone; clones share their series.
#[derive(Debug, Clone)]
pub struct BrokerMetrics {
    published: IntCounterVec,
    publish_duration: LatencyHistogram,
    consumer_lag: IntGaugeVec,
}

impl BrokerMetrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let published = Opts::new(names::BROKER_PUBLISHED, "Events published by outcome");
        let lag = Opts::new(
            names::BROKER_CONSUMER_LAG,
            "Events that a group has not settled, at the last read from the broker",
        );
        Ok(Self {
            published: registered(registry, IntCounterVec::new(published, &["topic", "outcome"])?)?,
            publish_duration: LatencyHistogram::register(
                registry,
                names::BROKER_PUBLISH_DURATION,
                "Time until the broker stored a batch durably; in-process, until every group settled it",
                &["outcome"],
            )?,
            consumer_lag: registered(registry, IntGaugeVec::new(lag, &["topic", "group"])?)?,
        })
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Decorator that counts, times and traces every publish.
#[derive(Clone)]
pub struct InstrumentedBroker {
    inner: Arc<dyn Broker>,
    metrics: BrokerMetrics,
    topics: Vec<&'static str>,
}

impl InstrumentedBroker {
    /// Decorates `inner`. Events of topics that are not in `topics` share the label `other`.
    pub fn new(inner: Arc<dyn Broker>, metrics: BrokerMetrics, topics: Vec<&'static str>) -> Self {
        Self { inner, metrics, topics }
    }

    fn label(&self, topic: &str) -> &'static str {
        self.topics.iter().find(|known| **known == topic).copied().unwrap_or(OTHER)
    }

    /// Opens a span for each event in the trace of the event, if that is recorded. The returned events contain the context
    /// of that span, so that it becomes the parent in consumers.
    fn create<'a>(&self, batch: &'a [Event]) -> (Cow<'a, [Event]>, Vec<Span>) {
        let is_unsampled = |event: &Event| event.trace.as_ref().is_some_and(propagation::is_unsampled);
        if batch.iter().all(is_unsampled) {
            return (Cow::Borrowed(batch), Vec::new());
        }
        let create = |event: &Event| {
            if is_unsampled(event) {
                return (event.clone(), Span::none());
            }
            let span = tracing::info_span!(
                "create",
                otel.name = format_args!("create {}", event.topic),
                otel.kind = "producer",
                otel.status_code = Empty,
                messaging.system = self.inner.system(),
                messaging.operation.name = "create",
                messaging.operation.r#type = "create",
                messaging.destination.name = event.topic,
                messaging.message.id = %event.id,
                event.name = event.name,
            );
            if let Some(trace) = &event.trace {
                propagation::set_parent(&span, trace);
            }
            let trace = propagation::of(&span).or_else(|| event.trace.clone());
            (Event { trace, ..event.clone() }, span)
        };
        let (events, spans): (Vec<_>, Vec<_>) = batch.iter().map(create).unzip();
        (Cow::Owned(events), spans)
    }

    /// Opens the span of sending a batch, linked to the `spans` of its events.
    fn send(&self, batch: &[Event], spans: &[Span]) -> Span {
        let mut topics = batch.iter().map(|event| event.topic.as_str());
        let first = topics.next().unwrap_or_default();
        let destination = if topics.all(|topic| topic == first) { first } else { "(several)" };
        let span = tracing::info_span!(
            "publish",
            otel.name = format_args!("publish {destination}"),
            otel.kind = "client",
            otel.status_code = Empty,
            messaging.system = self.inner.system(),
            messaging.operation.name = "publish",
            messaging.operation.r#type = "send",
            messaging.destination.name = destination,
            messaging.batch.message_count = as_i64(batch.len()),
        );
        for created in spans {
            propagation::add_link_to(&span, created);
        }
        span
    }
}

#[async_trait]
impl Publisher for InstrumentedBroker {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        let started = Instant::now();
        let (batch, mut spans) = self.create(batch);
        let span = self.send(&batch, &spans);
        spans.push(span.clone());
        let published = self.inner.publish(&batch).instrument(span.clone()).await;
        if published.is_err() {
            for span in &spans {
                span.record("otel.status_code", "ERROR");
            }
        }
        let outcome = label(Outcome::of(&published));
        span.in_scope(|| self.metrics.publish_duration.observe(&[outcome], started.elapsed()));
        for event in &*batch {
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
impl Subscriber for InstrumentedBroker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &Group,
        filter: &EventFilter,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.inner.subscribe(topic, group, filter).await
    }
}

#[async_trait]
impl Broker for InstrumentedBroker {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.inner.ping().await
    }

    /// Also sets the gauge `broker_consumer_lag`.
    async fn lag(&self) -> Result<Vec<Lag>, BrokerError> {
        let lags = self.inner.lag().await?;
        for Lag { topic, group, events } in &lags {
            let gauge = self.metrics.consumer_lag.with_label_values(&[self.label(topic), group]);
            gauge.set(i64::try_from(*events).unwrap_or(i64::MAX));
        }
        Ok(lags)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
