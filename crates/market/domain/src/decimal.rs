//! Exact decimals.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An exact decimal of up to 38 digits, in canonical form: `0.10` and `1E-1` are both `0.1`, with equal values.
///
/// No operation rounds silently: one whose exact result does not fit has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    /// Does not end in zero, unless the scale is zero.
    mantissa: i128,
    /// Number of digits after the point.
    scale: u8,
}

/// The text is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a decimal number of at most {MAX_DIGITS} digits")]
pub struct InvalidDecimal;

/// Ten to this power fits into the mantissa.
const MAX_DIGITS: u8 = 38;
/// So many digits fit into 64 bits.
const SHORT_DIGITS: usize = 19;
/// Longer texts are refused unread.
const MAX_LENGTH: usize = 100;

/// The powers of ten that fit into the mantissa.
const POWERS: [i128; MAX_DIGITS as usize + 1] = {
    let mut powers = [1; MAX_DIGITS as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

fn power_of_ten(exponent: u8) -> Option<i128> {
    POWERS.get(usize::from(exponent)).copied()
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// The number `mantissa` divided by ten to the power of `scale`; `None` with more than 38 digits after the point.
    pub fn new(mantissa: i128, scale: u8) -> Option<Self> {
        (scale <= MAX_DIGITS).then(|| Self { mantissa, scale }.canonical())
    }

    fn canonical(mut self) -> Self {
        // Most numbers are short, and divisions of short numbers are many times faster.
        if let Ok(mut short) = i64::try_from(self.mantissa) {
            while self.scale > 0 && short % 10 == 0 {
                short /= 10;
                self.scale -= 1;
            }
            self.mantissa = short.into();
            return self;
        }
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Whether it is greater than zero.
    pub const fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The mantissa of this value with `scale` digits after the point.
    fn scaled(self, scale: u8) -> Option<i128> {
        if self.scale == scale {
            return Some(self.mantissa);
        }
        self.mantissa.checked_mul(power_of_ten(scale.checked_sub(self.scale)?)?)
    }

    /// The exact sum.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Self::new(self.scaled(scale)?.checked_add(other.scaled(scale)?)?, scale)
    }

    /// The exact product.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let product = self.mantissa.checked_mul(other.mantissa)?;
        Self { mantissa: product, scale: self.scale.checked_add(other.scale)? }.canonical().fits()
    }

    fn fits(self) -> Option<Self> {
        (self.scale <= MAX_DIGITS).then_some(self)
    }

    /// The quotient, rounded half away from zero to `scale` digits after the point.
    #[must_use]
    pub fn rounded_div(self, other: Self, scale: u8) -> Option<Self> {
        // (a / 10^x) / (b / 10^y), times 10^scale, is a * 10^(y + scale - x) / b.
        let shift = i16::from(other.scale) + i16::from(scale) - i16::from(self.scale);
        let power = power_of_ten(u8::try_from(shift.unsigned_abs()).ok()?)?;
        let (numerator, denominator) = if shift >= 0 {
            (self.mantissa.checked_mul(power)?, other.mantissa)
        } else {
            (self.mantissa, other.mantissa.checked_mul(power)?)
        };
        let quotient = numerator.checked_div(denominator)?;
        let remainder = numerator.checked_rem(denominator)?;
        let is_up = remainder.unsigned_abs() >= denominator.unsigned_abs().div_ceil(2);
        let away = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
        Self::new(if is_up { quotient.checked_add(away)? } else { quotient }, scale)
    }
}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    /// Reads a number as JSON writes it: `-12.50`, `1E-8`.
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        parse(text).ok_or(InvalidDecimal)
    }
}

fn parse(text: &str) -> Option<Decimal> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let (number, exponent) = match text.find(['e', 'E']) {
        None => (text, 0),
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
    };
    let (is_negative, digits) = number.strip_prefix('-').map_or((false, number), |digits| (true, digits));
    let (whole, fraction) = match digits.split_once('.') {
        None => (digits, ""),
        Some((_, "")) => return None,
        Some(parts) => parts,
    };
    if whole.is_empty() {
        return None;
    }
    // Zeros at the end of the fraction say nothing.
    let fraction = fraction.trim_end_matches('0');
    let mantissa = mantissa(whole, fraction)?;
    let mantissa = if is_negative { -mantissa } else { mantissa };
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    let scale = i16::try_from(fraction.len()).ok()? - exponent;
    if scale >= 0 {
        Decimal { mantissa, scale: u8::try_from(scale).ok()? }.canonical().fits()
    } else {
        Decimal::new(mantissa.checked_mul(power_of_ten(u8::try_from(-scale).ok()?)?)?, 0)
    }
}

/// The number that all digits together are.
fn mantissa(whole: &str, fraction: &str) -> Option<i128> {
    let digits = || whole.bytes().chain(fraction.bytes());
    if !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    if whole.len() + fraction.len() <= SHORT_DIGITS {
        return Some(digits().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')).into());
    }
    digits().try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(digit - b'0')))
}

fn exponent(text: &str) -> Option<i16> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

impl fmt::Display for Decimal {
    /// The canonical text: no exponent, no zeros at the end of the fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At most 39 digits, the sign, the point, and a zero before it.
        let mut text = [b'0'; 42];
        let mut start = text.len();
        let mut push = |byte: u8| {
            start -= 1;
            text[start] = byte;
        };
        let mut left = self.mantissa.unsigned_abs();
        let mut count = 0;
        while left > 0 || count <= self.scale {
            if count == self.scale && count > 0 {
                push(b'.');
            }
            // The remainder is a digit.
            let digit = if let Ok(short) = u64::try_from(left) {
                left = (short / 10).into();
                short % 10
            } else {
                let digit = left % 10;
                left /= 10;
                u64::try_from(digit).unwrap_or_default()
            };
            push(b'0' + u8::try_from(digit).unwrap_or_default());
            count += 1;
        }
        if self.mantissa < 0 {
            push(b'-');
        }
        f.write_str(std::str::from_utf8(&text[start..]).map_err(|_| fmt::Error)?)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        if let (Some(own), Some(other)) = (self.scaled(scale), other.scaled(scale)) {
            return own.cmp(&other);
        }
        // Both parts fit after alignment, the whole number might not.
        let parts = |value: &Self| {
            let unit = power_of_ten(value.scale).unwrap_or(i128::MAX);
            let fraction = value.mantissa.rem_euclid(unit);
            (value.mantissa.div_euclid(unit), fraction * power_of_ten(MAX_DIGITS - value.scale).unwrap_or(1))
        };
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<String> for Decimal {
    type Error = InvalidDecimal;

    fn try_from(text: String) -> Result<Self, InvalidDecimal> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(value: Decimal) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_number_has_one_text() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("0E5", "0"),
            ("105944.20", "105944.2"),
            ("0.00000001", "0.00000001"),
            ("1E-8", "0.00000001"),
            ("1e+3", "1000"),
            ("12.5e1", "125"),
            ("-0.5", "-0.5"),
            ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
            ("1.10000000000000000000000000000000000000000000000000", "1.1"),
        ] {
            assert_eq!(decimal(text).to_string(), canonical, "{text}");
            assert_eq!(decimal(canonical), decimal(text));
        }
    }

    #[test]
    fn what_is_no_number_or_too_long_is_refused() {
        for text in [
            "",
            "-",
            ".",
            ".5",
            "5.",
            "+1",
            "1_000",
            " 1",
            "1 ",
            "NaN",
            "inf",
            "0x1",
            "1e",
            "1e1000",
            "1.2.3",
            "--1",
            "１",
            "1e39",
            "1e-39",
            "340282366920938463463374607431768211456",
            "9.23456789012345678901234567890123456789",
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(InvalidDecimal), "{text}");
        }
        assert_eq!("0".repeat(101).parse::<Decimal>(), Err(InvalidDecimal));
    }

    #[test]
    fn a_quotient_is_rounded() {
        let quotient =
            |a: &str, b: &str, scale| decimal(a).rounded_div(decimal(b), scale).map(|value| value.to_string());
        assert_eq!(quotient("1", "3", 4).as_deref(), Some("0.3333"));
        assert_eq!(quotient("2", "3", 4).as_deref(), Some("0.6667"));
        assert_eq!(quotient("-2", "3", 4).as_deref(), Some("-0.6667"));
        assert_eq!(quotient("0.125", "1", 2).as_deref(), Some("0.13"));
        assert_eq!(quotient("100", "0.5", 0).as_deref(), Some("200"));
        assert_eq!(quotient("1", "0", 2), None);
    }

    /// A random decimal, and the same number as a big integer with 80 digits after the point.
    fn random(random: &mut StdRng) -> (Decimal, BigInt) {
        let digits: u32 = random.random_range(0..=38);
        let mantissa = random.random_range(-(10_i128.pow(digits))..=10_i128.pow(digits));
        let scale: u8 = random.random_range(0..=38);
        let big = BigInt::from(mantissa) * BigInt::from(10).pow(80 - u32::from(scale));
        (Decimal::new(mantissa, scale).unwrap(), big)
    }

    fn big(value: Decimal) -> BigInt {
        BigInt::from(value.mantissa) * BigInt::from(10).pow(80 - u32::from(value.scale))
    }

    #[test]
    fn operations_are_exact_or_have_no_result() {
        let mut seed = StdRng::seed_from_u64(1);
        let (mut sums, mut products) = (0, 0);
        for _ in 0..20_000 {
            let ((a, big_a), (b, big_b)) = (random(&mut seed), random(&mut seed));
            assert_eq!(a.cmp(&b), big_a.cmp(&big_b), "{a} and {b}");
            assert_eq!(decimal(&a.to_string()), a);
            if let Some(sum) = a.checked_add(b) {
                sums += 1;
                assert_eq!(big(sum), &big_a + &big_b, "{a} + {b}");
            }
            if let Some(product) = a.checked_mul(b) {
                products += 1;
                assert_eq!(big(product) * BigInt::from(10).pow(80), &big_a * &big_b, "{a} * {b}");
            }
        }
        assert!(sums > 5_000 && products > 2_000, "{sums} sums and {products} products");
    }
}
