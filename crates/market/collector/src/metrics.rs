//! Metrics of the collector.

use std::time::Duration;

use kennel_telemetry::metrics::{LatencyHistogram, LatencySeries};
use market_domain::{Micros, Trade, Venue};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Metrics of all venues. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct CollectorMetrics {
    trades: IntCounterVec,
    gaps: IntCounterVec,
    connections: IntCounterVec,
    invalid: IntCounterVec,
    given_up: IntCounterVec,
    refused: IntGaugeVec,
    shards: IntGaugeVec,
    received: Latencies,
    published: Latencies,
}

/// The latencies of each venue.
type Latencies = [LatencySeries; Venue::ALL.len()];

/// Where a trade was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// On the WebSocket.
    Live,
    /// By the REST API.
    Backfill,
    /// It was published before.
    Duplicate,
}

impl CollectorMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let latencies = |name, help| -> Result<Latencies, prometheus::Error> {
            let histogram = LatencyHistogram::register(registry, name, help, &["venue"])?;
            Ok(Venue::ALL.map(|venue| histogram.series(&[venue.name()])))
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["venue"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let metrics = Self {
            shards: gauge("market_shards", "Shards of symbols that this collector has, by venue")?,
            received: latencies(
                "market_trade_receive_seconds",
                "Time from a trade, by the clock of the exchange, until it was received",
            )?,
            published: latencies(
                "market_trade_publish_seconds",
                "Time from receiving a trade until the broker has it, with the wait for missing ones",
            )?,
            trades: counter("market_trades_total", "Trades by venue and where they were found", &["venue", "source"])?,
            gaps: counter("market_gaps_total", "Jumps of trade ids by venue", &["venue"])?,
            connections: counter(
                "market_connections_total",
                "Ended connections by venue and reason",
                &["venue", "reason"],
            )?,
            invalid: counter(
                "market_invalid_frames_total",
                "Frames and pages that could not be read, by venue",
                &["venue"],
            )?,
            given_up: counter(
                "market_gaps_given_up_total",
                "Gaps whose trades the venue does not have, by venue",
                &["venue"],
            )?,
            refused: gauge(
                "market_symbols_refused",
                "Symbols that are not collected because the venue does not have them, by venue",
            )?,
        };
        // A counter that appeared with its first event would not increase by it.
        for venue in Venue::ALL {
            for counter in [&metrics.gaps, &metrics.invalid, &metrics.given_up] {
                counter.with_label_values(&[venue.name()]).inc_by(0);
            }
        }
        Ok(metrics)
    }

    pub(crate) fn trades(&self, venue: Venue, source: Source, count: usize) {
        let source = match source {
            Source::Live => "live",
            Source::Backfill => "backfill",
            Source::Duplicate => "duplicate",
        };
        self.trades.with_label_values(&[venue.name(), source]).inc_by(count as u64);
    }

    /// Trades were published by `now`. Those that were read later say nothing about latencies.
    pub(crate) fn published(&self, venue: Venue, source: Source, trades: &[Trade], now: Micros) {
        self.trades(venue, source, trades.len());
        if source == Source::Live {
            observe(&self.received[venue as usize], trades.iter().map(|trade| (trade.time, trade.received)));
            observe(&self.published[venue as usize], trades.iter().map(|trade| (trade.received, now)));
        }
    }

    pub(crate) fn shards(&self, venue: Venue, count: usize) {
        self.shards.with_label_values(&[venue.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn gap(&self, venue: Venue) {
        self.gaps.with_label_values(&[venue.name()]).inc();
    }

    pub(crate) fn connection_ended(&self, venue: Venue, reason: &str) {
        self.connections.with_label_values(&[venue.name(), reason]).inc();
    }

    pub(crate) fn given_up(&self, venue: Venue) {
        self.given_up.with_label_values(&[venue.name()]).inc();
    }

    /// The number of symbols that a venue has refused.
    pub(crate) fn refused(&self, venue: Venue) -> IntGauge {
        self.refused.with_label_values(&[venue.name()])
    }

    pub(crate) fn invalid(&self, venue: Venue) {
        self.invalid.with_label_values(&[venue.name()]).inc();
    }
}

/// Records each latency; the longest one is an example with its trace.
fn observe(series: &LatencySeries, spans: impl Iterator<Item = (Micros, Micros)>) {
    let took = spans.map(|(from, to)| Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)));
    let mut longest: Option<Duration> = None;
    for took in took {
        if let Some(other) = longest {
            series.observe_in(other.min(took), None);
        }
        longest = longest.max(Some(took));
    }
    if let Some(longest) = longest {
        series.observe(longest);
    }
}

#[cfg(test)]
mod tests {
    use market_domain::{Decimal, Instrument};

    use super::*;

    #[test]
    fn names_are_pinned() {
        let registry = Registry::new();
        let metrics = CollectorMetrics::register(&registry).unwrap();
        metrics.trades(Venue::Kraken, Source::Backfill, 3);
        let trade = Trade {
            instrument: Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() },
            id: 1,
            price: Decimal::ZERO,
            size: Decimal::ZERO,
            taker: None,
            time: Micros(1_000_000),
            received: Micros(1_250_000),
        };
        metrics.published(Venue::Kraken, Source::Live, &[trade.clone(), trade], Micros(3_250_000));
        metrics.shards(Venue::Kraken, 4);
        metrics.gap(Venue::Kraken);
        metrics.connection_ended(Venue::Kraken, "silent");
        metrics.invalid(Venue::Kraken);
        metrics.given_up(Venue::Kraken);
        metrics.refused(Venue::Kraken).set(1);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "market_trades_total{source=\"backfill\",venue=\"kraken\"} 3",
            "market_trades_total{source=\"live\",venue=\"kraken\"} 2",
            "market_trade_receive_seconds_sum{venue=\"kraken\"} 0.5",
            "market_trade_publish_seconds_sum{venue=\"kraken\"} 4",
            "market_shards{venue=\"kraken\"} 4",
            "market_gaps_total{venue=\"kraken\"} 1",
            "market_connections_total{reason=\"silent\",venue=\"kraken\"} 1",
            "market_invalid_frames_total{venue=\"kraken\"} 1",
            "market_gaps_given_up_total{venue=\"kraken\"} 1",
            "market_symbols_refused{venue=\"kraken\"} 1",
            "market_gaps_given_up_total{venue=\"binance\"} 0",
            "market_invalid_frames_total{venue=\"coinbase\"} 0",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
