//! One listener of a feed: reads what it missed, then follows live, and back again when it falls behind.

use std::collections::VecDeque;
use std::sync::Arc;

use kennel_core::outbox::History;
use kennel_core::{Event, Outbox};
use tokio::sync::broadcast::{self, error::RecvError};
use uuid::Uuid;

use crate::feed::hub::{Entry, Hub, Live, Recent};
use crate::feed::{FeedConfig, FeedItem};

pub(crate) struct Listener {
    hub: Arc<Hub>,
    outbox: Arc<dyn Outbox>,
    topic: &'static str,
    page: u32,
    /// How many events live ones can be away from their places in the history.
    disorder: usize,
    /// Where to go on in the history.
    last: Option<Uuid>,
    /// Where to go on should the history not reach back to `last`.
    otherwise: Option<Uuid>,
    /// Behind which event the listener resumes after what it was given.
    position: Uuid,
    recent: Recent,
    ready: VecDeque<FeedItem>,
    stage: Stage,
}

enum Stage {
    /// Waiting for the history to have what was missed.
    Waiting,
    /// Reading the history; then come the events that were live when it began, and those since.
    Behind(Entry),
    Live(broadcast::Receiver<Live>),
    Ended,
}

impl Listener {
    pub(crate) fn open(
        hub: Arc<Hub>,
        outbox: Arc<dyn Outbox>,
        topic: &'static str,
        config: FeedConfig,
        last: Option<Uuid>,
    ) -> Self {
        // Room for what the channel holds, and for what the history repeats of that and of what was before.
        let disorder = config.buffer.max(1);
        let recent = Recent::new(disorder * 4 + config.page as usize);
        let (page, ready, stage) = (config.page.max(1), VecDeque::new(), Stage::Ended);
        let (otherwise, position) = (None, last.unwrap_or_default());
        let mut listener = Self { hub, outbox, topic, page, disorder, last, otherwise, position, recent, ready, stage };
        match listener.last {
            Some(last) => {
                listener.recent.insert(last);
                listener.catch_up(last);
            }
            None => listener.follow(),
        }
        listener
    }

    /// The next item; `None` when the feed ends.
    pub(crate) async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let FeedItem::Event(event) = &item {
                    self.position = event.id;
                }
                return Some(item);
            }
            match &mut self.stage {
                Stage::Waiting => {
                    self.hub.whole().await;
                    self.go_behind();
                }
                Stage::Behind(_) => self.read_history().await,
                Stage::Live(live) => {
                    let received = live.recv().await;
                    self.receive(received);
                }
                Stage::Ended => return None,
            }
        }
    }

    /// Behind which event to open a listener that goes on after what this one was given.
    pub(crate) fn position(&self) -> Uuid {
        self.position
    }

    /// Starts at the present.
    fn follow(&mut self) {
        let Some(entry) = self.hub.enter() else {
            self.stage = Stage::Ended;
            return;
        };
        self.last = entry.latest.last().map(|event| event.id);
        self.position = entry.position;
        // What was before is not to be told, also when the history is read again.
        for event in &entry.latest {
            self.recent.insert(event.id);
        }
        self.stage = Stage::Live(entry.live);
    }

    /// Starts behind `last`: from memory when that reaches back so far, else from the history.
    fn catch_up(&mut self, last: Uuid) {
        let Some(entry) = self.hub.enter() else {
            self.stage = Stage::Ended;
            return;
        };
        if !entry.whole {
            self.stage = Stage::Waiting;
            return;
        }
        let Some(known) = entry.latest.iter().position(|event| event.id == last) else {
            self.stage = Stage::Behind(entry);
            return;
        };
        self.offer_all(entry.latest.into_iter().skip(known + 1));
        self.stage = Stage::Live(entry.live);
    }

    fn go_behind(&mut self) {
        self.stage = match self.hub.enter() {
            Some(entry) if entry.whole => Stage::Behind(entry),
            Some(_) => Stage::Waiting,
            None => Stage::Ended,
        };
    }

    async fn read_history(&mut self) {
        if self.hub.is_closed() {
            self.stage = Stage::Ended;
            return;
        }
        match self.outbox.history(self.last, self.page).await {
            Ok(History::Events(events)) => {
                let more = events.len() >= self.page as usize;
                // Events of other topics move the place in the history as well.
                let reached = events.last().map(|event| event.id);
                let topic = self.topic;
                self.offer_all(events.into_iter().filter(|event| event.topic == topic).map(Arc::new));
                self.last = reached.or(self.last);
                self.otherwise = None;
                if !more {
                    self.go_live(true);
                }
            }
            Ok(History::UnknownEvent) if self.otherwise.is_some() => self.last = self.otherwise.take(),
            Ok(History::UnknownEvent) => {
                self.ready.push_back(FeedItem::Reset);
                self.go_live(false);
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, topic = self.topic, "history cannot be read");
                self.stage = Stage::Ended;
            }
        }
    }

    /// Leaves the history. The events that were live when the reading began follow it, or are behind a reset.
    fn go_live(&mut self, offer_latest: bool) {
        let Stage::Behind(entry) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        self.stage = Stage::Live(entry.live);
        if offer_latest {
            self.offer_all(entry.latest);
        } else {
            self.last = entry.latest.last().map(|event| event.id);
            self.position = entry.position;
        }
    }

    fn receive(&mut self, received: Result<Live, RecvError>) {
        match received {
            Ok(Live::Event(event)) => self.offer_all([event]),
            Ok(Live::Gap) | Err(RecvError::Lagged(_)) => self.mend_gap(),
            Err(RecvError::Closed) => self.stage = Stage::Ended,
        }
    }

    /// Fills in what was missed; without an event to go on from, tells that something may have been. It goes back to
    /// before what was told last, where events of other keys may have been overtaken.
    fn mend_gap(&mut self) {
        if let Some(last) = self.last {
            self.otherwise = Some(last);
            let before = self.recent.back(self.disorder).unwrap_or(last);
            self.last = Some(before);
            self.catch_up(before);
        } else {
            self.ready.push_back(FeedItem::Reset);
        }
    }

    /// Hands out what the listener has not had.
    fn offer_all(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            if self.recent.insert(event.id) {
                self.last = Some(event.id);
                self.ready.push_back(FeedItem::Event(event));
            }
        }
    }
}
