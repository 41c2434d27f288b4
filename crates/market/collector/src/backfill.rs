//! Reads missing trades by the REST API of a venue.

use std::sync::Arc;
use std::time::Duration;

use kennel_client::{Client, ClientError};
use kennel_core::Clock;
use market_domain::{Micros, Missing, Symbol, Trade, Venue};
use market_venues::{InvalidFrame, adapter};
use tokio::time::{Instant, sleep_until};
use url::Url;

/// More missing trades than this are not asked for at once: candles are marked as incomplete.
const MAX_MISSING: i64 = 200_000;

/// Why missing trades could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackfillError {
    #[error("cannot ask for missing trades")]
    Client(#[from] ClientError),
    #[error("cannot read missing trades")]
    Page(#[from] InvalidFrame),
    #[error("url of missing trades is invalid")]
    Url(#[from] url::ParseError),
    #[error("too many trades are missing: {0}")]
    TooMany(i64),
}

/// The REST API of a venue.
pub(crate) struct Backfill {
    pub(crate) venue: Venue,
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) clock: Arc<dyn Clock>,
    /// The pause between two requests.
    pub(crate) pause: Duration,
    /// When the next request may be sent.
    pub(crate) next: Instant,
}

impl Backfill {
    /// Reads a page of missing trades, in the order of their ids. Returns what is missing after it; `None` at the end.
    pub(crate) async fn page(
        &mut self,
        symbol: &Symbol,
        missing: &Missing,
    ) -> Result<(Vec<Trade>, Option<Missing>), BackfillError> {
        if missing.to != Missing::UNKNOWN && missing.count() > MAX_MISSING {
            return Err(BackfillError::TooMany(missing.count()));
        }
        let adapter = adapter(self.venue);
        sleep_until(self.next).await;
        self.next = Instant::now() + self.pause;
        let url: Url =
            format!("{}{}", self.url.as_str().trim_end_matches('/'), adapter.page(symbol, missing)).parse()?;
        let page = self.client.get(&url).fetch().await?;
        let received = Micros(self.clock.now().as_millis() * 1_000);
        let trades = adapter.read_page(symbol, page.body(), received)?;
        let rest = adapter.rest(missing, &trades);
        let mut found: Vec<_> =
            trades.into_iter().filter(|trade| (missing.from..=missing.to).contains(&trade.id)).collect();
        found.sort_by_key(|trade| trade.id);
        Ok((found, rest))
    }
}
