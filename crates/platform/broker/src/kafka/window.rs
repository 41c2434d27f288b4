//! The window of one member over its partitions: records are read in order, delivered in order for each key, settled in
//! any order, and committed up to the first unsettled event. Pure: no waiting and no locks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use kennel_core::Event;
use tokio::time::Instant;

/// A partition of a Kafka topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PartitionId {
    pub(super) topic: Arc<str>,
    pub(super) number: i32,
}

/// Number of deliveries of events, by offset.
pub(super) type Attempts = HashMap<i64, u32>;

/// Limits of reading ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowLimits {
    /// Events of a partition, counted from the oldest unsettled one.
    pub(super) entries: usize,
    /// Bytes of unsettled events of a partition.
    pub(super) bytes: usize,
}

struct WindowEntry {
    offset: i64,
    /// `None` after it is settled.
    event: Option<Event>,
    attempts: u32,
}

/// Where the first event of a lane is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadState {
    Ready,
    Claimed(u64),
    Delayed,
}

/// The unsettled events of one key, by offset; never empty.
struct KeyQueue {
    offsets: VecDeque<i64>,
    head: HeadState,
}

#[derive(Default)]
struct Partition {
    entries: VecDeque<WindowEntry>,
    queues: HashMap<String, KeyQueue>,
    /// Attempts from an earlier assignment of the partition.
    attempts: Attempts,
    /// Every offset below is settled.
    settled: Option<i64>,
    committed: Option<i64>,
    /// The offset in the pending commit.
    committing: Option<i64>,
    bytes: usize,
    is_paused: bool,
    is_draining: bool,
}

/// A claimed event, and the token to settle it.
pub(super) struct Claimed {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) id: PartitionId,
    pub(super) offset: i64,
    pub(super) token: u64,
}

pub(super) struct Window {
    limits: WindowLimits,
    partitions: HashMap<PartitionId, Partition>,
    ready: VecDeque<(PartitionId, String)>,
    delayed: BTreeMap<(Instant, u64), (PartitionId, String)>,
    claimed: usize,
    last_token: u64,
}

impl Partition {
    fn entry(&mut self, offset: i64) -> Option<&mut WindowEntry> {
        let index = self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        self.entries.get_mut(index)
    }

    /// Drops settled entries from the front, which may then be committed.
    fn advance(&mut self) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.event.is_none()) {
            self.settled = Some(entry.offset + 1);
        }
    }

    fn position(&self) -> Option<i64> {
        self.entries.back().map(|last| last.offset + 1).max(self.settled)
    }

    /// Returns the offset to commit: settled, and not confirmed as committed.
    fn due(&self) -> Option<i64> {
        self.settled.filter(|settled| self.committed < Some(*settled))
    }

    fn is_full(&self, limits: WindowLimits) -> bool {
        self.entries.len() >= limits.entries || self.bytes >= limits.bytes
    }

    fn has_capacity(&self, limits: WindowLimits) -> bool {
        self.entries.len() <= limits.entries / 2 && self.bytes <= limits.bytes / 2
    }

    fn claimed_count(&self) -> usize {
        self.queues.values().filter(|queue| matches!(queue.head, HeadState::Claimed(_))).count()
    }
}

impl Window {
    pub(super) fn new(limits: WindowLimits) -> Self {
        let (partitions, ready, delayed) = (HashMap::new(), VecDeque::new(), BTreeMap::new());
        Self { limits, partitions, ready, delayed, claimed: 0, last_token: 0 }
    }

    /// Adds a partition that was assigned to this member.
    pub(super) fn assign(&mut self, id: PartitionId, attempts: Attempts) {
        self.revoke(&id);
        self.partitions.insert(id, Partition { attempts, ..Partition::default() });
    }

    /// Stops deliveries of the partition; claimed events may still be settled.
    pub(super) fn drain(&mut self, id: &PartitionId) {
        if let Some(partition) = self.partitions.get_mut(id) {
            partition.is_draining = true;
        }
        self.ready.retain(|(of, _)| of != id);
        self.delayed.retain(|_, (of, _)| of != id);
    }

    /// Removes the partition; returns the attempts of its unsettled events.
    pub(super) fn revoke(&mut self, id: &PartitionId) -> Attempts {
        self.drain(id);
        let Some(partition) = self.partitions.remove(id) else {
            return Attempts::new();
        };
        self.claimed = self.claimed.saturating_sub(partition.claimed_count());
        let tried = partition.entries.iter().filter(|entry| entry.event.is_some() && entry.attempts > 0);
        tried.map(|entry| (entry.offset, entry.attempts)).collect()
    }

    /// Returns the assigned partitions.
    pub(super) fn partition_ids(&self) -> Vec<PartitionId> {
        self.partitions.keys().cloned().collect()
    }

    /// Returns the number of claimed events of these partitions.
    pub(super) fn claimed_count(&self, partition_ids: &[PartitionId]) -> usize {
        partition_ids.iter().filter_map(|id| self.partitions.get(id)).map(Partition::claimed_count).sum()
    }

    /// Returns the next offset to read of each partition that was read.
    pub(super) fn positions(&self) -> Vec<(PartitionId, i64)> {
        let of = |(id, partition): (&PartitionId, &Partition)| partition.position().map(|next| (id.clone(), next));
        self.partitions.iter().filter_map(of).collect()
    }

    /// Adds a record that was read; one without an event counts as settled. Returns false when the partition is not
    /// assigned to this member.
    ///
    /// The driver only reads forward: a lower offset belongs to a log that replaced the previous one, of which nothing
    /// can be settled any more.
    pub(super) fn push(&mut self, id: &PartitionId, offset: i64, event: Option<Event>) -> bool {
        let Some(partition) = self.partitions.get(id).filter(|partition| !partition.is_draining) else {
            return false;
        };
        if partition.position().is_some_and(|next| offset < next) {
            tracing::warn!(topic = &*id.topic, partition = id.number, offset, "log has been replaced");
            let is_paused = partition.is_paused;
            self.revoke(id);
            self.partitions.insert(id.clone(), Partition { is_paused, ..Partition::default() });
        }
        let Some(partition) = self.partitions.get_mut(id) else { return false };
        let attempts = partition.attempts.remove(&offset).unwrap_or(0);
        if let Some(event) = &event {
            partition.bytes += event.data.len();
            let new = KeyQueue { offsets: VecDeque::new(), head: HeadState::Ready };
            let queue = partition.queues.entry(event.key.clone()).or_insert(new);
            queue.offsets.push_back(offset);
            if queue.offsets.len() == 1 {
                self.ready.push_back((id.clone(), event.key.clone()));
            }
        }
        partition.entries.push_back(WindowEntry { offset, event, attempts });
        partition.advance();
        true
    }

    pub(super) fn claim(&mut self, limit: usize, now: Instant) -> Option<Claimed> {
        self.wake_delayed(now);
        if self.claimed >= limit {
            return None;
        }
        let (id, key) = self.ready.pop_front()?;
        let partition = self.partitions.get_mut(&id)?;
        let queue = partition.queues.get_mut(&key)?;
        let offset = *queue.offsets.front()?;
        self.last_token += 1;
        queue.head = HeadState::Claimed(self.last_token);
        self.claimed += 1;
        let entry = partition.entry(offset)?;
        entry.attempts = entry.attempts.saturating_add(1);
        let (event, attempt) = (entry.event.clone()?, entry.attempts);
        Some(Claimed { event, attempt, id, offset, token: self.last_token })
    }

    /// Returns when the first delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// Settles the event that was claimed with `token`. Returns false when the partition was reassigned since.
    pub(super) fn complete(&mut self, id: &PartitionId, key: &str, token: u64) -> bool {
        let Some((partition, offset)) = self.unclaim(id, key, token) else {
            return false;
        };
        let is_draining = partition.is_draining;
        if let Some(event) = partition.entry(offset).and_then(|entry| entry.event.take()) {
            partition.bytes = partition.bytes.saturating_sub(event.data.len());
        }
        partition.advance();
        if let Some(queue) = partition.queues.get_mut(key) {
            queue.offsets.pop_front();
            if queue.offsets.is_empty() {
                partition.queues.remove(key);
            } else if !is_draining {
                self.ready.push_back((id.clone(), key.to_owned()));
            }
        }
        true
    }

    /// Returns the event that was claimed with `token`, for delivery at `due`. False when the partition was reassigned
    /// since.
    pub(super) fn release(&mut self, id: &PartitionId, key: &str, token: u64, due: Option<Instant>) -> bool {
        let Some((partition, _)) = self.unclaim(id, key, token) else {
            return false;
        };
        if partition.is_draining {
            return true;
        }
        let queue_of = (id.clone(), key.to_owned());
        let Some(due) = due else {
            self.ready.push_back(queue_of);
            return true;
        };
        if let Some(queue) = partition.queues.get_mut(key) {
            queue.head = HeadState::Delayed;
        }
        self.delayed.insert((due, token), queue_of);
        true
    }

    /// Returns what to commit: per partition, the offset after the last event that is settled with all before it.
    pub(super) fn begin_commit(&mut self) -> Vec<(PartitionId, i64)> {
        let mut commits = Vec::new();
        for (id, partition) in &mut self.partitions {
            partition.committing = partition.due();
            commits.extend(partition.committing.map(|offset| (id.clone(), offset)));
        }
        commits
    }

    /// Ends the pending commit; after a failure its offsets are due again.
    pub(super) fn end_commit(&mut self, is_success: bool) {
        for partition in self.partitions.values_mut() {
            let offset = partition.committing.take();
            if is_success {
                partition.committed = offset.or(partition.committed);
            }
        }
    }

    /// Returns whether something of the partition was committed since its assignment.
    pub(super) fn has_committed(&self, id: &PartitionId) -> bool {
        self.partitions.get(id).is_some_and(|partition| partition.committed.is_some())
    }

    /// Returns the number of partitions with settled events that are not confirmed as committed.
    pub(super) fn uncommitted(&self) -> usize {
        self.partitions.values().filter(|partition| partition.due().is_some()).count()
    }

    /// Returns the partitions to pause, and marks them as paused.
    pub(super) fn to_pause(&mut self) -> Vec<PartitionId> {
        let limits = self.limits;
        self.update_paused(true, |partition| partition.is_full(limits))
    }

    /// Returns the partitions to resume, and marks them as not paused.
    pub(super) fn to_resume(&mut self) -> Vec<PartitionId> {
        let limits = self.limits;
        self.update_paused(false, |partition| partition.has_capacity(limits))
    }

    fn update_paused(&mut self, pause: bool, is_due: impl Fn(&Partition) -> bool) -> Vec<PartitionId> {
        let mut changed = Vec::new();
        for (id, partition) in &mut self.partitions {
            if partition.is_paused != pause && is_due(partition) {
                partition.is_paused = pause;
                changed.push(id.clone());
            }
        }
        changed
    }

    fn unclaim(&mut self, id: &PartitionId, key: &str, token: u64) -> Option<(&mut Partition, i64)> {
        let partition = self.partitions.get_mut(id)?;
        let queue = partition.queues.get_mut(key).filter(|queue| queue.head == HeadState::Claimed(token))?;
        queue.head = HeadState::Ready;
        let offset = *queue.offsets.front()?;
        self.claimed = self.claimed.saturating_sub(1);
        Some((partition, offset))
    }

    fn wake_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (id, key) = entry.remove();
            if let Some(queue) = self.partitions.get_mut(&id).and_then(|partition| partition.queues.get_mut(&key)) {
                queue.head = HeadState::Ready;
                self.ready.push_back((id, key));
            }
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
