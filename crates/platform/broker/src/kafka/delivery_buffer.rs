//! Buffer between a member's thread and its subscription.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_core::broker::BrokerError;
use kennel_core::{Claim, EventFilter};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::commit::Commits;
use super::error::TopicRemoved;
use super::window::{Attempts, Claimed, PartitionId, Window, WindowLimits};
use crate::delivery::{Closed, Next};

/// Maximum number of stored errors of unreadable records; further ones are only logged.
const MAX_REPORTS: usize = 64;

/// After this time without capacity, a partition is paused although some of its events are settled: others have to be read.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Attempts of events whose partitions were revoked from members of this process.
#[derive(Default)]
pub(super) struct AttemptStore(Mutex<HashMap<(String, PartitionId), Attempts>>);

impl AttemptStore {
    fn store(&self, group_id: &str, id: PartitionId, attempts: Attempts) {
        if !attempts.is_empty() {
            let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            stored.insert((group_id.to_owned(), id), attempts);
        }
    }

    fn take(&self, group_id: &str, id: &PartitionId) -> Attempts {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stored.remove(&(group_id.to_owned(), id.clone())).unwrap_or_default()
    }
}

struct BufferState {
    window: Window,
    reports: VecDeque<BrokerError>,
    is_closed: bool,
    /// Whether the member has had a partition: then its topics have existed.
    had_partitions: bool,
    /// Whether the member lost its whole assignment.
    is_assignment_lost: bool,
    /// Why the membership has ended, for the subscription to report.
    failure: Option<BrokerError>,
    /// What the member's thread waits for.
    awaited: Option<Awaited>,
}

/// What the settling of deliveries ends the wait for.
enum Awaited {
    /// The partition has capacity.
    Capacity(PartitionId),
    /// None of the partitions has unsettled deliveries.
    Settled(Vec<PartitionId>),
}

impl BufferState {
    /// Whether what the member's thread waits for has happened.
    fn has_awaited(&self) -> bool {
        self.awaited.as_ref().is_some_and(|awaited| match awaited {
            Awaited::Capacity(id) => self.window.has_capacity(id),
            Awaited::Settled(ids) => self.window.claimed_count(ids) == 0,
        })
    }
}

/// See the [module](self).
pub(super) struct DeliveryBuffer {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) group_id: String,
    pub(super) changed: Notify,
    pub(super) commits: Commits,
    filter: EventFilter,
    state: Mutex<BufferState>,
    /// Notified when `awaited` has happened, or the membership has ended.
    woken: Condvar,
    attempt_store: Arc<AttemptStore>,
    in_flight: usize,
}

impl DeliveryBuffer {
    /// Creates the buffer of a member of `group` on `topic`; its id in Kafka is `group_id`.
    pub(super) fn new(
        (topic, group): (&str, &str),
        group_id: &str,
        filter: EventFilter,
        limits: WindowLimits,
        in_flight: usize,
        attempt_store: Arc<AttemptStore>,
    ) -> Self {
        let state = BufferState {
            window: Window::new(limits),
            reports: VecDeque::new(),
            is_closed: false,
            had_partitions: false,
            is_assignment_lost: false,
            failure: None,
            awaited: None,
        };
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
            group_id: group_id.to_owned(),
            changed: Notify::new(),
            commits: Commits::default(),
            filter,
            state: Mutex::new(state),
            woken: Condvar::new(),
            attempt_store,
            in_flight,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the membership: deliveries can no longer be settled, but settled ones are still committed.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_waiters();
        self.woken.notify_all();
    }

    /// Ends the membership with an error: nothing of it can be settled or committed any more. A new subscription uses
    /// the topics that exist by then.
    pub(super) fn fail(&self, failure: impl Into<BrokerError>) {
        {
            let mut state = self.lock();
            for id in state.window.partition_ids() {
                state.window.revoke(&id);
            }
            // The first error wins. After [`Self::close`], there is none to report.
            if !state.is_closed {
                state.failure = Some(failure.into());
            }
            state.is_closed = true;
        }
        self.changed.notify_waiters();
        self.woken.notify_all();
    }

    /// Records that the member lost its whole assignment. The cluster may have lost its data, and this client would
    /// reject leaders and logs that are older than those it knows: another client has to join.
    pub(super) fn assignment_lost(&self) {
        self.lock().is_assignment_lost = true;
    }

    /// Returns and resets whether the assignment was lost.
    pub(super) fn take_assignment_lost(&self) -> bool {
        std::mem::take(&mut self.lock().is_assignment_lost)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    pub(super) fn with_window<T>(&self, work: impl FnOnce(&mut Window) -> T) -> T {
        work(&mut self.lock().window)
    }

    /// Returns what the subscription has to return next.
    pub(super) fn poll(&self) -> Result<Next<Claimed>, Closed> {
        let mut state = self.lock();
        if let Some(failure) = state.failure.take() {
            return Ok(Next::Item(Err(failure)));
        }
        if state.is_closed {
            return Err(Closed);
        }
        if let Some(error) = state.reports.pop_front() {
            return Ok(Next::Item(Err(error)));
        }
        Ok(state.window.poll(self.in_flight, Instant::now()))
    }

    /// Claims the event that follows a claimed one in its key.
    pub(super) fn claim_next(&self, claim: &Claim<PartitionId>) -> Option<Claimed> {
        let mut state = self.lock();
        if state.is_closed { None } else { state.window.claim_next(claim) }
    }

    /// Settles a delivery; `work` returns whether it still belonged to this member.
    pub(super) fn settle(&self, work: impl FnOnce(&mut Window) -> bool) -> Result<bool, Closed> {
        let settled = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(Closed);
            }
            let settled = work(&mut state.window);
            // A wake-up is a system call, which most settled deliveries have no use for.
            if state.has_awaited() {
                self.woken.notify_all();
            }
            settled
        };
        self.changed.notify_waiters();
        Ok(settled)
    }

    /// If the partition is read too far ahead, waits until it has capacity, up to `limit`. Pausing it would drop what the
    /// driver has fetched of it.
    pub(super) fn await_capacity(&self, id: &PartitionId, limit: Duration) {
        let state = self.lock();
        if state.window.is_overfull(id) {
            let mut state = self.wait_for(state, Awaited::Capacity(id.clone()), limit);
            state.window.end_wait(id, Instant::now(), SLOW_AFTER);
        }
    }

    /// Waits for what settled deliveries bring about, the end of the membership, or `limit`.
    fn wait_for<'a>(
        &self,
        mut state: MutexGuard<'a, BufferState>,
        awaited: Awaited,
        limit: Duration,
    ) -> MutexGuard<'a, BufferState> {
        state.awaited = Some(awaited);
        let is_waiting = |state: &mut BufferState| !state.is_closed && !state.has_awaited();
        let waited = self.woken.wait_timeout_while(state, limit, is_waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.awaited = None;
        state
    }

    /// Adds a record that was read; an excluded one counts as settled. After [`Self::close`], it belongs to the next member,
    /// whose filter may be another one.
    pub(super) fn push(&self, id: &PartitionId, offset: i64, event: Result<kennel_core::Event, BrokerError>) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        let report = match event {
            Ok(event) => {
                state.window.push(id, offset, Some(event).filter(|event| self.filter.includes(event)));
                None
            }
            Err(error) => state.window.push(id, offset, None).then_some(error),
        };
        if let Some(error) = report {
            if state.reports.len() < MAX_REPORTS {
                state.reports.push_back(error);
            } else {
                tracing::error!(error = &error as &dyn std::error::Error, "unreadable message is skipped");
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Handles the error that a topic does not exist. For a topic that was just created, it can occur for a moment.
    pub(super) fn topic_missing(&self) {
        if self.lock().had_partitions {
            self.fail(TopicRemoved);
        }
    }

    pub(super) fn assign(&self, partition_ids: Vec<PartitionId>) {
        self.lock().had_partitions |= !partition_ids.is_empty();
        for id in partition_ids {
            let attempts = self.attempt_store.take(&self.group_id, &id);
            self.with_window(|window| window.assign(id, attempts));
        }
    }

    /// Stops deliveries of these partitions and waits, up to `grace`, until they have no unsettled ones.
    pub(super) fn drain(&self, partition_ids: &[PartitionId], grace: Duration) {
        let mut state = self.lock();
        for id in partition_ids {
            state.window.drain(id);
        }
        drop(self.wait_for(state, Awaited::Settled(partition_ids.to_vec()), grace));
    }

    pub(super) fn revoke(&self, partition_ids: Vec<PartitionId>) {
        for id in partition_ids {
            let attempts = self.with_window(|window| window.revoke(&id));
            self.attempt_store.store(&self.group_id, id, attempts);
        }
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::window::tests::{event, id};
    use super::*;

    const NEVER: Duration = Duration::from_hours(1);

    /// A buffer that has as many events of a partition as it may have.
    fn full() -> (DeliveryBuffer, PartitionId) {
        let id = id(0);
        let limits = WindowLimits { entries: 2, bytes: 1_000 };
        let buffer = DeliveryBuffer::new(("tests", "g"), "g", EventFilter::All, limits, 8, Arc::default());
        buffer.assign(vec![id.clone()]);
        for (offset, key) in [(0, "rex"), (1, "bella")] {
            buffer.push(&id, offset, Ok(event(key)));
        }
        (buffer, id)
    }

    #[test]
    fn a_settled_delivery_ends_the_wait_for_capacity() {
        let (buffer, id) = full();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| buffer.await_capacity(&id, NEVER));
            let Ok(Next::Item(Ok(first))) = buffer.poll() else { panic!("no event") };
            assert!(!waiting.is_finished());
            assert!(buffer.settle(|window| window.complete(&first.claim)).unwrap());
        });
        assert_eq!(buffer.with_window(Window::mark_paused), []);
    }

    #[test]
    fn a_partition_that_stays_full_is_paused() {
        let (buffer, id) = full();
        buffer.await_capacity(&id, Duration::from_millis(1));
        assert_eq!(buffer.with_window(Window::mark_paused), std::slice::from_ref(&id));
        // Others are read, and nothing waits for it.
        buffer.await_capacity(&id, NEVER);
    }

    #[test]
    fn the_end_of_the_membership_ends_the_wait() {
        let (buffer, id) = full();
        thread::scope(|scope| {
            scope.spawn(|| buffer.await_capacity(&id, NEVER));
            buffer.close();
        });
    }
}
