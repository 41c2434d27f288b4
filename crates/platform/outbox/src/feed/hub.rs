//! State shared by the listeners of a feed: the latest events, and a channel for the next ones.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kennel_core::Event;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

/// Message to every listener.
#[derive(Debug, Clone)]
pub(crate) enum Live {
    /// An event.
    Event(Arc<Event>),
    /// Events before this point may be missing; they are in the history when [`Hub::wait_until_complete`] returns.
    Gap,
    /// Events before this point may be missing, and no history has them. Those from now on follow this id.
    Restart(Uuid),
}

/// Result of [`Hub::subscribe`]: a receiver for the next events, and the latest events before them.
pub(crate) struct FeedSubscription {
    pub(crate) live: broadcast::Receiver<Live>,
    pub(crate) latest: Vec<Arc<Event>>,
    /// The position before the first of them, if no event between can be missing.
    pub(crate) start: Option<Uuid>,
    /// Position of a listener that subscribes now and has received no event: the nil id before the first event ever; `None` if
    /// it is unknown.
    pub(crate) position: Option<Uuid>,
    /// False while missed events may not be in the history yet.
    pub(crate) is_complete: bool,
}

pub(crate) struct Hub {
    state: Mutex<HubState>,
    /// False while missed events may not be in the history yet.
    is_complete: watch::Sender<bool>,
}

struct HubState {
    /// `None` after the feed has ended.
    live: Option<broadcast::Sender<Live>>,
    /// The latest events without a gap, oldest first. They cover the time between the publishing of an event and its
    /// appearance in the history.
    latest: VecDeque<Arc<Event>>,
    /// The ids of `latest`.
    ids: HashSet<Uuid>,
    /// See [`FeedSubscription::start`]; only without a history.
    start: Option<Uuid>,
    /// The id of the last event; before the first one, of the last event that was published before the subscription, or the
    /// nil id if there was none. `None` while it is unknown.
    position: Option<Uuid>,
    capacity: usize,
}

impl Hub {
    pub(crate) fn new(capacity: usize) -> Self {
        let live = Some(broadcast::Sender::new(capacity));
        let (latest, ids, start, position) = (VecDeque::new(), HashSet::new(), None, None);
        let state = Mutex::new(HubState { live, latest, ids, start, position, capacity });
        Self { state, is_complete: watch::Sender::new(true) }
    }

    /// Sets the initial position to the event that was published last before the subscription started, if there was one.
    pub(crate) fn begin_after(&self, event: Option<Uuid>) {
        let mut state = self.state();
        if state.latest.is_empty() {
            state.position = event.or(state.position).or(Some(Uuid::nil()));
        }
    }

    pub(crate) fn push(&self, event: Arc<Event>) {
        let mut state = self.state();
        let state = &mut *state;
        // A duplicate, published again after a failure; every listener has received it.
        if !state.ids.insert(event.id) {
            return;
        }
        if state.latest.len() == state.capacity {
            let removed = state.latest.pop_front().map(|removed| removed.id);
            if let Some(removed) = &removed {
                state.ids.remove(removed);
            }
            state.start = state.start.and(removed);
        }
        state.latest.push_back(Arc::clone(&event));
        state.position = Some(event.id);
        send(state.live.as_ref(), Live::Event(event));
    }

    /// Records that events may be missing and notifies the listeners.
    pub(crate) fn mark_gap(&self) {
        let mut state = self.state();
        state.clear();
        // Unknown until the gap is recovered; listeners that have started know it of their start.
        state.position = state.position.filter(|position| !position.is_nil());
        self.is_complete.send_replace(false);
        send(state.live.as_ref(), Live::Gap);
    }

    /// Records that events may be missing which no history has, and notifies the listeners. The events from now on follow
    /// `start`, an id that no event has, after which clients can resume.
    pub(crate) fn restart(&self, start: Uuid) {
        let mut state = self.state();
        state.clear();
        state.start = Some(start);
        state.position = Some(start);
        send(state.live.as_ref(), Live::Restart(start));
    }

    /// Records that all missed events are in the history.
    pub(crate) fn mark_complete(&self) {
        self.is_complete.send_replace(true);
    }

    /// Waits until all missed events are in the history, or until the feed ends.
    pub(crate) async fn wait_until_complete(&self) {
        // The sender is a field of `self`, so this cannot fail.
        self.is_complete.subscribe().wait_for(|is_complete| *is_complete).await.ok();
    }

    /// Ends the streams of all listeners, present and future.
    pub(crate) fn close(&self) {
        self.state().live = None;
        self.mark_complete();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().live.is_none()
    }

    /// `None` after the feed has ended.
    pub(crate) fn subscribe(&self) -> Option<FeedSubscription> {
        let state = self.state();
        let live = state.live.as_ref()?.subscribe();
        let latest = state.latest.iter().cloned().collect();
        let (start, position, is_complete) = (state.start, state.position, *self.is_complete.borrow());
        Some(FeedSubscription { live, latest, start, position, is_complete })
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubState {
    fn clear(&mut self) {
        self.latest.clear();
        self.ids.clear();
    }
}

fn send(live: Option<&broadcast::Sender<Live>>, item: Live) {
    if let Some(live) = live {
        // An error means that there are no listeners.
        live.send(item).ok();
    }
}

/// The ids of the last events that a listener received.
pub(crate) struct RecentIds {
    ids: HashSet<Uuid>,
    order: VecDeque<Uuid>,
    capacity: usize,
}

impl RecentIds {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), capacity }
    }

    /// Adds an id and removes the oldest one over the capacity. Returns false when the id is already present.
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

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the id `steps` before the last one, or the oldest known one.
    pub(crate) fn nth_last(&self, steps: usize) -> Option<Uuid> {
        let index = self.order.len().saturating_sub(steps.saturating_add(1));
        self.order.get(index).copied()
    }
}
