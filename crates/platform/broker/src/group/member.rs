//! What a subscriber sees of a group: the subscription and the deliveries.

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
use super::lanes::{Arrival, Lanes, Taken};

/// How long an event waits when its dead letter could not be stored.
const BURIAL_RETRY: Duration = Duration::from_secs(1);
/// Troubles kept for a subscriber that does not look.
const MAX_TROUBLES: usize = 16;

/// How a message is settled at its server.
#[async_trait]
pub(crate) trait Handle: Clone + Send + Sync + 'static {
    /// The group is done with it; returns once the server knows.
    async fn ack(&self) -> Result<(), BrokerError>;

    /// Asks for it again once `delay` has passed. Answers what is left of the delay when the member is to give it again
    /// itself, and `None` when the server delivers it again.
    async fn again(&self, delay: Duration) -> Result<Option<Duration>, BrokerError>;

    /// Stores a dead letter durably.
    async fn bury(&self, letter: &DeadLetter) -> Result<(), BrokerError>;
}

/// The event was handed to another member, because its partition or its subscription was given up.
#[derive(Debug, thiserror::Error)]
#[error("delivery has been handed to another member")]
struct HandedOn;

fn handed_on() -> BrokerError {
    BrokerError::Backend(HandedOn.into())
}

/// What the subscription, its deliveries and whoever feeds them share.
pub(crate) struct Shared<H> {
    state: Mutex<State<H>>,
    arrivals: Notify,
    group: String,
    limit: usize,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

struct State<H> {
    lanes: Lanes<H>,
    troubles: VecDeque<BrokerError>,
}

impl<H: Handle> Shared<H> {
    /// For a member of `group` that may hold `limit` events. `tasks` are those of the broker.
    pub(crate) fn new(group: &str, limit: usize, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Arc<Self> {
        let state = Mutex::new(State { lanes: Lanes::default(), troubles: VecDeque::new() });
        let (arrivals, ended) = (Notify::new(), CancellationToken::new());
        Arc::new(Self { state, arrivals, group: group.to_owned(), limit, clock, tasks, ended })
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in.
    pub(crate) fn arrive(&self, arrival: Arrival<H>) {
        self.lock().lanes.arrive(arrival);
        self.arrivals.notify_waiters();
    }

    /// Tells the subscriber of something that is no event.
    pub(crate) fn trouble(&self, error: BrokerError) {
        let mut state = self.lock();
        if state.troubles.len() < MAX_TROUBLES {
            state.troubles.push_back(error);
        }
        drop(state);
        self.arrivals.notify_waiters();
    }

    /// Hands nothing new out of a partition until it is opened.
    pub(crate) fn shut(&self, partition: u16) {
        self.lock().lanes.shut(partition);
    }

    /// Hands out of a partition again.
    pub(crate) fn open(&self, partition: u16) {
        self.lock().lanes.open(partition);
        self.arrivals.notify_waiters();
    }

    /// Whether something of a partition is out.
    pub(crate) fn is_out(&self, partition: u16) -> bool {
        self.lock().lanes.is_out(partition)
    }

    /// Forgets what is here of a partition; answers how to settle what was not refused, in order for each key.
    pub(crate) fn forget(&self, partition: u16) -> Vec<H> {
        self.lock().lanes.forget(partition)
    }

    /// How to settle what is here and was not refused.
    #[cfg(feature = "nats")]
    pub(crate) fn here(&self) -> Vec<H> {
        self.lock().lanes.here()
    }

    /// Ends the subscription: it answers `None` from now on.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        self.arrivals.notify_waiters();
    }

    /// Asks for what was refused with `token` again.
    async fn again(self: Arc<Self>, handle: H, key: String, token: u64, delay: Duration) -> Result<(), BrokerError> {
        if let Some(wait) = handle.again(delay).await? {
            let (shared, tasks) = (Arc::clone(&self), &self.tasks);
            tasks.spawn(async move {
                tokio::select! {
                    () = shared.ended.cancelled() => {}
                    () = tokio::time::sleep(wait) => {
                        shared.lock().lanes.give_again(&key, token);
                        shared.arrivals.notify_waiters();
                    }
                }
            });
        }
        Ok(())
    }

    /// What there is for the subscriber now.
    fn look(self: &Arc<Self>) -> Result<Option<Result<Delivery, BrokerError>>, Closed> {
        let mut state = self.lock();
        if self.ended.is_cancelled() {
            return Err(Closed);
        }
        if let Some(error) = state.troubles.pop_front() {
            return Ok(Some(Err(error)));
        }
        let taken = state.lanes.take(self.limit);
        Ok(taken.map(|Taken { event, attempt, token, handle }| {
            let held = Held { shared: Arc::clone(self), key: event.key.clone(), token: Some(token), handle };
            Ok(Delivery::new(event, attempt, Box::new(held)))
        }))
    }
}

/// A place in a group.
pub(crate) struct Member<H> {
    shared: Arc<Shared<H>>,
    /// Tells whoever feeds the subscription to hand on what it holds.
    _leaving: DropGuard,
}

impl<H> Member<H> {
    /// `leaving` is cancelled when the member is dropped.
    pub(crate) const fn new(shared: Arc<Shared<H>>, leaving: DropGuard) -> Self {
        Self { shared, _leaving: leaving }
    }
}

#[async_trait]
impl<H: Handle> Subscription for Member<H> {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            let mut arrival = pin!(self.shared.arrivals.notified());
            arrival.as_mut().enable();
            match self.shared.look() {
                Ok(Some(found)) => return Some(found),
                Ok(None) => arrival.await,
                Err(Closed) => return None,
            }
        }
    }
}

/// The group's side of a delivery.
struct Held<H: Handle> {
    shared: Arc<Shared<H>>,
    key: String,
    /// Gone once settled.
    token: Option<u64>,
    handle: H,
}

impl<H: Handle> Held<H> {
    /// How to settle it now.
    fn handle(&mut self) -> Result<(H, u64), BrokerError> {
        let token = self.token.ok_or_else(handed_on)?;
        let Some(handle) = self.shared.lock().lanes.held(&self.key, token) else {
            self.token = None;
            return Err(handed_on());
        };
        Ok((handle, token))
    }

    async fn refuse(&mut self, handle: H, token: u64, delay: Duration) -> Result<(), BrokerError> {
        // Before the server is told: it may be quicker than its answer.
        self.token = None;
        self.shared.lock().lanes.refuse(&self.key, token);
        self.shared.arrivals.notify_waiters();
        Arc::clone(&self.shared).again(handle, self.key.clone(), token, delay).await
    }

    fn finish(&mut self, token: u64) -> bool {
        self.token = None;
        let finished = self.shared.lock().lanes.finish(&self.key, token);
        self.shared.arrivals.notify_waiters();
        finished
    }
}

#[async_trait]
impl<H: Handle> Settle for Held<H> {
    /// After an error the server delivers it again; those behind it go on, as the receiver is done with it.
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        let acked = handle.ack().await;
        self.finish(token);
        acked
    }

    /// After an error the server delivers it again all the same, and those behind it wait for that.
    async fn nack(mut self: Box<Self>, delay: Duration) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        self.refuse(handle, token, delay).await
    }

    async fn dead_letter(mut self: Box<Self>, event: &Event, attempts: u32, reason: &str) -> Result<(), BrokerError> {
        let (handle, token) = self.handle()?;
        let letter = DeadLetter {
            event: event.clone(),
            group: self.shared.group.clone(),
            attempts,
            reason: reason.to_owned(),
            at: self.shared.clock.now(),
        };
        if let Err(error) = handle.bury(&letter).await {
            self.refuse(handle, token, BURIAL_RETRY).await?;
            return Err(error);
        }
        let acked = handle.ack().await;
        self.finish(token);
        acked
    }
}

impl<H: Handle> Drop for Held<H> {
    fn drop(&mut self) {
        let Some(token) = self.token.take() else {
            return;
        };
        if self.shared.lock().lanes.refuse(&self.key, token) {
            self.shared.arrivals.notify_waiters();
            let (shared, handle, key) = (Arc::clone(&self.shared), self.handle.clone(), std::mem::take(&mut self.key));
            // Fails when the server is away, which delivers it again then.
            self.shared.tasks.spawn(shared.again(handle, key, token, Duration::ZERO));
        }
    }
}
