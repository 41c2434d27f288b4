//! Processes with ports of their own, and candles as they are defined.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use kennel_testkit::probe::{self, Response};
use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// How often something is looked for that a healthy process does soon.
const POLLS: u32 = 1_200;

/// The ports of a process, whose variables are those of `make run-market` with other ports, more faults and less patience.
pub(crate) struct Ports([u16; 6]);

impl Ports {
    pub(crate) fn reserve() -> Self {
        // All are reserved before the first one is released.
        let ports = [(); 6].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        Self(ports.map(|listener| listener.local_addr().unwrap().port()))
    }

    fn address(&self, index: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0[index]).into()
    }

    pub(crate) fn simulator(&self) -> SocketAddr {
        self.address(0)
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.address(1)
    }

    pub(crate) fn api_grpc(&self) -> SocketAddr {
        self.address(3)
    }

    pub(crate) fn sys(&self) -> SocketAddr {
        self.address(2)
    }

    /// A port for what is not used.
    pub(crate) fn unused(&self) -> String {
        self.0[5].to_string()
    }

    pub(crate) fn start(&self, folder: &TempDir, args: &[&str], further: &[(&str, &str)]) -> ServiceProcess {
        let [simulator, api, sys, api_grpc, candles, _] = self.0;
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
        set("PROMETHEUS_PORT", sys.to_string());
        // Its store has nothing to do with the candles, and need not be one with conditional updates.
        set("AUTH_STORAGE", "sqlite".to_owned());
        set("AUTH_SERVER_PORT", "0".to_owned());
        set("AUTH_ISSUER", "http://auth.test".to_owned());
        set("AUTH_AUDIENCE", "kennel".to_owned());
        set("TOKEN_SECRET", "a secret of at least 32 characters".to_owned());
        set("ANALYTICS_API_SERVER_PORT", api.to_string());
        set("ANALYTICS_API_GRPC_PORT", api_grpc.to_string());
        set("API_GATEWAY_SERVER_PORT", "0".to_owned());
        set("MARKET_PREPROCESSOR_GRPC_PORT", candles.to_string());
        set("CANDLES_GRPC_URL", format!("http://127.0.0.1:{candles}"));
        for (venue, path) in [("BINANCE", "binance/ws"), ("COINBASE", "coinbase/ws"), ("KRAKEN", "kraken/v2")] {
            let rest = path.split('/').next().unwrap();
            set(&format!("{venue}_SYMBOLS"), "BTC-USD,ETH-USD".to_owned());
            set(&format!("{venue}_STREAM_URL"), format!("ws://127.0.0.1:{simulator}/{path}"));
            set(&format!("{venue}_REST_URL"), format!("http://127.0.0.1:{simulator}/{rest}"));
            set(&format!("{venue}_ALLOW_PRIVATE"), "true".to_owned());
            set(&format!("{venue}_RECONNECT_PAUSE"), "20ms".to_owned());
            set(&format!("{venue}_REQUEST_PAUSE"), "5ms".to_owned());
        }
        for (name, value) in [
            ("PORT", simulator.to_string().as_str()),
            ("INTERVAL", "2s"),
            ("SPEED", "60"),
            ("START_AGO", "2h"),
            ("DROP", "30"),
            ("DOUBLE", "30"),
            ("REORDER", "30"),
            ("LATE", "30"),
            ("CUT_AFTER", "80"),
            ("LIFETIME", "5s"),
            ("REFUSE_EVERY", "50"),
        ] {
            set(&format!("SIMULATOR_{name}"), value.to_owned());
        }
        env.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_market-pipeline"));
        ServiceProcess::start(&Launch { binary, args, env: &env, directory: folder.path() })
    }

    /// Waits until something listens.
    pub(crate) async fn until_open(&self, address: SocketAddr) {
        for _ in 0..POLLS {
            if TcpStream::connect(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("nothing listens at {address}");
    }

    /// Waits until an instrument has this number of trades more than now.
    pub(crate) async fn until_progress(&self, venue: &str, symbol: &str, trades: i64) {
        let path = format!("/api/v1/candles?venue={venue}&symbol={symbol}&timeframe=1d");
        let count = async || -> Option<i64> {
            let response = probe::request(self.api(), "GET", &path, &[]).await.ok()?;
            let page: Value = serde_json::from_slice(&response.body).ok()?;
            Some(page["items"].as_array()?.iter().filter_map(|day| day["trades"].as_i64()).sum())
        };
        let mut first = None;
        for _ in 0..POLLS {
            if let Some(found) = count().await
                && found >= *first.get_or_insert(found) + trades
            {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("no progress from {first:?} trades of {venue}:{symbol}");
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    probe::request(address, "GET", path, headers).await.unwrap()
}

/// The body of a response; null if it is not a success, such as while a service starts.
pub(crate) async fn json(address: SocketAddr, path: &str) -> Value {
    let response = get(address, path, &[]).await;
    if response.status == 200 { serde_json::from_slice(&response.body).unwrap() } else { Value::Null }
}

/// An event of the stream of candles.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StreamEvent {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The first events of the stream, with names, after the event `last`.
pub(crate) async fn stream(address: SocketAddr, last: Option<&str>, count: usize) -> Vec<StreamEvent> {
    let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
    let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
    // This version of the protocol has no chunks.
    let request = format!("GET /api/v1/stream HTTP/1.0\r\nhost: {address}\r\n{last}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let (mut events, mut event) = (Vec::new(), StreamEvent::default());
    while events.len() < count {
        let mut line = String::new();
        let read = timeout(STOP_LIMIT, socket.read_line(&mut line)).await.expect("the stream has events");
        assert!(read.unwrap() > 0, "the stream ended after {events:?}");
        match line.trim_end().split_once(": ") {
            Some(("id", id)) => event.id = id.to_owned(),
            Some(("event", name)) => event.name = name.to_owned(),
            Some(("data", data)) => event.data = data.to_owned(),
            _ if line.trim_end().is_empty() && !event.name.is_empty() => events.push(std::mem::take(&mut event)),
            _ => {}
        }
    }
    events
}

/// The position at which a stream starts.
#[cfg(any(all(feature = "postgres", feature = "kafka"), all(feature = "mysql", feature = "nats")))]
pub(crate) async fn position(address: SocketAddr) -> String {
    let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
    let request = format!("GET /api/v1/stream HTTP/1.0\r\nhost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    loop {
        let mut line = String::new();
        let read = timeout(STOP_LIMIT, socket.read_line(&mut line)).await.expect("the stream has a position");
        assert!(read.unwrap() > 0, "the stream ended");
        if let Some(id) = line.trim_end().strip_prefix("id: ") {
            return id.to_owned();
        }
    }
}

pub(crate) async fn stop(mut process: ServiceProcess) {
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Prices and sizes have at most eight digits after the point, totals sixteen.
const SCALE: usize = 8;

/// A decimal as an integer.
fn scaled(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<SCALE$}").parse().unwrap()
}

/// An integer as a decimal, without zeros at the end.
fn shown(number: i128, scale: usize) -> String {
    let digits = format!("{number:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The candles of trades, by the start of their windows in milliseconds: computed with integers, from all trades of a window.
pub(crate) struct Candles(BTreeMap<i64, Vec<Value>>);

impl Candles {
    pub(crate) fn of(trades: &[&Value], minutes: i64) -> Self {
        let mut windows = BTreeMap::<_, Vec<Value>>::new();
        for trade in trades {
            let time = trade["time_us"].as_i64().unwrap() / 60_000_000 / minutes * minutes;
            windows.entry(time).or_default().push((*trade).clone());
        }
        Self(windows)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the candle whose window starts at this time.
    pub(crate) fn take(&mut self, time: &str) -> Option<Expected> {
        let minute = minutes_since_epoch(time);
        self.0.remove(&minute).map(Expected)
    }
}

/// Minutes since the Unix epoch, by the civil calendar.
fn minutes_since_epoch(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days of the years before, and of the months before, with the leap day at the end of a year that starts in March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    (days * 24 + number(11..13)) * 60 + number(14..16)
}

/// The trades of a window, in the order of their ids.
pub(crate) struct Expected(Vec<Value>);

impl Expected {
    /// Whether the candle is what the trades add up to.
    pub(crate) fn is_shown_by(&self, candle: &Value) -> Result<(), String> {
        let column = |name: &str| self.0.iter().map(|trade| scaled(trade[name].as_str().unwrap())).collect::<Vec<_>>();
        let (prices, sizes) = (column("price"), column("size"));
        let is_buy = |index: &usize| self.0[*index]["taker"] == "buy";
        let bought: i128 = (0..sizes.len()).filter(is_buy).map(|index| sizes[index]).sum();
        let quote: i128 = prices.iter().zip(&sizes).map(|(price, size)| price * size).sum();
        let (first, last) = (&self.0[0], &self.0[self.0.len() - 1]);
        for (name, expected) in [
            ("open", shown(prices[0], SCALE)),
            ("high", shown(*prices.iter().max().unwrap(), SCALE)),
            ("low", shown(*prices.iter().min().unwrap(), SCALE)),
            ("close", shown(prices[prices.len() - 1], SCALE)),
            ("volume", shown(sizes.iter().sum(), SCALE)),
            ("buy_volume", shown(bought, SCALE)),
            ("quote_volume", shown(quote, 2 * SCALE)),
        ] {
            if candle[name] != expected.as_str() {
                return Err(format!("{name} is {}, not {expected}", candle[name]));
            }
        }
        let count = self.0.len();
        for (name, expected) in
            [("trades", count.into()), ("first_trade_id", first["id"].clone()), ("last_trade_id", last["id"].clone())]
        {
            if candle[name] != expected {
                return Err(format!("{name} is {}, not {expected}", candle[name]));
            }
        }
        Ok(())
    }
}
