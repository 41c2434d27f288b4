//! Reads missing trades by the REST API of a venue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kennel_client::{Client, ClientError};
use kennel_core::{Backoff, Clock};
use market_domain::{Micros, Missing, Symbol, Trade, Venue};
use market_venues::{InvalidFrame, LIMITED, adapter, pause_after};
use tokio::time::Instant;
use url::Url;

/// The pause after requests that failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));

/// Why missing trades could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackfillError {
    #[error("cannot ask for missing trades")]
    Client(#[from] ClientError),
    #[error("cannot read missing trades")]
    Page(#[from] InvalidFrame),
    #[error("url of missing trades is invalid")]
    Url(#[from] url::ParseError),
}

impl BackfillError {
    /// How long the venue does not want requests, as far as it says so.
    fn pause(&self) -> Duration {
        let pause = match self {
            Self::Client(ClientError::Status { status, retry_after }) => pause_after(status.as_u16(), *retry_after),
            Self::Client(error) => error.retry_after(),
            Self::Page(InvalidFrame::Refused(_)) => Some(LIMITED),
            Self::Page(_) | Self::Url(_) => None,
        };
        pause.unwrap_or_default()
    }
}

/// The REST API of a venue.
pub(crate) struct Api {
    pub(crate) venue: Venue,
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A page of missing trades: those that are missing, in the order of their ids, and what is missing after it.
pub(crate) type Page = (Vec<Trade>, Option<Missing>);

impl Api {
    async fn page(&self, symbol: &Symbol, missing: &Missing) -> Result<Page, BackfillError> {
        let adapter = adapter(self.venue);
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

/// The requests for missing trades of a venue: one at a time, and not more often than the venue wants.
pub(crate) struct Backfill {
    api: Arc<Api>,
    /// The pause between two requests.
    pause: Duration,
    /// When the next request may be sent.
    pub(crate) next: Instant,
    /// How many requests have failed since the last success.
    failures: u32,
}

impl Backfill {
    pub(crate) fn new(api: Api, pause: Duration) -> Self {
        Self { api: Arc::new(api), pause, next: Instant::now(), failures: 0 }
    }

    /// Asks for a page of missing trades. It may be sent at [`Self::next`]; its result is for [`Self::answered`].
    pub(crate) fn ask(
        &mut self,
        symbol: &Symbol,
        missing: &Missing,
    ) -> BoxFuture<'static, Result<Page, BackfillError>> {
        self.next = Instant::now() + self.pause;
        let (api, symbol, missing) = (Arc::clone(&self.api), symbol.clone(), *missing);
        Box::pin(async move { api.page(&symbol, &missing).await })
    }

    /// After an error there is no request for as long as the venue wants, or longer with each error.
    pub(crate) fn answered(&mut self, result: &Result<Page, BackfillError>) {
        match result {
            Ok(_) => self.failures = 0,
            Err(error) => {
                self.failures += 1;
                self.next = Instant::now() + error.pause().max(BACKOFF.delay(self.failures)).max(self.pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use market_venues::BANNED;

    use super::*;

    #[test]
    fn the_venue_says_how_long_it_wants_no_requests() {
        let pause = |status: u16, retry_after: Option<u64>| {
            let (status, retry_after) = (status.try_into().unwrap(), retry_after.map(Duration::from_secs));
            BackfillError::Client(ClientError::Status { status, retry_after }).pause()
        };
        assert_eq!(pause(429, Some(7)), Duration::from_secs(7));
        assert_eq!((pause(429, None), pause(418, None)), (LIMITED, BANNED));
        assert_eq!(pause(418, Some(3_600)), Duration::from_hours(1));
        assert_eq!(pause(404, None), Duration::ZERO);
        assert_eq!(BackfillError::Page(InvalidFrame::Refused("too many".to_owned())).pause(), LIMITED);
    }
}
