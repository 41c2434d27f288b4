//! Events about candles.

use kennel_core::{Event, IdSource, RepoError, Timestamp};
use market_contracts::CandleChanged;
use market_domain::{Candle, Timeframe};

/// The CloudEvents `source` of all events.
pub(crate) const SOURCE: &str = "/market-preprocessor";

/// The events about changed candles: about every change of a minute, and about longer candles when they are final, since their
/// changes follow from the minutes.
pub(crate) fn events(ids: &dyn IdSource, candles: &[Candle]) -> Result<Vec<Event>, RepoError> {
    let is_published = |candle: &&Candle| candle.is_final || candle.key.window.timeframe == Timeframe::M1;
    candles.iter().filter(is_published).map(|candle| event(ids, candle)).collect()
}

fn event(ids: &dyn IdSource, candle: &Candle) -> Result<Event, RepoError> {
    let time = Timestamp::from_millis(candle.updated.0.div_euclid(1_000)).map_err(RepoError::corrupt)?;
    let event = Event::new(ids.next(), SOURCE, time, &CandleChanged::from(candle));
    event.map_err(|error| RepoError::Backend(error.into()))
}
