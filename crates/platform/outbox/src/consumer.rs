//! Calls a handler for the events of a topic: at least once, and with effect once where the inbox commits with the
//! effect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, progress};
use kennel_core::{
    Backoff, BoxError, Claim, Clock, Delivery, Event, Group, Inbox, KeyQueues, Receipt, RepoError, Subscriber,
};
use kennel_telemetry::propagation;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::attempts::{Attempt, Attempts, PreviousAttempt, Quarantine};
use crate::metrics::Outcome;
use crate::resilient_subscription::ResilientSubscription;
use crate::{ConsumerMetrics, span};

/// Maximum length of the reason in a dead letter, in bytes.
const MAX_REASON_BYTES: usize = 1_000;

/// Whether the handler has recorded the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The handler committed the receipt together with its effect.
    Recorded,
    /// Not recorded; the consumer records it.
    Done,
}

/// Why a handler failed.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// A later attempt may succeed.
    #[error("event cannot be handled now")]
    Retry(#[source] BoxError),
    /// No attempt can succeed, as with unreadable data.
    #[error("event cannot be handled")]
    Permanent(#[source] BoxError),
}

/// Handles events.
///
/// Handler calls of one consumer run concurrently on one task: CPU-bound work belongs in `spawn_blocking`.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Returns whether the handler wants the event. Other events are acknowledged and ignored.
    fn accepts(&self, event: &Event) -> bool;

    /// Handles an event for which the group has no receipt. The event can be delivered again after a crash, so the
    /// effect must commit together with `receipt` or be idempotent. A panic counts as [`HandlerError::Retry`].
    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError>;
}

/// Settings of a consumer.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerConfig {
    /// Attempts before an event becomes a dead letter; at least one. One that terminates the process counts as well.
    pub max_attempts: u32,
    /// The delay before the next attempt, and before subscribing again.
    pub backoff: Backoff,
    /// Maximum number of deliveries in progress or queued; at least one. Those of one key are processed one after the
    /// other.
    pub concurrency: usize,
    /// Timeout of one handler call.
    pub handler_timeout: Duration,
    /// How long it may be without a subscription before a stall is reported.
    pub stall_limit: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_mins(1)),
            concurrency: 4,
            handler_timeout: Duration::from_secs(30),
            stall_limit: progress::DEFAULT_LIMIT,
        }
    }
}

/// Dependencies that the consumers of one process share.
#[derive(Clone)]
pub struct ConsumerPorts {
    /// Source of the events.
    pub subscriber: Arc<dyn Subscriber>,
    /// Store of receipts and attempt counts.
    pub inbox: Arc<dyn Inbox>,
    /// Clock for the time of receipts.
    pub clock: Arc<dyn Clock>,
    /// Metrics of all consumers.
    pub metrics: ConsumerMetrics,
    /// Isolates handler calls that may terminate the process.
    pub quarantine: Quarantine,
    /// The broker's name in spans, as OpenTelemetry's `messaging.system`.
    pub system: &'static str,
}

/// A member of a consumer group that calls a handler for the events of a topic.
pub struct Consumer {
    subscription: ResilientSubscription,
    worker: Worker,
}

impl Consumer {
    /// Creates a member of `group` on `topic`; `group` is also the component's name.
    pub fn new(
        group: &'static str,
        topic: &'static str,
        handler: Arc<dyn Handler>,
        config: ConsumerConfig,
        ports: ConsumerPorts,
    ) -> Self {
        let shared = Group::Shared(group.to_owned());
        let subscriber = Arc::clone(&ports.subscriber);
        let progress = Progress::new(config.stall_limit);
        let metrics = ports.metrics.clone();
        let subscription =
            ResilientSubscription::new(subscriber, topic, group, shared, config.backoff, metrics, progress);
        ports.metrics.announce(topic, group);
        let (inbox, clock) = (Arc::clone(&ports.inbox), Arc::clone(&ports.clock));
        let attempts = Attempts::new(group, inbox, clock, ports.quarantine.clone());
        Self { subscription, worker: Worker { group, topic, handler, config, ports, attempts } }
    }

    /// Returns the progress: whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.subscription.progress()
    }
}

#[async_trait]
impl Component for Consumer {
    fn name(&self) -> &'static str {
        self.worker.group
    }

    /// Joins the group, so that it exists before anything is published. An unreachable broker is not an error here.
    async fn init(&mut self) -> Result<(), BoxError> {
        self.subscription.try_subscribe().await;
        Ok(())
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let Self { mut subscription, worker } = *self;
        // The broker delivers the events of a key one after the other, but a new subscription may redeliver an event
        // while the handler of its last delivery runs. A delivery is `None` while it is in progress.
        let mut queues = KeyQueues::<(), Option<Delivery>>::default();
        let mut working = FuturesUnordered::new();
        loop {
            tokio::select! {
                // Ended deliveries before new ones: they make room in the queues and settle in order.
                biased;
                () = stop.requested() => break,
                Some(ended) = working.next() => {
                    let Completed { claim, settled } = ended;
                    if settled {
                        queues.complete(&claim);
                    } else {
                        // Dropped unsettled, so that none overtakes it; the broker delivers them again in order.
                        queues.remove_key(&claim);
                    }
                }
                next = subscription.next(), if queues.len() < worker.config.concurrency.max(1) => {
                    if let Some(delivery) = next {
                        queues.push((), delivery.event.key.clone(), Some(delivery));
                    }
                }
            }
            while let Some((claim, delivery)) = queues.claim(Instant::now().into_std()) {
                working.extend(delivery.take().map(|delivery| worker.process_in_span(claim, delivery)));
            }
        }
        // Queued deliveries go back to the broker now; those in progress may end until the stop is aborted.
        drop(queues);
        tokio::select! {
            () = stop.aborted() => {}
            () = async { while working.next().await.is_some() {} } => {}
        }
        Ok(())
    }
}

/// A delivery whose processing has ended.
struct Completed {
    claim: Claim<()>,
    /// False when it will be delivered again.
    settled: bool,
}

/// How a delivery is settled.
enum Decision {
    Done(Outcome),
    Retry(PreviousAttempt),
    GiveUp { reason: String },
}

impl Decision {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Done(outcome) => *outcome,
            Self::Retry(_) => Outcome::Retry,
            Self::GiveUp { .. } => Outcome::DeadLetter,
        }
    }
}

struct Worker {
    group: &'static str,
    topic: &'static str,
    handler: Arc<dyn Handler>,
    config: ConsumerConfig,
    ports: ConsumerPorts,
    attempts: Attempts,
}

impl Worker {
    /// Processes a delivery inside its span.
    async fn process_in_span(&self, claim: Claim<()>, delivery: Delivery) -> Completed {
        let accepted = self.accepts(&delivery.event);
        let previous = self.attempts.take_previous(delivery.event.id);
        let span = if matches!(accepted, Ok(false)) { Span::none() } else { self.span(&delivery, previous.as_ref()) };
        let settled = self.process(delivery, accepted, previous).instrument(span).await;
        Completed { claim, settled }
    }

    /// Returns false when the delivery will be delivered again.
    async fn process(
        &self,
        mut delivery: Delivery,
        accepted: Result<bool, HandlerError>,
        previous: Option<PreviousAttempt>,
    ) -> bool {
        let decision = match accepted {
            Ok(false) => Decision::Done(Outcome::Ignored),
            accepted => self.decide(&mut delivery, accepted.map(drop), previous.as_ref()).await,
        };
        let outcome = decision.outcome();
        if let Decision::Retry(previous) = &decision {
            self.attempts.store_previous(
                delivery.event.id,
                PreviousAttempt {
                    trace: propagation::current(),
                    has_ended: previous.has_ended,
                    is_uncounted: previous.is_uncounted,
                },
            );
        }
        self.settle(delivery, decision).await;
        self.ports.metrics.consumed(self.topic, self.group, outcome);
        outcome != Outcome::Retry
    }

    fn accepts(&self, event: &Event) -> Result<bool, HandlerError> {
        catch_unwind(AssertUnwindSafe(|| self.handler.accepts(event))).map_err(|panic| panicked(panic.as_ref()))
    }

    /// Calls the handler, unless the group has a receipt for the event or no attempts left. From here on the delivery's
    /// attempt number counts handler calls, not deliveries by the broker.
    async fn decide(
        &self,
        delivery: &mut Delivery,
        accepted: Result<(), HandlerError>,
        previous: Option<&PreviousAttempt>,
    ) -> Decision {
        let event = delivery.event.id;
        match self.ports.inbox.seen(self.group, event).await {
            Ok(false) => {}
            Ok(true) => return Decision::Done(Outcome::Duplicate),
            Err(error) => return self.on_inbox_error(&error, delivery, previous),
        }
        let attempt = match self.attempts.begin(delivery, previous).await {
            Ok(attempt) => attempt,
            Err(error) => return self.on_inbox_error(&error, delivery, previous),
        };
        delivery.attempt = attempt.number;
        if attempt.number > self.config.max_attempts.max(1) {
            return self.on_attempts_exhausted(delivery);
        }
        let receipt = self.receipt(event);
        let handled = match accepted {
            Ok(()) => self.handle(&delivery.event, &receipt).await,
            Err(error) => Err(error),
        };
        let recorded = match handled {
            Ok(Handled::Recorded) => Ok(true),
            Ok(Handled::Done) => self.ports.inbox.record(&receipt).await,
            Err(error) => return self.on_handler_error(&error, delivery, &attempt).await,
        };
        match recorded {
            Ok(_) => Decision::Done(Outcome::Ok),
            Err(error) => {
                let ended = PreviousAttempt { has_ended: true, is_uncounted: true, trace: None };
                self.on_inbox_error(&error, delivery, Some(&ended))
            }
        }
    }

    /// Calls the handler; converts a panic or a timeout to an error.
    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let started = Instant::now();
        let call = AssertUnwindSafe(async { self.handler.handle(event, receipt).await }).catch_unwind();
        let handled = match timeout(self.config.handler_timeout, call).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(panic)) => Err(panicked(panic.as_ref())),
            Err(elapsed) => Err(HandlerError::Retry(elapsed.into())),
        };
        self.ports.metrics.handled(self.group, started.elapsed());
        handled
    }

    /// The handler failed: retries later, or gives up.
    async fn on_handler_error(&self, error: &HandlerError, delivery: &mut Delivery, attempt: &Attempt) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group) = (delivery.event.id, self.group);
        match self.attempts.failed(attempt, event).await {
            Ok(number) => delivery.attempt = number,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, event.id = %event, group, "cannot count attempt");
            }
        }
        let (cause, attempt) = (error as &dyn std::error::Error, delivery.attempt);
        if matches!(error, HandlerError::Permanent(_)) || attempt >= self.config.max_attempts {
            tracing::error!(
                error = cause, event.id = %event, group, attempt,
                "handler failed, event becomes a dead letter"
            );
            Decision::GiveUp { reason: reason(cause) }
        } else {
            tracing::warn!(error = cause, event.id = %event, group, attempt, "handler failed, event will be retried");
            Decision::Retry(PreviousAttempt { has_ended: true, ..PreviousAttempt::default() })
        }
    }

    /// All attempts are used and none has returned: each time the process terminated first.
    fn on_attempts_exhausted(&self, delivery: &mut Delivery) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        delivery.attempt -= 1;
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        tracing::error!(
            event.id = %event, group, attempt,
            "handler terminates the process, event becomes a dead letter"
        );
        Decision::GiveUp { reason: "the process terminated during each attempt to handle the event".to_owned() }
    }

    /// The inbox failed, which is not the handler's failure: retries without a limit. The record of the `known`
    /// previous attempt is retained.
    fn on_inbox_error(&self, error: &RepoError, delivery: &Delivery, known: Option<&PreviousAttempt>) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        let cause = error as &dyn std::error::Error;
        tracing::warn!(error = cause, event.id = %event, group, attempt, "inbox unavailable, event will be retried");
        let (has_ended, is_uncounted) = known.map_or((false, false), |known| (known.has_ended, known.is_uncounted));
        Decision::Retry(PreviousAttempt { has_ended, is_uncounted, trace: None })
    }

    async fn settle(&self, delivery: Delivery, decision: Decision) {
        let event = delivery.event.id;
        let is_given_up = matches!(decision, Decision::GiveUp { .. });
        let settled = match decision {
            Decision::Done(_) => delivery.ack().await,
            Decision::Retry(_) => {
                let delay = self.config.backoff.delay(delivery.attempt);
                delivery.nack(delay).await
            }
            Decision::GiveUp { reason } => delivery.dead_letter(&reason).await,
        };
        // The broker delivers it again, and the inbox recognizes it.
        if let Err(error) = settled {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "cannot settle delivery");
            return;
        }
        // A duplicate, as from a relay that was killed before it marked the event, would otherwise get all attempts
        // again.
        if is_given_up && let Err(error) = self.ports.inbox.record(&self.receipt(event)).await {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "cannot record receipt");
        }
    }

    fn receipt(&self, event: Uuid) -> Receipt {
        Receipt { group: self.group.to_owned(), event, at: self.ports.clock.now() }
    }

    /// Creates the span of one delivery, linked to the previous attempt if that ran in this process.
    fn span(&self, delivery: &Delivery, previous: Option<&PreviousAttempt>) -> Span {
        let span = span::process(self.ports.system, self.group, &delivery.event, delivery.attempt);
        if let Some(trace) = previous.and_then(|previous| previous.trace.as_ref()) {
            propagation::add_link(&span, trace);
        }
        span
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::Retry(format!("handler panicked: {}", text.unwrap_or("no text")).into())
}

/// Returns the error and its sources on one line, truncated to [`MAX_REASON_BYTES`].
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
    text
}

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;
