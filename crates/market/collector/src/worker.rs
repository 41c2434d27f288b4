//! Collects the trades of one venue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_client::AddressPolicy;
use kennel_core::{Backoff, BoxError, Clock};
use market_domain::Venue;
use market_venues::Symbols;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::backfill::Backfill;
use crate::metrics::CollectorMetrics;
use crate::positions::{Known, Positions};
use crate::publisher::TradePublisher;
use crate::session::{End, Session};
use crate::socket::connect;
use crate::tracker::Tracker;

/// A connection that lasted this long was not a failure.
const STABLE: Duration = Duration::from_secs(30);
/// How long the first connection waits for what is known about the trades before it. What is learned later is filled later.
const POSITION_WAIT: Duration = Duration::from_secs(30);

/// The connections to one venue, one after the other.
pub(crate) struct VenueWorker {
    pub(crate) name: &'static str,
    pub(crate) venue: Venue,
    pub(crate) symbols: Symbols,
    pub(crate) url: Url,
    pub(crate) policy: AddressPolicy,
    /// The shortest pause between two connections.
    pub(crate) pause: Duration,
    pub(crate) backfill: Backfill,
    pub(crate) positions: Positions,
    /// What the preprocessor knows, once it has answered.
    pub(crate) learned: Option<oneshot::Receiver<Vec<Known>>>,
    pub(crate) publisher: TradePublisher,
    pub(crate) tracker: Tracker,
    pub(crate) metrics: CollectorMetrics,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Component for VenueWorker {
    fn name(&self) -> &'static str {
        self.name
    }

    /// A trade that is published when the process stops may be published again after the next start, with the same id.
    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let (sender, learned) = oneshot::channel();
        self.learned = Some(learned);
        let learn = self.positions.clone().learn(self.venue, sender);
        tokio::select! {
            () = stop.requested() => {}
            _ = async { tokio::join!(learn, self.collect()) } => {}
        }
        Ok(())
    }
}

impl VenueWorker {
    async fn collect(&mut self) {
        if let Some(learned) = &mut self.learned
            && let Ok(Ok(known)) = timeout(POSITION_WAIT, learned).await
        {
            self.resume(known);
        }
        let backoff = Backoff::new(self.pause, self.pause * 16);
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let end = match connect(&self.url, &self.policy).await {
                Ok(socket) => {
                    tracing::info!(venue = %self.venue, "connected");
                    Session::new(self, socket).run().await
                }
                Err(error) => End::Failed(error),
            };
            self.metrics.connection_ended(self.venue, end.reason());
            failures = if started.elapsed() < STABLE && !matches!(end, End::ClosingSoon) { failures + 1 } else { 0 };
            tracing::warn!(venue = %self.venue, failures, reason = &end as &dyn std::error::Error, "connection ended");
            sleep(backoff.delay(failures)).await;
        }
    }

    /// Continues where the preprocessor's knowledge ends, as soon as it has answered.
    pub(crate) fn learn(&mut self) {
        if let Some(Ok(known)) = self.learned.as_mut().map(oneshot::Receiver::try_recv) {
            self.resume(known);
        }
    }

    fn resume(&mut self, known: Vec<Known>) {
        self.learned = None;
        let symbols = self.symbols.all();
        for known in known.into_iter().filter(|known| symbols.contains(&known.symbol)) {
            self.tracker.resume(known.symbol, known.last, known.time, &known.missing);
        }
    }

    /// Drops the symbols that the venue does not have, according to its refusal: the others are collected without them. The
    /// last one is not dropped.
    pub(crate) fn refused(&mut self, answer: &str) {
        let refused = self.symbols.refused_by(answer);
        if refused.len() >= self.symbols.count() {
            return;
        }
        for symbol in refused {
            tracing::error!(venue = %self.venue, %symbol, answer, "the venue does not have the symbol; it is not collected");
            self.metrics.refused(self.venue);
            self.symbols.remove(&symbol);
        }
    }
}
