//! Dashboard of service-level objectives and their error budgets.

use crate::recorded::{ALERTS, ERROR_BUDGET, ERROR_RATIO_1H, ERROR_RATIO_3D, ERROR_RATIO_5M, ERROR_RATIO_6H};
use crate::{Dashboard, Expr, Panel, Series, Unit, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new("slo", "SLO", "Objectives over 30 days. At a burn rate of 1, a budget lasts exactly 30 days.")
        .row("Budgets", budgets())
        .row("Burning", burning())
        .row("Alerts", alerts())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

/// `ratio` as a multiple of the error budget: that of the service, or the one of all services.
fn of_budget(ratio: &Expr) -> Expr {
    let (own, shared) = (series(ERROR_BUDGET).is_not("job", ""), series(ERROR_BUDGET).is("job", ""));
    Expr::raw(format!("({ratio} / on (job, slo) {own} or {ratio} / on (slo) group_left () {shared})"))
}

pub(super) fn budgets() -> Vec<Panel> {
    let spent = of_budget(&selected(ERROR_RATIO_5M).mean("30d"));
    vec![
        Panel::stat("Budget left", Unit::Ratio)
            .describe("Over the last 30 days, or over Prometheus' retention if it is shorter.")
            .wide(24)
            .metric(&Expr::raw(format!("1 - {spent}")), "{{job}} {{slo}}"),
        Panel::lines("Error ratio by objective", Unit::Ratio)
            .describe("Ratio of requests, or of time, over five minutes.")
            .metric(&selected(ERROR_RATIO_5M).now(), "{{job}} {{slo}}"),
        Panel::lines("Error budget", Unit::Ratio)
            .describe("With the name of the service, if it declares its own.")
            .metric(&series(ERROR_BUDGET).now(), "{{job}} {{slo}}"),
    ]
}

pub(super) fn burning() -> Vec<Panel> {
    let burn = |title, ratio, page: f64| {
        Panel::lines(title, Unit::Number)
            .describe("How many times faster the budget is spent than allowed.")
            .wide(8)
            .metric(&of_budget(&selected(ratio).now()), "{{job}} {{slo}}")
            .metric(&Expr::raw(format!("vector({page})")), "limit")
    };
    vec![
        burn("Burn over 1 h", ERROR_RATIO_1H, 14.4),
        burn("Burn over 6 h", ERROR_RATIO_6H, 6.0),
        burn("Burn over 3 d", ERROR_RATIO_3D, 1.0),
    ]
}

pub(super) fn alerts() -> Vec<Panel> {
    let by = ["alertname", "alertstate", "severity", "job", "slo"];
    vec![
        Panel::table("Alerts", Unit::Number)
            .describe("Empty while no alert is pending or firing. docs/runbooks has a page for each.")
            .metric(&sum(&by, &series(ALERTS).now()), ""),
    ]
}
