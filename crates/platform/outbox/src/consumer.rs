//! Lets a handler act on the events of a topic: at least once, and with the inbox once in effect.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, progress};
use kennel_core::{BoxError, Clock, Delivery, Event, Group, Inbox, Receipt, Subscriber, TraceContext};
use kennel_telemetry::propagation;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::lanes::Lanes;
use crate::metrics::Outcome;
use crate::place::Place;
use crate::{Backoff, ConsumerMetrics, span};

/// The longest reason kept with a dead letter, in bytes.
const MAX_REASON_BYTES: usize = 1_000;
/// The most failed tries that are remembered for the next one to link to.
const MAX_TRIES: usize = 1_024;

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
    /// Tries before an event becomes a dead letter; at least one is made.
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
        Self { place, worker: Worker { group, topic, handler, config, ports, tries: Mutex::default() } }
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
    Retry,
    GiveUp { reason: String },
}

impl Verdict {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Done(outcome) => *outcome,
            Self::Retry => Outcome::Retry,
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
    /// The last try at each event that is to come again.
    tries: Mutex<HashMap<Uuid, TraceContext>>,
}

impl Worker {
    /// Deals with a delivery and settles it.
    async fn work(&self, delivery: Delivery) -> Ended {
        let accepted = self.accepts(&delivery.event);
        let span = if matches!(accepted, Ok(false)) { Span::none() } else { self.span(&delivery) };
        self.deal(delivery, accepted).instrument(span).await
    }

    async fn deal(&self, delivery: Delivery, accepted: Result<bool, HandlerError>) -> Ended {
        let verdict = match accepted {
            Ok(false) => Verdict::Done(Outcome::Ignored),
            Ok(true) => self.judge(&delivery).await,
            Err(error) => self.refuse(&error, &delivery),
        };
        let outcome = verdict.outcome();
        if outcome == Outcome::Retry {
            self.remember(delivery.event.id);
        }
        let key = delivery.event.key.clone();
        self.settle(delivery, verdict).await;
        self.ports.metrics.consumed(self.topic, self.group, outcome);
        Ended { key, settled: outcome != Outcome::Retry }
    }

    fn accepts(&self, event: &Event) -> Result<bool, HandlerError> {
        catch_unwind(AssertUnwindSafe(|| self.handler.accepts(event))).map_err(|panic| panicked(panic.as_ref()))
    }

    /// Lets the handler deal with the event, unless the group has done so before.
    async fn judge(&self, delivery: &Delivery) -> Verdict {
        let event = delivery.event.id;
        match self.ports.inbox.seen(self.group, event).await {
            Ok(false) => {}
            Ok(true) => return Verdict::Done(Outcome::Duplicate),
            Err(error) => return self.postpone(&error, delivery),
        }
        let receipt = Receipt { group: self.group.to_owned(), event, at: self.ports.clock.now() };
        let recorded = match self.handle(&delivery.event, &receipt).await {
            Ok(Handled::Recorded) => Ok(true),
            Ok(Handled::Done) => self.ports.inbox.record(&receipt).await,
            Err(error) => return self.refuse(&error, delivery),
        };
        match recorded {
            Ok(_) => Verdict::Done(Outcome::Ok),
            Err(error) => self.postpone(&error, delivery),
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
    fn refuse(&self, error: &HandlerError, delivery: &Delivery) -> Verdict {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        let give_up = matches!(error, HandlerError::Permanent(_)) || attempt >= self.config.max_attempts;
        let cause = error as &dyn std::error::Error;
        if give_up {
            tracing::error!(error = cause, event.id = %event, group, attempt, "event becomes a dead letter");
            Verdict::GiveUp { reason: reason(cause) }
        } else {
            tracing::warn!(error = cause, event.id = %event, group, attempt, "event will be tried again");
            Verdict::Retry
        }
    }

    /// The inbox failed, which is no fault of the event's: tries again however often it takes.
    fn postpone(&self, error: &kennel_core::RepoError, delivery: &Delivery) -> Verdict {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        let cause = error as &dyn std::error::Error;
        tracing::warn!(error = cause, event.id = %event, group, attempt, "inbox does not answer");
        Verdict::Retry
    }

    async fn settle(&self, delivery: Delivery, verdict: Verdict) {
        let event = delivery.event.id;
        let settled = match verdict {
            Verdict::Done(_) => delivery.ack().await,
            Verdict::Retry => {
                let delay = self.config.backoff.delay(delivery.attempt);
                delivery.nack(delay).await
            }
            Verdict::GiveUp { reason } => delivery.dead_letter(&reason).await,
        };
        // The broker delivers it again, and the inbox knows it.
        if let Err(error) = settled {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "delivery cannot be settled");
        }
    }

    /// The span of one delivery, linked to the try before it where that was made here.
    fn span(&self, delivery: &Delivery) -> Span {
        let event = &delivery.event;
        let span = span::process(self.ports.system, self.group, event, delivery.attempt);
        if let Some(before) = self.tries.lock().unwrap_or_else(PoisonError::into_inner).remove(&event.id) {
            propagation::add_link(&span, &before);
        }
        span
    }

    fn remember(&self, event: Uuid) {
        let Some(trace) = propagation::current() else { return };
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // Some may have gone on at another member.
        if tries.len() == MAX_TRIES {
            tries.clear();
        }
        tries.insert(event, trace);
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
