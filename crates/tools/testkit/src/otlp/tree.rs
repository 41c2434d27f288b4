//! Renders spans as trees of text, so that two runs can be compared.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// Attributes whose values are deterministic. Others are printed without their value: `#` for a number and `*` for
/// anything else.
const PRINTED_ATTRIBUTES: [&str; 22] = [
    "cache.name",
    "cache.outcome",
    "db.collection.name",
    "db.operation.batch.size",
    "db.operation.name",
    "dog.revision",
    "error.type",
    "event.name",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "messaging.batch.message_count",
    "messaging.consumer.group.name",
    "messaging.delivery.attempt",
    "messaging.destination.name",
    "messaging.operation.name",
    "messaging.operation.type",
    "outbox.batch",
    "rpc.grpc.status_code",
    "rpc.method",
    "rpc.service",
    "rpc.system",
];

/// Traces, built from spans.
///
/// `Display` prints each trace as a tree. Traces and children are ordered by start time, except the spans of producers
/// and consumers: those start at an arbitrary time, so they come last, ordered by text. A link is printed as the name
/// of its target span.
pub struct Forest<'a> {
    spans: HashMap<&'a [u8], &'a Span>,
    children: HashMap<&'a [u8], Vec<&'a Span>>,
    roots: Vec<&'a Span>,
}

impl<'a> Forest<'a> {
    /// Builds the traces of `spans`. A span whose parent is not in `spans` is a root.
    pub fn of(spans: &'a [Span]) -> Self {
        let known: HashMap<_, _> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        let mut roots = Vec::new();
        for span in spans {
            if known.contains_key(span.parent_span_id.as_slice()) {
                children.entry(span.parent_span_id.as_slice()).or_default().push(span);
            } else {
                roots.push(span);
            }
        }
        roots.sort_by_key(|span| span.start_time_unix_nano);
        Self { spans: known, children, roots }
    }

    /// Root span of each trace.
    pub fn roots(&self) -> &[&'a Span] {
        &self.roots
    }

    /// Renders the tree below `root`, indented by `depth` levels.
    pub fn tree(&self, root: &Span, depth: usize) -> String {
        let mut text = format!("{:width$}{}\n", "", self.line(root), width = depth * 2);
        let mut children = self.children.get(root.span_id.as_slice()).cloned().unwrap_or_default();
        children.sort_by_key(|span| span.start_time_unix_nano);
        let (unordered, ordered): (Vec<_>, Vec<_>) = children.into_iter().partition(|span| is_unordered(span));
        text.extend(ordered.iter().map(|span| self.tree(span, depth + 1)));
        let mut unordered: Vec<_> = unordered.iter().map(|span| self.tree(span, depth + 1)).collect();
        unordered.sort();
        text.extend(unordered);
        text
    }

    /// Roots of the traces that have a link to the trace `id`.
    pub fn linked_to(&self, id: &[u8]) -> Vec<&'a Span> {
        let linked =
            self.spans.values().filter(|span| span.trace_id != id && span.links.iter().any(|link| link.trace_id == id));
        let traces: Vec<_> = linked.map(|span| span.trace_id.as_slice()).collect();
        self.roots.iter().copied().filter(|root| traces.contains(&root.trace_id.as_slice())).collect()
    }

    fn line(&self, span: &Span) -> String {
        let mut line = format!("{} ({})", span.name, kind(span));
        if span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error) {
            line.push_str(" ERROR");
        }
        let attributes: BTreeMap<_, _> = span.attributes.iter().map(|pair| (pair.key.as_str(), pair)).collect();
        for (key, pair) in attributes {
            line.extend([" ", key, "=", &printed(pair)]);
        }
        let mut links: Vec<_> = span.links.iter().map(|link| self.link(&link.span_id)).collect();
        links.sort();
        for link in links {
            line.extend([" -> ", &link]);
        }
        line
    }

    fn link(&self, id: &[u8]) -> String {
        let Some(span) = self.spans.get(id) else { return "unknown".to_owned() };
        let event = span.attributes.iter().find(|pair| pair.key == "event.name");
        event.map_or_else(|| span.name.clone(), |event| format!("{} {}", span.name, text(event.value.as_ref())))
    }
}

impl fmt::Display for Forest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.roots.iter().try_for_each(|root| f.write_str(&self.tree(root, 0)))
    }
}

/// Whether the start time of the span is arbitrary.
fn is_unordered(span: &Span) -> bool {
    matches!(span.kind(), SpanKind::Producer | SpanKind::Consumer)
}

fn kind(span: &Span) -> String {
    span.kind().as_str_name().trim_start_matches("SPAN_KIND_").to_ascii_lowercase()
}

fn printed(pair: &KeyValue) -> String {
    let (value, is_number) = (pair.value.as_ref(), integer(pair).is_some());
    match (PRINTED_ATTRIBUTES.contains(&pair.key.as_str()), is_number) {
        // Quotes distinguish text that contains a number from a number.
        (true, false) if text(value).parse::<f64>().is_ok() => format!("\"{}\"", text(value)),
        (true, _) => text(value),
        (false, true) => "#".to_owned(),
        (false, false) => "*".to_owned(),
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// The value of an integer attribute.
pub fn integer(pair: &KeyValue) -> Option<i64> {
    match pair.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::Link;

    use super::*;

    fn span(trace: u8, id: u8, parent: u8, name: &str, kind: SpanKind) -> Span {
        let attribute = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
            ..KeyValue::default()
        };
        Span {
            trace_id: vec![trace],
            span_id: vec![id],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent] },
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: id.into(),
            attributes: vec![attribute("event.name", "born"), attribute("dog.id", "7")],
            ..Span::default()
        }
    }

    #[test]
    fn spans_are_printed_as_trees() {
        let mut batch = span(2, 6, 0, "batch", SpanKind::Client);
        batch.links = vec![
            Link { trace_id: vec![1], span_id: vec![4], ..Link::default() },
            Link { trace_id: vec![9], span_id: vec![9], ..Link::default() },
        ];
        let spans = [
            batch,
            span(1, 3, 1, "second", SpanKind::Client),
            span(1, 2, 1, "first", SpanKind::Internal),
            span(1, 5, 4, "work", SpanKind::Consumer),
            span(1, 4, 1, "alpha", SpanKind::Producer),
            span(1, 1, 0, "root", SpanKind::Server),
        ];
        let forest = Forest::of(&spans);
        let with = "dog.id=* event.name=born";
        let expected = format!(
            "root (server) {with}\n  first (internal) {with}\n  second (client) {with}\n  alpha (producer) {with}\n    \
             work (consumer) {with}\nbatch (client) {with} -> alpha born -> unknown\n"
        );
        assert_eq!(forest.to_string(), expected);
        assert_eq!(forest.roots().len(), 2);
        let linked: Vec<_> = forest.linked_to(&[1]).iter().map(|root| root.name.as_str()).collect();
        assert_eq!(linked, ["batch"]);
    }
}
