//! Times: of claims, and of objects.

/// Clocks differ by so much, upstream's default.
pub const LEEWAY_SECONDS: i64 = 60;

/// Seconds since 1970 of `2026-11-21T11:28:00Z`; none where it is no such text. Kubernetes writes times in UTC, to the second.
pub fn seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let time = rest.strip_suffix('Z')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 in the Gregorian calendar. The year begins in March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #[test]
    fn seconds_of_a_text() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:30:45Z", Some(951_827_445)),
            ("2026-11-21T11:28:00Z", Some(1_795_260_480)),
            ("2026-11-21T11:28:00.123456Z", Some(1_795_260_480)),
            ("2026-11-21", None),
            ("x", None),
        ];
        for (text, want) in rows {
            assert_eq!(super::seconds(text), want, "{text}");
        }
    }
}
