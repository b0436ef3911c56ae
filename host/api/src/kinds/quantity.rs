//! Quantities (`500m`, `1.5Gi`, `2e3`): their value, and the one text that upstream writes for it
//! (`k8s.io/apimachinery/pkg/api/resource`).

use std::cmp::Ordering;

use serde_json::Value;

/// Which suffixes the text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `m`, `k`, `M`, …
    DecimalSi,
    /// `Ki`, `Mi`, …
    BinarySi,
    /// `e3`
    DecimalExponent,
}

/// A quantity, exact to a billionth, as upstream's: finer values are rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
/// Upstream caps what it parses.
const UNITS_MAX: i128 = i64::MAX as i128;
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// A whole number.
    pub fn of_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANO, format: Format::DecimalSi }
    }

    /// Parses; `None` where upstream refuses the text.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (format, ten, two) = suffix_of(suffix)?;
        let magnitude = scaled_nanos(whole, fraction, ten, two);
        let nanos = magnitude.min(UNITS_MAX * NANO);
        Some(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Parses a JSON value: a string, or a number.
    pub fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => match number.as_f64() {
                Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 => Self::parse(&format!("{float:.0}")),
                _ => Self::parse(&number.to_string()),
            },
            _ => None,
        }
    }

    /// In billionths.
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    /// Rounded up to a whole number.
    pub fn ceil_units(&self) -> i64 {
        i64::try_from(ceil_div(self.nanos, NANO)).unwrap_or(i64::MAX)
    }

    /// A whole number.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// Rounded up to thousandths, where it is finer.
    pub fn rounded_up_to_millis(&self) -> Option<Self> {
        const MILLI: i128 = NANO / 1000;
        (self.nanos % MILLI != 0).then(|| Self { nanos: ceil_div(self.nanos, MILLI) * MILLI, format: self.format })
    }

    /// The sum, in this one's format.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }

    /// Rounded up to thousandths.
    pub fn ceil_millis(&self) -> i64 {
        i64::try_from(ceil_div(self.nanos, 1_000_000)).unwrap_or(i64::MAX)
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

fn ceil_div(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

/// The format, the power of ten and the power of two.
fn suffix_of(suffix: &str) -> Option<(Format, i32, u32)> {
    if let Some((_, ten)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::DecimalSi, *ten, 0));
    }
    if let Some((_, two)) = BINARY_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::BinarySi, 0, *two));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((Format::DecimalExponent, exponent.parse().ok()?, 0))
}

/// `whole.fraction × 10^ten × 2^two` in billionths, rounded up, saturating.
fn scaled_nanos(whole: &str, fraction: &str, ten: i32, two: u32) -> i128 {
    const SATURATED: i128 = i128::MAX / 4;
    let digits = whole.trim_start_matches('0').to_owned() + fraction;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let fraction_digits = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 2);
    // The value in billionths is `digits × 2^two × 10^power`.
    let mut power = i64::from(ten) + 9 - fraction_digits;
    let mut digits = digits;
    let mut rest = false;
    while digits.len() > 18 && power < 0 {
        rest |= !digits.ends_with('0');
        digits = &digits[..digits.len() - 1];
        power += 1;
    }
    if digits.len() > 20 {
        return SATURATED;
    }
    let Some(mut value) = digits.parse::<i128>().ok().and_then(|value| value.checked_mul(1 << two)) else { return SATURATED };
    while power > 0 {
        let Some(next) = value.checked_mul(10).filter(|&value| value < SATURATED) else { return SATURATED };
        value = next;
        power -= 1;
    }
    while power < 0 && value > 0 {
        rest |= value % 10 != 0;
        value /= 10;
        power += 1;
    }
    value + i128::from(rest)
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_whole() {
            let (mut value, mut step) = (self.nanos / NANO, 0);
            while value % 1024 == 0 && step < BINARY_SUFFIXES.len() {
                value /= 1024;
                step += 1;
            }
            return write!(f, "{value}{}", if step == 0 { "" } else { BINARY_SUFFIXES[step - 1].0 });
        }
        let (mut value, mut step) = (self.nanos, 0);
        while value % 1000 == 0 && step + 1 < DECIMAL_SUFFIXES.len() {
            value /= 1000;
            step += 1;
        }
        let (suffix, exponent) = DECIMAL_SUFFIXES[step];
        match self.format {
            Format::DecimalExponent if exponent != 0 => write!(f, "{value}e{exponent}"),
            Format::DecimalExponent => write!(f, "{value}"),
            _ => write!(f, "{value}{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_canonical() {
        for (given, written) in [
            ("0", "0"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500", "1500"),
            ("2000", "2k"),
            ("1e3", "1e3"),
            ("100e1", "1e3"),
            ("1E", "1E"),
            ("100Ki", "100Ki"),
            ("512", "512"),
            ("0.5Ki", "512"),
            ("1.0000000001", "1000000001n"),
            ("-1", "-1"),
            ("+3", "3"),
            (".5", "500m"),
            ("5.", "5"),
            ("9999999999999999999999", "9223372036854775807"),
            ("0.1Mi", "104857600m"),
        ] {
            assert_eq!(Quantity::parse(given).map(|q| q.to_string()).as_deref(), Some(written), "{given}");
        }
        for bad in ["", "x", "1K", "1Kib", "--1", "1.2.3", "1e", "Mi", "."] {
            assert!(Quantity::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn values_compare_across_formats() {
        assert!(Quantity::parse("1Gi") > Quantity::parse("1G"));
        assert_eq!(Quantity::parse("1000m"), Quantity::parse("1"));
    }
}
