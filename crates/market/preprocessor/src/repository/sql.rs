//! Candles in the SQL databases.

use async_trait::async_trait;
use kennel_core::RepoError;
use kennel_storage::{SqlStore, SqlWrite as _, Storage};
use market_domain::{Candle, Instrument, Venue};

use super::statements::{self, Upsert};
use crate::store::{BookChange, CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

/// The candles of a SQL database.
pub(super) struct SqlCandles<S>(pub(super) S);

impl<S: SqlStore> SqlCandles<S> {
    const UPSERT: Upsert = Upsert::of(S::STORAGE);
    /// The end of a query that locks its rows. In SQLite, a transaction that writes is the only one.
    const LOCK: &'static str = if matches!(S::STORAGE, Storage::Sqlite) { "" } else { " FOR UPDATE" };

    async fn try_commit(&self, commit: &Commit) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        // One order in all calls: fewer deadlocks.
        let mut changes: Vec<_> = commit.changes.iter().collect();
        changes.sort_by_key(|change| &change.book.instrument);
        let (new, known): (Vec<_>, Vec<_>) =
            changes.iter().map(|change| &change.book).partition(|book| book.version == 1);
        for books in S::chunks(&new, statements::MAX_ROWS) {
            // Fails with a conflict if one of them exists.
            write.execute(statements::insert_books(books)?).await?;
        }
        for books in S::chunks(&known, statements::MAX_ROWS) {
            let stored = write.fetch(statements::lock_books(books, Self::LOCK)).await?;
            if !statements::precede(&stored, books)? {
                return Err(RepoError::Conflict);
            }
            write.execute(statements::update_books(books, &Self::UPSERT)?).await?;
        }
        let candles: Vec<_> = changes.iter().flat_map(|change| &change.candles).collect();
        for candles in S::chunks(&candles, statements::MAX_ROWS) {
            write.execute(statements::write_candles(candles, &Self::UPSERT)).await?;
        }
        let gaps: Vec<_> = changes.iter().flat_map(|change| gaps_of(change)).collect();
        for gaps in S::chunks(&gaps, statements::MAX_ROWS) {
            write.execute(statements::write_gaps(gaps, &Self::UPSERT)).await?;
        }
        write.append(&commit.events).await?;
        write.commit().await
    }
}

fn gaps_of(change: &BookChange) -> Vec<(Instrument, StoredGap)> {
    change.gaps.iter().map(|gap| (change.book.instrument.clone(), *gap)).collect()
}

#[async_trait]
impl<S: SqlStore> CandleRepository for SqlCandles<S> {
    async fn commit(&self, commit: &Commit) -> Result<(), RepoError> {
        self.0.run(|| self.try_commit(commit)).await
    }

    async fn book(&self, instrument: &Instrument) -> Result<Option<StoredBook>, RepoError> {
        Ok(self.0.select(|| statements::book(instrument), statements::read_book).await?.pop())
    }

    async fn books(&self, venue: Option<Venue>) -> Result<Vec<StoredBook>, RepoError> {
        self.0.select(|| statements::books(venue), statements::read_book).await
    }

    async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, RepoError> {
        let mut candles = self.0.select(|| statements::candles(query), statements::read_candle).await?;
        if query.from.is_none() {
            candles.reverse();
        }
        Ok(candles)
    }

    async fn gaps(&self, instrument: &Instrument, limit: u32) -> Result<Vec<StoredGap>, RepoError> {
        self.0.select(|| statements::gaps(instrument, limit), statements::read_gap).await
    }
}
