//! `--token-auth-file`: CSV with at least three columns (token, user name, user uid), and optionally a fourth with groups,
//! itself separated by commas within quotes. What Go's `encoding/csv` refuses is refused.

use serde::Serialize;

/// One line of the file.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct StaticToken {
    /// The bearer token.
    pub token: String,
    /// `UserInfo.name`.
    pub user: String,
    /// `UserInfo.uid`.
    pub uid: String,
    /// `UserInfo.groups`.
    pub groups: Vec<String>,
}

/// Without the token: a config that is logged must not give secrets away.
impl std::fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaticToken({:?})", self.user)
    }
}

/// Reads the file's text. Lines with an empty token are left out with a warning; of equal tokens the last one counts.
pub fn parse(path: &str, text: &str, warnings: &mut Vec<String>) -> Result<Vec<StaticToken>, String> {
    let mut tokens: Vec<StaticToken> = Vec::new();
    for (number, mut record) in records(text).map_err(|why| format!("token file '{path}': {why}"))?.into_iter().enumerate() {
        let number = number + 1;
        if record.len() < 3 {
            return Err(format!("token file '{path}' must have at least 3 columns (token, user name, user uid), found {}", record.len()));
        }
        let groups = record.get(3).map(|groups| groups.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let (uid, user, token) = (record.swap_remove(2), record.swap_remove(1), record.swap_remove(0));
        if token.is_empty() {
            warnings.push(format!("empty token has been found in token file '{path}', record number '{number}'"));
            continue;
        }
        if let Some(before) = tokens.iter().position(|other| other.token == token) {
            warnings.push(format!("duplicate token has been found in token file '{path}', record number '{number}'"));
            tokens.remove(before);
        }
        tokens.push(StaticToken { token, user, uid, groups });
    }
    Ok(tokens)
}

/// The records of a CSV text: fields may be quoted, a quote within quotes is doubled, empty lines are skipped.
fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    // As Go has it: a carriage return counts before the end of a line only.
    let text = text.replace("\r\n", "\n");
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut builder = csv::ReaderBuilder::new();
    let mut reader = builder.has_headers(false).flexible(true).terminator(csv::Terminator::Any(b'\n')).from_reader(text.as_bytes());
    let mut records = Vec::new();
    let mut record = csv::StringRecord::new();
    let mut start = 0;
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let raw = text[start..end].trim_start_matches('\n');
        if let Err(why) = check_quotes(raw, &record) {
            let line = 1 + text[..end - raw.len()].matches('\n').count();
            return Err(format!("record on line {line}: {why}"));
        }
        start = end;
        records.push(record.iter().map(str::to_owned).collect());
    }
    Ok(records)
}

/// Refuses quotes that Go's `encoding/csv` refuses and the crate `csv` accepts: each field must be written in the way in which its value would
/// be written.
fn check_quotes(raw: &str, record: &csv::StringRecord) -> Result<(), &'static str> {
    let mut rest = raw;
    for field in record {
        let quoted = rest.starts_with('"');
        let written = if quoted { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() };
        let behind = rest.strip_prefix(&written).filter(|rest| rest.is_empty() || rest.starts_with([',', '\n']));
        rest = match behind {
            Some(behind) if quoted || !field.contains('"') => behind.get(1..).unwrap_or_default(),
            _ if quoted => return Err("extraneous or missing \" in quoted-field"),
            _ => return Err("bare \" in non-quoted field"),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);
        let cases: &[(&str, Result<&[Row], &str>)] = &[
            ("", Ok(&[])),
            ("t,jane,1\n", Ok(&[("t", "jane", "1", &[])])),
            ("t,jane,1,\"a,b\"\r\n\n\nu,joe,2,c", Ok(&[("t", "jane", "1", &["a", "b"]), ("u", "joe", "2", &["c"])])),
            ("t,\"ja\"\"ne\",\n", Ok(&[("t", "ja\"ne", "", &[])])),
            (",jane,1\nt,joe,2", Ok(&[("t", "joe", "2", &[])])),
            ("t,jane,1\nt,joe,2", Ok(&[("t", "joe", "2", &[])])),
            ("t,jane", Err("token file 'f' must have at least 3 columns (token, user name, user uid), found 2")),
            ("t,ja\"ne,1", Err("token file 'f': record on line 1: bare \" in non-quoted field")),
            ("a,b,c\nt,\"jane,1", Err("token file 'f': record on line 2: extraneous or missing \" in quoted-field")),
            ("\n\r\na,b,c\n\"t\"x,jane,1", Err("token file 'f': record on line 4: extraneous or missing \" in quoted-field")),
            ("t,\"ja\nne\",1\nu,\"joe,1", Err("token file 'f': record on line 3: extraneous or missing \" in quoted-field")),
            ("t,\"ja\nne\",1,\n", Ok(&[("t", "ja\nne", "1", &[""])])),
            ("t\rt,jane,1\r", Ok(&[("t\rt", "jane", "1", &[])])),
            (" \"t\",jane,1", Err("token file 'f': record on line 1: bare \" in non-quoted field")),
        ];
        for (text, want) in cases {
            let got = parse("f", text, &mut Vec::new());
            let got = got.as_ref().map(|tokens| {
                tokens
                    .iter()
                    .map(|t| (t.token.as_str(), t.user.as_str(), t.uid.as_str(), t.groups.iter().map(String::as_str).collect::<Vec<_>>()))
                    .collect::<Vec<_>>()
            });
            let want =
                want.map(|rows| rows.iter().map(|row| (row.0, row.1, row.2, row.3.to_vec())).collect::<Vec<_>>()).map_err(str::to_owned);
            assert_eq!(got.map_err(Clone::clone), want, "{text:?}");
        }
    }
}
