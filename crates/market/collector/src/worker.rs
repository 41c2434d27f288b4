//! Collects the trades of one venue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_client::AddressPolicy;
use kennel_core::{Backoff, BoxError, Clock};
use market_domain::Venue;
use market_venues::Symbols;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::backfill::Backfill;
use crate::metrics::CollectorMetrics;
use crate::positions::Positions;
use crate::publisher::TradePublisher;
use crate::session::{End, Session};
use crate::socket::connect;
use crate::tracker::Tracker;

/// A connection that lasted this long was not a failure.
const STABLE: Duration = Duration::from_secs(30);
/// How long it may take to learn up to where trades are known; without that, only later gaps are filled.
const POSITION_ATTEMPTS: u32 = 20;
const POSITION_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));

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
        tokio::select! {
            () = stop.requested() => {}
            () = self.collect() => {}
        }
        Ok(())
    }
}

impl VenueWorker {
    async fn collect(&mut self) {
        self.resume().await;
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

    /// Learns up to where trades are known.
    async fn resume(&mut self) {
        for attempt in 1..=POSITION_ATTEMPTS {
            match self.positions.resume(self.venue, &mut self.tracker).await {
                Ok(()) => return,
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(venue = %self.venue, attempt, error = cause, "cannot read what is known, will retry");
                }
            }
            sleep(POSITION_BACKOFF.delay(attempt)).await;
        }
    }
}
