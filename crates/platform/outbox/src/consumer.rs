//! Lets a handler act on the events of a topic: at least once, and with the inbox once in effect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, progress};
use kennel_core::{BoxError, Clock, Delivery, Event, Group, Inbox, Receipt, RepoError, Subscriber};
use kennel_telemetry::propagation;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::attempts::{Attempt, Attempts, Quarantine, Tried};
use crate::lanes::Lanes;
use crate::metrics::Outcome;
use crate::place::Place;
use crate::{Backoff, ConsumerMetrics, span};

/// The longest reason kept with a dead letter, in bytes.
const MAX_REASON_BYTES: usize = 1_000;

/// Who recorded that the event is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The handler stored the receipt together with its effect.
    Recorded,
    /// Nobody yet; the consumer does.
    Done,
}

/// Why a handler did not deal with an event.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may work later.
    #[error("event cannot be handled now")]
    Retry(#[source] BoxError),
    /// It will never work, as with data that cannot be read.
    #[error("event cannot be handled")]
    Permanent(#[source] BoxError),
}

/// Acts on events.
///
/// Handlers of one consumer run side by side on one task: work that keeps a processor busy belongs in
/// `spawn_blocking`.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Whether the event is of interest. One that is not is settled without further ado.
    fn accepts(&self, event: &Event) -> bool;

    /// Deals with an event that the group has no receipt for. It can come again after a crash, so the effect either
    /// commits together with `receipt` or does no harm twice. A panic counts as [`HandlerError::Retry`].
    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError>;
}

/// How a consumer works.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerConfig {
    /// Tries before an event becomes a dead letter; at least one is made. One that ends the process counts as well.
    pub max_attempts: u32,
    /// The wait before the next try, and before subscribing again.
    pub backoff: Backoff,
    /// Deliveries in hand at once; at least one. Those of one key are dealt with one after the other.
    pub concurrency: usize,
    /// How long one try may take.
    pub handler_timeout: Duration,
    /// How long it may be without a subscription before that is reported.
    pub stall_limit: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            backoff: Backoff { min: Duration::from_millis(200), max: Duration::from_mins(1) },
            concurrency: 4,
            handler_timeout: Duration::from_secs(30),
            stall_limit: progress::DEFAULT_LIMIT,
        }
    }
}

/// What consumers of one process share.
#[derive(Clone)]
pub struct ConsumerPorts {
    /// Where events come from.
    pub subscriber: Arc<dyn Subscriber>,
    /// Where receipts are kept.
    pub inbox: Arc<dyn Inbox>,
    /// What receipts are dated by.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: ConsumerMetrics,
    /// What keeps the handlers apart that may have ended the process before.
    pub quarantine: Quarantine,
    /// The broker's name in spans, as OpenTelemetry's `messaging.system`.
    pub system: &'static str,
}

/// A member of a group that hands the events of a topic to a handler.
pub struct Consumer {
    place: Place,
    worker: Worker,
}

impl Consumer {
    /// A member of `group` on `topic`; `group` is the component's name as well.
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
        let place = Place::new(subscriber, topic, group, shared, config.backoff, metrics, progress);
        ports.metrics.announce(topic, group);
        let (inbox, clock) = (Arc::clone(&ports.inbox), Arc::clone(&ports.clock));
        let attempts = Attempts::new(group, inbox, clock, ports.quarantine.clone());
        Self { place, worker: Worker { group, topic, handler, config, ports, attempts } }
    }

    /// Whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.place.progress()
    }
}

#[async_trait]
impl Component for Consumer {
    fn name(&self) -> &'static str {
        self.worker.group
    }

    /// Joins the group, so that it exists before anything is published. A broker that is away fails nothing here.
    async fn init(&mut self) -> Result<(), BoxError> {
        self.place.join().await;
        Ok(())
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let Self { mut place, worker } = *self;
        let mut lanes = Lanes::default();
        let mut working = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some(ended) = working.next() => {
                    let Ended { key, settled } = ended;
                    working.extend(lanes.finish(&key, settled).map(|next| worker.work(next)));
                }
                next = place.next(), if lanes.held() < worker.config.concurrency.max(1) => {
                    if let Some(delivery) = next {
                        working.extend(lanes.admit(delivery).map(|delivery| worker.work(delivery)));
                    }
                }
            }
        }
        lanes.clear();
        tokio::select! {
            () = stop.aborted() => {}
            () = async { while working.next().await.is_some() {} } => {}
        }
        Ok(())
    }
}

/// A delivery that is out of hand.
struct Ended {
    key: String,
    /// False when it is to come again.
    settled: bool,
}

/// What is to become of a delivery.
enum Verdict {
    Done(Outcome),
    Retry(Tried),
    GiveUp { reason: String },
}

impl Verdict {
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
    /// Deals with a delivery and settles it.
    async fn work(&self, delivery: Delivery) -> Ended {
        let accepted = self.accepts(&delivery.event);
        let before = self.attempts.recall(delivery.event.id);
        let span = if matches!(accepted, Ok(false)) { Span::none() } else { self.span(&delivery, before.as_ref()) };
        self.deal(delivery, accepted, before).instrument(span).await
    }

    async fn deal(&self, mut delivery: Delivery, accepted: Result<bool, HandlerError>, before: Option<Tried>) -> Ended {
        let verdict = match accepted {
            Ok(false) => Verdict::Done(Outcome::Ignored),
            accepted => self.judge(&mut delivery, accepted.map(drop), before.as_ref()).await,
        };
        let outcome = verdict.outcome();
        if let Verdict::Retry(tried) = &verdict {
            self.attempts.remember(
                delivery.event.id,
                Tried { trace: propagation::current(), has_ended: tried.has_ended, is_excused: tried.is_excused },
            );
        }
        let key = delivery.event.key.clone();
        self.settle(delivery, verdict).await;
        self.ports.metrics.consumed(self.topic, self.group, outcome);
        Ended { key, settled: outcome != Outcome::Retry }
    }

    fn accepts(&self, event: &Event) -> Result<bool, HandlerError> {
        catch_unwind(AssertUnwindSafe(|| self.handler.accepts(event))).map_err(|panic| panicked(panic.as_ref()))
    }

    /// Lets the handler deal with the event, unless the group has done so before or has begun too often. From here on
    /// the delivery's attempts are those of the handler, not those of the broker.
    async fn judge(
        &self,
        delivery: &mut Delivery,
        accepted: Result<(), HandlerError>,
        before: Option<&Tried>,
    ) -> Verdict {
        let event = delivery.event.id;
        match self.ports.inbox.seen(self.group, event).await {
            Ok(false) => {}
            Ok(true) => return Verdict::Done(Outcome::Duplicate),
            Err(error) => return self.postpone(&error, delivery, before),
        }
        let attempt = match self.attempts.begin(delivery, before).await {
            Ok(attempt) => attempt,
            Err(error) => return self.postpone(&error, delivery, before),
        };
        delivery.attempt = attempt.number;
        if attempt.number > self.config.max_attempts.max(1) {
            return self.give_up(delivery);
        }
        let receipt = self.receipt(event);
        let handled = match accepted {
            Ok(()) => self.handle(&delivery.event, &receipt).await,
            Err(error) => Err(error),
        };
        let recorded = match handled {
            Ok(Handled::Recorded) => Ok(true),
            Ok(Handled::Done) => self.ports.inbox.record(&receipt).await,
            Err(error) => return self.refuse(&error, delivery, &attempt).await,
        };
        match recorded {
            Ok(_) => Verdict::Done(Outcome::Ok),
            Err(error) => {
                let ended = Tried { has_ended: true, is_excused: true, trace: None };
                self.postpone(&error, delivery, Some(&ended))
            }
        }
    }

    /// Calls the handler; neither a panic nor a hang of it goes further.
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

    /// The handler failed: tries again, or gives up.
    async fn refuse(&self, error: &HandlerError, delivery: &mut Delivery, attempt: &Attempt) -> Verdict {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group) = (delivery.event.id, self.group);
        match self.attempts.failed(attempt, event).await {
            Ok(number) => delivery.attempt = number,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, event.id = %event, group, "attempt cannot be counted");
            }
        }
        let (cause, attempt) = (error as &dyn std::error::Error, delivery.attempt);
        if matches!(error, HandlerError::Permanent(_)) || attempt >= self.config.max_attempts {
            tracing::error!(error = cause, event.id = %event, group, attempt, "event becomes a dead letter");
            Verdict::GiveUp { reason: reason(cause) }
        } else {
            tracing::warn!(error = cause, event.id = %event, group, attempt, "event will be tried again");
            Verdict::Retry(Tried { has_ended: true, ..Tried::default() })
        }
    }

    /// The handler was called as often as it may be, and no call has come to an end: the process ended first.
    fn give_up(&self, delivery: &mut Delivery) -> Verdict {
        Span::current().record("otel.status_code", "ERROR");
        delivery.attempt -= 1;
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        tracing::error!(event.id = %event, group, attempt, "event becomes a dead letter: handling it ends the process");
        Verdict::GiveUp { reason: "the process ended each time while it handled the event".to_owned() }
    }

    /// The inbox failed, which is no fault of the event's: tries again however often it takes. What was `known` of the
    /// event still is.
    fn postpone(&self, error: &RepoError, delivery: &Delivery, known: Option<&Tried>) -> Verdict {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        let cause = error as &dyn std::error::Error;
        tracing::warn!(error = cause, event.id = %event, group, attempt, "inbox does not answer");
        let (has_ended, is_excused) = known.map_or((false, false), |known| (known.has_ended, known.is_excused));
        Verdict::Retry(Tried { has_ended, is_excused, trace: None })
    }

    async fn settle(&self, delivery: Delivery, verdict: Verdict) {
        let event = delivery.event.id;
        let is_given_up = matches!(verdict, Verdict::GiveUp { .. });
        let settled = match verdict {
            Verdict::Done(_) => delivery.ack().await,
            Verdict::Retry(_) => {
                let delay = self.config.backoff.delay(delivery.attempt);
                delivery.nack(delay).await
            }
            Verdict::GiveUp { reason } => delivery.dead_letter(&reason).await,
        };
        // The broker delivers it again, and the inbox knows it.
        if let Err(error) = settled {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "delivery cannot be settled");
            return;
        }
        // A copy, as of a relay that was killed before it could mark the event, would begin with all attempts again.
        if is_given_up && let Err(error) = self.ports.inbox.record(&self.receipt(event)).await {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "receipt cannot be recorded");
        }
    }

    fn receipt(&self, event: Uuid) -> Receipt {
        Receipt { group: self.group.to_owned(), event, at: self.ports.clock.now() }
    }

    /// The span of one delivery, linked to the try before it where that was made here.
    fn span(&self, delivery: &Delivery, before: Option<&Tried>) -> Span {
        let span = span::process(self.ports.system, self.group, &delivery.event, delivery.attempt);
        if let Some(trace) = before.and_then(|before| before.trace.as_ref()) {
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

/// The error and its sources on one line, cut at [`MAX_REASON_BYTES`].
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
