//! What clients see of the candles: values, the stream over gRPC, conditional requests.

use kennel_proto::market::v1::analytics_service_client::AnalyticsServiceClient;
use kennel_proto::market::v1::candle_service_client::CandleServiceClient;
use kennel_proto::market::v1::{
    CandleRange, GetCorrelationRequest, GetLatestCandleRequest, GetVolatilityRequest, GetVwapRequest,
    ListCandlesRequest, ListMoversRequest, ListReturnsRequest, StreamCandlesRequest, StreamCandlesResponse,
};
use market_domain::Decimal;
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::support::{Ports, StreamEvent, get, json, stream};

const RANGE: &str = "venue=kraken&symbol=BTC-USD&from=2020-01-01T00:00:00Z&limit=1000";

fn range(timeframe: &str) -> CandleRange {
    let text = |text: &str| text.to_owned();
    CandleRange {
        venue: text("kraken"),
        symbol: text("BTC-USD"),
        timeframe: text(timeframe),
        from_us: 1,
        limit: 1_000,
        ..Default::default()
    }
}

async fn channel(ports: &Ports) -> Channel {
    Channel::from_shared(format!("http://{}", ports.api_grpc())).unwrap().connect().await.unwrap()
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// No more trades happen: all values are those of the stored candles, over HTTP and gRPC.
pub(crate) async fn values(ports: &Ports) {
    let candles = json(ports.api(), &format!("/api/v1/candles?{RANGE}")).await["items"].clone();
    let candles = candles.as_array().unwrap();
    let sum = |field: &str| {
        candles.iter().map(|candle| decimal(&candle[field])).fold(Decimal::ZERO, |a, b| a.checked_add(b).unwrap())
    };
    let vwap = json(ports.api(), &format!("/api/v1/vwap?{RANGE}")).await;
    assert_eq!((decimal(&vwap["volume"]), decimal(&vwap["quote_volume"])), (sum("volume"), sum("quote_volume")));
    let expected = sum("quote_volume").rounded_div(sum("volume"), 12).unwrap();
    assert_eq!((decimal(&vwap["vwap"]), &vwap["sample"]["candles"]), (expected, &candles.len().into()));
    assert_eq!(vwap["sample"]["truncated"], false, "{vwap}");
    let cut = json(ports.api(), &format!("/api/v1/vwap?{}&limit=2", RANGE.strip_suffix("&limit=1000").unwrap())).await;
    let [second, candles_of_cut] = [&candles[1]["close_time"], &2.into()];
    assert_eq!((&cut["sample"]["to"], &cut["sample"]["candles"]), (second, candles_of_cut), "{cut}");
    assert_eq!((&cut["sample"]["truncated"], &cut["sample"]["final"]), (&true.into(), &true.into()), "{cut}");
    let returns = json(ports.api(), &format!("/api/v1/returns?{RANGE}")).await;
    let items = returns["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["value"]), (candles.len(), &Value::Null));
    assert!(items[1..].iter().any(|item| item["value"].is_string()), "{returns}");
    let volatility = json(ports.api(), &format!("/api/v1/volatility?{RANGE}")).await;
    let counted = items.iter().filter(|item| item["value"].is_string()).count();
    assert_eq!(volatility["returns"], counted, "{volatility}");
    assert!(volatility["volatility"].is_string() && volatility["annualized"].is_string(), "{volatility}");
    let own = json(ports.api(), &format!("/api/v1/correlation?{RANGE}&other_symbol=BTC-USD")).await;
    assert_eq!((own["correlation"].as_str(), own["pairs"].as_u64()), (Some("1"), Some(counted as u64)), "{own}");
    let movers = json(ports.api(), "/api/v1/movers?period=5m&limit=3").await;
    let movers = movers["items"].as_array().unwrap();
    assert!(movers.len() == 3 && movers.iter().all(|mover| mover["change"].is_string()), "{movers:?}");
    for (path, field) in
        [("movers?period=2m", "period"), ("movers?limit=101", "limit"), ("vwap?venue=a&symbol=b", "venue")]
    {
        let response = get(ports.api(), &format!("/api/v1/{path}"), &[]).await;
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{path}: {problem}");
    }
    over_grpc(ports, &vwap, &volatility).await;
    conditional(ports).await;
}

async fn over_grpc(ports: &Ports, vwap: &Value, volatility: &Value) {
    let channel = channel(ports).await;
    let mut analytics = AnalyticsServiceClient::new(channel.clone());
    let range = || Some(range("1m"));
    let found = analytics.get_vwap(GetVwapRequest { range: range() }).await.unwrap().into_inner();
    assert_eq!((Value::from(found.vwap), Value::from(found.trades)), (vwap["vwap"].clone(), vwap["trades"].clone()));
    let found = analytics.get_volatility(GetVolatilityRequest { range: range() }).await.unwrap().into_inner();
    assert_eq!(Value::from(found.volatility), volatility["volatility"]);
    let found = analytics.list_returns(ListReturnsRequest { range: range() }).await.unwrap().into_inner();
    assert!(found.returns.len() > 2 && found.returns[0].value.is_empty(), "{found:?}");
    let request = GetCorrelationRequest { range: range(), other_symbol: "ETH-USD".to_owned(), ..Default::default() };
    let found = analytics.get_correlation(request).await.unwrap().into_inner();
    assert!(found.pairs > 2 && !found.correlation.is_empty(), "{found:?}");
    let request = ListMoversRequest { venue: "binance".to_owned(), period: "5m".to_owned(), limit: 0 };
    let found = analytics.list_movers(request).await.unwrap().into_inner();
    assert!(found.movers.len() == 2 && found.movers.iter().all(|mover| mover.venue == "binance"), "{found:?}");
    let request = GetLatestCandleRequest { venue: "kraken".to_owned(), symbol: "BTC-USD".to_owned() };
    let latest = analytics.get_latest_candle(request).await.unwrap().into_inner().candle.unwrap();
    let request = ListCandlesRequest {
        venue: latest.venue.clone(),
        symbol: latest.symbol.clone(),
        timeframe: "1m".to_owned(),
        limit: 1,
        ..Default::default()
    };
    let newest = CandleServiceClient::new(channel).list_candles(request).await.unwrap().into_inner().candles;
    assert_eq!(newest, [latest]);
    let error = analytics.get_vwap(GetVwapRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

/// A client that has the candles gets no body.
async fn conditional(ports: &Ports) {
    for path in [format!("/api/v1/candles?{RANGE}"), format!("/api/v1/vwap?{RANGE}"), "/api/v1/instruments".to_owned()]
    {
        let first = get(ports.api(), &path, &[]).await;
        let tag = first.header("etag").unwrap().to_owned();
        let again = get(ports.api(), &path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = get(ports.api(), &path, &[("if-none-match", "W/\"other\"")]).await;
        assert_eq!((other.status, other.header("etag")), (200, Some(tag.as_str())), "{path}");
    }
}

async fn messages(
    client: &mut AnalyticsServiceClient<Channel>,
    resume_token: &str,
) -> Streaming<StreamCandlesResponse> {
    let request = StreamCandlesRequest { resume_token: resume_token.to_owned(), ..Default::default() };
    client.stream_candles(request).await.unwrap().into_inner()
}

/// A client of the gRPC stream that lost its connection gets what it has missed.
pub(crate) async fn the_stream_over_grpc_resumes(ports: &Ports) {
    let mut client = AnalyticsServiceClient::new(channel(ports).await);
    let mut first = messages(&mut client, "").await;
    let start = first.message().await.unwrap().unwrap();
    assert!(start.candle.is_none() && !start.reset && !start.resume_token.is_empty(), "{start:?}");
    let mut seen = Vec::new();
    while seen.len() < 6 {
        seen.extend(first.message().await.unwrap().filter(|message| message.candle.is_some()));
    }
    drop(first);
    let mut resumed = messages(&mut client, &seen[2].resume_token).await;
    assert!(resumed.message().await.unwrap().unwrap().candle.is_none(), "the position comes first");
    for expected in &seen[3..] {
        assert_eq!(resumed.message().await.unwrap().as_ref(), Some(expected));
    }
    let unknown = "00000000-0000-7000-8000-000000000000";
    let mut reset = messages(&mut client, unknown).await;
    reset.message().await.unwrap();
    assert!(reset.message().await.unwrap().unwrap().reset);
    let request = StreamCandlesRequest { resume_token: "yesterday".to_owned(), ..Default::default() };
    assert_eq!(client.stream_candles(request).await.unwrap_err().code(), Code::InvalidArgument);
}

/// A client that resumes at another replica of analytics-api, which has its own order of the changes, is notified.
#[cfg(any(all(feature = "postgres", feature = "kafka"), all(feature = "mysql", feature = "nats")))]
pub(crate) async fn another_replica_resets_the_stream(
    ports: &Ports,
    folder: &tempfile::TempDir,
    further: &[(&str, &str)],
) {
    let mut further = further.to_vec();
    further.extend([("ANALYTICS_API_SERVER_PORT", "0"), ("ANALYTICS_API_GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")]);
    let mut replica = ports.start(folder, &["analytics-api", "serve"], &further);
    let address = replica.listener("analytics-api.http").await;
    let position = crate::support::position(ports.api()).await;
    // The position of the other one is that of an event which this one may have, too.
    assert_eq!(stream(address, Some(&position), 1).await[0].name, "reset");
    crate::support::stop(replica).await;
}

/// A client that resumes after a candle that the server does not have in memory is notified, and reads the history instead.
pub(crate) async fn a_client_that_was_away_too_long_reads_the_history(ports: &Ports, seen: &StreamEvent) {
    let first = stream(ports.api(), Some(&seen.id), 1).await.remove(0);
    assert_eq!(first.name, "reset", "{first:?}");
    let candle: Value = serde_json::from_str(&seen.data).unwrap();
    let text = |field: &str| candle[field].as_str().unwrap();
    let path = format!(
        "/api/v1/candles?venue={}&symbol={}&timeframe={}&from={}&limit=1",
        text("venue"),
        text("symbol"),
        text("timeframe"),
        text("open_time")
    );
    let stored = &json(ports.api(), &path).await["items"][0];
    assert_eq!(stored["open_time"], candle["open_time"], "{stored}");
    assert!(stored["revision"].as_i64() >= candle["revision"].as_i64(), "{stored}");
}
