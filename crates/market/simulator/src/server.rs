//! The WebSocket and REST APIs of all venues, on one port.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use kennel_app::{Component, Stop};
use kennel_core::{BoxError, Clock};
use market_domain::{Instrument, Micros, Symbol, Trade, Venue};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

use crate::config::SimulatorConfig;
use crate::ledger::Ledger;
use crate::opening::{Opening, micros};
use crate::socket::Connection;
use crate::{frames, klines};

/// How often the exchanges let trades happen.
pub(crate) const STEP: Duration = Duration::from_millis(20);

/// What all requests share.
pub(crate) struct Exchange {
    pub(crate) config: SimulatorConfig,
    ledger: Mutex<Ledger>,
    clock: Arc<dyn Clock>,
    opening: Opening,
    connections: AtomicU64,
    requests: AtomicU64,
    stop: Stop,
    tasks: TaskTracker,
}

impl Exchange {
    fn new(config: SimulatorConfig, opening: Opening, clock: Arc<dyn Clock>, stop: Stop) -> Self {
        let symbols = config.symbols();
        let of_venue = |venue| symbols.iter().cloned().map(move |symbol| Instrument { venue, symbol });
        let instruments: Vec<_> = Venue::ALL.into_iter().flat_map(of_venue).collect();
        let interval = duration(config.simulator_interval.get());
        let ledger = Ledger::new(&instruments, config.simulator_seed, opening.first, interval, config.simulator_trades);
        let (connections, requests, tasks) = (AtomicU64::new(0), AtomicU64::new(0), TaskTracker::new());
        Self { config, ledger: Mutex::new(ledger), clock, opening, connections, requests, stop, tasks }
    }

    /// The time of the exchanges: fast until it reaches the real time.
    pub(crate) fn now(&self) -> Micros {
        let (real, opening) = (micros(self.clock.now()), &self.opening);
        let passed = real.0.saturating_sub(opening.real.0).saturating_mul(self.config.simulator_speed.into());
        Micros(opening.resumed.0.saturating_add(passed).min(real.0))
    }

    /// The ledger, up to now.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.advance(self.now());
        ledger
    }

    fn find(&self, is_meant: impl Fn(&Instrument) -> bool) -> Option<Instrument> {
        self.ledger().instruments().find(|instrument| is_meant(instrument)).cloned()
    }
}

fn duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Serves the exchanges.
pub(crate) struct SimulatorServer {
    config: SimulatorConfig,
    clock: Arc<dyn Clock>,
    opened: Option<(TcpListener, Opening)>,
}

impl SimulatorServer {
    pub(crate) const fn new(config: SimulatorConfig, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, opened: None }
    }
}

#[async_trait]
impl Component for SimulatorServer {
    fn name(&self) -> &'static str {
        "exchanges"
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        let address = SocketAddr::new(self.config.simulator_host, self.config.simulator_port);
        let listener = TcpListener::bind(address).await?;
        tracing::info!(address = %listener.local_addr()?, "exchanges are open");
        self.opened = Some((listener, Opening::now(&self.config, &*self.clock).await?));
        Ok(())
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let Some((listener, opening)) = self.opened else { return Err("the listener is not bound".into()) };
        let exchange = Arc::new(Exchange::new(self.config, opening, self.clock, stop.clone()));
        let tasks = exchange.tasks.clone();
        let requested = stop.clone();
        let serve =
            axum::serve(listener, routes(exchange)).with_graceful_shutdown(async move { requested.requested().await });
        let aborted = stop.clone();
        tokio::select! {
            result = serve => result?,
            () = aborted.aborted() => {}
        }
        tasks.close();
        tokio::select! {
            () = tasks.wait() => {}
            () = stop.aborted() => {}
        }
        Ok(())
    }
}

fn routes(exchange: Arc<Exchange>) -> Router {
    Router::new()
        .route("/binance/ws", get(binance_socket))
        .route("/coinbase/ws", get(coinbase_socket))
        .route("/kraken/v2", get(kraken_socket))
        .route("/binance/api/v3/historicalTrades", get(binance_page))
        .route("/coinbase/products/{product}/trades", get(coinbase_page))
        .route("/kraken/0/public/Trades", get(kraken_page))
        .route("/binance/api/v3/klines", get(binance_klines))
        .route("/coinbase/products/{product}/candles", get(coinbase_klines))
        .route("/kraken/0/public/OHLC", get(kraken_klines))
        .route("/ledger/{venue}/{symbol}", get(ledger))
        .with_state(exchange)
}

type Shared = State<Arc<Exchange>>;
type Parameters = Query<HashMap<String, String>>;

async fn binance_socket(exchange: Shared, request: Request) -> Response {
    socket(exchange.0, Venue::Binance, request)
}

async fn coinbase_socket(exchange: Shared, request: Request) -> Response {
    socket(exchange.0, Venue::Coinbase, request)
}

async fn kraken_socket(exchange: Shared, request: Request) -> Response {
    socket(exchange.0, Venue::Kraken, request)
}

/// Accepts a WebSocket.
fn socket(exchange: Arc<Exchange>, venue: Venue, mut request: Request) -> Response {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    let (number, stop) = (exchange.connections.fetch_add(1, Ordering::Relaxed), exchange.stop.clone());
    exchange.tasks.clone().spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let connection = Connection::new(exchange, venue, number);
        tokio::select! {
            () = stop.requested() => {}
            end = connection.serve(stream) => tracing::debug!(%venue, number, ?end, "connection ended"),
        }
    });
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, accept.as_str())];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn number<T: std::str::FromStr>(parameters: &HashMap<String, String>, name: &str, default: T) -> T {
    parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// A page of trades, or a refusal by the script.
fn page(
    exchange: &Exchange,
    instrument: Option<Instrument>,
    read: impl Fn(&Ledger, &Instrument) -> Vec<Trade>,
) -> Response {
    let request = exchange.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let every = exchange.config.simulator_refuse_every;
    if every > 0 && request.is_multiple_of(every) {
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response();
    }
    let Some(instrument) = instrument else { return StatusCode::NOT_FOUND.into_response() };
    let trades = read(&exchange.ledger(), &instrument);
    json(frames::page(instrument.venue, &trades))
}

impl Exchange {
    /// The instrument that a venue spells like this.
    fn spelled(&self, venue: Venue, spelling: &str) -> Option<Instrument> {
        self.find(|instrument| instrument.venue == venue && frames::spell(instrument) == spelling)
    }

    /// The instrument of the parameter of Kraken's REST API.
    fn of_pair(&self, parameters: &HashMap<String, String>) -> Option<Instrument> {
        let pair = parameters.get("pair")?;
        self.find(|instrument| instrument.venue == Venue::Kraken && frames::is_kraken_pair(&instrument.symbol, pair))
    }
}

async fn binance_page(State(exchange): Shared, Query(parameters): Parameters) -> Response {
    let instrument = parameters.get("symbol").and_then(|symbol| exchange.spelled(Venue::Binance, symbol));
    let (from, limit) = (number(&parameters, "fromId", 0), number(&parameters, "limit", 500_usize).min(1_000));
    page(&exchange, instrument, |ledger, instrument| ledger.between(instrument, from, i64::MAX, limit))
}

async fn coinbase_page(
    State(exchange): Shared,
    Path(product): Path<String>,
    Query(parameters): Parameters,
) -> Response {
    let instrument = exchange.spelled(Venue::Coinbase, &product);
    let (after, limit) = (number(&parameters, "after", i64::MAX), number(&parameters, "limit", 1_000_usize).min(1_000));
    page(&exchange, instrument, |ledger, instrument| ledger.before(instrument, after, limit))
}

async fn kraken_page(State(exchange): Shared, Query(parameters): Parameters) -> Response {
    let since = Micros(number::<i64>(&parameters, "since", 0).div_euclid(1_000));
    page(&exchange, exchange.of_pair(&parameters), |ledger, instrument| ledger.since(instrument, since, 1_000))
}

/// The candles of the minutes that start from `from` to before `to`.
fn kline_page(exchange: &Exchange, instrument: Option<Instrument>, from: Micros, to: Micros) -> Response {
    let Some(instrument) = instrument else { return StatusCode::NOT_FOUND.into_response() };
    let trades = exchange.ledger().between(&instrument, 0, i64::MAX, usize::MAX);
    let minutes = klines::latest(instrument.venue, klines::minutes(&trades, from, to));
    json(klines::page(instrument.venue, &minutes))
}

async fn binance_klines(State(exchange): Shared, Query(parameters): Parameters) -> Response {
    let instrument = parameters.get("symbol").and_then(|symbol| exchange.spelled(Venue::Binance, symbol));
    // The end is included.
    let [from, last] = ["startTime", "endTime"].map(|name| number::<i64>(&parameters, name, 0));
    kline_page(&exchange, instrument, Micros(from * 1_000), Micros(last * 1_000 + 1))
}

async fn coinbase_klines(
    State(exchange): Shared,
    Path(product): Path<String>,
    Query(parameters): Parameters,
) -> Response {
    let [from, last] = ["start", "end"].map(|name| number::<i64>(&parameters, name, 0));
    let (from, to) = (Micros(from * Micros::SECOND), Micros(last * Micros::SECOND + 1));
    kline_page(&exchange, exchange.spelled(Venue::Coinbase, &product), from, to)
}

async fn kraken_klines(State(exchange): Shared, Query(parameters): Parameters) -> Response {
    // The start is not included.
    let since = number::<i64>(&parameters, "since", 0);
    let from = Micros(since * Micros::SECOND + 1);
    kline_page(&exchange, exchange.of_pair(&parameters), from, Micros(i64::MAX))
}

/// All trades that happened, for tests.
async fn ledger(State(exchange): Shared, Path((venue, symbol)): Path<(String, String)>) -> Response {
    let (Ok(venue), Ok(symbol)) = (venue.parse(), symbol.parse::<Symbol>()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let instrument = Instrument { venue, symbol };
    let trades = exchange.ledger().between(&instrument, 0, i64::MAX, usize::MAX);
    json(frames::ledger(&trades))
}
