//! One connection to a venue, from its start to its end: what it receives, and when that is published.

mod requests;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use market_domain::{Micros, Symbol, Trade};
use market_venues::{Incoming, adapter};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{Error, Message};

use self::requests::Request;
use crate::backfill::{BackfillError, Page};
use crate::metrics::Source;
use crate::socket::Socket;
use crate::waiting::Waiting;
use crate::worker::VenueWorker;

/// How soon all symbols must be subscribed to.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// How long trades wait for those that are missing before them. What is still missing then is asked for later.
const PATIENCE: Duration = Duration::from_secs(10);
/// When symbols are caught up that have had no trade on the connection: a later trade would show what is missing.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Maximum number of trades that are published at once.
const BATCH: usize = 500;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the venue has closed the connection")]
    Closed,
    #[error("the venue will close the connection")]
    ClosingSoon,
    #[error("the connection is old, or others are to be collected")]
    Replaced,
    #[error("nothing was received for too long")]
    Silent,
    #[error("not all symbols were subscribed to")]
    NotSubscribed,
    #[error("the venue has refused a request: {0}")]
    Refused(String),
    #[error("the connection failed")]
    Failed(#[from] Error),
}

impl End {
    /// Its name in metrics.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClosingSoon => "closing_soon",
            Self::Replaced => "replaced",
            Self::Silent => "silent",
            Self::NotSubscribed => "not_subscribed",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a connection is woken by.
enum Wake {
    Received(Option<Result<Message, Error>>),
    Answered(Result<Page, BackfillError>),
    Time,
}

/// One connection.
pub(crate) struct Session<'a> {
    worker: &'a mut VenueWorker,
    socket: Socket,
    opened: Instant,
    /// When the last frame was received.
    heard: Instant,
    /// The symbols whose subscription is not confirmed.
    unconfirmed: HashSet<Symbol>,
    /// When it is looked for trades that are due to be asked for.
    look_at: Instant,
    /// The symbols that have had no trade on this connection and are not caught up, with the number of failed requests.
    quiet: BTreeMap<Symbol, u32>,
    waiting: Waiting,
    request: Option<Request>,
    /// When the connection is replaced.
    ends_at: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(worker: &'a mut VenueWorker, socket: Socket) -> Self {
        let unconfirmed: HashSet<_> = worker.symbols.all().into_iter().collect();
        let quiet = unconfirmed.iter().map(|symbol| (symbol.clone(), 0)).collect();
        let opened = Instant::now();
        // A little earlier than the venue closes it; or when refused symbols are tried again.
        let lifetime = adapter(worker.venue).rules().lifetime.map(|lifetime| opened + lifetime.mul_f32(0.98));
        let ends_at = lifetime.into_iter().chain(worker.listing.retry_at(opened)).min();
        Self {
            worker,
            socket,
            opened,
            heard: opened,
            unconfirmed,
            look_at: opened + CATCH_UP,
            quiet,
            waiting: Waiting::default(),
            request: None,
            ends_at,
        }
    }

    /// Publishes the trades of the connection until it ends.
    pub(crate) async fn run(mut self) -> End {
        let end = self.try_run().await;
        while let Some(symbol) = self.waiting.any() {
            self.release(&symbol, false).await;
        }
        match end {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_run(&mut self) -> Result<End, End> {
        for request in adapter(self.worker.venue).subscribe(&self.worker.symbols) {
            self.socket.send(Message::text(request)).await?;
        }
        loop {
            self.start_request();
            let mut trades = Vec::new();
            match self.wake().await {
                Wake::Received(received) => {
                    self.heard = Instant::now();
                    self.read(received, &mut trades).await?;
                }
                Wake::Answered(result) => self.answered(result).await,
                Wake::Time if Instant::now() >= self.heard + self.silence() => return Err(End::Silent),
                Wake::Time => {}
            }
            // What has arrived meanwhile is published together.
            while trades.len() < BATCH {
                let Some(received) = self.socket.next().now_or_never() else { break };
                self.heard = Instant::now();
                self.read(received, &mut trades).await?;
            }
            self.take(trades).await;
            self.worker.learn();
            if !self.unconfirmed.is_empty() && self.opened.elapsed() > SUBSCRIBE_LIMIT {
                return Err(End::NotSubscribed);
            }
            let has_other_symbols = self.worker.owned.has_changed().unwrap_or(false);
            if has_other_symbols || self.ends_at.is_some_and(|ends_at| Instant::now() > ends_at) {
                return Ok(End::Replaced);
            }
        }
    }

    fn silence(&self) -> Duration {
        adapter(self.worker.venue).rules().silence
    }

    /// Waits for a frame, an answer, or the time at which something is due.
    async fn wake(&mut self) -> Wake {
        let ask_at = match &self.request {
            Some(_) => None,
            None if self.waiting.first().is_some() => Some(self.worker.backfill.next),
            None => Some(self.look_at.max(self.worker.backfill.next)),
        };
        let silent_at = self.heard + self.silence();
        let at = [ask_at, self.waiting.until(), self.ends_at].into_iter().flatten().fold(silent_at, Instant::min);
        let (socket, request, mut owned) = (&mut self.socket, &mut self.request, self.worker.owned.clone());
        let answer = async {
            match request {
                Some(request) => (&mut request.answer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = socket.next() => Wake::Received(received),
            result = answer => Wake::Answered(result),
            _ = owned.changed() => Wake::Time,
            () = sleep_until(at) => Wake::Time,
        }
    }

    /// Reads a frame, and adds its trades to `trades`. Before a connection ends, they are published.
    async fn read(&mut self, received: Option<Result<Message, Error>>, trades: &mut Vec<Trade>) -> Result<(), End> {
        let result = self.interpret(received, trades);
        let Ok(heartbeats) = result else {
            self.take(std::mem::take(trades)).await;
            return result.map(|_| ());
        };
        for (symbol, last) in heartbeats {
            self.take(std::mem::take(trades)).await;
            let latest = self.worker.tracker.latest(&symbol).unwrap_or_default();
            let missing = self.worker.tracker.missing_before(&symbol, last.saturating_add(1), latest);
            if let Some(missing) = missing.filter(|_| !self.waiting.has(&symbol)) {
                self.waiting.start(symbol, missing, Instant::now() + PATIENCE, Vec::new());
            }
        }
        Ok(())
    }

    fn interpret(
        &mut self,
        received: Option<Result<Message, Error>>,
        trades: &mut Vec<Trade>,
    ) -> Result<Vec<(Symbol, i64)>, End> {
        let frame = match received {
            None | Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) => return Err(End::Closed),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Message::Text(frame))) => frame,
            // Pings are answered by the library.
            Some(Ok(_)) => return Ok(Vec::new()),
        };
        self.worker.sampler.sample(self.worker.venue, frame.as_str());
        let worker = &self.worker;
        let incoming = match adapter(worker.venue).read(&worker.symbols, frame.as_str(), worker.now()) {
            Ok(incoming) => incoming,
            Err(error) => {
                worker.metrics.invalid(worker.venue);
                tracing::warn!(venue = %worker.venue, error = &error as &dyn std::error::Error, "cannot read frame");
                return Ok(Vec::new());
            }
        };
        let mut heartbeats = Vec::new();
        for item in incoming {
            match item {
                Incoming::Trade(trade) => trades.push(trade),
                Incoming::Heartbeat(last) => heartbeats.extend(last),
                Incoming::Subscribed(symbols) => {
                    for symbol in symbols {
                        self.unconfirmed.remove(&symbol);
                        self.worker.listing.accept(&symbol);
                    }
                }
                Incoming::Refused(reason) => {
                    self.worker.refused(&reason);
                    return Err(End::Refused(reason));
                }
                Incoming::ClosingSoon => return Err(End::ClosingSoon),
            }
        }
        Ok(heartbeats)
    }

    /// Publishes trades, except those that wait for others.
    async fn take(&mut self, trades: Vec<Trade>) {
        let mut new = Vec::with_capacity(trades.len());
        let mut over = Vec::new();
        for trade in trades {
            let symbol = &trade.instrument.symbol;
            self.quiet.remove(symbol);
            if !self.waiting.has(symbol)
                && let Some(missing) = self.worker.tracker.missing_before(symbol, trade.id, trade.time)
            {
                self.worker.metrics.gap(self.worker.venue);
                self.waiting.start(symbol.clone(), missing, Instant::now() + PATIENCE, vec![trade]);
            } else if let Some(trade) = self.waiting.add(trade) {
                if self.waiting.is_over(&trade.instrument.symbol) {
                    over.push(trade.instrument.symbol.clone());
                }
                self.observe(trade, &mut new);
            }
        }
        self.publish(&mut new, Source::Live).await;
        for symbol in over {
            self.release(&symbol, true).await;
        }
        while let Some(symbol) = self.waiting.expired(Instant::now()) {
            self.release(&symbol, false).await;
        }
    }

    /// Records a trade, and adds it to those that are new.
    fn observe(&mut self, trade: Trade, new: &mut Vec<Trade>) {
        if self.worker.tracker.observe(&trade) {
            new.push(trade);
        } else {
            self.worker.metrics.trades(self.worker.venue, Source::Duplicate, 1);
        }
    }

    /// Publishes the trades of a symbol that have waited. If others are missing between them, and it is to be waited for
    /// those too, the rest waits again.
    async fn release(&mut self, symbol: &Symbol, waits: bool) {
        let (mut new, mut left) = (Vec::new(), self.waiting.end(symbol).into_iter());
        let mut is_first = true;
        while let Some(trade) = left.next() {
            if !std::mem::take(&mut is_first)
                && let Some(missing) = self.worker.tracker.missing_before(symbol, trade.id, trade.time)
            {
                self.worker.metrics.gap(self.worker.venue);
                if waits {
                    let rest = std::iter::once(trade).chain(left).collect();
                    self.waiting.start(symbol.clone(), missing, Instant::now() + PATIENCE, rest);
                    break;
                }
            }
            self.observe(trade, &mut new);
        }
        self.publish(&mut new, Source::Live).await;
    }

    async fn publish(&mut self, trades: &mut Vec<Trade>, source: Source) {
        if !trades.is_empty() {
            self.worker.publisher.publish(trades, source).await;
            trades.clear();
        }
    }
}

impl VenueWorker {
    /// The real time.
    pub(crate) fn now(&self) -> Micros {
        Micros(self.clock.now().as_millis() * 1_000)
    }
}
