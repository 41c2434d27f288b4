//! Metrics of database calls and connections, with the same names for every database.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::RepoError;
use kennel_telemetry::metrics::{LatencyHistogram, LatencySeries, names};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::Driver;
use crate::error::label;

/// Upper bounds of the sizes of batches, up to the maximum size.
const BATCH_SIZE_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Metrics of the calls to one database. Clones update the same series.
#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    system: &'static str,
    duration: LatencyHistogram,
    errors: IntCounterVec,
    batch_size: HistogramVec,
    batch_queue: LatencyHistogram,
}

impl DatabaseMetrics {
    /// Registers the metrics of `database`, its connections included.
    pub fn register(registry: &Registry, database: Arc<dyn Driver>) -> Result<Self, prometheus::Error> {
        let errors = Opts::new(names::DATABASE_ERRORS, "Failed calls to the database, by kind");
        let sizes = HistogramOpts::new(names::DATABASE_BATCH_SIZE, "Number of calls that were executed together")
            .buckets(BATCH_SIZE_BUCKETS.to_vec());
        let metrics = Self {
            system: database.system(),
            duration: LatencyHistogram::register(
                registry,
                names::DATABASE_DURATION,
                "Time spent in a call to the database",
                &["backend", "operation", "outcome"],
            )?,
            errors: IntCounterVec::new(errors, &["backend", "kind"])?,
            batch_size: HistogramVec::new(sizes, &["backend", "operation"])?,
            batch_queue: LatencyHistogram::register(
                registry,
                names::DATABASE_BATCH_QUEUE,
                "Time that a call waited for its batch to start",
                &["backend", "operation"],
            )?,
        };
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(ConnectionCollector::new(database)?))?;
        Ok(metrics)
    }

    /// The name of the database in metrics and spans.
    pub const fn system(&self) -> &'static str {
        self.system
    }

    /// The metrics of the batches of `operation`, the name of the port's method, such as `dogs.find`.
    pub fn batches(&self, operation: &'static str) -> BatchMetrics {
        BatchMetrics {
            size: self.batch_size.with_label_values(&[self.system, operation]),
            queue: self.batch_queue.series(&[self.system, operation]),
        }
    }

    /// Runs one call inside `span`, created by [`database_span!`](crate::database_span), and records its metrics.
    pub async fn instrument<T>(
        &self,
        operation: &'static str,
        span: Span,
        call: impl Future<Output = Result<T, RepoError>>,
    ) -> Result<T, RepoError> {
        let started = Instant::now();
        let result = call.instrument(span.clone()).await;
        span.in_scope(|| self.record(operation, started, &result));
        if let Err(error) = &result {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind().codes().code);
        }
        result
    }

    /// Records the metrics of one call. `operation` is the name of the port's method, such as `dogs.find`.
    pub fn record<T>(&self, operation: &'static str, started: Instant, result: &Result<T, RepoError>) {
        let outcome = match result {
            Ok(_) => "ok",
            Err(error) => {
                self.errors.with_label_values(&[self.system, label(error)]).inc();
                "error"
            }
        };
        self.duration.observe(&[self.system, operation, outcome], started.elapsed());
    }
}

/// Metrics of the batches of one operation; see [`crate::batching`].
#[derive(Debug, Clone)]
pub struct BatchMetrics {
    size: Histogram,
    queue: LatencySeries,
}

impl BatchMetrics {
    /// Records the number of calls of a batch.
    pub(crate) fn size(&self, calls: usize) {
        self.size.observe(f64::from(u32::try_from(calls).unwrap_or(u32::MAX)));
    }

    /// Records how long a call waited for its batch to start.
    pub(crate) fn queued(&self, waited: Duration) {
        self.queue.observe(waited);
    }
}

/// The span of a database call by OpenTelemetry's semantic conventions: system, port, operation, collection and
/// additional fields. There is none inside a trace that is not recorded.
#[macro_export]
macro_rules! database_span {
    ($system:expr, $port:literal, $operation:literal, $collection:literal $(, $($field:tt)+)?) => {
        if $crate::kennel_telemetry::is_unsampled() {
            $crate::tracing::Span::none()
        } else {
            $crate::tracing::info_span!(
                concat!("db.", $port, ".", $operation),
                otel.kind = "client",
                otel.status_code = $crate::tracing::field::Empty,
                error.type = $crate::tracing::field::Empty,
                db.system.name = $system,
                db.collection.name = $collection,
                db.operation.name = $operation
                $(, $($field)+)?
            )
        }
    };
}

/// Reads the pool at every scrape, so that the gauges are never stale.
struct ConnectionCollector {
    database: Arc<dyn Driver>,
    gauges: IntGaugeVec,
}

impl ConnectionCollector {
    fn new(database: Arc<dyn Driver>) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(names::DATABASE_CONNECTIONS, "Open connections to the database");
        let gauges = IntGaugeVec::new(opts, &["backend", "state"])?;
        Ok(Self { database, gauges })
    }
}

impl Collector for ConnectionCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let open = self.database.connections();
        for (state, count) in [("idle", open.idle), ("used", open.used)] {
            let gauge = self.gauges.with_label_values(&[self.database.system(), state]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.gauges.collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::Connections;

    pub(crate) struct FixedDatabase;

    #[async_trait]
    impl Driver for FixedDatabase {
        fn system(&self) -> &'static str {
            "fixed"
        }

        async fn ping(&self) -> Result<(), RepoError> {
            Ok(())
        }

        async fn writable(&self) -> Result<(), RepoError> {
            Ok(())
        }

        fn connections(&self) -> Connections {
            Connections { idle: 3, used: 1 }
        }

        async fn close(&self) {}
    }

    #[test]
    fn names_and_labels_are_those_of_the_dashboards() {
        let registry = Registry::new();
        let metrics = DatabaseMetrics::register(&registry, Arc::new(FixedDatabase)).unwrap();
        metrics.record("dogs.find", Instant::now(), &Ok(()));
        metrics.record::<()>("dogs.find", Instant::now(), &Err(RepoError::Conflict));
        metrics.batches("dogs.find").size(3);
        metrics.batches("dogs.find").queued(Duration::ZERO);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            r#"database_query_duration_seconds_count{backend="fixed",operation="dogs.find",outcome="ok"} 1"#,
            r#"database_query_duration_seconds_count{backend="fixed",operation="dogs.find",outcome="error"} 1"#,
            r#"database_errors_total{backend="fixed",kind="conflict"} 1"#,
            r#"database_connections{backend="fixed",state="idle"} 3"#,
            r#"database_connections{backend="fixed",state="used"} 1"#,
            r#"database_batch_size_bucket{backend="fixed",operation="dogs.find",le="4"} 1"#,
            r#"database_batch_queue_seconds_count{backend="fixed",operation="dogs.find"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
