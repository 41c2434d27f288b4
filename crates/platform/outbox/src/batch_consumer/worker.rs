//! Handles the deliveries of a batch.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kennel_core::{Delivery, Receipt, RepoError};
use kennel_telemetry::propagation;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::{BatchHandler, BatchItem, BatchResults};
use crate::attempts::{AttemptNumber, PreviousAttempt};
use crate::consumer::settlement::{Decision, Settled, Settlement, panicked};
use crate::metrics::Outcome;
use crate::{Handled, HandlerError, span};

pub(super) struct BatchWorker {
    pub(super) settlement: Settlement,
    pub(super) handler: Arc<dyn BatchHandler>,
}

/// A delivery, and the last attempt of this process at its event.
struct Item {
    delivery: Delivery,
    previous: Option<PreviousAttempt>,
}

/// A delivery whose attempt has begun.
struct Started {
    delivery: Delivery,
    attempt: AttemptNumber,
}

impl Started {
    fn id(&self) -> Uuid {
        self.delivery.event.id
    }
}

impl BatchWorker {
    /// Processes the deliveries, together as far as possible. Returns how long to wait before the next ones.
    pub(super) async fn process(&self, deliveries: Vec<Delivery>) -> Option<Duration> {
        let take_previous = |delivery: Delivery| {
            let previous = self.settlement.attempts.take_previous(delivery.event.id);
            Item { delivery, previous }
        };
        let is_isolated = |item: &Item| item.previous.as_ref().is_some_and(|previous| previous.is_isolated);
        let (mut alone, together): (Vec<_>, Vec<_>) = deliveries.into_iter().map(take_previous).partition(is_isolated);
        let mut pause = None;
        if !together.is_empty() {
            let span = self.span(&together);
            let (rest, after) = self.process_together(together).instrument(span).await;
            alone.extend(rest);
            pause = after;
        }
        for item in alone {
            let span = self.settlement.span(&item.delivery, item.previous.as_ref());
            pause = pause.max(self.process_alone(item).instrument(span).await);
        }
        pause
    }

    /// Processes deliveries with one call of the handler. Returns those that must be processed alone, and the pause.
    async fn process_together(&self, items: Vec<Item>) -> (Vec<Item>, Option<Duration>) {
        let settlement = &self.settlement;
        let ids: Vec<_> = items.iter().map(|item| item.delivery.event.id).collect();
        let seen = match settlement.ports.inbox.list_seen(settlement.group, &ids).await {
            Ok(seen) => seen,
            Err(error) => {
                return (Vec::new(), self.retry(items, &error).await);
            }
        };
        let (duplicates, new): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| seen.contains(&item.delivery.event.id));
        let attempts: Vec<_> = new.iter().map(|item| (&item.delivery, item.previous.as_ref())).collect();
        let mut concluded: Vec<_> =
            duplicates.into_iter().map(|item| (item.delivery, Decision::Done(Outcome::Duplicate))).collect();
        let begun = match settlement.attempts.begin_batch(&attempts).await {
            Ok(begun) => begun,
            Err(error) => {
                self.conclude(concluded).await;
                return (Vec::new(), self.retry(new, &error).await);
            }
        };
        let (mut alone, mut started) = (Vec::new(), Vec::new());
        for (mut item, number) in new.into_iter().zip(&begun.numbers) {
            let Some(attempt) = *number else {
                alone.push(item);
                continue;
            };
            item.delivery.attempt = attempt.number;
            if settlement.is_exhausted(attempt.number) {
                let decision = settlement.on_attempts_exhausted(&mut item.delivery);
                concluded.push((item.delivery, decision));
            } else {
                started.push(Started { delivery: item.delivery, attempt });
            }
        }
        if !started.is_empty() {
            concluded.extend(self.handle(started).await);
        }
        drop(begun);
        (alone, self.conclude(concluded).await)
    }

    /// Processes a delivery in a batch of its own.
    async fn process_alone(&self, item: Item) -> Option<Duration> {
        let settlement = &self.settlement;
        let Item { mut delivery, previous } = item;
        let seen = settlement.ports.inbox.seen(settlement.group, delivery.event.id).await;
        let begun = match seen {
            Ok(true) => return self.conclude(vec![(delivery, Decision::Done(Outcome::Duplicate))]).await,
            Ok(false) => settlement.attempts.begin(&delivery, previous.as_ref()).await,
            Err(error) => Err(error),
        };
        let concluded = match begun {
            Err(error) => {
                let decision = settlement.on_inbox_error(&error, &delivery, previous.as_ref());
                vec![(delivery, decision)]
            }
            Ok(attempt) => {
                delivery.attempt = attempt.number.number;
                if settlement.is_exhausted(delivery.attempt) {
                    let decision = settlement.on_attempts_exhausted(&mut delivery);
                    vec![(delivery, decision)]
                } else {
                    self.handle(vec![Started { delivery, attempt: attempt.number }]).await
                }
            }
        };
        self.conclude(concluded).await
    }

    /// Calls the handler, and records the receipts with one write.
    async fn handle(&self, started: Vec<Started>) -> Vec<(Delivery, Decision)> {
        let item = |started: &Started| BatchItem {
            event: started.delivery.event.clone(),
            receipt: self.settlement.receipt(started.id()),
        };
        let items: Vec<_> = started.iter().map(item).collect();
        let results = match self.call(&items).await {
            Ok(results) => results,
            Err(error) if started.len() == 1 => vec![Err(error)],
            Err(error @ HandlerError::Unavailable(_)) => return self.wait(started, &error),
            Err(error) => return self.isolate(started, &error).await,
        };
        let is_done = |result: &Result<Handled, HandlerError>| matches!(result, Ok(Handled::Done));
        let done: Vec<_> = items.into_iter().zip(&results).filter(|(_, result)| is_done(result)).collect();
        let receipts: Vec<Receipt> = done.into_iter().map(|(item, _)| item.receipt).collect();
        let recorded = if receipts.is_empty() { Ok(()) } else { self.record(&receipts).await };
        let has_failed = |result: &Result<Handled, HandlerError>| {
            matches!(result, Err(HandlerError::Retry(_) | HandlerError::Permanent(_)))
        };
        let failed: Vec<_> =
            started.iter().zip(&results).filter(|(_, result)| has_failed(result)).map(|(started, _)| started).collect();
        let numbers = self.count_failed(&failed).await;
        let decide = |(Started { mut delivery, .. }, result): (Started, Result<Handled, HandlerError>)| {
            let decision = match (result, &recorded) {
                (Ok(Handled::Recorded), _) | (Ok(Handled::Done), Ok(())) => Decision::Done(Outcome::Ok),
                (Ok(Handled::Done), Err(error)) => {
                    self.settlement.on_inbox_error(error, &delivery, Some(&PreviousAttempt::uncounted()))
                }
                (Err(error @ HandlerError::Unavailable(_)), _) => self.settlement.wait(&error, &delivery),
                (Err(error), _) => {
                    delivery.attempt = numbers.get(&delivery.event.id).copied().unwrap_or(delivery.attempt);
                    self.settlement.after_failure(&error, &delivery)
                }
            };
            (delivery, decision)
        };
        started.into_iter().zip(results).map(decide).collect()
    }

    /// Calls the handler; converts a panic, a timeout and a wrong number of results to an error.
    async fn call(&self, items: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        let Settlement { config, ports, group, .. } = &self.settlement;
        let started = Instant::now();
        let call = AssertUnwindSafe(async { self.handler.handle(items).await }).catch_unwind();
        let results = match timeout(config.handler_timeout, call).await {
            Ok(Ok(results)) => results,
            Ok(Err(panic)) => Err(panicked(panic.as_ref())),
            Err(elapsed) => Err(HandlerError::Retry(elapsed.into())),
        };
        ports.metrics.handled(group, started.elapsed());
        results.and_then(|results| {
            let (found, expected) = (results.len(), items.len());
            if found == expected { Ok(results) } else { Err(WrongNumberOfResults { found, expected }.into()) }
        })
    }

    async fn record(&self, receipts: &[Receipt]) -> Result<(), RepoError> {
        self.settlement.ports.inbox.record_all(receipts).await.map(|_| ())
    }

    /// The batch failed as a whole: each event is handled again alone. The attempt at the batch does not count.
    async fn isolate(&self, started: Vec<Started>, error: &HandlerError) -> Vec<(Delivery, Decision)> {
        self.count_failed(&started.iter().collect::<Vec<_>>()).await;
        Span::current().record("otel.status_code", "ERROR");
        let (cause, group) = (error as &dyn std::error::Error, self.settlement.group);
        tracing::warn!(error = cause, group, events = started.len(), "batch failed, each event will be retried alone");
        let retry = |started: Started| (started.delivery, Decision::Retry(PreviousAttempt::isolated()));
        started.into_iter().map(retry).collect()
    }

    /// No event can be handled now.
    fn wait(&self, started: Vec<Started>, error: &HandlerError) -> Vec<(Delivery, Decision)> {
        let wait = |Started { delivery, .. }: Started| {
            let decision = self.settlement.wait(error, &delivery);
            (delivery, decision)
        };
        started.into_iter().map(wait).collect()
    }

    /// Counts failed attempts that were not counted before they started. Returns the numbers of those attempts.
    async fn count_failed(&self, failed: &[&Started]) -> HashMap<Uuid, u32> {
        let uncounted: Vec<_> =
            failed.iter().filter(|started| !started.attempt.is_counted).map(|started| started.id()).collect();
        match self.settlement.attempts.failed_batch(&uncounted).await {
            Ok(numbers) => numbers,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, group = self.settlement.group, "cannot count attempts");
                HashMap::new()
            }
        }
    }

    async fn retry(&self, items: Vec<Item>, error: &RepoError) -> Option<Duration> {
        let decide = |Item { delivery, previous }: Item| {
            let decision = self.settlement.on_inbox_error(error, &delivery, previous.as_ref());
            (delivery, decision)
        };
        self.conclude(items.into_iter().map(decide).collect()).await
    }

    /// Settles deliveries; returns how long to wait before others are begun.
    async fn conclude(&self, concluded: Vec<(Delivery, Decision)>) -> Option<Duration> {
        let conclude = |(delivery, decision)| self.settlement.conclude(delivery, decision);
        let settled = join_all(concluded.into_iter().map(conclude)).await;
        let pause = |settled| if let Settled::ForAfter(pause) = settled { Some(pause) } else { None };
        settled.into_iter().filter_map(pause).max()
    }

    /// Creates the span of a batch, with links to the spans that published its events and to their previous attempts.
    fn span(&self, items: &[Item]) -> Span {
        let Settlement { ports, group, topic, .. } = &self.settlement;
        let span = span::process_batch(ports.system, group, topic, items.len());
        for item in items {
            let previous = item.previous.as_ref().and_then(|previous| previous.trace.as_ref());
            for trace in item.delivery.event.trace.iter().chain(previous) {
                propagation::add_link(&span, trace);
            }
        }
        span
    }
}

/// The handler returned no result for some of the events, or too many.
#[derive(Debug, thiserror::Error)]
#[error("handler returned {found} results for {expected} events")]
struct WrongNumberOfResults {
    found: usize,
    expected: usize,
}

impl From<WrongNumberOfResults> for HandlerError {
    fn from(error: WrongNumberOfResults) -> Self {
        Self::Retry(error.into())
    }
}
