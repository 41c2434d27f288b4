//! What a venue says about the past.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_client::Client;
use kennel_core::Clock;
use market_domain::{Micros, Missing, Symbol, Timeframe, Trade, Venue};
use market_venues::{InvalidFrame, Kline, Order, adapter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::AuditError;

/// By how much times may not be in the order of the ids: a page is the last one when it has passed a minute by more.
const DISORDER: i64 = Micros::SECOND;
/// By how much the age of the oldest candle is less than its limit, so that it is still there when it is asked for.
const MARGIN: i64 = 2 * Timeframe::M1.micros();

/// The candles and trades of a venue.
#[async_trait]
pub trait VenueHistory: Send + Sync {
    /// The start of the earliest minute of which it has a candle.
    fn since(&self) -> Micros;

    /// Its candles of the minutes that start at `from` or later, and before `to`.
    async fn klines(&self, symbol: &Symbol, from: Micros, to: Micros) -> Result<Vec<Kline>, AuditError>;

    /// The trades with these ids that it has. Those that are not between the times of `wanted` may be left out.
    async fn trades(&self, symbol: &Symbol, wanted: Missing) -> Result<Vec<Trade>, AuditError>;
}

/// The REST API of a venue.
pub struct RestHistory {
    venue: Venue,
    client: Client,
    url: Url,
    clock: Arc<dyn Clock>,
    /// The pause between two requests.
    pause: Duration,
    times: Mutex<Times>,
}

/// When requests may be sent.
struct Times {
    /// The next one.
    next: Instant,
    /// Until when the venue wants none.
    refused: Instant,
}

impl RestHistory {
    /// The REST API at `url`, with the pauses that the venue's limits need. After a refusal, no request is sent for as long as the
    /// venue wants: calls fail with [`AuditError::Paused`].
    pub fn new(venue: Venue, client: Client, url: Url, clock: Arc<dyn Clock>, pause: Duration) -> Self {
        let now = Instant::now();
        Self { venue, client, url, clock, pause, times: Mutex::new(Times { next: now, refused: now }) }
    }

    fn now(&self) -> Micros {
        Micros(self.clock.now().as_millis() * 1_000)
    }

    async fn get<T>(
        &self,
        path: &str,
        read: impl FnOnce(&[u8]) -> Result<T, InvalidFrame> + Send,
    ) -> Result<T, AuditError> {
        let mut times = self.times.lock().await;
        if Instant::now() < times.refused {
            return Err(AuditError::Paused);
        }
        sleep_until(times.next).await;
        times.next = Instant::now() + self.pause;
        let result = self.fetch(path).await.and_then(|page| Ok(read(&page)?));
        if let Some(pause) = result.as_ref().err().and_then(AuditError::pause) {
            times.refused = Instant::now() + pause;
        }
        result
    }

    async fn fetch(&self, path: &str) -> Result<Vec<u8>, AuditError> {
        let url: Url = format!("{}{path}", self.url.as_str().trim_end_matches('/')).parse()?;
        Ok(self.client.get(&url).fetch().await?.body().to_vec())
    }
}

#[async_trait]
impl VenueHistory for RestHistory {
    fn since(&self) -> Micros {
        let Some(age) = adapter(self.venue).rules().kline_age else { return Micros(i64::MIN) };
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Timeframe::M1.open_of(Micros(self.now().0.saturating_sub(age).saturating_add(MARGIN)))
    }

    async fn klines(&self, symbol: &Symbol, from: Micros, to: Micros) -> Result<Vec<Kline>, AuditError> {
        let adapter = adapter(self.venue);
        let page = i64::try_from(adapter.rules().klines).unwrap_or(i64::MAX).saturating_mul(Timeframe::M1.micros());
        let (mut klines, mut start) = (Vec::new(), from);
        while start < to {
            let end = Micros(start.0.saturating_add(page).min(to.0));
            let found = self.get(&adapter.klines(symbol, start, end), |page| adapter.read_klines(page)).await?;
            klines.extend(found.into_iter().filter(|kline| (start..end).contains(&kline.open_time)));
            start = end;
        }
        Ok(klines)
    }

    async fn trades(&self, symbol: &Symbol, wanted: Missing) -> Result<Vec<Trade>, AuditError> {
        let adapter = adapter(self.venue);
        let (mut trades, mut rest) = (Vec::new(), Some(wanted));
        while let Some(missing) = rest {
            let received = self.now();
            let read = |page: &[u8]| adapter.read_page(symbol, page, received);
            let found = self.get(&adapter.page(symbol, &missing), read).await?;
            rest = adapter.rest(&missing, &found).filter(|rest| !has_passed(adapter.rules().order, &wanted, rest));
            trades.extend(found.into_iter().filter(|trade| (wanted.from..=wanted.to).contains(&trade.id)));
        }
        Ok(trades)
    }
}

/// Whether the pages that are left have no trades of the wanted times.
fn has_passed(order: Order, wanted: &Missing, rest: &Missing) -> bool {
    match order {
        Order::Ascending => rest.after.0 > wanted.before.0.saturating_add(DISORDER),
        Order::Descending => rest.before.0 < wanted.after.0.saturating_sub(DISORDER),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kennel_client::{ClientConfig, ClientMetrics};
    use kennel_core::SystemClock;
    use prometheus::Registry;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A venue that answers every request in the same way, and counts them.
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
    async fn venue(answer: &'static str) -> (RestHistory, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                assert!(socket.read(&mut request).await.unwrap() > 0);
                counter.fetch_add(1, Ordering::Relaxed);
                socket.write_all(answer.as_bytes()).await.unwrap();
                socket.shutdown().await.ok();
            }
        });
        let metrics = ClientMetrics::register(&Registry::new()).unwrap();
        let config = ClientConfig { allow_private: true, max_retries: 0, ..ClientConfig::default() };
        let client = Client::new("kraken", &config, &metrics).unwrap();
        (RestHistory::new(Venue::Kraken, client, url, Arc::new(SystemClock), Duration::ZERO), requests)
    }

    #[tokio::test]
    async fn after_a_refusal_no_request_is_sent_for_as_long_as_the_venue_wants() {
        let body = r#"{"error":["EAPI:Rate limit exceeded"]}"#;
        let limited = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for answer in [
            "HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 418 I'm a teapot\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            limited.leak(),
        ] {
            let (history, requests) = venue(answer).await;
            let symbol: Symbol = "BTC-USD".parse().unwrap();
            let (from, to) = (Micros(0), Micros(Timeframe::M1.micros()));
            let first = history.klines(&symbol, from, to).await.unwrap_err();
            assert!(first.pause().is_some() && first.stops_venue(), "{first}");
            let wanted = Missing { from: 1, to: 2, after: from, before: to };
            assert!(matches!(history.trades(&symbol, wanted).await, Err(AuditError::Paused)));
            assert_eq!(requests.load(Ordering::Relaxed), 1, "{answer}");
        }
    }

    #[test]
    fn pages_end_when_they_have_passed_the_wanted_times() {
        let second = |seconds: i64| Micros(seconds * Micros::SECOND);
        let wanted = Missing { from: 1, to: 1_000_000, after: second(60), before: second(120) };
        let after = |seconds| Missing { after: second(seconds), ..wanted };
        let before = |seconds| Missing { before: second(seconds), ..wanted };
        assert!(
            !has_passed(Order::Ascending, &wanted, &after(121)) && has_passed(Order::Ascending, &wanted, &after(122))
        );
        assert!(!has_passed(Order::Descending, &wanted, &before(59)));
        assert!(has_passed(Order::Descending, &wanted, &before(58)));
    }
}
