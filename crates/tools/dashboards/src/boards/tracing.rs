//! Dashboard of spans, traces and logs.

use crate::recorded::{SPAN_DURATION, SPANS};
use crate::{Dashboard, Panel, Series, Source, Unit, quantile, series, sum};

const FAILED: &str = "STATUS_CODE_ERROR";

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "platform-tracing",
        "Platform Tracing",
        "Span metrics from the collector, traces, and the logs of the same requests.",
    )
    .row("Spans", spans())
    .row("Traces", traces())
    .row("Logs", logs())
}

fn selected(name: &'static str) -> Series {
    series(name).matches("service_name", "$job")
}

fn spans() -> Vec<Panel> {
    let by = ["span_kind", "span_name"];
    let failed = selected(SPANS).is("status_code", FAILED);
    vec![
        Panel::lines("Spans", Unit::PerSecond)
            .metric(&sum(&by, &selected(SPANS).rate()), "{{span_kind}} {{span_name}}"),
        Panel::lines("Failed spans", Unit::PerSecond).metric(&sum(&by, &failed.rate()), "{{span_kind}} {{span_name}}"),
        Panel::lines("Span p95", Unit::Seconds)
            .describe("Each dot is an exemplar that links to a trace.")
            .wide(24)
            .metric(&quantile(0.95, selected(SPAN_DURATION), &by), "{{span_kind}} {{span_name}}"),
    ]
}

pub(super) fn traces() -> Vec<Panel> {
    let table = |title, query| Panel::table(title, Unit::Number).wide(12).query(Source::Tempo, query, "");
    vec![
        table("Failed traces", r#"{resource.service.name =~ "$job" && status = error}"#),
        table("Slow traces", r#"{resource.service.name =~ "$job" && kind = server && duration > 250ms}"#),
    ]
}

pub(super) fn logs() -> Vec<Panel> {
    let query = r#"{service_name=~"$job"} | severity_text=~"(?i)warn|error""#;
    vec![Panel::logs("Warnings and errors").query(Source::Loki, query, "")]
}
