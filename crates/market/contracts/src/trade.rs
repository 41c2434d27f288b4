//! Trades.

use kennel_core::id::derive_id;
use kennel_core::{CodecError, Event, EventType as _};
use kennel_proto::market::{v1 as pb, v2};
use market_domain::{Instrument, Micros, Side, Trade};
use uuid::Uuid;

use crate::message::message_event;
use crate::{TRADES, TRADES_V2};

/// A collector received a trade.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TradeReported(pub pb::Trade);

message_event!(TradeReported, "market.trade_reported", TRADES);

impl TradeReported {
    /// The message in `proto/`.
    pub const MESSAGE: &str = "Trade";
    /// The file of the message.
    pub const PROTO: &str = include_str!("../../../../proto/market/v1/trade.proto");

    /// The id of the event, which is the same whoever reports the trade.
    pub fn event_id(trade: &Trade) -> Uuid {
        let Instrument { venue, symbol } = &trade.instrument;
        derive_id([venue.name(), symbol.as_str(), &trade.id.to_string()])
    }
}

impl From<&Trade> for TradeReported {
    fn from(trade: &Trade) -> Self {
        let side = match trade.taker {
            None => pb::Side::Unspecified,
            Some(Side::Buy) => pb::Side::Buy,
            Some(Side::Sell) => pb::Side::Sell,
        };
        Self(pb::Trade {
            venue: trade.instrument.venue.name().to_owned(),
            symbol: trade.instrument.symbol.as_str().to_owned(),
            trade_id: trade.id,
            price: trade.price.to_string(),
            size: trade.size.to_string(),
            taker_side: side.into(),
            time_us: trade.time.0,
            received_us: trade.received.0,
        })
    }
}

/// A collector received a trade: version 2 of [`TradeReported`], in a topic of its own and with the same id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TradeReportedV2(pub v2::Trade);

message_event!(TradeReportedV2, "market.trade_reported_v2", TRADES_V2);

impl TradeReportedV2 {
    /// The message in `proto/`.
    pub const MESSAGE: &str = "Trade";
    /// The file of the message.
    pub const PROTO: &str = include_str!("../../../../proto/market/v2/trade.proto");

    /// The event of a trade that is published now.
    pub fn new(trade: &Trade, published: Micros) -> Self {
        let pb::Trade { venue, symbol, trade_id, price, size, taker_side, time_us, received_us } =
            TradeReported::from(trade).0;
        let quote_size = trade.price.checked_mul(trade.size).map(|product| product.to_string());
        Self(v2::Trade {
            venue,
            symbol,
            trade_id,
            price,
            size,
            taker_side,
            time_us,
            received_us,
            quote_size: quote_size.unwrap_or_default(),
            published_us: published.0,
        })
    }
}

impl From<TradeReportedV2> for TradeReported {
    fn from(TradeReportedV2(trade): TradeReportedV2) -> Self {
        let v2::Trade { venue, symbol, trade_id, price, size, taker_side, time_us, received_us, .. } = trade;
        Self(pb::Trade { venue, symbol, trade_id, price, size, taker_side, time_us, received_us })
    }
}

/// The names of the events that [`read_trade`] reads.
pub const TRADE_EVENTS: [&str; 2] = [TradeReported::NAME, TradeReportedV2::NAME];

/// Reads the trade of an event of either version.
pub fn read_trade(event: &Event) -> Result<Trade, UnreadableTrade> {
    let reported = match event.decode::<TradeReportedV2>()? {
        Some(reported) => reported.into(),
        None => event.decode::<TradeReported>()?.unwrap_or_default(),
    };
    Ok(reported.try_into()?)
}

/// An event has no trade.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableTrade {
    /// The data is not the message.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The message is not a trade.
    #[error(transparent)]
    Trade(#[from] InvalidTrade),
}

/// A message is not a trade.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {reason}")]
pub struct InvalidTrade {
    field: &'static str,
    reason: String,
}

fn field<T: std::str::FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, InvalidTrade> {
    text.parse().map_err(|error: T::Err| InvalidTrade { field, reason: error.to_string() })
}

impl TryFrom<TradeReported> for Trade {
    type Error = InvalidTrade;

    fn try_from(TradeReported(message): TradeReported) -> Result<Self, InvalidTrade> {
        // A side of a later version is not known here.
        let taker = match message.taker_side() {
            pb::Side::Unspecified => None,
            pb::Side::Buy => Some(Side::Buy),
            pb::Side::Sell => Some(Side::Sell),
        };
        Ok(Self {
            instrument: Instrument {
                venue: field("venue", &message.venue)?,
                symbol: field("symbol", &message.symbol)?,
            },
            id: message.trade_id,
            price: field("price", &message.price)?,
            size: field("size", &message.size)?,
            taker,
            time: Micros(message.time_us),
            received: Micros(message.received_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::Timestamp;
    use market_domain::Venue;
    use prost::Message as _;

    use super::*;

    fn trade() -> Trade {
        Trade {
            instrument: Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() },
            id: 7,
            price: "105944.20".parse().unwrap(),
            size: "1E-8".parse().unwrap(),
            taker: Some(Side::Sell),
            time: Micros(1_700_000_000_000_001),
            received: Micros(1_700_000_000_000_002),
        }
    }

    #[test]
    fn a_trade_survives_the_topic() {
        let reported = TradeReported::from(&trade());
        assert_eq!((reported.0.price.as_str(), reported.0.size.as_str()), ("105944.2", "0.00000001"));
        let at = Timestamp::from_millis(0).unwrap();
        let event = Event::new(TradeReported::event_id(&trade()), "/test", at, &reported).unwrap();
        assert_eq!((event.topic.as_str(), event.key.as_str()), ("market.trades.v1", "kraken:BTC-USD"));
        // Engines read the message itself.
        assert_eq!(<pb::Trade as prost::Message>::decode(&event.data[..]).unwrap(), reported.0);
        let read: Trade = event.decode::<TradeReported>().unwrap().unwrap().try_into().unwrap();
        assert_eq!(read, trade());
    }

    /// What a collector of version 1 has published.
    const PUBLISHED: &[u8] = b"\x0a\x06kraken\x12\x07BTC-USD\x18\x07\x22\x08105944.2*\x0a0.000000010\x028\x81\x80\xf9\xc0\xc1\xc4\x82\x03@\x82\x80\xf9\xc0\xc1\xc4\x82\x03";

    #[test]
    fn what_version_1_has_published_is_read_with_the_same_values() {
        let read: TradeReported = prost::Message::decode(PUBLISHED).unwrap();
        assert_eq!(Trade::try_from(read.clone()).unwrap(), trade());
        assert_eq!(prost::Message::encode_to_vec(&read), PUBLISHED);
    }

    #[test]
    fn both_versions_are_read() {
        let (id, at) = (TradeReported::event_id(&trade()), Timestamp::from_millis(0).unwrap());
        let first = Event::new(id, "/test", at, &TradeReported::from(&trade())).unwrap();
        let second = TradeReportedV2::new(&trade(), Micros(5));
        assert_eq!((second.0.quote_size.as_str(), second.0.published_us), ("0.001059442", 5));
        let second = Event::new(id, "/test", at, &second).unwrap();
        assert_eq!((second.topic.as_str(), second.key.as_str()), ("market.trades.v2", "kraken:BTC-USD"));
        for event in [&first, &second] {
            assert_eq!(read_trade(event).unwrap(), trade());
            assert!(TRADE_EVENTS.contains(&event.name.as_str()));
        }
        // A reader of either version reads the bytes of the other one.
        assert_eq!(pb::Trade::decode(&second.data[..]).unwrap(), TradeReported::from(&trade()).0);
        let read = TradeReportedV2(v2::Trade::decode(PUBLISHED).unwrap());
        assert_eq!(Trade::try_from(TradeReported::from(read)).unwrap(), trade());
        let broken = Event { data: vec![0xff].into(), ..second };
        assert!(matches!(read_trade(&broken), Err(UnreadableTrade::Codec(_))));
        let nines = Trade { price: "9".repeat(38).parse().unwrap(), size: "11".parse().unwrap(), ..trade() };
        assert_eq!(TradeReportedV2::new(&nines, Micros(5)).0.quote_size, "");
    }

    #[test]
    fn a_trade_has_one_id_whoever_reports_it() {
        let later = Trade { received: Micros(1_800_000_000_000_000), ..trade() };
        assert_eq!(TradeReported::event_id(&later), TradeReported::event_id(&trade()));
        let next = Trade { id: 8, ..trade() };
        assert_ne!(TradeReported::event_id(&next), TradeReported::event_id(&trade()));
    }

    #[test]
    fn what_is_no_trade_is_refused_with_its_field() {
        let invalid = |change: fn(&mut pb::Trade)| {
            let mut reported = TradeReported::from(&trade());
            change(&mut reported.0);
            Trade::try_from(reported).unwrap_err().to_string()
        };
        assert!(invalid(|trade| trade.venue = "mtgox".to_owned()).starts_with("field `venue` must be"));
        assert!(invalid(|trade| trade.symbol.clear()).starts_with("field `symbol` must be"));
        assert!(invalid(|trade| trade.price = "NaN".to_owned()).starts_with("field `price` must be"));
        assert!(invalid(|trade| trade.size = "1,0".to_owned()).starts_with("field `size` must be"));
        let mut newer = TradeReported::from(&trade());
        newer.0.taker_side = 9;
        assert_eq!(Trade::try_from(newer).unwrap().taker, None);
        assert_eq!(TradeReported::NAME, "market.trade_reported");
    }
}
