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
pub(super) struct Ticket {
    unsettled: AtomicUsize,
    changed: Notify,
}

impl Ticket {
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

struct Entry {
    event: Event,
    attempts: u32,
}

/// Who has the first event of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Out {
    token: u64,
    member: u64,
}

/// The events of one key; never empty. Its first one is out, or delayed, or else the lane's key is in `ready`.
#[derive(Default)]
struct Lane {
    entries: VecDeque<Entry>,
    out: Option<Out>,
}

/// An event for a member, and the token to settle it with.
pub(super) struct Taken {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) token: u64,
}

#[derive(Default)]
pub(super) struct GroupState {
    lanes: HashMap<String, Lane>,
    ready: VecDeque<String>,
    delayed: BTreeMap<(Instant, u64), String>,
    unsettled: HashMap<Uuid, Vec<Weak<Ticket>>>,
    /// How many events each member holds.
    members: HashMap<u64, usize>,
    arrivals: Arc<Notify>,
    last_token: u64,
}

impl GroupState {
    /// How many events are unsettled.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    pub(super) fn has_room(&self, event: &Event, limit: usize) -> bool {
        self.unsettled.len() < limit || self.unsettled.contains_key(&event.id)
    }

    pub(super) fn offer(&mut self, event: &Event, ticket: &Arc<Ticket>) {
        ticket.unsettled.fetch_add(1, Ordering::AcqRel);
        let publishers = self.unsettled.entry(event.id).or_default();
        let is_known = !publishers.is_empty();
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(Arc::downgrade(ticket));
        if is_known {
            return;
        }
        let lane = self.lanes.entry(event.key.clone()).or_default();
        lane.entries.push_back(Entry { event: event.clone(), attempts: 0 });
        if lane.entries.len() == 1 {
            self.make_ready(event.key.clone());
        }
    }

    /// Adds a member; what it answers is notified whenever a member may find something.
    pub(super) fn enter(&mut self, member: u64) -> Arc<Notify> {
        self.members.insert(member, 0);
        Arc::clone(&self.arrivals)
    }

    /// Removes a member; what it holds is the others' again.
    pub(super) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        let held = |lane: &Lane| lane.out.is_some_and(|out| out.member == member);
        let keys: Vec<_> = self.lanes.iter().filter(|(_, lane)| held(lane)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.out = None;
            }
            self.make_ready(key);
        }
    }

    pub(super) fn take(&mut self, member: u64, limit: usize, now: Instant) -> Option<Taken> {
        self.wake_delayed(now);
        let held = self.members.get_mut(&member).filter(|held| **held < limit)?;
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let entry = lane.entries.front_mut()?;
        *held += 1;
        self.last_token += 1;
        entry.attempts = entry.attempts.saturating_add(1);
        lane.out = Some(Out { token: self.last_token, member });
        Some(Taken { event: entry.event.clone(), attempt: entry.attempts, token: self.last_token })
    }

    /// When the first delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// Settles what was taken with `token`. False when it has been handed to another since.
    pub(super) fn finish(&mut self, key: &str, token: u64) -> bool {
        let Some(lane) = self.take_back(key, token) else {
            return false;
        };
        let settled = lane.entries.pop_front().map(|entry| entry.event.id);
        if lane.entries.is_empty() {
            self.lanes.remove(key);
        } else {
            self.ready.push_back(key.to_owned());
        }
        for publisher in settled.and_then(|id| self.unsettled.remove(&id)).unwrap_or_default() {
            if let Some(ticket) = publisher.upgrade() {
                ticket.settle_one();
            }
        }
        self.arrivals.notify_waiters();
        true
    }

    /// Takes back what was taken with `token`, for delivery at `due`. False when it has been handed to another since.
    pub(super) fn release(&mut self, key: &str, token: u64, due: Option<Instant>) -> bool {
        if self.take_back(key, token).is_none() {
            return false;
        }
        match due {
            Some(due) => {
                self.delayed.insert((due, token), key.to_owned());
                self.arrivals.notify_waiters();
            }
            None => self.make_ready(key.to_owned()),
        }
        true
    }

    /// Has members and publishers look again.
    pub(super) fn wake_all(&self) {
        self.arrivals.notify_waiters();
        for ticket in self.unsettled.values().flatten().filter_map(Weak::upgrade) {
            ticket.changed.notify_one();
        }
    }

    fn take_back(&mut self, key: &str, token: u64) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(key)?;
        let out = lane.out.take_if(|out| out.token == token)?;
        if let Some(held) = self.members.get_mut(&out.member) {
            *held = held.saturating_sub(1);
        }
        Some(lane)
    }

    fn make_ready(&mut self, key: String) {
        self.ready.push_back(key);
        self.arrivals.notify_waiters();
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
