//! CSV as Go's `encoding/csv` reads it: that is what token files were written for.

/// All records. Empty lines are none; a quoted field may go over several lines.
pub fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut records = Vec::new();
    let mut lines = Lines { rest: text, number: 0 };
    while let Some(line) = lines.next() {
        if line != "\n" && !line.is_empty() {
            records.push(record(line, &mut lines)?);
        }
    }
    Ok(records)
}

/// Lines with their `\n`; a `\r` before it is dropped, and one at the end of the text too.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        (self.rest, self.number) = (rest, self.number + 1);
        Some(match line.strip_suffix("\r\n") {
            Some(line) => format!("{line}\n"),
            None if rest.is_empty() => line.strip_suffix('\r').unwrap_or(line).to_owned(),
            None => line.to_owned(),
        })
    }
}

fn record(first: String, lines: &mut Lines) -> Result<Vec<String>, String> {
    let start = lines.number;
    let mut fields = Vec::new();
    let mut line = first;
    // A byte position in `line`; Go's columns are one more.
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.trim_end_matches('\n').len());
            if let Some(quote) = rest[..end].find('"') {
                return Err(failure(start, lines.number, at + quote + 1, "bare \" in non-quoted-field"));
            }
            fields.push(rest[..end].to_owned());
            if !rest[end..].starts_with(',') {
                return Ok(fields);
            }
            at += end + 1;
            continue;
        };
        at = line.len() - quoted.len();
        let mut field = String::new();
        loop {
            let rest = &line[at..];
            let Some(quote) = rest.find('"') else {
                field.push_str(rest);
                at = line.len();
                match lines.next() {
                    Some(next) => (line, at) = (next, 0),
                    None => return Err(failure(start, lines.number, at + 1, "extraneous or missing \" in quoted-field")),
                }
                continue;
            };
            field.push_str(&rest[..quote]);
            at += quote + 1;
            match line[at..].chars().next() {
                Some('"') => {
                    field.push('"');
                    at += 1;
                }
                Some(',') => {
                    fields.push(field);
                    at += 1;
                    break;
                }
                None | Some('\n') => {
                    fields.push(field);
                    return Ok(fields);
                }
                Some(_) => return Err(failure(start, lines.number, at, "extraneous or missing \" in quoted-field")),
            }
        }
    }
}

fn failure(start: usize, line: usize, column: usize, what: &str) -> String {
    let place = format!("parse error on line {line}, column {column}: {what}");
    if start == line { place } else { format!("record on line {start}; {place}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_it() {
        let rows: [(&str, &[&[&str]]); 10] = [
            ("a,b,c\n", &[&["a", "b", "c"]]),
            ("a,b,c", &[&["a", "b", "c"]]),
            ("a,b,c\r\n\r\nd,e,f\r", &[&["a", "b", "c"], &["d", "e", "f"]]),
            ("\n\na\n", &[&["a"]]),
            ("a,,\n", &[&["a", "", ""]]),
            ("\"a,b\",c\n", &[&["a,b", "c"]]),
            ("\"a\"\"b\",c\n", &[&["a\"b", "c"]]),
            ("\"a\nb\",c\n", &[&["a\nb", "c"]]),
            (" a, b\n", &[&[" a", " b"]]),
            ("", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(records(text).expect("a good file"), want, "{text:?}");
        }
    }

    #[test]
    fn what_go_refuses() {
        let rows = [
            ("a,b\"c\n", "parse error on line 1, column 4: bare \" in non-quoted-field"),
            ("x\n\"a\"b,c\n", "parse error on line 2, column 3: extraneous or missing \" in quoted-field"),
            ("\"a\nb\"c\n", "record on line 1; parse error on line 2, column 2: extraneous or missing \" in quoted-field"),
            ("\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
        ];
        for (text, want) in rows {
            assert_eq!(records(text).expect_err("a bad file"), want, "{text:?}");
        }
    }
}
