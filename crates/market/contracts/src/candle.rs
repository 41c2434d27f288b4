//! Candles.

use kennel_proto::market::v1 as pb;
use market_domain::Candle;

use crate::CANDLES;
use crate::message::message_event;

/// A candle changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CandleChanged(pub pb::Candle);

message_event!(CandleChanged, "market.candle_changed", CANDLES);

impl CandleChanged {
    /// The message in `proto/`.
    pub const MESSAGE: &str = "Candle";
    /// The file of the message.
    pub const PROTO: &str = include_str!("../../../../proto/market/v1/candle.proto");
}

impl From<&Candle> for CandleChanged {
    fn from(candle: &Candle) -> Self {
        let (window, bar) = (candle.key.window, &candle.bar);
        Self(pb::Candle {
            venue: candle.key.instrument.venue.name().to_owned(),
            symbol: candle.key.instrument.symbol.as_str().to_owned(),
            timeframe: window.timeframe.name().to_owned(),
            open_time_us: window.open_time.0,
            close_time_us: window.end().0,
            open: bar.open.to_string(),
            high: bar.high.to_string(),
            low: bar.low.to_string(),
            close: bar.close.to_string(),
            volume: bar.volume.to_string(),
            quote_volume: bar.quote_volume.to_string(),
            buy_volume: bar.buy_volume.to_string(),
            trades: bar.trades,
            first_trade_id: bar.first_id,
            last_trade_id: bar.last_id,
            revision: candle.revision,
            r#final: candle.is_final,
            complete: candle.is_complete,
            updated_us: candle.updated.0,
        })
    }
}
