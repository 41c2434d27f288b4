//! The handler of trades, on every store.

use std::sync::Arc;

use kennel_core::{Event, EventType as _, Receipt, SystemClock, UuidV7};
use kennel_outbox::{BatchHandler as _, BatchItem, Handled, HandlerError};
use market_contracts::{CandleChanged, TradeReported, TradeReportedV2};
use market_domain::{GapState, Limits, Timeframe, Trade, Venue};
use market_preprocessor::handler::TradeHandler;
use market_preprocessor::metrics::PreprocessorMetrics;
use prometheus::Registry;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::store::{HOLD, Store, at, instrument, trade};

pub(crate) fn handler(store: &Store) -> TradeHandler {
    let metrics = PreprocessorMetrics::register(&Registry::new()).unwrap();
    TradeHandler::new(
        Arc::clone(&store.candles),
        (Arc::new(UuidV7), Arc::new(SystemClock)),
        metrics,
        Limits::default(),
        HOLD,
    )
}

fn item(trade: &Trade) -> BatchItem {
    let id = TradeReported::event_id(trade);
    let event = Event::new(id, "/test", at(0), &TradeReported::from(trade)).unwrap().into();
    let receipt = Receipt { group: TradeHandler::GROUP.to_owned(), event: id, at: at(1) };
    BatchItem { event, receipt }
}

/// Handles trades that are all accepted.
pub(crate) async fn handle(handler: &TradeHandler, trades: &[Trade]) {
    let items: Vec<_> = trades.iter().map(item).collect();
    let results = handler.handle(&items).await.unwrap();
    assert_eq!(results.len(), trades.len());
    assert!(results.iter().all(|result| matches!(result, Ok(Handled::Recorded))), "{results:?}");
}

pub(crate) async fn trades_become_candles_and_events(store: &Store) {
    let (kraken, binance) = (instrument(Venue::Kraken, "BTC-USD"), instrument(Venue::Binance, "BTC-USD"));
    let trades = [trade(&kraken, 1, 0, "1"), trade(&binance, 1, 0, "2")];
    handle(&handler(store), &trades).await;
    // Another member continues from what is stored.
    handle(&handler(store), &[trade(&kraken, 2, 61, "3")]).await;
    let minutes = store.all(&kraken, Timeframe::M1).await;
    assert_eq!(
        minutes.iter().map(|candle| (candle.is_final, candle.revision)).collect::<Vec<_>>(),
        [(true, 2), (false, 1)]
    );
    let [hour] = &store.all(&kraken, Timeframe::H1).await[..] else { panic!("one candle") };
    assert_eq!(
        (hour.bar.trades, hour.bar.open.to_string().as_str(), hour.bar.close.to_string().as_str()),
        (2, "1", "3")
    );
    for trade in &trades {
        let is_seen = store.database.inbox.seen(TradeHandler::GROUP, TradeReported::event_id(trade)).await.unwrap();
        assert!(!is_seen, "the book knows the trade, without a receipt");
    }
    let changed = |event: &Event| {
        let candle = event.decode::<CandleChanged>().unwrap().unwrap();
        (event.key.clone(), candle.0.timeframe, candle.0.revision, candle.0.r#final)
    };
    let published: Vec<_> = store.pending().await.iter().map(changed).collect();
    let minute = |key: &str, revision, is_final| (key.to_owned(), "1m".to_owned(), revision, is_final);
    assert_eq!(published.len(), 4, "{published:?}");
    for expected in
        [minute("binance:BTC-USD", 1, false), minute("kraken:BTC-USD", 1, false), minute("kraken:BTC-USD", 2, true)]
    {
        assert!(published.contains(&expected), "{published:?}");
    }
    assert!(store.pending().await.iter().all(|event| event.topic == CandleChanged::TOPIC));
}

pub(crate) async fn a_batch_of_many_trades_of_an_instrument_is_one_revision(store: &Store) {
    let (kraken, binance) = (instrument(Venue::Kraken, "BTC-USD"), instrument(Venue::Binance, "BTC-USD"));
    let mut trades: Vec<_> = (1..=600).map(|n| trade(&kraken, n, n / 10, &format!("{}", 100 + n % 7))).collect();
    trades.extend((1..=300).map(|n| trade(&binance, n, n / 10, "5")));
    handle(&handler(store), &trades).await;
    let [first, second] = &store.all(&kraken, Timeframe::M1).await[..] else { panic!("two candles") };
    assert_eq!((first.bar.trades, first.revision, first.is_final), (599, 1, true));
    assert_eq!((second.bar.trades, second.revision, second.is_final), (1, 1, false));
    let changed = store.pending().await;
    assert_eq!(changed.len(), 3, "one event for each changed candle: {changed:?}");
    assert_eq!(store.candles.book(&kraken).await.unwrap().unwrap().version, 1);
}

pub(crate) async fn a_trade_that_is_delivered_again_changes_nothing(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let trades = [trade(&kraken, 1, 0, "1"), trade(&kraken, 2, 1, "2")];
    let first = handler(store);
    handle(&first, &trades).await;
    let before = (store.all(&kraken, Timeframe::M1).await, store.candles.book(&kraken).await.unwrap());
    handle(&first, &trades[..1]).await;
    handle(&handler(store), &trades).await;
    assert_eq!((store.all(&kraken, Timeframe::M1).await, store.candles.book(&kraken).await.unwrap()), before);
}

pub(crate) async fn a_trade_in_the_topics_of_both_versions_is_counted_once(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let trades: Vec<_> = (1..=4).map(|id| trade(&kraken, id, id, "2")).collect();
    let of_version_2 = |trade: &Trade| {
        let event = TradeReportedV2::new(trade, trade.received);
        let id = TradeReported::event_id(trade);
        let event = Event::new(id, "/test", at(0), &event).unwrap().into();
        let receipt = Receipt { group: TradeHandler::GROUP_V2.to_owned(), event: id, at: at(1) };
        BatchItem { event, receipt }
    };
    let handler = handler(store);
    handle(&handler, &trades[..3]).await;
    let results = handler.handle(&trades[1..].iter().map(of_version_2).collect::<Vec<_>>()).await.unwrap();
    assert!(results.iter().all(|result| matches!(result, Ok(Handled::Recorded))), "{results:?}");
    let [candle] = &store.all(&kraken, Timeframe::M1).await[..] else { panic!("one candle") };
    assert_eq!((candle.bar.trades, candle.bar.quote_volume.to_string().as_str()), (4, "0.00000008"));
}

pub(crate) async fn a_trade_that_cannot_be_true_is_refused_and_leaves_a_gap(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let nines = "9".repeat(36);
    let mut huge = trade(&kraken, 3, 2, &nines);
    huge.size = nines.parse().unwrap();
    let items = [
        item(&trade(&kraken, 1, 0, "1")),
        item(&trade(&kraken, 2, 1, "0")),
        item(&huge),
        item(&trade(&kraken, 4, 3, "4")),
    ];
    let results = handler(store).handle(&items).await.unwrap();
    let accepted: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false, true]);
    let is_permanent = |result: &Result<Handled, HandlerError>| matches!(result, Err(HandlerError::Permanent(_)));
    assert!(is_permanent(&results[1]) && is_permanent(&results[2]), "{results:?}");
    let [gap] = &store.candles.gaps(&kraken, 10).await.unwrap()[..] else { panic!("one gap") };
    assert_eq!((gap.whole.from, gap.whole.to, gap.missing, gap.state), (2, 3, 2, GapState::Open));
    let [candle] = &store.all(&kraken, Timeframe::M1).await[..] else { panic!("one candle") };
    assert_eq!((candle.bar.trades, candle.is_complete), (2, false));
    // A message that is no trade does not stop the others.
    let mut broken = item(&trade(&kraken, 5, 4, "5"));
    Arc::make_mut(&mut broken.event).data = vec![0xff].into();
    let results = handler(store).handle(&[broken, item(&trade(&kraken, 6, 5, "6"))]).await.unwrap();
    assert!(is_permanent(&results[0]) && results[1].is_ok(), "{results:?}");
}

pub(crate) async fn members_that_handle_one_instrument_lose_and_double_nothing(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let trades: Vec<_> = (0..60).map(|n| trade(&kraken, n, n * 10, &format!("{}", 100 + n % 7))).collect();
    let mut random = StdRng::seed_from_u64(1);
    let members = [handler(store), handler(store)];
    let mut running = JoinSet::new();
    for member in members {
        let mut trades = trades.clone();
        // Each gets all trades, in an order of its own.
        trades.shuffle(&mut random);
        let size = random.random_range(1..8);
        running.spawn(async move {
            for trades in trades.chunks(size) {
                handle(&member, trades).await;
            }
        });
    }
    running.join_all().await;
    let minutes = store.all(&kraken, Timeframe::M1).await;
    assert_eq!(minutes.iter().map(|candle| candle.bar.trades).collect::<Vec<_>>(), [6; 10]);
    let [day] = &store.all(&kraken, Timeframe::D1).await[..] else { panic!("one candle") };
    assert_eq!((day.bar.trades, day.bar.volume.to_string().as_str()), (60, "0.0000006"));
    assert!(store.candles.gaps(&kraken, 1_000).await.unwrap().iter().all(|gap| gap.state == GapState::Healed));
}
