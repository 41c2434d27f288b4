//! Shows the events of a topic live to many listeners inside the process, with what they missed before.

mod hub;
mod listener;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Fuse, FutureExt as _};
use futures_util::stream::{Stream, unfold};
use kennel_app::{Component, Phase, Progress, Stop, progress};
use kennel_core::outbox::History;
use kennel_core::{BoxError, Event, Group, Outbox, RepoError, Subscriber};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::feed::hub::Hub;
use crate::feed::listener::Listener;
use crate::place::Place;
use crate::{Backoff, ConsumerMetrics};

/// Between two looks at what a break may have cost.
const MEND: Backoff = Backoff { min: Duration::from_millis(20), max: Duration::from_secs(1) };
/// More events than relays have in flight at a time.
const IN_FLIGHT: u32 = 2_000;

/// How a feed works.
#[derive(Debug, Clone, Copy)]
pub struct FeedConfig {
    /// Events kept for listeners that are slow or come back; who falls further behind reads the history.
    pub buffer: usize,
    /// Events read from the history at a time; at least one.
    pub page: u32,
    /// The wait before subscribing again.
    pub backoff: Backoff,
    /// How long listeners may wait, after a break in the subscription, for what was published during it to be history.
    pub patience: Duration,
    /// How long it may be without a subscription before that is reported.
    pub stall_limit: Duration,
    /// After how long without an event watchers get their position again.
    pub heartbeat: Duration,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            buffer: 1_024,
            page: 100,
            backoff: Backoff { min: Duration::from_millis(200), max: Duration::from_secs(10) },
            patience: Duration::from_secs(5),
            stall_limit: progress::DEFAULT_LIMIT,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// It happened.
    Event(Arc<Event>),
    /// Something was missed that can no longer be told: what the listener knows may be out of date.
    Reset,
}

/// What a watcher is given: where it stands, and what is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Behind which event to watch again in order to miss nothing after this. The nil id, which no event has, where none
    /// was ever published: resuming behind that begins with a [`FeedItem::Reset`].
    pub position: Uuid,
    /// What happened; `None` at first, and whenever nothing happened for a while.
    pub item: Option<FeedItem>,
}

/// Fans the events of a topic out to listeners. Clones share one feed; one of them runs as a component.
///
/// A break in its subscription costs no event: listeners then wait until the history has whatever was published during
/// the break, read it from there, and go on live.
///
/// It stops together with the transports, so that open listeners do not hold up their draining.
#[derive(Clone)]
pub struct Feed {
    topic: &'static str,
    config: FeedConfig,
    subscriber: Arc<dyn Subscriber>,
    outbox: Arc<dyn Outbox>,
    metrics: ConsumerMetrics,
    hub: Arc<Hub>,
    progress: Progress,
}

impl Feed {
    /// A feed of `topic` that nobody runs yet; listeners can open it already.
    pub fn new(
        topic: &'static str,
        subscriber: Arc<dyn Subscriber>,
        outbox: Arc<dyn Outbox>,
        config: FeedConfig,
        metrics: ConsumerMetrics,
    ) -> Self {
        let hub = Arc::new(Hub::new(config.buffer.max(1)));
        let progress = Progress::new(config.stall_limit);
        Self { topic, config, subscriber, outbox, metrics, hub, progress }
    }

    /// Whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The events after `last`, each once and in the order of their publishing, and then live for as long as the
    /// process serves; with `None`, only the live ones. One [`FeedItem::Reset`] stands for what cannot be told.
    ///
    /// Only events of different keys can be told in another order live than in the history.
    ///
    /// The stream also ends when the history cannot be read: opening again with the last id seen resumes it.
    pub fn open(&self, last: Option<Uuid>) -> impl Stream<Item = FeedItem> + Send + use<> {
        let listener = Listener::open(Arc::clone(&self.hub), Arc::clone(&self.outbox), self.topic, self.config, last);
        unfold(listener, |mut listener| async {
            let item = listener.next().await?;
            Some((item, listener))
        })
    }

    /// As [`Feed::open`], with the position in the events at once and after each `heartbeat` without one: whoever loses
    /// the connection before the first event knows where to resume, and nothing on the way takes a quiet stream for dead.
    pub fn watch(&self, last: Option<Uuid>) -> impl Stream<Item = Watched> + Send + use<> {
        let heartbeat = self.config.heartbeat;
        let listener = Listener::open(Arc::clone(&self.hub), Arc::clone(&self.outbox), self.topic, self.config, last);
        unfold((listener, true), move |(mut listener, is_first)| async move {
            let item = if is_first {
                None
            } else {
                match timeout(heartbeat, listener.next()).await {
                    Ok(item) => Some(item?),
                    Err(_) => None,
                }
            };
            Some((Watched { position: listener.position(), item }, (listener, false)))
        })
    }

    /// Reads which event was published last before the subscription begins.
    async fn find_position(&self) {
        match self.outbox.history(None, 1).await {
            Ok(History::Events(events)) => {
                if let Some(event) = events.last() {
                    self.hub.begin_after(event.id);
                }
            }
            Ok(History::UnknownEvent) => {}
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, topic = self.topic, "latest event cannot be read");
            }
        }
    }

    /// Ends a break in the subscription, which was just made again. What was published during the break is in the
    /// history by now or waits in the outbox to be marked; once that does not wait any longer, nothing can be missed.
    async fn mend(&self) {
        let (began, mut failures) = (Instant::now(), 0);
        let mut missing: Option<HashSet<Uuid>> = None;
        let mut is_late = false;
        loop {
            match self.unmarked().await {
                Ok(unmarked) => {
                    let still = |known: HashSet<Uuid>| known.intersection(&unmarked).copied().collect();
                    missing = Some(missing.map_or_else(|| unmarked.clone(), still));
                }
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(error = cause, topic = self.topic, "outbox cannot be read to mend a break");
                }
            }
            if missing.as_ref().is_some_and(HashSet::is_empty) {
                break;
            }
            if !is_late && began.elapsed() >= self.config.patience {
                // What is missing then is told when it is there.
                is_late = true;
                self.hub.mended();
            }
            failures += 1;
            sleep(MEND.delay(failures)).await;
        }
        if is_late {
            self.hub.interrupt();
        }
        self.hub.mended();
    }

    async fn unmarked(&self) -> Result<HashSet<Uuid>, RepoError> {
        let events = self.outbox.pending(IN_FLIGHT).await?;
        Ok(events.into_iter().map(|event| event.id).collect())
    }
}

#[async_trait]
impl Component for Feed {
    fn name(&self) -> &'static str {
        "feed"
    }

    fn phase(&self) -> Phase {
        Phase::Transport
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => {}
            () = self.find_position() => {}
        }
        let subscriber = Arc::clone(&self.subscriber);
        let metrics = self.metrics.clone();
        let (backoff, progress) = (self.config.backoff, self.progress.clone());
        let mut place = Place::new(subscriber, self.topic, "feed", Group::Broadcast, backoff, metrics, progress);
        let mut mending = pin!(Fuse::terminated());
        loop {
            let next = tokio::select! {
                biased;
                () = stop.requested() => break,
                () = &mut mending => continue,
                next = place.next() => next,
            };
            match next {
                None => {
                    self.hub.interrupt();
                    mending.set(self.mend().fuse());
                }
                Some(delivery) => {
                    self.hub.push(Arc::new(delivery.event.clone()));
                    if let Err(error) = delivery.ack().await {
                        let cause = &error as &dyn std::error::Error;
                        tracing::warn!(error = cause, topic = self.topic, "delivery cannot be settled");
                    }
                }
            }
        }
        self.hub.close();
        Ok(())
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
