//! Calls a handler for the events of a topic: at least once, and with effect once where the inbox commits with the
//! effect.

pub(crate) mod settlement;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, progress};
use kennel_core::{
    Backoff, BoxError, Clock, Delivery, Event, EventFilter, Group, Inbox, KeyQueues, Receipt, Subscriber,
};
use tokio::time::{Instant, sleep_until};

use self::settlement::{Settled, Settlement};
use self::worker::{Completed, Worker};
use crate::ConsumerMetrics;
use crate::attempts::Quarantine;
use crate::resilient_subscription::{ResilientSubscription, SubscriptionSource};

/// Whether the handler has recorded the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The handler committed the receipt together with its effect, or what it recognizes the event by.
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
    /// Something that every event needs does not respond. The attempt does not count, so that an outage of any length
    /// creates no dead letters, and the consumer takes no other events for up to five seconds.
    #[error("a dependency is unavailable")]
    Unavailable(#[source] BoxError),
    /// No attempt can succeed, as with unreadable data.
    #[error("event cannot be handled")]
    Permanent(#[source] BoxError),
}

/// Handles events.
///
/// Handler calls of one consumer run concurrently on one task: CPU-bound work belongs in `spawn_blocking`.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Returns which events of the topic it handles. The broker settles the others for the group, which costs no
    /// concurrency.
    fn filter(&self) -> EventFilter;

    /// Maximum number of deliveries in progress or queued. Those of one key are processed one after the other. A handler
    /// that waits for a network can have more than the default.
    fn concurrency(&self) -> usize {
        ConsumerConfig::default().concurrency
    }

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

/// The subscription of a member of `group` on `topic`.
pub(crate) fn subscription(
    group: &'static str,
    topic: &'static str,
    filter: EventFilter,
    config: &ConsumerConfig,
    ports: &ConsumerPorts,
) -> ResilientSubscription {
    let source = SubscriptionSource {
        subscriber: Arc::clone(&ports.subscriber),
        topic,
        name: group,
        group: Group::Shared(group.to_owned()),
        filter,
    };
    ResilientSubscription::new(source, config.backoff, ports.metrics.clone(), Progress::new(config.stall_limit))
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
        let subscription = subscription(group, topic, handler.filter(), &config, &ports);
        Self { subscription, worker: Worker { settlement: Settlement::new(group, topic, config, ports), handler } }
    }

    /// Returns the progress: whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.subscription.progress()
    }
}

#[async_trait]
impl Component for Consumer {
    fn name(&self) -> &'static str {
        self.worker.settlement.group
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
        // While a dependency is unavailable.
        let mut paused_until = None;
        loop {
            tokio::select! {
                // Ended deliveries before new ones: they make room in the queues and settle in order.
                biased;
                () = stop.requested() => break,
                Some(ended) = working.next() => {
                    let Completed { claim, settled } = ended;
                    match settled {
                        Settled::Finally => drop(queues.complete(&claim)),
                        // Dropped unsettled, so that none overtakes it; the broker delivers them again in order.
                        Settled::ForLater => queues.remove_key(&claim),
                        Settled::ForAfter(pause) => {
                            queues.remove_key(&claim);
                            paused_until = Some(Instant::now() + pause);
                        }
                    }
                }
                () = sleep_until(paused_until.unwrap_or_else(Instant::now)), if paused_until.is_some() => {
                    paused_until = None;
                }
                next = subscription.next(),
                    if paused_until.is_none() && queues.len() < worker.settlement.config.concurrency.max(1) =>
                {
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

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;
