//! Dashboard of caches and object stores.

use kennel_telemetry::metrics::names;

use crate::{Dashboard, Panel, Series, Unit, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "cache-and-objects",
        "Cache and Objects",
        "Hit ratios of caches, and operations of the object store.",
    )
    .row("Cache", cache())
    .row("Objects", objects())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

fn cache() -> Vec<Panel> {
    let requests = selected(names::CACHE_REQUESTS);
    let by = ["cache", "tier"];
    let total = sum(&by, &requests.rate());
    let hits = sum(&by, &requests.clone().matches("outcome", "hit|negative_hit").rate());
    let write_errors = sum(&["cache", "tier", "operation"], &selected(names::CACHE_WRITE_ERRORS).rate());
    vec![
        Panel::lines("Hit ratio", Unit::Ratio).metric(&hits.over(&total), "{{cache}} {{tier}}"),
        Panel::lines("Requests by outcome", Unit::PerSecond)
            .describe("`error`: the tier did not respond, and the request continued without it.")
            .metric(&sum(&["cache", "tier", "outcome"], &requests.rate()), "{{cache}} {{tier}} {{outcome}}"),
        Panel::lines("Load p95", Unit::Seconds)
            .describe("Time to load a value after a cache miss.")
            .metric(&quantile(0.95, selected(names::CACHE_LOAD_DURATION), &["cache"]), "{{cache}}"),
        Panel::lines("Coalesced loads", Unit::PerSecond)
            .describe("Requests that waited for the load of another request instead of starting their own.")
            .metric(&sum(&["cache"], &selected(names::CACHE_LOADS_SHARED).rate()), "{{cache}}"),
        Panel::lines("Failed writes", Unit::PerSecond)
            .wide(24)
            .metric(&write_errors, "{{cache}} {{tier}} {{operation}}"),
    ]
}

fn objects() -> Vec<Panel> {
    let operations = selected(names::OBJECTS_DURATION);
    let failed = operations.clone().count().not_matches("outcome", "ok");
    vec![
        Panel::lines("Operations", Unit::PerSecond)
            .metric(&sum(&["operation"], &operations.clone().count().rate()), "{{operation}}"),
        Panel::lines("Operation p95", Unit::Seconds)
            .metric(&quantile(0.95, operations, &["operation"]), "{{operation}}"),
        Panel::lines("Refused and failed operations", Unit::PerSecond)
            .describe("`refused`: the body is too large or ended early. `error`: the store failed.")
            .metric(&sum(&["operation", "outcome"], &failed.rate()), "{{operation}} {{outcome}}"),
        Panel::lines("Reads of objects that never change", Unit::PerSecond)
            .describe(
                "`hit`: from memory. `miss`: into memory. `bypass`: from the store only, as ranges and large objects.",
            )
            .metric(&sum(&["outcome"], &selected(names::OBJECTS_HOT_READS).rate()), "{{outcome}}"),
    ]
}
