//! Standard base64 as Go's `encoding/base64` reads it: line breaks are passed over, an error names the byte.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Go lets bits beyond the last byte be what they are.
pub(crate) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The text in canonical form, or Go's words.
pub(crate) fn canonical(text: &str) -> Result<String, String> {
    if let Some(at) = corrupt_at(text.as_bytes()) {
        return Err(format!("illegal base64 data at input byte {at}"));
    }
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = LENIENT.decode(compact).map_err(|_| "illegal base64 data at input byte 0".to_owned())?;
    Ok(LENIENT.encode(bytes))
}

/// Where Go's decoder stops.
fn corrupt_at(text: &[u8]) -> Option<usize> {
    let mut position = 0;
    let next = |position: &mut usize| {
        while matches!(text.get(*position), Some(b'\r' | b'\n')) {
            *position += 1;
        }
        let byte = text.get(*position).copied();
        *position += 1;
        byte
    };
    loop {
        for taken in 0..4 {
            match next(&mut position) {
                None if taken == 0 => return None,
                None => return Some(text.len() - taken.min(text.len())),
                Some(b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/') => {}
                Some(b'=') if taken >= 2 => {
                    if taken == 2 {
                        match next(&mut position) {
                            None => return Some(text.len()),
                            Some(b'=') => {}
                            Some(_) => return Some(position - 1),
                        }
                    }
                    return next(&mut position).map(|_| position - 1);
                }
                Some(_) => return Some(position - 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let rows = [
            ("", Ok("")),
            ("YQ==", Ok("YQ==")),
            ("YR==", Ok("YQ==")),
            ("YWJj", Ok("YWJj")),
            ("YW\nJj\r\n", Ok("YWJj")),
            ("%%%", Err(0)),
            ("YQ", Err(0)),
            ("YWJjYQ", Err(4)),
            ("YQ=", Err(3)),
            ("YQ==x", Err(4)),
            ("Y===", Err(1)),
            ("YQ=x", Err(3)),
            ("a b=", Err(1)),
        ];
        for (text, want) in rows {
            let want = want.map(str::to_owned).map_err(|at| format!("illegal base64 data at input byte {at}"));
            assert_eq!(canonical(text), want, "{text}");
        }
    }
}
