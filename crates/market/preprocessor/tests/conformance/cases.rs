//! The cases of the port.

use std::sync::Arc;

use kennel_core::{Event, IdSource as _, RepoError, UuidV7};
use kennel_storage::MigrationState;
use market_contracts::CandleChanged;
use market_domain::{Book, BookState, GapState, Micros, Timeframe, Venue};
use market_preprocessor::store::{BookChange, CandleQuery, Commit};

use tokio::task::JoinSet;

use crate::store::{HOLD, START, Store, at, change, first_change, instrument, query, trade};

pub(crate) fn commit(changes: Vec<BookChange>) -> Commit {
    Commit { changes, ..Commit::default() }
}

pub(crate) async fn a_commit_is_read_as_written(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let change = first_change(&[trade(&kraken, 7, 59, "1.5"), trade(&kraken, 9, 61, "2")]);
    let event = Event::new(UuidV7.next(), "/test", at(3), &CandleChanged::from(&change.candles[0])).unwrap();
    let commit = Commit { changes: vec![change.clone()], events: vec![event.clone()] };
    store.candles.commit(&commit).await.unwrap();
    assert_eq!(store.candles.book(&kraken).await.unwrap(), Some(change.book.clone()));
    let mut stored = Vec::new();
    for timeframe in Timeframe::ALL {
        stored.extend(store.all(&kraken, timeframe).await);
    }
    assert_eq!(stored, change.candles);
    assert_eq!(store.candles.gaps(&kraken, 10).await.unwrap(), change.gaps);
    assert_eq!(change.gaps.len(), 1);
    assert_eq!(store.pending().await, [event]);
}

pub(crate) async fn unknown_instruments_have_nothing(store: &Store) {
    let unknown = instrument(Venue::Kraken, "BTC-USD");
    assert_eq!(store.candles.book(&unknown).await.unwrap(), None);
    assert_eq!(store.candles.books(None).await.unwrap(), []);
    assert_eq!(store.all(&unknown, Timeframe::M1).await, []);
    assert_eq!(store.candles.gaps(&unknown, 10).await.unwrap(), []);
    store.candles.commit(&Commit::default()).await.unwrap();
}

pub(crate) async fn decimals_are_stored_exactly(store: &Store) {
    let (kraken, price) = (instrument(Venue::Kraken, "BTC-USD"), "123456789012345678901234567.890123");
    store.candles.commit(&commit(vec![first_change(&[trade(&kraken, 1, 0, price)])])).await.unwrap();
    let [candle] = &store.all(&kraken, Timeframe::D1).await[..] else { panic!("one candle") };
    assert_eq!((candle.bar.open.to_string().as_str(), candle.bar.volume.to_string().as_str()), (price, "0.00000001"));
    assert_eq!(candle.bar.quote_volume.to_string(), "1234567890123456789.01234567890123");
}

pub(crate) async fn a_change_of_another_version_conflicts_and_stores_nothing(store: &Store) {
    let (kraken, coinbase) = (instrument(Venue::Kraken, "BTC-USD"), instrument(Venue::Coinbase, "BTC-USD"));
    let mut book = Book::new(kraken.clone(), BookState::default(), HOLD);
    let first = change(&mut book, 1, &[trade(&kraken, 1, 0, "1")]);
    store.candles.commit(&commit(vec![first.clone()])).await.unwrap();
    let second = change(&mut book, 2, &[trade(&kraken, 2, 1, "2")]);
    let with_version = |version| {
        let mut change = second.clone();
        change.book.version = version;
        change
    };
    for version in [1, 3] {
        let other = first_change(&[trade(&coinbase, 1, 0, "1")]);
        let event = Event::new(UuidV7.next(), "/test", at(3), &CandleChanged::from(&other.candles[0])).unwrap();
        let given = Commit { changes: vec![other, with_version(version)], events: vec![event] };
        let result = store.candles.commit(&given).await;
        assert!(matches!(result, Err(RepoError::Conflict)), "version {version}: {result:?}");
        assert_eq!(store.candles.book(&kraken).await.unwrap(), Some(first.book.clone()));
        assert_eq!(store.candles.book(&coinbase).await.unwrap(), None);
        assert_eq!(store.all(&kraken, Timeframe::M1).await, &first.candles[..1]);
        assert_eq!(store.pending().await, []);
    }
    store.candles.commit(&commit(vec![second.clone()])).await.unwrap();
    assert_eq!(store.candles.book(&kraken).await.unwrap(), Some(second.book));
}

pub(crate) async fn of_concurrent_changes_of_one_book_one_is_stored(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    for version in 1..=3 {
        let mut members = JoinSet::new();
        for number in 0..4 {
            let mut change = first_change(&[trade(&kraken, number, 0, "1")]);
            change.book.version = version;
            let candles = Arc::clone(&store.candles);
            members.spawn(async move { candles.commit(&commit(vec![change])).await });
        }
        let mut stored = 0;
        for result in members.join_all().await {
            match result {
                Ok(()) => stored += 1,
                Err(error) => assert!(matches!(error, RepoError::Conflict), "{error:?}"),
            }
        }
        assert_eq!(stored, 1);
        assert_eq!(store.candles.book(&kraken).await.unwrap().unwrap().version, version);
    }
}

pub(crate) async fn several_books_are_stored_together(store: &Store) {
    let instruments: Vec<_> = ["AAA-USD", "BBB-USD", "CCC-USD"].map(|symbol| instrument(Venue::Binance, symbol)).into();
    let mut books: Vec<_> =
        instruments.iter().map(|instrument| Book::new(instrument.clone(), BookState::default(), HOLD)).collect();
    let mut store_next = async |ids: &[(usize, i64)]| {
        // In another order than that of the instruments.
        let each = ids.iter().rev();
        let changes = each.map(|(n, id)| change(&mut books[*n], *id, &[trade(&instruments[*n], *id, *id, "1")]));
        store.candles.commit(&commit(changes.collect())).await
    };
    store_next(&[(0, 1), (1, 1)]).await.unwrap();
    // New ones together with others.
    store_next(&[(0, 2), (1, 2), (2, 1)]).await.unwrap();
    for (instrument, trades) in instruments.iter().zip([2, 2, 1]) {
        let [candle] = &store.all(instrument, Timeframe::M1).await[..] else { panic!("one candle of {instrument}") };
        assert_eq!((&candle.key.instrument, candle.bar.trades), (instrument, trades));
        assert_eq!(store.candles.book(instrument).await.unwrap().unwrap().version, trades);
    }
    let outdated = store_next(&[(0, 3), (1, 4)]).await;
    assert!(matches!(outdated, Err(RepoError::Conflict)), "{outdated:?}");
    assert_eq!(store.candles.book(&instruments[0]).await.unwrap().unwrap().version, 2, "all or nothing");
}

pub(crate) async fn a_lower_revision_does_not_replace_a_candle(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let first = first_change(&[trade(&kraken, 1, 0, "1")]);
    let with = |version, revision, high: &str| {
        let mut change = first.clone();
        change.book.version = version;
        change.candles.truncate(1);
        change.candles[0].revision = revision;
        change.candles[0].bar.high = high.parse().unwrap();
        commit(vec![change])
    };
    for (version, revision, high, stored) in [(1, 5, "5", "5"), (2, 4, "4", "5"), (3, 5, "6", "5"), (4, 6, "7", "7")] {
        store.candles.commit(&with(version, revision, high)).await.unwrap();
        let [candle] = &store.all(&kraken, Timeframe::M1).await[..] else { panic!("one candle") };
        assert_eq!(candle.bar.high.to_string(), stored, "version {version}");
    }
}

pub(crate) async fn a_gap_is_read_as_it_is_now(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let mut book = Book::new(kraken.clone(), BookState::default(), HOLD);
    let steps = [
        (
            vec![trade(&kraken, 1, 0, "1"), trade(&kraken, 5, 10, "1"), trade(&kraken, 9, 20, "1")],
            [3, 3],
            GapState::Open,
        ),
        (vec![trade(&kraken, 7, 15, "1")], [2, 3], GapState::Open),
        (vec![trade(&kraken, 10, 100, "1")], [2, 3], GapState::GivenUp),
        (vec![trade(&kraken, 8, 16, "1"), trade(&kraken, 6, 14, "1")], [0, 3], GapState::Healed),
    ];
    for (index, (trades, missing, state)) in (1..).zip(steps) {
        let mut given = change(&mut book, index, &trades);
        // The candles of these trades are not loaded here.
        given.candles.clear();
        store.candles.commit(&commit(vec![given])).await.unwrap();
        let gaps = store.candles.gaps(&kraken, 10).await.unwrap();
        assert_eq!(
            gaps.iter().map(|gap| (gap.whole.from, gap.missing)).collect::<Vec<_>>(),
            [(6, missing[0]), (2, missing[1])]
        );
        assert_eq!(gaps[0].state, state);
        assert_eq!(store.candles.gaps(&kraken, 1).await.unwrap().len(), 1);
    }
}

pub(crate) async fn candles_are_listed_in_the_order_of_time(store: &Store) {
    let (kraken, other) = (instrument(Venue::Kraken, "BTC-USD"), instrument(Venue::Kraken, "BTC-USDT"));
    let trades: Vec<_> = (0..10).map(|minute| trade(&kraken, minute, minute * 60, "1")).collect();
    let changes = vec![first_change(&trades), first_change(&[trade(&other, 1, 0, "1")])];
    store.candles.commit(&commit(changes)).await.unwrap();
    let minute = |minute: i64| Some(Micros(START + minute * Timeframe::M1.micros()));
    let listed = async |from, to, limit| {
        let wanted = CandleQuery { from, to, limit, ..query(&kraken, Timeframe::M1) };
        let candles = store.candles.candles(&wanted).await.unwrap();
        candles
            .iter()
            .map(|candle| (candle.key.window.open_time.0 - START) / Timeframe::M1.micros())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, 100).await, (0..10).collect::<Vec<_>>());
    assert_eq!(listed(None, None, 3).await, [7, 8, 9], "the newest ones");
    assert_eq!(listed(None, minute(5), 2).await, [3, 4], "the newest ones before a time");
    assert_eq!(listed(minute(4), None, 2).await, [4, 5], "the oldest ones from a time");
    assert_eq!(listed(minute(2), minute(4), 100).await, [2, 3], "half open");
    assert_eq!(listed(minute(10), None, 100).await, Vec::<i64>::new());
    assert_eq!(store.all(&kraken, Timeframe::M5).await.len(), 2);
}

pub(crate) async fn many_candles_are_stored_at_once(store: &Store) {
    let kraken = instrument(Venue::Kraken, "BTC-USD");
    let trades: Vec<_> = (0..1_100).map(|minute| trade(&kraken, minute, minute * 60, "1")).collect();
    store.candles.commit(&commit(vec![first_change(&trades)])).await.unwrap();
    assert_eq!(store.all(&kraken, Timeframe::M1).await.len(), 1_100);
    assert_eq!(store.all(&kraken, Timeframe::H1).await.len(), 19);
}

pub(crate) async fn books_are_listed_by_venue(store: &Store) {
    let instruments = [(Venue::Kraken, "ETH-USD"), (Venue::Binance, "ETH-USD"), (Venue::Kraken, "BTC-USD")];
    let instruments = instruments.map(|(venue, symbol)| instrument(venue, symbol));
    let changes = instruments.iter().map(|instrument| first_change(&[trade(instrument, 1, 0, "1")])).collect();
    store.candles.commit(&commit(changes)).await.unwrap();
    let names = |books: Vec<market_preprocessor::store::StoredBook>| {
        books.iter().map(|book| book.instrument.to_string()).collect::<Vec<_>>()
    };
    let all = names(store.candles.books(None).await.unwrap());
    assert_eq!(all, ["binance:ETH-USD", "kraken:BTC-USD", "kraken:ETH-USD"]);
    let kraken = names(store.candles.books(Some(Venue::Kraken)).await.unwrap());
    assert_eq!(kraken, ["kraken:BTC-USD", "kraken:ETH-USD"]);
    assert_eq!(names(store.candles.books(Some(Venue::Coinbase)).await.unwrap()), Vec::<String>::new());
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let (migrator, kraken) = (&store.database.migrator, instrument(Venue::Kraken, "BTC-USD"));
    let first = commit(vec![first_change(&[trade(&kraken, 1, 0, "1")])]);
    store.candles.commit(&first).await.unwrap();
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    let states: Vec<_> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [MigrationState::Applied { at: at(0) }, MigrationState::Pending]);
    assert!(store.candles.books(None).await.is_err(), "without its schema");
    migrator.up(at(1)).await.unwrap();
    assert_eq!(store.candles.books(None).await.unwrap(), []);
    store.candles.commit(&first).await.unwrap();
}
