//! Per-key order for anything that processes keyed items concurrently.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// FIFO queues by key, whose items are claimed in order.
///
/// - The items of a key are claimed in order; the next one follows after the previous is completed. The holder of a claim
///   can extend it to a run: [`Self::claim_next`] claims the item behind it.
/// - Keys are independent: a claimed, delayed or suspended item only blocks later items of its own key.
/// - Ready keys are claimed in the order in which they became ready, so that no key starves.
/// - A released or suspended item precedes all later items of its key. Those that were claimed with it can still be
///   completed; the others follow after it.
///
/// Keys belong to partitions `P`, which can be paused, resumed and removed as a whole; use `()` without partitions. The
/// queues are unbounded: bound them with [`Self::len`] and [`Self::claimed_keys`].
///
/// Pure: no I/O, no locks and no clock of its own. No operation takes longer than the number of items of one partition.
#[derive(Debug)]
pub struct KeyQueues<P, T> {
    partitions: HashMap<P, Partition<T>>,
    /// The keys whose first item can be claimed: ready, in a partition that is not paused.
    ready: VecDeque<(P, String)>,
    /// When delays end. An entry is stale if no item of its key waits with this token.
    delayed: BTreeMap<(Instant, u64), (P, String)>,
    len: usize,
    claimed_keys: usize,
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

    /// The key of the claimed item.
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[derive(Debug)]
struct Partition<T> {
    queues: HashMap<String, KeyQueue<T>>,
    is_paused: bool,
}

impl<T> Default for Partition<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), is_paused: false }
    }
}

/// The items of one key; never empty.
#[derive(Debug)]
struct KeyQueue<T> {
    items: VecDeque<Item<T>>,
    /// Number of claimed items.
    claimed: usize,
    /// One of the items that were claimed together was released or suspended: no more are claimed with them.
    has_returned: bool,
}

#[derive(Debug)]
struct Item<T> {
    value: T,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It can be claimed, unless its partition is paused.
    Ready,
    /// It is claimed with this token.
    Claimed(u64),
    /// The claim with this token has ended, and the item is delayed or suspended.
    Waiting(u64),
}

impl<T> KeyQueue<T> {
    const fn new() -> Self {
        Self { items: VecDeque::new(), claimed: 0, has_returned: false }
    }

    fn find(&self, state: State) -> Option<usize> {
        self.items.iter().position(|item| item.state == state)
    }

    /// Whether the first item can be claimed.
    fn is_ready(&self) -> bool {
        self.claimed == 0 && self.items.front().is_some_and(|item| item.state == State::Ready)
    }

    /// Returns the items without those that are delayed or suspended.
    fn present(&self) -> impl Iterator<Item = &T> {
        self.items.iter().filter(|item| !matches!(item.state, State::Waiting(_))).map(|item| &item.value)
    }
}

impl<P, T> Default for KeyQueues<P, T> {
    fn default() -> Self {
        Self {
            partitions: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            len: 0,
            claimed_keys: 0,
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

    /// Returns the number of keys with claimed items.
    pub const fn claimed_keys(&self) -> usize {
        self.claimed_keys
    }

    /// Returns the number of claimed items of a partition.
    pub fn claimed_in(&self, partition: &P) -> usize {
        let queues = self.partitions.get(partition).into_iter().flat_map(|partition| partition.queues.values());
        queues.map(|queue| queue.claimed).sum()
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

    /// Adds an item after the last one of its key that is claimed, delayed or suspended, or for which `is_later` does not
    /// hold.
    pub fn insert(&mut self, partition: P, key: String, item: T, is_later: impl Fn(&T) -> bool) {
        self.len += 1;
        let keys = self.partitions.entry(partition.clone()).or_default();
        let queue = keys.queues.entry(key.clone()).or_insert_with(KeyQueue::new);
        // From the end, where new items belong.
        let is_before = |other: &Item<T>| other.state == State::Ready && is_later(&other.value);
        let later = queue.items.iter().rev().take_while(|other| is_before(other)).count();
        queue.items.insert(queue.items.len() - later, Item { value: item, state: State::Ready });
        if queue.items.len() == 1 && !keys.is_paused {
            self.ready.push_back((partition, key));
        }
    }

    /// Updates the item of a key that `matches`; `update` also gets whether it was delayed or suspended, which it is not
    /// after this. Returns false when no item matches.
    pub fn redeliver(
        &mut self,
        partition: &P,
        key: &str,
        matches: impl Fn(&T) -> bool,
        update: impl FnOnce(&mut T, bool),
    ) -> bool {
        let Some(keys) = self.partitions.get_mut(partition) else { return false };
        let Some(queue) = keys.queues.get_mut(key) else { return false };
        let found = queue.items.iter_mut().enumerate().find(|(_, item)| matches(&item.value));
        let Some((index, item)) = found else { return false };
        let has_waited = matches!(item.state, State::Waiting(_));
        update(&mut item.value, has_waited);
        if has_waited {
            item.state = State::Ready;
            if index == 0 && queue.claimed == 0 && !keys.is_paused {
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
        self.claimed_keys += 1;
        queue.claimed = 1;
        let claim = Claim { partition, key, token: self.last_token };
        let item = queue.items.front_mut()?;
        item.state = State::Claimed(self.last_token);
        Some((claim, &mut item.value))
    }

    /// Claims the item that follows a claimed one in its key, so that both are claimed at once. `None` if there is none
    /// that can be claimed, if one that was claimed with it was released or suspended, or if the claim is invalid.
    pub fn claim_next(&mut self, claim: &Claim<P>) -> Option<(Claim<P>, &mut T)> {
        let keys = self.partitions.get_mut(&claim.partition).filter(|keys| !keys.is_paused)?;
        let queue = keys.queues.get_mut(&claim.key)?;
        let last = queue.items.get(queue.claimed.checked_sub(1)?)?;
        if last.state != State::Claimed(claim.token) || queue.has_returned {
            return None;
        }
        let item = queue.items.get_mut(queue.claimed).filter(|next| next.state == State::Ready)?;
        self.last_token += 1;
        queue.claimed += 1;
        item.state = State::Claimed(self.last_token);
        Some((Claim { token: self.last_token, ..claim.clone() }, &mut item.value))
    }

    /// Returns a claimed item.
    pub fn get(&self, claim: &Claim<P>) -> Option<&T> {
        let queue = self.partitions.get(&claim.partition)?.queues.get(&claim.key)?;
        queue.items.get(queue.find(State::Claimed(claim.token))?).map(|item| &item.value)
    }

    /// Removes a claimed item: the next one of its key is ready, unless others of the key are claimed. Returns the item;
    /// `None` if the claim is invalid.
    pub fn complete(&mut self, claim: &Claim<P>) -> Option<T> {
        let queue = self.partitions.get_mut(&claim.partition)?.queues.get_mut(&claim.key)?;
        let index = queue.find(State::Claimed(claim.token))?;
        let item = queue.items.remove(index)?;
        self.len -= 1;
        self.end_claim(claim);
        Some(item.value)
    }

    /// Ends a claim without completing the item, which is ready again at `due`, or immediately, if no other of its key is
    /// claimed then. Returns the item; `None` if the claim is invalid.
    pub fn release(&mut self, claim: &Claim<P>, due: Option<Instant>) -> Option<&mut T> {
        let state = if due.is_some() { State::Waiting(claim.token) } else { State::Ready };
        let index = self.unclaim(claim, state)?;
        if let Some(due) = due {
            self.delayed.insert((due, claim.token), (claim.partition.clone(), claim.key.clone()));
        }
        let queue = self.partitions.get_mut(&claim.partition)?.queues.get_mut(&claim.key)?;
        queue.items.get_mut(index).map(|item| &mut item.value)
    }

    /// Ends a claim without completing the item, which is ready again after [`Self::redeliver`]. Returns false if the
    /// claim is invalid.
    pub fn suspend(&mut self, claim: &Claim<P>) -> bool {
        self.unclaim(claim, State::Waiting(claim.token)).is_some()
    }

    fn unclaim(&mut self, claim: &Claim<P>, state: State) -> Option<usize> {
        let queue = self.partitions.get_mut(&claim.partition)?.queues.get_mut(&claim.key)?;
        let index = queue.find(State::Claimed(claim.token))?;
        queue.items.get_mut(index)?.state = state;
        queue.has_returned = true;
        self.end_claim(claim);
        Some(index)
    }

    /// Counts a claim as ended. After the last one of a key, its first item may be ready.
    fn end_claim(&mut self, claim: &Claim<P>) {
        let Some(keys) = self.partitions.get_mut(&claim.partition) else { return };
        let Some(queue) = keys.queues.get_mut(&claim.key) else { return };
        queue.claimed -= 1;
        if queue.claimed > 0 {
            return;
        }
        queue.has_returned = false;
        self.claimed_keys -= 1;
        if queue.items.is_empty() {
            keys.queues.remove(&claim.key);
        } else if queue.is_ready() && !keys.is_paused {
            self.ready.push_back((claim.partition.clone(), claim.key.clone()));
        }
    }

    /// Removes a claimed item and all others of its key. Has no effect if the claim is invalid.
    pub fn remove_key(&mut self, claim: &Claim<P>) {
        let Some(keys) = self.partitions.get_mut(&claim.partition) else { return };
        let is_valid = |queue: &KeyQueue<T>| queue.find(State::Claimed(claim.token)).is_some();
        if keys.queues.get(&claim.key).is_some_and(is_valid)
            && let Some(removed) = keys.queues.remove(&claim.key)
        {
            self.len -= removed.items.len();
            self.claimed_keys -= 1;
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
        let ready = keys.queues.iter().filter(|(_, queue)| queue.is_ready());
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
            self.claimed_keys -= usize::from(queue.claimed > 0);
            let present = queue.items.into_iter().filter(|item| !matches!(item.state, State::Waiting(_)));
            items.extend(present.map(|item| item.value));
        }
        items
    }

    fn end_delays(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, token), (partition, key)) = first.remove_entry();
            let Some(keys) = self.partitions.get_mut(&partition) else { continue };
            let Some(queue) = keys.queues.get_mut(&key) else { continue };
            let waiting = queue.items.iter_mut().position(|item| item.state == State::Waiting(token));
            let Some(item) = waiting.and_then(|index| queue.items.get_mut(index)) else { continue };
            item.state = State::Ready;
            if waiting == Some(0) && queue.claimed == 0 && !keys.is_paused {
                self.ready.push_back((partition, key));
            }
        }
    }
}

#[cfg(test)]
#[path = "key_queues_tests.rs"]
mod tests;
