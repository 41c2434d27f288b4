//! The events that a member has in hand, in order for each key. No waiting and no locks here.

use std::collections::{HashMap, HashSet, VecDeque};

use kennel_core::Event;

/// An event as it came from the server.
pub(crate) struct Received<H> {
    /// The event.
    pub(crate) event: Event,
    /// How many times the group has been given it, this time included.
    pub(crate) attempt: u32,
    /// Its partition.
    pub(crate) partition: u16,
    /// Its place in the partition, where the server tells it: the same when it comes again.
    pub(crate) position: Option<u64>,
    /// How to settle it.
    pub(crate) handle: H,
}

struct Entry<H> {
    event: Event,
    attempt: u32,
    position: u64,
    handle: H,
}

/// What is with the first event of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadState {
    /// It waits for its partition to be opened.
    Paused,
    /// It can be handed out; the lane's key is in `ready`.
    Ready,
    /// It is out, to be settled with this token.
    Claimed(u64),
    /// It was refused, with this token, and comes again: from the server, or from here.
    Returned(u64),
}

/// The events of one key; never empty.
struct KeyQueue<H> {
    partition: u16,
    entries: VecDeque<Entry<H>>,
    state: HeadState,
}

/// An event for the subscriber.
pub(super) struct Claimed<H> {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) token: u64,
    pub(super) handle: H,
}

pub(super) struct KeyQueues<H> {
    by_key: HashMap<String, KeyQueue<H>>,
    ready: VecDeque<String>,
    paused: HashSet<u16>,
    claimed: usize,
    last_token: u64,
}

impl<H> Default for KeyQueues<H> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), ready: VecDeque::new(), paused: HashSet::new(), claimed: 0, last_token: 0 }
    }
}

impl<H: Clone> KeyQueues<H> {
    /// Takes an event in. One that is here already takes the new handle and is not doubled.
    pub(super) fn push(&mut self, received: Received<H>) {
        let Received { event, attempt, partition, position, handle } = received;
        let key = event.key.clone();
        let paused = self.paused.contains(&partition);
        let queue = self.by_key.entry(key.clone()).or_insert_with(|| {
            let state = if paused { HeadState::Paused } else { HeadState::Ready };
            KeyQueue { partition, entries: VecDeque::new(), state }
        });
        let is_new = queue.entries.is_empty();
        let known = queue.entries.iter().position(|entry| Some(entry.position) == position);
        if let Some(known) = known {
            let comes_back = known == 0 && matches!(queue.state, HeadState::Returned(_));
            let entry = &mut queue.entries[known];
            entry.handle = handle;
            if comes_back {
                entry.attempt = attempt;
                self.go_on(&key);
            }
            return;
        }
        let position = position.unwrap_or_else(|| queue.entries.back().map_or(0, |last| last.position + 1));
        // Nothing gets ahead of an event that is out or on its way back.
        let first = usize::from(matches!(queue.state, HeadState::Claimed(_) | HeadState::Returned(_)));
        let behind = queue.entries.iter().skip(first).position(|entry| entry.position > position);
        let place = behind.map_or(queue.entries.len(), |behind| first + behind);
        queue.entries.insert(place, Entry { event, attempt, position, handle });
        if is_new && queue.state == HeadState::Ready {
            self.ready.push_back(key);
        }
    }

    /// The next event that can be handed out, unless `limit` are out.
    pub(super) fn claim(&mut self, limit: usize) -> Option<Claimed<H>> {
        if self.claimed >= limit {
            return None;
        }
        let key = self.ready.pop_front()?;
        let queue = self.by_key.get_mut(&key)?;
        let entry = queue.entries.front()?;
        self.claimed += 1;
        self.last_token += 1;
        queue.state = HeadState::Claimed(self.last_token);
        let handle = entry.handle.clone();
        Some(Claimed { event: entry.event.clone(), attempt: entry.attempt, token: self.last_token, handle })
    }

    /// The present handle of what is out with `token`; `None` when it has been handed on since.
    pub(super) fn claimed_handle(&self, key: &str, token: u64) -> Option<H> {
        let queue = self.by_key.get(key).filter(|queue| queue.state == HeadState::Claimed(token))?;
        queue.entries.front().map(|entry| entry.handle.clone())
    }

    /// What was taken with `token` is done with. False when it has been handed on since.
    pub(super) fn complete(&mut self, key: &str, token: u64) -> bool {
        let Some(queue) = self.by_key.get_mut(key).filter(|queue| queue.state == HeadState::Claimed(token)) else {
            return false;
        };
        self.claimed -= 1;
        queue.entries.pop_front();
        if queue.entries.is_empty() {
            self.by_key.remove(key);
        } else {
            self.go_on(key);
        }
        true
    }

    /// The first event of a lane can be handed out, as soon as its partition is open.
    fn go_on(&mut self, key: &str) {
        let Some(queue) = self.by_key.get_mut(key) else {
            return;
        };
        if self.paused.contains(&queue.partition) {
            queue.state = HeadState::Paused;
        } else {
            queue.state = HeadState::Ready;
            self.ready.push_back(key.to_owned());
        }
    }

    /// What was taken with `token` was refused. False when it has been handed on since.
    pub(super) fn reject(&mut self, key: &str, token: u64) -> bool {
        let Some(queue) = self.by_key.get_mut(key).filter(|queue| queue.state == HeadState::Claimed(token)) else {
            return false;
        };
        self.claimed -= 1;
        queue.state = HeadState::Returned(token);
        true
    }

    /// What was refused with `token` is given again from here, unless it has come, or has been handed on, since.
    pub(super) fn redeliver(&mut self, key: &str, token: u64) {
        let refused = self.by_key.get_mut(key).filter(|queue| queue.state == HeadState::Returned(token));
        if let Some(entry) = refused.and_then(|queue| queue.entries.front_mut()) {
            entry.attempt = entry.attempt.saturating_add(1);
            self.go_on(key);
        }
    }

    /// Hands nothing new out of `partition` until it is opened.
    pub(super) fn pause(&mut self, partition: u16) {
        self.paused.insert(partition);
        for (_, queue) in self.by_key.iter_mut().filter(|(_, queue)| queue.partition == partition) {
            if queue.state == HeadState::Ready {
                queue.state = HeadState::Paused;
            }
        }
        let key_queues = &self.by_key;
        self.ready.retain(|key| key_queues.get(key).is_some_and(|queue| queue.state == HeadState::Ready));
    }

    /// Hands out of `partition` again.
    pub(super) fn resume(&mut self, partition: u16) {
        self.paused.remove(&partition);
        for (key, queue) in self.by_key.iter_mut().filter(|(_, queue)| queue.partition == partition) {
            if queue.state == HeadState::Paused {
                queue.state = HeadState::Ready;
                self.ready.push_back(key.clone());
            }
        }
    }

    /// Whether something of `partition` is out.
    pub(super) fn has_claimed(&self, partition: u16) -> bool {
        self.by_key.values().any(|queue| queue.partition == partition && matches!(queue.state, HeadState::Claimed(_)))
    }

    /// Forgets what is here of `partition`; answers how to settle what was not refused, in order for each key.
    pub(super) fn remove_partition(&mut self, partition: u16) -> Vec<H> {
        self.paused.remove(&partition);
        let mut handles = Vec::new();
        let claimed = &mut self.claimed;
        self.by_key.retain(|_, queue| {
            if queue.partition != partition {
                return true;
            }
            *claimed -= usize::from(matches!(queue.state, HeadState::Claimed(_)));
            let away = usize::from(matches!(queue.state, HeadState::Returned(_)));
            handles.extend(queue.entries.drain(..).skip(away).map(|entry| entry.handle));
            false
        });
        let key_queues = &self.by_key;
        self.ready.retain(|key| key_queues.contains_key(key));
        handles
    }

    /// What is here and was not refused.
    #[cfg(feature = "nats")]
    pub(super) fn unreturned_handles(&self) -> Vec<H> {
        let unreturned = |queue: &KeyQueue<H>| usize::from(matches!(queue.state, HeadState::Returned(_)));
        let entries = self.by_key.values().flat_map(|queue| queue.entries.iter().skip(unreturned(queue)));
        entries.map(|entry| entry.handle.clone()).collect()
    }
}

#[cfg(test)]
#[path = "key_queues_tests.rs"]
mod tests;
