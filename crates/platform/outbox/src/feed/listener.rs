//! One listener of a feed: reads missed events from the history, then receives live ones, and reads the history again
//! after a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use kennel_core::Event;
use kennel_core::outbox::History;
use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};
use uuid::Uuid;

use crate::feed::hub::{FeedSubscription, Hub, Live, RecentIds};
use crate::feed::{FeedConfig, FeedHistory, FeedItem};

pub(crate) struct FeedListener {
    hub: Arc<Hub>,
    history: FeedHistory,
    topic: &'static str,
    page: u32,
    /// Maximum distance between the live position of an event and its position in the history.
    max_reordering: usize,
    /// The event id after which to continue in the history.
    last: Option<Uuid>,
    /// Whether it started before the first event: without `last`, it continues with all events of the history.
    is_first: bool,
    /// The event id that was found when it started: a few events later, it is still before all that can be missing.
    origin: Option<Uuid>,
    /// Where to continue if the history does not contain `last`.
    fallback: Option<Uuid>,
    /// The id of the last event that was returned, after which a new listener can resume.
    position: Uuid,
    recent: RecentIds,
    ready: VecDeque<FeedItem>,
    state: ListenerState,
}

enum ListenerState {
    /// Receiving live events; the event before them is to be looked up in the history.
    Starting(broadcast::Receiver<Live>),
    /// Waiting until missed events are in the history.
    Waiting,
    /// Reading the history; the events that were live when this started, and later ones, follow it.
    CatchingUp(FeedSubscription),
    Live(broadcast::Receiver<Live>),
    Ended,
}

impl FeedListener {
    pub(crate) fn open(
        hub: Arc<Hub>,
        history: FeedHistory,
        topic: &'static str,
        config: FeedConfig,
        last: Option<Uuid>,
    ) -> Self {
        // Large enough for the channel and for what the history repeats of it and of the events before it.
        let recent = RecentIds::new(config.buffer.max(1) * 4 + config.page as usize);
        let max_reordering = if let FeedHistory::Outbox(_) = history { config.buffer.max(1) } else { 0 };
        let (page, ready, state) = (config.page.max(1), VecDeque::new(), ListenerState::Ended);
        let (is_first, origin, fallback, position) = (false, None, None, last.unwrap_or_default());
        let mut listener = Self {
            hub,
            history,
            topic,
            page,
            max_reordering,
            last,
            is_first,
            origin,
            fallback,
            position,
            recent,
            ready,
            state,
        };
        match listener.last {
            Some(last) => {
                listener.recent.insert(last);
                listener.catch_up(last);
            }
            None => listener.follow(),
        }
        listener
    }

    /// Returns the next item; `None` after the feed has ended.
    pub(crate) async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let FeedItem::Event(event) = &item {
                    self.position = event.id;
                }
                return Some(item);
            }
            match &mut self.state {
                ListenerState::Starting(_) => self.start().await,
                ListenerState::Waiting => {
                    self.hub.wait_until_complete().await;
                    self.start_catch_up();
                }
                ListenerState::CatchingUp(_) => self.read_history().await,
                ListenerState::Live(live) => {
                    let received = live.recv().await;
                    self.receive(received);
                }
                ListenerState::Ended => return None,
            }
        }
    }

    /// Returns the event id after which to open a listener that continues this one.
    pub(crate) fn position(&self) -> Uuid {
        self.position
    }

    /// Looks up where it starts, if the feed did not know that when it was opened: while the feed recovers a gap, and
    /// before it has read the history for the first time. After a later gap it continues from there. Cancel-safe.
    pub(crate) async fn start(&mut self) {
        let ListenerState::Starting(live) = &mut self.state else { return };
        // What is live does not wait for a slow history, which is read after a later gap only.
        let (received, found) = tokio::select! {
            biased;
            received = live.recv() => (Some(received), None),
            found = self.history.after(None, 1) => (None, Some(found)),
        };
        let ListenerState::Starting(live) = std::mem::replace(&mut self.state, ListenerState::Ended) else { return };
        self.state = ListenerState::Live(live);
        if let Some(received) = received {
            self.receive(received);
            return;
        }
        // First what came since it was opened: a gap may be older than what the history has now.
        while let ListenerState::Live(live) = &mut self.state {
            match live.try_recv() {
                Ok(item) => self.receive(Ok(item)),
                Err(TryRecvError::Lagged(events)) => self.receive(Err(RecvError::Lagged(events))),
                // Also when the feed has ended, which `next` finds out.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        match found {
            Some(Ok(History::Events(events))) if self.last.is_none() => {
                self.origin = events.last().map(|event| event.id);
                (self.last, self.is_first) = (self.origin, self.origin.is_none());
                self.position = self.last.unwrap_or_default();
            }
            Some(Ok(_)) | None => {}
            // A later gap is a reset.
            Some(Err(error)) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, topic = self.topic, "cannot read where a listener starts");
            }
        }
    }

    /// Starts with live events only.
    fn follow(&mut self) {
        let Some(subscription) = self.hub.subscribe() else {
            self.state = ListenerState::Ended;
            return;
        };
        // After a gap it continues from where a client would resume, also before it has returned an event.
        self.last = subscription.position.filter(|position| !position.is_nil());
        self.is_first = subscription.position == Some(Uuid::nil());
        self.position = subscription.position.unwrap_or_default();
        // Earlier events must not be returned, also when the history is read after a gap.
        for id in subscription.latest.iter().map(|event| event.id).chain(self.last) {
            self.recent.insert(id);
        }
        let is_unknown = subscription.position.is_none() && matches!(self.history, FeedHistory::Outbox(_));
        let state = if is_unknown { ListenerState::Starting } else { ListenerState::Live };
        self.state = state(subscription.live);
    }

    /// Starts after `last`: from memory if `last` is still there, else from the history.
    fn catch_up(&mut self, last: Uuid) {
        let Some(subscription) = self.hub.subscribe() else {
            self.state = ListenerState::Ended;
            return;
        };
        if !subscription.is_complete {
            self.state = ListenerState::Waiting;
            return;
        }
        let received = match subscription.latest.iter().position(|event| event.id == last) {
            Some(index) => index + 1,
            None if subscription.start == Some(last) => 0,
            None => {
                self.state = ListenerState::CatchingUp(subscription);
                return;
            }
        };
        self.enqueue_new(subscription.latest.into_iter().skip(received));
        self.state = ListenerState::Live(subscription.live);
    }

    fn start_catch_up(&mut self) {
        self.state = match self.hub.subscribe() {
            Some(subscription) if subscription.is_complete => ListenerState::CatchingUp(subscription),
            Some(_) => ListenerState::Waiting,
            None => ListenerState::Ended,
        };
    }

    async fn read_history(&mut self) {
        if self.hub.is_closed() {
            self.state = ListenerState::Ended;
            return;
        }
        match self.history.after(self.last, self.page).await {
            // The latest events, which may not be all since the first one.
            Ok(History::Events(events)) if self.last.is_none() && events.len() >= self.page as usize => self.reset(),
            Ok(History::Events(events)) => {
                let more = events.len() >= self.page as usize;
                // Events of other topics also advance the position in the history.
                let reached = events.last().map(|event| event.id);
                let topic = self.topic;
                self.enqueue_new(events.into_iter().filter(|event| event.topic == topic).map(Arc::new));
                self.last = reached.or(self.last);
                self.fallback = None;
                if !more {
                    self.go_live(true);
                }
            }
            Ok(History::UnknownEvent) if self.fallback.is_some() => self.last = self.fallback.take(),
            Ok(History::UnknownEvent) => self.reset(),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, topic = self.topic, "cannot read history");
                self.state = ListenerState::Ended;
            }
        }
    }

    /// Continues with live events, although events are missing that the history does not have.
    fn reset(&mut self) {
        self.is_first = false;
        self.ready.push_back(FeedItem::Reset);
        self.go_live(false);
    }

    /// Switches from the history to live events. The events that were live when reading started follow, or are skipped
    /// by a reset.
    fn go_live(&mut self, offer_latest: bool) {
        let ListenerState::CatchingUp(subscription) = std::mem::replace(&mut self.state, ListenerState::Ended) else {
            return;
        };
        self.state = ListenerState::Live(subscription.live);
        if offer_latest {
            self.enqueue_new(subscription.latest);
        } else {
            self.last = subscription.latest.last().map(|event| event.id).or(subscription.start);
            self.position = subscription.position.unwrap_or_default();
        }
    }

    fn receive(&mut self, received: Result<Live, RecvError>) {
        match received {
            Ok(Live::Event(event)) => self.enqueue_new([event]),
            Ok(Live::Restart(start)) if self.last.is_none() => {
                // The feed subscribes for the first time, and the listener starts with it.
                self.last = Some(start);
                self.position = start;
            }
            Ok(Live::Gap | Live::Restart(_)) | Err(RecvError::Lagged(_)) => self.recover_gap(),
            Err(RecvError::Closed) => self.state = ListenerState::Ended,
        }
    }

    /// Reads missed events from the history; returns a reset if it is unknown where they begin. Reading starts some
    /// events before the last returned one, because events of other keys may have been published in another order.
    fn recover_gap(&mut self) {
        if let Some(last) = self.last {
            self.fallback = Some(last);
            let origin = self.origin.filter(|_| self.recent.len() <= self.max_reordering);
            let before = origin.or_else(|| self.recent.nth_last(self.max_reordering)).unwrap_or(last);
            self.last = Some(before);
            self.catch_up(before);
        } else if self.is_first {
            self.start_catch_up();
        } else {
            self.ready.push_back(FeedItem::Reset);
        }
    }

    /// Enqueues the events that the listener has not received.
    fn enqueue_new(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            if self.recent.insert(event.id) {
                self.last = Some(event.id);
                self.ready.push_back(FeedItem::Event(event));
            }
        }
    }
}
