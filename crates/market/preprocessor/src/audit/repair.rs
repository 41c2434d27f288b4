//! Repairs a minute.

use kennel_core::RepoError;
use market_domain::{Bar, Book, Instrument, Micros, Missing, Timeframe, Trade, Window};
use market_venues::Kline;

use super::{Audit, AuditError, VenueHistory};
use crate::events::events;
use crate::store::{BookChange, CandleQuery, Commit, StoredBook, StoredGap};

/// How often a repair is attempted while trades change the book.
const MAX_ATTEMPTS: u32 = 20;

impl Audit {
    /// Replaces a minute by what the venue's trades add up to, with a new revision, and the longer candles with it.
    pub(super) async fn repair(
        &self,
        history: &dyn VenueHistory,
        instrument: &Instrument,
        minute: Window,
        kline: &Kline,
    ) -> Result<(), AuditError> {
        let wanted = self.ids_of(instrument, minute).await?;
        let mut trades = history.trades(&instrument.symbol, wanted).await?;
        trades.retain(|trade| Window::of(Timeframe::M1, trade.time) == minute);
        trades.sort_by_key(|trade| trade.id);
        trades.dedup_by_key(|trade| trade.id);
        if !adds_up_to(&trades, kline) {
            return Err(AuditError::Unexplained);
        }
        let mut attempts = 0;
        loop {
            match self.rebuild(instrument, minute, &trades).await {
                Err(AuditError::Store(RepoError::Conflict)) if attempts < MAX_ATTEMPTS => attempts += 1,
                result => return result,
            }
        }
    }

    /// The ids that the trades of a minute can have: those between the minutes before and after it.
    async fn ids_of(&self, instrument: &Instrument, minute: Window) -> Result<Missing, AuditError> {
        let before = self.minutes(instrument, None, Some(minute.open_time), 1).await?;
        let after = self.minutes(instrument, Some(minute.end()), None, 1).await?;
        let [Some(before), Some(after)] = [before.first(), after.first()] else {
            return Err(AuditError::NoNeighbours);
        };
        let missing = Missing {
            from: before.bar.last_id + 1,
            to: after.bar.first_id - 1,
            after: Micros(minute.open_time.0 - 1),
            before: minute.end(),
        };
        if missing.from > missing.to { Err(AuditError::Unexplained) } else { Ok(missing) }
    }

    async fn rebuild(&self, instrument: &Instrument, minute: Window, trades: &[Trade]) -> Result<(), AuditError> {
        let stored = self.store.book(instrument).await?.ok_or(AuditError::NoNeighbours)?;
        let mut book = Book::new(instrument.clone(), stored.state, self.hold);
        for (first, last) in book.needed_to_rebuild(minute, trades) {
            let (from, to) = (Some(first.open_time), Some(last.end()));
            let timeframe = first.timeframe;
            let query = CandleQuery { instrument: instrument.clone(), timeframe, from, to, limit: u32::MAX };
            book.load((first, last), self.store.candles(&query).await?);
        }
        book.rebuild(minute, trades)?;
        let changes = book.take_changes();
        if changes.candles.is_empty() && changes.gaps.is_empty() {
            return Ok(());
        }
        let events = events(&*self.ids, &changes.candles)?;
        let book =
            StoredBook { instrument: instrument.clone(), state: book.state().clone(), version: stored.version + 1 };
        let gaps = changes.gaps.iter().map(StoredGap::from).collect();
        let change = BookChange { book, candles: changes.candles, gaps };
        let commit = Commit { changes: vec![change], events };
        Ok(self.store.commit(&commit).await?)
    }
}

/// Whether the trades are all that the venue's candle has.
fn adds_up_to(trades: &[Trade], kline: &Kline) -> bool {
    let mut bars = trades.iter().map(Bar::of);
    let Some(Some(first)) = bars.next() else { return false };
    let Some(bar) = bars.try_fold(first, |sum, bar| sum.merge(&bar?)) else { return false };
    let prices = [(bar.open, kline.open), (bar.high, kline.high), (bar.low, kline.low), (bar.close, kline.close)];
    prices.iter().all(|(own, venue)| own == venue)
        && bar.volume == kline.volume
        && kline.quote_volume.is_none_or(|volume| volume == bar.quote_volume)
        && kline.trades.is_none_or(|trades| trades == bar.trades)
}
