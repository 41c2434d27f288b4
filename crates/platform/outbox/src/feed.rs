//! Streams the events of a topic to many listeners inside the process, starting with the events they missed.

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
use kennel_core::{Backoff, BoxError, Event, EventFilter, Group, IdSource as _, Outbox, RepoError, Subscriber, UuidV7};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::ConsumerMetrics;
use crate::feed::hub::Hub;
use crate::feed::listener::FeedListener;
use crate::resilient_subscription::{ResilientSubscription, SubscriptionSource};

/// Delays between two queries of the outbox while a gap is recovered.
const RECOVERY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
/// Larger than the number of events that relays have in flight.
const MAX_IN_FLIGHT: u32 = 2_000;

/// Settings of a feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedConfig {
    /// Number of events in memory for slow or reconnecting listeners; a listener further behind reads the history, which a
    /// feed without an outbox does not have.
    pub buffer: usize,
    /// Number of events per query of the history; at least one.
    pub page: u32,
    /// The delay before subscribing again.
    pub backoff: Backoff,
    /// How long listeners wait, after a gap in the subscription, until the events published during it are in the
    /// history.
    pub recovery_timeout: Duration,
    /// How long it may be without a subscription before a stall is reported.
    pub stall_limit: Duration,
    /// The time without an event after which watchers get their position again.
    pub heartbeat: Duration,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            buffer: 1_024,
            page: 100,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            recovery_timeout: Duration::from_secs(5),
            stall_limit: progress::DEFAULT_LIMIT,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Item of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// An event, with its data as it was published. A protocol of text, such as server-sent events, cannot contain bytes of
    /// other content types than JSON: [`Event::json_data`] encodes them.
    Event(Arc<Event>),
    /// Events were missed and cannot be recovered: the listener's state may be stale.
    Reset,
}

/// Item of [`EventFeed::watch`]: the position in the feed, and an event if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedUpdate {
    /// The event id after which to resume in order to miss nothing after this item. The nil UUID when no event was ever
    /// published: resuming after it starts with a [`FeedItem::Reset`].
    pub position: Uuid,
    /// The item; `None` at the start, and as a heartbeat on an idle feed.
    pub item: Option<FeedItem>,
}

/// Where listeners find events that are no longer in memory.
#[derive(Clone)]
pub(crate) enum FeedHistory {
    Outbox(Arc<dyn Outbox>),
    /// Nowhere.
    None,
}

impl FeedHistory {
    async fn after(&self, event: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        match self {
            Self::Outbox(outbox) => outbox.history(event, limit).await,
            Self::None => Ok(History::UnknownEvent),
        }
    }
}

/// Fans out the events of a topic to listeners. Clones share one feed; one of them runs as a component.
///
/// A gap in its subscription loses no event: listeners wait until the events published during the gap are in the
/// history, read them from there, and continue live.
///
/// A feed [without an outbox](EventFeed::without_outbox), of the topic of another service, has only the latest events in
/// memory: after a gap, and after a restart of the process, listeners get a [`FeedItem::Reset`].
///
/// It stops together with the transports, so that open listeners do not delay their draining.
#[derive(Clone)]
pub struct EventFeed {
    name: &'static str,
    topic: &'static str,
    config: FeedConfig,
    subscriber: Arc<dyn Subscriber>,
    history: FeedHistory,
    metrics: ConsumerMetrics,
    hub: Arc<Hub>,
    progress: Progress,
}

impl EventFeed {
    /// Creates a feed of `topic`. Listeners can open it before it runs.
    pub fn new(
        topic: &'static str,
        subscriber: Arc<dyn Subscriber>,
        outbox: Arc<dyn Outbox>,
        config: FeedConfig,
        metrics: ConsumerMetrics,
    ) -> Self {
        Self::with_history("feed", topic, subscriber, FeedHistory::Outbox(outbox), config, metrics)
    }

    /// Creates a feed of a topic that another service publishes. Its history is the latest `config.buffer` events since
    /// this process subscribed: resuming after another event starts with a [`FeedItem::Reset`]. The component's name is
    /// `feed.<topic>`.
    pub fn without_outbox(
        topic: &'static str,
        subscriber: Arc<dyn Subscriber>,
        config: FeedConfig,
        metrics: ConsumerMetrics,
    ) -> Self {
        // A service may have one of each topic; their number is fixed.
        let name = format!("feed.{topic}").leak();
        Self::with_history(name, topic, subscriber, FeedHistory::None, config, metrics)
    }

    fn with_history(
        name: &'static str,
        topic: &'static str,
        subscriber: Arc<dyn Subscriber>,
        history: FeedHistory,
        config: FeedConfig,
        metrics: ConsumerMetrics,
    ) -> Self {
        let hub = Arc::new(Hub::new(config.buffer.max(1)));
        let progress = Progress::new(config.stall_limit);
        Self { name, topic, config, subscriber, history, metrics, hub, progress }
    }

    /// Returns the progress: whether it is subscribed.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Streams the events after `last`, each once and in publish order, then live ones until the process stops; with
    /// `None`, only live ones. A [`FeedItem::Reset`] replaces events that cannot be recovered.
    ///
    /// Live events of different keys may have another order than in the history.
    ///
    /// The stream also ends when the history cannot be read; opening it again with the last seen id resumes it.
    pub fn open(&self, last: Option<Uuid>) -> impl Stream<Item = FeedItem> + Send + use<> {
        unfold(self.listener(last), |mut listener| async {
            let item = listener.next().await?;
            Some((item, listener))
        })
    }

    /// Like [`EventFeed::open`], with the position at the start and after each `heartbeat` without an event: a client that
    /// loses the connection before the first event knows where to resume, and proxies do not close an idle stream.
    pub fn watch(&self, last: Option<Uuid>) -> impl Stream<Item = FeedUpdate> + Send + use<> {
        let heartbeat = self.config.heartbeat;
        unfold((self.listener(last), true), move |(mut listener, is_first)| async move {
            let item = if is_first {
                listener.start().await;
                None
            } else {
                match timeout(heartbeat, listener.next()).await {
                    Ok(item) => Some(item?),
                    Err(_) => None,
                }
            };
            Some((FeedUpdate { position: listener.position(), item }, (listener, false)))
        })
    }

    fn listener(&self, last: Option<Uuid>) -> FeedListener {
        FeedListener::open(Arc::clone(&self.hub), self.history.clone(), self.topic, self.config, last)
    }

    /// Reads the last published event, while there is no live event.
    async fn find_position(&self) {
        match self.history.after(None, 1).await {
            Ok(History::Events(events)) => self.hub.begin_after(events.last().map(|event| event.id)),
            Ok(History::UnknownEvent) => {}
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, topic = self.topic, "cannot read latest event");
            }
        }
    }

    /// Recovers a gap, after a new subscription exists. Every event published during the gap is now in the history, or
    /// is in the outbox and not marked as published yet. When the latter ones are marked, the history is complete.
    async fn recover_gap(&self, outbox: &dyn Outbox) {
        let (began, mut failures) = (Instant::now(), 0);
        let mut missing: Option<HashSet<Uuid>> = None;
        let mut is_late = false;
        loop {
            match unpublished(outbox).await {
                Ok(unpublished) => {
                    let still = |known: HashSet<Uuid>| known.intersection(&unpublished).copied().collect();
                    missing = Some(missing.map_or_else(|| unpublished.clone(), still));
                }
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(error = cause, topic = self.topic, "cannot read the outbox to recover a gap");
                }
            }
            if missing.as_ref().is_some_and(HashSet::is_empty) {
                break;
            }
            if !is_late && began.elapsed() >= self.config.recovery_timeout {
                // Listeners continue without the missing events and read them when they are marked.
                is_late = true;
                self.hub.mark_complete();
            }
            failures += 1;
            sleep(RECOVERY_BACKOFF.delay(failures)).await;
        }
        if is_late {
            self.hub.mark_gap();
        }
        // New listeners resume after the missed events, which are in the history.
        self.find_position().await;
        self.hub.mark_complete();
    }
}

async fn unpublished(outbox: &dyn Outbox) -> Result<HashSet<Uuid>, RepoError> {
    let events = outbox.pending(MAX_IN_FLIGHT).await?;
    Ok(events.into_iter().map(|event| event.id).collect())
}

#[async_trait]
impl Component for EventFeed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn phase(&self) -> Phase {
        Phase::Transport
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => {}
            () = self.find_position() => {}
        }
        let source = SubscriptionSource {
            subscriber: Arc::clone(&self.subscriber),
            topic: self.topic,
            name: "feed",
            group: Group::Broadcast,
            filter: EventFilter::All,
        };
        let (metrics, progress) = (self.metrics.clone(), self.progress.clone());
        let mut subscription = ResilientSubscription::new(source, self.config.backoff, metrics, progress);
        let mut recovery = pin!(Fuse::terminated());
        loop {
            let next = tokio::select! {
                biased;
                () = stop.requested() => break,
                () = &mut recovery => continue,
                next = subscription.next() => next,
            };
            match next {
                None => match &self.history {
                    FeedHistory::Outbox(outbox) => {
                        self.hub.mark_gap();
                        recovery.set(self.recover_gap(&**outbox).fuse());
                    }
                    FeedHistory::None => self.hub.restart(UuidV7.next()),
                },
                Some(delivery) => {
                    self.hub.push(Arc::clone(&delivery.event));
                    if let Err(error) = delivery.ack().await {
                        let cause = &error as &dyn std::error::Error;
                        tracing::warn!(error = cause, topic = self.topic, "cannot settle delivery");
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
