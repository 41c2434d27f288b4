//! Per-key order for anything that processes keyed items concurrently.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// FIFO queues by key, with at most one claimed item per key.
///
/// - The items of a key are claimed in order; the next one follows after the previous is completed.
/// - Keys are independent: a claimed, delayed or suspended item only blocks later items of its own key.
/// - Ready keys are claimed in the order in which they became ready, so that no key starves.
/// - A released or suspended item precedes all later items of its key.
///
/// Keys belong to partitions `P`, which can be paused, resumed and removed as a whole; use `()` without partitions. The
/// queues are unbounded: bound them with [`Self::len`] and [`Self::claimed`].
///
/// Pure: no I/O, no locks and no clock of its own. No operation takes longer than the number of items of one partition.
#[derive(Debug)]
pub struct KeyQueues<P, T> {
    partitions: HashMap<P, Partition<T>>,
    /// The keys whose first item can be claimed: ready, in a partition that is not paused.
    ready: VecDeque<(P, String)>,
    /// When delays end. An entry is stale if its key no longer waits with this token.
    delayed: BTreeMap<(Instant, u64), (P, String)>,
    len: usize,
    claimed: usize,
    last_token: u64,
}

/// Identifies one claim of an item. Invalid after the item is completed, released or suspended, or its partition is
/// removed; operations with an invalid claim have no effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim<P> {
    partition: P,
    key: String,
    token: u64,
}

impl<P> Claim<P> {
    /// The partition of the claimed item.
    pub const fn partition(&self) -> &P {
        &self.partition
    }
}

#[derive(Debug)]
struct Partition<T> {
    queues: HashMap<String, KeyQueue<T>>,
    is_paused: bool,
}

impl<T> Partition<T> {
    fn claimed_queue(&mut self, key: &str, token: u64) -> Option<&mut KeyQueue<T>> {
        self.queues.get_mut(key).filter(|queue| queue.head == Head::Claimed(token))
    }
}

impl<T> Default for Partition<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), is_paused: false }
    }
}

/// The items of one key; never empty.
#[derive(Debug)]
struct KeyQueue<T> {
    items: VecDeque<T>,
    head: Head,
}

impl<T> KeyQueue<T> {
    const fn new() -> Self {
        Self { items: VecDeque::new(), head: Head::Ready }
    }

    /// Returns the items without a first one that waits for its redelivery.
    fn present(&self) -> impl Iterator<Item = &T> {
        self.items.iter().skip(usize::from(matches!(self.head, Head::Waiting(_))))
    }
}

/// State of the first item of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// It can be claimed, unless its partition is paused.
    Ready,
    /// It is claimed with this token.
    Claimed(u64),
    /// The claim with this token has ended, and the item is delayed or suspended.
    Waiting(u64),
}

impl<P, T> Default for KeyQueues<P, T> {
    fn default() -> Self {
        Self {
            partitions: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            len: 0,
            claimed: 0,
            last_token: 0,
        }
    }
}

impl<P: Clone + Eq + Hash, T> KeyQueues<P, T> {
    /// Returns the number of items, claimed ones included.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no items.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of claimed items.
    pub const fn claimed(&self) -> usize {
        self.claimed
    }

    /// Returns the number of claimed items of a partition.
    pub fn claimed_in(&self, partition: &P) -> usize {
        let queues = self.partitions.get(partition).into_iter().flat_map(|partition| partition.queues.values());
        queues.filter(|queue| matches!(queue.head, Head::Claimed(_))).count()
    }

    /// Returns when the first delay ends.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// Returns all items except those that are delayed or suspended.
    pub fn present(&self) -> impl Iterator<Item = &T> {
        self.partitions.values().flat_map(|partition| partition.queues.values()).flat_map(KeyQueue::present)
    }

    /// Adds an item after all others of its key.
    pub fn push(&mut self, partition: P, key: String, item: T) {
        self.insert(partition, key, item, |_| false);
    }

    /// Adds an item before the first one of its key for which `is_later` holds, but never before a first item that is
    /// claimed, delayed or suspended.
    pub fn insert(&mut self, partition: P, key: String, item: T, is_later: impl Fn(&T) -> bool) {
        self.len += 1;
        let keys = self.partitions.entry(partition.clone()).or_default();
        let queue = keys.queues.entry(key.clone()).or_insert_with(KeyQueue::new);
        let fixed = usize::from(queue.head != Head::Ready);
        let later = queue.items.iter().skip(fixed).position(is_later);
        queue.items.insert(later.map_or(queue.items.len(), |later| fixed + later), item);
        if queue.items.len() == 1 && !keys.is_paused {
            self.ready.push_back((partition, key));
        }
    }

    /// Updates the item of a key that `matches`; `update` also gets whether it is a first item that was delayed or
    /// suspended, which is ready again after this. Returns false when no item matches.
    pub fn redeliver(
        &mut self,
        partition: &P,
        key: &str,
        matches: impl Fn(&T) -> bool,
        update: impl FnOnce(&mut T, bool),
    ) -> bool {
        let Some(keys) = self.partitions.get_mut(partition) else { return false };
        let Some(queue) = keys.queues.get_mut(key) else { return false };
        let Some((index, item)) = queue.items.iter_mut().enumerate().find(|(_, item)| matches(item)) else {
            return false;
        };
        let has_waited = index == 0 && matches!(queue.head, Head::Waiting(_));
        update(item, has_waited);
        if has_waited {
            queue.head = Head::Ready;
            if !keys.is_paused {
                self.ready.push_back((partition.clone(), key.to_owned()));
            }
        }
        true
    }

    /// Claims the first item of the key that has been ready for longest; `None` if no key is ready at `now`.
    pub fn claim(&mut self, now: Instant) -> Option<(Claim<P>, &mut T)> {
        self.end_delays(now);
        let (partition, key) = self.ready.pop_front()?;
        let queue = self.partitions.get_mut(&partition)?.queues.get_mut(&key)?;
        self.last_token += 1;
        self.claimed += 1;
        queue.head = Head::Claimed(self.last_token);
        let claim = Claim { partition, key, token: self.last_token };
        queue.items.front_mut().map(|item| (claim, item))
    }

    /// Returns a claimed item.
    pub fn get(&self, claim: &Claim<P>) -> Option<&T> {
        let queue = self.partitions.get(&claim.partition)?.queues.get(&claim.key)?;
        queue.items.front().filter(|_| queue.head == Head::Claimed(claim.token))
    }

    /// Removes a claimed item: the next one of its key is ready. Returns the item; `None` if the claim is invalid.
    pub fn complete(&mut self, claim: &Claim<P>) -> Option<T> {
        let keys = self.partitions.get_mut(&claim.partition)?;
        let queue = keys.claimed_queue(&claim.key, claim.token)?;
        let item = queue.items.pop_front();
        queue.head = Head::Ready;
        self.len -= 1;
        self.claimed -= 1;
        if queue.items.is_empty() {
            keys.queues.remove(&claim.key);
        } else if !keys.is_paused {
            self.ready.push_back((claim.partition.clone(), claim.key.clone()));
        }
        item
    }

    /// Ends a claim without completing the item, which is ready again at `due`, or immediately. Returns the item; `None`
    /// if the claim is invalid.
    pub fn release(&mut self, claim: &Claim<P>, due: Option<Instant>) -> Option<&mut T> {
        let keys = self.partitions.get_mut(&claim.partition)?;
        let is_paused = keys.is_paused;
        let queue = keys.claimed_queue(&claim.key, claim.token)?;
        self.claimed -= 1;
        let key = (claim.partition.clone(), claim.key.clone());
        if let Some(due) = due {
            queue.head = Head::Waiting(claim.token);
            self.delayed.insert((due, claim.token), key);
        } else {
            queue.head = Head::Ready;
            if !is_paused {
                self.ready.push_back(key);
            }
        }
        queue.items.front_mut()
    }

    /// Ends a claim without completing the item, which is ready again after [`Self::redeliver`]. Returns false if the
    /// claim is invalid.
    pub fn suspend(&mut self, claim: &Claim<P>) -> bool {
        let keys = self.partitions.get_mut(&claim.partition);
        let Some(queue) = keys.and_then(|keys| keys.claimed_queue(&claim.key, claim.token)) else { return false };
        queue.head = Head::Waiting(claim.token);
        self.claimed -= 1;
        true
    }

    /// Removes a claimed item and all later ones of its key. Has no effect if the claim is invalid.
    pub fn remove_key(&mut self, claim: &Claim<P>) {
        let Some(keys) = self.partitions.get_mut(&claim.partition) else { return };
        if keys.claimed_queue(&claim.key, claim.token).is_some()
            && let Some(removed) = keys.queues.remove(&claim.key)
        {
            self.len -= removed.items.len();
            self.claimed -= 1;
        }
    }

    /// Pauses a partition: its items can be added, completed and released, but not claimed.
    pub fn pause(&mut self, partition: P) {
        self.ready.retain(|(of, _)| *of != partition);
        self.partitions.entry(partition).or_default().is_paused = true;
    }

    /// Resumes a paused partition.
    pub fn resume(&mut self, partition: &P) {
        let Some(keys) = self.partitions.get_mut(partition).filter(|keys| keys.is_paused) else { return };
        keys.is_paused = false;
        let ready = keys.queues.iter().filter(|(_, queue)| queue.head == Head::Ready);
        self.ready.extend(ready.map(|(key, _)| (partition.clone(), key.clone())));
    }

    /// Removes a partition, which is not paused after this, and invalidates its claims. Returns its items in order for
    /// each key, without those that are delayed or suspended.
    pub fn remove(&mut self, partition: &P) -> Vec<T> {
        self.ready.retain(|(of, _)| of != partition);
        self.delayed.retain(|_, (of, _)| of != partition);
        let removed = self.partitions.remove(partition).map(|removed| removed.queues).unwrap_or_default();
        let mut items = Vec::new();
        for queue in removed.into_values() {
            self.len -= queue.items.len();
            self.claimed -= usize::from(matches!(queue.head, Head::Claimed(_)));
            let waiting = usize::from(matches!(queue.head, Head::Waiting(_)));
            items.extend(queue.items.into_iter().skip(waiting));
        }
        items
    }

    fn end_delays(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, token), (partition, key)) = first.remove_entry();
            let Some(keys) = self.partitions.get_mut(&partition) else { continue };
            let queue = keys.queues.get_mut(&key).filter(|queue| queue.head == Head::Waiting(token));
            if let Some(queue) = queue {
                queue.head = Head::Ready;
                if !keys.is_paused {
                    self.ready.push_back((partition, key));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "key_queues_tests.rs"]
mod tests;
