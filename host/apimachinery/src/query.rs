//! A URL's path and query, decoded as Go's `net/url` decodes them: the first step of every request, before anything is
//! known about it.
//!
//! Nothing here fails on a bad query: a pair that cannot be decoded is left out, as `url.Query()` leaves it out.

/// Query parameters in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// Pairs of a query that are read; what follows is ignored, so that no query costs more than a bounded search.
pub const QUERY_PAIRS_MAX: usize = 1024;

impl Query {
    /// Parses what stands after the `?`.
    pub fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).take(QUERY_PAIRS_MAX);
        Self(
            pairs
                .filter_map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((unescape(key, true)?, unescape(value, true)?))
                })
                .collect(),
        )
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Decodes `%XX` (and `+` in a query); `None` where an escape is malformed. What is not UTF-8 is replaced.
pub fn unescape(text: &str, plus_is_space: bool) -> Option<String> {
    let encoded = text.contains('%') || (plus_is_space && text.contains('+'));
    if !encoded {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => out.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            b'+' if plus_is_space => out.push(b' '),
            byte => out.push(byte),
        }
    }
    Some(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_go_decodes_them() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            ("watch", &[("watch", "")]),
            ("a=x+y%20z", &[("a", "x y z")]),
            ("a=%zz&b=%4", &[]),
            ("a=1;b=2&c=3", &[("c", "3")]),
            ("labelSelector=a%20in%20%28b%2Cc%29", &[("labelSelector", "a in (b,c)")]),
            ("a==b=c", &[("a", "=b=c")]),
        ];
        for (raw, want) in rows {
            assert_eq!(Query::parse(raw).pairs().collect::<Vec<_>>(), *want, "{raw}");
        }
    }
}
