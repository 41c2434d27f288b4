//! Up to where the preprocessor knows each instrument.

use std::time::Duration;

use kennel_core::Backoff;
use kennel_grpc::{CallError, GrpcChannel};
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_proto::market::v1::{ListInstrumentsRequest, MissingTrades};
use market_domain::{Micros, Missing, Symbol, Venue};
use tokio::time::sleep;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));

/// Up to where the preprocessor knows a symbol, and what is missing below.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) symbol: Symbol,
    pub(crate) last: i64,
    pub(crate) time: Micros,
    pub(crate) missing: Vec<Missing>,
}

/// Asks the preprocessor.
#[derive(Clone)]
pub(crate) struct Positions(pub(crate) CandleServiceClient<GrpcChannel>);

impl Positions {
    /// Asks until there is an answer.
    pub(crate) async fn learn(self, venue: Venue) -> Vec<Known> {
        let mut failures = 0;
        loop {
            let error = match self.known(venue).await {
                Ok(known) => return known,
                Err(error) => error,
            };
            failures += 1;
            tracing::warn!(%venue, failures, error = &error as &dyn std::error::Error, "cannot read what is known, will retry");
            sleep(BACKOFF.delay(failures)).await;
        }
    }

    async fn known(&self, venue: Venue) -> Result<Vec<Known>, CallError> {
        let request = ListInstrumentsRequest { venue: venue.name().to_owned() };
        let answer = self.0.clone().list_instruments(request).await?.into_inner();
        let known = answer.instruments.into_iter().filter_map(|known| {
            Some(Known {
                symbol: known.symbol.parse().ok()?,
                last: known.last_trade_id,
                time: Micros(known.last_time_us),
                missing: known.missing.iter().map(missing).collect(),
            })
        });
        Ok(known.collect())
    }
}

const fn missing(range: &MissingTrades) -> Missing {
    Missing {
        from: range.from_trade_id,
        to: range.to_trade_id,
        after: Micros(range.after_us),
        before: Micros(range.before_us),
    }
}
