//! The string types of ASN.1, as Go reads them in names.

use x509_parser::asn1_rs::{Any, Tag};

/// The text of an attribute. `None`: not a string type, or not well-formed in it; such a certificate is malformed.
pub(super) fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    let ascii =
        |allowed: fn(u8) -> bool| bytes.iter().all(|byte| allowed(*byte)).then(|| bytes.iter().map(|byte| char::from(*byte)).collect());
    match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::PrintableString => ascii(is_printable),
        Tag::Ia5String => ascii(|byte| byte.is_ascii()),
        Tag::NumericString => ascii(|byte| byte.is_ascii_digit() || byte == b' '),
        // Read as Latin-1 by everybody.
        Tag::TeletexString => ascii(|_| true),
        Tag::BmpString => bmp(bytes),
        _ => None,
    }
}

/// With `*` and `&`, which are not in the standard's set and in many certificates.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

/// UCS-2: UTF-16 without surrogates and non-characters. A terminator is left out.
fn bmp(bytes: &[u8]) -> Option<String> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let mut points: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    points.pop_if(|last| *last == 0);
    let reserved = |point: u16| matches!(point, 0xd800..=0xdfff | 0xfdd0..=0xfdef | 0xfffe | 0xffff);
    points.into_iter().map(|point| if reserved(point) { None } else { char::from_u32(point.into()) }).collect()
}
