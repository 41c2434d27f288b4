//! Publishes trades.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Backoff, Clock, CodecError, Event, Publisher, Timestamp};
use market_contracts::{TradeReported, TradeReportedV2};
use market_domain::{Micros, Trade, Venue};
use tokio::time::sleep;
use tracing::Instrument as _;

use crate::config::TradeVersions;
use crate::metrics::{CollectorMetrics, Source};

/// The CloudEvents `source` of all events.
pub(crate) const SOURCE: &str = "/market-data-collector";
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Publishes trades, however long it takes.
#[derive(Clone)]
pub(crate) struct TradePublisher {
    pub(crate) venue: Venue,
    pub(crate) broker: Arc<dyn Publisher>,
    /// In which versions a trade is published.
    pub(crate) versions: TradeVersions,
    pub(crate) metrics: CollectorMetrics,
    pub(crate) clock: Arc<dyn Clock>,
}

impl TradePublisher {
    /// Returns after the broker has all trades. Nothing else is read meanwhile.
    pub(crate) async fn publish(&self, trades: &[Trade], source: Source) {
        let span = tracing::info_span!(parent: None, "collector.publish", venue = %self.venue, trades = trades.len());
        self.try_publish(trades, source).instrument(span).await;
    }

    async fn try_publish(&self, trades: &[Trade], source: Source) {
        let now = Micros(self.clock.now().as_millis() * 1_000);
        let mut events = Vec::with_capacity(trades.len());
        for trade in trades {
            match self.versions.events(trade, now) {
                Ok(versions) => events.extend(versions),
                Err(error) => tracing::error!(%trade, error = &error as &dyn std::error::Error, "cannot encode trade"),
            }
        }
        let mut failures = 0;
        while let Err(error) = self.broker.publish(&events).await {
            failures += 1;
            tracing::warn!(failures, error = &error as &dyn std::error::Error, "cannot publish trades, will retry");
            sleep(BACKOFF.delay(failures)).await;
        }
        self.metrics.published(self.venue, source, trades, Micros(self.clock.now().as_millis() * 1_000));
    }
}

impl TradeVersions {
    /// The events of a trade that is published now: one for each version, with the same id.
    fn events(self, trade: &Trade, now: Micros) -> Result<Vec<Event>, CodecError> {
        let id = TradeReported::event_id(trade);
        let time =
            Timestamp::from_millis(trade.time.0.div_euclid(1_000)).map_err(|error| CodecError::Encode(error.into()))?;
        let first = || Event::new(id, SOURCE, time, &TradeReported::from(trade));
        let second = || Event::new(id, SOURCE, time, &TradeReportedV2::new(trade, now));
        Ok(match self {
            Self::V1 => vec![first()?],
            Self::V2 => vec![second()?],
            Self::Both => vec![first()?, second()?],
        })
    }
}

#[cfg(test)]
mod tests {
    use market_domain::{Instrument, Venue};

    use super::*;

    #[test]
    fn a_trade_has_an_event_with_the_same_id_for_each_version() {
        let trade = Trade {
            instrument: Instrument { venue: Venue::Kraken, symbol: "BTC-USD".parse().unwrap() },
            id: 7,
            price: "2".parse().unwrap(),
            size: "3".parse().unwrap(),
            taker: None,
            time: Micros(1_700_000_000_000_001),
            received: Micros(1_700_000_000_000_002),
        };
        for (versions, topics) in [
            (TradeVersions::V1, &["market.trades.v1"][..]),
            (TradeVersions::V2, &["market.trades.v2"]),
            (TradeVersions::Both, &["market.trades.v1", "market.trades.v2"]),
        ] {
            let events = versions.events(&trade, Micros(5)).unwrap();
            assert_eq!(events.iter().map(|event| event.topic.as_str()).collect::<Vec<_>>(), topics);
            assert!(events.iter().all(|event| event.id == TradeReported::event_id(&trade)));
            assert!(events.iter().all(|event| market_contracts::read_trade(event).unwrap() == trade));
        }
    }
}
