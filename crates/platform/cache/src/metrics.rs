//! Metrics of typed caches.

use kennel_telemetry::metrics::{LatencyHistogram, LatencySeries, names};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::Tier;

/// Outcome of a request to a cache; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The cache has the value.
    Hit,
    /// The cache has a negative entry.
    NegativeHit,
    /// The cache has no entry.
    Miss,
    /// The cache did not answer, or the entry is unreadable.
    Error,
    /// There is no cache.
    Bypass,
}

impl Outcome {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NegativeHit => "negative_hit",
            Self::Miss => "miss",
            Self::Error => "error",
            Self::Bypass => "bypass",
        }
    }
}

/// Metrics of all typed caches of a process. Cheap to clone; every clone feeds the same series.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    requests: IntCounterVec,
    write_errors: IntCounterVec,
    loads: LatencyHistogram,
    shared: IntCounterVec,
}

impl CacheMetrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            added(registry, counter)
        };
        Ok(Self {
            requests: counter(names::CACHE_REQUESTS, "Requests to a cache by outcome", &["cache", "tier", "outcome"])?,
            write_errors: counter(
                names::CACHE_WRITE_ERRORS,
                "Entries that could not be set or removed",
                &["cache", "tier", "operation"],
            )?,
            loads: LatencyHistogram::register(
                registry,
                names::CACHE_LOAD_DURATION,
                "Duration of loads after a cache miss",
                &["cache", "outcome"],
            )?,
            shared: counter(
                names::CACHE_LOADS_SHARED,
                "Requests that used the result of a concurrent load",
                &["cache"],
            )?,
        })
    }

    /// Returns the series of one cache, looked up once.
    pub(crate) fn of(&self, cache: &'static str, tier: Tier) -> Series {
        let requests = |tier: Tier| {
            let request = |outcome: Outcome| self.requests.with_label_values(&[cache, tier.name(), outcome.label()]);
            Requests {
                hit: request(Outcome::Hit),
                negative_hit: request(Outcome::NegativeHit),
                miss: request(Outcome::Miss),
                error: request(Outcome::Error),
                bypass: request(Outcome::Bypass),
            }
        };
        let write_error = |operation| self.write_errors.with_label_values(&[cache, tier.name(), operation]);
        Series {
            requests: tier.layers().iter().copied().map(requests).collect(),
            set_error: write_error("set"),
            remove_error: write_error("remove"),
            loaded: self.loads.series(&[cache, "ok"]),
            load_error: self.loads.series(&[cache, "error"]),
            shared: self.shared.with_label_values(&[cache]),
        }
    }
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// The series of one cache.
pub(crate) struct Series {
    /// One per layer of the tier, nearest first.
    requests: Vec<Requests>,
    pub(crate) set_error: IntCounter,
    pub(crate) remove_error: IntCounter,
    pub(crate) loaded: LatencySeries,
    pub(crate) load_error: LatencySeries,
    pub(crate) shared: IntCounter,
}

impl Series {
    /// Counts a request with `outcome` in layer `depth` (at most the last one), and a miss in each layer before it.
    pub(crate) fn request(&self, outcome: Outcome, depth: usize) {
        let last = depth.min(self.requests.len().saturating_sub(1));
        for (index, layer) in self.requests.iter().enumerate().take(last + 1) {
            layer.count(if index == last { outcome } else { Outcome::Miss });
        }
    }
}

/// The requests to one layer of one cache.
struct Requests {
    hit: IntCounter,
    negative_hit: IntCounter,
    miss: IntCounter,
    error: IntCounter,
    bypass: IntCounter,
}

impl Requests {
    fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Hit => self.hit.inc(),
            Outcome::NegativeHit => self.negative_hit.inc(),
            Outcome::Miss => self.miss.inc(),
            Outcome::Error => self.error.inc(),
            Outcome::Bypass => self.bypass.inc(),
        }
    }
}
