//! Times and durations as texts. Now is always handed in.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time as Clock};

/// RFC 3339 in whole seconds, as Go's layouts name it.
const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// RFC 3339 in microseconds.
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// The quoting of Go's `time` package: by bytes.
fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=0x7f => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// A moment: seconds since 1970 in UTC, and nanoseconds of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanoseconds: u32,
}

/// Go's zero time, 0001-01-01T00:00:00Z, which stands for no time at all.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// What seconds are counted from.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The first and the last second that can be shown.
const FIRST: DateTime = DateTime::MIN;
const LAST: DateTime = DateTime::constant(9999, 12, 31, 23, 59, 59, 0);

/// A text that is read piece by piece, with Go's words for what is missing.
struct Reader<'a> {
    layout: &'static str,
    whole: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Go's `cannot parse "…" as "…"`.
    fn cannot(&self, at: &str, piece: &str) -> String {
        format!("parsing time {} as {}: cannot parse {} as {}", go_quote(self.whole), go_quote(self.layout), go_quote(at), go_quote(piece))
    }

    fn out_of_range(&self, what: &str) -> String {
        format!("parsing time {}: {what} out of range", go_quote(self.whole))
    }

    fn literal(&mut self, piece: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(piece).ok_or_else(|| self.cannot(self.rest, piece))?;
        Ok(())
    }

    /// `count` digits; where `short`, one will do.
    fn digits(&mut self, count: usize, short: bool, piece: &str) -> Result<i16, String> {
        let found = self.rest.bytes().take(count).take_while(u8::is_ascii_digit).count();
        if found != count && !(short && found == 1) {
            return Err(self.cannot(self.rest, piece));
        }
        let (digits, rest) = self.rest.split_at(found);
        self.rest = rest;
        Ok(digits.bytes().fold(0, |number, digit| number * 10 + i16::from(digit - b'0')))
    }

    fn two_digits(&mut self, short: bool, piece: &str) -> Result<i8, String> {
        Ok(self.digits(2, short, piece)? as i8)
    }

    fn fraction(&mut self, digits: usize) -> u32 {
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        (0..9).fold(0, |number, i| number * 10 + u32::from(fraction.as_bytes().get(i).map_or(0, |digit| digit - b'0')))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let (hours, minutes) = match self.rest.as_bytes() {
            [b'+' | b'-', h1, h2, b':', m1, m2, ..] if [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) => {
                let number = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
                (number(h1, h2), number(m1, m2))
            }
            _ => return Err(self.cannot(self.rest, "Z07:00")),
        };
        let sign = if self.rest.starts_with('-') { -1 } else { 1 };
        let whole = self.whole;
        if hours > 24 {
            return Err(format!("parsing time {}: time zone offset hour out of range", go_quote(whole)));
        }
        if minutes > 60 {
            return Err(format!("parsing time {}: time zone offset minute out of range", go_quote(whole)));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn parse(text: &str, layout: &'static str) -> Result<Time, String> {
    let mut reader = Reader { layout, whole: text, rest: text };
    let year = reader.digits(4, false, "2006")?;
    reader.literal("-")?;
    let month = reader.two_digits(false, "01")?;
    if !(1..=12).contains(&month) {
        return Err(reader.out_of_range("month"));
    }
    reader.literal("-")?;
    let day = reader.two_digits(false, "02")?;
    reader.literal("T")?;
    let hour = reader.two_digits(true, "15")?;
    if hour > 23 {
        return Err(reader.out_of_range("hour"));
    }
    reader.literal(":")?;
    let minute = reader.two_digits(false, "04")?;
    if minute > 59 {
        return Err(reader.out_of_range("minute"));
    }
    reader.literal(":")?;
    let second = reader.two_digits(false, "05")?;
    if second > 59 {
        return Err(reader.out_of_range("second"));
    }
    let mut nanoseconds = 0;
    let digits = reader.rest.strip_prefix(['.', ',']).map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if layout == RFC3339_MICRO {
        if digits.is_none_or(|digits| digits < 6) {
            return Err(reader.cannot(reader.rest, ".000000"));
        }
        reader.rest = &reader.rest[1..];
        nanoseconds = reader.fraction(6);
    } else if let Some(digits) = digits.filter(|digits| *digits > 0) {
        // A fraction is read although the layout has none.
        reader.rest = &reader.rest[1..];
        nanoseconds = reader.fraction(digits);
    }
    let offset = reader.zone()?;
    if !reader.rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", go_quote(text), go_quote(reader.rest)));
    }
    let date = Date::new(year, month, day).map_err(|_| reader.out_of_range("day"))?;
    let since_epoch = date.to_datetime(Clock::constant(hour, minute, second, 0)).duration_since(EPOCH);
    Ok(Time { seconds: since_epoch.as_secs() - offset, nanoseconds })
}

impl Time {
    /// Reads RFC 3339, as `metav1.Time` does; the error is in Go's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text, RFC3339)
    }

    /// Reads RFC 3339 with six digits of a fraction, as `metav1.MicroTime` does.
    pub fn parse_micro(text: &str) -> Result<Self, String> {
        parse(text, RFC3339_MICRO)
    }

    /// Go's zero time, which is written as `null`.
    pub fn is_zero(self) -> bool {
        self.seconds == ZERO_SECONDS && self.nanoseconds == 0
    }

    /// From the system's clock, or any other.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }

    /// `2026-11-21T11:28:00Z`. What lies outside of the years -9999 to 9999 is shown as the first or the last second of them.
    pub fn rfc3339(self) -> String {
        format!("{}Z", self.civil())
    }

    /// `2026-11-21T11:28:00.000000Z`.
    pub fn rfc3339_micro(self) -> String {
        format!("{}.{:06}Z", self.civil(), self.nanoseconds / 1000)
    }

    /// To the second, in UTC.
    fn civil(self) -> DateTime {
        let time = EPOCH.checked_add(SignedDuration::from_secs(self.seconds));
        time.unwrap_or(if self.seconds < 0 { FIRST } else { LAST })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// An age as kubectl prints it: two units at most, the second only while it says something.
pub fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => with(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// An age in its largest unit alone.
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

/// Reads Go's duration text (`1h30m`, `1.5s`) as nanoseconds; the error is in Go's words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", go_quote(text));
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let negative = text.starts_with('-');
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let (mut rest, mut total) = (unsigned, 0i128);
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, tail) = rest.split_at(digits(rest));
        let (fraction, tail) = match tail.strip_prefix('.') {
            Some(tail) => tail.split_at(digits(tail)),
            None => ("", tail),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale: i128 = match unit {
            "" => return Err(format!("time: missing unit in duration {}", go_quote(text))),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            unit => return Err(format!("time: unknown unit {} in duration {}", go_quote(unit), go_quote(text))),
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().map_err(|_| invalid())?.into() };
        let fraction = &fraction[..fraction.len().min(18)];
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().map_err(|_| invalid())?.into() };
        total += whole * scale + part * scale / 10i128.pow(fraction.len() as u32);
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(invalid());
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// Writes nanoseconds as Go's duration text: `1h30m0s`.
pub fn format_duration(nanoseconds: i64) -> String {
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let decimal = |value: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match magnitude {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{magnitude}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(magnitude, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(magnitude, 1_000_000)),
        _ => {
            let (minutes, rest) = (magnitude / 60_000_000_000, magnitude % 60_000_000_000);
            let seconds = if rest < 1_000_000_000 && rest % 1_000_000_000 == 0 { "0".to_owned() } else { decimal(rest, 1_000_000_000) };
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let rows = [
            ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z"),
            ("2024-02-29T12:34:56.999Z", "2024-02-29T12:34:56Z"),
            ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00Z"),
            ("2024-01-01T3:04:05Z", "2024-01-01T03:04:05Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("yesterday", "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\""),
            ("", "parsing time \"\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"2006\""),
            ("2024-13-01T00:00:00Z", "parsing time \"2024-13-01T00:00:00Z\": month out of range"),
            ("2023-02-29T00:00:00Z", "parsing time \"2023-02-29T00:00:00Z\": day out of range"),
            ("2024-01-01T24:00:00Z", "parsing time \"2024-01-01T24:00:00Z\": hour out of range"),
            ("2024-01-01", "parsing time \"2024-01-01\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""),
            (
                "2024-01-01T00:00:00",
                "parsing time \"2024-01-01T00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"",
            ),
            ("2024-01-01T00:00:00Zx", "parsing time \"2024-01-01T00:00:00Zx\": extra text: \"x\""),
        ];
        for (text, want) in rows {
            assert_eq!(Time::parse(text).map_or_else(|error| error, Time::rfc3339), want, "{text}");
        }
        let micro = [
            ("2024-02-29T12:34:56.123456Z", "2024-02-29T12:34:56.123456Z"),
            (
                "2024-02-29T12:34:56Z",
                "parsing time \"2024-02-29T12:34:56Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
            ),
        ];
        for (text, want) in micro {
            assert_eq!(Time::parse_micro(text).map_or_else(|error| error, Time::rfc3339_micro), want, "{text}");
        }
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "-009999-01-01T00:00:00Z"),
        ] {
            assert_eq!(Time::from_unix(seconds, 0).rfc3339(), want, "{seconds}");
        }
        assert!(Time::parse("0001-01-01T00:00:00Z").is_ok_and(Time::is_zero));
    }

    #[test]
    fn ages() {
        let (minute, hour, day, year) = (60, 3600, 86_400, 31_536_000);
        let rows = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (2 * minute, "2m"),
            (2 * minute + 5, "2m5s"),
            (10 * minute + 5, "10m"),
            (179 * minute, "179m"),
            (3 * hour, "3h"),
            (3 * hour + 5 * minute, "3h5m"),
            (8 * hour + minute, "8h"),
            (47 * hour, "47h"),
            (2 * day + hour, "2d1h"),
            (8 * day + hour, "8d"),
            (729 * day, "729d"),
            (2 * year, "2y"),
            (2 * year + 3 * day, "2y3d"),
            (9 * year, "9y"),
        ];
        for (seconds, want) in rows {
            assert_eq!(human_duration(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn durations() {
        let rows = [
            ("1h30m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("-2m", "-2m0s"),
            ("0", "0s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("3ns", "3ns"),
            ("60s", "1m0s"),
            ("nope", "time: invalid duration \"nope\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5µ", "time: unknown unit \"\\xc2\\xb5\" in duration \"5\\xc2\\xb5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ];
        for (text, want) in rows {
            assert_eq!(parse_duration(text).map_or_else(|error| error, format_duration), want, "{text}");
        }
    }
}
