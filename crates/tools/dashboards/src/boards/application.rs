//! Dashboard of one application of a generated project. `kennel`, the starter, leaves out the rows of what an application does not
//! have, by their titles, and replaces `$job`.

use super::{brokers, database, metrics, slo, tracing};
use crate::{Dashboard, Panel};

/// All rows. Panels that are empty until something fails, or until a feature is used that no generated application has, are not
/// among them.
pub fn dashboard() -> Dashboard {
    let (http, other): (Vec<_>, Vec<_>) =
        metrics::now().into_iter().partition(|panel| panel.title().starts_with("HTTP"));
    let (grpc, running): (Vec<_>, Vec<_>) = other.into_iter().partition(|panel| panel.title().starts_with("gRPC"));
    let (http_clients, grpc_clients) =
        metrics::upstreams().into_iter().partition(|panel| panel.title().starts_with("Upstream"));
    Dashboard::new("$job", "$job", "Requests, events and resources of the application.")
        .without_variable()
        .row("Now", [over_the_width(running), metrics::dependencies()].concat())
        .row("HTTP", [over_the_width(http), without("TLS handshakes", metrics::http())].concat())
        .row("gRPC", [over_the_width(grpc), metrics::grpc()].concat())
        .row("HTTP clients", http_clients)
        .row("gRPC clients", grpc_clients)
        .row("Database", [database::calls(), without("Errors by kind", database::errors())].concat())
        .row("Outbox", brokers::outbox())
        .row("Broker", brokers::broker())
        .row("Consumers", without("Event age p99", without("Retries and dead letters", brokers::consumers())))
        .row("Process", metrics::process())
        .row("Objectives", [without("Error budget", slo::budgets()), slo::burning()].concat())
        .row("Alerts", slo::alerts())
        .row("Traces", tracing::traces())
        .row("Logs", tracing::logs())
}

/// Next to each other, as wide as the dashboard.
fn over_the_width(panels: Vec<Panel>) -> Vec<Panel> {
    let columns = u8::try_from(panels.len()).map_or(24, |count| 24 / count.max(1));
    panels.into_iter().map(|panel| panel.wide(columns)).collect()
}

fn without(title: &str, panels: Vec<Panel>) -> Vec<Panel> {
    panels.into_iter().filter(|panel| panel.title() != title).collect()
}
