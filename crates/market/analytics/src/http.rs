//! The HTTP API.

mod page;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use kennel_core::Timestamp;
use kennel_core::time::InvalidTimestamp;
use kennel_http::openapi::problems::{BadUpstream, Failures, Invalid, Malformed};
use kennel_http::sse::LastEventId;
use kennel_http::{HttpError, Json, Query};
use kennel_proto::market::v1::{ListCandlesRequest, ListGapsRequest, ListInstrumentsRequest};
use kennel_service::OpenApiRouter;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::api::{CandleList, CandleResponse, GapList, GapResponse, InstrumentList, InstrumentResponse};
use crate::errors::failed;
use crate::service::AnalyticsApi;
use crate::stream::Wanted;

/// The template of the route of the stream.
pub(crate) const STREAM: &str = "/api/v1/stream";
/// The newest candle changes all the time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

pub(crate) fn routes() -> OpenApiRouter<AnalyticsApi> {
    let description = "Candles of several exchanges. Decimals are text, since numbers of JSON are not exact.";
    OpenApiRouter::with_openapi(kennel_http::openapi::document("Market analytics", description))
        .routes(routes!(instruments))
        .routes(routes!(candles))
        .routes(routes!(latest))
        .routes(routes!(gaps))
        .routes(routes!(stream))
        .merge(page::routes().into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CandleParams {
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
#[utoipa::path(get, path = "/api/v1/instruments", operation_id = "listInstruments", responses(
    (status = 200, body = InstrumentList, description = "What is known about each instrument."),
    (status = 502, response = BadUpstream), Failures))]
async fn instruments(api: State<AnalyticsApi>) -> Result<Response, HttpError> {
    let answer = api.candles.clone().list_instruments(ListInstrumentsRequest::default()).await;
    let items = answer.map_err(|status| failed(status.into()))?.into_inner().instruments;
    let items = items.into_iter().map(InstrumentResponse::from).collect();
    Ok(([(CACHE_CONTROL, NO_CACHE)], Json(InstrumentList { items })).into_response())
}

/// List candles
///
/// A window without trades has no candle.
#[utoipa::path(get, path = "/api/v1/candles", operation_id = "listCandles", params(CandleParams), responses(
    (status = 200, body = CandleList, description = "The candles, in the order of time."),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn candles(api: State<AnalyticsApi>, params: Query<CandleParams>) -> Result<Response, HttpError> {
    let CandleParams { venue, symbol, timeframe, from, to, limit } = params.0;
    if limit.is_some_and(|limit| !(1..=1_000).contains(&limit)) {
        return Err(HttpError::invalid("limit", "must be 1 to 1000"));
    }
    let request = ListCandlesRequest {
        venue,
        symbol,
        timeframe: timeframe.unwrap_or_else(|| "1m".to_owned()),
        from_us: micros("from", from)?,
        to_us: micros("to", to)?,
        limit: limit.unwrap_or_default(),
    };
    list(&api, request).await
}

/// Get the newest candle
///
/// An instrument without trades has none.
#[utoipa::path(get, path = "/api/v1/candles/latest", operation_id = "latestCandle", params(InstrumentParams), responses(
    (status = 200, body = CandleList, description = "The newest candle of one minute, if there is one."),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn latest(api: State<AnalyticsApi>, params: Query<InstrumentParams>) -> Result<Response, HttpError> {
    let InstrumentParams { venue, symbol } = params.0;
    list(&api, ListCandlesRequest { venue, symbol, timeframe: "1m".to_owned(), limit: 1, ..Default::default() }).await
}

/// List gaps
#[utoipa::path(get, path = "/api/v1/gaps", operation_id = "listGaps", params(InstrumentParams), responses(
    (status = 200, body = GapList, description = "The gaps that were found, the newest first."),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn gaps(api: State<AnalyticsApi>, params: Query<InstrumentParams>) -> Result<Response, HttpError> {
    let InstrumentParams { venue, symbol } = params.0;
    let answer = api.candles.clone().list_gaps(ListGapsRequest { venue, symbol, limit: 0 }).await;
    let gaps = answer.map_err(|status| failed(status.into()))?.into_inner().gaps;
    let items = gaps.into_iter().map(GapResponse::from).collect();
    Ok(([(CACHE_CONTROL, NO_CACHE)], Json(GapList { items })).into_response())
}

/// Stream candles
///
/// Server-sent events of type `candle`: every change of a candle of one minute, and longer candles when they are final. Without
/// a last event the stream starts now. It resumes after one of the latest 1,024 events; after an older one, it starts with an
/// event of type `reset`: read the candles again.
#[utoipa::path(get, path = "/api/v1/stream", operation_id = "streamCandles", params(StreamParams, LastEventId), responses(
    (status = 200, description = "The candles.", content_type = "text/event-stream", body = CandleResponse),
    (status = 400, response = Malformed), (status = 422, response = Invalid), Failures))]
async fn stream(
    api: State<AnalyticsApi>,
    params: Query<StreamParams>,
    LastEventId(last): LastEventId,
) -> Result<Response, HttpError> {
    let StreamParams { venue, symbol, timeframe } = params.0;
    api.stream.open(last, Wanted { venue, symbol, timeframe })
}

async fn list(api: &AnalyticsApi, request: ListCandlesRequest) -> Result<Response, HttpError> {
    let answer = api.candles.clone().list_candles(request).await.map_err(|status| failed(status.into()))?;
    let items = answer.into_inner().candles.into_iter().map(CandleResponse::from).collect();
    Ok(([(CACHE_CONTROL, NO_CACHE)], Json(CandleList { items })).into_response())
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
