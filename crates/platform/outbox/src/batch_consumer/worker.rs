//! Handles the deliveries of a batch.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future, stream};
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

/// How many deliveries of a batch are settled at once: enough to wait for the server once in a batch of the default size, and few
/// enough for the caches of the processor. While a broker does not respond, a larger batch waits for it several times.
const MAX_SETTLING: usize = 256;

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

/// Keys of events.
type Keys = HashSet<String>;

impl BatchWorker {
    /// Processes the deliveries, together as far as possible, and in the order of each key. Returns how long to wait before
    /// the next ones.
    pub(super) async fn process(&self, deliveries: Vec<Delivery>) -> Option<Duration> {
        let (mut together, mut alone, mut keys) = (Vec::new(), Vec::new(), Keys::new());
        for delivery in deliveries {
            let previous = self.settlement.attempts.take_previous(delivery.event.id);
            let is_isolated = previous.as_ref().is_some_and(|previous| previous.is_isolated);
            let items = if is_diverted(&delivery, is_isolated, &mut keys) { &mut alone } else { &mut together };
            items.push(Item { delivery, previous });
        }
        let (mut pause, mut blocked) = (None, Keys::new());
        if !together.is_empty() {
            let span = self.span(&together);
            let (mut rest, after) = self.process_together(together, &mut blocked).instrument(span).await;
            // What is diverted here is before the others of its key.
            rest.append(&mut alone);
            (alone, pause) = (rest, after);
        }
        for item in alone {
            let span = self.settlement.span(&item.delivery, item.previous.as_ref());
            pause = pause.max(self.process_alone(item, &mut blocked).instrument(span).await);
        }
        pause
    }

    /// Processes deliveries with one call of the handler. Returns those that must be processed alone, and the pause. The keys
    /// of events that come again are added to `blocked`.
    async fn process_together(&self, items: Vec<Item>, blocked: &mut Keys) -> (Vec<Item>, Option<Duration>) {
        let settlement = &self.settlement;
        let recognizes = self.handler.recognizes_duplicates();
        let needs_lookup = |item: &&Item| !recognizes || settlement.attempts.may_be_redelivery(&item.delivery);
        let ids: Vec<_> = items.iter().filter(needs_lookup).map(|item| item.delivery.event.id).collect();
        let seen = match self.list_seen(&ids).await {
            Ok(seen) => seen,
            Err(error) => {
                return (Vec::new(), self.retry(items, &error, blocked).await);
            }
        };
        let (duplicates, new): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| seen.contains(&item.delivery.event.id));
        let attempts: Vec<_> = new.iter().map(|item| (&item.delivery, item.previous.as_ref())).collect();
        let mut concluded: Vec<_> =
            duplicates.into_iter().map(|item| (item.delivery, Decision::Done(Outcome::Duplicate))).collect();
        let begun = match settlement.attempts.begin_batch(&attempts, recognizes).await {
            Ok(begun) => begun,
            Err(error) => {
                self.conclude(concluded, blocked).await;
                return (Vec::new(), self.retry(new, &error, blocked).await);
            }
        };
        let (mut alone, mut started, mut keys) = (Vec::new(), Vec::new(), Keys::new());
        for (mut item, number) in new.into_iter().zip(&begun.numbers) {
            let (false, Some(attempt)) = (is_diverted(&item.delivery, number.is_none(), &mut keys), *number) else {
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
        (alone, self.conclude(concluded, blocked).await)
    }

    async fn list_seen(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        self.settlement.ports.inbox.list_seen(self.settlement.group, ids).await
    }

    /// Processes a delivery in a batch of its own, unless an earlier one of its key comes again.
    async fn process_alone(&self, item: Item, blocked: &mut Keys) -> Option<Duration> {
        let settlement = &self.settlement;
        let Item { mut delivery, previous } = item;
        if blocked.contains(&delivery.event.key) {
            return self.conclude(vec![(delivery, Decision::Follow(previous))], blocked).await;
        }
        let seen = settlement.ports.inbox.seen(settlement.group, delivery.event.id).await;
        let begun = match seen {
            Ok(true) => return self.conclude(vec![(delivery, Decision::Done(Outcome::Duplicate))], blocked).await,
            Ok(false) => settlement.attempts.begin(&delivery, previous.as_ref()).await,
            Err(error) => Err(error),
        };
        let is_isolated = previous.as_ref().is_some_and(|previous| previous.is_isolated);
        let mut concluded = match begun {
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
        for (_, decision) in &mut concluded {
            if let Decision::Retry(previous) = decision {
                // Others would fail together with it again.
                previous.is_isolated |= is_isolated;
            }
        }
        self.conclude(concluded, blocked).await
    }

    /// Calls the handler, and records the receipts with one write.
    async fn handle(&self, started: Vec<Started>) -> Vec<(Delivery, Decision)> {
        let item = |started: &Started| BatchItem {
            event: Arc::clone(&started.delivery.event),
            receipt: self.settlement.receipt(started.id()),
        };
        let items: Vec<_> = started.iter().map(item).collect();
        let results = match self.call(&items).await {
            Ok(results) => results,
            Err(error) if started.len() == 1 => vec![Err(error)],
            Err(error @ HandlerError::Unavailable(_)) => return self.wait(started, &error),
            Err(error) => return self.isolate(started, &error).await,
        };
        let results = in_order(&items, results);
        let receipts = self.receipts(items, &started, &results);
        let recorded = if receipts.is_empty() { Ok(()) } else { self.record(&receipts).await };
        let has_failed = |result: &Option<Result<Handled, HandlerError>>| {
            matches!(result, Some(Err(HandlerError::Retry(_) | HandlerError::Permanent(_))))
        };
        let failed: Vec<_> =
            started.iter().zip(&results).filter(|(_, result)| has_failed(result)).map(|(started, _)| started).collect();
        let numbers = self.count_failed(&failed).await;
        let decide = |(Started { mut delivery, .. }, result): (Started, Option<Result<Handled, HandlerError>>)| {
            let decision = match (result, &recorded) {
                (None, _) => Decision::Follow(Some(PreviousAttempt::uncounted())),
                (Some(Ok(Handled::Recorded)), _) | (Some(Ok(Handled::Done)), Ok(())) => Decision::Done(Outcome::Ok),
                (Some(Ok(Handled::Done)), Err(error)) => {
                    self.settlement.on_inbox_error(error, &delivery, Some(&PreviousAttempt::uncounted()))
                }
                (Some(Err(error @ HandlerError::Unavailable(_))), _) => self.settlement.wait(&error, &delivery),
                (Some(Err(error)), _) => {
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
        let Settlement { config, metrics, .. } = &self.settlement;
        let started = Instant::now();
        let call = AssertUnwindSafe(async { self.handler.handle(items).await }).catch_unwind();
        let results = match timeout(config.handler_timeout, call).await {
            Ok(Ok(results)) => results,
            Ok(Err(panic)) => Err(panicked(panic.as_ref())),
            Err(elapsed) => Err(HandlerError::Retry(elapsed.into())),
        };
        metrics.handled(started.elapsed());
        results.and_then(|results| {
            let (found, expected) = (results.len(), items.len());
            if found == expected { Ok(results) } else { Err(WrongNumberOfResults { found, expected }.into()) }
        })
    }

    /// The receipts to record: of what is done, and of what was counted before it was handled, so that it is known that the
    /// attempt has ended.
    fn receipts(&self, items: Vec<BatchItem>, started: &[Started], results: &[OrderedResult]) -> Vec<Receipt> {
        let recognizes = self.handler.recognizes_duplicates();
        let is_due = |started: &Started, result: &OrderedResult| match result {
            Some(Ok(Handled::Done)) => true,
            Some(Ok(Handled::Recorded)) => recognizes && started.attempt.is_counted,
            _ => false,
        };
        let due = items.into_iter().zip(started.iter().zip(results));
        due.filter(|(_, (started, result))| is_due(started, result)).map(|(item, _)| item.receipt).collect()
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

    async fn retry(&self, items: Vec<Item>, error: &RepoError, blocked: &mut Keys) -> Option<Duration> {
        let decide = |Item { delivery, previous }: Item| {
            let decision = self.settlement.on_inbox_error(error, &delivery, previous.as_ref());
            (delivery, decision)
        };
        self.conclude(items.into_iter().map(decide).collect(), blocked).await
    }

    /// Settles deliveries; returns how long to wait before others are begun. Adds the keys of those that come again.
    async fn conclude(&self, concluded: Vec<(Delivery, Decision)>, blocked: &mut Keys) -> Option<Duration> {
        let comes_again = |decision: &Decision| !matches!(decision, Decision::Done(_) | Decision::GiveUp { .. });
        let again = concluded.iter().filter(|(_, decision)| comes_again(decision));
        blocked.extend(again.map(|(delivery, _)| delivery.event.key.clone()));
        let settled = stream::iter(concluded)
            .map(|(delivery, decision)| self.settlement.conclude(delivery, decision))
            .buffer_unordered(MAX_SETTLING);
        let pause = |settled| future::ready(if let Settled::ForAfter(pause) = settled { Some(pause) } else { None });
        settled.filter_map(pause).fold(None, |longest, pause| future::ready(Some(pause).max(longest))).await
    }

    /// Creates the span of a batch, with links to the spans that published its events and to their previous attempts.
    fn span(&self, items: &[Item]) -> Span {
        let Settlement { ports, group, topic, .. } = &self.settlement;
        let span = span::process_batch(ports.system, group, topic, items.len());
        let mut linked = HashSet::new();
        for item in items {
            let previous = item.previous.as_ref().and_then(|previous| previous.trace.as_ref());
            for trace in item.delivery.event.trace.iter().chain(previous) {
                if linked.insert(&trace.traceparent) {
                    propagation::add_link(&span, trace);
                }
            }
        }
        span
    }
}

/// What became of an event; `None` if an earlier one of its key is to be retried.
type OrderedResult = Option<Result<Handled, HandlerError>>;

/// Drops the results of events that follow one of their key that is to be retried.
fn in_order(items: &[BatchItem], results: BatchResults) -> Vec<OrderedResult> {
    let mut blocked = HashSet::new();
    let mut ordered = Vec::with_capacity(results.len());
    for (item, result) in items.iter().zip(results) {
        let key = item.event.key.as_str();
        let is_blocked = blocked.contains(key);
        if let Err(HandlerError::Retry(_) | HandlerError::Unavailable(_)) = result {
            blocked.insert(key);
        }
        ordered.push((!is_blocked).then_some(result));
    }
    ordered
}

/// Whether the delivery is handled alone: because it must be, or because an earlier one of its key is.
fn is_diverted(delivery: &Delivery, must_be: bool, keys: &mut Keys) -> bool {
    if must_be {
        keys.insert(delivery.event.key.clone());
    }
    must_be || keys.contains(&delivery.event.key)
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
