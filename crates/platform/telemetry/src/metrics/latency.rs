//! Duration histograms with exemplars: each bucket has the trace id of its last observation, which leads from a panel
//! to a trace.
//!
//! Only sampled traces become exemplars, so that each one can be found. A registry can only collect metric families, so
//! the exemplars are collected as a separate family, which [`super::encode`] removes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use kennel_core::{Clock as _, SystemClock, Timestamp, TraceContext};
use opentelemetry::trace::TraceId;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::LATENCY_BUCKETS;
use crate::propagation;

/// Suffix of the family of a histogram's exemplars.
pub(super) const SUFFIX: &str = "_exemplars";
/// Label of an exemplar with its trace id; Grafana's data source expects this name.
pub(super) const TRACE_ID: &str = "trace_id";
/// Label of an exemplar with the index of its bucket. Histograms cannot have a label of this name.
pub(super) const BUCKET: &str = "le";

/// Number of buckets: those of [`LATENCY_BUCKETS`], and `+Inf`.
const BUCKETS: usize = LATENCY_BUCKETS.len() + 1;

/// A histogram of durations. Clones share the same series.
#[derive(Debug, Clone)]
pub struct LatencyHistogram {
    histogram: HistogramVec,
    exemplars: Arc<Exemplars>,
}

/// One series of a [`LatencyHistogram`], looked up once.
#[derive(Debug, Clone)]
pub struct LatencySeries {
    histogram: Histogram,
    labels: Arc<[String]>,
    exemplars: Arc<Exemplars>,
}

impl LatencyHistogram {
    /// Adds a histogram with [`LATENCY_BUCKETS`] to `registry`.
    pub fn register(
        registry: &Registry,
        name: &'static str,
        help: &str,
        labels: &[&'static str],
    ) -> Result<Self, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec());
        let histogram = HistogramVec::new(opts, labels)?;
        let exemplars = Exemplars { name, labels: labels.to_vec(), series: Mutex::default() };
        let registered = Self { histogram, exemplars: Arc::new(exemplars) };
        registry.register(Box::new(registered.clone()))?;
        Ok(registered)
    }

    /// Returns the series with these label values, in the order of [`LatencyHistogram::register`].
    pub fn series(&self, labels: &[&str]) -> LatencySeries {
        LatencySeries {
            histogram: self.histogram.with_label_values(labels),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            exemplars: Arc::clone(&self.exemplars),
        }
    }

    /// Records a duration, in the trace of the current span.
    pub fn observe(&self, labels: &[&str], took: Duration) {
        let seconds = took.as_secs_f64();
        self.histogram.with_label_values(labels).observe(seconds);
        if let Some(trace) = propagation::sampled() {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            self.exemplars.record(&labels, seconds, trace);
        }
    }
}

impl LatencySeries {
    /// Records a duration, in the trace of the current span.
    pub fn observe(&self, took: Duration) {
        self.record(took, propagation::sampled());
    }

    /// Records a duration, in `trace`.
    pub fn observe_in(&self, took: Duration, trace: Option<&TraceContext>) {
        self.record(took, trace.and_then(propagation::sampled_of));
    }

    /// Returns the number of observations.
    pub fn count(&self) -> u64 {
        self.histogram.get_sample_count()
    }

    fn record(&self, took: Duration, trace: Option<TraceId>) {
        let seconds = took.as_secs_f64();
        self.histogram.observe(seconds);
        if let Some(trace) = trace {
            self.exemplars.record(&self.labels, seconds, trace);
        }
    }
}

impl Collector for LatencyHistogram {
    fn desc(&self) -> Vec<&Desc> {
        self.histogram.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.histogram.collect();
        families.push(self.exemplars.family());
        families
    }
}

/// The last exemplar of each bucket, by label values.
#[derive(Debug)]
struct Exemplars {
    name: &'static str,
    labels: Vec<&'static str>,
    series: Mutex<HashMap<Box<[String]>, Buckets>>,
}

type Buckets = [Option<Exemplar>; BUCKETS];

#[derive(Debug, Clone, Copy)]
struct Exemplar {
    trace: TraceId,
    seconds: f64,
    at: Timestamp,
}

impl Exemplars {
    /// Stores an exemplar. Skips it while another one is stored or a scrape reads, so that observations never wait.
    fn record(&self, labels: &[String], seconds: f64, trace: TraceId) {
        let mut series = match self.series.try_lock() {
            Ok(series) => series,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let bucket = LATENCY_BUCKETS.partition_point(|bound| *bound < seconds);
        let exemplar = Some(Exemplar { trace, seconds, at: SystemClock.now() });
        if let Some(buckets) = series.get_mut(labels) {
            buckets[bucket] = exemplar;
        } else {
            let mut buckets = Buckets::default();
            buckets[bucket] = exemplar;
            series.insert(labels.into(), buckets);
        }
    }

    fn family(&self) -> MetricFamily {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut metrics = Vec::new();
        for (labels, buckets) in &*series {
            let of_series = |bucket: usize, exemplar: &Exemplar| self.metric(labels, bucket, exemplar);
            let present =
                buckets.iter().enumerate().filter_map(|(bucket, exemplar)| Some((bucket, exemplar.as_ref()?)));
            metrics.extend(present.map(|(bucket, exemplar)| of_series(bucket, exemplar)));
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("{}{SUFFIX}", self.name));
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(metrics);
        family
    }

    fn metric(&self, labels: &[String], bucket: usize, exemplar: &Exemplar) -> Metric {
        let own = self.labels.iter().copied().zip(labels.iter().cloned());
        let ours = [(BUCKET, bucket.to_string()), (TRACE_ID, exemplar.trace.to_string())];
        let mut pairs: Vec<_> = own.chain(ours).map(|(name, value)| pair(name, value)).collect();
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut metric = Metric::from_label(pairs);
        let mut gauge = Gauge::default();
        gauge.set_value(exemplar.seconds);
        metric.set_gauge(gauge);
        metric.set_timestamp_ms(exemplar.at.as_millis());
        metric
    }
}

fn pair(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::guard;
    use crate::metrics::Format;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn histogram(labels: &[&'static str]) -> (Registry, LatencyHistogram) {
        let registry = Registry::new();
        let histogram = LatencyHistogram::register(&registry, "call_seconds", "Calls", labels).unwrap();
        (registry, histogram)
    }

    /// Returns the lines with an exemplar, without its timestamp.
    fn exemplars(registry: &Registry) -> Vec<String> {
        let text = Format::OpenMetrics.encode(std::slice::from_ref(registry));
        let lines = text.lines().filter(|line| line.contains(" # {"));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    }

    fn trace(traceparent: &str) -> TraceContext {
        TraceContext { traceparent: traceparent.to_owned(), tracestate: None }
    }

    fn subscribed<T>(sampler: Sampler, work: impl FnOnce() -> T) -> T {
        let tracers = SdkTracerProvider::builder().with_sampler(sampler).build();
        let subscriber = tracing_subscriber::registry().with(guard::traces(&tracers));
        let _subscribed = kennel_testkit::spans::subscribe(subscriber);
        work()
    }

    #[test]
    fn a_bucket_has_the_last_sampled_trace() {
        let (registry, histogram) = histogram(&["kind", "about"]);
        let ids = subscribed(Sampler::AlwaysOn, || {
            let observe = |millis| {
                tracing::info_span!("call").in_scope(|| {
                    histogram.observe(&["read", "x"], Duration::from_millis(millis));
                    propagation::sampled().unwrap()
                })
            };
            [1, 2, 3, 20_000].map(observe)
        });
        subscribed(Sampler::AlwaysOff, || {
            tracing::info_span!("call").in_scope(|| histogram.observe(&["read", "x"], Duration::from_millis(4)));
        });
        histogram.observe(&["read", "x"], Duration::from_millis(1));
        let line = |le: &str, count: u32, id: TraceId, value: &str| {
            let labels = format!(r#"about="x",kind="read",le="{le}""#);
            format!(r#"call_seconds_bucket{{{labels}}} {count} # {{trace_id="{id}"}} {value}"#)
        };
        let expected = [
            line("0.001", 2, ids[0], "0.001"),
            line("0.0025", 3, ids[1], "0.002"),
            line("0.005", 5, ids[2], "0.003"),
            line("+Inf", 6, ids[3], "20"),
        ];
        assert_eq!(exemplars(&registry), expected);
        let classic = super::super::encode(&registry);
        assert!(classic.contains("call_seconds_count") && !classic.contains("trace_id"), "{classic}");
    }

    #[test]
    fn an_event_has_the_trace_that_caused_it() {
        let (registry, histogram) = histogram(&[]);
        let series = histogram.series(&[]);
        series.observe_in(Duration::from_millis(30), Some(&trace(UNSAMPLED)));
        series.observe_in(Duration::from_millis(30), Some(&trace("nonsense")));
        series.observe_in(Duration::from_millis(30), None);
        assert_eq!(exemplars(&registry), Vec::<String>::new());
        series.observe_in(Duration::from_secs(1), Some(&trace(SAMPLED)));
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(exemplars(&registry), [format!(r#"call_seconds_bucket{{le="1.0"}} 4 # {{trace_id="{id}"}} 1"#)]);
        assert_eq!(series.count(), 4);
    }

    #[test]
    fn an_observation_never_waits() {
        let (registry, histogram) = histogram(&[]);
        let series = histogram.series(&[]);
        let scrape = histogram.exemplars.series.lock().unwrap();
        series.observe_in(Duration::from_secs(1), Some(&trace(SAMPLED)));
        drop(scrape);
        assert_eq!((series.count(), exemplars(&registry)), (1, Vec::new()));
    }
}
