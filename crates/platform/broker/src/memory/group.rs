//! What one group has of one topic: its queue, kept in order for each key. No waiting and no locks here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use kennel_core::Event;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// A publisher's count of what has still to be settled.
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
    event: Event,
    attempts: u32,
}

/// Who has the first event of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim {
    token: u64,
    member: u64,
}

/// The events of one key; never empty. Its first one is out, or delayed, or else the lane's key is in `ready`.
#[derive(Default)]
struct KeyQueue {
    entries: VecDeque<QueuedEvent>,
    claim: Option<Claim>,
}

/// An event for a member, and the token to settle it with.
pub(super) struct Claimed {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) token: u64,
}

#[derive(Default)]
pub(super) struct GroupState {
    key_queues: HashMap<String, KeyQueue>,
    ready: VecDeque<String>,
    delayed: BTreeMap<(Instant, u64), String>,
    unsettled: HashMap<Uuid, Vec<Weak<PublishTicket>>>,
    /// How many events each member holds.
    members: HashMap<u64, usize>,
    changed: Arc<Notify>,
    last_token: u64,
}

impl GroupState {
    /// How many events are unsettled.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    pub(super) fn has_capacity(&self, event: &Event, limit: usize) -> bool {
        self.unsettled.len() < limit || self.unsettled.contains_key(&event.id)
    }

    pub(super) fn push(&mut self, event: &Event, ticket: &Arc<PublishTicket>) {
        ticket.unsettled.fetch_add(1, Ordering::AcqRel);
        let publishers = self.unsettled.entry(event.id).or_default();
        let is_known = !publishers.is_empty();
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(ticket));
        if is_known {
            return;
        }
        let queue = self.key_queues.entry(event.key.clone()).or_default();
        queue.entries.push_back(QueuedEvent { event: event.clone(), attempts: 0 });
        if queue.entries.len() == 1 {
            self.make_ready(event.key.clone());
        }
    }

    /// Adds a member; what it answers is notified whenever a member may find something.
    pub(super) fn join(&mut self, member: u64) -> Arc<Notify> {
        self.members.insert(member, 0);
        Arc::clone(&self.changed)
    }

    /// Removes a member; what it holds is the others' again.
    pub(super) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        let claimed = |queue: &KeyQueue| queue.claim.is_some_and(|claim| claim.member == member);
        let keys: Vec<_> =
            self.key_queues.iter().filter(|(_, queue)| claimed(queue)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(queue) = self.key_queues.get_mut(&key) {
                queue.claim = None;
            }
            self.make_ready(key);
        }
    }

    pub(super) fn claim(&mut self, member: u64, limit: usize, now: Instant) -> Option<Claimed> {
        self.wake_delayed(now);
        let claimed = self.members.get_mut(&member).filter(|claimed| **claimed < limit)?;
        let key = self.ready.pop_front()?;
        let queue = self.key_queues.get_mut(&key)?;
        let entry = queue.entries.front_mut()?;
        *claimed += 1;
        self.last_token += 1;
        entry.attempts = entry.attempts.saturating_add(1);
        queue.claim = Some(Claim { token: self.last_token, member });
        Some(Claimed { event: entry.event.clone(), attempt: entry.attempts, token: self.last_token })
    }

    /// When the first delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// Settles what was taken with `token`. False when it has been handed to another since.
    pub(super) fn complete(&mut self, key: &str, token: u64) -> bool {
        let Some(queue) = self.unclaim(key, token) else {
            return false;
        };
        let settled = queue.entries.pop_front().map(|entry| entry.event.id);
        if queue.entries.is_empty() {
            self.key_queues.remove(key);
        } else {
            self.ready.push_back(key.to_owned());
        }
        for publisher in settled.and_then(|id| self.unsettled.remove(&id)).unwrap_or_default() {
            if let Some(ticket) = publisher.upgrade() {
                ticket.settle_one();
            }
        }
        self.changed.notify_waiters();
        true
    }

    /// Takes back what was taken with `token`, for delivery at `due`. False when it has been handed to another since.
    pub(super) fn release(&mut self, key: &str, token: u64, due: Option<Instant>) -> bool {
        if self.unclaim(key, token).is_none() {
            return false;
        }
        match due {
            Some(due) => {
                self.delayed.insert((due, token), key.to_owned());
                self.changed.notify_waiters();
            }
            None => self.make_ready(key.to_owned()),
        }
        true
    }

    /// Has members and publishers look again.
    pub(super) fn wake_all(&self) {
        self.changed.notify_waiters();
        for ticket in self.unsettled.values().flatten().filter_map(Weak::upgrade) {
            ticket.changed.notify_one();
        }
    }

    fn unclaim(&mut self, key: &str, token: u64) -> Option<&mut KeyQueue> {
        let queue = self.key_queues.get_mut(key)?;
        let claim = queue.claim.take_if(|claim| claim.token == token)?;
        if let Some(claimed) = self.members.get_mut(&claim.member) {
            *claimed = claimed.saturating_sub(1);
        }
        Some(queue)
    }

    fn make_ready(&mut self, key: String) {
        self.ready.push_back(key);
        self.changed.notify_waiters();
    }

    fn wake_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            self.ready.push_back(entry.remove());
        }
    }
}
