//! The market analytics: the names of its metrics, and its alerts.

use crate::rules::{Alert, Group, Rule, Severity};
use crate::{Expr, max, series, sum};

/// The names of the metrics that its services register. A test finds each of them in their sources.
pub mod names {
    /// Histogram of the time from a trade at its exchange until it is received, by `venue`.
    pub const RECEIVE: &str = "market_trade_receive_seconds";
    /// Histogram of the time from the receipt of a trade until the broker has it, by `venue`.
    pub const PUBLISH: &str = "market_trade_publish_seconds";
    /// Histogram of the time from the receipt of a trade until its candle is stored, by `venue`.
    pub const STORE: &str = "market_trade_store_seconds";
    /// Histogram of the time from the receipt of the latest trade of a candle until the candle is sent to a client, by `venue`.
    pub const STREAM: &str = "market_candle_stream_seconds";
    /// Counter of trades, by `venue` and `source`.
    pub const TRADES: &str = "market_trades_total";
    /// Counter of jumps of trade ids, by `venue`.
    pub const GAPS: &str = "market_gaps_total";
    /// Counter of gaps whose trades the venue does not have, by `venue`.
    pub const GAPS_GIVEN_UP: &str = "market_gaps_given_up_total";
    /// Counter of ended connections, by `venue` and `reason`.
    pub const CONNECTIONS: &str = "market_connections_total";
    /// Counter of frames that cannot be read, by `venue`.
    pub const INVALID_FRAMES: &str = "market_invalid_frames_total";
    /// Gauge of symbols that are not collected, by `venue`.
    pub const SYMBOLS_REFUSED: &str = "market_symbols_refused";
    /// Counter of trades that reached the candles, by `outcome`.
    pub const APPLIED: &str = "market_trades_applied_total";
    /// Counter of trades that are not counted, by `reason`.
    pub const REFUSED: &str = "market_trades_refused_total";
    /// Counter of revisions of candles.
    pub const REVISIONS: &str = "market_candle_revisions_total";
    /// Gauge of candles that the last run compared with those of their venue, by `venue` and `outcome`.
    pub const AUDITED: &str = "market_audit_minutes";
    /// Counter of comparisons, by `outcome`.
    pub const AUDITS: &str = "market_audit_runs_total";
    /// Counter of attempts to get tokens with a password or a secret, by `kind` and `outcome`.
    pub const LOGINS: &str = "auth_logins_total";
    /// Counter of attempts to get tokens with a refresh token, by `outcome`.
    pub const REFRESHES: &str = "auth_refreshes_total";
    /// Histogram of the time of a request of the gateway to a service, by `upstream` and `outcome`.
    pub const GATEWAY_UPSTREAM: &str = "gateway_upstream_seconds";
    /// Counter of requests that the gateway refused, by `route` and `reason`.
    pub const GATEWAY_REFUSED: &str = "gateway_refused_total";
    /// Counter of decisions of rate limits, by `policy` and `outcome`.
    pub const GATEWAY_LIMITS: &str = "gateway_rate_limit_total";
    /// Counter of those that were made without the shared counters.
    pub const GATEWAY_LOCAL_LIMITS: &str = "gateway_rate_limit_local_total";
    /// Counter of requests that were sent again, by `upstream`.
    pub const GATEWAY_RETRIES: &str = "gateway_retries_total";
    /// Gauge: 1 while requests to an `upstream` are refused at once.
    pub const GATEWAY_OPEN: &str = "gateway_circuit_open";
    /// Counter of requests that got the response of another, by `route`.
    pub const GATEWAY_COALESCED: &str = "gateway_coalesced_total";
    /// Gauge of open streams, by `kind`.
    pub const GATEWAY_STREAMS: &str = "gateway_streams";

    /// All of them.
    pub const ALL: [&str; 25] = [
        RECEIVE,
        PUBLISH,
        STORE,
        STREAM,
        TRADES,
        GAPS,
        GAPS_GIVEN_UP,
        CONNECTIONS,
        INVALID_FRAMES,
        SYMBOLS_REFUSED,
        APPLIED,
        REFUSED,
        REVISIONS,
        AUDITED,
        AUDITS,
        LOGINS,
        REFRESHES,
        GATEWAY_UPSTREAM,
        GATEWAY_REFUSED,
        GATEWAY_LIMITS,
        GATEWAY_LOCAL_LIMITS,
        GATEWAY_RETRIES,
        GATEWAY_OPEN,
        GATEWAY_COALESCED,
        GATEWAY_STREAMS,
    ];
}

/// The alerts.
pub(crate) fn alerts() -> Group {
    let alerts =
        [trades_stopped(), gaps_given_up(), symbols_refused(), trades_refused(), candles_differ(), audits_fail()];
    Group::new("market", alerts.map(Rule::Alert).into())
}

/// Fires while a venue sends nothing that sent trades in the day before.
fn trades_stopped() -> Alert {
    let by = ["job", "venue"];
    let live = series(names::TRADES).is("source", "live");
    let (now, before) = (sum(&by, &live.increase("5m")), sum(&by, &live.increase("1d")));
    let expr = Expr::raw(format!("{now} == 0 and {before} > 0"));
    Alert::new("MarketTradesStopped", Severity::Page, &expr, "5m", "market-trades")
        .summary("no trade of {{ $labels.venue }} has been received for ten minutes")
        .with_inputs(vec![now, before])
}

/// Fires when the counter has increased within `window`.
fn increased(
    name: &'static str,
    metric: &crate::Series,
    window: &str,
    by: &[&str],
    runbook: &str,
    summary: &str,
) -> Alert {
    above_zero(name, sum(by, &metric.increase(window)), runbook, summary)
}

/// Fires while the value is above zero.
fn above_zero(name: &'static str, value: Expr, runbook: &str, summary: &str) -> Alert {
    Alert::new(name, Severity::Ticket, &value.above(0), "0m", runbook).summary(summary).with_inputs(vec![value])
}

fn gaps_given_up() -> Alert {
    let summary =
        "{{ $labels.venue }} does not have the trades of {{ $value | humanize }} gaps: candles are incomplete";
    let gaps = series(names::GAPS_GIVEN_UP);
    increased("MarketGapsGivenUp", &gaps, "1h", &["job", "venue"], "market-candles", summary)
}

fn symbols_refused() -> Alert {
    let summary = "{{ $value | humanize }} symbols of {{ $labels.venue }} are not collected";
    let refused = sum(&["job", "venue"], &series(names::SYMBOLS_REFUSED).now());
    above_zero("MarketSymbolsRefused", refused, "market-trades", summary)
}

fn trades_refused() -> Alert {
    let summary = "{{ $value | humanize }} trades were not counted: {{ $labels.reason }}";
    let refused = series(names::REFUSED);
    increased("MarketTradesRefused", &refused, "15m", &["job", "reason"], "market-candles", summary)
}

fn candles_differ() -> Alert {
    let summary = "{{ $value | humanize }} candles of {{ $labels.venue }} differ from those of the venue";
    let differ = max(&["job", "venue"], &series(names::AUDITED).is("outcome", "different").now());
    above_zero("MarketCandlesDiffer", differ, "market-candles", summary)
}

fn audits_fail() -> Alert {
    let summary = "candles could not be compared with those of their venues";
    let failed = series(names::AUDITS).is("outcome", "error");
    increased("MarketAuditsFail", &failed, "3h", &["job"], "market-candles", summary)
}
