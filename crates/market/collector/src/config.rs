//! Settings of the collector.

use std::time::Duration;

use kennel_client::ClientConfig;
use kennel_config::{HumanDuration, Problems, Reader, Section, Settings};
use kennel_grpc::GrpcClientConfig;
use market_domain::{Symbol, Venue};
use market_venues::{Rules, adapter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct CollectorConfig {
    /// The stored candles, market-preprocessor.
    pub candles: GrpcClientConfig,
    /// What is published.
    pub publishing: PublishingConfig,
    /// How several collectors share the symbols.
    pub sharding: ShardingConfig,
    /// The venues.
    pub venues: Vec<(Venue, VenueConfig)>,
}

impl Settings for CollectorConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        let (candles, sharding) = (reader.named_section("candles"), reader.section());
        let venues: [(Venue, VenueConfig); _] = Venue::ALL.map(|venue| (venue, reader.named_section(venue.name())));
        for (venue, config) in &venues {
            let limit = adapter(*venue).rules().symbols;
            if config.symbols.len() > limit {
                reader.problems().add(&format!("{venue}_symbols"), format!("must be at most {limit} symbols"));
            }
        }
        Self { candles, publishing: reader.section(), sharding, venues: venues.into() }
    }
}

/// How several collectors share the symbols of each venue. They need a cache that they share, Redis.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShardingConfig {
    /// Into how many parts the symbols of a venue are divided; the same for all collectors. At most so many collect them at once.
    pub collector_shards: u16,
    /// After how long the symbols of a collector that does not respond are given to others.
    pub collector_lease: HumanDuration,
}

impl Default for ShardingConfig {
    fn default() -> Self {
        Self { collector_shards: 8, collector_lease: HumanDuration::from_secs(5) }
    }
}

impl Section for ShardingConfig {
    const TITLE: &'static str = "Sharding";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("collector_shards", self.collector_shards, 1..=256);
        let range = HumanDuration::from_secs(1)..=HumanDuration::from_mins(5);
        problems.check_range("collector_lease", self.collector_lease, range);
    }
}

/// The versions of the messages in which a trade is published, each to the topic of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TradeVersions {
    /// Version 1.
    #[default]
    V1,
    /// Version 2.
    V2,
    /// Both, while readers are changed over.
    Both,
}

/// Published trades.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PublishingConfig {
    /// In which version trades are published: `v1`, to the topic `market.trades.v1`; `v2`, to `market.trades.v2`; or `both`,
    /// while readers are changed over. The preprocessor reads both topics, and counts each trade once.
    pub trade_versions: TradeVersions,
}

impl Section for PublishingConfig {
    const TITLE: &'static str = "Published trades";
}

/// An exchange. No other addresses are connected to than these.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VenueConfig {
    /// The symbols to collect, such as `BTC-USD`, separated by commas; none by default.
    pub symbols: Vec<String>,
    /// URL of the WebSocket; that of the exchange if unset.
    pub stream_url: Option<String>,
    /// Base URL of the REST API; that of the exchange if unset.
    pub rest_url: Option<String>,
    /// The shortest pause between two connections; that of the exchange's limits if unset.
    pub reconnect_pause: Option<HumanDuration>,
    /// The pause between two requests for missing trades; that of the exchange's limits if unset.
    pub request_pause: Option<HumanDuration>,
    /// Of how many frames one is logged, as the exchange has sent it: at most one a second, and 2 KiB of it. None by default.
    pub sample_frames: u32,
    /// Allow private and loopback addresses, such as those of the simulator.
    pub allow_private: bool,
}

impl VenueConfig {
    /// The symbols; those that are not valid are reported by [`Section::check`].
    pub fn symbols(&self) -> Vec<Symbol> {
        self.symbols.iter().filter_map(|symbol| symbol.trim().parse().ok()).collect()
    }

    /// The pauses between connections and between requests.
    pub fn pauses(&self, venue: Venue) -> (Duration, Duration) {
        let rules = adapter(venue).rules();
        let or = |set: Option<HumanDuration>, default| set.map_or(default, HumanDuration::get);
        (or(self.reconnect_pause, rules.reconnect_pause), or(self.request_pause, rules.request_pause))
    }

    /// Where the venue's WebSocket and REST API are.
    pub fn urls(&self, venue: Venue) -> Result<(Url, Url), url::ParseError> {
        let Rules { stream_url, rest_url, .. } = adapter(venue).rules();
        let stream = self.stream_url.as_deref().unwrap_or(stream_url).parse()?;
        Ok((stream, self.rest_url.as_deref().unwrap_or(rest_url).trim_end_matches('/').parse()?))
    }

    /// The client of the REST API.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            max_bytes: 8 << 20,
            // The collector asks again, and waits as long as the venue wants.
            max_retries: 0,
            // Trades wait for the answer.
            deadline: Duration::from_secs(10),
            allow_private: self.allow_private,
            propagate_trace: false,
            ..ClientConfig::default()
        }
    }
}

impl Section for VenueConfig {
    const TITLE: &'static str = "Exchange";

    fn check(&self, problems: &mut Problems) {
        if self.symbols.iter().any(|symbol| symbol.trim().parse::<Symbol>().is_err()) {
            problems.add("symbols", "must be symbols such as `BTC-USD`, separated by commas");
        }
        let is_stream =
            |url: &str| url.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host());
        if self.stream_url.as_deref().is_some_and(|url| !is_stream(url)) {
            problems.add("stream_url", "must be a URL with the scheme ws or wss");
        }
        problems.check_base_url("rest_url", self.rest_url.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use kennel_config::{Environment, load};

    use super::*;

    #[test]
    fn more_symbols_than_a_connection_may_have_are_refused() {
        let load = |count: usize| {
            let symbols = (0..count).map(|n| format!("A{n}-USD")).collect::<Vec<_>>().join(",");
            let variables = [("COINBASE_SYMBOLS", symbols.as_str()), ("CANDLES_GRPC_URL", "http://localhost:1")];
            load::<CollectorConfig>(&Environment::from_pairs(variables)).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(load(100), Ok(()));
        let error = load(101).unwrap_err();
        assert!(error.contains("COINBASE_SYMBOLS") && error.contains("at most 100 symbols"), "{error}");
    }
}
