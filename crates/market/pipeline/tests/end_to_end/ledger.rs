//! Candles, compared with the ledger of the simulated exchanges.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::LIMIT;
use crate::support::{Candles, Ports, json};

/// Waits until the candles of an instrument are those of the ledger's trades from the first one that was seen. Returns the
/// number of trades.
pub(crate) async fn matches_the_ledger(ports: &Ports, venue: &str, symbol: &str, trades: u64) -> i64 {
    let (mut since, mut happened) = (Instant::now(), 0);
    loop {
        let ledger = json(ports.simulator(), &format!("/ledger/{venue}/{symbol}")).await;
        // In a long run, all trades take longer than the limit.
        let count = ledger.as_array().map_or(0, Vec::len) as u64;
        if count > happened {
            (since, happened) = (Instant::now(), count);
        }
        match compare(ports, venue, symbol, &ledger, trades).await {
            Ok(count) => return count,
            Err(difference) if since.elapsed() > LIMIT => {
                let gaps = json(ports.api(), &format!("/api/v1/gaps?venue={venue}&symbol={symbol}")).await;
                panic!("{venue}:{symbol}: {difference}; gaps: {gaps}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(if count < trades { 500 } else { 200 })).await,
        }
    }
}

async fn compare(ports: &Ports, venue: &str, symbol: &str, ledger: &Value, trades: u64) -> Result<i64, String> {
    let ledger = ledger.as_array().unwrap();
    if (ledger.len() as u64) < trades {
        return Err(format!("the exchange is at trade {} of {trades}", ledger.len()));
    }
    let stored = async |timeframe: &str| {
        let path = format!(
            "/api/v1/candles?venue={venue}&symbol={symbol}&timeframe={timeframe}&from=2020-01-01T00:00:00Z&limit=1000"
        );
        json(ports.api(), &path).await["items"].as_array().cloned().unwrap_or_default()
    };
    let days = stored("1d").await;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Err("there are no candles".to_owned()) };
    let (first, last) = (first["first_trade_id"].as_i64().unwrap(), last["last_trade_id"].as_i64().unwrap());
    let end = ledger.last().unwrap()["id"].as_i64().unwrap();
    if last != end {
        return Err(format!("the last trade is {last} of {end}"));
    }
    let seen: Vec<_> = ledger.iter().filter(|trade| (first..=last).contains(&trade["id"].as_i64().unwrap())).collect();
    for (timeframe, minutes) in [("1m", 1), ("5m", 5), ("15m", 15), ("1h", 60), ("4h", 240), ("1d", 1_440)] {
        let mut expected = Candles::of(&seen, minutes);
        let stored = stored(timeframe).await;
        // A final candle is complete, unless it is the one in which the collector started.
        for candle in &stored[1..] {
            if candle["final"] == true && candle["complete"] != true {
                return Err(format!("{timeframe}: final and incomplete: {candle}"));
            }
        }
        for candle in &stored {
            let time = candle["open_time"].as_str().unwrap();
            let Some(expected) = expected.take(time) else {
                return Err(format!("{timeframe}: not in the ledger: {candle}"));
            };
            if let Err(difference) = expected.is_shown_by(candle) {
                return Err(format!("{timeframe} at {time}: {difference}"));
            }
        }
        if !expected.is_empty() {
            return Err(format!("{timeframe}: {} candles are missing", expected.len()));
        }
    }
    Ok(last - first + 1)
}

/// Every gap that was found is healed.
pub(crate) async fn all_gaps_are_healed(ports: &Ports, venue: &str, symbol: &str) {
    let gaps = json(ports.api(), &format!("/api/v1/gaps?venue={venue}&symbol={symbol}")).await;
    for gap in gaps["items"].as_array().unwrap() {
        assert_eq!(
            (gap["state"].as_str(), gap["missing"].as_i64()),
            (Some("healed"), Some(0)),
            "{venue}:{symbol}: {gap}"
        );
    }
}
