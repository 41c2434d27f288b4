//! One connection to a venue, from its start to its end.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use market_domain::{Micros, Missing, Symbol, Trade};
use market_venues::{Incoming, adapter};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::metrics::Source;
use crate::socket::Socket;
use crate::worker::VenueWorker;

/// How soon all symbols must be subscribed to.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// How often missing trades are asked for again.
const RETRY: Duration = Duration::from_secs(5);
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
    /// When missing trades are asked for again.
    retry_at: Instant,
    /// The symbols that have had no trade on this connection.
    quiet: HashSet<Symbol>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(worker: &'a mut VenueWorker, socket: Socket) -> Self {
        let unconfirmed: HashSet<_> = worker.symbols.all().into_iter().collect();
        let (opened, quiet) = (Instant::now(), unconfirmed.clone());
        Self { worker, socket, opened, unconfirmed, retry_at: opened + CATCH_UP, quiet }
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
            match timeout_at(silent_at.min(self.retry_at), self.socket.next()).await {
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
            if Instant::now() >= self.retry_at {
                self.heal().await;
                self.retry_at = Instant::now() + RETRY;
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
                self.fill(&symbol, missing).await;
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
                Incoming::Refused(reason) => return Err(End::Refused(reason)),
                Incoming::ClosingSoon => return Err(End::ClosingSoon),
            }
        }
        Ok(heartbeats)
    }

    /// Publishes trades in the order of their ids, with those that are missing between them.
    async fn take(&mut self, trades: Vec<Trade>) {
        let mut new = Vec::with_capacity(trades.len());
        for trade in trades {
            let symbol = &trade.instrument.symbol;
            self.quiet.remove(symbol);
            if let Some(missing) = self.worker.tracker.missing_before(symbol, trade.id, trade.time) {
                self.publish(&mut new, Source::Live).await;
                self.worker.metrics.gap(self.worker.venue);
                self.fill(symbol, missing).await;
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

    /// Asks again for what is missing, and once for what may have happened between two connections.
    async fn heal(&mut self) {
        for symbol in std::mem::take(&mut self.quiet) {
            if let Some(missing) = self.worker.tracker.after_last(&symbol) {
                self.fill(&symbol, missing).await;
            }
        }
        for (symbol, missing) in self.worker.tracker.open() {
            self.fill(&symbol, missing).await;
        }
    }

    /// Publishes missing trades, page by page. What cannot be read stays missing, and is asked for again.
    async fn fill(&mut self, symbol: &Symbol, missing: Missing) {
        let mut rest = Some(missing);
        while let Some(missing) = rest {
            let page = self.worker.backfill.page(symbol, &missing).await;
            let (mut trades, next) = match page {
                Ok(page) => page,
                Err(error) => {
                    let (venue, error) = (self.worker.venue, &error as &dyn std::error::Error);
                    tracing::warn!(%venue, %symbol, missing = missing.count(), error, "trades stay missing for now");
                    return;
                }
            };
            trades.retain(|trade| self.worker.tracker.observe(trade));
            self.publish(&mut trades, Source::Backfill).await;
            rest = next;
        }
    }
}

impl VenueWorker {
    /// The real time.
    pub(crate) fn now(&self) -> Micros {
        Micros(self.clock.now().as_millis() * 1_000)
    }
}
