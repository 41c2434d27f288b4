//! The spans of processing deliveries, after OpenTelemetry's semantic conventions for messaging.

use kennel_core::Event;
use kennel_telemetry::{as_i64, propagation};
use tracing::Span;
use tracing::field::Empty;

/// Creates the span for the `attempt`-th delivery of an event from the broker `system` to `group`. It is a child of the
/// span that published the event.
pub fn process(system: &'static str, group: &'static str, event: &Event, attempt: u32) -> Span {
    let span = tracing::info_span!(
        "consumer.process",
        otel.name = format_args!("process {}", event.topic),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = system,
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = event.topic,
        messaging.consumer.group.name = group,
        messaging.message.id = %event.id,
        messaging.delivery.attempt = as_i64(attempt),
        event.name = event.name,
    );
    if let Some(trace) = &event.trace {
        propagation::set_parent(&span, trace);
    }
    span
}

/// Creates the span for handling `count` deliveries of `topic` at once. It starts a trace of its own; the caller links it
/// to the spans that published the events.
pub fn process_batch(system: &'static str, group: &'static str, topic: &'static str, count: usize) -> Span {
    tracing::info_span!(
        parent: None,
        "consumer.process",
        otel.name = format_args!("process {topic}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = system,
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = topic,
        messaging.consumer.group.name = group,
        messaging.batch.message_count = as_i64(count),
    )
}
