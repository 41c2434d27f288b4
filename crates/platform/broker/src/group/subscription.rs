//! The subscription to a group and its deliveries.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use kennel_core::broker::BrokerError;
use kennel_core::{Claim, KeyQueues};
use kennel_core::{Clock, DeadLetter, Delivery, Event, Settle, Subscription};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::received::{Received, push};
use crate::delivery::{Closed, DEAD_LETTER_RETRY_DELAY, DeliveredElsewhere, Next, changed_or_due, due};

/// Maximum number of errors stored for a subscriber that does not read them.
const MAX_ERRORS: usize = 16;

/// Settles one message at its server.
#[async_trait]
pub(crate) trait MessageHandle: Clone + Send + Sync + 'static {
    /// Acknowledges the message; returns after the server confirmed it.
    async fn ack(&self) -> Result<(), BrokerError>;

    /// Returns a request to the server to redeliver the message after `delay`; `None` if the member redelivers it.
    fn nack(&self, delay: Duration) -> Option<BoxFuture<'static, Result<(), BrokerError>>>;

    /// Stores a dead letter durably.
    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError>;
}

/// State shared by the subscription, its deliveries and the task that receives the messages.
pub(crate) struct DeliveryBuffer<H> {
    state: Mutex<BufferState<H>>,
    changed: Notify,
    group: String,
    limit: usize,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

struct BufferState<H> {
    queues: KeyQueues<u16, Received<H>>,
    errors: VecDeque<BrokerError>,
    has_ended: bool,
}

impl<H: MessageHandle> DeliveryBuffer<H> {
    /// Creates the buffer of a member of `group` with unsettled deliveries of at most `limit` keys. `tasks` belongs to the
    /// broker.
    pub(crate) fn new(group: &str, limit: usize, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Arc<Self> {
        let state = BufferState { queues: KeyQueues::default(), errors: VecDeque::new(), has_ended: false };
        let (state, changed) = (Mutex::new(state), Notify::new());
        Arc::new(Self { state, changed, group: group.to_owned(), limit, clock, tasks })
    }

    fn lock(&self) -> MutexGuard<'_, BufferState<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queues, and lets the subscription check them again.
    fn change<T>(&self, work: impl FnOnce(&mut KeyQueues<u16, Received<H>>) -> T) -> T {
        let result = work(&mut self.lock().queues);
        self.changed.notify_waiters();
        result
    }

    /// Adds a received event.
    pub(crate) fn push(&self, received: Received<H>) {
        self.change(|queues| push(queues, received));
    }

    /// Reports an error to the subscriber.
    pub(crate) fn report_error(&self, error: BrokerError) {
        let mut state = self.lock();
        if state.errors.len() < MAX_ERRORS {
            state.errors.push_back(error);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Stops deliveries of a partition until [`Self::resume`].
    pub(crate) fn pause(&self, partition: u16) {
        self.lock().queues.pause(partition);
    }

    /// Resumes deliveries of a partition.
    pub(crate) fn resume(&self, partition: u16) {
        self.change(|queues| queues.resume(&partition));
    }

    /// Returns whether the partition has unsettled deliveries.
    pub(crate) fn has_claimed(&self, partition: u16) -> bool {
        self.lock().queues.claimed_in(&partition) > 0
    }

    /// Removes all events of a partition. Returns the handles of those that were not rejected, in order for each key.
    pub(crate) fn remove_partition(&self, partition: u16) -> Vec<H> {
        self.lock().queues.remove(&partition).into_iter().map(|received| received.handle).collect()
    }

    /// Returns the handles of all events that were not rejected.
    #[cfg(feature = "nats")]
    pub(crate) fn handles(&self) -> Vec<H> {
        self.lock().queues.present().map(|received| received.handle.clone()).collect()
    }

    /// Ends the subscription: it returns `None` from now on.
    pub(crate) fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_waiters();
    }

    /// Returns the next error or delivery, if there is one.
    fn poll(self: &Arc<Self>) -> Result<Next<Delivery>, Closed> {
        let mut state = self.lock();
        if state.has_ended {
            return Err(Closed);
        }
        if let Some(error) = state.errors.pop_front() {
            return Ok(Next::Item(Err(error)));
        }
        if state.queues.claimed_keys() >= self.limit {
            return Ok(Next::Wait(None));
        }
        let Some((claim, received)) = state.queues.claim(Instant::now().into_std()) else {
            return Ok(Next::Wait(state.queues.next_due().map(Instant::from_std)));
        };
        Ok(Next::Item(Ok(self.delivery(claim, received))))
    }

    /// Returns the delivery that follows a claimed one in its key.
    fn successor(self: &Arc<Self>, claim: &Claim<u16>) -> Option<Delivery> {
        let mut state = self.lock();
        if state.has_ended {
            return None;
        }
        let (claim, received) = state.queues.claim_next(claim)?;
        Some(self.delivery(claim, received))
    }

    fn delivery(self: &Arc<Self>, claim: Claim<u16>, received: &Received<H>) -> Delivery {
        let pending = PendingAck { buffer: Arc::clone(self), claim: Some(claim), handle: received.handle.clone() };
        Delivery::new(Arc::clone(&received.event), received.attempt, Box::new(pending))
    }

    /// Rejects a delivery. Returns the request for its redelivery, if the server redelivers it; the delivery already
    /// waits for that, because the server may be faster than the confirmation of the request.
    fn reject(
        &self,
        claim: &Claim<u16>,
        handle: &H,
        delay: Duration,
    ) -> Option<BoxFuture<'static, Result<(), BrokerError>>> {
        let request = handle.nack(delay);
        let is_valid = self.change(|queues| match request {
            Some(_) => queues.suspend(claim),
            None => queues.release(claim, due(delay)).map(|received| received.attempt += 1).is_some(),
        });
        request.filter(|_| is_valid)
    }
}

/// A subscription as a member of a group.
pub(crate) struct GroupSubscription<H> {
    buffer: Arc<DeliveryBuffer<H>>,
    /// Stops the task that receives the messages; it returns its unsettled events.
    _leaving: DropGuard,
}

impl<H> GroupSubscription<H> {
    /// Creates the subscription; `leaving` is cancelled when it is dropped.
    pub(crate) const fn new(buffer: Arc<DeliveryBuffer<H>>, leaving: DropGuard) -> Self {
        Self { buffer, _leaving: leaving }
    }
}

#[async_trait]
impl<H: MessageHandle> Subscription for GroupSubscription<H> {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut changed = pin!(self.buffer.changed.notified());
            changed.as_mut().enable();
            match self.buffer.poll().ok()? {
                Next::Item(item) => return Some(item),
                Next::Wait(due) => changed_or_due(changed, due).await,
            }
        }
    }
}

/// Settles one delivery.
struct PendingAck<H: MessageHandle> {
    buffer: Arc<DeliveryBuffer<H>>,
    /// `None` after it is settled.
    claim: Option<Claim<u16>>,
    handle: H,
}

impl<H: MessageHandle> PendingAck<H> {
    /// Returns the claim and the current handle. Fails when another member has the event.
    fn current(&mut self) -> Result<(Claim<u16>, H), BrokerError> {
        let claim = self.claim.clone().ok_or(DeliveredElsewhere)?;
        let handle = self.buffer.lock().queues.get(&claim).map(|received| received.handle.clone());
        if handle.is_none() {
            self.claim = None;
        }
        Ok((claim, handle.ok_or(DeliveredElsewhere)?))
    }

    async fn reject(&mut self, claim: &Claim<u16>, handle: &H, delay: Duration) -> Result<(), BrokerError> {
        self.claim = None;
        match self.buffer.reject(claim, handle, delay) {
            Some(request) => request.await,
            None => Ok(()),
        }
    }

    fn complete(&mut self, claim: &Claim<u16>) {
        self.claim = None;
        self.buffer.change(|queues| queues.complete(claim));
    }
}

#[async_trait]
impl<H: MessageHandle> Settle for PendingAck<H> {
    fn successor(&self) -> Option<Delivery> {
        self.buffer.successor(self.claim.as_ref()?)
    }

    /// After an error the server redelivers the event. The following events of the key continue, because the receiver
    /// has processed this one.
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let (claim, handle) = self.current()?;
        let acked = handle.ack().await;
        self.complete(&claim);
        acked
    }

    /// After an error the server redelivers the event too, and the following events of its key wait for that.
    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let (claim, handle) = self.current()?;
        self.reject(&claim, &handle, delay).await
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let (claim, handle) = self.current()?;
        let dead_letter = DeadLetter {
            event: event.clone(),
            group: self.buffer.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.buffer.clock.now(),
        };
        if let Err(error) = handle.dead_letter(&dead_letter).await {
            self.reject(&claim, &handle, DEAD_LETTER_RETRY_DELAY).await?;
            return Err(error);
        }
        let acked = handle.ack().await;
        self.complete(&claim);
        acked
    }
}

impl<H: MessageHandle> Drop for PendingAck<H> {
    fn drop(&mut self) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        if let Some(request) = self.buffer.reject(&claim, &self.handle, Duration::ZERO) {
            // Fails when the server is unreachable; it then redelivers the event itself.
            self.buffer.tasks.spawn(request);
        }
    }
}
