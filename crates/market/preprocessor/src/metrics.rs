//! Metrics of the preprocessor.

use market_domain::Refusal;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Metrics of trades and candles. Clones share them.
#[derive(Debug, Clone)]
pub struct PreprocessorMetrics {
    trades: IntCounterVec,
    refused: IntCounterVec,
    candles: IntCounter,
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
        let metrics = Self {
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

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
