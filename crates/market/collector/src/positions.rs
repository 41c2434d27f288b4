//! Up to where the preprocessor knows each instrument.

use kennel_grpc::{CallError, GrpcChannel};
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_proto::market::v1::{ListInstrumentsRequest, MissingTrades};
use market_domain::{Micros, Missing, Symbol, Venue};

use crate::tracker::Tracker;

/// Asks the preprocessor.
#[derive(Clone)]
pub(crate) struct Positions(pub(crate) CandleServiceClient<GrpcChannel>);

impl Positions {
    /// Continues the symbols that `tracker` does not know yet. A symbol that nobody knows starts with its first trade.
    pub(crate) async fn resume(&self, venue: Venue, tracker: &mut Tracker) -> Result<(), CallError> {
        let request = ListInstrumentsRequest { venue: venue.name().to_owned() };
        let answer = self.0.clone().list_instruments(request).await?.into_inner();
        for known in answer.instruments {
            let Ok(symbol) = known.symbol.parse::<Symbol>() else { continue };
            let missing: Vec<_> = known.missing.iter().map(missing).collect();
            tracker.resume(symbol, known.last_trade_id, Micros(known.last_time_us), &missing);
        }
        Ok(())
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
