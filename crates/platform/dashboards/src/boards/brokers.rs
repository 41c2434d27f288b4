//! Events: from the outbox through the broker to the consumers.

use kennel_telemetry::metrics::names;

use super::quantiles;
use crate::{Dashboard, Panel, Series, Unit, max, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "brokers-and-outbox",
        "Brokers and Outbox",
        "Events, from the change that caused them until each consumer group has dealt with them.",
    )
    .row("Outbox", outbox())
    .row("Broker", broker())
    .row("Consumers", consumers())
}

fn picked(name: &'static str) -> Series {
    series(name).picked()
}

fn outbox() -> Vec<Panel> {
    let mut relay = Panel::lines("From happening to published", Unit::Seconds);
    for (expr, legend) in quantiles(&picked(names::OUTBOX_RELAY)) {
        relay = relay.metric(&expr, legend);
    }
    vec![
        Panel::stat("Waiting", Unit::Number)
            .wide(8)
            .metric(&max(&[], &picked(names::OUTBOX_PENDING).now()), "")
            .limit(1_000.0, "orange"),
        Panel::stat("Age of the oldest", Unit::Seconds)
            .wide(8)
            .metric(&max(&[], &picked(names::OUTBOX_OLDEST).now()), "")
            .limit(10.0, "orange")
            .limit(30.0, "red"),
        Panel::stat("Processes that publish", Unit::Number)
            .describe("One, whatever the number of replicas.")
            .wide(8)
            .metric(&sum(&[], &picked(names::OUTBOX_LEADER).now()), ""),
        Panel::lines("Events that wait", Unit::Number)
            .metric(&max(&["job"], &picked(names::OUTBOX_PENDING).now()), "{{job}}"),
        Panel::lines("Age of the oldest event", Unit::Seconds)
            .metric(&max(&["job"], &picked(names::OUTBOX_OLDEST).now()), "{{job}}"),
        relay,
        Panel::lines("Events relayed", Unit::PerSecond)
            .metric(&sum(&["instance"], &picked(names::OUTBOX_PUBLISHED).rate()), "{{instance}}"),
    ]
}

fn broker() -> Vec<Panel> {
    let durations = picked(names::BROKER_PUBLISH_DURATION);
    vec![
        Panel::lines("Events published", Unit::PerSecond)
            .metric(&sum(&["topic", "outcome"], &picked(names::BROKER_PUBLISHED).rate()), "{{topic}} {{outcome}}"),
        Panel::lines("p95 of publishing", Unit::Seconds)
            .describe("Until the broker has a batch durably; with BROKER=memory, until every group has dealt with it.")
            .metric(&quantile(0.95, durations, &["outcome"]), "{{outcome}}"),
    ]
}

fn consumers() -> Vec<Panel> {
    let consumed = picked(names::BROKER_CONSUMED);
    let by = ["topic", "group", "outcome"];
    let trouble = consumed.clone().matches("outcome", "retry|dead_letter");
    vec![
        Panel::lines("Deliveries by outcome", Unit::PerSecond)
            .metric(&sum(&by, &consumed.rate()), "{{group}} {{outcome}}"),
        Panel::lines("Retries and dead letters", Unit::PerSecond)
            .metric(&sum(&by, &trouble.rate()), "{{group}} {{outcome}}"),
        Panel::lines("p95 of handling an event", Unit::Seconds)
            .metric(&quantile(0.95, picked(names::CONSUMER_DURATION), &["group"]), "{{group}}"),
        Panel::lines("Lag", Unit::Number)
            .describe("Events that a group has not settled.")
            .metric(&max(&["topic", "group"], &picked(names::BROKER_CONSUMER_LAG).now()), "{{group}}"),
        Panel::lines("Subscriptions that failed", Unit::PerSecond)
            .wide(24)
            .metric(&sum(&["topic", "group"], &picked(names::BROKER_SUBSCRIPTION_ERRORS).rate()), "{{group}}"),
    ]
}
