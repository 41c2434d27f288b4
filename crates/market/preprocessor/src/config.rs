//! Settings of the preprocessor.

use kennel_config::{HumanDuration, Problems, Section};
use market_domain::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Candles.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PreprocessorConfig {
    /// How long candles wait for missing trades, by the clock of the exchange. After that they become final and incomplete;
    /// trades that come later still change them.
    pub candle_gap_hold: HumanDuration,
    /// How far the time of a trade may be ahead of the time at which it was received.
    pub trade_max_ahead: HumanDuration,
    /// How old a trade may be when it is received.
    pub trade_max_age: HumanDuration,
}

impl Default for PreprocessorConfig {
    fn default() -> Self {
        Self {
            candle_gap_hold: HumanDuration::from_secs(60),
            trade_max_ahead: HumanDuration::from_secs(60),
            trade_max_age: HumanDuration::from_hours(30 * 24),
        }
    }
}

fn micros(duration: HumanDuration) -> i64 {
    i64::try_from(duration.get().as_micros()).unwrap_or(i64::MAX)
}

impl PreprocessorConfig {
    /// How long candles wait, in microseconds.
    pub fn hold(&self) -> i64 {
        micros(self.candle_gap_hold)
    }

    /// How far the time of a trade may be from the time at which it was received.
    pub fn limits(&self) -> Limits {
        Limits { ahead: micros(self.trade_max_ahead), behind: micros(self.trade_max_age) }
    }
}

impl Section for PreprocessorConfig {
    const TITLE: &'static str = "Candles";

    fn check(&self, problems: &mut Problems) {
        let max = HumanDuration::from_hours(24);
        problems.check_range("candle_gap_hold", self.candle_gap_hold, HumanDuration::from_secs(1)..=max);
        problems.check_not_zero("trade_max_age", self.trade_max_age);
    }
}
