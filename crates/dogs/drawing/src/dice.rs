//! Seeded random numbers: the same seed draws the same image.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A source of random numbers.
pub(super) struct Dice(SmallRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A number from `low` to `high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        self.0.random_range(low..=high)
    }

    /// A number within `share` of `value`, either way.
    pub(super) fn around(&mut self, value: f32, share: f32) -> f32 {
        value * self.range(1.0 - share, 1.0 + share)
    }

    /// True with the probability `share`.
    pub(super) fn chance(&mut self, share: f32) -> bool {
        self.0.random::<f32>() < share
    }

    /// One of the items, or the default when there is none.
    pub(super) fn pick<T: Copy + Default>(&mut self, items: &[T]) -> T {
        if items.is_empty() {
            return T::default();
        }
        items[self.0.random_range(0..items.len())]
    }

    /// 1.0 or -1.0.
    pub(super) fn side(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }
}
