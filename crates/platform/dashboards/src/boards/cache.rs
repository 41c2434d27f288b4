//! Caches and object stores.

use kennel_telemetry::metrics::names;

use crate::{Dashboard, Panel, Series, Unit, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new("cache-and-objects", "Cache and Objects", "What caches save, and how the object store does.")
        .row("Cache", cache())
        .row("Objects", objects())
}

fn picked(name: &'static str) -> Series {
    series(name).picked()
}

fn cache() -> Vec<Panel> {
    let requests = picked(names::CACHE_REQUESTS);
    let by = ["cache", "tier"];
    let total = sum(&by, &requests.rate());
    let hits = sum(&by, &requests.clone().matches("outcome", "hit|negative_hit").rate());
    let write_errors = sum(&["cache", "tier", "operation"], &picked(names::CACHE_WRITE_ERRORS).rate());
    vec![
        Panel::lines("Hit ratio", Unit::Share).metric(&hits.over(&total), "{{cache}} {{tier}}"),
        Panel::lines("Requests by outcome", Unit::PerSecond)
            .describe("`error`: the tier did not answer, and the request went on without it.")
            .metric(&sum(&["cache", "tier", "outcome"], &requests.rate()), "{{cache}} {{tier}} {{outcome}}"),
        Panel::lines("p95 of loads", Unit::Seconds)
            .describe("Time to load what the cache did not have.")
            .metric(&quantile(0.95, picked(names::CACHE_LOAD_DURATION), &["cache"]), "{{cache}}"),
        Panel::lines("Loads saved", Unit::PerSecond)
            .describe("Requests answered by the load of another that ran already.")
            .metric(&sum(&["cache"], &picked(names::CACHE_LOADS_SHARED).rate()), "{{cache}}"),
        Panel::lines("Writes that failed", Unit::PerSecond)
            .wide(24)
            .metric(&write_errors, "{{cache}} {{tier}} {{operation}}"),
    ]
}

fn objects() -> Vec<Panel> {
    let operations = picked(names::OBJECTS_DURATION);
    let failed = operations.clone().count().differs("outcome", "ok");
    vec![
        Panel::lines("Operations", Unit::PerSecond)
            .metric(&sum(&["operation"], &operations.clone().count().rate()), "{{operation}}"),
        Panel::lines("p95 of operations", Unit::Seconds)
            .metric(&quantile(0.95, operations, &["operation"]), "{{operation}}"),
        Panel::lines("Operations refused or failed", Unit::PerSecond)
            .describe("`refused`: too large, or a body that broke off. `error`: the store's own trouble.")
            .wide(24)
            .metric(&sum(&["operation", "outcome"], &failed.rate()), "{{operation}} {{outcome}}"),
    ]
}
