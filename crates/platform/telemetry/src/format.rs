//! The two formats of log lines. Both contain the trace ids and the fields of the spans around the event.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The capacity up to which the buffer of a thread is reused.
const MAX_TEXT: usize = 4 * 1024;

/// One JSON object per line. Fields of an event override those of its spans, inner spans override outer ones.
pub(crate) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), now()?.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().to_ascii_lowercase().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        if let Some((trace_id, span_id)) = trace_ids() {
            line.insert("trace_id".to_owned(), trace_id.into());
            line.insert("span_id".to_owned(), span_id.into());
        }
        for span in ctx.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                add_span_fields(&mut line, &fields.fields);
            }
        }
        event.record(&mut JsonVisitor(&mut line));
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Human-readable text.
pub(crate) struct PrettyLines;

impl<S, N> FormatEvent<S, N> for PrettyLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (dim, plain) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let meta = event.metadata();
        write!(writer, "{dim}{}{plain} {:>5} {dim}{}{plain} ", now()?, meta.level(), meta.target())?;
        ctx.format_fields(writer.by_ref(), event)?;
        write!(writer, "{dim}")?;
        for span in ctx.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            write!(writer, " {}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(writer, "{{{fields}}}")?;
            }
        }
        if let Some((trace_id, span_id)) = trace_ids() {
            write!(writer, " trace_id={trace_id} span_id={span_id}")?;
        }
        writeln!(writer, "{plain}")
    }
}

fn now() -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(32);
    SystemTime.format_time(&mut Writer::new(&mut text))?;
    Ok(text)
}

/// Returns the ids of the trace and span that are active on this thread.
fn trace_ids() -> Option<(String, String)> {
    opentelemetry::Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    })
}

fn add_span_fields(line: &mut Map<String, Value>, fields_json: &str) {
    let object = format!("{{{}}}", fields_json.trim_end_matches(','));
    if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(&object) {
        line.extend(fields);
    }
}

/// Formats the fields of a span as members of a JSON object, each followed by a comma, so that later fields can be
/// appended. They are formatted for every span although few spans have log lines, so this has to be fast.
pub(crate) struct JsonFields;

thread_local! {
    /// The text of one span's fields before it is written at once, so that the span's own buffer is allocated only once.
    static TEXT: Cell<String> = const { Cell::new(String::new()) };
}

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        // A value whose formatting creates a span itself finds an empty buffer.
        let mut visitor = JsonFieldVisitor { text: TEXT.take() };
        fields.record(&mut visitor);
        let mut text = visitor.text;
        let written = writer.write_str(&text);
        if text.capacity() <= MAX_TEXT {
            text.clear();
            TEXT.set(text);
        }
        written
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

struct JsonFieldVisitor {
    text: String,
}

impl JsonFieldVisitor {
    /// Writes a field; `json` writes its value.
    fn field(&mut self, field: &Field, json: impl FnOnce(&mut String)) {
        // `otel.*` fields are for the tracer, not for log lines.
        if field.name().starts_with("otel.") {
            return;
        }
        self.text.push('"');
        self.text.push_str(field.name().strip_prefix("r#").unwrap_or(field.name()));
        self.text.push_str("\":");
        json(&mut self.text);
        self.text.push(',');
    }

    fn field_json(&mut self, field: &Field, json: impl fmt::Display) {
        use fmt::Write as _;
        // A `String` accepts everything.
        self.field(field, |text| write!(text, "{json}").unwrap_or_default());
    }

    fn text(&mut self, field: &Field, value: &str) {
        if value.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
            self.field(field, |text| {
                text.push('"');
                text.push_str(value);
                text.push('"');
            });
        } else {
            self.field_json(field, Value::from(value));
        }
    }
}

impl Visit for JsonFieldVisitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field_json(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field_json(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field_json(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field_json(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

struct JsonVisitor<'a>(&'a mut Map<String, Value>);

impl JsonVisitor<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        // `log.*` fields are metadata from the bridge of the `log` crate.
        if !field.name().starts_with("log.") {
            let name = field.name().strip_prefix("r#").unwrap_or(field.name());
            self.0.insert(name.to_owned(), value.into());
        }
    }
}

impl Visit for JsonVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.insert(field, error_chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

/// Returns an error and all its sources on one line.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use kennel_core::RepoError;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::fmt::writer::BoxMakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::config::LogFormat;
    use crate::guard;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the log lines of `work`, as `init` would write them.
    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let sink = Sink::default();
        let out = sink.clone();
        let tracers = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        let subscriber = tracing_subscriber::registry().with(guard::traces(&tracers)).with(guard::lines(
            format,
            BoxMakeWriter::new(move || out.clone()),
            false,
        ));
        let guard = kennel_testkit::spans::subscribe(subscriber);
        work();
        drop(guard);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn fail_inside_a_request() {
        let outer = tracing::info_span!("request", otel.kind = "server", request_id = "abc", depth = 1);
        let error = RepoError::Unavailable(io::Error::other("disk on fire").into());
        let _outer = outer.entered();
        let _inner = tracing::info_span!("query", depth = 2).entered();
        tracing::error!(error = &error as &dyn Error, attempts = 3, "query failed");
    }

    #[test]
    fn a_json_line_contains_ids_span_fields_and_sources() {
        let text = logged(LogFormat::Json, fail_inside_a_request);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["message"], "query failed");
        assert_eq!(line["request_id"], "abc");
        assert_eq!((line["depth"].as_u64(), line["attempts"].as_u64()), (Some(2), Some(3)));
        assert_eq!(line["error"], "storage is unavailable: disk on fire");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
        assert!(!line.contains_key("otel.kind"));
    }

    #[test]
    fn a_span_field_has_its_type_and_last_value() {
        let text = logged(LogFormat::Json, || {
            let span =
                tracing::info_span!("work", status = 1, ok = true, ratio = 0.5, breed = "hus\"ky\\\n", note = ?"a\"b");
            span.record("status", 204);
            span.in_scope(|| tracing::info!("done"));
        });
        let line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["status"], &line["ok"], &line["ratio"]), (&204.into(), &true.into(), &0.5.into()));
        assert_eq!((line["breed"].as_str(), line["note"].as_str()), (Some("hus\"ky\\\n"), Some(r#""a\"b""#)));
    }

    #[test]
    fn outside_a_span_there_are_no_ids() {
        let text = logged(LogFormat::Json, || tracing::info!("starting"));
        let line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "starting");
        assert!(!line.contains_key("trace_id") && !line.contains_key("span_id"), "{text}");
    }

    #[test]
    fn a_line_break_in_a_value_is_escaped() {
        let text = logged(LogFormat::Json, || tracing::info!(breed = "hus\nky\u{1b}[31m", "odd"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_pretty_line_contains_the_same() {
        let text = logged(LogFormat::Pretty, fail_inside_a_request);
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in ["ERROR", "query failed", "disk on fire", "request_id=\"abc\"", "trace_id=", "span_id="] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
