//! The whole system, offline: candles are compared with the ledger of the simulated exchanges.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod analytics;
mod backends;
mod ledger;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use backends::Variables;
use ledger::{all_gaps_are_healed, matches_the_ledger};
use serde_json::Value;
use support::{Ports, get, json, stop, stream};

const VENUES: [&str; 3] = ["binance", "coinbase", "kraken"];
const SYMBOLS: [&str; 2] = ["BTC-USD", "ETH-USD"];
/// Much longer than it takes.
const LIMIT: Duration = Duration::from_mins(2);

/// The tests of the in-process broker and SQLite.
mod memory {
    #[tokio::test]
    async fn with_faults_on_three_venues_the_candles_are_those_of_the_ledger() {
        // A trade is published in two versions, and counted once.
        super::faults(&vec![("TRADE_VERSIONS", "both".to_owned())]).await;
    }

    #[test]
    fn make_run_market_has_a_valid_configuration() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
        let program = env!("CARGO_BIN_EXE_market-pipeline");
        kennel_testkit::make::has_valid_configuration(root.as_ref(), "run-market", program.as_ref());
    }

    #[tokio::test]
    async fn each_operation_is_open_to_its_scope_only() {
        super::access::each_operation_is_open_to_its_scope_only().await;
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

#[cfg(all(feature = "postgres", feature = "kafka", feature = "redis"))]
mod postgres_kafka_redis {
    #[tokio::test]
    async fn collectors_share_the_symbols_and_take_those_of_one_that_is_frozen_or_killed() {
        let Some((variables, _resources)) = crate::backends::postgres_kafka_redis().await else { return };
        crate::shared_symbols(&variables).await;
    }
}

#[cfg(all(feature = "postgres", feature = "kafka"))]
mod slow {
    #[tokio::test]
    async fn while_the_broker_does_not_respond_the_collector_waits_and_loses_nothing() {
        crate::slow_broker().await;
    }
}

/// A number that a variable can make larger, for long runs.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// How long ago the exchanges start, so that their clock is fast until they have had so many trades.
fn start_ago(trades: u64) -> String {
    // A trade every two seconds.
    format!("{}m", 120.max(trades / 30 + 20))
}

/// Connections are cut again and again. `MARKET_RECONNECTS` is how often at least, for each venue.
async fn faults(backends: &Variables) {
    let reconnects = setting("MARKET_RECONNECTS", 3);
    // In a long run, a connection lasts longer than the second after which it asks for what is missing. The trades between two
    // connections are read by REST, and cut none.
    let (total, cut_after, speed) = if reconnects > 3 { (reconnects * 30, "30", "20") } else { (300, "80", "60") };
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let (trades, ago) = (total.to_string(), start_ago(total));
    let mut further = vec![
        ("SIMULATOR_TRADES", trades.as_str()),
        ("SIMULATOR_START_AGO", ago.as_str()),
        ("SIMULATOR_CUT_AFTER", cut_after),
        ("SIMULATOR_SPEED", speed),
    ];
    further.extend(backends.iter().map(|(name, value)| (*name, value.as_str())));
    let mut process = ports.start(&folder, &["serve"], &further);
    process.listener("analytics-api.http").await;
    the_stream_resumes(&ports).await;
    analytics::the_stream_over_grpc_resumes(&ports).await;
    let mut counts = BTreeMap::new();
    for venue in VENUES {
        for symbol in SYMBOLS {
            let count = matches_the_ledger(&ports, venue, symbol, total).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
            counts.insert(format!("{venue}:{symbol}"), count);
        }
    }
    // The collector did not start at the end.
    assert!(counts.values().all(|count| *count > 50), "{counts:?}");
    surface(&ports).await;
    analytics::values(&ports).await;
    audit(&ports, &folder, &further).await;
    let metrics = get(ports.sys(), "/metrics", &[]).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for metric in
        ["market_gaps_total", "market_trades_total", "market_trade_store_seconds_count", "market_candle_stream_seconds"]
    {
        assert!(text.contains(metric), "{metric}");
    }
    for venue in VENUES {
        let ended: u64 = text.lines().filter_map(|line| connections_of(line, venue)).sum();
        eprintln!("{venue}: {ended} connections ended");
        assert!(ended >= reconnects, "{venue} had {ended} connections");
    }
    stop(process).await;
}

/// The candles are those that the exchanges compute themselves.
async fn audit(ports: &Ports, folder: &tempfile::TempDir, further: &[(&str, &str)]) {
    let mut audit = ports.start(folder, &["market-preprocessor", "audit", "--span", "24h"], further);
    let code = audit.wait(LIMIT).await;
    let output = audit.output();
    assert!(code.success() && output.contains(" minutes compared, 0 differ"), "{output}");
    assert!(!output.contains("\n0 minutes"), "{output}");
}

/// The number in a line of the metric of ended connections.
fn connections_of(line: &str, venue: &str) -> Option<u64> {
    let labels = line.strip_prefix("market_connections_total{")?;
    let (labels, number) = labels.split_once("} ")?;
    labels.contains(&format!("venue=\"{venue}\"")).then(|| number.parse().unwrap())
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
    further.extend([("PROMETHEUS_PORT", "0"), ("TRADE_VERSIONS", "v2")]);
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
    analytics::another_replica_resets_the_stream(&ports, &folder, &further).await;
    stop(process).await;
}

/// Two collectors with one cache have half of the symbols each. One is frozen, continues, and is killed at last.
#[cfg(all(feature = "postgres", feature = "kafka", feature = "redis"))]
async fn shared_symbols(backends: &Variables) {
    const TRADES: u64 = 900;
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let trades = TRADES.to_string();
    let mut further = vec![("SIMULATOR_TRADES", trades.as_str()), ("COLLECTOR_LEASE", "1s"), ("COLLECTOR_SHARDS", "4")];
    further.extend(backends.iter().map(|(name, value)| (*name, value.as_str())));
    let mut first = ports.start(&folder, &["serve"], &further);
    first.listener("analytics-api.http").await;
    let of_first = ports.sys();
    let shards =
        |venue: &str, count: u32| format!("market_shards{{venue=\"{venue}\",app=\"market-data-collector\"}} {count}\n");
    further.push(("PROMETHEUS_PORT", "0"));
    let mut second = ports.start(&folder, &["market-data-collector", "serve"], &further);
    let of_second = second.listener("sys").await;
    for venue in VENUES {
        second.shows(of_second, "/metrics", &shards(venue, 2)).await;
        first.shows(of_first, "/metrics", &shards(venue, 2)).await;
    }
    second.freeze();
    for venue in VENUES {
        first.shows(of_first, "/metrics", &shards(venue, 4)).await;
    }
    second.thaw();
    for venue in VENUES {
        second.shows(of_second, "/metrics", &shards(venue, 2)).await;
    }
    second.kill();
    second.wait(LIMIT).await;
    for venue in VENUES {
        for symbol in SYMBOLS {
            matches_the_ledger(&ports, venue, symbol, TRADES).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
        }
    }
    stop(first).await;
}

/// The collector reaches the broker through a proxy, which stops forwarding for `MARKET_SLOW_SECONDS`.
#[cfg(all(feature = "postgres", feature = "kafka"))]
async fn slow_broker() {
    use kennel_testkit::Mode;
    /// More than what a page of trades and the buffers of sockets take.
    const GROWTH_KIB: u64 = 16 << 10;
    let Some(database) = kennel_testkit::TestDatabase::postgres().await else { return };
    let Some(broker) = kennel_testkit::broker_namespace::ProxiedBroker::kafka().await else { return };
    let seconds = setting("MARKET_SLOW_SECONDS", 3);
    let total = 400 + seconds * 30;
    let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::reserve());
    let (trades, ago, dsn) = (total.to_string(), start_ago(total), database.dsn());
    let common = [
        ("SIMULATOR_TRADES", trades.as_str()),
        ("SIMULATOR_START_AGO", &ago),
        ("STORAGE", "postgres"),
        ("POSTGRES_DSN", &dsn),
    ];
    // The first process has exchanges, candles and the API, and collects nothing.
    let mut of_first = common.to_vec();
    of_first.extend(broker.direct().iter().map(|(name, value)| (*name, value.as_str())));
    of_first.extend([("BINANCE_SYMBOLS", ""), ("COINBASE_SYMBOLS", ""), ("KRAKEN_SYMBOLS", "")]);
    let mut first = ports.start(&folder, &["serve"], &of_first);
    first.listener("analytics-api.http").await;
    let mut of_collector = common.to_vec();
    of_collector.extend(broker.proxied().iter().map(|(name, value)| (*name, value.as_str())));
    of_collector.push(("PROMETHEUS_PORT", "0"));
    let mut collector = ports.start(&folder, &["market-data-collector", "serve"], &of_collector);
    collector.listener("sys").await;
    ports.until_progress("kraken", "BTC-USD", 30).await;
    let before = collector.memory_kib();
    broker.faults().set(Mode::BlackHole);
    let mut most = before;
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(collector.memory_kib());
    }
    broker.faults().set(Mode::Pass);
    assert!(most < before + GROWTH_KIB, "from {before} to {most} KiB");
    for venue in VENUES {
        for symbol in SYMBOLS {
            matches_the_ledger(&ports, venue, symbol, total).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
        }
    }
    stop(collector).await;
    stop(first).await;
}

/// The exchanges survive; everything else is killed again and again. `MARKET_KILLS` is how often.
async fn kills() {
    let kills = setting("MARKET_KILLS", 3);
    // Some happen while the process starts: more on a machine with other work.
    let trades = 200 + kills * if kills > 3 { 150 } else { 60 };
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::reserve();
    let (count, ago) = (trades.to_string(), start_ago(trades));
    let script = [("SIMULATOR_TRADES", count.as_str()), ("SIMULATOR_START_AGO", ago.as_str())];
    let exchanges = ports.start(&folder, &["market-simulator", "serve"], &script);
    ports.until_open(ports.simulator()).await;
    // The process has exchanges of its own, which nobody connects to.
    let start = || ports.start(&folder, &["serve"], &[("SIMULATOR_PORT", &ports.unused()), ("PROMETHEUS_PORT", "0")]);
    let mut seen = None;
    for kill in 1..=kills {
        let mut process = start();
        process.listener("analytics-api.http").await;
        seen = Some(stream(ports.api(), None, 1).await.remove(0));
        ports.until_progress("kraken", "BTC-USD", 20).await;
        process.kill();
        process.wait(LIMIT).await;
        eprintln!("killed {kill} times");
    }
    let mut process = start();
    process.listener("analytics-api.http").await;
    for venue in VENUES {
        for symbol in SYMBOLS {
            matches_the_ledger(&ports, venue, symbol, trades).await;
            all_gaps_are_healed(&ports, venue, symbol).await;
        }
    }
    analytics::a_client_that_was_away_too_long_reads_the_history(&ports, &seen.unwrap()).await;
    stop(process).await;
    stop(exchanges).await;
}
