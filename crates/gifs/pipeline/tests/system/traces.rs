//! A search, the download of what it found, and the report to the catalogue are one trace, which is the same with every
//! broker.

use std::collections::BTreeSet;
use std::path::Path;

use kennel_testkit::Collector;
use kennel_testkit::otlp::{Forest, Span};

use crate::backends::Variables;
use crate::provider::Provider;
use crate::system::{API, FILES, STORAGE, System, search, stop};

/// The trace of the caller.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/trace.txt");

pub(crate) async fn check(broker: &Variables) {
    let (provider, collector) = (Provider::start(1).await, Collector::start().await);
    let mut variables = [broker.as_slice(), &provider.variables()].concat();
    variables
        .extend([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())]);
    let system = System::new(variables);
    let mut processes = Vec::new();
    if broker.is_empty() {
        processes.push(system.serve_all().await);
    } else {
        for components in [API, STORAGE, FILES] {
            processes.push(system.serve(components).await);
        }
    }
    let http = processes[0].listener(API).await;
    let caller = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(search(http, "cat", &[("traceparent", &caller)]).await.len(), 1);

    let is_settled = |span: &Span| span.name.starts_with("create") && shows(span, "gifs.settled");
    let is_relayed = |spans: &[Span]| {
        let linked: BTreeSet<_> = published(spans).flat_map(|span| &span.links).map(|link| &link.span_id).collect();
        traced(spans).filter(|span| span.name.starts_with("create")).all(|span| linked.contains(&span.span_id))
    };
    let complete = |spans: &[Span]| {
        let has_root = || traced(spans).any(|span| shows(span, "/api/v1/gifs/search"));
        let is_complete = traced(spans).any(is_settled) && has_root() && is_relayed(spans);
        is_complete.then(|| traced(spans).cloned().collect::<Vec<_>>())
    };
    let spans = collector.until("the trace is complete", complete).await;
    for process in processes {
        stop(process).await;
    }
    let spans = if spans.len() < traced(&collector.received().spans).count() {
        // Spans that ended last.
        traced(&collector.received().spans).cloned().collect()
    } else {
        spans
    };
    let found = Forest::of(&spans).to_string();
    if broker.is_empty() && std::env::var_os("UPDATE").is_some() {
        std::fs::write(GOLDEN, &found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(Path::new(GOLDEN)).unwrap_or_default();
    assert!(expected == found, "expected:\n{expected}\nfound:\n{found}");
}

/// The spans of the trace.
fn traced(spans: &[Span]) -> impl Iterator<Item = &Span> {
    let id: Vec<u8> = (0..16).map(|byte| u8::from_str_radix(&TRACE[byte * 2..byte * 2 + 2], 16).unwrap()).collect();
    spans.iter().filter(move |span| span.trace_id == id)
}

/// What the relays have published; each is a trace of its own, with a link to every event.
fn published(spans: &[Span]) -> impl Iterator<Item = &Span> {
    spans.iter().filter(|span| span.name.starts_with("publish"))
}

/// Whether an attribute has this value.
fn shows(span: &Span, value: &str) -> bool {
    span.attributes.iter().any(|pair| format!("{:?}", pair.value).contains(&format!("{value:?}")))
}
