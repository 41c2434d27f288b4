//! Publishes what the outbox holds: in order, at least once, by one process at a time.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::poll;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use kennel_app::{Component, Progress, Stop, in_batches, progress};
use kennel_core::broker::BrokerError;
use kennel_core::outbox::Backlog;
use kennel_core::{BoxError, Clock, Event, Outbox, Publisher, RepoError};
use kennel_telemetry::number;
use tokio::time::sleep;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::Backoff;
use crate::lease::Lease;
use crate::metrics::RelayMetrics;

/// The most events read to find some that can be published.
const MOST_PENDING: u32 = 10_000;

/// How the relay works.
#[derive(Debug, Clone, Copy)]
pub struct RelayConfig {
    /// Events published together at most.
    pub batch: u32,
    /// Another batch is begun while fewer events than this are in flight; with 1, one batch at a time. More only for a
    /// broker that hands events on in the order of the calls and answers once they are dealt with, so that events in
    /// trouble do not hold up the others.
    pub in_flight: u32,
    /// How long the lease outlives a process that was killed; it is renewed three times as often.
    pub lease_ttl: Duration,
    /// How often to look for events that another process committed.
    pub poll: Duration,
    /// The wait after a failure.
    pub backoff: Backoff,
    /// How long a batch in hand may still take once a stop is asked for; afterwards it stays for the next start.
    pub stop_grace: Duration,
    /// How often the backlog is measured.
    pub measure_every: Duration,
    /// How long published events are kept for history, and receipts against repetition.
    pub retention: Duration,
    /// How often older ones are removed.
    pub purge_every: Duration,
    /// How long events may wait while none is published, by this process or another, before that is reported.
    pub stall_limit: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            batch: 100,
            in_flight: 1,
            // A relay that was killed is followed by another within five seconds: others ask every third of this.
            lease_ttl: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            backoff: Backoff { min: Duration::from_millis(100), max: Duration::from_secs(10) },
            stop_grace: Duration::from_secs(2),
            measure_every: Duration::from_secs(5),
            retention: Duration::from_hours(7 * 24),
            purge_every: Duration::from_hours(1),
            stall_limit: progress::DEFAULT_LIMIT,
        }
    }
}

/// Publishes the events of an outbox, in the order of their commits, while it holds the outbox's lease.
///
/// An event is published again until the broker has taken it; none is skipped. One that the broker took just before
/// a crash, or a failed mark, is published twice.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    publisher: Arc<dyn Publisher>,
    clock: Arc<dyn Clock>,
    lease: Lease,
    config: RelayConfig,
    metrics: RelayMetrics,
    progress: Progress,
}

/// Why a batch did not go out.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl Relay {
    /// A relay that competes for the lease as `holder`, an id of this process alone.
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

    /// Whether the outbox gets emptier, whoever publishes.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Publishes while the lease is held, until `stop`.
    async fn lead(&self, stop: &Stop) {
        let mut failures = 0;
        while !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => return,
                () = self.lease.held() => {}
            }
            let ended = tokio::select! {
                biased;
                // Whoever has the lease now publishes the rest; going on could bring it behind newer events.
                () = self.lease.lost() => continue,
                ended = self.publish_all(stop, &mut failures) => ended,
            };
            let Err(error) = ended else { return };
            failures += 1;
            let delay = self.config.backoff.delay(failures);
            tracing::warn!(error = &error as &dyn std::error::Error, failures, ?delay, "events cannot be relayed");
            tokio::select! {
                () = stop.requested() => return,
                () = sleep(delay) => {}
            }
        }
    }

    /// Publishes batch after batch until `stop`, and marks them in the same order. What is in flight when this
    /// fails or is dropped stays unmarked, and so is published again.
    async fn publish_all(&self, stop: &Stop, failures: &mut u32) -> Result<(), RelayError> {
        let mut batches = FuturesOrdered::new();
        let mut flight = Flight::default();
        let mut out_of_time = pin!(self.out_of_time(stop));
        loop {
            let mut wake = self.outbox.wait(self.config.poll);
            // Armed before the reading, so that no commit falls between the two.
            let woken = poll!(&mut wake).is_ready();
            let stopping = stop.is_requested();
            let room = !stopping && flight.events < self.config.in_flight.max(1);
            if room {
                let events = self.next_batch(&flight).await?;
                if !events.is_empty() {
                    flight.board(&events);
                    batches.push_back(self.publish(events));
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
                biased;
                Some(published) = batches.next() => {
                    let (events, span) = published?;
                    self.mark(&events).instrument(span).await?;
                    flight.leave(&events);
                    *failures = 0;
                }
                () = &mut out_of_time => return Ok(()),
                () = stop.requested(), if !stopping => {}
                () = wake, if room => {}
            }
        }
    }

    /// The oldest events that wait and have no event of their key in flight.
    async fn next_batch(&self, flight: &Flight) -> Result<Vec<Event>, RepoError> {
        let mut limit = self.config.batch.saturating_add(flight.events);
        loop {
            let mut events = self.outbox.pending(limit).await?;
            let is_all = events.len() < limit as usize;
            events.retain(|event| !flight.carries(event));
            // A key in trouble may have more events than were read; those of other keys are behind them.
            if events.is_empty() && !is_all && limit < MOST_PENDING {
                limit = limit.saturating_mul(2).min(MOST_PENDING);
                continue;
            }
            events.truncate(self.config.batch as usize);
            return Ok(events);
        }
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(Vec<Event>, Span), BrokerError> {
        // The broker's own span inside it links to where each event happened.
        let span = tracing::info_span!("outbox.relay", outbox.batch = number(events.len()));
        self.publisher.publish(&events).instrument(span.clone()).await?;
        Ok((events, span))
    }

    async fn mark(&self, events: &[Event]) -> Result<(), RelayError> {
        if !self.lease.is_held() && !self.lease.ask().await? {
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

    /// Keeps the gauges true, leader or not; never ends.
    async fn measure(&self) {
        let mut last = Backlog::default();
        loop {
            match self.outbox.backlog().await {
                Ok(backlog) => {
                    self.note(last, backlog);
                    last = backlog;
                    let oldest = backlog.oldest.map(|oldest| self.clock.now().since(oldest));
                    self.metrics.pending.set(i64::try_from(backlog.pending).unwrap_or(i64::MAX));
                    self.metrics.oldest.set(oldest.unwrap_or_default().as_secs_f64());
                }
                Err(error) => {
                    self.progress.stalled("the outbox cannot be read");
                    tracing::warn!(error = &error as &dyn std::error::Error, "outbox backlog cannot be measured");
                }
            }
            sleep(self.config.measure_every).await;
        }
    }

    /// Compares the backlog with the one before. A process that does not lead sees only there whether another does.
    fn note(&self, before: Backlog, now: Backlog) {
        if now.pending < before.pending || now.oldest != before.oldest {
            self.progress.advanced();
        }
        match now.pending {
            0 => self.progress.advanced(),
            1 => self.progress.stalled("1 event waits and none was published"),
            waiting => self.progress.stalled(format!("{waiting} events wait and none was published")),
        }
    }

    /// Removes what is older than the retention, while leader; never ends.
    async fn tidy(&self) {
        loop {
            self.lease.held().await;
            let before = self.clock.now().saturating_sub(self.config.retention);
            match in_batches(|rows| self.outbox.purge(before, rows)).await {
                Ok(removed) => tracing::debug!(removed, "old events and receipts are removed"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old events cannot be removed");
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
        // The lease is renewed beside the publishing, which takes as long as the broker likes.
        tokio::select! {
            () = self.lead(&stop) => {}
            ((), (), ()) = async { tokio::join!(self.lease.keep(), self.measure(), self.tidy()) } => {}
        }
        self.lease.release().await;
        Ok(())
    }
}

/// What is being published: at most one batch has events of a key, so that none can overtake another.
#[derive(Default)]
struct Flight {
    keys: HashSet<(String, String)>,
    events: u32,
}

impl Flight {
    fn carries(&self, event: &Event) -> bool {
        self.events > 0 && self.keys.contains(&place(event))
    }

    fn board(&mut self, events: &[Event]) {
        self.keys.extend(events.iter().map(place));
        self.events += u32::try_from(events.len()).unwrap_or(u32::MAX);
    }

    fn leave(&mut self, events: &[Event]) {
        for event in events {
            self.keys.remove(&place(event));
        }
        self.events -= u32::try_from(events.len()).unwrap_or(u32::MAX);
    }
}

/// What orders an event.
fn place(event: &Event) -> (String, String) {
    (event.topic.clone(), event.key.clone())
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
