//! Dashboard of events: outbox, broker and consumers.

use kennel_telemetry::metrics::names;

use super::quantiles;
use crate::{Dashboard, Panel, Series, Unit, max, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "brokers-and-outbox",
        "Brokers and Outbox",
        "Events, from the change that caused them until each consumer group has processed them.",
    )
    .row("Outbox", outbox())
    .row("Broker", broker())
    .row("Consumers", consumers())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

pub(super) fn outbox() -> Vec<Panel> {
    let mut relay = Panel::lines("Time from commit to publish", Unit::Seconds);
    for (expr, legend) in quantiles(&selected(names::OUTBOX_RELAY)) {
        relay = relay.metric(&expr, legend);
    }
    vec![
        Panel::stat("Pending", Unit::Number)
            .wide(8)
            .metric(&max(&[], &selected(names::OUTBOX_PENDING).now()), "")
            .limit(1_000.0, "orange"),
        Panel::stat("Oldest pending", Unit::Seconds)
            .wide(8)
            .metric(&max(&[], &selected(names::OUTBOX_OLDEST).now()), "")
            .limit(10.0, "orange")
            .limit(30.0, "red"),
        Panel::stat("Relay leaders", Unit::Number)
            .describe("Exactly one, independent of the number of replicas.")
            .wide(8)
            .metric(&sum(&[], &selected(names::OUTBOX_LEADER).now()), ""),
        Panel::lines("Pending events", Unit::Number)
            .metric(&max(&["job"], &selected(names::OUTBOX_PENDING).now()), "{{job}}"),
        Panel::lines("Age of the oldest pending event", Unit::Seconds)
            .metric(&max(&["job"], &selected(names::OUTBOX_OLDEST).now()), "{{job}}"),
        relay,
        Panel::lines("Events relayed", Unit::PerSecond)
            .metric(&sum(&["instance"], &selected(names::OUTBOX_PUBLISHED).rate()), "{{instance}}"),
    ]
}

pub(super) fn broker() -> Vec<Panel> {
    let durations = selected(names::BROKER_PUBLISH_DURATION);
    vec![
        Panel::lines("Events published", Unit::PerSecond)
            .metric(&sum(&["topic", "outcome"], &selected(names::BROKER_PUBLISHED).rate()), "{{topic}} {{outcome}}"),
        Panel::lines("Publish p95", Unit::Seconds)
            .describe(
                "Until the broker has stored a batch durably; with BROKER=memory, until every group has processed it.",
            )
            .metric(&quantile(0.95, durations, &["outcome"]), "{{outcome}}"),
    ]
}

pub(super) fn consumers() -> Vec<Panel> {
    let consumed = selected(names::BROKER_CONSUMED);
    let by = ["topic", "group", "outcome"];
    let failures = consumed.clone().matches("outcome", "retry|dead_letter");
    vec![
        Panel::lines("Deliveries by outcome", Unit::PerSecond)
            .metric(&sum(&by, &consumed.rate()), "{{group}} {{outcome}}"),
        Panel::lines("Retries and dead letters", Unit::PerSecond)
            .metric(&sum(&by, &failures.rate()), "{{group}} {{outcome}}"),
        Panel::lines("Handler p95", Unit::Seconds)
            .metric(&quantile(0.95, selected(names::CONSUMER_DURATION), &["group"]), "{{group}}"),
        Panel::lines("Event age p50", Unit::Seconds)
            .describe("Time from the creation of an event until a group has handled it.")
            .metric(&quantile(0.5, selected(names::CONSUMER_EVENT_AGE), &["group"]), "{{group}}"),
        Panel::lines("Event age p99", Unit::Seconds)
            .describe("Of gif-files: from the acceptance of a GIF until its files can be read.")
            .metric(&quantile(0.99, selected(names::CONSUMER_EVENT_AGE), &["group"]), "{{group}}"),
        Panel::lines("Lag", Unit::Number)
            .describe("Events that a group has not settled yet.")
            .metric(&max(&["topic", "group"], &selected(names::BROKER_CONSUMER_LAG).now()), "{{group}}"),
        Panel::lines("Failed subscriptions", Unit::PerSecond)
            .wide(24)
            .metric(&sum(&["topic", "group"], &selected(names::BROKER_SUBSCRIPTION_ERRORS).rate()), "{{group}}"),
    ]
}
