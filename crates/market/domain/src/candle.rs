//! Candles.

use serde::{Deserialize, Serialize};

use crate::{Bar, Instrument, Micros, Timeframe};

/// A half-open interval of event time: it includes its start and not its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Its length.
    pub timeframe: Timeframe,
    /// Its start.
    pub open_time: Micros,
}

impl Window {
    /// The window of this length that includes `time`.
    pub const fn of(timeframe: Timeframe, time: Micros) -> Self {
        Self { timeframe, open_time: timeframe.open_of(time) }
    }

    /// Its end, which it does not include.
    pub const fn end(self) -> Micros {
        Micros(self.open_time.0.saturating_add(self.timeframe.micros()))
    }
}

/// Identifies a candle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandleKey {
    /// What was traded, and where.
    pub instrument: Instrument,
    /// When.
    pub window: Window,
}

/// What was traded in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// What identifies it.
    pub key: CandleKey,
    /// Its prices and totals.
    pub bar: Bar,
    /// Increases with every change, from 1.
    pub revision: i64,
    /// Whether all trades of the window are expected to be in it. It can still change, with a higher revision.
    pub is_final: bool,
    /// Whether no id is missing from it, as far as is known.
    pub is_complete: bool,
    /// When the latest of its trades was received.
    pub updated: Micros,
}
