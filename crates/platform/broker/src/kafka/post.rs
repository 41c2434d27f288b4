//! Where a member's thread and its subscription meet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as WallInstant};

use kennel_core::broker::BrokerError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Closed;
use super::commit::Commits;
use super::error::Removed;
use super::window::{Attempts, Part, Room, Taken, Window};

/// Reports of unreadable records that wait for the subscription; further ones are only logged.
const MOST_REPORTS: usize = 64;

/// How often events were handed out by members of this process that have given up the partition since.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<(String, Part), Attempts>>);

impl Memory {
    fn keep(&self, group_id: &str, part: Part, attempts: Attempts) {
        if !attempts.is_empty() {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert((group_id.to_owned(), part), attempts);
        }
    }

    fn recall(&self, group_id: &str, part: &Part) -> Attempts {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(group_id.to_owned(), part.clone())).unwrap_or_default()
    }
}

/// What a subscription finds.
pub(super) enum Found {
    Event(Box<Taken>),
    Error(BrokerError),
    /// Nothing before then, unless the post is notified.
    Nothing(Option<Instant>),
}

struct State {
    window: Window,
    reports: VecDeque<BrokerError>,
    is_closed: bool,
    /// The member has had a partition: its topics have been there.
    has_had_parts: bool,
    /// The group has gone on without this member, or is another one.
    has_lost_all: bool,
    /// Why the membership has ended by itself, for the subscription to report.
    failure: Option<BrokerError>,
}

/// See the [module](self).
pub(super) struct Post {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) group_id: String,
    pub(super) arrivals: Notify,
    pub(super) commits: Commits,
    state: Mutex<State>,
    drained: Condvar,
    memory: Arc<Memory>,
    in_flight: usize,
}

impl Post {
    /// For a member of `group` on `topic`, which is called `group_id` in Kafka.
    pub(super) fn new(
        (topic, group): (&str, &str),
        group_id: &str,
        room: Room,
        in_flight: usize,
        memory: Arc<Memory>,
    ) -> Self {
        let state = State {
            window: Window::new(room),
            reports: VecDeque::new(),
            is_closed: false,
            has_had_parts: false,
            has_lost_all: false,
            failure: None,
        };
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
            group_id: group_id.to_owned(),
            arrivals: Notify::new(),
            commits: Commits::default(),
            state: Mutex::new(state),
            drained: Condvar::new(),
            memory,
            in_flight,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the membership: what is out can no longer be settled, what is settled is still committed.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrivals.notify_waiters();
        self.drained.notify_all();
    }

    /// Ends the membership by itself: nothing of it can be settled or committed any more. Whoever subscribes again
    /// finds the topics there are by then.
    pub(super) fn fail(&self, failure: impl Into<BrokerError>) {
        {
            let mut state = self.lock();
            for part in state.window.parts() {
                state.window.revoke(&part);
            }
            // The first reason is the one; closed by its owner, it has none.
            if !state.is_closed {
                state.failure = Some(failure.into());
            }
            state.is_closed = true;
        }
        self.arrivals.notify_waiters();
        self.drained.notify_all();
    }

    /// The group has gone on without this member. It may be one of a cluster that has lost its data, of which the client
    /// would not take in that leaders and logs are older than those it knows: another client has to join.
    pub(super) fn lose_all(&self) {
        self.lock().has_lost_all = true;
    }

    /// Whether that has happened since this was asked before.
    pub(super) fn has_lost_all(&self) -> bool {
        std::mem::take(&mut self.lock().has_lost_all)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    pub(super) fn with_window<T>(&self, work: impl FnOnce(&mut Window) -> T) -> T {
        work(&mut self.lock().window)
    }

    /// What there is for the subscription.
    pub(super) fn find(&self) -> Result<Found, Closed> {
        let mut state = self.lock();
        if let Some(failure) = state.failure.take() {
            return Ok(Found::Error(failure));
        }
        if state.is_closed {
            return Err(Closed);
        }
        if let Some(error) = state.reports.pop_front() {
            return Ok(Found::Error(error));
        }
        let taken = state.window.take(self.in_flight, Instant::now());
        Ok(match taken {
            Some(taken) => Found::Event(Box::new(taken)),
            None => Found::Nothing(state.window.next_due()),
        })
    }

    /// Settles something; `work` answers whether it was still this member's.
    pub(super) fn settle(&self, work: impl FnOnce(&mut Window) -> bool) -> Result<bool, Closed> {
        let settled = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(Closed);
            }
            work(&mut state.window)
        };
        self.arrivals.notify_waiters();
        self.drained.notify_all();
        Ok(settled)
    }

    /// Takes in what was read.
    pub(super) fn admit(&self, part: &Part, offset: i64, event: Result<kennel_core::Event, BrokerError>) {
        let mut state = self.lock();
        let report = match event {
            Ok(event) => {
                state.window.admit(part, offset, Some(event));
                None
            }
            Err(error) => state.window.admit(part, offset, None).then_some(error),
        };
        if let Some(error) = report {
            if state.reports.len() < MOST_REPORTS {
                state.reports.push_back(error);
            } else {
                tracing::error!(error = &error as &dyn std::error::Error, "message is skipped");
            }
        }
        drop(state);
        self.arrivals.notify_waiters();
    }

    /// The driver was answered that a topic does not exist. Of one that was just made, it can be for a moment.
    pub(super) fn miss(&self) {
        if self.lock().has_had_parts {
            self.fail(Removed);
        }
    }

    pub(super) fn assign(&self, parts: Vec<Part>) {
        self.lock().has_had_parts |= !parts.is_empty();
        for part in parts {
            let attempts = self.memory.recall(&self.group_id, &part);
            self.with_window(|window| window.assign(part, attempts));
        }
    }

    /// Hands out no more of these partitions and waits, up to `grace`, until nothing of them is out.
    pub(super) fn drain(&self, parts: &[Part], grace: Duration) {
        let deadline = WallInstant::now() + grace;
        let mut state = self.lock();
        for part in parts {
            state.window.leave(part);
        }
        while !state.is_closed && state.window.out(parts) > 0 {
            let left = deadline.saturating_duration_since(WallInstant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn revoke(&self, parts: Vec<Part>) {
        for part in parts {
            let attempts = self.with_window(|window| window.revoke(&part));
            self.memory.keep(&self.group_id, part, attempts);
        }
        self.arrivals.notify_waiters();
    }
}
