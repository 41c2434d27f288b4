//! The requests of a connection for missing trades, one after the other: what they are for, and what follows from the answers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use market_domain::{Missing, Symbol};
use tokio::time::Instant;

use super::Session;
use crate::backfill::{BackfillError, Page};
use crate::metrics::Source;
use crate::tracker::Due;

/// How often it is looked for trades that are due to be asked for.
const LOOK: Duration = Duration::from_secs(1);
/// After so many failed requests, a quiet symbol waits for its next trade, which shows what is missing.
const MAX_FAILURES: u32 = 5;

/// Missing trades that the venue was asked for.
pub(super) struct Request {
    symbol: Symbol,
    purpose: Purpose,
    pub(super) answer: BoxFuture<'static, Result<Page, BackfillError>>,
}

/// What an answer has brought.
#[derive(Clone, Copy)]
struct Found {
    /// How many new trades.
    trades: usize,
    /// What is missing after them.
    rest: Option<Missing>,
}

/// Why missing trades are asked for.
enum Purpose {
    /// Trades wait for them.
    Wait,
    /// They may have happened between two connections.
    CatchUp,
    /// They were not found before.
    Gap(Due),
}

impl Session<'_> {
    /// Asks for a page, if it is time: of what trades wait for, of what may have happened between two connections, or of
    /// what is missing.
    pub(super) fn start_request(&mut self) {
        let now = Instant::now();
        if self.request.is_some() || self.worker.backfill.next > now {
            return;
        }
        if let Some((symbol, missing)) = self.waiting.first() {
            let symbol = symbol.clone();
            self.ask(symbol, &missing, Purpose::Wait);
            return;
        }
        if self.look_at > now {
            return;
        }
        if let Some((symbol, missing)) = self.next_quiet() {
            self.ask(symbol, &missing, Purpose::CatchUp);
        } else if let Some(due) = self.worker.tracker.due(now) {
            self.ask(due.symbol.clone(), &due.missing, Purpose::Gap(due.clone()));
        } else {
            self.look_at = now + LOOK;
        }
    }

    /// A symbol that is to be caught up, and what may have happened after its last trade.
    fn next_quiet(&mut self) -> Option<(Symbol, Missing)> {
        loop {
            let (symbol, _) = self.quiet.iter().min_by_key(|(_, failures)| **failures)?;
            let symbol = symbol.clone();
            if let Some(missing) = self.worker.tracker.after_last(&symbol) {
                return Some((symbol, missing));
            }
            self.quiet.remove(&symbol);
        }
    }

    fn ask(&mut self, symbol: Symbol, missing: &Missing, purpose: Purpose) {
        let answer = self.worker.backfill.ask(&symbol, missing);
        self.request = Some(Request { symbol, purpose, answer });
    }

    /// Publishes the missing trades that were found.
    pub(super) async fn answered(&mut self, result: Result<Page, BackfillError>) {
        let Some(Request { symbol, purpose, .. }) = self.request.take() else { return };
        self.worker.backfill.answered(&result);
        let found = match result {
            Ok((mut trades, rest)) => {
                trades.retain(|trade| self.worker.tracker.observe(trade));
                let found = Found { trades: trades.len(), rest };
                self.publish(&mut trades, Source::Backfill).await;
                Some(found)
            }
            Err(error) => {
                let (venue, error) = (self.worker.venue, &error as &dyn std::error::Error);
                tracing::warn!(%venue, %symbol, error, "trades stay missing for now");
                None
            }
        };
        match purpose {
            Purpose::Wait => self.after_wait(&symbol, found).await,
            Purpose::CatchUp => self.after_catch_up(&symbol, found),
            Purpose::Gap(due) => {
                if self.worker.tracker.asked(&due, found.map(|found| found.trades), Instant::now()) {
                    self.worker.metrics.given_up(self.worker.venue);
                }
            }
        }
    }

    /// What is not read by the end of the wait is asked for later.
    async fn after_wait(&mut self, symbol: &Symbol, found: Option<Found>) {
        match found {
            Some(Found { rest: Some(missing), .. }) => self.waiting.narrow(symbol, missing),
            Some(Found { rest: None, .. }) => self.release(symbol, true).await,
            None if self.waiting.until_of(symbol).is_some_and(|until| self.worker.backfill.next > until) => {
                self.release(symbol, false).await;
            }
            None => {}
        }
    }

    /// It is asked until there is nothing more.
    fn after_catch_up(&mut self, symbol: &Symbol, found: Option<Found>) {
        let is_done = if let Some(found) = found {
            // What is missing below a page is a gap now.
            found.rest.is_none_or(|rest| rest.to != Missing::UNKNOWN)
        } else {
            let failures = self.quiet.entry(symbol.clone()).or_default();
            *failures += 1;
            *failures >= MAX_FAILURES
        };
        if is_done {
            self.quiet.remove(symbol);
        }
    }
}
