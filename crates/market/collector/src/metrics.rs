//! Metrics of the collector.

use market_domain::Venue;
use prometheus::{IntCounterVec, Opts, Registry};

/// Metrics of all venues. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct CollectorMetrics {
    trades: IntCounterVec,
    gaps: IntCounterVec,
    connections: IntCounterVec,
    invalid: IntCounterVec,
    given_up: IntCounterVec,
    refused: IntCounterVec,
}

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
        Ok(Self {
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
            refused: counter(
                "market_symbols_refused_total",
                "Symbols that are not collected because the venue does not have them, by venue",
                &["venue"],
            )?,
        })
    }

    pub(crate) fn trades(&self, venue: Venue, source: Source, count: usize) {
        let source = match source {
            Source::Live => "live",
            Source::Backfill => "backfill",
            Source::Duplicate => "duplicate",
        };
        self.trades.with_label_values(&[venue.name(), source]).inc_by(count as u64);
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

    pub(crate) fn refused(&self, venue: Venue) {
        self.refused.with_label_values(&[venue.name()]).inc();
    }

    pub(crate) fn invalid(&self, venue: Venue) {
        self.invalid.with_label_values(&[venue.name()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned() {
        let registry = Registry::new();
        let metrics = CollectorMetrics::register(&registry).unwrap();
        metrics.trades(Venue::Kraken, Source::Backfill, 3);
        metrics.gap(Venue::Kraken);
        metrics.connection_ended(Venue::Kraken, "silent");
        metrics.invalid(Venue::Kraken);
        metrics.given_up(Venue::Kraken);
        metrics.refused(Venue::Kraken);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "market_trades_total{source=\"backfill\",venue=\"kraken\"} 3",
            "market_gaps_total{venue=\"kraken\"} 1",
            "market_connections_total{reason=\"silent\",venue=\"kraken\"} 1",
            "market_invalid_frames_total{venue=\"kraken\"} 1",
            "market_gaps_given_up_total{venue=\"kraken\"} 1",
            "market_symbols_refused_total{venue=\"kraken\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
