//! The types of the HTTP API. Decimals are text, since numbers of JSON are not exact.

use kennel_core::Timestamp;
use kennel_proto::market::v1 as pb;
use market_domain::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::statistics;

/// A candle: what was traded in a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CandleResponse {
    /// The exchange.
    #[schema(example = "kraken")]
    venue: String,
    /// What was traded.
    #[schema(example = "BTC-USD")]
    symbol: String,
    /// The length of the window.
    #[schema(example = "1m")]
    timeframe: String,
    /// The start of the window, which it includes.
    #[schema(value_type = String, format = DateTime)]
    open_time: Timestamp,
    /// The end of the window, which it does not include.
    #[schema(value_type = String, format = DateTime)]
    close_time: Timestamp,
    /// The price of the trade with the lowest id.
    #[schema(example = "105944.2")]
    open: String,
    /// The highest price.
    high: String,
    /// The lowest price.
    low: String,
    /// The price of the trade with the highest id.
    close: String,
    /// The sum of the sizes.
    volume: String,
    /// The sum of the products of price and size.
    quote_volume: String,
    /// The sum of the sizes for which the buyer took the liquidity.
    buy_volume: String,
    /// The average price by volume, rounded to 12 digits after the point; absent if it has too many digits.
    vwap: Option<String>,
    /// Number of trades.
    trades: i64,
    /// The lowest id of a trade.
    first_trade_id: i64,
    /// The highest id of a trade.
    last_trade_id: i64,
    /// Increases with every change of the candle, from 1.
    revision: i64,
    /// Whether all trades of the window are expected to be in it. Late trades still change it, with a higher revision.
    #[serde(rename = "final")]
    is_final: bool,
    /// Whether no trade is missing from it, as far as is known.
    complete: bool,
}

/// Candles, in the order of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandleList {
    /// The candles.
    pub(crate) items: Vec<CandleResponse>,
}

/// What is known about an instrument.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstrumentResponse {
    /// The exchange.
    #[schema(example = "kraken")]
    venue: String,
    /// What is traded.
    #[schema(example = "BTC-USD")]
    symbol: String,
    /// The highest id of a trade.
    last_trade_id: i64,
    /// The latest time of a trade.
    #[schema(value_type = String, format = DateTime)]
    last_time: Timestamp,
    /// Number of trades that are missing below it.
    missing: i64,
}

/// Instruments, in the order of venue and symbol.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstrumentList {
    /// The instruments.
    pub(crate) items: Vec<InstrumentResponse>,
}

/// A jump of the ids of an instrument's trades.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapResponse {
    /// The first id that was missing.
    from_trade_id: i64,
    /// The last id that was missing.
    to_trade_id: i64,
    /// The time of the trade before the gap.
    #[schema(value_type = String, format = DateTime)]
    after: Timestamp,
    /// The time of the trade after the gap.
    #[schema(value_type = String, format = DateTime)]
    before: Timestamp,
    /// How many trades are still missing.
    missing: i64,
    /// `open`: candles wait for the trades. `given_up`: candles became final without them. `healed`: none is missing.
    #[schema(example = "healed")]
    state: String,
}

/// Gaps, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapList {
    /// The gaps.
    pub(crate) items: Vec<GapResponse>,
}

/// The time in milliseconds. A time out of range, which no service sends, is shown as the epoch.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    let epoch = Timestamp::from_millis(0);
    Timestamp::from_millis(micros.div_euclid(1_000)).or(epoch).unwrap_or_else(|_| unreachable!("zero is in range"))
}

/// The average price by volume.
fn vwap(quote_volume: &str, volume: &str) -> Option<String> {
    let [quote_volume, volume] = [quote_volume, volume].map(str::parse::<Decimal>);
    statistics::vwap(quote_volume.ok()?, volume.ok()?).map(|average| average.to_string())
}

impl From<pb::Candle> for CandleResponse {
    fn from(candle: pb::Candle) -> Self {
        Self {
            open_time: timestamp(candle.open_time_us),
            close_time: timestamp(candle.close_time_us),
            vwap: vwap(&candle.quote_volume, &candle.volume),
            venue: candle.venue,
            symbol: candle.symbol,
            timeframe: candle.timeframe,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            quote_volume: candle.quote_volume,
            buy_volume: candle.buy_volume,
            trades: candle.trades,
            first_trade_id: candle.first_trade_id,
            last_trade_id: candle.last_trade_id,
            revision: candle.revision,
            is_final: candle.r#final,
            complete: candle.complete,
        }
    }
}

impl From<pb::InstrumentStatus> for InstrumentResponse {
    fn from(status: pb::InstrumentStatus) -> Self {
        let missing = status.missing.iter().map(|range| range.to_trade_id - range.from_trade_id + 1).sum();
        Self {
            venue: status.venue,
            symbol: status.symbol,
            last_trade_id: status.last_trade_id,
            last_time: timestamp(status.last_time_us),
            missing,
        }
    }
}

impl From<pb::Gap> for GapResponse {
    fn from(gap: pb::Gap) -> Self {
        let whole = gap.whole.unwrap_or_default();
        Self {
            from_trade_id: whole.from_trade_id,
            to_trade_id: whole.to_trade_id,
            after: timestamp(whole.after_us),
            before: timestamp(whole.before_us),
            missing: gap.missing,
            state: gap.state,
        }
    }
}
