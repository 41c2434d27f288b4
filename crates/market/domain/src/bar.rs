//! What trades add up to.

use serde::{Deserialize, Serialize};

use crate::{Decimal, Side, Trade};

/// The prices and totals of a set of trades. [`Bar::merge`] is associative and commutative, so a bar depends on its trades
/// only, not on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// The price of the trade with the lowest id.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The price of the trade with the highest id.
    pub close: Decimal,
    /// The sum of the sizes.
    pub volume: Decimal,
    /// The sum of the products of price and size.
    pub quote_volume: Decimal,
    /// The sum of the sizes for which the taker bought.
    pub buy_volume: Decimal,
    /// Number of trades.
    pub trades: i64,
    /// The lowest id.
    pub first_id: i64,
    /// The highest id.
    pub last_id: i64,
}

impl Bar {
    /// The bar of one trade; `None` if its product has too many digits.
    pub fn of(trade: &Trade) -> Option<Self> {
        let Trade { price, size, id, .. } = *trade;
        Some(Self {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: size,
            quote_volume: price.checked_mul(size)?,
            buy_volume: if trade.taker == Some(Side::Buy) { size } else { Decimal::ZERO },
            trades: 1,
            first_id: id,
            last_id: id,
        })
    }

    /// The bar of the trades of both, which have none in common; `None` if a sum has too many digits.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Option<Self> {
        Some(Self {
            open: if self.first_id <= other.first_id { self.open } else { other.open },
            high: self.high.max(other.high),
            low: self.low.min(other.low),
            close: if self.last_id >= other.last_id { self.close } else { other.close },
            volume: self.volume.checked_add(other.volume)?,
            quote_volume: self.quote_volume.checked_add(other.quote_volume)?,
            buy_volume: self.buy_volume.checked_add(other.buy_volume)?,
            trades: self.trades.checked_add(other.trades)?,
            first_id: self.first_id.min(other.first_id),
            last_id: self.last_id.max(other.last_id),
        })
    }

    /// The average price by volume, rounded to `scale` digits after the point.
    pub fn vwap(&self, scale: u8) -> Option<Decimal> {
        self.quote_volume.rounded_div(self.volume, scale)
    }
}
