//! The statements of the SQL databases.

use std::collections::HashMap;

use kennel_core::RepoError;
use kennel_storage::{Columns, Statement, Storage, classify};
use market_domain::{Bar, Candle, CandleKey, Decimal, GapState, Instrument, Micros, Missing, Timeframe, Venue, Window};

use crate::store::{CandleQuery, StoredBook, StoredGap};

/// How a database replaces rows that exist.
pub(super) struct Upsert {
    /// Before the key columns; `None` if the key is not named.
    conflict: Option<&'static str>,
    /// The new value of a column, of which `{}` is the name.
    value: &'static str,
}

/// `PostgreSQL` and SQLite.
const UPSERT: Upsert = Upsert { conflict: Some(" ON CONFLICT "), value: "{} = excluded.{}" };
/// MySQL. Each column is replaced only if the condition is true.
const MYSQL_UPSERT: Upsert = Upsert { conflict: None, value: "{} = IF(VALUES({guard}) > {guard}, VALUES({}), {})" };

impl Upsert {
    pub(super) const fn of(storage: Storage) -> Self {
        match storage {
            Storage::Mysql => MYSQL_UPSERT,
            _ => UPSERT,
        }
    }

    /// The end of an insert that replaces `columns` of existing rows if the value of `guard`, the last of them, increases.
    fn clause(&self, table: &str, key: &str, columns: &[&str], guard: &str) -> String {
        let sets = columns.iter().map(|column| self.value.replace("{}", column).replace("{guard}", guard));
        let sets = sets.collect::<Vec<_>>().join(", ");
        match self.conflict {
            Some(conflict) => {
                format!("{conflict}({key}) DO UPDATE SET {sets} WHERE {table}.{guard} < excluded.{guard}")
            }
            None => format!(" ON DUPLICATE KEY UPDATE {sets}"),
        }
    }
}

/// Maximum number of rows per statement; 18 parameters each are below the limit of 32,766 of SQLite.
pub(super) const MAX_ROWS: usize = 500;

const CANDLE_KEY: &str = "venue, symbol, timeframe, open_time";
/// The revision is last, because MySQL compares with the value that is set before.
const CANDLE_COLUMNS: [&str; 14] = [
    "is_final",
    "is_complete",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "buy_volume",
    "trades",
    "first_id",
    "last_id",
    "updated",
    "revision",
];
const SELECT_CANDLES: &str = "SELECT venue, symbol, timeframe, open_time, is_final, is_complete, open, high, low, close, volume, \
    quote_volume, buy_volume, trades, first_id, last_id, updated, revision FROM candles";
const SELECT_BOOKS: &str = "SELECT venue, symbol, version, state FROM books";

fn of_instrument<S: Statement>(statement: &mut S, instrument: &Instrument) {
    statement.sql(" WHERE venue = ").text(instrument.venue.name());
    statement.sql(" AND symbol = ").text(instrument.symbol.as_str());
}

/// The insert of books. There is at least one.
pub(super) fn insert_books<S: Statement>(books: &[&StoredBook]) -> Result<S, RepoError> {
    let mut insert = S::new("INSERT INTO books (venue, symbol, version, state) VALUES ");
    for (index, book) in books.iter().enumerate() {
        let state = serde_json::to_string(&book.state).map_err(|error| RepoError::Backend(error.into()))?;
        insert.sql(if index == 0 { "(" } else { ", (" }).text(book.instrument.venue.name());
        insert.sql(", ").text(book.instrument.symbol.as_str()).sql(", ").number(book.version).sql(", ").text(&state);
        insert.sql(")");
    }
    Ok(insert)
}

/// Replaces books that are locked.
pub(super) fn update_books<S: Statement>(books: &[&StoredBook], upsert: &Upsert) -> Result<S, RepoError> {
    let mut insert: S = insert_books(books)?;
    insert.sql(&upsert.clause("books", "venue, symbol", &["state", "version"], "version"));
    Ok(insert)
}

/// Locks books, in one order in all calls: fewer deadlocks. There is at least one.
pub(super) fn lock_books<S: Statement>(books: &[&StoredBook], lock: &str) -> S {
    let mut select = S::new("SELECT venue, symbol, version FROM books WHERE ");
    for (index, book) in books.iter().enumerate() {
        select.sql(if index == 0 { "(venue = " } else { " OR (venue = " }).text(book.instrument.venue.name());
        select.sql(" AND symbol = ").text(book.instrument.symbol.as_str()).sql(")");
    }
    select.sql(" ORDER BY venue, symbol").sql(lock);
    select
}

/// Whether the stored versions are those before the given ones.
pub(super) fn precede(stored: &[impl Columns], books: &[&StoredBook]) -> Result<bool, RepoError> {
    let mut versions = HashMap::new();
    for row in stored {
        versions.insert(instrument(row)?, row.number("version").map_err(classify)?);
    }
    Ok(books.iter().all(|book| versions.get(&book.instrument) == Some(&(book.version - 1))))
}

/// `candles` has at least one.
pub(super) fn write_candles<S: Statement>(candles: &[&Candle], upsert: &Upsert) -> S {
    let mut insert = S::new(&format!("INSERT INTO candles ({CANDLE_KEY}, {}) VALUES ", CANDLE_COLUMNS.join(", ")));
    for (index, candle) in candles.iter().enumerate() {
        let (CandleKey { instrument, window }, bar) = (&candle.key, &candle.bar);
        insert.sql(if index == 0 { "(" } else { ", (" }).text(instrument.venue.name());
        insert.sql(", ").text(instrument.symbol.as_str()).sql(", ").text(window.timeframe.name());
        for number in [window.open_time.0, candle.is_final.into(), candle.is_complete.into()] {
            insert.sql(", ").number(number);
        }
        for decimal in [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume, bar.buy_volume] {
            insert.sql(", ").text(&decimal.to_string());
        }
        for number in [bar.trades, bar.first_id, bar.last_id, candle.updated.0, candle.revision] {
            insert.sql(", ").number(number);
        }
        insert.sql(")");
    }
    insert.sql(&upsert.clause("candles", CANDLE_KEY, &CANDLE_COLUMNS, "revision"));
    insert
}

/// `gaps` has at least one. A gap changes when fewer ids are missing, or when it is given up.
pub(super) fn write_gaps<S: Statement>(gaps: &[(Instrument, StoredGap)], upsert: &Upsert) -> S {
    let mut insert = S::new(
        "INSERT INTO gaps (venue, symbol, from_id, to_id, after_time, before_time, missing, state, revision) VALUES ",
    );
    for (index, (instrument, gap)) in gaps.iter().enumerate() {
        insert.sql(if index == 0 { "(" } else { ", (" }).text(instrument.venue.name());
        insert.sql(", ").text(instrument.symbol.as_str());
        let Missing { from, to, after, before } = gap.whole;
        for number in [from, to, after.0, before.0, gap.missing] {
            insert.sql(", ").number(number);
        }
        insert.sql(", ").text(gap.state.name()).sql(", ").number(revision(gap)).sql(")");
    }
    insert.sql(&upsert.clause("gaps", "venue, symbol, from_id", &["missing", "state", "revision"], "revision"));
    insert
}

/// Increases with every change of a gap.
fn revision(gap: &StoredGap) -> i64 {
    let filled = gap.whole.count().saturating_sub(gap.missing);
    filled.saturating_mul(2).saturating_add(i64::from(gap.state != GapState::Open))
}

pub(super) fn book<S: Statement>(instrument: &Instrument) -> S {
    let mut select = S::new(SELECT_BOOKS);
    of_instrument(&mut select, instrument);
    select
}

pub(super) fn books<S: Statement>(venue: Option<Venue>) -> S {
    let mut select = S::new(SELECT_BOOKS);
    if let Some(venue) = venue {
        select.sql(" WHERE venue = ").text(venue.name());
    }
    select.sql(" ORDER BY venue, symbol");
    select
}

/// The candles, newest first if there is no start.
pub(super) fn candles<S: Statement>(query: &CandleQuery) -> S {
    let mut select = S::new(SELECT_CANDLES);
    of_instrument(&mut select, &query.instrument);
    select.sql(" AND timeframe = ").text(query.timeframe.name());
    if let Some(from) = query.from {
        select.sql(" AND open_time >= ").number(from.0);
    }
    if let Some(to) = query.to {
        select.sql(" AND open_time < ").number(to.0);
    }
    select.sql(if query.from.is_some() { " ORDER BY open_time LIMIT " } else { " ORDER BY open_time DESC LIMIT " });
    select.number(query.limit.into());
    select
}

pub(super) fn gaps<S: Statement>(instrument: &Instrument, limit: u32) -> S {
    let mut select = S::new("SELECT from_id, to_id, after_time, before_time, missing, state FROM gaps");
    of_instrument(&mut select, instrument);
    select.sql(" ORDER BY from_id DESC LIMIT ").number(limit.into());
    select
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<T, RepoError> {
    text.parse().map_err(RepoError::corrupt)
}

fn instrument(row: &impl Columns) -> Result<Instrument, RepoError> {
    let text = |column| row.text(column).map_err(classify);
    Ok(Instrument { venue: parsed(&text("venue")?)?, symbol: parsed(&text("symbol")?)? })
}

pub(super) fn read_book(row: &impl Columns) -> Result<StoredBook, RepoError> {
    let state = row.text("state").map_err(classify)?;
    Ok(StoredBook {
        instrument: instrument(row)?,
        state: serde_json::from_str(&state).map_err(RepoError::corrupt)?,
        version: row.number("version").map_err(classify)?,
    })
}

pub(super) fn read_candle(row: &impl Columns) -> Result<Candle, RepoError> {
    let decimal = |column| parsed::<Decimal>(&row.text(column).map_err(classify)?);
    let number = |column| row.number(column).map_err(classify);
    let timeframe: Timeframe = parsed(&row.text("timeframe").map_err(classify)?)?;
    let window = Window { timeframe, open_time: Micros(number("open_time")?) };
    Ok(Candle {
        key: CandleKey { instrument: instrument(row)?, window },
        bar: Bar {
            open: decimal("open")?,
            high: decimal("high")?,
            low: decimal("low")?,
            close: decimal("close")?,
            volume: decimal("volume")?,
            quote_volume: decimal("quote_volume")?,
            buy_volume: decimal("buy_volume")?,
            trades: number("trades")?,
            first_id: number("first_id")?,
            last_id: number("last_id")?,
        },
        revision: number("revision")?,
        is_final: number("is_final")? != 0,
        is_complete: number("is_complete")? != 0,
        updated: Micros(number("updated")?),
    })
}

pub(super) fn read_gap(row: &impl Columns) -> Result<StoredGap, RepoError> {
    let number = |column| row.number(column).map_err(classify);
    let state = row.text("state").map_err(classify)?;
    let [from, to] = [number("from_id")?, number("to_id")?];
    let [after, before] = [Micros(number("after_time")?), Micros(number("before_time")?)];
    let state = GapState::of_name(&state).ok_or_else(|| RepoError::Corrupt("a gap has an unknown state".into()))?;
    Ok(StoredGap { whole: Missing { from, to, after, before }, missing: number("missing")?, state })
}
