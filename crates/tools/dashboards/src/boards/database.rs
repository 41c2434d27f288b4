//! Dashboard of database calls and connections.

use kennel_telemetry::metrics::names;

use super::quantiles;
use crate::{Dashboard, Panel, Series, Unit, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new("database", "Database", "The same metrics for every store.")
        .row("Calls", calls())
        .row("Errors and connections", errors())
        .row("Batches", batches())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

pub(super) fn calls() -> Vec<Panel> {
    let calls = selected(names::DATABASE_DURATION);
    let by = ["backend", "operation"];
    let mut durations = Panel::lines("Duration", Unit::Seconds);
    for (expr, legend) in quantiles(&calls) {
        durations = durations.metric(&expr, legend);
    }
    vec![
        Panel::lines("Calls by operation", Unit::PerSecond)
            .metric(&sum(&by, &calls.clone().count().rate()), "{{backend}} {{operation}}"),
        durations,
        Panel::lines("p95 by operation", Unit::Seconds)
            .metric(&quantile(0.95, calls.clone(), &by), "{{backend}} {{operation}}"),
        Panel::lines("Concurrent calls by operation", Unit::Number)
            .describe("Seconds spent in calls per second: the average number of concurrent calls.")
            .metric(&sum(&by, &calls.sum().rate()), "{{backend}} {{operation}}"),
    ]
}

pub(super) fn errors() -> Vec<Panel> {
    let connections = selected(names::DATABASE_CONNECTIONS);
    let all = sum(&["backend"], &connections.now());
    let used = sum(&["backend"], &connections.clone().is("state", "used").now());
    let calls = selected(names::DATABASE_DURATION).count();
    let total = sum(&["backend"], &calls.rate());
    let failed = sum(&["backend"], &calls.is("outcome", "error").rate());
    vec![
        Panel::lines("Errors by kind", Unit::PerSecond)
            .describe("Callers cause conflicts; `unavailable` is a failure of the database.")
            .metric(&sum(&["backend", "kind"], &selected(names::DATABASE_ERRORS).rate()), "{{backend}} {{kind}}"),
        Panel::lines("Error ratio", Unit::Ratio).metric(&failed.or_zero_of(&total).over(&total), "{{backend}}"),
        Panel::lines("Connections", Unit::Number)
            .metric(&sum(&["backend", "state"], &connections.now()), "{{backend}} {{state}}"),
        Panel::lines("Pool utilization", Unit::Ratio)
            .describe("While it is 1, calls wait for a connection.")
            .metric(&used.over(&all), "{{backend}}"),
    ]
}

fn batches() -> Vec<Panel> {
    let (sizes, queued) = (selected(names::DATABASE_BATCH_SIZE), selected(names::DATABASE_BATCH_QUEUE));
    let by = ["backend", "operation"];
    let (calls, batches) = (sum(&by, &sizes.clone().sum().rate()), sum(&by, &sizes.count().rate()));
    vec![
        Panel::lines("Calls per batch", Unit::Number)
            .describe("The average. It is 1 while the database is idle, and rises with the load.")
            .metric(&calls.over(&batches), "{{backend}} {{operation}}"),
        Panel::lines("p95 of the wait for a batch", Unit::Seconds)
            .metric(&quantile(0.95, queued, &by), "{{backend}} {{operation}}"),
    ]
}
