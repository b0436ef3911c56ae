//! Kubernetes' quantities: `100m`, `1Gi`, `1e3`.
//!
//! Kept as a whole number of billionths, which is upstream's finest; what is finer is rounded up. A quantity prints in the
//! notation that it was written in, with the largest suffix that loses nothing.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer};

const NANOS_PER_ONE: i128 = 1_000_000_000;
/// Upstream's largest value: what is larger is cut down to it.
const ONES_MAX: i128 = i64::MAX as i128;
/// Above this, [`Quantity::milli_value`] would not fit upstream's integers.
pub const MILLI_VALUE_MAX: i64 = i64::MAX / 1000;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `100m`, `2k`.
    #[default]
    DecimalSi,
    /// `1Gi`.
    BinarySi,
    /// `1e3`.
    DecimalExponent,
}

/// An amount of something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Suffixes with their power of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
/// Suffixes with their power of 1024.
const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

impl Quantity {
    /// Reads one; none where it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let digits_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (format, exponent, binary) = suffix_of(suffix)?;
        let mut nanos = scaled(whole, fraction, exponent, binary)?;
        nanos = nanos.min(ONES_MAX * NANOS_PER_ONE);
        Some(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// A whole number.
    pub fn whole(number: i64) -> Self {
        Self { nanos: i128::from(number) * NANOS_PER_ONE, format: Format::DecimalSi }
    }

    /// Rounded up, away from zero, to a whole number.
    pub fn value(&self) -> i64 {
        self.rounded_up(NANOS_PER_ONE)
    }

    /// In thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        self.rounded_up(NANOS_PER_ONE / 1000)
    }

    /// The sum, in the notation of the first that is not zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }

    /// The difference, in the notation of the first.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nanos: -other.nanos, ..other })
    }

    /// The next whole number, away from zero, in the same notation.
    #[must_use]
    pub fn rounded_up_to_whole(self) -> Self {
        Self { nanos: i128::from(self.value()) * NANOS_PER_ONE, ..self }
    }

    fn rounded_up(&self, unit: i128) -> i64 {
        let (whole, rest) = (self.nanos / unit, self.nanos % unit);
        let whole = if rest == 0 { whole } else { whole + self.nanos.signum() };
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Notation, power of ten, power of 1024.
fn suffix_of(suffix: &str) -> Option<(Format, i32, u32)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((Format::DecimalSi, *exponent, 0));
    }
    if let Some((_, power)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Some((Format::BinarySi, 0, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
    Some((Format::DecimalExponent, exponent, 0))
}

/// `whole.fraction * 10^exponent * 1024^binary` in billionths, rounded up; the largest there is where it overflows.
fn scaled(whole: &str, fraction: &str, exponent: i32, binary: u32) -> Option<i128> {
    const OVER: i128 = ONES_MAX * NANOS_PER_ONE;
    let digits = [whole.trim_start_matches('0'), fraction].concat();
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let mut power = i64::from(exponent) + 9 - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    // More digits than fit are rounded up into the last one that does.
    let kept = significant.len().min(30);
    let mut value: i128 = significant[..kept].parse().ok()?;
    if kept < significant.len() {
        value += 1;
        power += (significant.len() - kept) as i64;
    }
    let binary = 1i128 << (10 * binary);
    if power >= 0 {
        let factor = u32::try_from(power).ok().and_then(|power| 10i128.checked_pow(power));
        let value = factor.and_then(|factor| value.checked_mul(factor)).and_then(|value| value.checked_mul(binary));
        return Some(value.unwrap_or(OVER));
    }
    let Some(divisor) = u32::try_from(-power).ok().and_then(|power| 10i128.checked_pow(power)) else { return Some(1) };
    match value.checked_mul(binary) {
        Some(value) => Some((value + divisor - 1) / divisor),
        None => Some((value / divisor).checked_mul(binary).unwrap_or(OVER)),
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // Small and broken numbers are decimal, whatever they were written in: nothing is lost, and nobody is puzzled.
        let whole = self.nanos % NANOS_PER_ONE == 0;
        let ones = self.nanos / NANOS_PER_ONE;
        if self.format == Format::BinarySi && whole && ones.abs() >= 1024 {
            let (mut ones, mut power) = (ones, 0);
            while ones % 1024 == 0 && power < BINARY.len() {
                (ones, power) = (ones / 1024, power + 1);
            }
            let suffix = if power == 0 { "" } else { BINARY[power - 1].0 };
            return write!(f, "{ones}{suffix}");
        }
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while mantissa % 1000 == 0 && exponent < 18 {
            (mantissa, exponent) = (mantissa / 1000, exponent + 3);
        }
        match self.format {
            Format::DecimalExponent if exponent == 0 => write!(f, "{mantissa}"),
            Format::DecimalExponent => write!(f, "{mantissa}e{exponent}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, known)| *known == exponent).map_or("", |(suffix, _)| suffix);
                write!(f, "{mantissa}{suffix}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// A text, or a number: clients write both.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(serde_json::Number),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        };
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no quantity")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_they_are_printed() {
        let rows = [
            ("0", "0"),
            ("0Gi", "0"),
            ("1", "1"),
            ("1000m", "1"),
            ("1200m", "1200m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("2000", "2k"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("512", "512"),
            ("0.5Ki", "512"),
            ("0.5Mi", "512Ki"),
            ("1025", "1025"),
            ("1025Ki", "1025Ki"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e5", "1200e3"),
            ("1E", "1E"),
            ("1e-3", "1e-3"),
            ("-1.5", "-1500m"),
            ("+5", "5"),
            ("0.0000000001", "1n"),
            ("0.1Ki", "102400m"),
            ("99999999999999999999", "9223372036854775807"),
            (".5", "500m"),
            ("5.", "5"),
        ];
        for (text, want) in rows {
            assert_eq!(Quantity::parse(text).expect(text).to_string(), want, "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "1x", "1 Gi", "Gi", "1e", "1KI", "1mi"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn values_are_rounded_up() {
        let rows = [("1", 1, 1000), ("100m", 1, 100), ("1n", 1, 1), ("-100m", -1, -100), ("1Gi", 1 << 30, (1 << 30) * 1000), ("0", 0, 0)];
        for (text, value, milli) in rows {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!((quantity.value(), quantity.milli_value()), (value, milli), "{text}");
        }
    }

    #[test]
    fn a_sum_keeps_the_first_notation() {
        let rows =
            [("0", "1Gi", "1Gi"), ("1Gi", "1", "1073741825"), ("600m", "600m", "1200m"), ("1Gi", "1Gi", "2Gi"), ("1", "1Ki", "1025")];
        for (one, other, want) in rows {
            let sum = Quantity::parse(one).expect(one).plus(Quantity::parse(other).expect(other));
            assert_eq!(sum.to_string(), want, "{one} + {other}");
        }
    }

    #[test]
    fn differences_and_whole_numbers() {
        let quantity = |text: &str| Quantity::parse(text).expect(text);
        for (one, other, want) in [("2Gi", "1Gi", "1Gi"), ("1", "100m", "900m"), ("1", "2", "-1"), ("0", "1Gi", "-1Gi")] {
            assert_eq!(quantity(one).minus(quantity(other)).to_string(), want, "{one} - {other}");
        }
        for (text, want) in [("1500m", "2"), ("-1500m", "-2"), ("0.1Ki", "103"), ("1Gi", "1Gi"), ("0", "0")] {
            assert_eq!(quantity(text).rounded_up_to_whole().to_string(), want, "{text}");
        }
        assert_eq!(Quantity::whole(3), quantity("3"));
    }
}
