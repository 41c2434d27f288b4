//! The window of one member over its partitions: records are read in order, delivered in order for each key, settled in
//! any order, and committed up to the first unsettled event. Pure: no waiting and no locks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Claim, Event, KeyQueues};
use tokio::time::Instant;

use crate::delivery::Next;

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
    event: Option<Arc<Event>>,
    attempts: u32,
}

#[derive(Default)]
struct Partition {
    entries: VecDeque<WindowEntry>,
    /// Attempts from an earlier assignment of the partition.
    attempts: Attempts,
    /// Every offset below is settled.
    settled: Option<i64>,
    committed: Option<i64>,
    /// The offset in the pending commit.
    committing: Option<i64>,
    bytes: usize,
    is_paused: bool,
    /// Since when it has had no capacity at the end of each wait for it.
    full_since: Option<Instant>,
    /// Whether it is paused next, although it is not full at the moment.
    is_slow: bool,
    is_draining: bool,
}

/// An event that is to be delivered.
pub(super) struct Claimed {
    pub(super) event: Arc<Event>,
    pub(super) attempt: u32,
    pub(super) offset: i64,
    pub(super) claim: Claim<PartitionId>,
}

pub(super) struct Window {
    limits: WindowLimits,
    partitions: HashMap<PartitionId, Partition>,
    /// The offsets of unsettled events.
    queues: KeyQueues<PartitionId, i64>,
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
}

impl Window {
    pub(super) fn new(limits: WindowLimits) -> Self {
        Self { limits, partitions: HashMap::new(), queues: KeyQueues::default() }
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
            self.queues.pause(id.clone());
        }
    }

    /// Removes the partition; returns the attempts of its unsettled events.
    pub(super) fn revoke(&mut self, id: &PartitionId) -> Attempts {
        self.queues.remove(id);
        let Some(partition) = self.partitions.remove(id) else {
            return Attempts::new();
        };
        let tried = partition.entries.iter().filter(|entry| entry.event.is_some() && entry.attempts > 0);
        tried.map(|entry| (entry.offset, entry.attempts)).collect()
    }

    /// Returns the assigned partitions.
    pub(super) fn partition_ids(&self) -> Vec<PartitionId> {
        self.partitions.keys().cloned().collect()
    }

    /// Returns the number of claimed events of these partitions.
    pub(super) fn claimed_count(&self, partition_ids: &[PartitionId]) -> usize {
        partition_ids.iter().map(|id| self.queues.claimed_in(id)).sum()
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
            self.queues.push(id.clone(), event.key.clone(), offset);
        }
        partition.entries.push_back(WindowEntry { offset, event: event.map(Arc::new), attempts });
        partition.advance();
        true
    }

    /// Claims the next event, if those of less than `limit` keys are claimed.
    pub(super) fn poll(&mut self, limit: usize, now: Instant) -> Next<Claimed> {
        if self.queues.claimed_keys() >= limit {
            return Next::Wait(None);
        }
        match self.claim(now) {
            Some(claimed) => Next::Item(Ok(claimed)),
            None => Next::Wait(self.queues.next_due().map(Instant::from_std)),
        }
    }

    fn claim(&mut self, now: Instant) -> Option<Claimed> {
        let (claim, &mut offset) = self.queues.claim(now.into_std())?;
        self.claimed(claim, offset)
    }

    /// Claims the event that follows a claimed one in its key.
    pub(super) fn claim_next(&mut self, claim: &Claim<PartitionId>) -> Option<Claimed> {
        let (claim, &mut offset) = self.queues.claim_next(claim)?;
        self.claimed(claim, offset)
    }

    fn claimed(&mut self, claim: Claim<PartitionId>, offset: i64) -> Option<Claimed> {
        let entry = self.partitions.get_mut(claim.partition())?.entry(offset)?;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(Claimed { event: entry.event.clone()?, attempt: entry.attempts, offset, claim })
    }

    /// Settles a claimed event. Returns false when the partition was reassigned since.
    pub(super) fn complete(&mut self, claim: &Claim<PartitionId>) -> bool {
        let Some(offset) = self.queues.complete(claim) else { return false };
        if let Some(partition) = self.partitions.get_mut(claim.partition()) {
            if let Some(event) = partition.entry(offset).and_then(|entry| entry.event.take()) {
                partition.bytes = partition.bytes.saturating_sub(event.data.len());
            }
            partition.advance();
        }
        true
    }

    /// Returns a claimed event, for delivery at `due`. Returns false when the partition was reassigned since.
    pub(super) fn release(&mut self, claim: &Claim<PartitionId>, due: Option<std::time::Instant>) -> bool {
        self.queues.release(claim, due).is_some()
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

    /// Returns whether the partition is not paused although it is read too far ahead.
    pub(super) fn is_overfull(&self, id: &PartitionId) -> bool {
        self.partitions.get(id).is_some_and(|partition| !partition.is_paused && partition.is_full(self.limits))
    }

    /// Returns whether the partition is not read too far ahead any more, or not assigned to this member.
    pub(super) fn has_capacity(&self, id: &PartitionId) -> bool {
        self.partitions.get(id).is_none_or(|partition| partition.has_capacity(self.limits))
    }

    /// Notes the end of a wait for capacity. A partition that had none for `limit` is paused, because no other one is read
    /// while it is waited for.
    pub(super) fn end_wait(&mut self, id: &PartitionId, now: Instant, limit: Duration) {
        let limits = self.limits;
        let Some(partition) = self.partitions.get_mut(id) else { return };
        if partition.has_capacity(limits) {
            partition.full_since = None;
        } else {
            let since = *partition.full_since.get_or_insert(now);
            partition.is_slow = now.saturating_duration_since(since) >= limit;
        }
    }

    /// Returns the partitions to pause, and marks them as paused.
    pub(super) fn mark_paused(&mut self) -> Vec<PartitionId> {
        let limits = self.limits;
        self.update_paused(true, |partition| partition.is_slow || partition.is_full(limits))
    }

    /// Returns the partitions to resume, and marks them as not paused.
    pub(super) fn mark_resumed(&mut self) -> Vec<PartitionId> {
        let limits = self.limits;
        self.update_paused(false, |partition| partition.has_capacity(limits))
    }

    fn update_paused(&mut self, pause: bool, is_due: impl Fn(&Partition) -> bool) -> Vec<PartitionId> {
        let mut changed = Vec::new();
        for (id, partition) in &mut self.partitions {
            if partition.is_paused != pause && is_due(partition) {
                (partition.is_paused, partition.full_since, partition.is_slow) = (pause, None, false);
                changed.push(id.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
pub(super) mod tests;
