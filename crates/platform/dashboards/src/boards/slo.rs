//! What is promised, and how much of each budget is left.

use crate::recorded::{ALERTS, ERROR_BUDGET, ERROR_RATIO_1H, ERROR_RATIO_3D, ERROR_RATIO_5M, ERROR_RATIO_6H};
use crate::{Dashboard, Expr, Panel, Series, Unit, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new("slo", "SLO", "Objectives over 30 days. A budget that burns at 1 lasts exactly so long.")
        .row("Budgets", budgets())
        .row("Burning", burning())
        .row("Alerts", alerts())
}

fn picked(name: &'static str) -> Series {
    series(name).picked()
}

/// `ratio` as a multiple of what may miss the objective.
fn of_budget(ratio: &Expr) -> Expr {
    Expr::raw(format!("{ratio} / on (slo) group_left () {}", series(ERROR_BUDGET)))
}

fn budgets() -> Vec<Panel> {
    let spent = of_budget(&picked(ERROR_RATIO_5M).mean("30d"));
    vec![
        Panel::stat("Budget left", Unit::Share)
            .describe("Of the last 30 days, or of as long as Prometheus remembers.")
            .wide(24)
            .metric(&Expr::raw(format!("1 - {spent}")), "{{job}} {{slo}}"),
        Panel::lines("Misses the objective", Unit::Share)
            .describe("Share of requests, or of time, over five minutes.")
            .metric(&picked(ERROR_RATIO_5M).now(), "{{job}} {{slo}}"),
        Panel::lines("May miss it", Unit::Share).metric(&series(ERROR_BUDGET).now(), "{{slo}}"),
    ]
}

fn burning() -> Vec<Panel> {
    let burn = |title, ratio, page: f64| {
        Panel::lines(title, Unit::Number)
            .describe("How many times too fast the budget goes.")
            .wide(8)
            .metric(&of_budget(&picked(ratio).now()), "{{job}} {{slo}}")
            .metric(&Expr::raw(format!("vector({page})")), "limit")
    };
    vec![
        burn("Burn over 1 h", ERROR_RATIO_1H, 14.4),
        burn("Burn over 6 h", ERROR_RATIO_6H, 6.0),
        burn("Burn over 3 d", ERROR_RATIO_3D, 1.0),
    ]
}

fn alerts() -> Vec<Panel> {
    let by = ["alertname", "alertstate", "severity", "job", "slo"];
    vec![
        Panel::table("Alerts", Unit::Number)
            .describe("Empty while all is well. docs/runbooks has a page for each.")
            .metric(&sum(&by, &series(ALERTS).now()), ""),
    ]
}
