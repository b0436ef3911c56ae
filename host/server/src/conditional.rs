//! Conditional requests (RFC 9110, 13), as Go's `http.ServeContent` judges them: whether a client that keeps a document already has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, Method};

/// What becomes of a request that has conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is answered as if it had none.
    Proceed,
    /// 304: the client has the document.
    NotModified,
    /// 412: the client wants another document than there is.
    Failed,
}

/// What identifies a document: its ETag, quotes included, empty where it has none; and since when it is as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    pub(crate) etag: &'a str,
    pub(crate) last_modified: SystemTime,
}

impl Validators<'_> {
    /// Judges a request. Tags come before times, as the RFC has it.
    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap) -> Judgement {
        let reads = method == Method::GET || method == Method::HEAD;
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let failed = match text(IF_MATCH) {
            Some(list) => !names(list, |tag| tag == self.etag && !tag.starts_with("W/")),
            None => self.is_newer_than(text(IF_UNMODIFIED_SINCE)) == Some(true),
        };
        if failed {
            return Judgement::Failed;
        }
        let has = match text(IF_NONE_MATCH) {
            Some(list) => names(list, |tag| is_weakly_equal(tag, self.etag)),
            None => reads && self.is_newer_than(text(IF_MODIFIED_SINCE)) == Some(false),
        };
        match (has, reads) {
            (false, _) => Judgement::Proceed,
            (true, true) => Judgement::NotModified,
            (true, false) => Judgement::Failed,
        }
    }

    /// Whether the document has changed since a date, in whole seconds as dates are; none where there is no date.
    fn is_newer_than(&self, date: Option<&str>) -> Option<bool> {
        let date = httpdate::parse_http_date(date?).ok()?;
        Some(whole_seconds(self.last_modified) > whole_seconds(date))
    }
}

/// A time as a header has it.
pub(crate) fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

fn whole_seconds(time: SystemTime) -> Duration {
    Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn is_weakly_equal(a: &str, b: &str) -> bool {
    a.trim_start_matches("W/") == b.trim_start_matches("W/")
}

/// Whether a list of tags (`"a", W/"b"`, or `*` for any) has one that is meant. What is malformed ends the list.
fn names(list: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut rest = list;
    loop {
        rest = rest.trim_start().trim_start_matches([',', ' ', '\t']);
        if rest.starts_with('*') {
            return true;
        }
        let opening = if rest.starts_with("W/\"") { 3 } else { 1 };
        if !rest.starts_with('"') && opening == 1 {
            return false;
        }
        let Some(closing) = rest[opening..].find('"') else { return false };
        let (tag, tail) = rest.split_at(opening + closing + 1);
        if tag[opening..tag.len() - 1].bytes().any(|b| b <= b' ' || b == 0x7f) {
            return false;
        }
        if is_meant(tag) {
            return true;
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_judged_as_go_judges_them() {
        use Judgement::{Failed, NotModified, Proceed};
        let at = "Wed, 25 Nov 2026 17:00:00 GMT";
        let last_modified = httpdate::parse_http_date(at).unwrap() + Duration::from_millis(400);
        let document = Validators { etag: "\"A\"", last_modified };
        let rows: &[(&str, &[(HeaderName, &str)], Judgement)] = &[
            ("GET", &[], Proceed),
            ("GET", &[(IF_NONE_MATCH, "\"A\"")], NotModified),
            ("HEAD", &[(IF_NONE_MATCH, "\"A\"")], NotModified),
            ("POST", &[(IF_NONE_MATCH, "\"A\"")], Failed),
            ("GET", &[(IF_NONE_MATCH, "W/\"A\"")], NotModified),
            ("GET", &[(IF_NONE_MATCH, "*")], NotModified),
            ("GET", &[(IF_NONE_MATCH, "\"B\", W/\"A\"")], NotModified),
            ("GET", &[(IF_NONE_MATCH, "\"B\",\"C\"")], Proceed),
            ("GET", &[(IF_NONE_MATCH, "A")], Proceed),
            ("GET", &[(IF_NONE_MATCH, "\"A")], Proceed),
            ("GET", &[(IF_NONE_MATCH, "")], Proceed),
            ("GET", &[(IF_NONE_MATCH, "\"B\""), (IF_MODIFIED_SINCE, at)], Proceed),
            ("GET", &[(IF_MODIFIED_SINCE, at)], NotModified),
            ("GET", &[(IF_MODIFIED_SINCE, "Wed, 25 Nov 2026 16:59:59 GMT")], Proceed),
            ("GET", &[(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            ("GET", &[(IF_MATCH, "\"A\"")], Proceed),
            ("GET", &[(IF_MATCH, "*")], Proceed),
            ("GET", &[(IF_MATCH, "\"B\"")], Failed),
            ("GET", &[(IF_MATCH, "W/\"A\"")], Failed),
            ("GET", &[(IF_UNMODIFIED_SINCE, at)], Proceed),
            ("GET", &[(IF_UNMODIFIED_SINCE, "Wed, 25 Nov 2026 16:59:59 GMT")], Failed),
        ];
        for (method, given, want) in rows {
            let headers: HeaderMap = given.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            assert_eq!(document.judge(&method.parse().unwrap(), &headers), *want, "{method} {given:?}");
        }
    }
}
