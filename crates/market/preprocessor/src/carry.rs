//! Candles of windows without trades, at the price of the last trade before. They are not stored: a trade that comes later
//! changes them too.

use market_domain::{Bar, Candle, CandleKey, Continuity, Decimal, Micros, Timeframe, Window};

use crate::store::CandleQuery;

/// The query for the same windows with a start, if it has none: its limit is one of windows now. It ends with the window of the
/// latest trade.
pub(crate) fn bounded(query: &CandleQuery, known: &Continuity) -> CandleQuery {
    let length = query.timeframe.micros();
    let latest = Window::of(query.timeframe, known.latest()).end();
    let to = query.to.map_or(latest, |to| to.min(latest));
    let from = query.from.unwrap_or_else(|| {
        let last = Window::of(query.timeframe, Micros(to.0 - 1));
        Micros(last.end().0.saturating_sub(length.saturating_mul(query.limit.into())))
    });
    CandleQuery { from: Some(from), to: Some(to), ..query.clone() }
}

/// The candles of a [bounded] query, with those of windows without trades. `before` is the one before its start.
pub(crate) fn carry(
    query: &CandleQuery,
    before: Option<Candle>,
    stored: Vec<Candle>,
    known: &Continuity,
) -> Vec<Candle> {
    let (Some(from), Some(to)) = (query.from, query.to) else { return stored };
    let (mut carried, mut last, mut stored) = (Vec::new(), before, stored.into_iter().peekable());
    let mut open = first_open(query.timeframe, from);
    while carried.len() < query.limit as usize && open < to {
        let window = Window { timeframe: query.timeframe, open_time: open };
        let candle = match (stored.next_if(|candle| candle.key.window == window), &last) {
            (Some(candle), _) => candle,
            (None, Some(last)) => empty(last, window, known),
            // The first trade is still to come.
            (None, None) => match stored.peek() {
                Some(first) => {
                    open = first.key.window.open_time;
                    continue;
                }
                None => break,
            },
        };
        carried.push(candle.clone());
        last = Some(candle);
        open = window.end();
    }
    carried
}

/// The start of the first window that does not start before `from`.
fn first_open(timeframe: Timeframe, from: Micros) -> Micros {
    let window = Window::of(timeframe, from);
    if window.open_time == from { from } else { window.end() }
}

/// The candle of a window without trades after `last`.
fn empty(last: &Candle, window: Window, known: &Continuity) -> Candle {
    let close = last.bar.close;
    Candle {
        key: CandleKey { instrument: last.key.instrument.clone(), window },
        bar: Bar {
            open: close,
            high: close,
            low: close,
            close,
            volume: Decimal::ZERO,
            quote_volume: Decimal::ZERO,
            buy_volume: Decimal::ZERO,
            trades: 0,
            first_id: last.bar.last_id,
            last_id: last.bar.last_id,
        },
        is_final: window.end() <= known.watermark(),
        is_complete: known.is_complete(window),
        ..last.clone()
    }
}

#[cfg(test)]
mod tests {
    use market_domain::{Instrument, Venue};

    use super::*;

    const MINUTE: i64 = 60 * Micros::SECOND;

    fn instrument() -> Instrument {
        Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() }
    }

    fn query(from: Option<i64>, to: Option<i64>, limit: u32) -> CandleQuery {
        let micros = |minutes| Micros(minutes * MINUTE);
        let (instrument, timeframe) = (instrument(), Timeframe::M1);
        CandleQuery { instrument, timeframe, from: from.map(micros), to: to.map(micros), limit }
    }

    fn candle(minute: i64, close: i128) -> Candle {
        let price = Decimal::new(close, 0).unwrap();
        Candle {
            key: CandleKey { instrument: instrument(), window: Window::of(Timeframe::M1, Micros(minute * MINUTE)) },
            bar: Bar {
                open: price,
                high: price,
                low: price,
                close: price,
                volume: price,
                quote_volume: price,
                buy_volume: price,
                trades: 1,
                first_id: minute,
                last_id: minute,
            },
            revision: 3,
            is_final: true,
            is_complete: true,
            updated: Micros(7),
        }
    }

    /// The minutes and closes of what is shown of candles in the minutes 10, 12 and 15, of which the last has the latest trade.
    fn shown(query: &CandleQuery) -> Vec<(i64, String, i64)> {
        let mut known = Continuity::start(10, Micros(10 * MINUTE));
        known.observe(11, Micros(15 * MINUTE + 1));
        let query = bounded(query, &known);
        let all = [candle(10, 100), candle(12, 120), candle(15, 150)];
        let (from, to) = (query.from.unwrap(), query.to.unwrap());
        let is_before = |candle: &&Candle| candle.key.window.open_time < from;
        let before = all.iter().rev().find(is_before).cloned();
        let within = all.iter().filter(|candle| (from..to).contains(&candle.key.window.open_time)).cloned();
        let carried = carry(&query, before, within.take(query.limit as usize).collect(), &known);
        let minute = |candle: &Candle| candle.key.window.open_time.0 / MINUTE;
        carried.iter().map(|candle| (minute(candle), candle.bar.close.to_string(), candle.bar.trades)).collect()
    }

    fn row(minute: i64, close: &str, trades: i64) -> (i64, String, i64) {
        (minute, close.to_owned(), trades)
    }

    #[test]
    fn windows_without_trades_have_the_price_before() {
        let all = [
            row(10, "100", 1),
            row(11, "100", 0),
            row(12, "120", 1),
            row(13, "120", 0),
            row(14, "120", 0),
            row(15, "150", 1),
        ];
        assert_eq!(shown(&query(Some(0), None, 100)), all, "from the first trade to the latest");
        assert_eq!(shown(&query(Some(10), Some(99), 100)), all);
        assert_eq!(shown(&query(Some(11), Some(14), 100)), all[1..4]);
        assert_eq!(shown(&query(Some(13), Some(14), 100)), all[3..4]);
        assert_eq!(shown(&query(Some(10), None, 2)), all[..2], "the oldest ones");
        assert_eq!(shown(&query(None, None, 3)), all[3..], "the newest ones");
        assert_eq!(shown(&query(None, Some(12), 3)), all[..2]);
        assert_eq!(shown(&query(Some(16), None, 3)), []);
    }

    #[test]
    fn they_are_final_when_nothing_is_waited_for() {
        let mut known = Continuity::start(1, Micros(10 * MINUTE));
        known.observe(3, Micros(15 * MINUTE));
        let query = bounded(&query(Some(11), None, 10), &known);
        let carried = carry(&query, Some(candle(10, 100)), vec![candle(15, 150)], &known);
        let states: Vec<_> = carried.iter().map(|candle| (candle.is_final, candle.is_complete)).collect();
        assert_eq!(states[..4], [(false, false); 4], "the trade 2 is missing");
        known.observe(2, Micros(12 * MINUTE));
        let carried = carry(&query, Some(candle(10, 100)), vec![candle(12, 110), candle(15, 150)], &known);
        assert_eq!((carried[0].is_final, carried[0].is_complete, carried[0].bar.trades), (true, true, 0));
        assert_eq!(carried[2].bar.close.to_string(), "110");
    }
}
