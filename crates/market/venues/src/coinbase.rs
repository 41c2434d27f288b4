//! Coinbase Exchange.

use std::time::Duration;

use market_domain::{Instrument, Micros, Missing, Symbol, Trade, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{side, time};
use crate::{Adapter, Incoming, InvalidFrame, Kline, Order, Rules, Symbols};

pub(crate) struct Coinbase;

const RULES: Rules = Rules {
    stream_url: "wss://ws-feed.exchange.coinbase.com",
    rest_url: "https://api.exchange.coinbase.com",
    // A heartbeat every second.
    silence: Duration::from_secs(10),
    lifetime: None,
    // At most 8 requests a second.
    reconnect_pause: Duration::from_secs(1),
    // About 10 requests a second.
    request_pause: Duration::from_millis(200),
    symbols: 100,
    order: Order::Descending,
    klines: 300,
    kline_age: None,
};

#[derive(Deserialize)]
struct Frame<'a> {
    r#type: &'a str,
}

#[derive(Deserialize)]
struct Match<'a> {
    trade_id: i64,
    #[serde(default)]
    product_id: &'a str,
    price: &'a str,
    size: &'a str,
    /// The side of the maker.
    side: &'a str,
    time: &'a str,
}

#[derive(Deserialize)]
struct HeartbeatFrame<'a> {
    last_trade_id: i64,
    product_id: &'a str,
}

#[derive(Deserialize)]
struct Subscriptions<'a> {
    #[serde(borrow)]
    channels: Vec<Channel<'a>>,
}

#[derive(Deserialize)]
struct Channel<'a> {
    name: &'a str,
    #[serde(borrow)]
    product_ids: Vec<&'a str>,
}

/// Time in seconds, low, high, open, close, volume: JSON numbers, of which only the text is exact.
type Row<'a> = (i64, &'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue);

fn trade(symbol: &Symbol, found: &Match<'_>, received: Micros) -> Result<Trade, InvalidFrame> {
    Ok(Trade {
        instrument: Instrument { venue: Venue::Coinbase, symbol: symbol.clone() },
        id: found.trade_id,
        price: found.price.parse()?,
        size: found.size.parse()?,
        taker: Some(side(found.side)?.opposite()),
        time: time(found.time)?,
        received,
    })
}

impl Adapter for Coinbase {
    fn rules(&self) -> Rules {
        RULES
    }

    fn spell(&self, symbol: &Symbol) -> String {
        symbol.as_str().to_owned()
    }

    fn subscribe(&self, symbols: &Symbols) -> Vec<String> {
        let products = symbols.all().iter().map(|symbol| format!("\"{symbol}\"")).collect::<Vec<_>>().join(",");
        vec![format!(r#"{{"type":"subscribe","product_ids":[{products}],"channels":["matches","heartbeat"]}}"#)]
    }

    fn read(&self, symbols: &Symbols, frame: &str, received: Micros) -> Result<Vec<Incoming>, InvalidFrame> {
        let head: Frame<'_> = serde_json::from_str(frame)?;
        Ok(match head.r#type {
            // The latest trade before the subscription is one of those that may be missing.
            "match" | "last_match" => {
                let found: Match<'_> = serde_json::from_str(frame)?;
                vec![Incoming::Trade(trade(symbols.find(found.product_id)?, &found, received)?)]
            }
            "heartbeat" => {
                let heartbeat: HeartbeatFrame<'_> = serde_json::from_str(frame)?;
                let symbol = symbols.find(heartbeat.product_id)?.clone();
                vec![Incoming::Heartbeat(Some((symbol, heartbeat.last_trade_id)))]
            }
            "subscriptions" => {
                let answer: Subscriptions<'_> = serde_json::from_str(frame)?;
                let matches = answer.channels.iter().find(|channel| channel.name == "matches");
                let products = matches.map(|channel| &channel.product_ids[..]).unwrap_or_default();
                let found = products.iter().map(|product| symbols.find(product).cloned());
                vec![Incoming::Subscribed(found.collect::<Result<_, _>>()?)]
            }
            "error" => vec![Incoming::Refused(frame.to_owned())],
            _ => Vec::new(),
        })
    }

    fn page(&self, symbol: &Symbol, missing: &Missing) -> String {
        // `after` is what is older than this id.
        let count = missing.count().clamp(1, 1_000);
        format!("/products/{symbol}/trades?limit={count}&after={}", missing.to.saturating_add(1))
    }

    fn read_page(&self, symbol: &Symbol, page: &[u8], received: Micros) -> Result<Vec<Trade>, InvalidFrame> {
        let trades: Vec<Match<'_>> = serde_json::from_slice(page)?;
        trades.iter().map(|found| trade(symbol, found, received)).collect()
    }

    fn klines(&self, symbol: &Symbol, from: Micros, to: Micros) -> String {
        // The end is included.
        let (from, last) = (from.0 / Micros::SECOND, to.0 / Micros::SECOND - 60);
        format!("/products/{symbol}/candles?granularity=60&start={from}&end={last}")
    }

    fn read_klines(&self, page: &[u8]) -> Result<Vec<Kline>, InvalidFrame> {
        let rows: Vec<Row<'_>> = serde_json::from_slice(page)?;
        let read = |(time, low, high, open, close, volume): Row<'_>| {
            Ok(Kline {
                open_time: Micros(time.saturating_mul(Micros::SECOND)),
                open: open.get().parse()?,
                high: high.get().parse()?,
                low: low.get().parse()?,
                close: close.get().parse()?,
                volume: volume.get().parse()?,
                quote_volume: None,
                trades: None,
            })
        };
        rows.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use market_domain::Side;

    use super::*;

    fn symbols() -> Symbols {
        Symbols::new(&Coinbase, ["BTC-USD", "ETH-USD"].map(|symbol| symbol.parse().unwrap()))
    }

    fn read(frame: &str) -> Result<Vec<Incoming>, InvalidFrame> {
        Coinbase.read(&symbols(), frame, Micros(5))
    }

    const MATCH: &str = r#"{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"a","taker_order_id":"b",
        "time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}"#;

    #[test]
    fn the_side_is_that_of_the_maker() {
        for (frame, taker) in [
            (MATCH.to_owned(), Side::Buy),
            (MATCH.replace("\"sell\"", "\"buy\""), Side::Sell),
            (MATCH.replace("\"match\"", "\"last_match\""), Side::Buy),
            // The sequence may start again, and says nothing about trades.
            (MATCH.replace("50", "1"), Side::Buy),
        ] {
            let [Incoming::Trade(trade)] = &read(&frame).unwrap()[..] else { panic!("one trade") };
            assert_eq!(
                (trade.instrument.to_string().as_str(), trade.id, trade.taker),
                ("coinbase:BTC-USD", 10, Some(taker))
            );
            assert_eq!((trade.price.to_string().as_str(), trade.size.to_string().as_str()), ("400.23", "5.23512"));
            assert_eq!(trade.time, Micros(1_415_348_367_028_459));
        }
        assert!(matches!(read(&MATCH.replace("\"sell\"", "\"hold\"")), Err(InvalidFrame::Side)));
    }

    #[test]
    fn control_frames_are_recognised() {
        let heartbeat = r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28Z"}"#;
        assert_eq!(read(heartbeat).unwrap(), [Incoming::Heartbeat(Some(("BTC-USD".parse().unwrap(), 20)))]);
        let answer = r#"{"type":"subscriptions","channels":[{"name":"matches","product_ids":["ETH-USD"],"account_ids":null},
            {"name":"heartbeat","product_ids":["ETH-USD","BTC-USD"]}]}"#;
        assert_eq!(read(answer).unwrap(), [Incoming::Subscribed(vec!["ETH-USD".parse().unwrap()])]);
        let error = r#"{"type":"error","message":"Failed to subscribe"}"#;
        assert_eq!(read(error).unwrap(), [Incoming::Refused(error.to_owned())]);
        assert_eq!(read(r#"{"type":"ticker"}"#).unwrap(), []);
    }

    #[test]
    fn missing_trades_are_read_from_the_newest_to_the_oldest() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let missing = Missing { from: 70, to: 74, after: Micros(1), before: Micros(9) };
        assert_eq!(Coinbase.page(&symbol, &missing), "/products/BTC-USD/trades?limit=5&after=75");
        let page =
            br#"[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"10.00","size":"0.01","side":"buy"},
            {"time":"2014-11-07T01:08:43.642366Z","trade_id":73,"price":"100.00","size":"0.01","side":"sell"}]"#;
        let trades = Coinbase.read_page(&symbol, page, Micros(5)).unwrap();
        assert_eq!(trades.iter().map(|trade| trade.taker).collect::<Vec<_>>(), [Some(Side::Sell), Some(Side::Buy)]);
        let rest = Coinbase.rest(&missing, &trades).unwrap();
        assert_eq!((rest.from, rest.to), (70, 72));
    }

    #[test]
    fn candles_are_read_with_low_and_high_before_open_and_close() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let path = "/products/BTC-USD/candles?granularity=60&start=60&end=120";
        assert_eq!(Coinbase.klines(&symbol, Micros(60_000_000), Micros(180_000_000)), path);
        let [kline] = Coinbase.read_klines(b"[[1415398768, 0.32, 4.2, 0.35, 4.20, 12.300000001]]").unwrap()[..] else {
            panic!("one candle")
        };
        assert_eq!((kline.open_time, kline.trades), (Micros(1_415_398_768_000_000), None));
        let texts = [kline.open, kline.high, kline.low, kline.close, kline.volume].map(|value| value.to_string());
        assert_eq!(texts, ["0.35", "4.2", "0.32", "4.2", "12.300000001"]);
    }
}
