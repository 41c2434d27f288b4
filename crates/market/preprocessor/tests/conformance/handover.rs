//! `docs/handover`: another engine computes the same candles from the same topic.
//!
//! `RisingWave` itself is not run. Its query is run by `PostgreSQL`, whose dialect it has, with two replacements: a window is found
//! by `date_bin` instead of `TUMBLE`, and all windows are emitted at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use market_domain::{Book, BookState, Candle, Instrument, Micros, Side, Timeframe, Trade};

use crate::store::HOLD;

/// What engines run.
const SQL: &str = include_str!("../../../../../docs/handover/risingwave.sql");
/// Trades as they are in the topic: not in order, and some several times.
const TRADES: &str = include_str!("handover/trades.csv");
/// The candles of one minute of these trades, computed by a program in another language.
const CANDLES: &str = include_str!("handover/candles.csv");
const COLUMNS: &str =
    "venue,symbol,open_time,open,high,low,close,volume,quote_volume,buy_volume,trades,first_id,last_id,is_complete";

/// A row of the topic.
fn trade(row: &str) -> Trade {
    let fields: Vec<_> = row.split(',').collect();
    let [venue, symbol, id, price, size, taker, time, received] = fields[..] else { panic!("{row}") };
    Trade {
        instrument: Instrument { venue: venue.parse().unwrap(), symbol: symbol.parse().unwrap() },
        id: id.parse().unwrap(),
        price: price.parse().unwrap(),
        size: size.parse().unwrap(),
        taker: match taker {
            "SIDE_BUY" => Some(Side::Buy),
            "SIDE_SELL" => Some(Side::Sell),
            _ => None,
        },
        time: Micros(time.parse().unwrap()),
        received: Micros(received.parse().unwrap()),
    }
}

/// The candles of one minute, by our own code.
fn own() -> String {
    let mut books = BTreeMap::new();
    let mut candles = BTreeMap::new();
    for trade in TRADES.lines().skip(1).map(trade) {
        let instrument = trade.instrument.clone();
        let book = books
            .entry(instrument.clone())
            .or_insert_with(|| Book::new(instrument.clone(), BookState::default(), HOLD));
        for (first, last) in book.needed(&trade) {
            let range = (instrument.clone(), first)..=(instrument.clone(), last);
            let stored = candles.range(range).map(|(_, candle): (_, &Candle)| candle.clone()).collect();
            book.load((first, last), stored);
        }
        book.apply(&trade).unwrap();
        let changed = book.take_changes().candles;
        candles.extend(changed.into_iter().map(|candle| ((instrument.clone(), candle.key.window), candle)));
    }
    let mut text = format!("{COLUMNS}\n");
    for ((instrument, window), candle) in &candles {
        if window.timeframe != Timeframe::M1 {
            continue;
        }
        let bar = &candle.bar;
        let has_all = bar.trades == bar.last_id - bar.first_id + 1;
        write!(text, "{},{},{},", instrument.venue, instrument.symbol, window.open_time.0).unwrap();
        write!(text, "{},{},{},{},", bar.open, bar.high, bar.low, bar.close).unwrap();
        write!(text, "{},{},{},", bar.volume, bar.quote_volume, bar.buy_volume).unwrap();
        writeln!(text, "{},{},{},{}", bar.trades, bar.first_id, bar.last_id, u8::from(has_all)).unwrap();
    }
    text
}

#[test]
fn the_golden_candles_are_those_of_our_own_code() {
    assert!(CANDLES.lines().count() > 8 && CANDLES.contains(",0\n"), "with a minute from which a trade is missing");
    assert_eq!(own(), CANDLES);
}

/// The hand-over time of the file, and that as seconds.
const HANDOVER: (&str, i64) = ("2030-01-01 00:00:00+00", 1_893_456_000);

/// The query of the view with another hand-over time, as `PostgreSQL` understands it.
fn query(handover: &str) -> String {
    let (_, query) = SQL.split_once("CREATE MATERIALIZED VIEW candles_1m AS\n").unwrap();
    let (query, _) = query.split_once("\nEMIT ON WINDOW CLOSE;").unwrap();
    let tumble = "TUMBLE(trades, traded_at, INTERVAL '1 minute')";
    assert_eq!(query.matches(tumble).count(), 1, "{query}");
    let windows = "(SELECT *, date_bin(INTERVAL '1 minute', to_timestamp(time_us / 1000000), 'epoch') AS window_start \
        FROM trades) AS trades";
    assert_eq!(query.matches(HANDOVER.0).count(), 1, "{query}");
    query.replace(tumble, windows).replace(HANDOVER.0, handover)
}

#[test]
fn the_statements_are_those_that_the_guide_describes() {
    let statements: Vec<_> = SQL
        .split(";\n")
        .map(|statement| {
            let lines = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
            lines.collect::<Vec<_>>().join("\n").trim().to_owned()
        })
        .filter(|statement| !statement.is_empty())
        .collect();
    let starts = [
        "CREATE SOURCE trades (",
        "CREATE MATERIALIZED VIEW candles_1m AS",
        "CREATE SINK candles FROM candles_1m WITH (",
    ];
    assert_eq!(statements.len(), starts.len());
    for (statement, start) in statements.iter().zip(starts) {
        assert!(statement.starts_with(start), "{statement}");
    }
    assert!(statements[0].contains(&format!("topic = '{}'", market_contracts::TRADES)));
    let parsed =
        sqlparser::parser::Parser::parse_sql(&sqlparser::dialect::PostgreSqlDialect {}, &query(HANDOVER.0)).unwrap();
    assert_eq!(parsed.len(), 1);
    // What is read starts two minutes before what is written.
    let start = format!("scan.startup.timestamp.millis = '{}'", (HANDOVER.1 - 120) * 1_000);
    assert!(statements[0].contains("scan.startup.mode = 'timestamp'") && statements[0].contains(&start));
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn the_query_gives_the_golden_candles() {
    use sqlx::Connection as _;

    let Some(database) = kennel_testkit::TestDatabase::postgres().await else { return };
    let mut connection = sqlx::PgConnection::connect(&database.dsn()).await.unwrap();
    let columns = "venue text, symbol text, trade_id bigint, price text, size text, taker_side text, time_us bigint, \
        received_us bigint";
    let mut setup = format!("CREATE TABLE trades ({columns}); SET TIME ZONE 'UTC';");
    for row in TRADES.lines().skip(1) {
        let quoted: Vec<_> = row.split(',').map(|field| format!("'{field}'")).collect();
        write!(setup, "INSERT INTO trades VALUES ({});", quoted.join(",")).unwrap();
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(setup)).execute(&mut connection).await.unwrap();
    let row = COLUMNS.replace(',', " || ',' || ");
    // At the second hand-over time, two minutes are over: the engine has none of them.
    for (handover, skipped) in
        [("1970-01-01 00:00:00+00", None), ("2023-12-09 00:02:00+00", Some(1_702_080_120_000_000))]
    {
        let select = format!("SELECT {row} FROM ({}) AS candles ORDER BY venue, symbol, open_time", query(handover));
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(&mut connection).await.unwrap();
        let open_time = |row: &str| row.split(',').nth(2).unwrap().parse::<i64>().unwrap();
        let expected: Vec<_> =
            CANDLES.lines().skip(1).filter(|row| skipped.is_none_or(|from| open_time(row) >= from)).collect();
        assert!(expected.len() > 3);
        assert_eq!(rows, expected, "{handover}");
    }
}
