//! Dashboard of the market analytics.

use kennel_telemetry::metrics::names as platform;

use crate::market::names;
use crate::{Dashboard, Panel, Series, Unit, max, quantile, series, sum};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "market-analytics",
        "Market Analytics",
        "Trades, from their exchange until their candles are with clients; what is missing, and what was refused.",
    )
    .row("Latency", latency())
    .row("Trades", trades())
    .row("Candles", candles())
    .row("Front door", front_door())
    .row("Gateway", gateway())
}

fn selected(name: &'static str) -> Series {
    series(name).selected()
}

/// The parts of the way of a trade. `STORE` starts at the receipt, as `PUBLISH` does.
fn latency() -> Vec<Panel> {
    let part = |title, description, name: &'static str| {
        let mut panel = Panel::lines(title, Unit::Seconds).describe(description).wide(6);
        for (q, legend) in [(0.5, "p50"), (0.99, "p99")] {
            panel = panel.metric(&quantile(q, selected(name), &["venue"]), &format!("{{{{venue}}}} {legend}"));
        }
        panel
    };
    vec![
        part("Exchange to collector", "By the clocks of both, so it includes their difference.", names::RECEIVE),
        part("Collector to broker", "Until the broker has stored the trade.", names::PUBLISH),
        part("Collector to candle", "Until the candle is stored; it includes the way to the broker.", names::STORE),
        part("Collector to client", "Until the candle is sent to a client of the stream.", names::STREAM),
    ]
}

fn trades() -> Vec<Panel> {
    let by_venue = |name| sum(&["venue"], &selected(name).rate());
    vec![
        Panel::lines("Trades received", Unit::PerSecond)
            .describe("Live, read later because they were missing, or received twice.")
            .metric(&sum(&["venue", "source"], &selected(names::TRADES).rate()), "{{venue}} {{source}}"),
        Panel::lines("Gaps", Unit::PerSecond)
            .describe("Jumps of trade ids, and those whose trades the venue does not have.")
            .metric(&by_venue(names::GAPS), "{{venue}} found")
            .metric(&by_venue(names::GAPS_GIVEN_UP), "{{venue}} given up"),
        Panel::lines("Connections ended", Unit::PerSecond)
            .metric(&sum(&["venue", "reason"], &selected(names::CONNECTIONS).rate()), "{{venue}} {{reason}}"),
        Panel::lines("Frames that cannot be read", Unit::PerSecond)
            .metric(&by_venue(names::INVALID_FRAMES), "{{venue}}"),
        Panel::stat("Symbols refused", Unit::Number)
            .describe("The venue does not have them; the others are collected.")
            .metric(&sum(&["venue"], &selected(names::SYMBOLS_REFUSED).now()), "{{venue}}")
            .limit(1.0, "orange"),
    ]
}

fn candles() -> Vec<Panel> {
    let lag = selected(platform::BROKER_CONSUMER_LAG).matches("group", "market-preprocessor[.].*");
    let audited = selected(names::AUDITED);
    let differing = audited.clone().is("outcome", "different");
    let failed = selected(names::AUDITS).is("outcome", "error");
    vec![
        Panel::lines("Trades counted", Unit::PerSecond)
            .metric(&sum(&["outcome"], &selected(names::APPLIED).rate()), "{{outcome}}"),
        Panel::lines("Trades not counted", Unit::PerSecond)
            .describe("They are dead letters, and their candles are incomplete.")
            .metric(&sum(&["reason"], &selected(names::REFUSED).rate()), "{{reason}}"),
        Panel::lines("Revisions of candles", Unit::PerSecond)
            .metric(&sum(&[], &selected(names::REVISIONS).rate()), "revisions"),
        Panel::lines("Trades that wait", Unit::Number)
            .describe("Events of trades that are not settled yet.")
            .metric(&max(&["topic"], &lag.now()), "{{topic}}"),
        Panel::lines("Candles compared", Unit::Number)
            .describe("With those of their venue in the last run, by market-preprocessor with AUDIT_INTERVAL.")
            .metric(&max(&["venue", "outcome"], &audited.now()), "{{venue}} {{outcome}}"),
        Panel::stat("Candles that differ", Unit::Number)
            .describe("In the last run, and not repaired.")
            .metric(&max(&["venue"], &differing.now()), "{{venue}}")
            .limit(1.0, "orange"),
        Panel::stat("Runs that failed in a day", Unit::Number)
            .metric(&sum(&[], &failed.increase("1d")), "runs")
            .limit(1.0, "orange"),
    ]
}

/// What clients are refused at.
fn front_door() -> Vec<Panel> {
    let requests = selected(platform::HTTP_REQUESTS);
    let refused = |statuses| sum(&["job", "status"], &requests.clone().matches("status", statuses).rate());
    vec![
        Panel::lines("Failed authentication", Unit::PerSecond)
            .describe("Tokens and keys that were refused, by reason; without one, the status is 401.")
            .metric(&sum(&["job", "reason"], &selected(platform::AUTH_REFUSED).rate()), "{{job}} {{reason}}")
            .metric(&refused("401|403"), "{{job}} {{status}}"),
        Panel::lines("Rate limits", Unit::PerSecond)
            .describe("429: a client has used up its limit.")
            .metric(&refused("429"), "{{job}} {{status}}"),
        Panel::lines("Reads of the issuer's keys", Unit::PerSecond)
            .describe("At most one in a while, however many tokens with unknown keys there are.")
            .metric(&sum(&["job", "outcome"], &selected(platform::AUTH_KEY_READS).rate()), "{{job}} {{outcome}}"),
        Panel::lines("Logins and refreshes", Unit::PerSecond)
            .describe("Attempts to get tokens from auth. A token that is used again ends its session.")
            .metric(&sum(&["kind", "outcome"], &selected(names::LOGINS).rate()), "{{kind}} {{outcome}}")
            .metric(&sum(&["outcome"], &selected(names::REFRESHES).rate()), "refresh {{outcome}}"),
    ]
}

fn gateway() -> Vec<Panel> {
    let rate = |name, by: &[&str]| sum(by, &selected(name).rate());
    let upstream = |q| quantile(q, selected(names::GATEWAY_UPSTREAM), &["upstream"]);
    let attempts = selected(names::GATEWAY_UPSTREAM).count();
    vec![
        Panel::lines("Gateway to service", Unit::Seconds)
            .describe("Of each attempt, until the response starts.")
            .metric(&upstream(0.5), "{{upstream}} p50")
            .metric(&upstream(0.99), "{{upstream}} p99"),
        Panel::lines("Attempts by outcome", Unit::PerSecond)
            .metric(&sum(&["upstream", "outcome"], &attempts.rate()), "{{upstream}} {{outcome}}")
            .metric(&rate(names::GATEWAY_RETRIES, &["upstream"]), "{{upstream}} sent again"),
        Panel::lines("Refused by the gateway", Unit::PerSecond)
            .metric(&rate(names::GATEWAY_REFUSED, &["route", "reason"]), "{{route}} {{reason}}"),
        Panel::lines("Decisions of rate limits", Unit::PerSecond)
            .describe("Without the shared counters, each gateway counts for itself.")
            .metric(&rate(names::GATEWAY_LIMITS, &["policy", "outcome"]), "{{policy}} {{outcome}}")
            .metric(&rate(names::GATEWAY_LOCAL_LIMITS, &[]), "without shared counters"),
        Panel::lines("Answered with the response of another", Unit::PerSecond)
            .metric(&rate(names::GATEWAY_COALESCED, &["route"]), "{{route}}"),
        Panel::lines("Open streams", Unit::Number)
            .metric(&sum(&["kind"], &selected(names::GATEWAY_STREAMS).now()), "{{kind}}"),
        Panel::stat("Circuits open", Unit::Number)
            .describe("1 while requests to a service are refused at once.")
            .metric(&max(&["upstream"], &selected(names::GATEWAY_OPEN).now()), "{{upstream}}")
            .limit(1.0, "red"),
    ]
}
