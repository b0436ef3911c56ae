//! Amounts of resources: `500m`, `1.5Gi`, `1e3` (`k8s.io/apimachinery/pkg/api/resource`).
//!
//! A quantity is stored as its canonical text; which text that is, is upstream's rule to the letter, oddities included: what is
//! already canonical by its digits is kept as it was written.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// Digits that upstream reads into an integer before it turns to big numbers.
const FAST_DIGITS_MAX: usize = 18;
/// Digits of a number that is read at all.
const DIGITS_MAX: usize = 38;
/// The largest power of ten that is read; upstream has no bound but memory.
const EXPONENT_MAX: i32 = 1_000_000_000;
/// The smallest unit: 10⁻⁹.
const NANO: i32 = -9;

/// What an amount's suffix was, and so what it is printed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `e3`
    DecimalExponent,
    /// `Ki`, `Mi`, …
    BinarySi,
    /// `m`, `k`, `M`, …
    DecimalSi,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is none.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount: `value` × 10^`scale`.
#[derive(Clone, Debug)]
pub struct Quantity {
    value: i128,
    scale: i32,
    format: Format,
    /// The text as it was written, where that is canonical.
    text: Option<String>,
}

/// A text taken apart.
struct Parts<'a> {
    positive: bool,
    /// Digits before the point, without leading zeros; `0` where there are none.
    whole: &'a str,
    /// Digits after the point.
    fraction: &'a str,
    suffix: &'a str,
    /// Whether there is a digit at all.
    has_digits: bool,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let positive = !text.starts_with('-');
    let significant = unsigned.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Parts { positive, whole: "0", fraction: "", suffix: "", has_digits: true });
    }
    let (whole, rest) = significant.split_at(digits(significant));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = rest.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let tail = &rest[letters..];
    // Upstream looks for a sign and digits only behind letters that do not end the text.
    let exponent = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if digits(exponent) != exponent.len() {
        return Err(QuantityError::Format);
    }
    let has_digits = unsigned.starts_with('0') || !whole.is_empty() || !fraction.is_empty();
    Ok(Parts { positive, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix: rest, has_digits })
}

/// Base, exponent and format.
fn interpret(suffix: &str) -> Option<(u32, i32, Format)> {
    let decimal = |exponent| Some((10, exponent, Format::DecimalSi));
    let binary = |exponent| Some((2, exponent, Format::BinarySi));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            (exponent.abs() <= EXPONENT_MAX).then_some((10, exponent, Format::DecimalExponent))
        }
    }
}

fn decimal_suffix(exponent: i32, format: Format) -> String {
    if format == Format::DecimalExponent {
        return if exponent == 0 { String::new() } else { format!("e{exponent}") };
    }
    // Beyond exa upstream has no suffix and prints none.
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
    .to_owned()
}

fn pow10(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// Away from zero, as upstream rounds: who wants some of a resource gets some.
fn div_round_up(value: i128, divisor: i128) -> i128 {
    let quotient = value / divisor;
    if value % divisor == 0 { quotient } else { quotient + value.signum() }
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self { value: 0, scale: 0, format: Format::DecimalSi, text: None };

    /// A whole number of units.
    pub fn new(value: i64, format: Format) -> Self {
        Self { value: value.into(), scale: 0, format, text: None }
    }

    /// A number of thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Self { value: value.into(), scale: -3, format, text: None }
    }

    /// Reads an amount. Space around it is not allowed here.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let parts = split(text)?;
        let (base, exponent, format) = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
        if let Some(fast) = Self::fast(text, &parts, base, exponent, format) {
            return Ok(fast);
        }
        if !parts.has_digits {
            return Err(QuantityError::Numeric);
        }
        Self::slow(&parts, base, exponent, format)
    }

    /// Reads a JSON value: a string, or a number.
    pub fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text).ok(),
            Value::Number(number) => match number.as_f64() {
                Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 => Self::parse(&format!("{float:.0}")).ok(),
                _ => Self::parse(&number.to_string()).ok(),
            },
            _ => None,
        }
    }

    /// Few digits, and no binary fraction: exact, and kept as written where the digits are canonical.
    fn fast(text: &str, parts: &Parts<'_>, base: u32, exponent: i32, format: Format) -> Option<Self> {
        let count = parts.whole.len() + parts.fraction.len();
        let (room, multiplier, scale) = match base {
            10 => (FAST_DIGITS_MAX.checked_sub(count), 1i64, exponent - parts.fraction.len() as i32),
            _ if parts.fraction.is_empty() => {
                let taken = parts.whole.len() + (exponent * 3 / 10) as usize + 1;
                (15usize.checked_sub(taken), 1i64 << exponent, 0)
            }
            _ => return None,
        };
        room?;
        if scale < NANO {
            return None;
        }
        let shifted = format!("{}{}", parts.whole, parts.fraction);
        let value: i64 = shifted.parse().ok()?;
        let result = value.checked_mul(multiplier)?;
        let canonical = match format {
            Format::BinarySi => value & 7 != 0,
            _ => scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0'),
        };
        let value = i128::from(if parts.positive { result } else { -result });
        Some(Self { value, scale, format, text: canonical.then(|| text.to_owned()) })
    }

    fn slow(parts: &Parts<'_>, base: u32, exponent: i32, mut format: Format) -> Result<Self, QuantityError> {
        let fraction = parts.fraction.trim_end_matches('0');
        // Digits far behind the point only say that there is something left to round up.
        let kept = &fraction[..fraction.len().min(DIGITS_MAX.saturating_sub(parts.whole.len()))];
        let rest = fraction.len() > kept.len();
        if parts.whole.len() > DIGITS_MAX {
            return Err(QuantityError::Numeric);
        }
        let mut value: i128 = format!("{}{kept}", parts.whole).parse().map_err(|_| QuantityError::Numeric)?;
        let mut scale = -(kept.len() as i32);
        if base == 10 {
            scale += exponent;
        } else {
            match value.checked_mul(1 << exponent) {
                Some(product) => value = product,
                // Past the cap in any case where the number is that large, else only too finely written.
                None if kept.is_empty() => return Ok(Self::capped(parts.positive)),
                None => {
                    let coarse = (kept.len() as u32).saturating_sub(9);
                    let fewer = div_round_up(value, pow10(coarse).ok_or(QuantityError::Numeric)?);
                    value = match fewer.checked_mul(1 << exponent) {
                        Some(product) => product,
                        None => return Ok(Self::capped(parts.positive)),
                    };
                    scale += coarse as i32;
                }
            }
        }
        if scale < NANO {
            value = match pow10((NANO - scale) as u32) {
                Some(divisor) => div_round_up(value, divisor),
                None => i128::from(value != 0),
            };
            scale = NANO;
            if rest && value == 0 {
                value = 1;
            }
        }
        if format == Format::BinarySi {
            let unit = pow10((-scale) as u32).ok_or(QuantityError::Numeric)?;
            if value > i128::from(i64::MAX).saturating_mul(unit) {
                return Ok(Self::capped(parts.positive));
            }
            if value > 0 && value < unit {
                format = Format::DecimalSi;
            }
        }
        Ok(Self { value: if parts.positive { value } else { -value }, scale, format, text: None })
    }

    fn capped(positive: bool) -> Self {
        let value = i128::from(if positive { i64::MAX } else { -i64::MAX });
        Self { value, scale: 0, format: Format::BinarySi, text: None }
    }

    /// How it is printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.value == 0
    }

    /// Whether it is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.whole().is_some()
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.value.signum() as i32
    }

    /// In units of 10^`scale`, rounded away from zero; at the bounds of 64 bits where it lies beyond them.
    pub fn scaled_value(&self, scale: i32) -> i64 {
        let clamp = |value: i128| value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        let bound = if self.value < 0 { i64::MIN } else { i64::MAX };
        match self.scale - scale {
            _ if self.value == 0 => 0,
            up @ 0.. => pow10(up as u32).and_then(|factor| self.value.checked_mul(factor)).map_or(bound, clamp),
            down => pow10(down.unsigned_abs()).map_or(self.value.signum() as i64, |divisor| clamp(div_round_up(self.value, divisor))),
        }
    }

    /// In whole units, rounded up.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// In thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// Rounds away from zero to a multiple of 10^`scale`.
    pub fn round_up(&mut self, scale: i32) {
        if self.scale < scale {
            self.value = match pow10((scale - self.scale) as u32) {
                Some(divisor) => div_round_up(self.value, divisor),
                None => self.value.signum(),
            };
            self.scale = scale;
            self.text = None;
        }
    }

    /// The sum. What lies beyond 38 digits stays there.
    pub fn add(&mut self, other: &Self) {
        if self.is_zero() {
            self.format = other.format;
        }
        self.text = None;
        if other.is_zero() {
            return;
        }
        if self.is_zero() {
            (self.value, self.scale) = (other.value, other.scale);
            return;
        }
        let scale = self.scale.min(other.scale);
        let at = |quantity: &Self| pow10((quantity.scale - scale) as u32).and_then(|factor| quantity.value.checked_mul(factor));
        match (at(self), at(other)) {
            (Some(a), Some(b)) => (self.value, self.scale) = (a.saturating_add(b), scale),
            // One is so much larger that the other does not show.
            _ if self.scale < other.scale => (self.value, self.scale) = (other.value, other.scale),
            _ => {}
        }
    }

    /// The difference.
    pub fn sub(&mut self, other: &Self) {
        let negative = Self { value: -other.value, text: None, ..other.clone() };
        self.add(&negative);
    }

    fn canonical(&self) -> String {
        if self.value == 0 {
            return "0".to_owned();
        }
        if self.format == Format::BinarySi {
            let small = self.cmp(&Self::new(1024, Format::BinarySi)).is_lt() && self.cmp(&Self::new(-1024, Format::BinarySi)).is_gt();
            if let Some(mut whole) = self.whole().filter(|_| !small) {
                let mut times = 0;
                while whole.unsigned_abs() >= 1024 && whole % 1024 == 0 {
                    whole /= 1024;
                    times += 1;
                }
                let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(times).copied().unwrap_or_default();
                return format!("{whole}{suffix}");
            }
        }
        let (mut value, mut exponent) = (self.value, self.scale);
        while value % 10 == 0 {
            value /= 10;
            exponent += 1;
        }
        let down = exponent.rem_euclid(3) as usize;
        let zeros = &"00"[..down];
        let format = if self.format == Format::BinarySi { Format::DecimalSi } else { self.format };
        format!("{value}{zeros}{}", decimal_suffix(exponent - down as i32, format))
    }

    /// As a whole number of units, where it is one.
    fn whole(&self) -> Option<i128> {
        if self.scale >= 0 {
            return self.value.checked_mul(pow10(self.scale as u32)?);
        }
        let divisor = pow10(self.scale.unsigned_abs())?;
        (self.value % divisor == 0).then(|| self.value / divisor)
    }
}

/// The canonical text.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.value.signum().cmp(&other.value.signum());
        if by_sign.is_ne() || self.value == 0 {
            return by_sign;
        }
        let scale = self.scale.min(other.scale);
        let at = |quantity: &Self| pow10((quantity.scale - scale) as u32).and_then(|factor| quantity.value.checked_mul(factor));
        match (at(self), at(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // The one that does not fit is the larger in magnitude.
            (None, _) => self.value.cmp(&0),
            (_, None) => 0.cmp(&other.value),
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quantity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts() {
        let rows = [
            ("0", "0"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1.500", "1.500"),
            ("0.500", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("2048", "2048"),
            ("1e3", "1e3"),
            ("1E3", "1E3"),
            ("12e6", "12e6"),
            ("120e5", "12e6"),
            ("0.0001", "100u"),
            ("0.1n", "1n"),
            ("-0.1n", "-1n"),
            ("0.00000000000000000000000000000000000000000000001", "1n"),
            ("100E", "100E"),
            ("512Ki", "512Ki"),
            ("1023Ki", "1023Ki"),
            ("2048Ki", "2Mi"),
            ("0.5Ki", "512"),
            ("1Ei", "1Ei"),
            ("100Ei", "9223372036854775807"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("+1", "+1"),
            ("-1.5", "-1500m"),
            (".5", "500m"),
            ("5.", "5."),
            ("00012", "00012"),
            ("1.2.3", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("five", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("1x", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("1MiMi", "unable to parse quantity's suffix"),
            ("1e", "unable to parse quantity's suffix"),
        ];
        for (text, want) in rows {
            let got = Quantity::parse(text).map_or_else(|error| error.to_string(), |quantity| quantity.to_string());
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn arithmetic() {
        let q = |text: &str| Quantity::parse(text).expect(text);
        let rows =
            [("1Gi", "1Gi", "2Gi", "0"), ("100m", "1", "1100m", "-900m"), ("1", "1Ki", "1025", "-1023"), ("0", "1Gi", "1Gi", "-1Gi")];
        for (a, b, sum, difference) in rows {
            let (mut x, mut y) = (q(a), q(a));
            x.add(&q(b));
            y.sub(&q(b));
            assert_eq!((x.to_string().as_str(), y.to_string().as_str()), (sum, difference), "{a} {b}");
        }
        let mut rounded = q("0.0001");
        rounded.round_up(-3);
        assert_eq!(rounded.to_string(), "1m");
    }

    #[test]
    fn order_and_numbers() {
        let q = |text: &str| Quantity::parse(text).expect(text);
        for (a, b) in [("1", "1000m"), ("1Ki", "1024"), ("1e3", "1k"), ("0", "0Gi")] {
            assert_eq!(q(a), q(b));
        }
        for (a, b) in [("1", "1001m"), ("-1", "0"), ("999", "1k"), ("1k", "1Ki"), ("1n", "1e200"), ("-1e200", "-1n")] {
            assert!(q(a) < q(b), "{a} {b}");
            assert!(q(b) > q(a), "{b} {a}");
        }
        assert_eq!((q("1500m").value(), q("1500m").milli_value(), q("-1500m").value()), (2, 1500, -2));
        assert_eq!((q("1e30").value(), q("-1e30").value()), (i64::MAX, i64::MIN));
        for (text, whole) in [("1", true), ("1500m", false), ("0.5Ki", true), ("1e30", true), ("0", true)] {
            assert_eq!(q(text).is_whole(), whole, "{text}");
        }
    }

    #[test]
    fn json_values() {
        for (json, text) in
            [("\"1.5\"", Some("1500m")), ("2", Some("2")), ("1.5", Some("1500m")), ("2.0", Some("2")), ("\"x\"", None), ("{}", None)]
        {
            let value: Value = serde_json::from_str(json).expect(json);
            assert_eq!(Quantity::of_json(&value).map(|quantity| quantity.to_string()).as_deref(), text, "{json}");
        }
    }
}
