//! Calls a handler for several events of a topic at once: at least once each, and with effect once where the inbox commits
//! with the effect.

mod intake;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Progress, Stop};
use kennel_core::{BoxError, Event, EventFilter, Receipt};
use tokio::time::sleep;

use self::intake::Intake;
use self::worker::BatchWorker;
use crate::consumer::settlement::Settlement;
use crate::consumer::subscription;
use crate::resilient_subscription::ResilientSubscription;
use crate::{ConsumerConfig, ConsumerPorts, Handled, HandlerError};

/// An event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchItem {
    /// The event.
    pub event: Arc<Event>,
    /// The receipt of the group for it.
    pub receipt: Receipt,
}

/// What became of each event of a batch, in the order of the batch.
pub type BatchResults = Vec<Result<Handled, HandlerError>>;

/// Handles events in batches.
#[async_trait]
pub trait BatchHandler: Send + Sync + 'static {
    /// Returns which events of the topic it handles. The broker settles the others for the group.
    fn filter(&self) -> EventFilter;

    /// Returns whether the handler itself recognizes the events that it has handled, as by ids in its own data that commit
    /// with the effect; false by default. Then receipts are neither read nor written for batches, and the attempt at a
    /// batch is counted with the first event of each key. After an attempt that may have ended a process, the events from
    /// that one on are handled alone, with receipts and counts of their own.
    fn recognizes_duplicates(&self) -> bool {
        false
    }

    /// Handles events for which the group has no receipts. Each can be delivered again after a crash, so its effect must
    /// commit together with its receipt or be idempotent. The receipts of those that are [`Handled::Done`] are stored with
    /// one write.
    ///
    /// They have different keys, so that one of them can fail without the others; with [`BatchLimits::of_key`], they are
    /// consecutive events of each key, in order. After an event that is to be retried, those that follow in its key must
    /// not be handled: their results are ignored, and they are delivered again after it. They follow a dead letter at once.
    ///
    /// A result of its own is for an event alone: it is retried, or becomes a dead letter, as with a
    /// [`Handler`](crate::Handler). After an error of the whole batch, or a panic, it is not known which event is the
    /// reason. Each is then handled again in a batch of its own, in the order of its key, and only these attempts count.
    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError>;
}

/// Limits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Maximum number of events; at least one.
    pub events: usize,
    /// Maximum number of consecutive events of one key; at least one. The broker's in-flight limit is one of keys.
    pub of_key: usize,
    /// Maximum size of their data, in bytes. A batch has at least one event, and the last one of a key may exceed the limit.
    pub bytes: usize,
    /// How long an incomplete batch waits for more events, if the batch before it had several and has just ended. Without
    /// load, nothing waits: an event that is delivered to an idle consumer is handled at once.
    pub linger: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { events: 256, of_key: 1, bytes: 4 << 20, linger: Duration::from_millis(5) }
    }
}

/// A member of a consumer group that calls a handler for several events of a topic at once.
///
/// It handles one batch at a time; the next one is what has been delivered since. The order of each key is preserved: the
/// next events of a key follow after those in the batch are settled. Attempts, retries and dead letters are those of a
/// [`Consumer`](crate::Consumer).
pub struct BatchConsumer {
    subscription: ResilientSubscription,
    intake: Intake,
    worker: BatchWorker,
}

impl BatchConsumer {
    /// Creates a member of `group` on `topic`; `group` is also the component's name. `config.concurrency` is not used.
    pub fn new(
        group: &'static str,
        topic: &'static str,
        handler: Arc<dyn BatchHandler>,
        config: ConsumerConfig,
        limits: BatchLimits,
        ports: ConsumerPorts,
    ) -> Self {
        let subscription = subscription(group, topic, handler.filter(), &config, &ports);
        let worker = BatchWorker { settlement: Settlement::new(group, topic, config, ports), handler };
        Self { subscription, intake: Intake::new(limits), worker }
    }

    /// Returns the progress: whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.subscription.progress()
    }
}

#[async_trait]
impl Component for BatchConsumer {
    fn name(&self) -> &'static str {
        self.worker.settlement.group
    }

    /// Joins the group, so that it exists before anything is published. An unreachable broker is not an error here.
    async fn init(&mut self) -> Result<(), BoxError> {
        self.subscription.try_subscribe().await;
        Ok(())
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let Self { mut subscription, mut intake, worker } = *self;
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                batch = intake.next(&mut subscription) => batch,
            };
            let count = batch.len();
            let pause = tokio::select! {
                () = stop.aborted() => return Ok(()),
                pause = worker.process(batch) => pause,
            };
            intake.ended(count);
            if let Some(pause) = pause {
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    () = sleep(pause) => {}
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "batch_consumer_tests.rs"]
mod tests;
