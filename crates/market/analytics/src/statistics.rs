//! What prices add up to, without floats.
//!
//! A ratio has 12 digits after the point. A return is rounded once; sums, variances and their roots are integers of any size, so
//! that a result is the exact value for these returns, rounded half away from zero.

use std::collections::BTreeMap;
use std::fmt;

use market_domain::{Decimal, Timeframe};
use num_bigint::{BigInt, BigUint, Sign};

/// Digits after the point of a ratio.
const SCALE: usize = 12;
/// The longest average price of [`vwap`] has as many digits after the point.
const AVERAGE_SCALE: u8 = 12;
const MICROS_OF_YEAR: i64 = 365 * 24 * 3_600 * 1_000_000;

/// A number with 12 digits after the point, such as a return: 0.05 is five percent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ratio(BigInt);

impl Ratio {
    /// Without its sign.
    pub(crate) fn magnitude(&self) -> &BigUint {
        self.0.magnitude()
    }
}

impl fmt::Display for Ratio {
    /// The canonical text of a decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.0.magnitude(), width = SCALE + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SCALE);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.0.sign() == Sign::Minus { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

/// A decimal as an integer, and the number of its digits after the point.
fn integer(decimal: Decimal) -> (BigInt, u32) {
    let text = decimal.to_string();
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = text.replace('.', "");
    // The text of a decimal has only digits, and a sign.
    (digits.parse().unwrap_or_default(), u32::try_from(scale).unwrap_or_default())
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// The quotient, rounded half away from zero.
fn rounded(numerator: &BigInt, denominator: &BigInt) -> Option<BigInt> {
    if denominator.sign() == Sign::NoSign {
        return None;
    }
    let double = numerator.magnitude() * 2_u32 + denominator.magnitude();
    let quotient = double / (denominator.magnitude() * 2_u32);
    let is_negative = numerator.sign() != Sign::NoSign && numerator.sign() != denominator.sign();
    Some(BigInt::from_biguint(if is_negative { Sign::Minus } else { Sign::Plus }, quotient))
}

/// The root of a quotient of numbers that are not negative, rounded half up.
fn rounded_root(numerator: &BigInt, denominator: &BigInt) -> Option<BigInt> {
    if denominator.sign() != Sign::Plus {
        return None;
    }
    // The root of four times the number is twice its root: the last bit is the half.
    let double = (numerator * 4_u32 / denominator).sqrt();
    Some((double + 1_u32) / 2_u32)
}

/// How much a price changed: `after / before - 1`. `None` if the price before is zero.
pub(crate) fn change(before: Decimal, after: Decimal) -> Option<Ratio> {
    let ((before, before_scale), (after, after_scale)) = (integer(before), integer(after));
    let difference = &after * power_of_ten(before_scale) - &before * power_of_ten(after_scale);
    let unit = power_of_ten(u32::try_from(SCALE).unwrap_or_default());
    rounded(&(difference * unit), &(before * power_of_ten(after_scale))).map(Ratio)
}

/// The average price by volume, with at most 12 digits after the point, and fewer if it would have more than 38.
pub(crate) fn vwap(quote_volume: Decimal, volume: Decimal) -> Option<Decimal> {
    (0..=AVERAGE_SCALE).rev().find_map(|scale| quote_volume.rounded_div(volume, scale))
}

/// The last price of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    /// The start of the window, in microseconds.
    pub(crate) open_time: i64,
    /// The price.
    pub(crate) price: Decimal,
}

/// The returns of windows, in the order of time.
///
/// A return is the close of a window, divided by that of the window before it, minus 1. After a window without trades there is
/// none: its price would say nothing about the time in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Returns {
    timeframe: Timeframe,
    /// By the start of the window.
    values: BTreeMap<i64, Ratio>,
}

impl Returns {
    /// The returns of the windows with these closes, which are in the order of time.
    pub(crate) fn of(timeframe: Timeframe, closes: &[Close]) -> Self {
        let mut values = BTreeMap::new();
        for pair in closes.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            if after.open_time - before.open_time == timeframe.micros()
                && let Some(change) = change(before.price, after.price)
            {
                values.insert(after.open_time, change);
            }
        }
        Self { timeframe, values }
    }

    /// The return of the window with this start.
    pub(crate) fn at(&self, open_time: i64) -> Option<&Ratio> {
        self.values.get(&open_time)
    }

    /// Their number.
    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    fn sum(&self) -> BigInt {
        self.values.values().map(|value| &value.0).sum()
    }

    /// Their average.
    pub(crate) fn mean(&self) -> Option<Ratio> {
        rounded(&self.sum(), &self.count().into()).map(Ratio)
    }

    /// The standard deviation of the sample, multiplied by the root of `factor`; with two returns or more.
    fn deviation(&self, factor: i64) -> Option<Ratio> {
        let count = BigInt::from(self.count());
        let spread = spread(&count, self.values.values().map(|value| (&value.0, &value.0)));
        rounded_root(&(spread * factor), &(&count * (&count - 1))).map(Ratio)
    }

    /// The standard deviation of the sample; `None` with fewer than two returns.
    pub(crate) fn volatility(&self) -> Option<Ratio> {
        self.deviation(1)
    }

    /// The volatility of a year of 365 days: that of a window, multiplied by the root of the number of windows.
    pub(crate) fn annualized(&self) -> Option<Ratio> {
        self.deviation(MICROS_OF_YEAR / self.timeframe.micros())
    }

    /// The windows in which both have a return.
    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a BigInt, &'a BigInt)> + Clone {
        self.values.iter().filter_map(|(time, value)| Some((&value.0, &other.values.get(time)?.0)))
    }

    /// The number of windows in which both have a return, and Pearson's coefficient of correlation of these returns. There is none
    /// with fewer than two, or if one of both never changes.
    pub(crate) fn correlation(&self, other: &Self) -> (usize, Option<Ratio>) {
        let pairs = self.pairs(other);
        let number = pairs.clone().count();
        let count = BigInt::from(number);
        let both = spread(&count, pairs.clone());
        let first = spread(&count, pairs.clone().map(|(first, _)| (first, first)));
        let second = spread(&count, pairs.map(|(_, second)| (second, second)));
        let unit = power_of_ten(u32::try_from(SCALE * 2).unwrap_or_default());
        let magnitude = rounded_root(&(&both * &both * unit), &(first * second));
        let sign = both.sign();
        (number, magnitude.map(|value| Ratio(if sign == Sign::Minus { -value } else { value })))
    }
}

/// `count * Σxy - Σx * Σy`: the covariance, multiplied by the square of the count.
fn spread<'a>(count: &BigInt, pairs: impl Iterator<Item = (&'a BigInt, &'a BigInt)>) -> BigInt {
    let (mut products, mut first, mut second) = (BigInt::ZERO, BigInt::ZERO, BigInt::ZERO);
    for (x, y) in pairs {
        products += x * y;
        first += x;
        second += y;
    }
    count * products - first * second
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "the independent computation uses floats")]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn returns(prices: &[&str]) -> Returns {
        let close = |(index, price): (i64, &&str)| Close { open_time: index * MINUTE, price: decimal(price) };
        Returns::of(Timeframe::M1, &(0..).zip(prices).map(close).collect::<Vec<_>>())
    }

    fn text(ratio: Option<Ratio>) -> String {
        ratio.map_or_else(String::new, |ratio| ratio.to_string())
    }

    #[test]
    fn a_change_is_rounded_half_away_from_zero() {
        for (before, after, expected) in [
            ("100", "105", "0.05"),
            ("100", "95", "-0.05"),
            ("3", "4", "0.333333333333"),
            ("3", "5", "0.666666666667"),
            ("3", "1", "-0.666666666667"),
            ("7", "7", "0"),
            ("0.00000001", "100000000", "9999999999999999"),
            ("2", "2.000000000001", "0.000000000001"),
            ("2", "1.999999999999", "-0.000000000001"),
            ("12345678901234567890.123456789012345678", "24691357802469135780.246913578024691356", "1"),
        ] {
            assert_eq!(text(change(decimal(before), decimal(after))), expected, "{before} to {after}");
        }
        assert_eq!(change(Decimal::ZERO, decimal("1")), None);
    }

    #[test]
    fn an_average_is_as_exact_as_it_can_be() {
        let average = |quote, volume| vwap(decimal(quote), decimal(volume)).map(|average| average.to_string());
        assert_eq!(average("10", "4").as_deref(), Some("2.5"));
        assert_eq!(average("1", "3").as_deref(), Some("0.333333333333"));
        // With fewer digits, if the quotient would have too many.
        let long = average("99999999999999999999999999999999999", "3");
        assert_eq!(long.as_deref(), Some("33333333333333333333333333333333333"));
        assert_eq!(average("1", "0"), None);
    }

    /// The expected values are those of Python's `decimal` with 60 digits.
    #[test]
    fn known_series_have_known_values() {
        let first = returns(&["100", "101", "99", "102", "102"]);
        assert_eq!(first.count(), 4);
        assert_eq!(text(first.mean()), "0.005125262526");
        assert_eq!(text(first.volatility()), "0.020859201019");
        assert_eq!(text(first.annualized()), "15.12256109311");
        let second = returns(&["50", "50.3", "49.9", "50.1", "50.4"]);
        assert_eq!(first.correlation(&second).0, 4);
        assert_eq!(text(first.correlation(&second).1), "0.709216727726");
        // A series goes with itself, and against its mirror image.
        assert_eq!(text(first.correlation(&first).1), "1");
        let (up, down) = (returns(&["100", "110", "99"]), returns(&["100", "90", "99"]));
        assert_eq!(text(up.correlation(&down).1), "-1");
    }

    #[test]
    fn what_has_no_value_is_empty() {
        let (none, one, flat) = (returns(&["1"]), returns(&["1", "2"]), returns(&["1", "1", "1"]));
        assert_eq!((none.mean(), none.volatility(), none.annualized()), (None, None, None));
        assert_eq!((text(one.mean()).as_str(), one.volatility()), ("1", None));
        assert_eq!((text(flat.volatility()).as_str(), flat.correlation(&flat)), ("0", (2, None)));
        assert_eq!(one.correlation(&flat), (1, None));
    }

    #[test]
    fn a_window_after_one_without_trades_has_no_return() {
        let close = |minute: i64, price| Close { open_time: minute * MINUTE, price: decimal(price) };
        let closes = [close(0, "1"), close(1, "2"), close(3, "4"), close(4, "2")];
        let found = Returns::of(Timeframe::M1, &closes);
        let values: Vec<_> = (0..5).map(|minute| found.at(minute * MINUTE).map(Ratio::to_string)).collect();
        assert_eq!(values, [None, Some("1".to_owned()), None, None, Some("-0.5".to_owned())]);
        // Only windows in which both have one are compared.
        let other = returns(&["1", "3", "2", "5", "4"]);
        assert_eq!(found.correlation(&other).0, 2);
        assert_eq!(Returns::of(Timeframe::M5, &closes).count(), 0);
    }

    /// The textbook's two passes, with floats.
    fn deviations(values: &[f64]) -> (Vec<f64>, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviations: Vec<_> = values.iter().map(|value| value - mean).collect();
        let squares = deviations.iter().map(|deviation| deviation * deviation).sum();
        (deviations, squares)
    }

    #[test]
    fn random_series_have_the_values_of_the_textbook() {
        let mut random = StdRng::seed_from_u64(16);
        for length in [2, 3, 10, 200] {
            let mut series = || -> (Vec<f64>, Returns) {
                let mut cents = 5_000_000_i64;
                let mut next = || {
                    cents += random.random_range(-20_000..=20_000);
                    cents
                };
                let prices: Vec<_> = (0..=length).map(|_| next()).collect();
                let texts: Vec<_> = prices.iter().map(|cents| format!("{}.{:02}", cents / 100, cents % 100)).collect();
                let floats: Vec<_> = prices.windows(2).map(|pair| pair[1] as f64 / pair[0] as f64 - 1.0).collect();
                (floats, returns(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
            };
            let ((x, first), (y, second)) = (series(), series());
            let ((x_deviations, x_squares), (y_deviations, y_squares)) = (deviations(&x), deviations(&y));
            let is_near = |ratio: Option<Ratio>, expected: f64, tolerance: f64| {
                let found: f64 = text(ratio).parse().unwrap();
                assert!((found - expected).abs() <= tolerance, "{length}: {found} instead of {expected}");
            };
            let deviation = (x_squares / (x.len() - 1) as f64).sqrt();
            is_near(first.volatility(), deviation, 1e-11);
            is_near(first.annualized(), deviation * (365.0 * 24.0 * 60.0_f64).sqrt(), 1e-8);
            is_near(first.mean(), x.iter().sum::<f64>() / x.len() as f64, 1e-11);
            let products: f64 = x_deviations.iter().zip(&y_deviations).map(|(x, y)| x * y).sum();
            is_near(first.correlation(&second).1, products / (x_squares * y_squares).sqrt(), 1e-7);
        }
    }
}
