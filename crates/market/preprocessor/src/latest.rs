//! The newest candles in the cache, where `analytics-api` finds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kennel_app::{Component, Stop};
use kennel_cache::TypedCache;
use kennel_core::BoxError;
use market_domain::{Candle, Instrument, Micros, Timeframe, Window};
use tokio::sync::Notify;

/// The newest candle of one minute of each instrument that is not in the cache yet. Clones share them. Trades do not wait for the
/// cache, and of several changes only the last one is written.
#[derive(Clone, Default)]
pub struct LatestCandles(Arc<Pending>);

#[derive(Default)]
struct Pending {
    candles: Mutex<HashMap<Instrument, Candle>>,
    changed: Notify,
}

impl LatestCandles {
    /// Adds what was committed of an instrument whose latest trade has this time.
    pub fn offer(&self, committed: &[Candle], latest: Micros) {
        let newest = Window::of(Timeframe::M1, latest);
        if let Some(candle) = committed.iter().find(|candle| candle.key.window == newest) {
            let mut candles = self.0.candles.lock().unwrap_or_else(PoisonError::into_inner);
            candles.insert(candle.key.instrument.clone(), candle.clone());
            self.0.changed.notify_one();
        }
    }

    fn take(&self) -> HashMap<Instrument, Candle> {
        std::mem::take(&mut *self.0.candles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes them to the cache. While it is unavailable, its metrics count the errors, and readers ask the service.
pub(crate) struct LatestWriter {
    pub(crate) latest: LatestCandles,
    pub(crate) cache: TypedCache<Candle>,
}

#[async_trait]
impl Component for LatestWriter {
    fn name(&self) -> &'static str {
        "latest-candles"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let write = async {
            loop {
                self.latest.0.changed.notified().await;
                for (instrument, candle) in self.latest.take() {
                    self.cache.set(&instrument.to_string(), &candle).await.ok();
                }
            }
        };
        tokio::select! {
            () = stop.requested() => Ok(()),
            () = write => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_cache::{CacheMetrics, Connected, Policy};
    use market_contracts::{LATEST_CANDLE_TTL, LATEST_CANDLES};
    use market_domain::{Bar, CandleKey, Venue};
    use prometheus::Registry;

    use super::*;

    fn candle(minute: i64, revision: i64) -> Candle {
        let one = "1".parse().unwrap();
        let bar = Bar {
            open: one,
            high: one,
            low: one,
            close: one,
            volume: one,
            quote_volume: one,
            buy_volume: one,
            trades: 1,
            first_id: 1,
            last_id: 1,
        };
        let instrument = Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() };
        let window = Window::of(Timeframe::M1, Micros(minute * 60 * Micros::SECOND));
        let key = CandleKey { instrument, window };
        Candle { key, bar, revision, is_final: false, is_complete: true, updated: Micros(0) }
    }

    #[test]
    fn only_the_newest_window_is_written_in_its_last_revision() {
        let (latest, now) = (LatestCandles::default(), Micros(5 * 60 * Micros::SECOND + 1));
        // A late trade changes an older window.
        latest.offer(&[candle(3, 7)], now);
        assert!(latest.take().is_empty());
        latest.offer(&[candle(4, 2), candle(5, 1)], now);
        latest.offer(&[candle(5, 2)], now);
        let found: Vec<_> = latest.take().into_values().collect();
        assert_eq!(found, [candle(5, 2)]);
        assert!(latest.take().is_empty());
    }

    /// A reader of the same cache, as analytics-api is.
    #[tokio::test]
    async fn readers_find_what_was_committed_last() {
        let connected = Connected::memory(1 << 20);
        let metrics = CacheMetrics::register(&Registry::new()).unwrap();
        let cache = || TypedCache::<Candle>::new(&connected, Policy::new(LATEST_CANDLES, LATEST_CANDLE_TTL), &metrics);
        let (latest, reader, stop) = (LatestCandles::default(), cache(), Stop::new());
        let writer = Box::new(LatestWriter { latest: latest.clone(), cache: cache() });
        let read = async {
            let now = Micros(5 * 60 * Micros::SECOND);
            for revision in 1..=3 {
                latest.offer(&[candle(5, revision)], now);
                // While the cache has nothing, the reader asks the service, which is at its first revision here.
                let load = || async { Ok::<_, std::convert::Infallible>(Some(candle(5, 1))) };
                while reader.get_or_load("kraken:BTC-USD", load).await != Ok(Some(candle(5, revision))) {
                    tokio::task::yield_now().await;
                }
            }
            stop.request();
        };
        let (ended, ()) = tokio::join!(writer.run(stop.clone()), read);
        ended.unwrap();
    }
}
