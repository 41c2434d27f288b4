//! Binance, spot.

use std::time::Duration;

use market_domain::{Instrument, Micros, Missing, Side, Symbol, Trade, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{Scanner, unix};
use crate::{Adapter, Incoming, InvalidFrame, Kline, Order, Rules, Symbols};

pub(crate) struct Binance;

const RULES: Rules = Rules {
    // The parameter gives times in microseconds.
    stream_url: "wss://stream.binance.com:9443/ws?timeUnit=MICROSECOND",
    rest_url: "https://data-api.binance.vision",
    // The server pings every 20 seconds.
    silence: Duration::from_secs(45),
    lifetime: Some(Duration::from_hours(24)),
    // At most 300 connections in 5 minutes.
    reconnect_pause: Duration::from_secs(2),
    // 25 of 6,000 units of weight a minute.
    request_pause: Duration::from_millis(500),
    // At most 1,024 streams.
    symbols: 1_000,
    order: Order::Ascending,
    klines: 1_000,
    kline_age: None,
};

/// A frame, alone or in the `data` of a combined stream.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    e: &'a str,
    /// Answers to requests have an id, and a result or an error.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct TradeFrame<'a> {
    s: &'a str,
    t: i64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: i64,
    /// Whether the buyer is the maker.
    m: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageTrade<'a> {
    id: i64,
    price: &'a str,
    qty: &'a str,
    time: i64,
    is_buyer_maker: bool,
}

/// Open time, open, high, low, close, volume, close time, quote volume, trades, volume and quote volume of buyers, unused.
type Row<'a> = (i64, &'a str, &'a str, &'a str, &'a str, &'a str, i64, &'a str, i64, &'a str, &'a str, &'a RawValue);

impl<'a> TradeFrame<'a> {
    /// Reads a frame that is written as Binance writes them: its fields in one order, without spaces. Almost all frames are
    /// like this, and read several times faster so. `None` for any other, which may be valid too.
    fn scan(frame: &'a str) -> Option<Self> {
        let mut scanner = Scanner(frame);
        scanner.text(r#"{"e":"trade","E":"#)?;
        scanner.number()?;
        scanner.text(r#","s":""#)?;
        let mut trade = Self { s: scanner.word()?, t: 0, p: "", q: "", time: 0, m: false };
        scanner.text(r#"","t":"#)?;
        trade.t = scanner.number()?;
        scanner.text(r#","p":""#)?;
        trade.p = scanner.word()?;
        scanner.text(r#"","q":""#)?;
        trade.q = scanner.word()?;
        scanner.text(r#"","T":"#)?;
        trade.time = scanner.number()?;
        scanner.text(r#","m":"#)?;
        trade.m = scanner.flag()?;
        scanner.text(r#","M":"#)?;
        scanner.flag()?;
        (scanner.0 == "}").then_some(trade)
    }

    fn read(&self, symbols: &Symbols, received: Micros) -> Result<Trade, InvalidFrame> {
        Ok(Trade {
            instrument: Instrument { venue: Venue::Binance, symbol: symbols.find(self.s)?.clone() },
            id: self.t,
            price: self.p.parse()?,
            size: self.q.parse()?,
            taker: Some(taker(self.m)),
            time: unix(self.time),
            received,
        })
    }
}

/// The buyer is the maker, so the taker sold.
const fn taker(is_buyer_maker: bool) -> Side {
    if is_buyer_maker { Side::Sell } else { Side::Buy }
}

impl Adapter for Binance {
    fn rules(&self) -> Rules {
        RULES
    }

    fn spell(&self, symbol: &Symbol) -> String {
        symbol.as_str().replace('-', "")
    }

    fn subscribe(&self, symbols: &Symbols) -> Vec<String> {
        let streams =
            symbols.all().into_iter().map(|symbol| format!("\"{}@trade\"", self.spell(&symbol).to_ascii_lowercase()));
        let streams = streams.collect::<Vec<_>>().join(",");
        vec![format!(r#"{{"method":"SUBSCRIBE","params":[{streams}],"id":1}}"#)]
    }

    fn read(&self, symbols: &Symbols, frame: &str, received: Micros) -> Result<Vec<Incoming>, InvalidFrame> {
        if let Some(trade) = TradeFrame::scan(frame) {
            return Ok(vec![Incoming::Trade(trade.read(symbols, received)?)]);
        }
        let head: Frame<'_> = serde_json::from_str(frame)?;
        if let Some(data) = head.data {
            return self.read(symbols, data.get(), received);
        }
        Ok(match head.e {
            "trade" => {
                let trade: TradeFrame<'_> = serde_json::from_str(frame)?;
                vec![Incoming::Trade(trade.read(symbols, received)?)]
            }
            "serverShutdown" => vec![Incoming::ClosingSoon],
            _ if head.error.is_some() || head.code.is_some() => vec![Incoming::Refused(frame.to_owned())],
            "" if head.id.is_some() => vec![Incoming::Subscribed(symbols.all())],
            _ => Vec::new(),
        })
    }

    fn page(&self, symbol: &Symbol, missing: &Missing) -> String {
        let count = missing.count().clamp(1, 1_000);
        let symbol = self.spell(symbol);
        format!("/api/v3/historicalTrades?symbol={symbol}&fromId={}&limit={count}", missing.from)
    }

    fn read_page(&self, symbol: &Symbol, page: &[u8], received: Micros) -> Result<Vec<Trade>, InvalidFrame> {
        let trades: Vec<PageTrade<'_>> = serde_json::from_slice(page)?;
        let read = |trade: PageTrade<'_>| {
            Ok(Trade {
                instrument: Instrument { venue: Venue::Binance, symbol: symbol.clone() },
                id: trade.id,
                price: trade.price.parse()?,
                size: trade.qty.parse()?,
                taker: Some(taker(trade.is_buyer_maker)),
                time: unix(trade.time),
                received,
            })
        };
        trades.into_iter().map(read).collect()
    }

    fn klines(&self, symbol: &Symbol, from: Micros, to: Micros) -> String {
        let (symbol, from, last) = (self.spell(symbol), from.0 / 1_000, to.0 / 1_000 - 1);
        format!("/api/v3/klines?symbol={symbol}&interval=1m&startTime={from}&endTime={last}&limit=1000")
    }

    fn read_klines(&self, page: &[u8]) -> Result<Vec<Kline>, InvalidFrame> {
        let rows: Vec<Row<'_>> = serde_json::from_slice(page)?;
        let read = |(time, open, high, low, close, volume, _, quote_volume, trades, ..): Row<'_>| {
            Ok(Kline {
                open_time: unix(time),
                open: open.parse()?,
                high: high.parse()?,
                low: low.parse()?,
                close: close.parse()?,
                volume: volume.parse()?,
                quote_volume: Some(quote_volume.parse()?),
                trades: Some(trades),
            })
        };
        rows.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        Symbols::new(&Binance, ["BTC-USDT", "ETH-USDT"].map(|symbol| symbol.parse().unwrap()))
    }

    fn read(frame: &str) -> Result<Vec<Incoming>, InvalidFrame> {
        Binance.read(&symbols(), frame, Micros(5))
    }

    const TRADE: &str = r#"{"e":"trade","E":1672515782136001,"s":"BTCUSDT","t":12345,"p":"0.00100000","q":"1E-8",
        "T":1672515782136001,"m":true,"M":true}"#;

    #[test]
    fn a_buyer_who_is_the_maker_means_that_the_taker_sold() {
        let combined = format!(r#"{{"stream":"btcusdt@trade","data":{TRADE}}}"#);
        for frame in [TRADE, &combined] {
            let [Incoming::Trade(trade)] = &read(frame).unwrap()[..] else { panic!("one trade") };
            assert_eq!(trade.instrument.to_string(), "binance:BTC-USDT");
            assert_eq!((trade.id, trade.time, trade.received), (12345, Micros(1_672_515_782_136_001), Micros(5)));
            assert_eq!(
                (trade.price.to_string(), trade.size.to_string()),
                ("0.001".to_owned(), "0.00000001".to_owned())
            );
            assert_eq!(trade.taker, Some(Side::Sell));
        }
        let [Incoming::Trade(trade)] = &read(&TRADE.replace("true,\"M", "false,\"M")).unwrap()[..] else {
            panic!("one trade")
        };
        assert_eq!(trade.taker, Some(Side::Buy));
    }

    #[test]
    fn frames_are_scanned_as_they_are_parsed() {
        let written = TRADE.replace(['\n', ' '], "");
        let scanned = TradeFrame::scan(&written).unwrap();
        assert_eq!(scanned, serde_json::from_str(&written).unwrap());
        assert_eq!(read(&written).unwrap(), read(TRADE).unwrap());
        // What has another form, or is no JSON, is left to the parser.
        for (old, new) in [
            ("\"T\":1672515782136001", "\"T\":01672515782136001"),
            ("\"t\":12345", "\"t\":-12345"),
            ("\"t\":12345", "\"t\":12345.0"),
            ("\"t\":12345", "\"t\":99999999999999999999"),
            ("BTCUSDT", "BTC\\u0055SDT"),
            ("BTCUSDT", "BTC\u{1}USDT"),
            ("\"m\":true", "\"m\":null"),
            ("\"M\":true}", "\"M\":true} "),
            ("\"M\":true}", "\"M\":true,\"N\":1}"),
            ("\"e\":\"trade\"", "\"e\":\"aggTrade\""),
        ] {
            let other = written.replace(old, new);
            assert_ne!(other, written);
            assert_eq!(TradeFrame::scan(&other), None, "{other}");
        }
        for end in 0..written.len() {
            assert_eq!(TradeFrame::scan(&written[..end]), None);
        }
    }

    #[test]
    fn control_frames_are_recognised() {
        assert_eq!(read(r#"{"result":null,"id":1}"#).unwrap(), [Incoming::Subscribed(symbols().all())]);
        assert_eq!(read(r#"{"e":"serverShutdown","E":1}"#).unwrap(), [Incoming::ClosingSoon]);
        for refused in [r#"{"code":2,"msg":"Invalid request"}"#, r#"{"error":{"code":2,"msg":"x"},"id":1}"#] {
            assert_eq!(read(refused).unwrap(), [Incoming::Refused(refused.to_owned())]);
        }
        assert_eq!(read(r#"{"e":"kline","s":"BTCUSDT"}"#).unwrap(), []);
    }

    #[test]
    fn what_is_not_expected_is_an_error() {
        assert!(matches!(read("{"), Err(InvalidFrame::Json(_))));
        assert!(matches!(read(&TRADE.replace("BTCUSDT", "DOGEUSDT")), Err(InvalidFrame::Symbol)));
        assert!(matches!(read(&TRADE.replace("0.00100000", "NaN")), Err(InvalidFrame::Decimal(_))));
        assert!(matches!(read(&TRADE.replace("\"0.00100000\"", "0.001")), Err(InvalidFrame::Json(_))));
    }

    #[test]
    fn all_symbols_are_one_request() {
        let expected = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"],"id":1}"#;
        assert_eq!(Binance.subscribe(&symbols()), [expected]);
    }

    #[test]
    fn missing_trades_are_read_in_pages_by_id() {
        let symbol: Symbol = "BTC-USDT".parse().unwrap();
        let missing = Missing { from: 28457, to: 28459, after: Micros(1), before: Micros(9) };
        assert_eq!(Binance.page(&symbol, &missing), "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=28457&limit=3");
        let page =
            br#"[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
            "isBuyerMaker":true,"isBestMatch":true}]"#;
        let trades = Binance.read_page(&symbol, page, Micros(5)).unwrap();
        assert_eq!((trades[0].id, trades[0].price.to_string().as_str()), (28457, "4.000001"));
        assert_eq!((trades[0].taker, trades[0].time), (Some(Side::Sell), Micros(1_499_865_549_590_000)));
        let rest = Binance.rest(&missing, &trades).unwrap();
        assert_eq!((rest.from, rest.to), (28458, 28459));
        assert_eq!(Binance.rest(&rest, &[]), None);
    }

    #[test]
    fn candles_are_read_with_the_number_of_trades() {
        let (symbol, minute): (Symbol, _) = ("BTC-USDT".parse().unwrap(), Micros(60_000_000));
        let path = "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=60000&endTime=119999&limit=1000";
        assert_eq!(Binance.klines(&symbol, minute, Micros(120_000_000)), path);
        let page =
            br#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499040059999,
            "2434.19055334",308,"1756.87402397","28.46694368","0"]]"#;
        let [kline] = Binance.read_klines(page).unwrap()[..] else { panic!("one candle") };
        assert_eq!((kline.open_time, kline.trades), (Micros(1_499_040_000_000_000), Some(308)));
        let texts = [kline.open, kline.high, kline.low, kline.close, kline.volume].map(|value| value.to_string());
        assert_eq!(texts, ["0.0163479", "0.8", "0.015758", "0.015771", "148976.11427815"]);
        assert_eq!(kline.quote_volume.unwrap().to_string(), "2434.19055334");
    }
}
