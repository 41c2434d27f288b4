//! The frames and pages of the venues, as the exchanges write them.

use std::fmt::Write as _;

use market_domain::{Instrument, Micros, Side, Symbol, Trade, Venue};
use market_venues::adapter;
use serde_json::Value;

const fn name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

fn taker(trade: &Trade) -> Side {
    trade.taker.unwrap_or(Side::Buy)
}

/// RFC 3339 with microseconds.
fn rfc3339(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time.0).map(|time| format!("{time:.6}")).unwrap_or_default()
}

/// How the frames of a venue name the symbol.
pub(crate) fn spell(instrument: &Instrument) -> String {
    adapter(instrument.venue).spell(&instrument.symbol)
}

/// The frame of a trade. `sequence` counts the frames of a connection, and so starts again with each.
pub(crate) fn trade(trade: &Trade, sequence: u64) -> String {
    let Trade { id, price, size, time, .. } = trade;
    let symbol = spell(&trade.instrument);
    match trade.instrument.venue {
        Venue::Binance => {
            let is_buyer_maker = taker(trade) == Side::Sell;
            format!(
                r#"{{"e":"trade","E":{0},"s":"{symbol}","t":{id},"p":"{price}","q":"{size}","T":{0},"m":{is_buyer_maker},"M":true}}"#,
                time.0
            )
        }
        Venue::Coinbase => format!(
            r#"{{"type":"match","trade_id":{id},"sequence":{sequence},"maker_order_id":"m{id}","taker_order_id":"t{id}","time":"{}","product_id":"{symbol}","size":"{size}","price":"{price}","side":"{}"}}"#,
            rfc3339(*time),
            name(taker(trade).opposite()),
        ),
        Venue::Kraken => format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"{}","price":{price},"qty":{size},"ord_type":"limit","trade_id":{id},"timestamp":"{}"}}]}}"#,
            name(taker(trade)),
            rfc3339(*time),
        ),
    }
}

/// A page of trades of the REST API.
pub(crate) fn page(venue: Venue, trades: &[Trade]) -> String {
    let row = |trade: &Trade| {
        let Trade { id, price, size, time, .. } = trade;
        match venue {
            Venue::Binance => format!(
                r#"{{"id":{id},"price":"{price}","qty":"{size}","quoteQty":"0","time":{},"isBuyerMaker":{},"isBestMatch":true}}"#,
                time.0,
                taker(trade) == Side::Sell
            ),
            Venue::Coinbase => format!(
                r#"{{"time":"{}","trade_id":{id},"price":"{price}","size":"{size}","side":"{}"}}"#,
                rfc3339(*time),
                name(taker(trade).opposite())
            ),
            Venue::Kraken => {
                let (seconds, micros) = (time.0.div_euclid(Micros::SECOND), time.0.rem_euclid(Micros::SECOND));
                let side = &name(taker(trade))[..1];
                format!(r#"["{price}","{size}",{seconds}.{micros:06},"{side}","m","",{id}]"#)
            }
        }
    };
    let rows = trades.iter().map(row).collect::<Vec<_>>().join(",");
    if venue != Venue::Kraken {
        return format!("[{rows}]");
    }
    let last = trades.last().map_or(0, |trade| trade.time.0);
    format!(r#"{{"error":[],"result":{{"PAIR":[{rows}],"last":"{last}000"}}}}"#)
}

/// The answers to a request to subscribe, and which of the instruments it asks for.
pub(crate) fn subscribe(venue: Venue, request: &str, known: &[Instrument]) -> (Vec<String>, Vec<Instrument>) {
    let request: Value = serde_json::from_str(request).unwrap_or_default();
    let listed = match venue {
        Venue::Binance => &request["params"],
        Venue::Coinbase => &request["product_ids"],
        Venue::Kraken => &request["params"]["symbol"],
    };
    let asked = |instrument: &&Instrument| {
        let spelling = spell(instrument);
        let stream = format!("{}@trade", spelling.to_ascii_lowercase());
        let names = listed.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.into_iter().any(|name| name == spelling || name == stream)
    };
    let found: Vec<_> = known.iter().filter(|instrument| instrument.venue == venue).filter(asked).cloned().collect();
    let answers = match venue {
        Venue::Binance => vec![format!(r#"{{"result":null,"id":{}}}"#, request["id"])],
        Venue::Coinbase => {
            let products =
                found.iter().map(|instrument| format!("\"{}\"", spell(instrument))).collect::<Vec<_>>().join(",");
            vec![format!(
                r#"{{"type":"subscriptions","channels":[{{"name":"matches","product_ids":[{products}]}},{{"name":"heartbeat","product_ids":[{products}]}}]}}"#
            )]
        }
        Venue::Kraken => found.iter().map(answer_of_kraken).collect(),
    };
    (answers, found)
}

fn answer_of_kraken(instrument: &Instrument) -> String {
    let symbol = spell(instrument);
    format!(
        r#"{{"method":"subscribe","req_id":1,"result":{{"channel":"trade","snapshot":true,"symbol":"{symbol}"}},"success":true}}"#
    )
}

/// The heartbeats of a second: one for each instrument, or one for all. Binance has pings of the protocol instead.
pub(crate) fn heartbeats(venue: Venue, last_ids: &[(Instrument, i64)], time: Micros) -> Vec<String> {
    let heartbeat = |(instrument, id): &(Instrument, i64)| {
        let (product, time) = (spell(instrument), rfc3339(time));
        format!(r#"{{"type":"heartbeat","sequence":1,"last_trade_id":{id},"product_id":"{product}","time":"{time}"}}"#)
    };
    match venue {
        Venue::Binance => Vec::new(),
        Venue::Coinbase => last_ids.iter().map(heartbeat).collect(),
        Venue::Kraken => vec![r#"{"channel":"heartbeat"}"#.to_owned()],
    }
}

/// The notice that a connection is about to be closed, of a venue that sends one.
pub(crate) fn shutdown_notice(venue: Venue, time: Micros) -> Option<String> {
    (venue == Venue::Binance).then(|| format!(r#"{{"e":"serverShutdown","E":{}}}"#, time.0))
}

/// Whether Kraken's REST API names the symbol like this.
pub(crate) fn is_kraken_pair(symbol: &Symbol, pair: &str) -> bool {
    let (base, quote) = symbol.assets();
    pair == format!("{}{quote}", if base == "BTC" { "XBT" } else { base })
}

/// The ledger of an instrument: the truth, as JSON.
pub(crate) fn ledger(trades: &[Trade]) -> String {
    let mut text = String::from("[");
    for (index, trade) in trades.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let Trade { id, price, size, time, .. } = trade;
        let _cannot_fail = write!(
            text,
            r#"{comma}{{"id":{id},"price":"{price}","size":"{size}","taker":"{}","time_us":{}}}"#,
            name(taker(trade)),
            time.0
        );
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use market_domain::Missing;
    use market_venues::{Incoming, Symbols};

    use super::*;
    use crate::ledger::tests::ledger;

    /// Trades of every venue, as the adapters read what is written here.
    #[test]
    fn the_adapters_read_what_happened() {
        let (ledger, kraken) = ledger(200);
        for venue in Venue::ALL {
            let adapter = adapter(venue);
            let of_venue = |trade: Trade| Trade {
                instrument: Instrument { venue, ..trade.instrument },
                received: Micros(9),
                ..trade
            };
            let trades: Vec<_> = ledger.between(&kraken, 0, i64::MAX, 1_000).into_iter().map(of_venue).collect();
            let symbols = Symbols::new(adapter, [kraken.symbol.clone()]);
            for happened in &trades {
                let read = adapter.read(&symbols, &trade(happened, 1), Micros(9)).unwrap();
                assert_eq!(read, [Incoming::Trade(happened.clone())]);
            }
            let read = adapter.read_page(&kraken.symbol, page(venue, &trades).as_bytes(), Micros(9)).unwrap();
            assert_eq!(read, trades, "{venue}");
        }
    }

    #[test]
    fn the_adapters_understand_the_control_frames() {
        let symbol: Symbol = "BTC-USD".parse().unwrap();
        for venue in Venue::ALL {
            let (adapter, instrument) = (adapter(venue), Instrument { venue, symbol: symbol.clone() });
            let symbols = Symbols::new(adapter, [symbol.clone()]);
            let [request] = &adapter.subscribe(&symbols)[..] else { panic!("one request") };
            let (answers, found) = subscribe(venue, request, std::slice::from_ref(&instrument));
            assert_eq!(found, std::slice::from_ref(&instrument), "{venue}");
            let read = adapter.read(&symbols, &answers[0], Micros(0)).unwrap();
            assert_eq!(read, [Incoming::Subscribed(vec![symbol.clone()])], "{venue}");
            for frame in heartbeats(venue, &[(instrument, 7)], Micros(0)) {
                let read = adapter.read(&symbols, &frame, Micros(0)).unwrap();
                assert!(matches!(&read[..], [Incoming::Heartbeat(_)]), "{venue}: {read:?}");
            }
            if let Some(notice) = shutdown_notice(venue, Micros(1)) {
                assert_eq!(adapter.read(&symbols, &notice, Micros(0)).unwrap(), [Incoming::ClosingSoon]);
            }
        }
        let missing = Missing { from: 1, to: 2, after: Micros(1), before: Micros(2) };
        let page = adapter(Venue::Kraken).page(&symbol, &missing);
        assert!(page.contains("pair=XBTUSD&") && is_kraken_pair(&symbol, "XBTUSD"));
    }
}
