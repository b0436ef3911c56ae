//! Times as objects carry them: RFC 3339, in whole seconds of UTC.

/// Seconds since 1970; none where it is no such time.
pub fn seconds_since_1970(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let time = rest.strip_suffix('Z')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    Some(((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse::<u32>().ok());
    let all = [parts.next()??, parts.next()??, parts.next()??].map(i64::from);
    parts.next().is_none().then_some(all)
}

/// The calendar's days, counted in years that begin in March, so that a leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:30:15Z", Some(951_827_415)),
            ("2026-11-28T08:00:00Z", Some(1_795_852_800)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2026-11-28", None),
            ("2026-11-28T08:00Z", None),
            ("", None),
        ];
        for (text, want) in rows {
            assert_eq!(seconds_since_1970(text), want, "{text}");
        }
    }
}
