//! Settings of the preprocessor.

use kennel_client::ClientConfig;
use kennel_config::{HumanDuration, Problems, Section};
use market_domain::{Limits, Venue};
use market_venues::adapter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Candles.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PreprocessorConfig {
    /// How long candles wait for missing trades, by the clock of the exchange. After that they become final and incomplete;
    /// trades that come later still change them.
    pub candle_gap_hold: HumanDuration,
    /// Whether responses have candles for windows without trades, at the price of the last trade before: with no trades and no
    /// volume. They are not stored, and there are no events about them.
    pub candle_carry_close: bool,
    /// How far the time of a trade may be ahead of the time at which it was received.
    pub trade_max_ahead: HumanDuration,
    /// How old a trade may be when it is received.
    pub trade_max_age: HumanDuration,
}

impl Default for PreprocessorConfig {
    fn default() -> Self {
        Self {
            candle_gap_hold: HumanDuration::from_secs(60),
            candle_carry_close: false,
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

/// The comparison of candles with those that the venues compute themselves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditConfig {
    /// How often candles are compared; 0 for never. The command `audit` compares them once.
    pub audit_interval: HumanDuration,
    /// How far back they are compared each time.
    pub audit_span: HumanDuration,
    /// Replace candles that differ by what the venue's trades add up to.
    pub audit_repair: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            audit_interval: HumanDuration::from_secs(0),
            audit_span: HumanDuration::from_hours(1),
            audit_repair: false,
        }
    }
}

impl AuditConfig {
    /// How far back candles are compared, in microseconds.
    pub fn span(&self) -> i64 {
        micros(self.audit_span)
    }
}

impl Section for AuditConfig {
    const TITLE: &'static str = "Audit";

    fn check(&self, problems: &mut Problems) {
        problems.check_not_zero("audit_span", self.audit_span);
    }
}

/// The REST API of an exchange, which candles are compared with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VenueConfig {
    /// Base URL of the REST API; that of the exchange if unset.
    pub rest_url: Option<String>,
    /// Allow private and loopback addresses, such as those of the simulator.
    pub allow_private: bool,
}

impl VenueConfig {
    /// Where the REST API is.
    pub fn url(&self, venue: Venue) -> Result<Url, url::ParseError> {
        self.rest_url.as_deref().unwrap_or(adapter(venue).rules().rest_url).parse()
    }

    /// The client of the REST API.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            max_bytes: 8 << 20,
            // Retries would not wait for as long as the venue wants.
            max_retries: 0,
            allow_private: self.allow_private,
            propagate_trace: false,
            ..ClientConfig::default()
        }
    }
}

impl Section for VenueConfig {
    const TITLE: &'static str = "Exchange";

    fn check(&self, problems: &mut Problems) {
        problems.check_base_url("rest_url", self.rest_url.as_deref());
    }
}
