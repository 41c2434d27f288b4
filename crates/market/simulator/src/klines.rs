//! The candles of one minute that the venues compute themselves.

use std::collections::BTreeMap;

use market_domain::{Bar, Micros, Timeframe, Trade, Venue};
use market_venues::adapter;

/// The candles of the minutes that start from `from` to before `to`, by the start of their windows.
pub(crate) fn minutes(trades: &[Trade], from: Micros, to: Micros) -> BTreeMap<Micros, Bar> {
    let mut minutes = BTreeMap::new();
    for trade in trades {
        let open = Timeframe::M1.open_of(trade.time);
        let Some(bar) = Bar::of(trade).filter(|_| (from..to).contains(&open)) else { continue };
        let merged = minutes.get(&open).map_or(Some(bar), |known: &Bar| known.merge(&bar));
        minutes.extend(merged.map(|bar| (open, bar)));
    }
    minutes
}

/// Only what the venue still has of these minutes.
pub(crate) fn latest(venue: Venue, mut minutes: BTreeMap<Micros, Bar>) -> BTreeMap<Micros, Bar> {
    let newest = minutes.last_key_value().map(|(time, _)| *time);
    if let Some((newest, age)) = newest.zip(adapter(venue).rules().kline_age) {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        minutes.retain(|time, _| newest.0.saturating_sub(time.0) < age);
    }
    minutes
}

/// A page of the REST API.
pub(crate) fn page(venue: Venue, minutes: &BTreeMap<Micros, Bar>) -> String {
    let row = |(time, bar): (&Micros, &Bar)| {
        let Bar { open, high, low, close, volume, quote_volume, buy_volume, trades, .. } = bar;
        let seconds = time.0 / Micros::SECOND;
        match venue {
            Venue::Binance => {
                let (millis, last) = (time.0 / 1_000, time.0 / 1_000 + 59_999);
                format!(
                    r#"[{millis},"{open}","{high}","{low}","{close}","{volume}",{last},"{quote_volume}",{trades},"{buy_volume}","0","0"]"#
                )
            }
            Venue::Coinbase => format!("[{seconds},{low},{high},{open},{close},{volume}]"),
            Venue::Kraken => {
                let vwap = bar.vwap(5).unwrap_or_default();
                format!(r#"[{seconds},"{open}","{high}","{low}","{close}","{vwap}","{volume}",{trades}]"#)
            }
        }
    };
    let rows: Vec<_> = match venue {
        // The newest first.
        Venue::Coinbase => minutes.iter().rev().map(row).collect(),
        Venue::Binance | Venue::Kraken => minutes.iter().map(row).collect(),
    };
    let rows = rows.join(",");
    match venue {
        Venue::Binance | Venue::Coinbase => format!("[{rows}]"),
        Venue::Kraken => format!(r#"{{"error":[],"result":{{"PAIR":[{rows}],"last":0}}}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::ledger;

    #[test]
    fn kraken_has_the_latest_720_minutes() {
        let (ledger, instrument) = ledger(1);
        let bar = Bar::of(&ledger.between(&instrument, 0, i64::MAX, 1)[0]).unwrap();
        let all: BTreeMap<_, _> = (0..800).map(|n| (Micros(n * Timeframe::M1.micros()), bar)).collect();
        let kraken = latest(Venue::Kraken, all.clone());
        assert_eq!((kraken.len(), kraken.keys().next()), (720, Some(&Micros(80 * Timeframe::M1.micros()))));
        assert_eq!(latest(Venue::Binance, all).len(), 800);
    }

    #[test]
    fn the_adapter_of_each_venue_reads_its_page() {
        let (ledger, instrument) = ledger(500);
        let trades = ledger.between(&instrument, 0, i64::MAX, usize::MAX);
        let from = Timeframe::M1.open_of(trades[100].time);
        let to = Micros(from.0 + 3 * Timeframe::M1.micros());
        let minutes = minutes(&trades, from, to);
        assert_eq!(minutes.len(), 3);
        for venue in Venue::ALL {
            let mut klines = adapter(venue).read_klines(page(venue, &minutes).as_bytes()).unwrap();
            klines.sort_by_key(|kline| kline.open_time);
            for (kline, (time, bar)) in klines.iter().zip(&minutes) {
                assert_eq!((kline.open_time, kline.open, kline.close), (*time, bar.open, bar.close), "{venue}");
                assert_eq!((kline.low, kline.high, kline.volume), (bar.low, bar.high, bar.volume), "{venue}");
                assert!(kline.trades.is_none_or(|count| count == bar.trades), "{venue}");
                assert!(kline.quote_volume.is_none_or(|volume| volume == bar.quote_volume), "{venue}");
            }
            assert_eq!(klines.len(), 3, "{venue}");
        }
    }
}
