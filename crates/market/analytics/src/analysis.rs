//! What candles add up to. HTTP and gRPC show the same results.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kennel_cache::TypedCache;
use kennel_core::ErrorKind;
use kennel_grpc::{Details, GrpcChannel, fault, invalid};
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_proto::market::v1::{self as pb, CandleRange, CandleSample, ListCandlesRequest};
use market_contracts::CandleChanged;
use market_domain::{Candle, Decimal, Timeframe};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::errors::of_upstream;
use crate::statistics::{Close, Ratio, Returns, change, vwap};

/// Maximum number of candles if a request does not say it; as in market-preprocessor.
const DEFAULT_LIMIT: i32 = 500;
const DEFAULT_MOVERS: i32 = 10;
const MAX_MOVERS: i32 = 100;
/// Maximum number of concurrent calls for one request.
const MAX_CONCURRENT_CALLS: usize = 16;

/// Computes what is asked for from stored candles.
#[derive(Clone)]
pub(crate) struct Analysis {
    pub(crate) candles: CandleServiceClient<GrpcChannel>,
    /// The newest candle of each instrument, which market-preprocessor writes.
    pub(crate) latest: Arc<TypedCache<Candle>>,
    /// The movers by venue and period: they cost several calls for each instrument.
    pub(crate) movers: Arc<TypedCache<Vec<Mover>>>,
}

/// An instrument and its change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mover {
    pub(crate) venue: String,
    pub(crate) symbol: String,
    /// The last price.
    pub(crate) close: String,
    /// The last price at the start of the period.
    pub(crate) before: String,
    pub(crate) change: String,
    /// The start of the minute of the last price.
    pub(crate) open_time_us: i64,
}

impl Analysis {
    async fn list(&self, request: ListCandlesRequest) -> Result<Vec<pb::Candle>, Status> {
        Ok(self.candles.clone().list_candles(request).await.map_err(of_upstream)?.into_inner().candles)
    }

    /// The candles of a range, and whether it has more of them after these.
    async fn range(&self, range: CandleRange) -> Result<(Vec<pb::Candle>, bool), Status> {
        let CandleRange { venue, symbol, timeframe, from_us, to_us, limit } = range;
        let request = ListCandlesRequest { venue, symbol, timeframe, from_us, to_us, limit };
        let candles = self.list(request.clone()).await?;
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        // Without a start, the candles are the newest ones.
        let Some(last) = candles.last().filter(|_| from_us > 0 && number(candles.len()) >= limit) else {
            return Ok((candles, false));
        };
        let rest = ListCandlesRequest { from_us: last.close_time_us, limit: 1, ..request };
        let truncated = (to_us == 0 || rest.from_us < to_us) && !self.list(rest).await?.is_empty();
        Ok((candles, truncated))
    }

    /// The candles of a range, and the returns of those that are over, with what these are computed from.
    async fn returns(&self, range: CandleRange) -> Result<(Vec<pb::Candle>, Returns, CandleSample), Status> {
        let timeframe: Timeframe = range.timeframe.parse().map_err(|error| invalid("timeframe", &error))?;
        let (candles, truncated) = self.range(range).await?;
        let over = over(&candles);
        let closes: Vec<_> = over.iter().map(close).collect::<Result<_, _>>()?;
        let sample = sample(over, truncated);
        Ok((candles, Returns::of(timeframe, &closes), sample))
    }

    /// The newest candle of one minute: from the cache, or from market-preprocessor.
    pub(crate) async fn latest(&self, venue: &str, symbol: &str) -> Result<Option<pb::Candle>, Status> {
        let load = || async {
            let (venue, symbol) = (venue.to_owned(), symbol.to_owned());
            let request =
                ListCandlesRequest { venue, symbol, timeframe: "1m".to_owned(), limit: 1, ..Default::default() };
            let newest = self.list(request).await?.pop();
            newest.map(|candle| Candle::try_from(CandleChanged(candle)).map_err(|error| unusable(&error))).transpose()
        };
        let found = self.latest.get_or_load(&format!("{venue}:{symbol}"), load).await?;
        Ok(found.map(|candle| CandleChanged::from(&candle).0))
    }

    pub(crate) async fn vwap(&self, range: CandleRange) -> Result<pb::GetVwapResponse, Status> {
        let (candles, truncated) = self.range(range).await?;
        let sum = |of: fn(&pb::Candle) -> &str| {
            let add = |sum: Option<Decimal>, candle| Ok::<_, Status>(sum.and_then(|sum| sum.checked_add(candle)));
            candles.iter().map(|candle| decimal(of(candle))).try_fold(Some(Decimal::ZERO), |sum, next| add(sum, next?))
        };
        let (volume, quote_volume) = (sum(|candle| &candle.volume)?, sum(|candle| &candle.quote_volume)?);
        let average = quote_volume.zip(volume).and_then(|(quote, volume)| vwap(quote, volume));
        Ok(pb::GetVwapResponse {
            vwap: text(average),
            volume: text(volume),
            quote_volume: text(quote_volume),
            trades: candles.iter().map(|candle| candle.trades).sum(),
            sample: Some(sample(&candles, truncated)),
        })
    }

    pub(crate) async fn list_returns(&self, range: CandleRange) -> Result<pb::ListReturnsResponse, Status> {
        let (candles, returns, sample) = self.returns(range).await?;
        let of = |candle: pb::Candle| pb::Return {
            open_time_us: candle.open_time_us,
            close: candle.close,
            value: text(returns.at(candle.open_time_us)),
        };
        Ok(pb::ListReturnsResponse { returns: candles.into_iter().map(of).collect(), sample: Some(sample) })
    }

    pub(crate) async fn volatility(&self, range: CandleRange) -> Result<pb::GetVolatilityResponse, Status> {
        let (_, returns, sample) = self.returns(range).await?;
        Ok(pb::GetVolatilityResponse {
            volatility: text(returns.volatility()),
            annualized: text(returns.annualized()),
            mean: text(returns.mean()),
            returns: number(returns.count()),
            sample: Some(sample),
        })
    }

    pub(crate) async fn correlation(
        &self,
        request: pb::GetCorrelationRequest,
    ) -> Result<pb::GetCorrelationResponse, Status> {
        let first = request.range.unwrap_or_default();
        let or = |other: String, of_first: &str| if other.is_empty() { of_first.to_owned() } else { other };
        let second = CandleRange {
            venue: or(request.other_venue, &first.venue),
            symbol: or(request.other_symbol, &first.symbol),
            ..first.clone()
        };
        let ((_, first, sample), (_, second, other)) =
            futures_util::try_join!(self.returns(first), self.returns(second))?;
        let (pairs, correlation) = first.correlation(&second);
        Ok(pb::GetCorrelationResponse {
            correlation: text(correlation),
            pairs: number(pairs),
            sample: Some(sample),
            other: Some(other),
        })
    }

    /// The instruments whose price changed most over `period`, by the last minutes that have trades.
    pub(crate) async fn movers(&self, venue: &str, period: &str, limit: i32) -> Result<Vec<Mover>, Status> {
        let limit = match limit {
            0 => DEFAULT_MOVERS,
            1..=MAX_MOVERS => limit,
            _ => return Err(invalid("limit", &format_args!("must be 1 to {MAX_MOVERS}"))),
        };
        let period: Timeframe = if period.is_empty() {
            Timeframe::H1
        } else {
            period.parse().map_err(|error| invalid("period", &error))?
        };
        let load = || async { self.all_movers(venue, period).await.map(Some) };
        let mut movers = self.movers.get_or_load(&format!("{venue}:{period}"), load).await?.unwrap_or_default();
        movers.truncate(limit.unsigned_abs() as usize);
        Ok(movers)
    }

    async fn all_movers(&self, venue: &str, period: Timeframe) -> Result<Vec<Mover>, Status> {
        let request = pb::ListInstrumentsRequest { venue: venue.to_owned() };
        let answer = self.candles.clone().list_instruments(request).await.map_err(of_upstream)?;
        let instruments = answer.into_inner().instruments;
        let movers = stream::iter(recent(instruments, period)).map(|instrument| self.mover(instrument, period));
        let found: Vec<_> = movers.buffered(MAX_CONCURRENT_CALLS).try_collect().await?;
        let mut movers: Vec<_> = found.into_iter().flatten().collect();
        // Equal changes stay in the order of venue and symbol.
        movers.sort_by(|(first, _), (second, _)| second.magnitude().cmp(first.magnitude()));
        movers.truncate(MAX_MOVERS.unsigned_abs() as usize);
        Ok(movers.into_iter().map(|(_, mover)| mover).collect())
    }

    /// The change of an instrument; `None` if it has no price at the start of the period.
    async fn mover(&self, of: pb::InstrumentStatus, period: Timeframe) -> Result<Option<(Ratio, Mover)>, Status> {
        let pb::InstrumentStatus { venue, symbol, .. } = of;
        let Some(now) = self.latest(&venue, &symbol).await? else { return Ok(None) };
        let request = ListCandlesRequest {
            venue: venue.clone(),
            symbol: symbol.clone(),
            timeframe: "1m".to_owned(),
            to_us: now.close_time_us - period.micros(),
            limit: 1,
            ..Default::default()
        };
        let Some(before) = self.list(request).await?.pop() else { return Ok(None) };
        let Some(changed) = change(decimal(&before.close)?, decimal(&now.close)?) else { return Ok(None) };
        let mover = Mover {
            venue,
            symbol,
            close: now.close,
            before: before.close,
            change: changed.to_string(),
            open_time_us: now.open_time_us,
        };
        Ok(Some((changed, mover)))
    }
}

/// The candles without those at the end that are not final: the price of a window that is not over is no close.
fn over(candles: &[pb::Candle]) -> &[pb::Candle] {
    let count = candles.iter().rposition(|candle| candle.r#final).map_or(0, |last| last + 1);
    &candles[..count]
}

/// The instruments that have had a trade within a period before the newest trade of all: the others have not moved in it.
fn recent(instruments: Vec<pb::InstrumentStatus>, period: Timeframe) -> Vec<pb::InstrumentStatus> {
    let newest = instruments.iter().map(|instrument| instrument.last_time_us).max().unwrap_or_default();
    let start = newest.saturating_sub(period.micros());
    instruments.into_iter().filter(|instrument| instrument.last_time_us > start).collect()
}

/// What values are computed from. Without candles, nothing is known to be complete or final.
fn sample(candles: &[pb::Candle], truncated: bool) -> CandleSample {
    let all = |is: fn(&pb::Candle) -> bool| !candles.is_empty() && candles.iter().all(is);
    CandleSample {
        from_us: candles.first().map_or(0, |candle| candle.open_time_us),
        to_us: candles.last().map_or(0, |candle| candle.close_time_us),
        candles: number(candles.len()),
        complete: all(|candle| candle.complete),
        r#final: all(|candle| candle.r#final),
        truncated,
    }
}

fn close(candle: &pb::Candle) -> Result<Close, Status> {
    Ok(Close { open_time: candle.open_time_us, price: decimal(&candle.close)? })
}

/// Reads a decimal of market-preprocessor.
fn decimal(text: &str) -> Result<Decimal, Status> {
    text.parse().map_err(|error| unusable(&error))
}

/// The answer of market-preprocessor cannot be used.
fn unusable(error: &(dyn std::error::Error + 'static)) -> Status {
    fault(ErrorKind::BadUpstream, error, Details::default())
}

/// A value as text; empty if there is none.
fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A number of candles, which is at most 1,000.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(minute: i64, is_final: bool) -> pb::Candle {
        let open_time_us = minute * Timeframe::M1.micros();
        pb::Candle { open_time_us, r#final: is_final, complete: true, ..Default::default() }
    }

    #[test]
    fn candles_that_are_not_over_are_left_out_at_the_end_only() {
        let candles = [(1, true), (2, false), (3, true), (4, false), (5, false)];
        let candles = candles.map(|(minute, is_final)| candle(minute, is_final));
        assert_eq!(over(&candles), &candles[..3]);
        let found = sample(over(&candles), true);
        assert_eq!((found.candles, found.r#final, found.truncated), (3, false, true));
        assert!(sample(&candles[2..3], false).r#final);
        assert_eq!(over(&candles[3..]), []);
    }

    #[test]
    fn no_candles_are_not_complete() {
        let found = |candles: &[pb::Candle]| sample(candles, false);
        assert!(!found(&[]).complete && !found(&[]).r#final);
        assert!(found(&[candle(1, true)]).complete);
    }

    #[test]
    fn instruments_that_have_not_traded_lately_are_no_movers() {
        let minute = Timeframe::M1.micros();
        let traded = |symbol: &str, minutes_ago: i64| pb::InstrumentStatus {
            symbol: symbol.to_owned(),
            last_time_us: (100_000 - minutes_ago) * minute,
            ..Default::default()
        };
        let instruments =
            vec![traded("BTC-USD", 0), traded("ETH-USD", 4), traded("OLD-USD", 5), traded("DEAD-USD", 9_000)];
        let symbols: Vec<_> = recent(instruments, Timeframe::M5).into_iter().map(|found| found.symbol).collect();
        assert_eq!(symbols, ["BTC-USD", "ETH-USD"]);
        assert_eq!(recent(Vec::new(), Timeframe::M5), []);
    }
}
