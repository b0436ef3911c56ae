//! `--token-auth-file`: CSV with at least three columns (token, user name, user uid), and optionally a fourth with groups,
//! itself separated by commas within quotes. Quoting is Go's encoding/csv's.

/// One line of the file.
#[derive(Clone, PartialEq, Eq)]
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
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let mut line = 1;
    let text = text.replace("\r\n", "\n");
    let mut chars = text.chars().peekable();
    loop {
        // At the beginning of a field.
        if record.is_empty() && chars.peek() == Some(&'\n') {
            chars.next();
            line += 1;
            continue;
        }
        if record.is_empty() && chars.peek().is_none() {
            return Ok(records);
        }
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    None => return Err(format!("line {line}: extraneous or missing \" in quoted-field")),
                    Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(c) => {
                        line += usize::from(c == '\n');
                        field.push(c);
                    }
                }
            }
            if !matches!(chars.peek(), None | Some(',' | '\n')) {
                return Err(format!("line {line}: extraneous or missing \" in quoted-field"));
            }
        } else {
            while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n')) {
                if c == '"' {
                    return Err(format!("line {line}: bare \" in non-quoted field"));
                }
                field.push(c);
            }
        }
        record.push(std::mem::take(&mut field));
        if chars.next_if_eq(&',').is_none() {
            line += usize::from(chars.next_if_eq(&'\n').is_some());
            records.push(std::mem::take(&mut record));
        }
    }
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
            ("t,ja\"ne,1", Err("token file 'f': line 1: bare \" in non-quoted field")),
            ("a,b,c\nt,\"jane,1", Err("token file 'f': line 2: extraneous or missing \" in quoted-field")),
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
