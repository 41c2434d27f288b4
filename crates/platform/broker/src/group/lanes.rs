//! The events that a member has in hand, in order for each key. No waiting and no locks here.

use std::collections::{HashMap, HashSet, VecDeque};

use kennel_core::Event;

/// An event as it came from the server.
pub(crate) struct Arrival<H> {
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
enum State {
    /// It waits for its partition to be opened.
    Shut,
    /// It can be handed out; the lane's key is in `ready`.
    Ready,
    /// It is out, to be settled with this token.
    Out(u64),
    /// It was refused, with this token, and comes again: from the server, or from here.
    Away(u64),
}

/// The events of one key; never empty.
struct Lane<H> {
    partition: u16,
    entries: VecDeque<Entry<H>>,
    state: State,
}

/// An event for the subscriber.
pub(super) struct Taken<H> {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) token: u64,
    pub(super) handle: H,
}

pub(super) struct Lanes<H> {
    by_key: HashMap<String, Lane<H>>,
    ready: VecDeque<String>,
    shut: HashSet<u16>,
    out: usize,
    last_token: u64,
}

impl<H> Default for Lanes<H> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), ready: VecDeque::new(), shut: HashSet::new(), out: 0, last_token: 0 }
    }
}

impl<H: Clone> Lanes<H> {
    /// Takes an event in. One that is here already takes the new handle and is not doubled.
    pub(super) fn arrive(&mut self, arrival: Arrival<H>) {
        let Arrival { event, attempt, partition, position, handle } = arrival;
        let key = event.key.clone();
        let shut = self.shut.contains(&partition);
        let lane = self.by_key.entry(key.clone()).or_insert_with(|| {
            let state = if shut { State::Shut } else { State::Ready };
            Lane { partition, entries: VecDeque::new(), state }
        });
        let is_new = lane.entries.is_empty();
        let known = lane.entries.iter().position(|entry| Some(entry.position) == position);
        if let Some(known) = known {
            let comes_back = known == 0 && matches!(lane.state, State::Away(_));
            let entry = &mut lane.entries[known];
            entry.handle = handle;
            if comes_back {
                entry.attempt = attempt;
                self.go_on(&key);
            }
            return;
        }
        let position = position.unwrap_or_else(|| lane.entries.back().map_or(0, |last| last.position + 1));
        // Nothing gets ahead of an event that is out or on its way back.
        let first = usize::from(matches!(lane.state, State::Out(_) | State::Away(_)));
        let behind = lane.entries.iter().skip(first).position(|entry| entry.position > position);
        let place = behind.map_or(lane.entries.len(), |behind| first + behind);
        lane.entries.insert(place, Entry { event, attempt, position, handle });
        if is_new && lane.state == State::Ready {
            self.ready.push_back(key);
        }
    }

    /// The next event that can be handed out, unless `limit` are out.
    pub(super) fn take(&mut self, limit: usize) -> Option<Taken<H>> {
        if self.out >= limit {
            return None;
        }
        let key = self.ready.pop_front()?;
        let lane = self.by_key.get_mut(&key)?;
        let entry = lane.entries.front()?;
        self.out += 1;
        self.last_token += 1;
        lane.state = State::Out(self.last_token);
        let handle = entry.handle.clone();
        Some(Taken { event: entry.event.clone(), attempt: entry.attempt, token: self.last_token, handle })
    }

    /// The present handle of what is out with `token`; `None` when it has been handed on since.
    pub(super) fn held(&self, key: &str, token: u64) -> Option<H> {
        let lane = self.by_key.get(key).filter(|lane| lane.state == State::Out(token))?;
        lane.entries.front().map(|entry| entry.handle.clone())
    }

    /// What was taken with `token` is done with. False when it has been handed on since.
    pub(super) fn finish(&mut self, key: &str, token: u64) -> bool {
        let Some(lane) = self.by_key.get_mut(key).filter(|lane| lane.state == State::Out(token)) else {
            return false;
        };
        self.out -= 1;
        lane.entries.pop_front();
        if lane.entries.is_empty() {
            self.by_key.remove(key);
        } else {
            self.go_on(key);
        }
        true
    }

    /// The first event of a lane can be handed out, as soon as its partition is open.
    fn go_on(&mut self, key: &str) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        if self.shut.contains(&lane.partition) {
            lane.state = State::Shut;
        } else {
            lane.state = State::Ready;
            self.ready.push_back(key.to_owned());
        }
    }

    /// What was taken with `token` was refused. False when it has been handed on since.
    pub(super) fn refuse(&mut self, key: &str, token: u64) -> bool {
        let Some(lane) = self.by_key.get_mut(key).filter(|lane| lane.state == State::Out(token)) else {
            return false;
        };
        self.out -= 1;
        lane.state = State::Away(token);
        true
    }

    /// What was refused with `token` is given again from here, unless it has come, or has been handed on, since.
    pub(super) fn give_again(&mut self, key: &str, token: u64) {
        let refused = self.by_key.get_mut(key).filter(|lane| lane.state == State::Away(token));
        if let Some(entry) = refused.and_then(|lane| lane.entries.front_mut()) {
            entry.attempt = entry.attempt.saturating_add(1);
            self.go_on(key);
        }
    }

    /// Hands nothing new out of `partition` until it is opened.
    pub(super) fn shut(&mut self, partition: u16) {
        self.shut.insert(partition);
        for (_, lane) in self.by_key.iter_mut().filter(|(_, lane)| lane.partition == partition) {
            if lane.state == State::Ready {
                lane.state = State::Shut;
            }
        }
        let lanes = &self.by_key;
        self.ready.retain(|key| lanes.get(key).is_some_and(|lane| lane.state == State::Ready));
    }

    /// Hands out of `partition` again.
    pub(super) fn open(&mut self, partition: u16) {
        self.shut.remove(&partition);
        for (key, lane) in self.by_key.iter_mut().filter(|(_, lane)| lane.partition == partition) {
            if lane.state == State::Shut {
                lane.state = State::Ready;
                self.ready.push_back(key.clone());
            }
        }
    }

    /// Whether something of `partition` is out.
    pub(super) fn is_out(&self, partition: u16) -> bool {
        self.by_key.values().any(|lane| lane.partition == partition && matches!(lane.state, State::Out(_)))
    }

    /// Forgets what is here of `partition`; answers how to settle what was not refused, in order for each key.
    pub(super) fn forget(&mut self, partition: u16) -> Vec<H> {
        self.shut.remove(&partition);
        let mut handles = Vec::new();
        let out = &mut self.out;
        self.by_key.retain(|_, lane| {
            if lane.partition != partition {
                return true;
            }
            *out -= usize::from(matches!(lane.state, State::Out(_)));
            let away = usize::from(matches!(lane.state, State::Away(_)));
            handles.extend(lane.entries.drain(..).skip(away).map(|entry| entry.handle));
            false
        });
        let lanes = &self.by_key;
        self.ready.retain(|key| lanes.contains_key(key));
        handles
    }

    /// What is here and was not refused.
    #[cfg(feature = "nats")]
    pub(super) fn here(&self) -> Vec<H> {
        let here = |lane: &Lane<H>| usize::from(matches!(lane.state, State::Away(_)));
        let entries = self.by_key.values().flat_map(|lane| lane.entries.iter().skip(here(lane)));
        entries.map(|entry| entry.handle.clone()).collect()
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
