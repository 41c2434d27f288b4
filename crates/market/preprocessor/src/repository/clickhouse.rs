//! Candles in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

use async_trait::async_trait;
use kennel_core::RepoError;
use kennel_storage::clickhouse::{ClickHouse, KeyRange, RecordKey, RecordKind, Write};
use market_domain::{Candle, Instrument, Micros, Timeframe, Venue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{BookChange, CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

const BOOK: RecordKind = RecordKind { name: "book", columns: "book_version, book" };
const CANDLE: RecordKind = RecordKind { name: "candle", columns: "candle" };
const GAP: RecordKind = RecordKind { name: "gap", columns: "gap" };

/// The columns of each kind, in addition to the key.
#[derive(Serialize, Deserialize)]
struct BookRow {
    book_version: i64,
    book: String,
}

#[derive(Serialize, Deserialize)]
struct CandleRow {
    candle: String,
}

#[derive(Serialize, Deserialize)]
struct GapRow {
    gap: String,
}

fn prefix(instrument: &Instrument) -> String {
    format!("{}/{}", instrument.venue, instrument.symbol)
}

/// A number in a key, so that numbers sort as text.
fn sorted(number: i64) -> String {
    format!("{:020}", number.max(0))
}

fn book_key(instrument: &Instrument) -> RecordKey {
    BOOK.key(prefix(instrument))
}

fn candle_text(instrument: &Instrument, timeframe: Timeframe, open: Micros) -> String {
    format!("{}/{timeframe}/{}", prefix(instrument), sorted(open.0))
}

fn candle_key(candle: &Candle) -> RecordKey {
    let window = candle.key.window;
    CANDLE.key(candle_text(&candle.key.instrument, window.timeframe, window.open_time))
}

fn gap_key(instrument: &Instrument, gap: &StoredGap) -> RecordKey {
    GAP.key(format!("{}/{}", prefix(instrument), sorted(gap.whole.from)))
}

fn json<T: Serialize>(value: &T) -> Result<String, RepoError> {
    serde_json::to_string(value).map_err(|error| RepoError::Backend(error.into()))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, RepoError> {
    serde_json::from_str(text).map_err(RepoError::corrupt)
}

fn read_book(key: &str, row: &BookRow) -> Result<StoredBook, RepoError> {
    let (venue, symbol) = key.split_once('/').unwrap_or((key, ""));
    let instrument = Instrument {
        venue: venue.parse().map_err(RepoError::corrupt)?,
        symbol: symbol.parse().map_err(RepoError::corrupt)?,
    };
    Ok(StoredBook { instrument, state: parse(&row.book)?, version: row.book_version })
}

fn change(write: &mut Write<'_>, change: &BookChange) -> Result<(), RepoError> {
    let (book, instrument) = (&change.book, &change.book.instrument);
    let stored = write.get::<BookRow>(&book_key(instrument))?.map_or(0, |row| row.book_version);
    if stored + 1 != book.version {
        return Err(RepoError::Conflict);
    }
    write.put(&book_key(instrument), &BookRow { book_version: book.version, book: json(&book.state)? })?;
    for candle in &change.candles {
        let stored =
            write.get::<CandleRow>(&candle_key(candle))?.map(|row| parse::<Candle>(&row.candle)).transpose()?;
        if stored.is_none_or(|stored| stored.revision < candle.revision) {
            write.put(&candle_key(candle), &CandleRow { candle: json(candle)? })?;
        }
    }
    for gap in &change.gaps {
        write.put(&gap_key(instrument, gap), &GapRow { gap: json(gap)? })?;
    }
    Ok(())
}

/// The candles of a ClickHouse database.
pub(super) struct ClickHouseCandles(pub(super) ClickHouse);

#[async_trait]
impl CandleRepository for ClickHouseCandles {
    async fn commit(&self, commit: &Commit) -> Result<(), RepoError> {
        let mut reads = Vec::new();
        for change in &commit.changes {
            reads.push(book_key(&change.book.instrument));
            reads.extend(change.candles.iter().map(candle_key));
        }
        let commit = commit.clone();
        let apply = move |write: &mut Write<'_>| {
            commit.changes.iter().try_for_each(|given| change(write, given))?;
            write.append(&commit.events)
        };
        self.0.write(reads, apply).await
    }

    async fn book(&self, instrument: &Instrument) -> Result<Option<StoredBook>, RepoError> {
        let found = self.0.find(&[book_key(instrument)]).await?;
        found.values().next().map(|record| read_book(&record.key, &record.read()?)).transpose()
    }

    async fn books(&self, venue: Option<Venue>) -> Result<Vec<StoredBook>, RepoError> {
        let above = venue.map(|venue| format!("{venue}/")).unwrap_or_default();
        // The character after the slash is a zero.
        let below = venue.map(|venue| format!("{venue}0"));
        let range = KeyRange { kind: BOOK, above, below, descending: false };
        let found = self.0.scan(&range, usize::MAX).await?;
        found.iter().map(|record| read_book(&record.key, &record.read()?)).collect()
    }

    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, RepoError> {
        let key = |time| candle_text(&query.instrument, query.timeframe, time);
        // The range is open at both ends.
        let above = query.from.map_or_else(|| key(Micros(0)), |from| key(Micros(from.0 - 1)));
        let below = query.to.map_or_else(|| key(Micros(i64::MAX)), key);
        let descending = query.from.is_none();
        let range = KeyRange { kind: CANDLE, above, below: Some(below), descending };
        let found = self.0.scan(&range, query.limit as usize).await?;
        let read = |record: &kennel_storage::clickhouse::Record| parse(&record.read::<CandleRow>()?.candle);
        let mut candles: Vec<Candle> = found.iter().map(read).collect::<Result<_, _>>()?;
        if descending {
            candles.reverse();
        }
        Ok(candles)
    }

    async fn gaps(&self, instrument: &Instrument, limit: u32) -> Result<Vec<StoredGap>, RepoError> {
        let prefix = prefix(instrument);
        let range =
            KeyRange { kind: GAP, above: format!("{prefix}/"), below: Some(format!("{prefix}0")), descending: true };
        let found = self.0.scan(&range, limit as usize).await?;
        found.iter().map(|record| parse(&record.read::<GapRow>()?.gap)).collect()
    }
}
