//! Calls to the databases, and connections.

use kennel_telemetry::metrics::names;

use super::quantiles;
use crate::{Dashboard, Panel, Series, Unit, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new("database", "Database", "The same numbers for every store.")
        .row("Calls", calls())
        .row("Trouble", trouble())
}

fn picked(name: &'static str) -> Series {
    series(name).picked()
}

fn calls() -> Vec<Panel> {
    let calls = picked(names::DATABASE_DURATION);
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
        Panel::lines("Calls at once, by operation", Unit::Number)
            .describe("Seconds spent in calls in each second: how many run at once, on average.")
            .metric(&sum(&by, &calls.sum().rate()), "{{backend}} {{operation}}"),
    ]
}

fn trouble() -> Vec<Panel> {
    let connections = picked(names::DATABASE_CONNECTIONS);
    let all = sum(&["backend"], &connections.now());
    let used = sum(&["backend"], &connections.clone().is("state", "used").now());
    let calls = picked(names::DATABASE_DURATION).count();
    let total = sum(&["backend"], &calls.rate());
    let failed = sum(&["backend"], &calls.is("outcome", "error").rate());
    vec![
        Panel::lines("Errors by kind", Unit::PerSecond)
            .describe("Conflicts are what callers asked for; `unavailable` is the database's own trouble.")
            .metric(&sum(&["backend", "kind"], &picked(names::DATABASE_ERRORS).rate()), "{{backend}} {{kind}}"),
        Panel::lines("Share that failed", Unit::Share).metric(&failed.or_nought_of(&total).over(&total), "{{backend}}"),
        Panel::lines("Connections", Unit::Number)
            .metric(&sum(&["backend", "state"], &connections.now()), "{{backend}} {{state}}"),
        Panel::lines("Share of connections in use", Unit::Share)
            .describe("At 1 for long, calls wait for a connection.")
            .metric(&used.over(&all), "{{backend}}"),
    ]
}
