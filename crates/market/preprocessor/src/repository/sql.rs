//! Candles in the SQL databases: one implementation, because they differ only in their drivers and in how they replace rows.

/// Implements the port for `$candles`, which has a function `reader`, the executor of single statements, and `run`, which runs a
/// call within the limits of the engine and repeats it after a deadlock.
macro_rules! sql_candles {
    ($candles:ident, $database:ty, $engine:ident, $upsert:expr) => {
        use async_trait::async_trait;
        use kennel_core::RepoError;
        use kennel_storage::$engine::{Write, classify};
        use market_domain::{Candle, Instrument, Venue};
        use sqlx::QueryBuilder;

        use super::statements;
        use crate::store::{CandleQuery, CandleRepository, Commit, StoredBook, StoredGap};

        statements::statement!($database);

        impl $candles {
            async fn select(
                &self,
                mut select: QueryBuilder<$database>,
            ) -> Result<Vec<<$database as sqlx::Database>::Row>, RepoError> {
                select.build().fetch_all(self.reader()).await.map_err(classify)
            }

            async fn try_commit(&self, commit: &Commit) -> Result<(), RepoError> {
                let mut write = self.0.write().await?;
                // One order in all calls: fewer deadlocks.
                let mut changes: Vec<_> = commit.changes.iter().collect();
                changes.sort_by_key(|change| &change.book.instrument);
                for change in &changes {
                    if execute(&mut write, statements::write_book(&change.book)?).await? != 1 {
                        return Err(RepoError::Conflict);
                    }
                }
                let candles: Vec<_> = changes.iter().flat_map(|change| &change.candles).collect();
                for candles in candles.chunks(statements::MAX_ROWS) {
                    execute(&mut write, statements::write_candles(candles, &$upsert)).await?;
                }
                let of_book = |change: &&crate::store::BookChange| {
                    let instrument = change.book.instrument.clone();
                    change.gaps.iter().map(move |gap| (instrument.clone(), *gap)).collect::<Vec<_>>()
                };
                let gaps: Vec<_> = changes.iter().flat_map(of_book).collect();
                for gaps in gaps.chunks(statements::MAX_ROWS) {
                    execute(&mut write, statements::write_gaps(gaps, &$upsert)).await?;
                }
                write.record_all(&commit.receipts).await?;
                write.append(&commit.events).await?;
                write.commit().await
            }
        }

        /// Returns the number of changed rows.
        async fn execute(write: &mut Write, mut statement: QueryBuilder<$database>) -> Result<u64, RepoError> {
            let result = statement.build().execute(write.connection()).await.map_err(classify)?;
            Ok(result.rows_affected())
        }

        #[async_trait]
        impl CandleRepository for $candles {
            async fn commit(&self, commit: &Commit) -> Result<(), RepoError> {
                self.run(|| self.try_commit(commit)).await
            }

            async fn book(&self, instrument: &Instrument) -> Result<Option<StoredBook>, RepoError> {
                let rows = self.run(|| self.select(statements::book(instrument))).await?;
                rows.first().map(statements::read_book).transpose()
            }

            async fn books(&self, venue: Option<Venue>) -> Result<Vec<StoredBook>, RepoError> {
                let rows = self.run(|| self.select(statements::books(venue))).await?;
                rows.iter().map(statements::read_book).collect()
            }

            async fn candles(&self, query: &CandleQuery) -> Result<Vec<Candle>, RepoError> {
                let rows = self.run(|| self.select(statements::candles(query))).await?;
                let mut candles: Vec<_> = rows.iter().map(statements::read_candle).collect::<Result<_, _>>()?;
                if query.from.is_none() {
                    candles.reverse();
                }
                Ok(candles)
            }

            async fn gaps(&self, instrument: &Instrument, limit: u32) -> Result<Vec<StoredGap>, RepoError> {
                let rows = self.run(|| self.select(statements::gaps(instrument, limit))).await?;
                rows.iter().map(statements::read_gap).collect()
            }
        }
    };
}
pub(super) use sql_candles;
