//! W3C Trace Context between processes: in headers, and in the envelope of events.
//!
//! The parent of a span can only be set before it is first entered or read; call [`set_parent`] right after creating
//! it.

use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::TraceContext;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Returns the trace context of the current span. `None` outside a span or without a subscriber.
pub fn current() -> Option<TraceContext> {
    of(&Span::current())
}

/// Returns the trace context of `span`, with the span as the parent. `None` without a subscriber.
pub fn of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    let tracestate = || Some(ids.trace_state().header()).filter(|state| !state.is_empty());
    ids.is_valid().then(|| TraceContext { traceparent: traceparent(ids), tracestate: tracestate() })
}

/// The header of this name, in version 00 of W3C Trace Context. By hand, because every event and every request to another
/// service has one, and formatting it takes as long as the rest of its span.
fn traceparent(ids: &SpanContext) -> String {
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push_hex(&mut text, &ids.trace_id().to_bytes());
    text.push('-');
    push_hex(&mut text, &ids.span_id().to_bytes());
    // All other flags are reserved.
    text.push_str(if ids.is_sampled() { "-01" } else { "-00" });
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]) {
        text.push(char::from(DIGITS[usize::from(digit)]));
    }
}

/// Sets `trace` as the parent of `span`. Does nothing when the trace is invalid or the span has started.
pub fn set_parent(span: &Span, trace: &TraceContext) {
    if let Some(parent) = span_context(trace) {
        let context = Context::new().with_remote_span_context(parent);
        // Fails when no layer records traces or the span has started; tracing is best effort.
        drop(span.set_parent(context));
    }
}

/// Links `span` to `trace` without making it a child. For batches of events from many traces.
pub fn add_link(span: &Span, trace: &TraceContext) {
    if let Some(linked) = span_context(trace) {
        span.add_link(linked);
    }
}

/// Links `span` to `other`, a span of this process, without making it a child. For batches of calls.
pub fn add_link_to(span: &Span, other: &Span) {
    let context = other.context();
    let ids = context.span().span_context().clone();
    if ids.is_valid() {
        span.add_link(ids);
    }
}

/// Extracts the trace context from the headers of a request. `None` when it is missing or invalid.
pub fn extract(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let trace = TraceContext {
        traceparent: text(TRACEPARENT)?.trim().to_owned(),
        tracestate: text(TRACESTATE).filter(|state| !state.is_empty()).map(str::to_owned),
    };
    span_context(&trace).is_some().then_some(trace)
}

/// Injects the current trace context into the headers of a request; replaces an existing one.
pub fn inject(headers: &mut HeaderMap) {
    let Some(trace) = current() else { return };
    if let Ok(value) = HeaderValue::try_from(trace.traceparent) {
        headers.insert(HeaderName::from_static(TRACEPARENT), value);
        headers.remove(TRACESTATE);
    }
    if let Some(value) = trace.tracestate.and_then(|state| HeaderValue::try_from(state).ok()) {
        headers.insert(HeaderName::from_static(TRACESTATE), value);
    }
}

/// Returns the trace id of the current span if it is sampled, so that the trace can be found.
pub(crate) fn sampled() -> Option<TraceId> {
    Context::map_current(|context| sampled_id(context.span().span_context()))
}

/// Returns whether `trace` is valid and not sampled: its spans are not recorded.
pub fn is_unsampled(trace: &TraceContext) -> bool {
    span_context(trace).is_some_and(|ids| !ids.is_sampled())
}

/// Returns whether the current span belongs to a trace that is not sampled.
pub(crate) fn is_current_unsampled() -> bool {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid() && !ids.is_sampled()
    })
}

/// Returns the id of `trace` if it is sampled.
pub(crate) fn sampled_of(trace: &TraceContext) -> Option<TraceId> {
    span_context(trace).as_ref().and_then(sampled_id)
}

fn sampled_id(ids: &SpanContext) -> Option<TraceId> {
    (ids.is_sampled() && ids.is_valid()).then(|| ids.trace_id())
}

fn span_context(trace: &TraceContext) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Envelope(trace));
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| ids.clone())
}

struct Envelope<'a>(&'a TraceContext);

impl Extractor for Envelope<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(&self.0.traceparent),
            TRACESTATE => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::guard;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn trace(traceparent: &str) -> TraceContext {
        TraceContext { traceparent: traceparent.to_owned(), tracestate: Some("vendor=1".to_owned()) }
    }

    fn headers(traceparent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, traceparent.parse().unwrap());
        headers.insert(TRACESTATE, "vendor=1".parse().unwrap());
        headers
    }

    fn traced<T>(tracers: &SdkTracerProvider, work: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(guard::traces(tracers));
        let _subscribed = kennel_testkit::spans::subscribe(subscriber);
        work()
    }

    fn without_exporter() -> SdkTracerProvider {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        SdkTracerProvider::builder().with_sampler(sampler).build()
    }

    #[test]
    fn a_trace_is_propagated_through_a_span_to_the_next_request() {
        let sent = traced(&without_exporter(), || {
            let span = tracing::info_span!("request");
            set_parent(&span, &extract(&headers(PARENT)).unwrap());
            span.in_scope(|| {
                let mut headers = HeaderMap::new();
                inject(&mut headers);
                headers
            })
        });
        let next = sent[TRACEPARENT].to_str().unwrap();
        assert!(next.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{next}");
        assert!(next.ends_with("-01"), "the caller's sampling decision is propagated: {next}");
        assert_ne!(next, PARENT, "the next parent is this span, not the caller's");
        assert_eq!(sent[TRACESTATE], "vendor=1");
    }

    #[test]
    fn the_header_is_that_of_the_library() {
        #[derive(Default)]
        struct Carrier(Vec<(String, String)>);
        impl opentelemetry::propagation::Injector for Carrier {
            fn set(&mut self, key: &str, value: String) {
                self.0.push((key.to_owned(), value));
            }
        }
        for text in [PARENT, "00-0000000000000000000000000000000a-0f00000000000010-00"] {
            let ids = span_context(&trace(text)).unwrap();
            let mut carrier = Carrier::default();
            let context = Context::new().with_remote_span_context(ids.clone());
            TraceContextPropagator::new().inject_context(&context, &mut carrier);
            assert!(carrier.0.contains(&(TRACEPARENT.to_owned(), traceparent(&ids))), "{:?}", carrier.0);
            assert_eq!(traceparent(&ids), text);
        }
    }

    #[test]
    fn a_new_trace_has_ids_without_an_exporter() {
        let (first, second) = traced(&without_exporter(), || {
            let trace = || tracing::info_span!("work").in_scope(current).unwrap().traceparent;
            (trace(), trace())
        });
        assert_eq!(first.len(), PARENT.len());
        assert_ne!(first[3..35], second[3..35]);
    }

    #[test]
    fn outside_a_span_there_is_no_trace() {
        assert_eq!(current(), None);
        assert_eq!(traced(&without_exporter(), current), None);
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn invalid_traces_are_ignored() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(extract(&headers(bad)), None, "{bad}");
        }
        assert_eq!(extract(&HeaderMap::new()), None);
    }

    #[test]
    fn links_and_parents_are_recorded() {
        let exporter = InMemorySpanExporter::default();
        let tracers = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        traced(&tracers, || {
            let span = tracing::info_span!("batch");
            set_parent(&span, &trace(PARENT));
            add_link(&span, &trace("00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"));
            add_link(&span, &trace("nonsense"));
            span.in_scope(|| {});
        });
        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id.to_string(), "00f067aa0ba902b7");
        let links: Vec<_> = spans[0].links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
        assert_eq!(links, ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    }
}
