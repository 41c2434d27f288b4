//! One connection to a venue, from its start to its end.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use market_domain::{Micros, Missing, Symbol, Trade};
use market_venues::{Incoming, adapter};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::metrics::Source;
use crate::socket::Socket;
use crate::tracker::Due;
use crate::worker::VenueWorker;

/// How soon all symbols must be subscribed to.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked for trades that are due to be asked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long trades wait for those that are missing before them. Nothing reads the socket meanwhile, so it is shorter than a
/// venue waits for the answer to its ping. What is still missing then is asked for between other frames.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many failed requests, a quiet symbol waits for its next trade, which shows what is missing.
const MAX_FAILURES: u32 = 5;
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
            Self::Silent => "silent",
            Self::NotSubscribed => "not_subscribed",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// What one connection is waiting for.
pub(crate) struct Session<'a> {
    worker: &'a mut VenueWorker,
    socket: Socket,
    opened: Instant,
    /// The symbols whose subscription is not confirmed.
    unconfirmed: HashSet<Symbol>,
    /// When missing trades are asked for.
    ask_at: Instant,
    /// The symbols that have had no trade on this connection and are not caught up, with the number of failed requests.
    quiet: BTreeMap<Symbol, u32>,
}

/// A page of missing trades was read and published.
struct Page {
    /// How many were new.
    found: usize,
    /// What is missing after it.
    rest: Option<Missing>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(worker: &'a mut VenueWorker, socket: Socket) -> Self {
        let unconfirmed: HashSet<_> = worker.symbols.all().into_iter().collect();
        let quiet = unconfirmed.iter().map(|symbol| (symbol.clone(), 0)).collect();
        let opened = Instant::now();
        Self { worker, socket, opened, unconfirmed, ask_at: opened + CATCH_UP, quiet }
    }

    /// Publishes the trades of the connection until it ends.
    pub(crate) async fn run(mut self) -> End {
        match self.try_run().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn try_run(&mut self) -> Result<End, End> {
        let rules = adapter(self.worker.venue).rules();
        for request in adapter(self.worker.venue).subscribe(&self.worker.symbols) {
            self.socket.send(Message::text(request)).await?;
        }
        // A little earlier than the venue.
        let lifetime = rules.lifetime.map(|lifetime| lifetime.mul_f32(0.98));
        let mut heard = Instant::now();
        loop {
            let silent_at = heard + rules.silence;
            let mut trades = Vec::new();
            match timeout_at(silent_at.min(self.ask_at), self.socket.next()).await {
                Ok(received) => {
                    heard = Instant::now();
                    self.read(received, &mut trades).await?;
                }
                Err(_) if Instant::now() >= silent_at => return Err(End::Silent),
                Err(_) => {}
            }
            // What has arrived meanwhile is published together.
            while trades.len() < BATCH {
                let Some(received) = self.socket.next().now_or_never() else { break };
                self.read(received, &mut trades).await?;
            }
            self.take(trades).await;
            self.worker.learn();
            if Instant::now() >= self.ask_at {
                self.ask().await;
            }
            if !self.unconfirmed.is_empty() && self.opened.elapsed() > SUBSCRIBE_LIMIT {
                return Err(End::NotSubscribed);
            }
            if lifetime.is_some_and(|lifetime| self.opened.elapsed() > lifetime) {
                return Ok(End::ClosingSoon);
            }
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
            if let Some(missing) = self.worker.tracker.missing_before(&symbol, last.saturating_add(1), latest) {
                self.fill(&symbol, missing, Instant::now()).await;
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

    /// Publishes trades in the order of their ids, with those that are missing between them if they are found soon.
    async fn take(&mut self, trades: Vec<Trade>) {
        let until = Instant::now() + PATIENCE;
        let mut new = Vec::with_capacity(trades.len());
        for trade in trades {
            let symbol = &trade.instrument.symbol;
            self.quiet.remove(symbol);
            if let Some(missing) = self.worker.tracker.missing_before(symbol, trade.id, trade.time) {
                self.publish(&mut new, Source::Live).await;
                self.worker.metrics.gap(self.worker.venue);
                self.fill(symbol, missing, until).await;
            }
            if self.worker.tracker.observe(&trade) {
                new.push(trade);
            } else {
                self.worker.metrics.trades(self.worker.venue, Source::Duplicate, 1);
            }
        }
        self.publish(&mut new, Source::Live).await;
    }

    async fn publish(&self, trades: &mut Vec<Trade>, source: Source) {
        if !trades.is_empty() {
            self.worker.publisher.publish(trades).await;
            self.worker.metrics.trades(self.worker.venue, source, trades.len());
            trades.clear();
        }
    }

    /// Asks for one page: of what may have happened between two connections, or of what is missing.
    async fn ask(&mut self) {
        let now = Instant::now();
        if self.worker.backfill.next > now {
            self.ask_at = self.worker.backfill.next;
            return;
        }
        let quiet = self.quiet.iter().min_by_key(|(_, failures)| **failures).map(|(symbol, _)| symbol.clone());
        if let Some(symbol) = quiet {
            self.catch_up(symbol).await;
        } else if let Some(due) = self.worker.tracker.due(now) {
            self.ask_for(&due).await;
        } else {
            self.ask_at = now + LOOK;
            return;
        }
        self.ask_at = self.worker.backfill.next;
    }

    /// Asks for what may have happened after the last trade of a symbol, until there is nothing more.
    async fn catch_up(&mut self, symbol: Symbol) {
        let Some(missing) = self.worker.tracker.after_last(&symbol) else {
            self.quiet.remove(&symbol);
            return;
        };
        let is_done = if let Some(page) = self.page(&symbol, &missing).await {
            // What is missing below a page is a gap now.
            page.rest.is_none_or(|rest| rest.to != Missing::UNKNOWN)
        } else {
            let failures = self.quiet.entry(symbol.clone()).or_default();
            *failures += 1;
            *failures >= MAX_FAILURES
        };
        if is_done {
            self.quiet.remove(&symbol);
        }
    }

    async fn ask_for(&mut self, due: &Due) {
        let found = self.page(&due.symbol, &due.missing).await.map(|page| page.found);
        if self.worker.tracker.asked(due, found, Instant::now()) {
            self.worker.metrics.given_up(self.worker.venue);
        }
    }

    /// Publishes missing trades, page by page, until this time. What is not read by then is asked for later.
    async fn fill(&mut self, symbol: &Symbol, missing: Missing, until: Instant) {
        let mut rest = Some(missing);
        while let Some(missing) = rest {
            if self.worker.backfill.next > until {
                return;
            }
            rest = self.page(symbol, &missing).await.and_then(|page| page.rest);
        }
    }

    /// Publishes a page of missing trades; `None` if it cannot be read.
    async fn page(&mut self, symbol: &Symbol, missing: &Missing) -> Option<Page> {
        match self.worker.backfill.page(symbol, missing).await {
            Ok((mut trades, rest)) => {
                trades.retain(|trade| self.worker.tracker.observe(trade));
                let found = trades.len();
                self.publish(&mut trades, Source::Backfill).await;
                Some(Page { found, rest })
            }
            Err(error) => {
                let (venue, error) = (self.worker.venue, &error as &dyn std::error::Error);
                tracing::warn!(%venue, %symbol, from = missing.from, error, "trades stay missing for now");
                None
            }
        }
    }
}

impl VenueWorker {
    /// The real time.
    pub(crate) fn now(&self) -> Micros {
        Micros(self.clock.now().as_millis() * 1_000)
    }
}
