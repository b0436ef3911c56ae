//! Messages of a small kind, by hand.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::*;
use crate::codec::{self, MediaType};
use crate::group_version::GroupVersionKind;
use crate::message::{Content, Form, Message, Part};
use crate::schema::{Field, FieldType, SchemaRef};

const fn part(number: u32, always: bool, place: u16) -> Part {
    Part { number, always, content: Content::Field(place, Form::Typed) }
}

static LOCK: Schema = Schema {
    name: Cow::Borrowed("io.k8s.api.test.v1.Lock"),
    fields: Cow::Borrowed(&[
        Field::of("any", FieldType::Any),
        Field::of("bytes", FieldType::Bytes),
        Field::of("count", FieldType::Int32),
        Field::of("delay", FieldType::Duration),
        Field::of("extra", FieldType::Map(&FieldType::List(&FieldType::String))),
        Field::of("inner", FieldType::Object(SchemaRef::Static(&LOCK))),
        Field::of("limit", FieldType::Quantity),
        Field::of("locks", FieldType::List(&FieldType::Object(SchemaRef::Static(&LOCK)))),
        Field::of("micro", FieldType::MicroTime),
        Field::of("name", FieldType::String),
        Field::of("numbers", FieldType::List(&FieldType::Int64)),
        Field::of("port", FieldType::IntOrString),
        Field::of("share", FieldType::Float),
        Field::of("time", FieldType::Time),
        Field::of("verbs", FieldType::List(&FieldType::String)),
        Field::of("wanted", FieldType::Bool),
    ]),
    atomic: false,
    preserve_unknown: false,
    message: Some(&Message {
        name: "Lock",
        parts: &[
            part(1, true, 9),
            Part {
                number: 2,
                always: true,
                content: Content::Embedded(&Message { name: "Source", parts: &[part(1, true, 15), part(2, false, 2)] }),
            },
            part(3, false, 5),
            part(4, false, 7),
            part(5, false, 4),
            part(6, false, 6),
            part(7, false, 11),
            part(8, false, 13),
            part(9, false, 8),
            part(10, false, 3),
            part(11, false, 1),
            part(12, false, 10),
            part(13, false, 12),
            Part { number: 14, always: false, content: Content::Field(14, Form::Items) },
            Part { number: 15, always: false, content: Content::Field(0, Form::Raw) },
        ],
    }),
};

const KIND: GroupVersionKind = GroupVersionKind::of("test", "v1", "Lock");

/// What a Go writer writes for an object without content.
const EMPTY: &[u8] = b"\x0a\x00\x12\x02\x08\x00";

fn read(message: &[u8]) -> Result<Value, String> {
    decode(message, &LOCK).map(Value::Object)
}

#[test]
fn values_and_their_messages() {
    let rows: &[(Value, &[u8])] = &[
        (json!({}), b""),
        (json!({"count": 0}), b"\x10\x00"),
        (json!({"count": -1}), b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        (json!({"inner": {}}), b"\x1a\x06\x0a\x00\x12\x02\x08\x00"),
        (json!({"locks": [{}, {}]}), b"\x22\x06\x0a\x00\x12\x02\x08\x00\x22\x06\x0a\x00\x12\x02\x08\x00"),
        (json!({"extra": {"a": ["x", ""], "b": null}}), b"\x2a\x0a\x0a\x01a\x12\x05\x0a\x01x\x0a\x00\x2a\x05\x0a\x01b\x12\x00"),
        (json!({"limit": "100m"}), b"\x32\x06\x0a\x04100m"),
        (json!({"port": 80}), b"\x3a\x06\x08\x00\x10\x50\x1a\x00"),
        (json!({"port": "web"}), b"\x3a\x09\x08\x01\x10\x00\x1a\x03web"),
        (json!({"time": "1970-01-01T00:00:01Z"}), b"\x42\x04\x08\x01\x10\x00"),
        (json!({"time": "1970-01-01T00:00:00Z"}), b"\x42\x04\x08\x00\x10\x00"),
        (json!({"micro": "1970-01-01T00:00:01.000002Z"}), b"\x4a\x05\x08\x01\x10\xd0\x0f"),
        (json!({"delay": "1ns"}), b"\x52\x02\x08\x01"),
        (json!({"bytes": "AQI="}), b"\x5a\x02\x01\x02"),
        (json!({"bytes": ""}), b"\x5a\x00"),
        (json!({"numbers": [1, 300]}), b"\x60\x01\x60\xac\x02"),
        (json!({"share": 1}), b"\x69\x00\x00\x00\x00\x00\x00\xf0\x3f"),
        (json!({"verbs": ["get"]}), b"\x72\x05\x0a\x03get"),
        (json!({"any": {"a": [1, null]}}), b"\x7a\x10\x0a\x0e{\"a\":[1,null]}"),
    ];
    for (value, message) in rows {
        // The embedded part is the first number but one, and `count` is in it.
        let whole = match value.get("count") {
            Some(_) => [b"\x0a\x00\x12", &[message.len() as u8 + 2][..], b"\x08\x00", message].concat(),
            None => [EMPTY, message].concat(),
        };
        let back: Value = read(&whole).expect("a message");
        assert_eq!(back, *value);
        assert_eq!(encode(value, &LOCK).expect("a value"), whole, "{value}");
    }
    assert_eq!(read(b""), Ok(json!({})));
    assert_eq!(encode(&json!({"name": "n", "wanted": true}), &LOCK).expect("a value"), b"\x0a\x01n\x12\x02\x08\x01");
}

#[test]
fn what_other_writers_write() {
    let rows: &[(&[u8], Value)] = &[
        // Packed numbers; a list in two pieces.
        (b"\x62\x03\x01\xac\x02\x60\x05", json!({"numbers": [1, 300, 5]})),
        // The last scalar counts, also where it is the zero value; messages are merged.
        (b"\x0a\x01a\x0a\x00", json!({})),
        (b"\x1a\x03\x0a\x01a\x1a\x04\x12\x02\x10\x07", json!({"inner": {"name": "a", "count": 7}})),
        // Unknown numbers of every wire type, groups in groups among them.
        (b"\xf8\x01\x05\xf9\x01\0\0\0\0\0\0\0\0\xfa\x01\x01x\xfb\x01\x0b\x0c\xfc\x01\xfd\x01\0\0\0\0\x0a\x01a", json!({"name": "a"})),
        // No time, no key, no value.
        (b"\x42\x00\x2a\x00", json!({"extra": {"": null}})),
        // Text that is not UTF-8 is shown as Go's JSON shows it.
        (b"\x0a\x01\xff", json!({"name": "\u{fffd}"})),
        (b"\x7a\x00\x72\x00", json!({})),
        (b"\x32\x00", json!({"limit": "0"})),
        (b"\x32\x08\x0a\x061000Mi", json!({"limit": "1000Mi"})),
    ];
    for (message, want) in rows {
        assert_eq!(read(message).as_ref(), Ok(want), "{message:02x?}");
    }
}

#[test]
fn malformed_messages() {
    let deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut out = Backward::default();
        out.text(3, &inner);
        out.finish()
    });
    let deep_json = [b"\x7a\xd3\x01\x0a\xd0\x01".as_slice(), &[b'['; 104], &[b']'; 104]].concat();
    let deep_both = (0..20).fold(deep_json, |inner: Vec<u8>, _| {
        let mut out = Backward::default();
        out.text(3, &inner);
        out.finish()
    });
    let rows: &[(&[u8], &str)] = &[
        (b"\x0a", "unexpected EOF"),
        (b"\x0a\x05a", "unexpected EOF"),
        (b"\x80", "unexpected EOF"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "proto: integer overflow"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found during unmarshaling"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field Name"),
        (b"\x00\x01", "proto: Lock: illegal tag 0 (wire type 0)"),
        (b"\x0c", "proto: Lock: wiretype end group for non-group"),
        (b"\xff\x01", "proto: illegal wireType 7"),
        (b"\xfb\x01", "unexpected EOF"),
        (b"\x12\x02\x0a\x00", "proto: wrong wireType = 2 for field Wanted"),
        (b"\x32\x03\x0a\x01x", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        (b"\x3a\x02\x08\x02", "impossible IntOrString.Type"),
        (b"\x42\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "Time.MarshalJSON: year outside of range [0,9999]"),
        (b"\x7a\x03\x0a\x01{", "unexpected end of JSON input"),
        (b"\x69\x00\x00\x00\x00\x00\x00\xf0\x7f", "json: unsupported value: +Inf"),
        (&deep, "exceeded max depth"),
        (&deep_both, "exceeded max depth"),
    ];
    for (message, want) in rows {
        assert_eq!(read(message), Err((*want).to_owned()), "{:02x?}", &message[..message.len().min(20)]);
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let seed =
        [EMPTY, b"\x2a\x0a\x0a\x01a\x12\x05\x0a\x01x\x0a\x00\x32\x06\x0a\x04100m\x42\x04\x08\x01\x10\x00\x7a\x04\x0a\x02{}"].concat();
    for at in 0..seed.len() {
        for byte in [0, 1, 0x0a, 0x10, 0x7f, 0x80, 0xff] {
            let mut message = seed.clone();
            message[at] = byte;
            if let Ok(object) = read(&message) {
                let again = encode(&object, &LOCK).expect("what was read can be written");
                assert_eq!(read(&again), Ok(object), "{message:02x?}");
            }
        }
        let _ = read(&seed[..at]);
    }
}

#[test]
fn envelopes() {
    let body = enveloped("test/v1", "Lock", b"\x0a\x01n");
    assert_eq!(body, b"k8s\0\x0a\x0f\x0a\x07test/v1\x12\x04Lock\x12\x03\x0a\x01n\x1a\x00\x22\x00");
    let kinds = |_: &GroupVersionKind| None;
    let decode = |body: &[u8]| codec::decode(body, MediaType::Protobuf, &KIND, &LOCK, &kinds).map(|decoded| decoded.value);
    let want = json!({"apiVersion": "test/v1", "kind": "Lock", "name": "n"});
    let rows: &[(&[u8], Result<&Value, &str>)] = &[
        (&body, Ok(&want)),
        (b"k8s\0\x12\x03\x0a\x01n", Ok(&want)),
        (b"k8s\0\x0a\x07\x0a\x05a/b/c\x12\x03\x0a\x01n", Ok(&want)),
        (b"", Err("empty data")),
        (b"k8s\0", Err("empty body")),
        (b"{}", Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")),
        (b"k8s\0\x0a", Err("unexpected EOF")),
        (
            b"k8s\0\x0a\x08\x0a\x02v1\x12\x02No",
            Err("no kind \"No\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
        ),
        (b"k8s\0\x12\x02\x08\x01", Err("proto: wrong wireType = 0 for field Name")),
    ];
    for (body, want) in rows {
        let found = decode(body);
        assert_eq!(found.as_ref().map_err(|error| error.message.as_str()), *want, "{body:02x?}");
    }
    let refused = decode(b"k8s\0\x12\x02\x08\x01").expect_err("malformed").into_status(&KIND, b"");
    assert_eq!(refused.message, "Lock in version \"v1\" cannot be handled as a Lock: proto: wrong wireType = 0 for field Name");
}

#[test]
fn delete_options() {
    let body = enveloped("v1", "DeleteOptions", b"\x08\x00\x12\x07\x0a\x01u\x12\x02\x31\x32\x22\x0aBackground\x2a\x03All");
    let options = codec::decode_delete_options(&body, MediaType::Protobuf).expect("options");
    assert_eq!(options.grace_period_seconds, Some(0));
    let json =
        br#"{"gracePeriodSeconds":0,"preconditions":{"uid":"u","resourceVersion":"12"},"propagationPolicy":"Background","dryRun":["All"]}"#;
    assert_eq!(options, codec::decode_delete_options(json, MediaType::Json).expect("options"));
}

#[test]
fn streams() {
    let frame = watch_frame("ADDED", b"k8s\0");
    assert_eq!(frame, b"\0\0\0\x0f\x0a\x05ADDED\x12\x06\x0a\x04k8s\0");
}
