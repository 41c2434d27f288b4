//! The candles of one instrument while its trades arrive.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Bar, Candle, CandleKey, Continuity, Gap, GapState, Instrument, Micros, Missing, Refusal, Seen, Timeframe, Trade,
    Window,
};

/// What must be stored of a book to continue it, apart from its candles and gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookState {
    /// Which ids are there; `None` before the first trade.
    pub continuity: Option<Continuity>,
    /// The windows whose candles are not final.
    open: BTreeSet<Window>,
}

/// What became of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in the candles now.
    New,
    /// It was in them already.
    Duplicate,
}

/// What has changed since the changes were taken the last time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The candles, each once, as it is now.
    pub candles: Vec<Candle>,
    /// The gaps, each once, as it is now.
    pub gaps: Vec<Gap>,
}

/// The trades of one instrument, added up in the windows of every timeframe.
///
/// Only some candles are in memory. Before a trade is applied, those of [`Book::needed`] are loaded.
#[derive(Debug, Clone)]
pub struct Book {
    instrument: Instrument,
    /// How long candles wait for missing trades, in microseconds of event time.
    hold: i64,
    state: BookState,
    /// The loaded windows; `None` for those that have no candle.
    candles: BTreeMap<Window, Option<Candle>>,
    changed: BTreeSet<Window>,
    /// Whether a trade was observed since the changes were taken: a batch of duplicates says nothing new about a candle.
    is_observed: bool,
    gaps: BTreeMap<i64, Gap>,
}

impl Book {
    /// Creates or continues a book. Candles wait for missing trades for `hold` microseconds of event time.
    pub fn new(instrument: Instrument, state: BookState, hold: i64) -> Self {
        let (candles, changed, gaps) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { instrument, hold, state, candles, changed, is_observed: false, gaps }
    }

    /// What to store, after [`Book::take_changes`].
    pub const fn state(&self) -> &BookState {
        &self.state
    }

    /// The windows that must be loaded before the trade is applied: its own, those that are not final, and those that it
    /// may complete because its id was missing. Each range is the first and the last window of a timeframe.
    pub fn needed(&self, trade: &Trade) -> Vec<(Window, Window)> {
        let own = Timeframe::ALL.map(|timeframe| Window::of(timeframe, trade.time));
        let single = own.into_iter().chain(self.state.open.iter().copied());
        let mut ranges: Vec<_> =
            single.filter(|window| !self.candles.contains_key(window)).map(|window| (window, window)).collect();
        ranges.sort_unstable();
        ranges.dedup();
        if let Some(missing) = self.filled_by(trade.id) {
            let range = |timeframe| (Window::of(timeframe, missing.after), Window::of(timeframe, missing.before));
            let is_loaded = |(first, last): &(Window, Window)| {
                self.candles.contains_key(first) && self.candles.contains_key(last) && first.end() >= last.open_time
            };
            ranges.extend(Timeframe::ALL.map(range).into_iter().filter(|range| !is_loaded(range)));
        }
        ranges
    }

    /// The range of missing ids that this id is one of.
    fn filled_by(&self, id: i64) -> Option<&Missing> {
        self.state.continuity.as_ref()?.missing(id)
    }

    /// Adds candles from the store, of a range of [`Book::needed`].
    pub fn load(&mut self, (first, last): (Window, Window), stored: Vec<Candle>) {
        for window in [first, last] {
            self.candles.entry(window).or_default();
        }
        for candle in stored {
            self.candles.entry(candle.key.window).or_default().get_or_insert(candle);
        }
    }

    /// Adds a trade, which was [checked](Trade::check). After a refusal, nothing has changed.
    pub fn apply(&mut self, trade: &Trade) -> Result<Applied, Refusal> {
        if self.state.continuity.as_ref().is_some_and(|continuity| continuity.has(trade.id)) {
            return Ok(Applied::Duplicate);
        }
        let bar = Bar::of(trade).ok_or(Refusal::Overflow)?;
        let merged = Timeframe::ALL.map(|timeframe| {
            let window = Window::of(timeframe, trade.time);
            let stored = self.candles.get(&window).and_then(Option::as_ref);
            stored.map_or(Some(bar), |candle| candle.bar.merge(&bar)).map(|bar| (window, bar))
        });
        if merged.iter().any(Option::is_none) {
            return Err(Refusal::Overflow);
        }
        self.observe(trade);
        for (window, bar) in merged.into_iter().flatten() {
            self.replace(window, bar, trade.received);
        }
        Ok(Applied::New)
    }

    /// The windows that must be loaded before a minute is rebuilt from these trades: all minutes of its day, of which the longer
    /// candles are folded, and every window that the trades may complete because their ids were missing. Each range is the first
    /// and the last window of a timeframe.
    pub fn needed_to_rebuild(&self, minute: Window, trades: &[Trade]) -> Vec<(Window, Window)> {
        let day = Window::of(Timeframe::D1, minute.open_time);
        let filled = trades.iter().filter_map(|trade| self.filled_by(trade.id));
        let (after, before) = filled.fold((minute.open_time, minute.open_time), |(after, before), missing| {
            (after.min(missing.after), before.max(missing.before))
        });
        let range = |timeframe| {
            let (first, last) = if timeframe == minute.timeframe {
                (after.min(day.open_time), before.max(Micros(day.end().0 - 1)))
            } else {
                (after, before)
            };
            (Window::of(timeframe, first), Window::of(timeframe, last))
        };
        Timeframe::ALL.map(range).into()
    }

    /// Replaces the candle of a minute by that of all its trades, which its venue has sent again, and folds the longer candles
    /// from the minutes. The windows of [`Book::needed_to_rebuild`] must be loaded. After a refusal, nothing has changed.
    pub fn rebuild(&mut self, minute: Window, trades: &[Trade]) -> Result<(), Refusal> {
        let bars: Vec<_> = trades.iter().map(Bar::of).collect::<Option<_>>().ok_or(Refusal::Overflow)?;
        let Some(bar) = fold(&bars)? else { return Ok(()) };
        let mut rebuilt = vec![(minute, bar)];
        for timeframe in Timeframe::ALL.into_iter().filter(|timeframe| *timeframe != minute.timeframe) {
            let window = Window::of(timeframe, minute.open_time);
            let first = Window { open_time: window.open_time, ..minute };
            let others = self.candles.range(first..Window { open_time: window.end(), ..minute });
            let others = others.filter(|(other, _)| **other != minute).filter_map(|(_, candle)| candle.as_ref());
            let bars: Vec<_> = others.map(|candle| candle.bar).chain([bar]).collect();
            rebuilt.extend(fold(&bars)?.map(|bar| (window, bar)));
        }
        for trade in trades {
            self.observe(trade);
        }
        let received = trades.iter().map(|trade| trade.received).max().unwrap_or_default();
        for (window, bar) in rebuilt {
            let known = self.candles.get(&window).and_then(Option::as_ref);
            if known.is_none_or(|candle| candle.bar != bar) {
                self.replace(window, bar, received);
            }
        }
        Ok(())
    }

    fn observe(&mut self, trade: &Trade) {
        self.is_observed = true;
        let Some(continuity) = &mut self.state.continuity else {
            self.state.continuity = Some(Continuity::start(trade.id, trade.time));
            return;
        };
        if let Seen::New { gap: Some(gap) } = continuity.observe(trade.id, trade.time) {
            self.gaps.insert(gap.whole.from, gap);
        }
        for gap in continuity.give_up(self.hold) {
            self.gaps.insert(gap.whole.from, gap);
        }
    }

    fn replace(&mut self, window: Window, bar: Bar, received: Micros) {
        let stored = self.candles.entry(window).or_default();
        if let Some(candle) = stored {
            candle.bar = bar;
            candle.updated = candle.updated.max(received);
        } else {
            let key = CandleKey { instrument: self.instrument.clone(), window };
            *stored = Some(Candle { key, bar, revision: 0, is_final: false, is_complete: false, updated: received });
        }
        self.changed.insert(window);
    }

    /// Brings up to date what the loaded candles say about themselves, once for all trades since the last time. A final candle
    /// stays final.
    fn settle(&mut self) {
        let Some(continuity) = &self.state.continuity else { return };
        let watermark = continuity.watermark();
        for (window, candle) in &mut self.candles {
            let Some(candle) = candle else { continue };
            let is_final = candle.is_final || window.end() <= watermark;
            let is_complete = continuity.is_complete(*window);
            if (is_final, is_complete) != (candle.is_final, candle.is_complete) {
                (candle.is_final, candle.is_complete) = (is_final, is_complete);
                self.changed.insert(*window);
            }
            if is_final {
                self.state.open.remove(window);
            } else {
                self.state.open.insert(*window);
            }
        }
    }

    /// Returns what has changed, with the next revision of each candle, and unloads what the next trades hardly need.
    pub fn take_changes(&mut self) -> Changes {
        if std::mem::take(&mut self.is_observed) {
            self.settle();
        }
        let changed = std::mem::take(&mut self.changed);
        let revise = |window: &Window| {
            let candle = self.candles.get_mut(window)?.as_mut()?;
            candle.revision += 1;
            Some(candle.clone())
        };
        let candles = changed.iter().filter_map(revise).collect();
        let latest = self.state.continuity.as_ref().map(Continuity::latest).unwrap_or_default();
        let open = &self.state.open;
        self.candles.retain(|window, _| open.contains(window) || *window == Window::of(window.timeframe, latest));
        Changes { candles, gaps: std::mem::take(&mut self.gaps).into_values().collect() }
    }

    /// Forgets the gaps that were given up and whose trades cannot come any more, since trades are refused that are older
    /// than `age` microseconds. No window is changed any more that such a gap touches.
    pub fn forget(&mut self, age: i64) {
        if let Some(continuity) = &mut self.state.continuity {
            continuity.forget(age.saturating_add(Timeframe::D1.micros()));
        }
    }

    /// The gaps whose trades are still missing.
    pub fn missing(&self) -> Vec<Missing> {
        let gaps = self.state.continuity.as_ref().map(Continuity::gaps).unwrap_or_default();
        gaps.iter().filter(|gap| gap.state != GapState::Healed).flat_map(|gap| gap.missing.clone()).collect()
    }
}

/// The bar of all trades of the bars; `None` without bars.
fn fold(bars: &[Bar]) -> Result<Option<Bar>, Refusal> {
    let Some((first, rest)) = bars.split_first() else { return Ok(None) };
    rest.iter().try_fold(*first, |sum, bar| sum.merge(bar)).map(Some).ok_or(Refusal::Overflow)
}
