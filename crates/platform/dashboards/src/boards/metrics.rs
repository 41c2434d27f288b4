//! Requests, calls, upstreams and the process.

use kennel_telemetry::metrics::{SERVER_FAULT, names};

use super::quantiles;
use crate::slo::HTTP_FAILURES;
use crate::{Dashboard, Expr, Panel, Series, Unit, min, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "platform-metrics",
        "Platform Metrics",
        "Rate, errors and duration of all that comes in, and the process behind it.",
    )
    .row("Now", now())
    .row("HTTP", http())
    .row("gRPC", grpc())
    .row("Upstreams", upstreams())
    .row("Dependencies", dependencies())
    .row("Process", process())
}

fn picked(name: &'static str) -> Series {
    series(name).picked()
}

fn share_failed(all: &Series, label: &str, failures: &str, by: &[&str]) -> Expr {
    let total = sum(by, &all.rate());
    sum(by, &all.clone().matches(label, failures).rate()).or_nought_of(&total).over(&total)
}

fn now() -> Vec<Panel> {
    let (requests, calls) = (picked(names::HTTP_REQUESTS), picked(names::GRPC_HANDLED));
    let latency = quantile(0.99, picked(names::HTTP_DURATION), &[]);
    vec![
        Panel::stat("Running", Unit::Number)
            .describe("Processes, by version.")
            .metric(&sum(&["version"], &picked(names::BUILD_INFO).now()), "{{version}}"),
        Panel::stat("Started", Unit::Since)
            .metric(&Expr::raw(format!("1000 * max({})", picked(names::PROCESS_START))), ""),
        Panel::stat("HTTP requests", Unit::PerSecond).metric(&sum(&[], &requests.rate()), ""),
        Panel::stat("HTTP failures", Unit::Share)
            .describe("Share of requests answered 5xx, but for 501.")
            .metric(&share_failed(&requests, "status", HTTP_FAILURES, &[]), "")
            .limit(0.001, "orange")
            .limit(0.01, "red"),
        Panel::stat("HTTP p99", Unit::Seconds).metric(&latency, "").limit(0.25, "orange").limit(0.5, "red"),
        Panel::stat("gRPC failures", Unit::Share)
            .describe("Share of calls whose failure is the service's own.")
            .metric(&share_failed(&calls, "fault", SERVER_FAULT, &[]), "")
            .limit(0.001, "orange")
            .limit(0.01, "red"),
    ]
}

fn http() -> Vec<Panel> {
    let requests = picked(names::HTTP_REQUESTS);
    let duration = picked(names::HTTP_DURATION);
    let mut durations = Panel::lines("HTTP duration", Unit::Seconds)
        .describe("Time until a response begins, without what the caller took to send the request.");
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
        Panel::lines("HTTP failures by route", Unit::Share)
            .metric(&share_failed(&requests, "status", HTTP_FAILURES, &["route"]), "{{route}}"),
        Panel::lines("HTTP requests in flight", Unit::Number)
            .describe("Past MAX_IN_FLIGHT, requests are refused with 503.")
            .metric(&sum(&["job"], &picked(names::HTTP_IN_FLIGHT).now()), "{{job}}"),
    ]
}

fn grpc() -> Vec<Panel> {
    let calls = picked(names::GRPC_HANDLED);
    vec![
        Panel::lines("gRPC calls by method", Unit::PerSecond)
            .metric(&sum(&["service", "method"], &calls.rate()), "{{service}}/{{method}}"),
        Panel::lines("gRPC calls by code", Unit::PerSecond)
            .describe("With whose fault the code is: a deadline may be the caller's own or the service's.")
            .metric(&sum(&["code", "fault"], &calls.rate()), "{{code}} {{fault}}"),
        Panel::lines("gRPC p95 by method", Unit::Seconds)
            .describe("From a call's start to its end: of a stream, for as long as it lasted.")
            .metric(&quantile(0.95, picked(names::GRPC_DURATION), &["method"]), "{{method}}"),
        Panel::lines("gRPC calls and connections", Unit::Number)
            .metric(&sum(&["method"], &picked(names::GRPC_IN_FLIGHT).now()), "{{method}}")
            .metric(&sum(&[], &picked(names::GRPC_CONNECTIONS).now()), "connections"),
    ]
}

fn dependencies() -> Vec<Panel> {
    vec![
        Panel::lines("What is up", Unit::Number)
            .describe("1 while a dependency answers every process, or a component makes progress in every process.")
            .wide(24)
            .metric(&min(&["dependency"], &picked(names::DEPENDENCY_UP).now()), "{{dependency}}"),
    ]
}

fn upstreams() -> Vec<Panel> {
    let tries = picked(names::UPSTREAM_DURATION);
    vec![
        Panel::lines("Upstream tries by outcome", Unit::PerSecond)
            .metric(&sum(&["upstream", "outcome"], &tries.clone().count().rate()), "{{upstream}} {{outcome}}"),
        Panel::lines("Upstream p95", Unit::Seconds).metric(&quantile(0.95, tries, &["upstream"]), "{{upstream}}"),
    ]
}

fn process() -> Vec<Panel> {
    let busy = sum(&["instance"], &picked(names::TOKIO_BUSY).rate());
    let workers = sum(&["instance"], &picked(names::TOKIO_WORKERS).now());
    let open = picked(names::PROCESS_OPEN_FDS).now();
    vec![
        Panel::lines("CPU", Unit::Number)
            .describe("Cores in use.")
            .wide(8)
            .metric(&sum(&["instance"], &picked(names::PROCESS_CPU).rate()), "{{instance}}"),
        Panel::lines("Memory", Unit::Bytes).wide(8).metric(&picked(names::PROCESS_MEMORY).now(), "{{instance}}"),
        Panel::lines("Open files", Unit::Share)
            .describe("Share of the file descriptors that the process may have.")
            .wide(8)
            .metric(&open.over(&picked(names::PROCESS_MAX_FDS).now()), "{{instance}}"),
        Panel::lines("Runtime busy", Unit::Share)
            .describe("Share of the worker threads' time that tasks took. Near 1, everything waits.")
            .wide(8)
            .metric(&busy.over(&workers), "{{instance}}"),
        Panel::lines("Tasks", Unit::Number)
            .wide(8)
            .metric(&sum(&["instance"], &picked(names::TOKIO_ALIVE_TASKS).now()), "{{instance}} alive")
            .metric(&sum(&["instance"], &picked(names::TOKIO_QUEUE_DEPTH).now()), "{{instance}} waiting"),
        Panel::lines("Threads", Unit::Number).wide(8).metric(&picked(names::PROCESS_THREADS).now(), "{{instance}}"),
    ]
}
