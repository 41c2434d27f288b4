//! A WebSocket of a client.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use market_domain::{Instrument, Trade, Venue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::faults::Script;
use crate::frames;
use crate::server::{Exchange, STEP};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often Binance pings.
const PING: Duration = Duration::from_secs(20);
/// Maximum number of trades of a step, so that a connection does not hold all trades of a long pause in memory.
const PAGE: usize = 500;
/// After which part of its lifetime a venue warns a connection.
const WARNING: f32 = 0.9;

/// Why a connection ended.
#[derive(Debug)]
#[expect(dead_code, reason = "it is only printed")]
pub(crate) enum End {
    /// The script has closed it.
    Cut,
    /// It was too old.
    Old,
    /// The client has closed it.
    Closed,
    Failed(Error),
}

/// What one connection sends.
pub(crate) struct Connection {
    exchange: Arc<Exchange>,
    venue: Venue,
    script: Script,
    /// The instruments, and the last id of each that the script has seen.
    subscribed: Vec<(Instrument, i64)>,
    sent: u64,
    opened: Instant,
    /// Whether the client knows that the connection is about to be closed.
    has_warned: bool,
}

impl Connection {
    pub(crate) fn new(exchange: Arc<Exchange>, venue: Venue, number: u64) -> Self {
        let script = Script::new(exchange.config.faults(), exchange.config.simulator_seed.wrapping_add(number));
        Self { exchange, venue, script, subscribed: Vec::new(), sent: 0, opened: Instant::now(), has_warned: false }
    }

    /// Serves until one side closes it. The script closes it without a closing frame, as a lost connection.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut socket: WebSocketStream<S>) -> End {
        let [mut steps, mut heartbeats, mut pings] = [STEP, HEARTBEAT, PING].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            let frames = tokio::select! {
                received = socket.next() => match received {
                    Some(Ok(Message::Text(request))) => self.request(request.as_str()),
                    Some(Ok(Message::Close(_))) | None => return End::Closed,
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(error)) => return End::Failed(error),
                },
                _ = steps.tick() => self.step(),
                _ = heartbeats.tick() => frames::heartbeats(self.venue, &self.subscribed, self.exchange.now()),
                _ = pings.tick(), if self.venue == Venue::Binance => {
                    if let Err(error) = socket.send(Message::Ping("alive".into())).await {
                        return End::Failed(error);
                    }
                    Vec::new()
                }
            };
            for frame in frames {
                if let Err(error) = socket.feed(Message::text(frame)).await {
                    return End::Failed(error);
                }
            }
            if let Err(error) = socket.flush().await {
                return End::Failed(error);
            }
            let cut = self.exchange.config.simulator_cut_after;
            if cut > 0 && self.sent >= cut {
                return End::Cut;
            }
            if self.opened.elapsed() > self.exchange.config.simulator_lifetime.get() {
                return End::Old;
            }
        }
    }

    /// Answers a request to subscribe.
    fn request(&mut self, request: &str) -> Vec<String> {
        let ledger = self.exchange.ledger();
        let known: Vec<_> = ledger.instruments().cloned().collect();
        let (answers, found) = frames::subscribe(self.venue, request, &known);
        for instrument in found {
            let last = ledger.last_id(&instrument);
            self.subscribed.push((instrument, last));
        }
        answers
    }

    /// What has happened since the last step, as the script passes it on.
    fn step(&mut self) -> Vec<String> {
        let mut passed = Vec::new();
        {
            let ledger = self.exchange.ledger();
            for (instrument, last) in &mut self.subscribed {
                for trade in ledger.between(instrument, *last + 1, i64::MAX, PAGE) {
                    *last = trade.id;
                    if ledger.is_near_end(trade.id) {
                        passed.push(trade);
                    } else {
                        passed.extend(self.script.pass(trade));
                    }
                }
            }
            if ledger.is_finished() {
                passed.extend(self.script.flush());
            }
        }
        let mut frames: Vec<_> = passed.iter().map(|trade| self.frame(trade)).collect();
        let lifetime = self.exchange.config.simulator_lifetime.get();
        if !self.has_warned && self.opened.elapsed() > lifetime.mul_f32(WARNING) {
            self.has_warned = true;
            frames.extend(frames::shutdown_notice(self.venue, self.exchange.now()));
        }
        frames
    }

    fn frame(&mut self, trade: &Trade) -> String {
        self.sent += 1;
        frames::trade(trade, self.sent)
    }
}
