//! The gRPC service `market.v1.CandleService`.

use std::sync::Arc;

use kennel_core::RepoError;
use kennel_grpc::{COMPRESSION, Reply, failed, invalid, optional, respond, valid};
use kennel_proto::market::v1 as pb;
use kennel_proto::market::v1::candle_service_server::{CandleService, CandleServiceServer};
use market_contracts::CandleChanged;
use market_domain::{Candle, Continuity, Instrument, Micros, Missing};
use tonic::{Request, Status};

use crate::carry;
use crate::store::{CandleQuery, CandleRepository, StoredBook, StoredGap};

/// Number of candles of a response whose request does not say it.
const DEFAULT_CANDLES: i32 = 500;
const DEFAULT_GAPS: i32 = 100;
const MAX_LIMIT: i32 = 1_000;
/// Maximum number of missing ranges of an instrument in a response: the latest ones.
const MAX_MISSING: usize = 1_000;

/// `market.v1.CandleService` over the store.
#[derive(Clone)]
pub(crate) struct CandleRpc {
    store: Arc<dyn CandleRepository>,
    /// Whether windows without trades have candles.
    carries: bool,
}

impl CandleRpc {
    /// The service, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions, and may
    /// be compressed.
    pub(crate) fn server(
        store: Arc<dyn CandleRepository>,
        carries: bool,
        max_message_bytes: usize,
    ) -> CandleServiceServer<Self> {
        CandleServiceServer::new(Self { store, carries })
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
            .accept_compressed(COMPRESSION)
            .send_compressed(COMPRESSION)
    }

    async fn candles(&self, query: CandleQuery) -> Result<Vec<Candle>, RepoError> {
        if !self.carries {
            return self.store.candles(&query).await;
        }
        let book = self.store.book(&query.instrument).await?;
        let Some(known) = book.and_then(|book| book.state.continuity) else { return Ok(Vec::new()) };
        let query = carry::bounded(&query, &known);
        let before = CandleQuery { from: None, to: query.from, limit: 1, ..query.clone() };
        let (before, stored) = (self.store.candles(&before).await?.pop(), self.store.candles(&query).await?);
        Ok(carry::carry(&query, before, stored, &known))
    }
}

#[tonic::async_trait]
impl CandleService for CandleRpc {
    async fn list_candles(&self, request: Request<pb::ListCandlesRequest>) -> Reply<pb::ListCandlesResponse> {
        let pb::ListCandlesRequest { venue, symbol, timeframe, from_us, to_us, limit } = request.into_inner();
        let query = CandleQuery {
            instrument: instrument(&venue, &symbol)?,
            timeframe: valid("timeframe", timeframe.parse())?,
            from: time("from_us", from_us)?,
            to: time("to_us", to_us)?,
            limit: limit_of(limit, DEFAULT_CANDLES)?,
        };
        let candles = self.candles(query).await.map_err(failed)?;
        let candles = candles.iter().map(|candle| CandleChanged::from(candle).0).collect();
        Ok(respond(pb::ListCandlesResponse { candles }))
    }

    async fn list_instruments(
        &self,
        request: Request<pb::ListInstrumentsRequest>,
    ) -> Reply<pb::ListInstrumentsResponse> {
        let books = self.store.books(optional("venue", &request.get_ref().venue)?).await.map_err(failed)?;
        let instruments = books.into_iter().filter_map(status).collect();
        Ok(respond(pb::ListInstrumentsResponse { instruments }))
    }

    async fn list_gaps(&self, request: Request<pb::ListGapsRequest>) -> Reply<pb::ListGapsResponse> {
        let pb::ListGapsRequest { venue, symbol, limit } = request.into_inner();
        let (instrument, limit) = (instrument(&venue, &symbol)?, limit_of(limit, DEFAULT_GAPS)?);
        let gaps = self.store.gaps(&instrument, limit).await.map_err(failed)?;
        Ok(respond(pb::ListGapsResponse { gaps: gaps.iter().map(gap).collect() }))
    }
}

fn instrument(venue: &str, symbol: &str) -> Result<Instrument, Status> {
    Ok(Instrument { venue: valid("venue", venue.parse())?, symbol: valid("symbol", symbol.parse())? })
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
