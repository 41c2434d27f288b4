//! The subscription to a group and its deliveries.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Clock, DeadLetter, Delivery, Event, Settle, Subscription};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Closed;
use super::key_queues::{Claimed, KeyQueues, Received};

/// Delay before redelivery when the dead letter could not be stored.
const DEAD_LETTER_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum number of errors stored for a subscriber that does not read them.
const MAX_ERRORS: usize = 16;

/// Settles one message at its server.
#[async_trait]
pub(crate) trait MessageHandle: Clone + Send + Sync + 'static {
    /// Acknowledges the message; returns after the server confirmed it.
    async fn ack(&self) -> Result<(), BrokerError>;

    /// Requests redelivery after `delay`. Returns the remaining delay if this member has to redeliver the message
    /// itself, and `None` if the server does.
    async fn nack(&self, delay: Duration) -> Result<Option<Duration>, BrokerError>;

    /// Stores a dead letter durably.
    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError>;
}

/// The event was delivered to another member, because this one lost its partition or its subscription.
#[derive(Debug, thiserror::Error)]
#[error("event was delivered to another member")]
struct DeliveredElsewhere;

fn delivered_elsewhere() -> BrokerError {
    BrokerError::Backend(DeliveredElsewhere.into())
}

/// State shared by the subscription, its deliveries and the task that receives the messages.
pub(crate) struct DeliveryBuffer<H> {
    state: Mutex<BufferState<H>>,
    changed: Notify,
    group: String,
    limit: usize,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

struct BufferState<H> {
    key_queues: KeyQueues<H>,
    errors: VecDeque<BrokerError>,
}

impl<H: MessageHandle> DeliveryBuffer<H> {
    /// Creates the buffer of a member of `group` with at most `limit` unsettled deliveries. `tasks` belongs to the
    /// broker.
    pub(crate) fn new(group: &str, limit: usize, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Arc<Self> {
        let state = Mutex::new(BufferState { key_queues: KeyQueues::default(), errors: VecDeque::new() });
        let (changed, ended) = (Notify::new(), CancellationToken::new());
        Arc::new(Self { state, changed, group: group.to_owned(), limit, clock, tasks, ended })
    }

    fn lock(&self) -> MutexGuard<'_, BufferState<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a received event.
    pub(crate) fn push(&self, changed: Received<H>) {
        self.lock().key_queues.push(changed);
        self.changed.notify_waiters();
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
        self.lock().key_queues.pause(partition);
    }

    /// Resumes deliveries of a partition.
    pub(crate) fn resume(&self, partition: u16) {
        self.lock().key_queues.resume(partition);
        self.changed.notify_waiters();
    }

    /// Returns whether the partition has unsettled deliveries.
    pub(crate) fn has_claimed(&self, partition: u16) -> bool {
        self.lock().key_queues.has_claimed(partition)
    }

    /// Removes all events of a partition. Returns the handles of those that were not rejected, in order for each key.
    pub(crate) fn remove_partition(&self, partition: u16) -> Vec<H> {
        self.lock().key_queues.remove_partition(partition)
    }

    /// Returns the handles of all events that were not rejected.
    #[cfg(feature = "nats")]
    pub(crate) fn unreturned_handles(&self) -> Vec<H> {
        self.lock().key_queues.unreturned_handles()
    }

    /// Ends the subscription: it returns `None` from now on.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        self.changed.notify_waiters();
    }

    /// Requests redelivery of the event that was rejected with `token`.
    async fn request_redelivery(
        self: Arc<Self>,
        handle: H,
        key: String,
        token: u64,
        delay: Duration,
    ) -> Result<(), BrokerError> {
        if let Some(wait) = handle.nack(delay).await? {
            let (buffer, tasks) = (Arc::clone(&self), &self.tasks);
            tasks.spawn(async move {
                tokio::select! {
                    () = buffer.ended.cancelled() => {}
                    () = tokio::time::sleep(wait) => {
                        buffer.lock().key_queues.redeliver(&key, token);
                        buffer.changed.notify_waiters();
                    }
                }
            });
        }
        Ok(())
    }

    /// Returns the next error or delivery, if there is one.
    fn poll(self: &Arc<Self>) -> Result<Option<Result<Delivery, BrokerError>>, Closed> {
        let mut state = self.lock();
        if self.ended.is_cancelled() {
            return Err(Closed);
        }
        if let Some(error) = state.errors.pop_front() {
            return Ok(Some(Err(error)));
        }
        let claimed = state.key_queues.claim(self.limit);
        Ok(claimed.map(|Claimed { event, attempt, token, handle }| {
            let pending = PendingAck { buffer: Arc::clone(self), key: event.key.clone(), token: Some(token), handle };
            Ok(Delivery::new(event, attempt, Box::new(pending)))
        }))
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
            match self.buffer.poll() {
                Ok(Some(found)) => return Some(found),
                Ok(None) => changed.await,
                Err(Closed) => return None,
            }
        }
    }
}

/// Settles one delivery.
struct PendingAck<H: MessageHandle> {
    buffer: Arc<DeliveryBuffer<H>>,
    key: String,
    /// `None` after it is settled.
    token: Option<u64>,
    handle: H,
}

impl<H: MessageHandle> PendingAck<H> {
    /// Returns the current handle and the token. Fails when another member has the event.
    fn handle(&mut self) -> Result<(H, u64), BrokerError> {
        let token = self.token.ok_or_else(delivered_elsewhere)?;
        let Some(handle) = self.buffer.lock().key_queues.claimed_handle(&self.key, token) else {
            self.token = None;
            return Err(delivered_elsewhere());
        };
        Ok((handle, token))
    }

    async fn reject(&mut self, handle: H, token: u64, delay: Duration) -> Result<(), BrokerError> {
        // Before the request: the server may redeliver the message before it confirms.
        self.token = None;
        self.buffer.lock().key_queues.reject(&self.key, token);
        self.buffer.changed.notify_waiters();
        Arc::clone(&self.buffer).request_redelivery(handle, self.key.clone(), token, delay).await
    }

    fn complete(&mut self, token: u64) -> bool {
        self.token = None;
        let completed = self.buffer.lock().key_queues.complete(&self.key, token);
        self.buffer.changed.notify_waiters();
        completed
    }
}

#[async_trait]
impl<H: MessageHandle> Settle for PendingAck<H> {
    /// After an error the server redelivers the event. The following events of the key continue, because the receiver
    /// has processed this one.
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        let acked = handle.ack().await;
        self.complete(token);
        acked
    }

    /// After an error the server redelivers the event too, and the following events of its key wait for that.
    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        self.reject(handle, token, delay).await
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        let dead_letter = DeadLetter {
            event: event.clone(),
            group: self.buffer.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.buffer.clock.now(),
        };
        if let Err(error) = handle.dead_letter(&dead_letter).await {
            self.reject(handle, token, DEAD_LETTER_RETRY_DELAY).await?;
            return Err(error);
        }
        let acked = handle.ack().await;
        self.complete(token);
        acked
    }
}

impl<H: MessageHandle> Drop for PendingAck<H> {
    fn drop(&mut self) {
        let Some(token) = self.token.take() else {
            return;
        };
        if self.buffer.lock().key_queues.reject(&self.key, token) {
            self.buffer.changed.notify_waiters();
            let (buffer, handle, key) = (Arc::clone(&self.buffer), self.handle.clone(), std::mem::take(&mut self.key));
            // Fails when the server is unreachable; it then redelivers the event itself.
            self.buffer.tasks.spawn(buffer.request_redelivery(handle, key, token, Duration::ZERO));
        }
    }
}
