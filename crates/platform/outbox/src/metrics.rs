//! Prometheus metrics of the relay and the consumers.

use std::time::Duration;

use kennel_telemetry::metrics::{LatencyHistogram, LatencySeries, names};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Metrics of the relay. Clones feed the same series.
#[derive(Debug, Clone)]
pub struct RelayMetrics {
    pub(crate) pending: IntGauge,
    pub(crate) oldest: Gauge,
    pub(crate) relay: LatencySeries,
    pub(crate) published: IntCounter,
    pub(crate) leader: IntGauge,
}

impl RelayMetrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Time from the creation of an event until it is published";
        let relay = LatencyHistogram::register(registry, names::OUTBOX_RELAY, help, &[])?;
        let metrics = Self {
            pending: IntGauge::new(names::OUTBOX_PENDING, "Events that are not published yet")?,
            oldest: Gauge::new(
                names::OUTBOX_OLDEST,
                "Age of the oldest event that is not published yet; 0 without such events",
            )?,
            relay: relay.series(&[]),
            published: IntCounter::new(names::OUTBOX_PUBLISHED, "Events published")?,
            leader: IntGauge::new(names::OUTBOX_LEADER, "1 in the process that publishes the outbox, else 0")?,
        };
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        Ok(metrics)
    }
}

/// Outcome of a delivery; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Duplicate,
    Retry,
    DeadLetter,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Duplicate, Self::Retry, Self::DeadLetter];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Duplicate => "duplicate",
            Self::Retry => "retry",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Metrics of all consumers of a process. Clones feed the same series.
#[derive(Debug, Clone)]
pub struct ConsumerMetrics {
    consumed: IntCounterVec,
    handle: LatencyHistogram,
    age: LatencyHistogram,
    errors: IntCounterVec,
}

impl ConsumerMetrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Duration of a handler call";
        let age = "Time from the creation of an event until the group has handled it";
        let consumed = Opts::new(names::BROKER_CONSUMED, "Deliveries by outcome");
        let errors =
            Opts::new(names::BROKER_SUBSCRIPTION_ERRORS, "Subscriptions that were lost or could not be created");
        let metrics = Self {
            consumed: IntCounterVec::new(consumed, &["topic", "group", "outcome"])?,
            handle: LatencyHistogram::register(registry, names::CONSUMER_DURATION, help, &["group"])?,
            age: LatencyHistogram::register(registry, names::CONSUMER_EVENT_AGE, age, &["group"])?,
            errors: IntCounterVec::new(errors, &["topic", "group"])?,
        };
        registry.register(Box::new(metrics.consumed.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// Creates the series of a consumer with the value 0: a rate does not see the first increase of a series that
    /// starts at 1.
    pub(crate) fn group(&self, topic: &'static str, group: &'static str) -> GroupMetrics {
        GroupMetrics {
            consumed: Outcome::ALL.map(|outcome| self.consumed.with_label_values(&[topic, group, outcome.label()])),
            handle: self.handle.series(&[group]),
            age: self.age.series(&[group]),
        }
    }

    /// Creates the series of a subscription, for the same reason.
    pub(crate) fn announce_subscription(&self, topic: &'static str, group: &'static str) {
        self.errors.with_label_values(&[topic, group]);
    }

    pub(crate) fn subscription_error(&self, topic: &'static str, group: &'static str) {
        self.errors.with_label_values(&[topic, group]).inc();
    }
}

/// The series of one consumer group, looked up once.
#[derive(Debug)]
pub(crate) struct GroupMetrics {
    consumed: [IntCounter; Outcome::ALL.len()],
    handle: LatencySeries,
    age: LatencySeries,
}

impl GroupMetrics {
    pub(crate) fn consumed(&self, outcome: Outcome) {
        self.consumed[outcome as usize].inc();
    }

    pub(crate) fn handled(&self, took: Duration) {
        self.handle.observe(took);
    }

    /// An event was handled this long after it had been created.
    pub(crate) fn fresh(&self, age: Duration) {
        self.age.observe(age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_start_at_zero() {
        let registry = Registry::new();
        let consumer = ConsumerMetrics::register(&registry).unwrap();
        consumer.group("dogs", "thumbnails");
        consumer.announce_subscription("dogs", "thumbnails");
        let text = kennel_telemetry::metrics::encode(&registry);
        for line in [
            r#"broker_consumed_total{group="thumbnails",outcome="dead_letter",topic="dogs"} 0"#,
            r#"broker_consumed_total{group="thumbnails",outcome="ok",topic="dogs"} 0"#,
            r#"broker_subscription_errors_total{group="thumbnails",topic="dogs"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn dashboards_depend_on_these_names() {
        let registry = Registry::new();
        let relay = RelayMetrics::register(&registry).unwrap();
        relay.published.inc();
        let consumer = ConsumerMetrics::register(&registry).unwrap();
        let group = consumer.group("dogs", "thumbnails");
        for outcome in Outcome::ALL {
            group.consumed(outcome);
        }
        group.handled(Duration::from_millis(1));
        group.fresh(Duration::from_millis(1));
        consumer.subscription_error("dogs", "thumbnails");

        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "outbox_pending 0",
            "outbox_oldest_seconds 0",
            "outbox_relay_seconds_count 0",
            "outbox_published_total 1",
            "outbox_leader 0",
            r#"broker_consumed_total{group="thumbnails",outcome="ok",topic="dogs"} 1"#,
            r#"broker_consumed_total{group="thumbnails",outcome="duplicate",topic="dogs"} 1"#,
            r#"broker_consumed_total{group="thumbnails",outcome="retry",topic="dogs"} 1"#,
            r#"broker_consumed_total{group="thumbnails",outcome="dead_letter",topic="dogs"} 1"#,
            r#"consumer_handle_seconds_count{group="thumbnails"} 1"#,
            r#"consumer_event_age_seconds_count{group="thumbnails"} 1"#,
            r#"broker_subscription_errors_total{group="thumbnails",topic="dogs"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
