//! Metrics of the preprocessor.

use std::time::Duration;

use kennel_telemetry::metrics::{LatencyHistogram, LatencySeries};
use market_domain::{Micros, Refusal, Trade, Venue};
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::audit::Summary;

/// Metrics of trades and candles. Clones share them.
#[derive(Debug, Clone)]
pub struct PreprocessorMetrics {
    trades: IntCounterVec,
    refused: IntCounterVec,
    candles: IntCounter,
    stored: [LatencySeries; Venue::ALL.len()],
}

impl PreprocessorMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let candles = IntCounter::new("market_candle_revisions_total", "Stored revisions of candles")?;
        registry.register(Box::new(candles.clone()))?;
        let stored = LatencyHistogram::register(
            registry,
            "market_trade_store_seconds",
            "Time from receiving a trade in a collector until its candles are stored",
            &["venue"],
        )?;
        let metrics = Self {
            stored: Venue::ALL.map(|venue| stored.series(&[venue.name()])),
            trades: counter("market_trades_applied_total", "Trades that reached the candles, by outcome", "outcome")?,
            refused: counter("market_trades_refused_total", "Trades that are not counted, by reason", "reason")?,
            candles,
        };
        for reason in Refusal::ALL.map(Refusal::name).iter().chain(&["message"]) {
            metrics.refused.with_label_values(&[reason]).inc_by(0);
        }
        Ok(metrics)
    }

    pub(crate) fn applied(&self, new: u64, duplicate: u64, candles: u64) {
        self.trades.with_label_values(&["new"]).inc_by(new);
        self.trades.with_label_values(&["duplicate"]).inc_by(duplicate);
        self.candles.inc_by(candles);
    }

    /// A batch was stored by `now`. The longest latency is an example with its trace.
    pub(crate) fn stored<'a>(&self, trades: impl Iterator<Item = &'a Trade>, now: Micros) {
        let mut longest: [Option<Duration>; Venue::ALL.len()] = [None; Venue::ALL.len()];
        for trade in trades {
            let venue = trade.instrument.venue as usize;
            let took = u64::try_from(now.0.saturating_sub(trade.received.0)).unwrap_or(0);
            let took = Duration::from_micros(took);
            if let Some(other) = longest[venue] {
                self.stored[venue].observe_in(other.min(took), None);
            }
            longest[venue] = longest[venue].max(Some(took));
        }
        for (series, longest) in self.stored.iter().zip(longest) {
            if let Some(longest) = longest {
                series.observe(longest);
            }
        }
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}

/// Metrics of the comparison with the venues. Clones share them.
#[derive(Debug, Clone)]
pub struct AuditMetrics {
    minutes: IntGaugeVec,
    runs: IntCounterVec,
}

impl AuditMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let minutes = Opts::new(
            "market_audit_minutes",
            "Candles that the last run compared with those of their venue, by outcome",
        );
        let minutes = IntGaugeVec::new(minutes, &["venue", "outcome"])?;
        let runs = IntCounterVec::new(Opts::new("market_audit_runs_total", "Comparisons, by outcome"), &["outcome"])?;
        registry.register(Box::new(minutes.clone()))?;
        registry.register(Box::new(runs.clone()))?;
        // A counter that appeared with its first error would not increase by it.
        for outcome in ["success", "error"] {
            runs.with_label_values(&[outcome]).inc_by(0);
        }
        let metrics = Self { minutes, runs };
        metrics.forget();
        Ok(metrics)
    }

    /// Records what a run has compared, in place of what the one before has.
    pub(crate) fn compared(&self, venue: Venue, summary: Summary) {
        let Summary { compared, different, repaired } = summary;
        let values = [("equal", compared - different), ("different", different - repaired), ("repaired", repaired)];
        for (outcome, count) in values {
            self.minutes.with_label_values(&[venue.name(), outcome]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Forgets the last run: another replica compares now.
    pub(crate) fn forget(&self) {
        for venue in Venue::ALL {
            self.compared(venue, Summary::default());
        }
    }

    pub(crate) fn ended(&self, is_success: bool) {
        self.runs.with_label_values(&[if is_success { "success" } else { "error" }]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_the_one_before_and_every_series_exists_from_the_start() {
        let registry = Registry::new();
        let metrics = AuditMetrics::register(&registry).unwrap();
        let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let different = |count: u64| format!("market_audit_minutes{{outcome=\"different\",venue=\"kraken\"}} {count}");
        assert!(text().contains("market_audit_runs_total{outcome=\"error\"} 0"), "{}", text());
        for (summary, expected) in [((9, 4, 1), 3), ((9, 2, 0), 2), ((9, 2, 2), 0)] {
            let (compared, different_ones, repaired) = summary;
            metrics.compared(Venue::Kraken, Summary { compared, different: different_ones, repaired });
            assert!(text().contains(&different(expected)), "{}", text());
        }
        assert!(text().contains("market_audit_minutes{outcome=\"equal\",venue=\"kraken\"} 7"), "{}", text());
        metrics.forget();
        assert!(text().contains("market_audit_minutes{outcome=\"equal\",venue=\"kraken\"} 0"), "{}", text());
    }
}
