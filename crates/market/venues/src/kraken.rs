//! Kraken, spot: version 2 of the WebSocket, and the trades of the REST API.

use std::collections::HashMap;
use std::time::Duration;

use market_domain::{Instrument, Micros, Missing, Side, Symbol, Trade, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{seconds, side, time};
use crate::{Adapter, Incoming, InvalidFrame, Kline, Order, Rules, Symbols};

pub(crate) struct Kraken;

const RULES: Rules = Rules {
    stream_url: "wss://ws.kraken.com/v2",
    rest_url: "https://api.kraken.com",
    // A heartbeat about every second.
    silence: Duration::from_secs(10),
    lifetime: None,
    // About 150 connections in 10 minutes.
    reconnect_pause: Duration::from_secs(5),
    request_pause: Duration::from_secs(2),
    symbols: 200,
    order: Order::Ascending,
    klines: 720,
    // The latest 720.
    kline_age: Some(Duration::from_hours(12)),
};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(default)]
    channel: &'a str,
    #[serde(default)]
    method: &'a str,
    success: Option<bool>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<Answer<'a>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    symbol: Option<&'a str>,
}

#[derive(Deserialize)]
struct TradeData<'a> {
    symbol: &'a str,
    side: &'a str,
    /// A JSON number, of which only the text is exact.
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    trade_id: i64,
    timestamp: &'a str,
}

#[derive(Deserialize)]
struct Page<'a> {
    error: Vec<String>,
    /// The rows by the name of the pair, and `last`.
    #[serde(borrow, default)]
    result: HashMap<String, &'a RawValue>,
}

/// Price, volume, time, side, order type, other, trade id.
type Row<'a> = (&'a str, &'a str, &'a RawValue, &'a str, &'a RawValue, &'a RawValue, i64);

/// Time in seconds, open, high, low, close, average price, volume, number of trades.
type KlineRow<'a> = (i64, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str, i64);

/// The rows of a page, unless the venue reports an error.
fn rows<'a, T: Deserialize<'a>>(page: &'a [u8]) -> Result<Vec<T>, InvalidFrame> {
    let page: Page<'a> = serde_json::from_slice(page)?;
    if !page.error.is_empty() {
        return Err(InvalidFrame::Refused(page.error.join(", ")));
    }
    let rows = page.result.iter().find(|(name, _)| *name != "last").map_or("[]", |(_, rows)| rows.get());
    Ok(serde_json::from_str(rows)?)
}

/// How the REST API names a symbol: it still names some assets by their old names.
fn pair(symbol: &Symbol) -> String {
    let (base, quote) = symbol.assets();
    let old = |asset| match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    };
    format!("{}{}", old(base), old(quote))
}

fn read_row(symbol: &Symbol, row: &Row<'_>, received: Micros) -> Result<Trade, InvalidFrame> {
    let (price, size, time, taker, .., id) = *row;
    let taker = match taker {
        "b" => Side::Buy,
        "s" => Side::Sell,
        _ => return Err(InvalidFrame::Side),
    };
    Ok(Trade {
        instrument: Instrument { venue: Venue::Kraken, symbol: symbol.clone() },
        id,
        price: price.parse()?,
        size: size.parse()?,
        taker: Some(taker),
        time: seconds(time.get())?,
        received,
    })
}

impl Adapter for Kraken {
    fn rules(&self) -> Rules {
        RULES
    }

    fn spell(&self, symbol: &Symbol) -> String {
        symbol.as_str().replace('-', "/")
    }

    fn subscribe(&self, symbols: &Symbols) -> Vec<String> {
        let names =
            symbols.all().iter().map(|symbol| format!("\"{}\"", self.spell(symbol))).collect::<Vec<_>>().join(",");
        let params = format!(r#"{{"channel":"trade","symbol":[{names}],"snapshot":true}}"#);
        vec![format!(r#"{{"method":"subscribe","params":{params},"req_id":1}}"#)]
    }

    fn read(&self, symbols: &Symbols, frame: &str, received: Micros) -> Result<Vec<Incoming>, InvalidFrame> {
        let head: Frame<'_> = serde_json::from_str(frame)?;
        if head.success == Some(false) {
            return Ok(vec![Incoming::Refused(frame.to_owned())]);
        }
        Ok(match (head.channel, head.method) {
            ("trade", _) => {
                let data: Vec<TradeData<'_>> = serde_json::from_str(head.data.map_or("[]", RawValue::get))?;
                let read = |data: TradeData<'_>| {
                    Ok(Incoming::Trade(Trade {
                        instrument: Instrument { venue: Venue::Kraken, symbol: symbols.find(data.symbol)?.clone() },
                        id: data.trade_id,
                        price: data.price.get().parse()?,
                        size: data.qty.get().parse()?,
                        // It is the side of the taker.
                        taker: Some(side(data.side)?),
                        time: time(data.timestamp)?,
                        received,
                    }))
                };
                data.into_iter().map(read).collect::<Result<_, InvalidFrame>>()?
            }
            ("heartbeat", _) => vec![Incoming::Heartbeat(None)],
            (_, "subscribe") => match head.result.and_then(|answer| answer.symbol) {
                Some(symbol) => vec![Incoming::Subscribed(vec![symbols.find(symbol)?.clone()])],
                None => Vec::new(),
            },
            _ => Vec::new(),
        })
    }

    fn page(&self, symbol: &Symbol, missing: &Missing) -> String {
        // Several trades can have the time of the one before.
        let since = i128::from(missing.after.0) * 1_000 - 1;
        format!("/0/public/Trades?pair={}&since={since}&count=1000", pair(symbol))
    }

    fn read_page(&self, symbol: &Symbol, page: &[u8], received: Micros) -> Result<Vec<Trade>, InvalidFrame> {
        rows(page)?.iter().map(|row| read_row(symbol, row, received)).collect()
    }

    fn klines(&self, symbol: &Symbol, from: Micros, _: Micros) -> String {
        // What starts at `since` may be left out.
        format!("/0/public/OHLC?pair={}&interval=1&since={}", pair(symbol), from.0 / Micros::SECOND - 60)
    }

    fn read_klines(&self, page: &[u8]) -> Result<Vec<Kline>, InvalidFrame> {
        let read = |(time, open, high, low, close, _, volume, trades): KlineRow<'_>| {
            Ok(Kline {
                open_time: Micros(time.saturating_mul(Micros::SECOND)),
                open: open.parse()?,
                high: high.parse()?,
                low: low.parse()?,
                close: close.parse()?,
                volume: volume.parse()?,
                quote_volume: None,
                trades: Some(trades),
            })
        };
        rows(page)?.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        Symbols::new(&Kraken, ["BTC-USD", "ETH-USD"].map(|symbol| symbol.parse().unwrap()))
    }

    fn read(frame: &str) -> Result<Vec<Incoming>, InvalidFrame> {
        Kraken.read(&symbols(), frame, Micros(5))
    }

    #[test]
    fn numbers_are_read_as_they_are_written_and_the_side_is_that_of_the_taker() {
        let frame = r#"{"channel":"trade","type":"update","data":[
            {"symbol":"BTC/USD","side":"sell","price":105944.20,"qty":0.00000001,"ord_type":"limit","trade_id":4665846,
             "timestamp":"2023-09-25T07:49:37.708706Z"},
            {"symbol":"ETH/USD","side":"buy","price":12345678901234567890.12,"qty":1e-8,"ord_type":"market","trade_id":2,
             "timestamp":"2023-09-25T07:49:38Z"}]}"#;
        let [Incoming::Trade(first), Incoming::Trade(second)] = &read(frame).unwrap()[..] else { panic!("two trades") };
        assert_eq!(
            (first.instrument.to_string().as_str(), first.id, first.taker),
            ("kraken:BTC-USD", 4_665_846, Some(Side::Sell))
        );
        assert_eq!((first.price.to_string().as_str(), first.size.to_string().as_str()), ("105944.2", "0.00000001"));
        assert_eq!((second.price.to_string().as_str(), second.taker), ("12345678901234567890.12", Some(Side::Buy)));
        assert_eq!(second.size.to_string(), "0.00000001");
    }

    #[test]
    fn control_frames_are_recognised() {
        assert_eq!(read(r#"{"channel":"heartbeat"}"#).unwrap(), [Incoming::Heartbeat(None)]);
        assert_eq!(read(r#"{"channel":"status","type":"update","data":[{"system":"online"}]}"#).unwrap(), []);
        let answer = r#"{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":1}"#;
        assert_eq!(read(answer).unwrap(), [Incoming::Subscribed(vec!["BTC-USD".parse().unwrap()])]);
        let refused = r#"{"error":"Currency pair not supported BTC/XXX","method":"subscribe","success":false}"#;
        assert_eq!(read(refused).unwrap(), [Incoming::Refused(refused.to_owned())]);
        let named = |answer: &str| symbols().refused_by(answer);
        assert_eq!(named(refused), []);
        assert_eq!(named(&refused.replace("BTC/XXX", "BTC\\/USD")), ["BTC-USD".parse().unwrap()]);
        assert_eq!(named(r#"{"error":"Exceeded msg rate","symbol":"BTC/USD"}"#), []);
    }

    #[test]
    fn missing_trades_are_read_by_time_and_recognised_by_id() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let missing =
            Missing { from: 11, to: 12, after: Micros(1_688_669_597_827_736), before: Micros(1_688_669_599_000_000) };
        let page = "/0/public/Trades?pair=XBTUSD&since=1688669597827735999&count=1000";
        assert_eq!(Kraken.page(&symbol, &missing), page);
        let page = br#"{"error":[],"result":{"XXBTZUSD":[
            ["30243.40000","0.34507674",1688669597.8277369,"b","m","",10],
            ["30243.50000","0.00376960",1688669598.2804112,"s","l","",11]],"last":"1688669598280411200"}}"#;
        let trades = Kraken.read_page(&symbol, page, Micros(5)).unwrap();
        assert_eq!(
            trades.iter().map(|trade| (trade.id, trade.taker)).collect::<Vec<_>>(),
            [(10, Some(Side::Buy)), (11, Some(Side::Sell))]
        );
        assert_eq!((trades[1].price.to_string().as_str(), trades[1].time), ("30243.5", Micros(1_688_669_598_280_411)));
        let rest = Kraken.rest(&missing, &trades).unwrap();
        assert_eq!((rest.from, rest.to, rest.after), (12, 12, trades[1].time));
        // Whether trades are missing after these is not known; a page that is not full has the latest ones.
        let unknown = Missing { to: Missing::UNKNOWN, ..missing };
        assert_eq!(Kraken.rest(&unknown, &trades), None);
        let full: Vec<_> = (0..1_000).map(|n| Trade { id: 11 + n, ..trades[1].clone() }).collect();
        assert_eq!(Kraken.rest(&unknown, &full).unwrap().from, 1_011);
        let refused = Kraken.read_page(&symbol, br#"{"error":["EGeneral:Too many requests"]}"#, Micros(5));
        assert_eq!(refused.unwrap_err().to_string(), "venue answered with an error: EGeneral:Too many requests");
    }

    #[test]
    fn candles_are_read_without_the_average_price() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        let path = "/0/public/OHLC?pair=XBTUSD&interval=1&since=1688671140";
        assert_eq!(Kraken.klines(&symbol, Micros(1_688_671_200_000_000), Micros(0)), path);
        let page = br#"{"error":[],"result":{"XXBTZUSD":[
            [1688671200,"30306.1","30306.2","30305.7","30305.7","30306.1","3.39243896",23]],"last":1688672160}}"#;
        let [kline] = Kraken.read_klines(page).unwrap()[..] else { panic!("one candle") };
        assert_eq!((kline.open_time, kline.trades), (Micros(1_688_671_200_000_000), Some(23)));
        let texts = [kline.open, kline.high, kline.low, kline.close, kline.volume].map(|value| value.to_string());
        assert_eq!(texts, ["30306.1", "30306.2", "30305.7", "30305.7", "3.39243896"]);
        assert!(matches!(Kraken.read_klines(br#"{"error":["EGeneral"]}"#), Err(InvalidFrame::Refused(_))));
    }
}
