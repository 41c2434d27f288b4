//! Publishes trades.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Backoff, CodecError, Event, Publisher, Timestamp};
use market_contracts::TradeReported;
use market_domain::Trade;
use tokio::time::sleep;

/// The CloudEvents `source` of all events.
pub(crate) const SOURCE: &str = "/market-data-collector";
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Publishes trades, however long it takes.
#[derive(Clone)]
pub(crate) struct TradePublisher(pub(crate) Arc<dyn Publisher>);

impl TradePublisher {
    /// Returns after the broker has all trades. Nothing else is read meanwhile.
    pub(crate) async fn publish(&self, trades: &[Trade]) {
        let mut events = Vec::with_capacity(trades.len());
        for trade in trades {
            match event(trade) {
                Ok(event) => events.push(event),
                Err(error) => tracing::error!(%trade, error = &error as &dyn std::error::Error, "cannot encode trade"),
            }
        }
        let mut failures = 0;
        while let Err(error) = self.0.publish(&events).await {
            failures += 1;
            tracing::warn!(failures, error = &error as &dyn std::error::Error, "cannot publish trades, will retry");
            sleep(BACKOFF.delay(failures)).await;
        }
    }
}

fn event(trade: &Trade) -> Result<Event, CodecError> {
    let time =
        Timestamp::from_millis(trade.time.0.div_euclid(1_000)).map_err(|error| CodecError::Encode(error.into()))?;
    Event::new(TradeReported::event_id(trade), SOURCE, time, &TradeReported::from(trade))
}
