//! The gRPC service `market.v1.CandleService`.

use std::sync::Arc;

use kennel_core::RepoError;
use kennel_grpc::{COMPRESSION, Details, fault, invalid, respond};
use kennel_proto::market::v1 as pb;
use kennel_proto::market::v1::candle_service_server::{CandleService, CandleServiceServer};
use market_contracts::CandleChanged;
use market_domain::{Continuity, Instrument, Micros, Missing};
use tonic::{Request, Response, Status};

use crate::store::{CandleQuery, CandleRepository, StoredBook, StoredGap};

/// Number of candles of a response whose request does not say it.
const DEFAULT_CANDLES: i32 = 500;
const DEFAULT_GAPS: i32 = 100;
const MAX_LIMIT: i32 = 1_000;
/// Maximum number of missing ranges of an instrument in a response: the latest ones.
const MAX_MISSING: usize = 1_000;

/// `market.v1.CandleService` over the store.
#[derive(Clone)]
pub(crate) struct CandleRpc(Arc<dyn CandleRepository>);

impl CandleRpc {
    /// The service, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions, and may
    /// be compressed.
    pub(crate) fn server(store: Arc<dyn CandleRepository>, max_message_bytes: usize) -> CandleServiceServer<Self> {
        CandleServiceServer::new(Self(store))
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
            .accept_compressed(COMPRESSION)
            .send_compressed(COMPRESSION)
    }
}

#[tonic::async_trait]
impl CandleService for CandleRpc {
    async fn list_candles(
        &self,
        request: Request<pb::ListCandlesRequest>,
    ) -> Result<Response<pb::ListCandlesResponse>, Status> {
        let pb::ListCandlesRequest { venue, symbol, timeframe, from_us, to_us, limit } = request.into_inner();
        let query = CandleQuery {
            instrument: instrument(&venue, &symbol)?,
            timeframe: timeframe.parse().map_err(|error| invalid("timeframe", &error))?,
            from: time("from_us", from_us)?,
            to: time("to_us", to_us)?,
            limit: limit_of(limit, DEFAULT_CANDLES)?,
        };
        let candles = self.0.candles(&query).await.map_err(failed)?;
        let candles = candles.iter().map(|candle| CandleChanged::from(candle).0).collect();
        Ok(respond(pb::ListCandlesResponse { candles }))
    }

    async fn list_instruments(
        &self,
        request: Request<pb::ListInstrumentsRequest>,
    ) -> Result<Response<pb::ListInstrumentsResponse>, Status> {
        let venue = Some(request.get_ref().venue.as_str()).filter(|venue| !venue.is_empty());
        let venue = venue.map(str::parse).transpose().map_err(|error| invalid("venue", &error))?;
        let books = self.0.books(venue).await.map_err(failed)?;
        let instruments = books.into_iter().filter_map(status).collect();
        Ok(respond(pb::ListInstrumentsResponse { instruments }))
    }

    async fn list_gaps(&self, request: Request<pb::ListGapsRequest>) -> Result<Response<pb::ListGapsResponse>, Status> {
        let pb::ListGapsRequest { venue, symbol, limit } = request.into_inner();
        let (instrument, limit) = (instrument(&venue, &symbol)?, limit_of(limit, DEFAULT_GAPS)?);
        let gaps = self.0.gaps(&instrument, limit).await.map_err(failed)?;
        Ok(respond(pb::ListGapsResponse { gaps: gaps.iter().map(gap).collect() }))
    }
}

fn instrument(venue: &str, symbol: &str) -> Result<Instrument, Status> {
    Ok(Instrument {
        venue: venue.parse().map_err(|error| invalid("venue", &error))?,
        symbol: symbol.parse().map_err(|error| invalid("symbol", &error))?,
    })
}

/// A time that may be left out.
fn time(field: &'static str, micros: i64) -> Result<Option<Micros>, Status> {
    match micros {
        0 => Ok(None),
        1.. => Ok(Some(Micros(micros))),
        _ => Err(invalid(field, &"must not be negative")),
    }
}

fn limit_of(limit: i32, default: i32) -> Result<u32, Status> {
    match limit {
        0 => Ok(default.unsigned_abs()),
        1..=MAX_LIMIT => Ok(limit.unsigned_abs()),
        _ => Err(invalid("limit", &format_args!("must be 1 to {MAX_LIMIT}"))),
    }
}

fn status(book: StoredBook) -> Option<pb::InstrumentStatus> {
    let StoredBook { instrument, state, .. } = book;
    let known = state.continuity?;
    let mut ranges: Vec<_> = known.gaps().iter().flat_map(|gap| &gap.missing).map(missing).collect();
    ranges.drain(..ranges.len().saturating_sub(MAX_MISSING));
    Some(pb::InstrumentStatus {
        venue: instrument.venue.name().to_owned(),
        symbol: instrument.symbol.into(),
        last_trade_id: Continuity::last(&known),
        last_time_us: known.latest().0,
        missing: ranges,
    })
}

const fn missing(missing: &Missing) -> pb::MissingTrades {
    pb::MissingTrades {
        from_trade_id: missing.from,
        to_trade_id: missing.to,
        after_us: missing.after.0,
        before_us: missing.before.0,
    }
}

fn gap(gap: &StoredGap) -> pb::Gap {
    pb::Gap { whole: Some(missing(&gap.whole)), missing: gap.missing, state: gap.state.name().to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn failed(error: RepoError) -> Status {
    fault(error.kind(), &error, Details::default())
}
