//! The organizations in the subject of a PKCS #10 request: base64 of PEM of DER.
//!
//! The registry has parsed the whole request before validating admission; this walks only as far as the subject, and says so
//! where there is none.

const OID_ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];
const TAG_SEQUENCE: u8 = 0x30;
const TAG_SET: u8 = 0x31;
const TAG_INTEGER: u8 = 0x02;
const TAG_OID: u8 = 0x06;
const TAG_BMP_STRING: u8 = 0x1e;

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";

/// Subject's O, in order; `text` is `spec.request` as it stands in JSON.
///
/// A signer takes the first block that it can read, and signers differ in what they can read: so all blocks count, and one
/// that cannot be read here is an error.
pub fn organizations(text: &str) -> Result<Vec<String>, &'static str> {
    const NO_PEM: &str = "PEM block type must be CERTIFICATE REQUEST";
    const MALFORMED: &str = "the request is malformed";
    let pem = base64(text).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(NO_PEM)?;
    let (_, blocks) = pem.split_once(BEGIN).ok_or(NO_PEM)?;
    let mut found = Vec::new();
    for block in blocks.split(BEGIN) {
        let (body, _) = block.split_once(END).ok_or(MALFORMED)?;
        found.extend(base64(body).and_then(|der| subject_organizations(&der)).ok_or(MALFORMED)?);
    }
    Ok(found)
}

fn subject_organizations(der: &[u8]) -> Option<Vec<String>> {
    let (request, _) = expect(der, TAG_SEQUENCE)?;
    let (info, _) = expect(request, TAG_SEQUENCE)?;
    let (_version, rest) = expect(info, TAG_INTEGER)?;
    let (mut names, _) = expect(rest, TAG_SEQUENCE)?;
    let mut found = Vec::new();
    while !names.is_empty() {
        let (mut set, rest) = expect(names, TAG_SET)?;
        names = rest;
        while !set.is_empty() {
            let (attribute, rest) = expect(set, TAG_SEQUENCE)?;
            set = rest;
            let (oid, value) = expect(attribute, TAG_OID)?;
            let (tag, value, _) = element(value)?;
            if oid == OID_ORGANIZATION {
                found.push(string(tag, value));
            }
        }
    }
    Some(found)
}

/// Two-byte characters in one kind of string; the others are ASCII where they could spell a group's name.
fn string(tag: u8, value: &[u8]) -> String {
    if tag == TAG_BMP_STRING {
        let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        // A request is far below 2^32 bytes, and DER has no indefinite lengths.
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (bytes, after) = rest.split_at(count);
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Standard alphabet, padded; white space is skipped.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held, mut padding) = (0u32, 0u32, 0usize);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
            bits &= (1 << held) - 1;
        }
    }
    (padding <= 2 && bits == 0).then_some(bytes)
}
