//! Dashboard of HTTP requests, gRPC calls, upstreams and the process.

use kennel_telemetry::metrics::{SERVER_FAULT, names};

use super::quantiles;
use crate::slo::HTTP_FAILURES;
use crate::{Dashboard, Expr, Panel, Series, Unit, min, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "platform-metrics",
        "Platform Metrics",
        "Rate, errors and duration of requests, and resources of the process.",
    )
    .row("Now", now())
    .row("HTTP", http())
    .row("gRPC", grpc())
    .row("Callers", callers())
    .row("Upstreams", upstreams())
    .row("Dependencies", dependencies())
    .row("Process", process())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

fn error_ratio(all: &Series, label: &str, failures: &str, by: &[&str]) -> Expr {
    let total = sum(by, &all.rate());
    sum(by, &all.clone().matches(label, failures).rate()).or_zero_of(&total).over(&total)
}

pub(super) fn now() -> Vec<Panel> {
    let (requests, calls) = (selected(names::HTTP_REQUESTS), selected(names::GRPC_HANDLED));
    let latency = quantile(0.99, selected(names::HTTP_DURATION), &[]);
    vec![
        Panel::stat("Running", Unit::Number)
            .describe("Processes, by version.")
            .metric(&sum(&["version"], &selected(names::BUILD_INFO).now()), "{{version}}"),
        Panel::stat("Started", Unit::Since)
            .metric(&Expr::raw(format!("1000 * max({})", selected(names::PROCESS_START))), ""),
        Panel::stat("HTTP requests", Unit::PerSecond).metric(&sum(&[], &requests.rate()), ""),
        Panel::stat("HTTP failures", Unit::Ratio)
            .describe("Ratio of requests with a 5xx status, except 501.")
            .metric(&error_ratio(&requests, "status", HTTP_FAILURES, &[]), "")
            .limit(0.001, "orange")
            .limit(0.01, "red"),
        Panel::stat("HTTP p99", Unit::Seconds).metric(&latency, "").limit(0.25, "orange").limit(0.5, "red"),
        Panel::stat("gRPC failures", Unit::Ratio)
            .describe("Ratio of calls that failed because of the service.")
            .metric(&error_ratio(&calls, "fault", SERVER_FAULT, &[]), "")
            .limit(0.001, "orange")
            .limit(0.01, "red"),
    ]
}

pub(super) fn http() -> Vec<Panel> {
    let requests = selected(names::HTTP_REQUESTS);
    let duration = selected(names::HTTP_DURATION);
    let mut durations = Panel::lines("HTTP duration", Unit::Seconds)
        .describe("Time until a response starts, without the time the client takes to send the request.");
    for (expr, legend) in quantiles(&duration) {
        durations = durations.metric(&expr, legend);
    }
    vec![
        Panel::lines("HTTP requests by route", Unit::PerSecond)
            .metric(&sum(&["method", "route"], &requests.rate()), "{{method}} {{route}}"),
        Panel::lines("HTTP requests by status", Unit::PerSecond)
            .metric(&sum(&["status"], &requests.rate()), "{{status}}"),
        durations,
        Panel::lines("HTTP p95 by route", Unit::Seconds)
            .metric(&quantile(0.95, duration, &["method", "route"]), "{{method}} {{route}}"),
        Panel::lines("HTTP failures by route", Unit::Ratio)
            .metric(&error_ratio(&requests, "status", HTTP_FAILURES, &["route"]), "{{route}}"),
        Panel::lines("HTTP requests in flight", Unit::Number)
            .describe("Above MAX_IN_FLIGHT, requests are refused with 503.")
            .metric(&sum(&["job"], &selected(names::HTTP_IN_FLIGHT).now()), "{{job}}"),
        Panel::lines("TLS handshakes", Unit::PerSecond)
            .describe("Of HTTP and gRPC, and how often other certificates were read.")
            .metric(&sum(&["outcome"], &selected(names::TLS_HANDSHAKES).rate()), "{{outcome}}")
            .metric(&sum(&["outcome"], &selected(names::TLS_RELOADS).rate()), "certificate {{outcome}}"),
    ]
}

pub(super) fn grpc() -> Vec<Panel> {
    let calls = selected(names::GRPC_HANDLED);
    vec![
        Panel::lines("gRPC calls by method", Unit::PerSecond)
            .metric(&sum(&["service", "method"], &calls.rate()), "{{service}}/{{method}}"),
        Panel::lines("gRPC calls by code", Unit::PerSecond)
            .describe("With who is at fault: a deadline may be the caller's or the service's.")
            .metric(&sum(&["code", "fault"], &calls.rate()), "{{code}} {{fault}}"),
        Panel::lines("gRPC p95 by method", Unit::Seconds)
            .describe("From the start of a call to its end; for a stream, its entire duration.")
            .metric(&quantile(0.95, selected(names::GRPC_DURATION), &["method"]), "{{method}}"),
        Panel::lines("gRPC calls and connections", Unit::Number)
            .metric(&sum(&["method"], &selected(names::GRPC_IN_FLIGHT).now()), "{{method}}")
            .metric(&sum(&[], &selected(names::GRPC_CONNECTIONS).now()), "connections"),
    ]
}

fn callers() -> Vec<Panel> {
    vec![
        Panel::lines("Requests refused by reason", Unit::PerSecond)
            .describe(
                "Requests without valid credentials or without the scope, over HTTP and gRPC; nothing with AUTH=none.",
            )
            .metric(&sum(&["reason"], &selected(names::AUTH_REFUSED).rate()), "{{reason}}"),
        Panel::lines("Reads of the issuer's keys", Unit::PerSecond)
            .describe("While they fail, the keys that are known stay valid.")
            .metric(&sum(&["outcome"], &selected(names::AUTH_KEY_READS).rate()), "{{outcome}}"),
    ]
}

pub(super) fn dependencies() -> Vec<Panel> {
    vec![
        Panel::lines("Dependencies up", Unit::Number)
            .describe(
                "1 while a dependency is reachable from every process, or a component makes progress in every process.",
            )
            .wide(24)
            .metric(&min(&["dependency"], &selected(names::DEPENDENCY_UP).now()), "{{dependency}}"),
    ]
}

pub(super) fn upstreams() -> Vec<Panel> {
    let attempts = selected(names::UPSTREAM_DURATION);
    vec![
        Panel::lines("Upstream attempts by outcome", Unit::PerSecond)
            .metric(&sum(&["upstream", "outcome"], &attempts.clone().count().rate()), "{{upstream}} {{outcome}}"),
        Panel::lines("Upstream p95", Unit::Seconds).metric(&quantile(0.95, attempts, &["upstream"]), "{{upstream}}"),
        Panel::lines("gRPC calls to upstreams", Unit::PerSecond)
            .metric(
                &sum(&["upstream", "method", "code"], &selected(names::GRPC_CLIENT_HANDLED).rate()),
                "{{upstream}} {{method}} {{code}}",
            )
            .metric(&sum(&["upstream"], &selected(names::GRPC_CLIENT_RETRIES).rate()), "{{upstream}} retries"),
        Panel::lines("gRPC p95 of upstreams", Unit::Seconds)
            .describe("From the start of a call to its end, with its retries; for a stream, its entire duration.")
            .metric(
                &quantile(0.95, selected(names::GRPC_CLIENT_DURATION), &["upstream", "method"]),
                "{{upstream}} {{method}}",
            ),
        Panel::lines("gRPC addresses of upstreams", Unit::Number)
            .describe("Addresses that are not serving get no calls.")
            .metric(
                &sum(&["upstream", "state"], &selected(names::GRPC_CLIENT_ADDRESSES).now()),
                "{{upstream}} {{state}}",
            )
            .metric(&sum(&["upstream"], &selected(names::GRPC_CLIENT_IN_FLIGHT).now()), "{{upstream}} calls in flight"),
    ]
}

pub(super) fn process() -> Vec<Panel> {
    let busy = sum(&["instance"], &selected(names::TOKIO_BUSY).rate());
    let workers = sum(&["instance"], &selected(names::TOKIO_WORKERS).now());
    let open = selected(names::PROCESS_OPEN_FDS).now();
    vec![
        Panel::lines("CPU", Unit::Number)
            .describe("Cores in use.")
            .wide(8)
            .metric(&sum(&["instance"], &selected(names::PROCESS_CPU).rate()), "{{instance}}"),
        Panel::lines("Memory", Unit::Bytes).wide(8).metric(&selected(names::PROCESS_MEMORY).now(), "{{instance}}"),
        Panel::lines("Open files", Unit::Ratio)
            .describe("Ratio of open file descriptors to the limit of the process.")
            .wide(8)
            .metric(&open.over(&selected(names::PROCESS_MAX_FDS).now()), "{{instance}}"),
        Panel::lines("Runtime busy", Unit::Ratio)
            .describe("Ratio of the worker threads' time that tasks use. Near 1, all tasks are delayed.")
            .wide(8)
            .metric(&busy.over(&workers), "{{instance}}"),
        Panel::lines("Tasks", Unit::Number)
            .wide(8)
            .metric(&sum(&["instance"], &selected(names::TOKIO_ALIVE_TASKS).now()), "{{instance}} alive")
            .metric(&sum(&["instance"], &selected(names::TOKIO_QUEUE_DEPTH).now()), "{{instance}} waiting"),
        Panel::lines("Threads", Unit::Number).wide(8).metric(&selected(names::PROCESS_THREADS).now(), "{{instance}}"),
    ]
}
