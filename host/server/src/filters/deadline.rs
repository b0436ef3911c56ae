//! How long a request may take: the server's bound, or less where its `timeout` says so. Long-running requests have none.

use std::time::Duration;

use apimachinery::Status;
use apimachinery::query::Query;
use apimachinery::request_info::RequestInfo;
use apimachinery::time::parse_duration;

/// The time that a request has, or `None` for as long as it likes.
///
/// # Errors
/// 400 where the query's `timeout` is no duration.
pub fn of(info: &RequestInfo, raw_query: &str, request_duration_max: Duration) -> Result<Option<Duration>, Status> {
    if info.is_long_running() {
        return Ok(None);
    }
    // Nearly no request says one, and each passes here.
    let query = if raw_query.contains("timeout") { Query::parse(raw_query) } else { Query::default() };
    let Some(value) = query.get("timeout").filter(|value| !value.is_empty()) else { return Ok(Some(request_duration_max)) };
    let nanoseconds =
        parse_duration(value).map_err(|why| Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))?;
    // Zero and negative ones say nothing, larger ones do not count.
    let asked = u64::try_from(nanoseconds).map_or(Duration::ZERO, Duration::from_nanos);
    Ok(Some(if asked.is_zero() { request_duration_max } else { asked.min(request_duration_max) }))
}

/// What the client gets when its time is up.
pub fn exceeded() -> Status {
    Status::timeout("Timeout: request did not complete within the allotted timeout", 0).with_details(Default::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_go_reads_them() {
        let rows: &[(&str, Result<u128, &str>)] = &[
            ("", Ok(60_000)),
            ("timeout=", Ok(60_000)),
            ("timeout=34s", Ok(34_000)),
            ("timeout=1m", Ok(60_000)),
            ("timeout=1h", Ok(60_000)),
            ("timeout=0", Ok(60_000)),
            ("timeout=-5s", Ok(60_000)),
            ("timeout=1.5s", Ok(1500)),
            ("timeout=1s500ms", Ok(1500)),
            ("timeout=abc", Err("invalid timeout specified in the request URL - time: invalid duration \"abc\"")),
            ("timeout=5", Err("invalid timeout specified in the request URL - time: missing unit in duration \"5\"")),
        ];
        let info = RequestInfo::parse("GET", "/api/v1/pods", None).unwrap();
        for (query, want) in rows {
            let got = of(&info, query, Duration::from_secs(60)).map(|d| d.unwrap().as_millis()).map_err(|s| s.message);
            assert_eq!(got, want.map_err(String::from), "{query}");
        }
        let watch = RequestInfo::parse("GET", "/api/v1/pods", Some("watch=1&timeout=abc")).unwrap();
        assert_eq!(of(&watch, "watch=1&timeout=abc", Duration::from_secs(60)).unwrap(), None);
    }
}
