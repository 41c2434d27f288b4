//! The queue of one group on one topic. Pure: no waiting and no locks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use kennel_core::{Claim, Event, EventFilter, KeyQueues};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::delivery::Next;

/// A publisher's count of unsettled events.
#[derive(Default)]
pub(super) struct PublishTicket {
    unsettled: AtomicUsize,
    changed: Notify,
}

impl PublishTicket {
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) == 0
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn settle_one(&self) {
        self.unsettled.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

struct QueuedEvent {
    event: Arc<Event>,
    attempts: u32,
}

/// An event that a member has claimed.
pub(super) struct Claimed {
    pub(super) event: Arc<Event>,
    pub(super) attempt: u32,
    pub(super) claim: Claim<()>,
}

#[derive(Default)]
pub(super) struct GroupState {
    queues: KeyQueues<(), QueuedEvent>,
    /// The publishers that wait for each unsettled event.
    publishers: HashMap<Uuid, Vec<Weak<PublishTicket>>>,
    /// The claims of each member, by key.
    members: HashMap<u64, HashMap<String, Vec<Claim<()>>>>,
    filter: EventFilter,
    changed: Arc<Notify>,
}

impl GroupState {
    /// Returns the number of unsettled events.
    pub(super) const fn unsettled(&self) -> usize {
        self.queues.len()
    }

    /// Returns whether the event can be queued below `limit`, or need not be queued.
    pub(super) fn has_capacity(&self, event: &Event, limit: usize) -> bool {
        self.queues.len() < limit || !self.filter.includes(event) || self.publishers.contains_key(&event.id)
    }

    /// Queues an event, unless it is queued already or the group excludes it; `ticket` counts it until it is settled.
    pub(super) fn push(&mut self, event: &Arc<Event>, ticket: &Arc<PublishTicket>) {
        if !self.filter.includes(event) {
            return;
        }
        ticket.unsettled.fetch_add(1, Ordering::AcqRel);
        let publishers = self.publishers.entry(event.id).or_default();
        let is_queued = !publishers.is_empty();
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(ticket));
        if !is_queued {
            self.queues.push((), event.key.clone(), QueuedEvent { event: Arc::clone(event), attempts: 0 });
            self.changed.notify_waiters();
        }
    }

    /// Adds a member, with the filter that the group has from now on. The returned value is notified when a member may
    /// find an event.
    pub(super) fn join(&mut self, member: u64, filter: &EventFilter) -> Arc<Notify> {
        self.members.insert(member, HashMap::new());
        self.filter = filter.clone();
        Arc::clone(&self.changed)
    }

    /// Removes a member; its unsettled events are redelivered to others.
    pub(super) fn leave(&mut self, member: u64) {
        for claim in self.members.remove(&member).unwrap_or_default().into_values().flatten() {
            self.queues.release(&claim, None);
        }
        self.changed.notify_waiters();
    }

    /// Claims the next event for a member with claims of less than `limit` keys.
    pub(super) fn poll(&mut self, member: u64, limit: usize, now: Instant) -> Next<Claimed> {
        if self.members.get(&member).is_none_or(|claims| claims.len() >= limit) {
            return Next::Wait(None);
        }
        while let Some((claim, queued)) = self.queues.claim(now.into_std()) {
            // Queued when the group had another filter.
            if !self.filter.includes(&queued.event) {
                self.complete(member, &claim);
                continue;
            }
            let claimed = claimed(queued, claim);
            self.remember(member, &claimed.claim);
            return Next::Item(Ok(claimed));
        }
        Next::Wait(self.queues.next_due().map(Instant::from_std))
    }

    /// Claims the event that follows one that the member has claimed, in its key.
    pub(super) fn claim_next(&mut self, member: u64, claim: &Claim<()>) -> Option<Claimed> {
        loop {
            let (next, queued) = self.queues.claim_next(claim)?;
            if self.filter.includes(&queued.event) {
                let claimed = claimed(queued, next);
                self.remember(member, &claimed.claim);
                return Some(claimed);
            }
            // Queued when the group had another filter.
            self.complete(member, &next);
        }
    }

    fn remember(&mut self, member: u64, claim: &Claim<()>) {
        let claims = self.members.entry(member).or_default();
        claims.entry(claim.key().to_owned()).or_default().push(claim.clone());
    }

    /// Settles a claimed event. Returns false when it was delivered to another member since.
    pub(super) fn complete(&mut self, member: u64, claim: &Claim<()>) -> bool {
        self.forget(member, claim);
        let Some(settled) = self.queues.complete(claim) else {
            return false;
        };
        for publisher in self.publishers.remove(&settled.event.id).unwrap_or_default() {
            if let Some(ticket) = publisher.upgrade() {
                ticket.settle_one();
            }
        }
        self.changed.notify_waiters();
        true
    }

    /// Returns a claimed event to the queue, for delivery at `due`. Returns false when it was delivered to another
    /// member since.
    pub(super) fn release(&mut self, member: u64, claim: &Claim<()>, due: Option<std::time::Instant>) -> bool {
        self.forget(member, claim);
        let is_valid = self.queues.release(claim, due).is_some();
        self.changed.notify_waiters();
        is_valid
    }

    /// Lets members and publishers check again.
    pub(super) fn wake_all(&self) {
        self.changed.notify_waiters();
        for ticket in self.publishers.values().flatten().filter_map(Weak::upgrade) {
            ticket.changed.notify_one();
        }
    }

    fn forget(&mut self, member: u64, claim: &Claim<()>) {
        let Some(keys) = self.members.get_mut(&member) else { return };
        let Some(claims) = keys.get_mut(claim.key()) else { return };
        claims.retain(|other| other != claim);
        if claims.is_empty() {
            keys.remove(claim.key());
        }
    }
}

fn claimed(queued: &mut QueuedEvent, claim: Claim<()>) -> Claimed {
    queued.attempts = queued.attempts.saturating_add(1);
    Claimed { event: Arc::clone(&queued.event), attempt: queued.attempts, claim }
}
