//! Records the spans of a test.

use std::sync::LazyLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

/// A second subscriber. With only one, `tracing` caches for all threads whether the subscriber of the thread that first
/// reaches a callsite is interested in it; with several, it asks each of them.
static SECOND_SUBSCRIBER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// Records the spans that end on this thread until the guard is dropped.
pub fn record() -> (DefaultGuard, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let tracers =
        SdkTracerProvider::builder().with_max_links_per_span(1_000).with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer("test"));
    (subscribe(tracing_subscriber::registry().with(layer)), exporter)
}

/// Sets the subscriber of this thread until the guard is dropped, independent of other threads.
pub fn subscribe(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    LazyLock::force(&SECOND_SUBSCRIBER);
    tracing::dispatcher::set_default(&subscriber.into())
}
