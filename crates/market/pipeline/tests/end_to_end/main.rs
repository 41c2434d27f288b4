//! The whole system, offline: candles are compared with the ledger of the simulated exchanges.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backends;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backends::Variables;
use serde_json::Value;
use support::{Candles, Ports, get, json, stop, stream};

const VENUES: [&str; 3] = ["binance", "coinbase", "kraken"];
const SYMBOLS: [&str; 2] = ["BTC-USD", "ETH-USD"];
/// Much longer than it takes.
const LIMIT: Duration = Duration::from_mins(2);

/// Waits until the candles of an instrument are those of the ledger's trades from the first one that was seen. Returns the
/// number of trades.
async fn matches_the_ledger(ports: &Ports, venue: &str, symbol: &str, trades: u64) -> i64 {
    let started = Instant::now();
    loop {
        let ledger = json(ports.simulator(), &format!("/ledger/{venue}/{symbol}")).await;
        let difference = compare(ports, venue, symbol, &ledger, trades).await;
        match difference {
            Ok(count) => return count,
            Err(difference) if started.elapsed() > LIMIT => panic!("{venue}:{symbol}: {difference}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
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
async fn all_gaps_are_healed(ports: &Ports, venue: &str, symbol: &str) {
    let gaps = json(ports.api(), &format!("/api/v1/gaps?venue={venue}&symbol={symbol}")).await;
    for gap in gaps["items"].as_array().unwrap() {
        assert_eq!(
            (gap["state"].as_str(), gap["missing"].as_i64()),
            (Some("healed"), Some(0)),
            "{venue}:{symbol}: {gap}"
        );
    }
}

/// The tests of the in-process broker and SQLite.
mod memory {
    #[tokio::test]
    async fn with_faults_on_three_venues_the_candles_are_those_of_the_ledger() {
        super::faults(&Vec::new()).await;
    }

    #[tokio::test]
    async fn after_kills_the_candles_are_those_of_the_ledger() {
        super::kills().await;
    }
}

/// The test with the variables that `$backends` returns; nothing when a server is missing.
macro_rules! servers {
    ($backends:ident, $($feature:literal),+) => {
        #[cfg(all($(feature = $feature),+))]
        mod $backends {
            #[tokio::test]
            async fn with_faults_on_three_venues_the_candles_are_those_of_the_ledger() {
                let Some((variables, _resources)) = crate::backends::$backends().await else { return };
                crate::faults(&variables).await;
            }

            #[tokio::test]
            async fn two_collectors_of_which_one_is_killed_give_the_candles_of_the_ledger() {
                let Some((variables, _resources)) = crate::backends::$backends().await else { return };
                crate::two_collectors(&variables).await;
            }
        }
    };
}

servers!(postgres_kafka, "postgres", "kafka");
servers!(mysql_nats, "mysql", "nats");

async fn faults(backends: &Variables) {
    const TRADES: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let trades = TRADES.to_string();
    let mut further = vec![("SIMULATOR_TRADES", trades.as_str())];
    further.extend(backends.iter().map(|(name, value)| (*name, value.as_str())));
    let mut process = ports.start(&folder, &["serve"], &further);
    process.listener("analytics-api.http").await;
    the_stream_resumes(&ports).await;
    let mut counts = BTreeMap::new();
    for venue in VENUES {
        for symbol in SYMBOLS {
            let count = matches_the_ledger(&ports, venue, symbol, TRADES).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
            counts.insert(format!("{venue}:{symbol}"), count);
        }
    }
    // The collector did not start at the end.
    assert!(counts.values().all(|count| *count > 50), "{counts:?}");
    surface(&ports).await;
    let metrics = get(ports.sys(), "/metrics", &[]).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for metric in ["market_gaps_total", "market_trades_total", "market_connections_total"] {
        assert!(text.contains(metric), "{metric}");
    }
    stop(process).await;
}

/// A client that lost its connection gets what it has missed.
async fn the_stream_resumes(ports: &Ports) {
    let events = stream(ports.api(), None, 6).await;
    assert!(events.iter().all(|event| event.name == "candle"), "{events:?}");
    let candle: Value = serde_json::from_str(&events[0].data).unwrap();
    assert!(candle["open"].is_string() && candle["revision"].is_i64(), "{candle}");
    assert_eq!(stream(ports.api(), Some(&events[2].id), 3).await, events[3..]);
    let unknown = "00000000-0000-7000-8000-000000000000";
    assert_eq!(stream(ports.api(), Some(unknown), 1).await[0].name, "reset");
}

/// What clients see besides the candles.
async fn surface(ports: &Ports) {
    let instruments = json(ports.api(), "/api/v1/instruments").await;
    assert_eq!(instruments["items"].as_array().unwrap().len(), 6, "{instruments}");
    let latest = json(ports.api(), "/api/v1/candles/latest?venue=kraken&symbol=BTC-USD").await;
    let candle = &latest["items"][0];
    assert!(candle["vwap"].is_string() && candle["timeframe"] == "1m", "{latest}");
    for (query, field) in [
        ("venue=mtgox&symbol=BTC-USD", "venue"),
        ("venue=kraken&symbol=btc", "symbol"),
        ("venue=kraken&symbol=BTC-USD&timeframe=2m", "timeframe"),
        ("venue=kraken&symbol=BTC-USD&from=yesterday", "from"),
        ("venue=kraken&symbol=BTC-USD&limit=0", "limit"),
    ] {
        let response = get(ports.api(), &format!("/api/v1/candles?{query}"), &[]).await;
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{query}: {problem}");
    }
    let page = get(ports.api(), "/", &[]).await;
    let text = String::from_utf8_lossy(&page.body);
    assert!(page.status == 200 && text.contains("<h1>Candles</h1>"), "{text}");
    for file in ["page/style.css", "page/app.js"] {
        assert!(text.contains(file), "{file}");
        assert_eq!(get(ports.api(), &format!("/{file}"), &[]).await.status, 200, "{file}");
    }
}

/// Each collector loses trades of its own, and both publish those that they have.
#[cfg(any(all(feature = "postgres", feature = "kafka"), all(feature = "mysql", feature = "nats")))]
async fn two_collectors(backends: &Variables) {
    const TRADES: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let trades = TRADES.to_string();
    let mut further = vec![("SIMULATOR_TRADES", trades.as_str())];
    further.extend(backends.iter().map(|(name, value)| (*name, value.as_str())));
    let mut process = ports.start(&folder, &["serve"], &further);
    process.listener("analytics-api.http").await;
    further.push(("PROMETHEUS_PORT", "0"));
    let mut second = ports.start(&folder, &["market-data-collector", "serve"], &further);
    second.listener("sys").await;
    ports.until_progress("kraken", "BTC-USD", 30).await;
    second.kill();
    second.wait(LIMIT).await;
    for venue in VENUES {
        for symbol in SYMBOLS {
            matches_the_ledger(&ports, venue, symbol, TRADES).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
        }
    }
    stop(process).await;
}

/// The exchanges survive; everything else is killed again and again. `MARKET_KILLS` is how often.
async fn kills() {
    let kills: u64 = std::env::var("MARKET_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let trades = 200 + kills * 60;
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let count = trades.to_string();
    let exchanges = ports.start(&folder, &["market-simulator", "serve"], &[("SIMULATOR_TRADES", &count)]);
    ports.until_open(ports.simulator()).await;
    // The process has exchanges of its own, which nobody connects to.
    let start = || ports.start(&folder, &["serve"], &[("SIMULATOR_PORT", &ports.unused()), ("PROMETHEUS_PORT", "0")]);
    for _ in 0..kills {
        let mut process = start();
        process.listener("analytics-api.http").await;
        ports.until_progress("kraken", "BTC-USD", 20).await;
        process.kill();
        process.wait(LIMIT).await;
    }
    let mut process = start();
    process.listener("analytics-api.http").await;
    for venue in VENUES {
        for symbol in SYMBOLS {
            matches_the_ledger(&ports, venue, symbol, trades).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
        }
    }
    stop(process).await;
    stop(exchanges).await;
}
