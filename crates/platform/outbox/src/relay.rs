//! The outbox relay: publishes events in commit order, at least once, from one process at a time.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::poll;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, in_batches, progress};
use kennel_core::broker::BrokerError;
use kennel_core::outbox::Backlog;
use kennel_core::{Backoff, BoxError, Clock, Event, Outbox, Publisher, RepoError};
use kennel_telemetry::as_i64;
use tokio::time::sleep;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::lease::Lease;
use crate::metrics::RelayMetrics;

/// Maximum number of pending events that are read to find some that can be published.
const MAX_PENDING_READ: u32 = 10_000;
/// How often a batch is halved at most: then the largest one that can be configured has one event.
const MAX_HALVINGS: u32 = 9;

/// Settings of the relay.
#[derive(Debug, Clone, Copy)]
pub struct RelayConfig {
    /// Maximum number of events in one call to the broker. It is halved after each failure, and doubled after each
    /// success until it is reached again: a broker may be able to store some events within its time limit, but not all.
    pub batch: u32,
    /// Further batches are started, and made smaller, so that at most so many events are in flight; with 1, one batch
    /// at a time. Larger values are only for a broker that delivers in the order of the calls and returns after the
    /// consumers have settled the events: there, events that fail do not block the others.
    pub in_flight: u32,
    /// How long the lease remains after a process was killed; it is renewed three times in this time.
    pub lease_ttl: Duration,
    /// Interval between queries for events that another process committed.
    pub poll: Duration,
    /// The delay after a failure.
    pub backoff: Backoff,
    /// How long the batches in flight may take after a stop request; then they are left for the next start.
    pub stop_grace: Duration,
    /// Interval between measurements of the backlog.
    pub measure_every: Duration,
    /// How long published events are retained for the history, and receipts against duplicates.
    pub retention: Duration,
    /// Interval between deletions of older ones.
    pub purge_every: Duration,
    /// How long events may be pending while none is published, by this process or another, before a stall is reported.
    pub stall_limit: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            batch: 500,
            in_flight: 1,
            // After a relay is killed, another one starts within five seconds: they ask three times in this time.
            lease_ttl: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            stop_grace: Duration::from_secs(2),
            measure_every: Duration::from_secs(5),
            retention: Duration::from_hours(7 * 24),
            purge_every: Duration::from_hours(1),
            stall_limit: progress::DEFAULT_LIMIT,
        }
    }
}

/// Publishes the events of an outbox, in commit order, while it has the outbox's lease.
///
/// An event is published again until the broker has stored it; none is skipped. An event is published twice when the
/// process stops, or marking it as published fails, after the broker stored it.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    publisher: Arc<dyn Publisher>,
    clock: Arc<dyn Clock>,
    lease: Lease,
    config: RelayConfig,
    metrics: RelayMetrics,
    progress: Progress,
}

/// Why a batch was not published.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Relay {
    /// Creates a relay that competes for the lease as `holder`, an id that is unique to this process.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        publisher: Arc<dyn Publisher>,
        clock: Arc<dyn Clock>,
        holder: Uuid,
        config: RelayConfig,
        metrics: RelayMetrics,
    ) -> Self {
        let lease = Lease::new(Arc::clone(&outbox), holder, config.lease_ttl, metrics.leader.clone());
        let progress = Progress::new(config.stall_limit);
        Self { outbox, publisher, clock, lease, config, metrics, progress }
    }

    /// Returns the progress: whether pending events get published, by any process.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Publishes while the lease is held, until `stop`.
    async fn publish_while_leader(&self, stop: &Stop) {
        let mut pace = Pace::default();
        while !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => return,
                () = self.lease.held() => {}
            }
            let ended = tokio::select! {
                biased;
                // Another process may publish the rest now; continuing could publish old events after newer ones.
                () = self.lease.lost() => continue,
                ended = self.publish_all(stop, &mut pace) => ended,
            };
            let Err(error) = ended else { return };
            pace.failed();
            let delay = self.config.backoff.delay(pace.failures);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                failures = pace.failures,
                ?delay,
                "cannot publish events of the outbox"
            );
            tokio::select! {
                () = stop.requested() => return,
                () = sleep(delay) => {}
            }
        }
    }

    /// Publishes batches until `stop`, and marks them as published in the same order. Batches in flight when this fails
    /// or is dropped are not marked, so they are published again.
    async fn publish_all(&self, stop: &Stop, pace: &mut Pace) -> Result<(), RelayError> {
        // Yields results in the order of the calls, so that batches are marked in publish order.
        let mut batches = FuturesOrdered::new();
        let mut flight = InFlight::default();
        let mut out_of_time = pin!(self.out_of_time(stop));
        loop {
            let mut wake = self.outbox.wait(self.config.poll);
            // Polled once before the query, so that a commit between the query and the wait wakes it.
            let woken = poll!(&mut wake).is_ready();
            let stopping = stop.is_requested();
            let size = if stopping { 0 } else { self.next_size(&flight, pace) };
            if size > 0 {
                let events = self.next_batch(&flight, size).await?;
                if !events.is_empty() {
                    flight.add(&events);
                    batches.push_back(self.publish(events));
                    // The in-process broker often returns at once. Then the next query need not read these events again.
                    if let Poll::Ready(Some(published)) = poll!(batches.next()) {
                        self.complete(published, &mut flight, pace).await?;
                    }
                    continue;
                }
                if woken {
                    continue;
                }
            }
            if stopping && batches.is_empty() {
                return Ok(());
            }
            tokio::select! {
                // Results first: what the broker has stored is marked even when the time is up.
                biased;
                Some(published) = batches.next() => self.complete(published, &mut flight, pace).await?,
                () = &mut out_of_time => return Ok(()),
                () = stop.requested(), if !stopping => {}
                () = wake, if size > 0 => {}
            }
        }
    }

    /// Returns how many events the next batch may have. Zero while enough are in flight.
    fn next_size(&self, flight: &InFlight, pace: &Pace) -> u32 {
        let batch = (self.config.batch >> pace.halvings).max(1);
        if flight.events == 0 {
            return batch;
        }
        // No more, because a feed buffers only so many events that are published and not marked yet.
        batch.min(self.config.in_flight.saturating_sub(flight.events))
    }

    /// Returns the oldest pending events whose ordering keys have no event in flight, at most `size`.
    async fn next_batch(&self, flight: &InFlight, size: u32) -> Result<Vec<Event>, RepoError> {
        let mut limit = size.saturating_add(flight.events);
        loop {
            let mut events = self.outbox.pending(limit).await?;
            let is_all = events.len() < limit as usize;
            events.retain(|event| !flight.blocks(event));
            // One blocked key may have more events than were read, so read further to find those of other keys.
            if events.is_empty() && !is_all && limit < MAX_PENDING_READ {
                limit = limit.saturating_mul(2).min(MAX_PENDING_READ);
                continue;
            }
            events.truncate(size as usize);
            return Ok(events);
        }
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(Vec<Event>, Span), BrokerError> {
        // The broker creates a span inside this one, with links to the spans that caused the events.
        let span = tracing::info_span!("outbox.relay", outbox.batch = as_i64(events.len()));
        self.publisher.publish(&events).instrument(span.clone()).await?;
        Ok((events, span))
    }

    /// Marks the events of a batch that the broker has stored.
    async fn complete(
        &self,
        published: Result<(Vec<Event>, Span), BrokerError>,
        flight: &mut InFlight,
        pace: &mut Pace,
    ) -> Result<(), RelayError> {
        let (events, span) = published?;
        self.mark(&events).instrument(span).await?;
        flight.remove(&events);
        pace.succeeded();
        Ok(())
    }

    async fn mark(&self, events: &[Event]) -> Result<(), RelayError> {
        // Without the lease another process publishes these events again and marks them in its own order.
        if !self.lease.is_held() && !self.lease.acquire().await? {
            return Ok(());
        }
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let now = self.clock.now();
        self.outbox.mark_published(&ids, now).await?;
        self.progress.advanced();
        for event in events {
            self.metrics.relay.observe_in(now.since(event.time), event.trace.as_ref());
        }
        self.metrics.published.inc_by(ids.len() as u64);
        Ok(())
    }

    async fn out_of_time(&self, stop: &Stop) {
        stop.requested().await;
        tokio::select! {
            () = stop.aborted() => {}
            () = sleep(self.config.stop_grace) => {}
        }
    }

    /// Updates the gauges, also while not the leader; never returns.
    async fn measure_loop(&self) {
        let mut last = Backlog::default();
        loop {
            match self.outbox.backlog().await {
                Ok(backlog) => {
                    self.update_progress(last, backlog);
                    last = backlog;
                    let oldest = backlog.oldest.map(|oldest| self.clock.now().since(oldest));
                    self.metrics.pending.set(i64::try_from(backlog.pending).unwrap_or(i64::MAX));
                    self.metrics.oldest.set(oldest.unwrap_or_default().as_secs_f64());
                }
                Err(error) => {
                    self.progress.stalled("cannot read the outbox");
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot measure outbox backlog");
                }
            }
            sleep(self.config.measure_every).await;
        }
    }

    /// Compares the backlog with the previous one. A process that is not the leader can only see there whether another
    /// one publishes.
    fn update_progress(&self, previous: Backlog, now: Backlog) {
        if now.pending < previous.pending || now.oldest != previous.oldest {
            self.progress.advanced();
        }
        match now.pending {
            0 => self.progress.advanced(),
            1 => self.progress.stalled("1 event pending, none published"),
            waiting => self.progress.stalled(format!("{waiting} events pending, none published")),
        }
    }

    /// Deletes rows older than the retention, while leader; never returns.
    async fn purge_loop(&self) {
        loop {
            self.lease.held().await;
            let previous = self.clock.now().saturating_sub(self.config.retention);
            match in_batches(|rows| self.outbox.purge(previous, rows)).await {
                Ok(removed) => tracing::debug!(removed, "deleted old events and receipts"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot delete old events");
                }
            }
            sleep(self.config.purge_every).await;
        }
    }
}

#[async_trait]
impl Component for Relay {
    fn name(&self) -> &'static str {
        "outbox-relay"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        // The lease is renewed concurrently, because publishing can take arbitrarily long.
        tokio::select! {
            () = self.publish_while_leader(&stop) => {}
            ((), (), ()) = async { tokio::join!(self.lease.run(), self.measure_loop(), self.purge_loop()) } => {}
        }
        self.lease.release().await;
        Ok(())
    }
}

/// How fast to publish, after successes and failures.
#[derive(Default)]
struct Pace {
    /// Number of failures since the last success.
    failures: u32,
    /// How often the batch is halved.
    halvings: u32,
}

impl Pace {
    fn failed(&mut self) {
        self.failures += 1;
        self.halvings = (self.halvings + 1).min(MAX_HALVINGS);
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.halvings = self.halvings.saturating_sub(1);
    }
}

/// Events being published. A key is in at most one batch, so that its events cannot overtake each other.
#[derive(Default)]
struct InFlight {
    keys: HashSet<(String, String)>,
    events: u32,
}

impl InFlight {
    fn blocks(&self, event: &Event) -> bool {
        self.events > 0 && self.keys.contains(&ordering_key(event))
    }

    fn add(&mut self, events: &[Event]) {
        self.keys.extend(events.iter().map(ordering_key));
        self.events += u32::try_from(events.len()).unwrap_or(u32::MAX);
    }

    fn remove(&mut self, events: &[Event]) {
        for event in events {
            self.keys.remove(&ordering_key(event));
        }
        self.events -= u32::try_from(events.len()).unwrap_or(u32::MAX);
    }
}

/// Returns the topic and key, within which events are ordered.
fn ordering_key(event: &Event) -> (String, String) {
    (event.topic.clone(), event.key.clone())
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
