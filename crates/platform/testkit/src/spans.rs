//! Reads back the spans that a test ends.

use std::sync::LazyLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

/// While there is one subscriber alone, `tracing` asks that of the thread which meets a span first, whatever thread that
/// is, and keeps the answer for all; of several it asks each.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// Records the spans that this thread ends until the guard is dropped.
pub fn record() -> (DefaultGuard, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer("test"));
    (subscribe(tracing_subscriber::registry().with(layer)), exporter)
}

/// Has `subscriber` hear of what this thread does until the guard is dropped, whichever thread meets a span first.
pub fn subscribe(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    LazyLock::force(&ANOTHER);
    tracing::dispatcher::set_default(&subscriber.into())
}
