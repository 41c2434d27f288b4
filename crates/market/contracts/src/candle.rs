//! Candles.

use kennel_proto::market::v1 as pb;
use market_domain::{Bar, Candle, CandleKey, Instrument, Micros, Window};

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

/// A message is not a candle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {reason}")]
pub struct InvalidCandle {
    field: &'static str,
    reason: String,
}

fn field<T: std::str::FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, InvalidCandle> {
    text.parse().map_err(|error: T::Err| InvalidCandle { field, reason: error.to_string() })
}

impl TryFrom<CandleChanged> for Candle {
    type Error = InvalidCandle;

    fn try_from(CandleChanged(message): CandleChanged) -> Result<Self, InvalidCandle> {
        let instrument =
            Instrument { venue: field("venue", &message.venue)?, symbol: field("symbol", &message.symbol)? };
        let timeframe = field("timeframe", &message.timeframe)?;
        Ok(Self {
            key: CandleKey { instrument, window: Window { timeframe, open_time: Micros(message.open_time_us) } },
            bar: Bar {
                open: field("open", &message.open)?,
                high: field("high", &message.high)?,
                low: field("low", &message.low)?,
                close: field("close", &message.close)?,
                volume: field("volume", &message.volume)?,
                quote_volume: field("quote_volume", &message.quote_volume)?,
                buy_volume: field("buy_volume", &message.buy_volume)?,
                trades: message.trades,
                first_id: message.first_trade_id,
                last_id: message.last_trade_id,
            },
            revision: message.revision,
            is_final: message.r#final,
            is_complete: message.complete,
            updated: Micros(message.updated_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use market_domain::{Decimal, Timeframe, Venue};

    use super::*;

    #[test]
    fn a_candle_survives_the_topic() {
        let decimal = |text: &str| -> Decimal { text.parse().unwrap() };
        let bar = Bar {
            open: decimal("1.5"),
            high: decimal("3"),
            low: decimal("0.00000001"),
            close: decimal("2"),
            volume: decimal("12345678901234567890.12"),
            quote_volume: decimal("7"),
            buy_volume: decimal("0"),
            trades: 3,
            first_id: 7,
            last_id: 10,
        };
        let instrument = Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() };
        let window = Window::of(Timeframe::M5, Micros(1_700_000_000_000_001));
        let candle = Candle {
            key: CandleKey { instrument, window },
            bar,
            revision: 4,
            is_final: true,
            is_complete: false,
            updated: Micros(1_700_000_000_000_002),
        };
        let changed = CandleChanged::from(&candle);
        assert_eq!(Candle::try_from(changed.clone()), Ok(candle));
        let invalid = CandleChanged(pb::Candle { high: "NaN".to_owned(), ..changed.0 });
        assert!(Candle::try_from(invalid).unwrap_err().to_string().starts_with("field `high` must be"));
    }
}
