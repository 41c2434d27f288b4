//! Where a feed's listeners meet: the latest events, and a channel for the next ones.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kennel_core::Event;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

/// What goes to every listener.
#[derive(Debug, Clone)]
pub(crate) enum Live {
    /// An event.
    Event(Arc<Event>),
    /// Events before this point may be missing: they are in the history once the hub is whole.
    Gap,
}

/// A listener's way in: events from now on, and the ones just before that it may need to reach back to.
pub(crate) struct Entry {
    pub(crate) live: broadcast::Receiver<Live>,
    pub(crate) latest: Vec<Arc<Event>>,
    /// The event behind which a listener resumes that enters now and leaves without having had one.
    pub(crate) position: Uuid,
    /// False while something that was missed may not be in the history yet.
    pub(crate) whole: bool,
}

pub(crate) struct Hub {
    state: Mutex<State>,
    /// False while something that was missed may not be in the history yet.
    whole: watch::Sender<bool>,
}

struct State {
    /// `None` once the feed has ended.
    live: Option<broadcast::Sender<Live>>,
    /// The latest events without a gap between them, oldest first. They bridge the time between the publishing of
    /// an event and its appearance in the history.
    latest: VecDeque<Arc<Event>>,
    /// The last event, or the last one published before there were any.
    position: Uuid,
    capacity: usize,
}

impl Hub {
    pub(crate) fn new(capacity: usize) -> Self {
        let live = Some(broadcast::Sender::new(capacity));
        let state = Mutex::new(State { live, latest: VecDeque::new(), position: Uuid::nil(), capacity });
        Self { state, whole: watch::Sender::new(true) }
    }

    /// Sets where listeners stand before the first event: at one that was published before the subscription began.
    pub(crate) fn begin_after(&self, event: Uuid) {
        let mut state = self.state();
        if state.latest.is_empty() {
            state.position = event;
        }
    }

    pub(crate) fn push(&self, event: Arc<Event>) {
        let mut state = self.state();
        let state = &mut *state;
        // Published again after a failure; every listener has had it.
        if state.latest.iter().rev().any(|known| known.id == event.id) {
            return;
        }
        if state.latest.len() == state.capacity {
            state.latest.pop_front();
        }
        state.latest.push_back(Arc::clone(&event));
        state.position = event.id;
        send(state.live.as_ref(), Live::Event(event));
    }

    /// Tells that events may have been missed.
    pub(crate) fn interrupt(&self) {
        let mut state = self.state();
        state.latest.clear();
        self.whole.send_replace(false);
        send(state.live.as_ref(), Live::Gap);
    }

    /// Tells that the history has whatever was missed.
    pub(crate) fn mended(&self) {
        self.whole.send_replace(true);
    }

    /// Waits until the history has whatever was missed, or until the feed ends.
    pub(crate) async fn whole(&self) {
        // The sender lives in `self`.
        self.whole.subscribe().wait_for(|whole| *whole).await.ok();
    }

    /// Ends the streams of all listeners, present and future.
    pub(crate) fn close(&self) {
        self.state().live = None;
        self.mended();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().live.is_none()
    }

    /// `None` once the feed has ended.
    pub(crate) fn enter(&self) -> Option<Entry> {
        let state = self.state();
        let live = state.live.as_ref()?.subscribe();
        let latest = state.latest.iter().cloned().collect();
        Some(Entry { live, latest, position: state.position, whole: *self.whole.borrow() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(live: Option<&broadcast::Sender<Live>>, item: Live) {
    if let Some(live) = live {
        // Without listeners nobody needs it.
        live.send(item).ok();
    }
}

/// The ids that a listener was last given.
pub(crate) struct Recent {
    ids: HashSet<Uuid>,
    order: VecDeque<Uuid>,
    capacity: usize,
}

impl Recent {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), capacity }
    }

    /// Adds an id, forgetting the oldest beyond the capacity; false when it is there already.
    pub(crate) fn insert(&mut self, id: Uuid) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// The id that was given so many before the last, or the oldest that is known.
    pub(crate) fn back(&self, steps: usize) -> Option<Uuid> {
        let place = self.order.len().saturating_sub(steps.saturating_add(1));
        self.order.get(place).copied()
    }
}
