//! Collects the trades of one venue.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kennel_app::{Component, Stop};
use kennel_client::AddressPolicy;
use kennel_core::{Backoff, BoxError, Clock};
use market_domain::{Symbol, Venue};
use market_venues::Symbols;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::backfill::Backfill;
use crate::listing::Listing;
use crate::metrics::CollectorMetrics;
use crate::positions::{Known, Positions};
use crate::publisher::TradePublisher;
use crate::sampler::Sampler;
use crate::session::{End, Session};
use crate::shards::{Owned, Shards, shard_of};
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
    pub(crate) listing: Listing,
    /// The symbols of the connection.
    pub(crate) symbols: Symbols,
    pub(crate) url: Url,
    pub(crate) policy: AddressPolicy,
    /// The shortest pause between two connections.
    pub(crate) pause: Duration,
    pub(crate) backfill: Backfill,
    pub(crate) positions: Positions,
    /// The question what the preprocessor knows, until it is answered.
    pub(crate) question: Option<BoxFuture<'static, Vec<Known>>>,
    /// The symbols for which it was asked.
    pub(crate) asked: HashSet<Symbol>,
    pub(crate) shards: Option<Shards>,
    /// The shards that this collector has, and their number.
    pub(crate) owned: watch::Receiver<Owned>,
    pub(crate) shard_count: u16,
    pub(crate) publisher: TradePublisher,
    pub(crate) tracker: Tracker,
    pub(crate) metrics: CollectorMetrics,
    pub(crate) sampler: Sampler,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Component for VenueWorker {
    fn name(&self) -> &'static str {
        self.name
    }

    /// A trade that is published when the process stops may be published again after the next start, with the same id.
    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let owned = watch::Sender::new(Owned::new());
        self.owned = owned.subscribe();
        let Some(shards) = self.shards.take() else { return Err("it has run before".into()) };
        tokio::select! {
            () = stop.requested() => {}
            () = shards.maintain(&owned) => {}
            () = self.collect() => {}
        }
        Ok(())
    }
}

impl VenueWorker {
    async fn collect(&mut self) {
        let backoff = Backoff::new(self.pause, self.pause * 16);
        let mut failures = 0;
        loop {
            self.assign().await;
            let started = Instant::now();
            self.symbols = self.listing.symbols(self.venue, started);
            let end = match connect(&self.url, &self.policy).await {
                Ok(socket) => {
                    tracing::info!(venue = %self.venue, "connected");
                    Session::new(self, socket).run().await
                }
                Err(error) => End::Failed(error),
            };
            self.metrics.connection_ended(self.venue, end.reason());
            failures = if started.elapsed() < STABLE && !matches!(end, End::ClosingSoon | End::Replaced) {
                failures + 1
            } else {
                0
            };
            tracing::warn!(venue = %self.venue, failures, reason = &end as &dyn std::error::Error, "connection ended");
            sleep(backoff.delay(failures)).await;
        }
    }

    /// Waits until this collector has symbols. For those that it did not have before, it asks what the preprocessor knows.
    async fn assign(&mut self) {
        loop {
            let owned = self.owned.borrow_and_update().clone();
            let count = self.shard_count;
            self.listing.assign(|symbol| owned.contains(&shard_of(symbol, count)));
            self.tracker.retain(|symbol| self.listing.has(symbol));
            let symbols = self.listing.symbols(self.venue, Instant::now()).all();
            self.asked.retain(|symbol| symbols.contains(symbol));
            let is_new = symbols.iter().filter(|symbol| self.asked.insert((*symbol).clone())).count() > 0;
            if is_new {
                let mut question = self.positions.clone().learn(self.venue).boxed();
                match timeout(POSITION_WAIT, &mut question).await {
                    Ok(known) => self.resume(known),
                    Err(_) => self.question = Some(question),
                }
            }
            // Without a sender, the process stops.
            if !symbols.is_empty() || self.owned.changed().await.is_err() {
                return;
            }
        }
    }

    /// Continues where the preprocessor's knowledge ends, as soon as it has answered.
    pub(crate) fn learn(&mut self) {
        if let Some(known) = self.question.as_mut().and_then(FutureExt::now_or_never) {
            self.resume(known);
        }
    }

    fn resume(&mut self, known: Vec<Known>) {
        self.question = None;
        for known in known.into_iter().filter(|known| self.listing.has(&known.symbol)) {
            self.tracker.resume(known.symbol, known.last, known.time, &known.missing);
        }
    }

    /// Leaves out the symbols that the venue does not have, according to its refusal, until they are tried again: the others
    /// are collected without them. The last one is not left out.
    pub(crate) fn refused(&mut self, answer: &str) {
        let refused = self.symbols.refused_by(answer);
        if refused.len() >= self.symbols.count() {
            return;
        }
        for symbol in refused {
            tracing::error!(venue = %self.venue, %symbol, answer, "the venue does not have the symbol; it is not collected for now");
            self.listing.refuse(&symbol, Instant::now());
        }
    }
}
