//! What one member has of the partitions that are its own: read in order, handed out in order for each key, settled in
//! any order, and committed up to the first event that is not settled. No waiting and no locks here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use kennel_core::Event;
use tokio::time::Instant;

/// A partition of a topic in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) topic: Arc<str>,
    pub(super) number: i32,
}

/// How often events have been handed out, by offset.
pub(super) type Attempts = HashMap<i64, u32>;

/// How much is read ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Events of a partition, from the oldest unsettled one on.
    pub(super) entries: usize,
    /// Bytes of unsettled events of a partition.
    pub(super) bytes: usize,
}

struct Entry {
    offset: i64,
    /// Gone once settled.
    event: Option<Event>,
    attempts: u32,
}

/// Where the first event of a lane is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Ready,
    Out(u64),
    Delayed,
}

/// The unsettled events of one key, by offset; never empty.
struct Lane {
    offsets: VecDeque<i64>,
    first: First,
}

#[derive(Default)]
struct Partition {
    entries: VecDeque<Entry>,
    lanes: HashMap<String, Lane>,
    /// From when the partition was here before.
    attempts: Attempts,
    /// What the group has dealt with: everything below.
    settled: Option<i64>,
    committed: Option<i64>,
    /// What the commit that is under way says of this partition.
    committing: Option<i64>,
    bytes: usize,
    is_paused: bool,
    is_leaving: bool,
}

/// An event for the member, and the token to settle it with.
pub(super) struct Taken {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) part: Part,
    pub(super) offset: i64,
    pub(super) token: u64,
}

pub(super) struct Window {
    room: Room,
    partitions: HashMap<Part, Partition>,
    ready: VecDeque<(Part, String)>,
    delayed: BTreeMap<(Instant, u64), (Part, String)>,
    held: usize,
    last_token: u64,
}

impl Partition {
    fn entry(&mut self, offset: i64) -> Option<&mut Entry> {
        let index = self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        self.entries.get_mut(index)
    }

    /// Drops what is settled from the front, which may then be committed.
    fn advance(&mut self) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.event.is_none()) {
            self.settled = Some(entry.offset + 1);
        }
    }

    fn position(&self) -> Option<i64> {
        self.entries.back().map(|last| last.offset + 1).max(self.settled)
    }

    /// What is settled and does not count as committed.
    fn due(&self) -> Option<i64> {
        self.settled.filter(|settled| self.committed < Some(*settled))
    }

    fn is_crowded(&self, room: Room) -> bool {
        self.entries.len() >= room.entries || self.bytes >= room.bytes
    }

    fn has_room(&self, room: Room) -> bool {
        self.entries.len() <= room.entries / 2 && self.bytes <= room.bytes / 2
    }

    fn out(&self) -> usize {
        self.lanes.values().filter(|lane| matches!(lane.first, First::Out(_))).count()
    }
}

impl Window {
    pub(super) fn new(room: Room) -> Self {
        let (partitions, ready, delayed) = (HashMap::new(), VecDeque::new(), BTreeMap::new());
        Self { room, partitions, ready, delayed, held: 0, last_token: 0 }
    }

    /// The partition is this member's from now on.
    pub(super) fn assign(&mut self, part: Part, attempts: Attempts) {
        self.revoke(&part);
        self.partitions.insert(part, Partition { attempts, ..Partition::default() });
    }

    /// Hands out no more of the partition; what is out may still be settled.
    pub(super) fn leave(&mut self, part: &Part) {
        if let Some(partition) = self.partitions.get_mut(part) {
            partition.is_leaving = true;
        }
        self.ready.retain(|(of, _)| of != part);
        self.delayed.retain(|_, (of, _)| of != part);
    }

    /// Forgets the partition; answers what is worth knowing when it comes back.
    pub(super) fn revoke(&mut self, part: &Part) -> Attempts {
        self.leave(part);
        let Some(partition) = self.partitions.remove(part) else {
            return Attempts::new();
        };
        self.held = self.held.saturating_sub(partition.out());
        let tried = partition.entries.iter().filter(|entry| entry.event.is_some() && entry.attempts > 0);
        tried.map(|entry| (entry.offset, entry.attempts)).collect()
    }

    /// The partitions that are this member's.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.partitions.keys().cloned().collect()
    }

    /// How many events of these partitions are out.
    pub(super) fn out(&self, parts: &[Part]) -> usize {
        parts.iter().filter_map(|part| self.partitions.get(part)).map(Partition::out).sum()
    }

    /// The offset that is read next, of each partition that something was read of.
    pub(super) fn positions(&self) -> Vec<(Part, i64)> {
        let of = |(part, partition): (&Part, &Partition)| partition.position().map(|next| (part.clone(), next));
        self.partitions.iter().filter_map(of).collect()
    }

    /// Takes in what was read; nothing to deliver counts as settled. False when it is not this member's.
    ///
    /// The driver reads forward alone: an offset that comes again is one of a log that has replaced the one before,
    /// of which nothing can be settled any more.
    pub(super) fn admit(&mut self, part: &Part, offset: i64, event: Option<Event>) -> bool {
        let Some(partition) = self.partitions.get(part).filter(|partition| !partition.is_leaving) else {
            return false;
        };
        if partition.position().is_some_and(|next| offset < next) {
            tracing::warn!(topic = &*part.topic, partition = part.number, offset, "log has been replaced");
            let is_paused = partition.is_paused;
            self.revoke(part);
            self.partitions.insert(part.clone(), Partition { is_paused, ..Partition::default() });
        }
        let Some(partition) = self.partitions.get_mut(part) else { return false };
        let attempts = partition.attempts.remove(&offset).unwrap_or(0);
        if let Some(event) = &event {
            partition.bytes += event.data.len();
            let new = Lane { offsets: VecDeque::new(), first: First::Ready };
            let lane = partition.lanes.entry(event.key.clone()).or_insert(new);
            lane.offsets.push_back(offset);
            if lane.offsets.len() == 1 {
                self.ready.push_back((part.clone(), event.key.clone()));
            }
        }
        partition.entries.push_back(Entry { offset, event, attempts });
        partition.advance();
        true
    }

    pub(super) fn take(&mut self, limit: usize, now: Instant) -> Option<Taken> {
        self.wake_delayed(now);
        if self.held >= limit {
            return None;
        }
        let (part, key) = self.ready.pop_front()?;
        let partition = self.partitions.get_mut(&part)?;
        let lane = partition.lanes.get_mut(&key)?;
        let offset = *lane.offsets.front()?;
        self.last_token += 1;
        lane.first = First::Out(self.last_token);
        self.held += 1;
        let entry = partition.entry(offset)?;
        entry.attempts = entry.attempts.saturating_add(1);
        let (event, attempt) = (entry.event.clone()?, entry.attempts);
        Some(Taken { event, attempt, part, offset, token: self.last_token })
    }

    /// When the first delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// Settles what was taken with `token`. False when the partition has gone to another since.
    pub(super) fn finish(&mut self, part: &Part, key: &str, token: u64) -> bool {
        let Some((partition, offset)) = self.take_back(part, key, token) else {
            return false;
        };
        let is_leaving = partition.is_leaving;
        if let Some(event) = partition.entry(offset).and_then(|entry| entry.event.take()) {
            partition.bytes = partition.bytes.saturating_sub(event.data.len());
        }
        partition.advance();
        if let Some(lane) = partition.lanes.get_mut(key) {
            lane.offsets.pop_front();
            if lane.offsets.is_empty() {
                partition.lanes.remove(key);
            } else if !is_leaving {
                self.ready.push_back((part.clone(), key.to_owned()));
            }
        }
        true
    }

    /// Takes back what was taken with `token`, for delivery at `due`. False when the partition has gone since.
    pub(super) fn release(&mut self, part: &Part, key: &str, token: u64, due: Option<Instant>) -> bool {
        let Some((partition, _)) = self.take_back(part, key, token) else {
            return false;
        };
        if partition.is_leaving {
            return true;
        }
        let place = (part.clone(), key.to_owned());
        let Some(due) = due else {
            self.ready.push_back(place);
            return true;
        };
        if let Some(lane) = partition.lanes.get_mut(key) {
            lane.first = First::Delayed;
        }
        self.delayed.insert((due, token), place);
        true
    }

    /// What is to be committed: the offset after the last event that is settled with all before it.
    pub(super) fn begin_commit(&mut self) -> Vec<(Part, i64)> {
        let mut commits = Vec::new();
        for (part, partition) in &mut self.partitions {
            partition.committing = partition.due();
            commits.extend(partition.committing.map(|offset| (part.clone(), offset)));
        }
        commits
    }

    /// What the commit that was under way was about is due again, unless it succeeded.
    pub(super) fn end_commit(&mut self, is_success: bool) {
        for partition in self.partitions.values_mut() {
            let offset = partition.committing.take();
            if is_success {
                partition.committed = offset.or(partition.committed);
            }
        }
    }

    /// Whether something of the partition was committed since it is here.
    pub(super) fn has_committed(&self, part: &Part) -> bool {
        self.partitions.get(part).is_some_and(|partition| partition.committed.is_some())
    }

    /// How many partitions have something settled that does not count as committed.
    pub(super) fn uncommitted(&self) -> usize {
        self.partitions.values().filter(|partition| partition.due().is_some()).count()
    }

    /// The partitions to stop reading; from now on they count as stopped.
    pub(super) fn crowded(&mut self) -> Vec<Part> {
        let room = self.room;
        self.steer(true, |partition| partition.is_crowded(room))
    }

    /// The partitions to read again; from now on they count as read.
    pub(super) fn roomy(&mut self) -> Vec<Part> {
        let room = self.room;
        self.steer(false, |partition| partition.has_room(room))
    }

    fn steer(&mut self, pause: bool, is_due: impl Fn(&Partition) -> bool) -> Vec<Part> {
        let mut steered = Vec::new();
        for (part, partition) in &mut self.partitions {
            if partition.is_paused != pause && is_due(partition) {
                partition.is_paused = pause;
                steered.push(part.clone());
            }
        }
        steered
    }

    fn take_back(&mut self, part: &Part, key: &str, token: u64) -> Option<(&mut Partition, i64)> {
        let partition = self.partitions.get_mut(part)?;
        let lane = partition.lanes.get_mut(key).filter(|lane| lane.first == First::Out(token))?;
        lane.first = First::Ready;
        let offset = *lane.offsets.front()?;
        self.held = self.held.saturating_sub(1);
        Some((partition, offset))
    }

    fn wake_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (part, key) = entry.remove();
            if let Some(lane) = self.partitions.get_mut(&part).and_then(|partition| partition.lanes.get_mut(&key)) {
                lane.first = First::Ready;
                self.ready.push_back((part, key));
            }
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
