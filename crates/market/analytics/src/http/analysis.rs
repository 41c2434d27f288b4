//! What candles add up to.

use axum::extract::State;
use axum::response::Response;
use kennel_core::Timestamp;
use kennel_http::openapi::problems::{BadUpstream, Failures, Invalid, Malformed};
use kennel_http::{HttpError, IfNoneMatch, Query};
use kennel_proto::market::v1 as pb;
use kennel_service::OpenApiRouter;
use serde::{Deserialize, Serialize};
use tonic::Status;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::CandleParams;
use super::conditional::respond;
use crate::analysis::Mover;
use crate::api::timestamp;
use crate::errors::failed;
use crate::service::AnalyticsApi;

pub(super) fn routes() -> OpenApiRouter<AnalyticsApi> {
    OpenApiRouter::new()
        .routes(routes!(vwap))
        .routes(routes!(returns))
        .routes(routes!(volatility))
        .routes(routes!(correlation))
        .routes(routes!(movers))
}

/// The candles that values are computed from.
#[derive(Debug, Serialize, ToSchema)]
struct Sample {
    /// The start of the first candle; absent if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// The end of the last candle; absent if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Number of candles.
    candles: i32,
    /// Whether no trade is missing from any of them, as far as is known; false if there is none.
    complete: bool,
    /// Whether all of them are final; false if there is none. Others change with the next trade.
    r#final: bool,
    /// Whether the range from `from` on has candles after `to`: there were more than `limit`.
    truncated: bool,
}

/// The average price by volume.
#[derive(Debug, Serialize, ToSchema)]
struct VwapResponse {
    /// The sum of the products of price and size, divided by the volume; rounded to 12 digits after the point. Absent without
    /// trades.
    #[schema(example = "105944.2")]
    vwap: Option<String>,
    /// The sum of the sizes; exact.
    volume: Option<String>,
    /// The sum of the products of price and size; exact.
    quote_volume: Option<String>,
    /// Number of trades.
    trades: i64,
    /// The candles.
    sample: Sample,
}

/// The return of a candle.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnResponse {
    /// The start of its window.
    #[schema(value_type = String, format = DateTime)]
    open_time: Timestamp,
    /// Its last price.
    #[schema(example = "105944.2")]
    close: String,
    /// Its close, divided by that of the window before it, minus 1; rounded to 12 digits after the point. Absent after a window
    /// without trades, and for the newest windows as long as they are not final.
    #[schema(example = "-0.000125")]
    value: Option<String>,
}

/// Returns, in the order of time.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnList {
    /// The returns.
    items: Vec<ReturnResponse>,
    /// The candles.
    sample: Sample,
}

/// The volatility.
#[derive(Debug, Serialize, ToSchema)]
struct VolatilityResponse {
    /// The standard deviation of the sample of returns, rounded to 12 digits after the point; absent with fewer than two.
    #[schema(example = "0.00061")]
    volatility: Option<String>,
    /// The same for a year of 365 days: multiplied by the square root of the number of windows in a year.
    #[schema(example = "0.442")]
    annualized: Option<String>,
    /// The average return.
    mean: Option<String>,
    /// Number of returns.
    returns: i32,
    /// The candles.
    sample: Sample,
}

/// The correlation.
#[derive(Debug, Serialize, ToSchema)]
struct CorrelationResponse {
    /// Pearson's coefficient, from -1 to 1, rounded to 12 digits after the point. Absent with fewer than two pairs, or if one of both
    /// never changes.
    #[schema(example = "0.83")]
    correlation: Option<String>,
    /// Number of windows in which both instruments have a return.
    pairs: i32,
    /// The candles of the first instrument.
    sample: Sample,
    /// The candles of the second instrument.
    other: Sample,
}

/// An instrument and its change.
#[derive(Debug, Serialize, ToSchema)]
struct MoverResponse {
    /// The exchange.
    #[schema(example = "kraken")]
    venue: String,
    /// What is traded.
    #[schema(example = "BTC-USD")]
    symbol: String,
    /// The last price.
    #[schema(example = "105000")]
    close: String,
    /// The last price at the start of the period.
    #[schema(example = "100000")]
    before: String,
    /// The last price, divided by the one before, minus 1; rounded to 12 digits after the point.
    #[schema(example = "0.05")]
    change: String,
    /// The start of the minute of the last price.
    #[schema(value_type = String, format = DateTime)]
    open_time: Timestamp,
}

/// Movers, the largest change in either direction first.
#[derive(Debug, Serialize, ToSchema)]
struct MoverList {
    /// The movers.
    items: Vec<MoverResponse>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CorrelationParams {
    /// The exchange of the first instrument.
    #[param(example = "kraken")]
    venue: String,
    /// The symbol of the first instrument.
    #[param(example = "BTC-USD")]
    symbol: String,
    /// The exchange of the second instrument; that of the first if absent.
    #[param(example = "kraken")]
    other_venue: Option<String>,
    /// The symbol of the second instrument; that of the first if absent.
    #[param(example = "ETH-USD")]
    other_symbol: Option<String>,
    /// The length of the candles: `1m` (the default), `5m`, `15m`, `1h`, `4h` or `1d`.
    #[param(default = "1m")]
    timeframe: Option<String>,
    /// The earliest start of a candle, in RFC 3339. Without it, the candles are the newest ones.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Before which candles start, in RFC 3339.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Maximum number of candles of each instrument.
    #[param(minimum = 1, maximum = 1000, default = 500)]
    limit: Option<i32>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MoverParams {
    /// Only instruments of this exchange.
    #[param(example = "kraken")]
    venue: Option<String>,
    /// Over which time: `1m`, `5m`, `15m`, `1h` (the default), `4h` or `1d`.
    #[param(default = "1h")]
    period: Option<String>,
    /// Maximum number of instruments.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<i32>,
}

/// Get the average price by volume
///
/// Over the candles that `listCandles` returns for the same parameters.
#[utoipa::path(get, path = "/api/v1/vwap", operation_id = "getVwap", params(CandleParams, IfNoneMatch), responses(
    (status = 200, body = VwapResponse, description = "The average price."),
    (status = 304, description = "The client has it."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn vwap(
    api: State<AnalyticsApi>,
    params: Query<CandleParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let found = api.analysis.vwap(params.0.range()?).await.map_err(refused)?;
    let body = VwapResponse {
        vwap: present(found.vwap),
        volume: present(found.volume),
        quote_volume: present(found.quote_volume),
        trades: found.trades,
        sample: found.sample.into(),
    };
    respond(&known, &body)
}

/// List returns
///
/// How much the close of each candle differs from that of the window before it.
#[utoipa::path(get, path = "/api/v1/returns", operation_id = "listReturns", params(CandleParams, IfNoneMatch), responses(
    (status = 200, body = ReturnList, description = "The returns, in the order of time."),
    (status = 304, description = "The client has them."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn returns(
    api: State<AnalyticsApi>,
    params: Query<CandleParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let found = api.analysis.list_returns(params.0.range()?).await.map_err(refused)?;
    let item = |item: pb::Return| ReturnResponse {
        open_time: timestamp(item.open_time_us),
        close: item.close,
        value: present(item.value),
    };
    let items = found.returns.into_iter().map(item).collect();
    respond(&known, &ReturnList { items, sample: found.sample.into() })
}

/// Get the volatility
///
/// The standard deviation of the returns that `listReturns` returns for the same parameters.
#[utoipa::path(get, path = "/api/v1/volatility", operation_id = "getVolatility", params(CandleParams, IfNoneMatch), responses(
    (status = 200, body = VolatilityResponse, description = "The volatility."),
    (status = 304, description = "The client has it."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn volatility(
    api: State<AnalyticsApi>,
    params: Query<CandleParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let found = api.analysis.volatility(params.0.range()?).await.map_err(refused)?;
    let body = VolatilityResponse {
        volatility: present(found.volatility),
        annualized: present(found.annualized),
        mean: present(found.mean),
        returns: found.returns,
        sample: found.sample.into(),
    };
    respond(&known, &body)
}

/// Get a correlation
///
/// How much the returns of two instruments go together, over the windows in which both have one.
#[utoipa::path(get, path = "/api/v1/correlation", operation_id = "getCorrelation", params(CorrelationParams, IfNoneMatch),
    responses(
    (status = 200, body = CorrelationResponse, description = "The correlation."),
    (status = 304, description = "The client has it."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn correlation(
    api: State<AnalyticsApi>,
    params: Query<CorrelationParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let CorrelationParams { venue, symbol, other_venue, other_symbol, timeframe, from, to, limit } = params.0;
    let request = pb::GetCorrelationRequest {
        range: Some(CandleParams { venue, symbol, timeframe, from, to, limit }.range()?),
        other_venue: other_venue.unwrap_or_default(),
        other_symbol: other_symbol.unwrap_or_default(),
    };
    let found = api.analysis.correlation(request).await.map_err(refused)?;
    let body = CorrelationResponse {
        correlation: present(found.correlation),
        pairs: found.pairs,
        sample: found.sample.into(),
        other: found.other.into(),
    };
    respond(&known, &body)
}

/// List movers
///
/// The instruments whose price changed most over a period that ends with their last trades, from 5 seconds ago at most. Those
/// without a price at its start are left out, and those without a trade in such a period before the newest trade of all.
#[utoipa::path(get, path = "/api/v1/movers", operation_id = "listMovers", params(MoverParams, IfNoneMatch), responses(
    (status = 200, body = MoverList, description = "The movers, the largest change in either direction first."),
    (status = 304, description = "The client has them."), (status = 400, response = Malformed),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn movers(
    api: State<AnalyticsApi>,
    params: Query<MoverParams>,
    known: IfNoneMatch,
) -> Result<Response, HttpError> {
    let MoverParams { venue, period, limit } = params.0;
    if limit == Some(0) {
        return Err(HttpError::invalid("limit", "must be 1 to 100"));
    }
    let (venue, period) = (venue.unwrap_or_default(), period.unwrap_or_default());
    let found = api.analysis.movers(&venue, &period, limit.unwrap_or_default()).await.map_err(refused)?;
    respond(&known, &MoverList { items: found.into_iter().map(MoverResponse::from).collect() })
}

fn refused(status: Status) -> HttpError {
    failed(status.into())
}

/// A value that may be missing, which is empty in a message.
fn present(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<Option<pb::CandleSample>> for Sample {
    fn from(sample: Option<pb::CandleSample>) -> Self {
        let pb::CandleSample { from_us, to_us, candles, complete, r#final, truncated } = sample.unwrap_or_default();
        let time = |micros| (candles > 0).then(|| timestamp(micros));
        Self { from: time(from_us), to: time(to_us), candles, complete, r#final, truncated }
    }
}

impl From<Mover> for MoverResponse {
    fn from(Mover { venue, symbol, close, before, change, open_time_us }: Mover) -> Self {
        Self { venue, symbol, close, before, change, open_time: timestamp(open_time_us) }
    }
}
