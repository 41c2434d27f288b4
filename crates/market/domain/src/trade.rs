//! Trades.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Decimal, Instrument};

/// Microseconds since the Unix epoch, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// One second.
    pub const SECOND: i64 = 1_000_000;
}

/// Who took the liquidity: a buyer who took an offer, or a seller who took a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl Side {
    /// The other one: that of the maker, if this is the taker's.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A trade, as its venue reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// What was traded, and where.
    pub instrument: Instrument,
    /// The venue's id: unique and increasing for the instrument.
    pub id: i64,
    /// The price of one unit.
    pub price: Decimal,
    /// The number of units.
    pub size: Decimal,
    /// Who took the liquidity; `None` if the venue does not say.
    pub taker: Option<Side>,
    /// When it happened, by the clock of the venue.
    pub time: Micros,
    /// When it was received, by our clock.
    pub received: Micros,
}

/// Why a trade is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The id is negative.
    #[error("trade id is negative")]
    Id,
    /// The price is not greater than zero.
    #[error("price is not greater than zero")]
    Price,
    /// The size is not greater than zero.
    #[error("size is not greater than zero")]
    Size,
    /// The time is later than it was received.
    #[error("time is in the future")]
    Future,
    /// The time is long before it was received.
    #[error("time is too long ago")]
    TooOld,
    /// The totals of a candle would have more digits than are computed exactly.
    #[error("totals have too many digits")]
    Overflow,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Id, Self::Price, Self::Size, Self::Future, Self::TooOld, Self::Overflow];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Price => "price",
            Self::Size => "size",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::Overflow => "overflow",
        }
    }
}

/// How far the time of a trade may be from the time at which it was received, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How far ahead: the difference of the clocks.
    pub ahead: i64,
    /// How far behind: the age of trades that are read later.
    pub behind: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ahead: 60 * Micros::SECOND, behind: 30 * 24 * 3600 * Micros::SECOND }
    }
}

impl Trade {
    /// Checks what must be true of every trade. Our clock is not read, so that a trade is judged the same whenever it is.
    pub fn check(&self, limits: Limits) -> Result<(), Refusal> {
        if self.id < 0 {
            return Err(Refusal::Id);
        }
        if !self.price.is_positive() {
            return Err(Refusal::Price);
        }
        if !self.size.is_positive() {
            return Err(Refusal::Size);
        }
        let age = self.received.0.saturating_sub(self.time.0);
        if age < -limits.ahead {
            return Err(Refusal::Future);
        }
        if age > limits.behind {
            return Err(Refusal::TooOld);
        }
        Ok(())
    }
}

impl fmt::Display for Trade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} trade {}", self.instrument, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::trade;

    #[test]
    fn a_trade_that_cannot_be_true_is_refused() {
        let limits = Limits::default();
        let valid = trade(1, 0, "1", "1");
        assert_eq!(valid.check(limits), Ok(()));
        let received = |micros| Trade { received: Micros(micros), ..valid.clone() };
        for (invalid, refusal) in [
            (trade(-1, 0, "1", "1"), Refusal::Id),
            (trade(1, 0, "0", "1"), Refusal::Price),
            (trade(1, 0, "-1", "1"), Refusal::Price),
            (trade(1, 0, "1", "0"), Refusal::Size),
            (received(-limits.ahead - 1), Refusal::Future),
            (received(limits.behind + 1), Refusal::TooOld),
        ] {
            assert_eq!(invalid.check(limits), Err(refusal), "{invalid:?}");
        }
        assert_eq!(received(-limits.ahead).check(limits), Ok(()));
        assert_eq!(received(limits.behind).check(limits), Ok(()));
    }
}
