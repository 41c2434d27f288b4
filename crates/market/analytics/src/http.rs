//! The HTTP API.

mod analysis;
mod conditional;
pub(crate) mod page;

use axum::extract::State;
use axum::response::Response;
use kennel_core::Timestamp;
use kennel_core::time::InvalidTimestamp;
use kennel_http::openapi::problems::{BadUpstream, Failures, Invalid, Malformed};
use kennel_http::sse::LastEventId;
use kennel_http::{HttpError, IfNoneMatch, Query};
use kennel_proto::market::v1::{Candle, CandleRange, ListCandlesRequest, ListGapsRequest, ListInstrumentsRequest};
use kennel_service::OpenApiRouter;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::api::{CandleList, CandleResponse, GapList, GapResponse, InstrumentList, InstrumentResponse};
use crate::errors::failed;
use crate::http::conditional::respond;
use crate::service::AnalyticsApi;
use crate::stream::Wanted;

/// The template of the route of the stream.
pub(crate) const STREAM: &str = "/api/v1/stream";
/// The length of candles if a request does not say it.
const DEFAULT_TIMEFRAME: &str = "1m";

pub(crate) fn routes() -> OpenApiRouter<AnalyticsApi> {
    let description = "Candles of several exchanges. Decimals are text, since numbers of JSON are not exact.";
    OpenApiRouter::with_openapi(kennel_http::openapi::document("Market analytics", description))
        .routes(routes!(instruments))
        .routes(routes!(candles))
        .routes(routes!(latest))
        .routes(routes!(gaps))
        .routes(routes!(stream))
        .merge(analysis::routes())
        .merge(page::PAGE.routes().into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CandleParams {
    /// The exchange.
    #[param(example = "kraken")]
    venue: String,
    /// What was traded.
    #[param(example = "BTC-USD")]
    symbol: String,
    /// The length of the candles: `1m` (the default), `5m`, `15m`, `1h`, `4h` or `1d`.
    #[param(default = "1m")]
    timeframe: Option<String>,
    /// The earliest start of a candle, in RFC 3339. Without it, the candles are the newest ones.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Before which candles start, in RFC 3339.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Maximum number of candles.
    #[param(minimum = 1, maximum = 1000, default = 500)]
    limit: Option<i32>,
}

impl CandleParams {
    fn range(self) -> Result<CandleRange, HttpError> {
        let Self { venue, symbol, timeframe, from, to, limit } = self;
        if limit.is_some_and(|limit| !(1..=1_000).contains(&limit)) {
            return Err(HttpError::invalid("limit", "must be 1 to 1000"));
        }
        Ok(CandleRange {
            venue,
            symbol,
            timeframe: timeframe.unwrap_or_else(|| DEFAULT_TIMEFRAME.to_owned()),
            from_us: micros("from", from)?,
            to_us: micros("to", to)?,
            limit: limit.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InstrumentParams {
    /// The exchange.
    #[param(example = "kraken")]
    venue: String,
    /// What was traded.
    #[param(example = "BTC-USD")]
    symbol: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamParams {
    /// Only candles of this exchange.
    #[param(example = "kraken")]
    venue: Option<String>,
    /// Only candles of this symbol.
    #[param(example = "BTC-USD")]
    symbol: Option<String>,
    /// Only candles of this length.
    #[param(example = "1m")]
    timeframe: Option<String>,
}

/// List instruments
#[utoipa::path(get, path = "/api/v1/instruments", operation_id = "listInstruments", params(IfNoneMatch), responses(
    (status = 200, body = InstrumentList, description = "What is known about each instrument."),
    (status = 304, description = "The client has it."), (status = 400, response = Malformed),
    (status = 502, response = BadUpstream), Failures))]
async fn instruments(api: State<AnalyticsApi>, known: IfNoneMatch) -> Result<Response, HttpError> {
    let answer = api.candles().list_instruments(ListInstrumentsRequest::default()).await;
    let items = answer.map_err(|status| failed(status.into()))?.into_inner().instruments;
    let items = items.into_iter().map(InstrumentResponse::from).collect();
    respond(&known, &InstrumentList { items })
}

/// List candles
///
/// A window without trades has no candle.
#[utoipa::path(get, path = "/api/v1/candles", operation_id = "listCandles", params(CandleParams, IfNoneMatch), responses(
    (status = 200, body = CandleList, description = "The candles, in the order of time.", headers(
        ("ETag" = String, description = "Changes with every revision of one of the candles."),
    )),
    (status = 304, description = "The client has these candles."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn candles(
    api: State<AnalyticsApi>,
    params: Query<CandleParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let CandleRange { venue, symbol, timeframe, from_us, to_us, limit } = params.0.range()?;
    let request = ListCandlesRequest { venue, symbol, timeframe, from_us, to_us, limit };
    let answer = api.candles().list_candles(request).await.map_err(|status| failed(status.into()))?;
    respond(&known, &candle_list(answer.into_inner().candles))
}

/// Get the newest candle
///
/// An instrument without trades has none.
#[utoipa::path(get, path = "/api/v1/candles/latest", operation_id = "latestCandle", params(InstrumentParams, IfNoneMatch),
    responses(
    (status = 200, body = CandleList, description = "The newest candle of one minute, if there is one."),
    (status = 304, description = "The client has it."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn latest(
    api: State<AnalyticsApi>,
    params: Query<InstrumentParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let InstrumentParams { venue, symbol } = params.0;
    let newest = api.analysis.latest(&venue, &symbol).await.map_err(|status| failed(status.into()))?;
    respond(&known, &candle_list(newest.into_iter().collect()))
}

/// List gaps
#[utoipa::path(get, path = "/api/v1/gaps", operation_id = "listGaps", params(InstrumentParams, IfNoneMatch),
    responses(
    (status = 200, body = GapList, description = "The gaps that were found, the newest first."),
    (status = 304, description = "The client has them."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn gaps(
    api: State<AnalyticsApi>,
    params: Query<InstrumentParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let InstrumentParams { venue, symbol } = params.0;
    let answer = api.candles().list_gaps(ListGapsRequest { venue, symbol, limit: 0 }).await;
    let gaps = answer.map_err(|status| failed(status.into()))?.into_inner().gaps;
    let items = gaps.into_iter().map(GapResponse::from).collect();
    respond(&known, &GapList { items })
}

/// Stream candles
///
/// Server-sent events of type `candle`: every change of a candle of one minute, and longer candles when they are final. Without
/// a last event the stream starts now. It resumes after one of the latest 1,024 events; after an older one, it starts with an
/// event of type `reset`: candles are missing between the two, so read them with `listCandles`. The stream continues meanwhile, and
/// of two revisions of a candle the higher one is right. When the credentials of the client expire, it ends with an event of type
/// `expired`.
#[utoipa::path(get, path = "/api/v1/stream", operation_id = "streamCandles", params(StreamParams, LastEventId), responses(
    (status = 200, description = "The candles.", content_type = "text/event-stream", body = CandleResponse),
    (status = 400, response = Malformed), (status = 422, response = Invalid), Failures))]
async fn stream(
    api: State<AnalyticsApi>,
    params: Query<StreamParams>,
    LastEventId(last): LastEventId,
) -> Result<Response, HttpError> {
    let StreamParams { venue, symbol, timeframe } = params.0;
    api.stream.open(last, Wanted::of([venue, symbol, timeframe]))
}

fn candle_list(candles: Vec<Candle>) -> CandleList {
    CandleList { items: candles.into_iter().map(CandleResponse::from).collect() }
}

/// A time as microseconds; 0 for none.
fn micros(name: &'static str, text: Option<String>) -> Result<i64, HttpError> {
    let Some(text) = text else { return Ok(0) };
    let time: Timestamp =
        text.parse().map_err(|error: InvalidTimestamp| HttpError::invalid(name, error.to_string()))?;
    match time.as_millis() {
        millis @ 1.. => Ok(millis * 1_000),
        _ => Err(HttpError::invalid(name, "must be after 1970")),
    }
}
