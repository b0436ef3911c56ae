//! Whatever a client sends, the readers answer: no panic, and what they accept reads the same when it is written and read again.
//!
//! The inputs are valid ones with a few bytes changed, from a seed, so that a failure comes again.

use wasmgate_apimachinery as apimachinery;

use apimachinery::codec::node::{Extent, OBJECT_LEVELS_MAX};
use apimachinery::codec::{self, MediaType, json, protobuf, yaml};
use apimachinery::message;
use apimachinery::options::FieldValidation;
use apimachinery::patch::{self, PatchType, Target};
use apimachinery::quantity::Quantity;
use apimachinery::query::Query;
use apimachinery::schema::{Field, FieldType, Schema, SchemaRef};
use apimachinery::time::{Time, format_duration, parse_duration};
use apimachinery::validation::ip;
use apimachinery::{FieldSelector, GroupVersionKind, LabelSelector, RequestInfo};
use serde_json::Value;

/// Inputs of each kind.
const ROUNDS: usize = 20_000;

/// xorshift64*: enough to pick bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of the seeds with up to three bytes changed, put in or taken out.
    fn mutated(&mut self, seeds: &[&str], alphabet: &[u8]) -> Vec<u8> {
        let mut bytes = self.pick(seeds).as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            let byte = alphabet[self.below(alphabet.len())];
            match self.below(3) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => {
                    bytes.remove(at);
                }
                _ => {}
            }
        }
        bytes
    }
}

/// Runs `read` on many inputs; where it gives a text back, reading that text must give it back, too.
fn holds(seeds: &[&str], alphabet: &str, read: impl Fn(&str) -> Option<String>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let input = random.mutated(seeds, alphabet.as_bytes());
        let input = String::from_utf8_lossy(&input);
        if let Some(text) = read(&input) {
            accepted += 1;
            assert_eq!(read(&text).as_deref(), Some(text.as_str()), "{input:?}");
        }
    }
    assert!(accepted > ROUNDS / 100, "hardly anything was accepted: {accepted}");
}

#[test]
fn quantities() {
    holds(&["1", "1.5Gi", "-100m", "1e3", "0.000001", "12345678901234567890", "9E"], "0123456789.eEinumkKMGTP+-", |text| {
        Quantity::parse(text).ok().map(|quantity| quantity.to_string())
    });
}

#[test]
fn label_selectors() {
    holds(&["a=b,c!=d", "a in (b,c),!d", "x/y notin (,z)", "a>1,b<2", "a"], "abin,()!=<> \t/.\0é", |text| {
        LabelSelector::parse(text).ok().map(|selector| selector.to_string())
    });
}

#[test]
fn field_selectors() {
    holds(&["metadata.name=a", "a!=b,c==d", r"a=x\,y"], r"ab,=!\.é", |text| {
        // Terms are sorted as they were written, so that only their set is the same.
        let mut terms: Vec<String> = FieldSelector::parse(text).ok()?.requirements().iter().map(ToString::to_string).collect();
        terms.sort_unstable();
        Some(terms.join(","))
    });
}

#[test]
fn times_and_durations() {
    let seeds = ["2024-02-29T12:34:56Z", "0001-01-01T00:00:00Z", "2023-12-31T23:59:59.123456+01:00", "9999-12-31T23:59:59-23:59"];
    holds(&seeds, "0123456789-:TZ+. ", |text| Time::parse(text).ok().map(Time::rfc3339).filter(|text| text.len() == 20));
    let seeds = ["1h30m", "1.5s", "-2562047h47m16.854775807s", "3µs", "0"];
    holds(&seeds, "0123456789.-+hmsnu", |text| parse_duration(text).ok().map(format_duration));
}

#[test]
fn addresses() {
    let seeds = ["10.0.0.0/8", "2001:db8::/64", "::ffff:1.2.3.4/100", "010.0.0.1/32"];
    let path = apimachinery::field::Path::new("x");
    holds(&seeds, "0123456789abcdef:./", |text| {
        let _ = (ip::warnings_for_cidr(&path, text), ip::warnings_for_ip(&path, text), ip::is_valid_interface_address(&path, text));
        ip::is_valid_cidr(&path, text).is_empty().then(|| text.to_owned())
    });
}

#[test]
fn bodies() {
    let json_seeds = [r#"{"a":1,"b":[1,2.5e3,"x\n\u00e9\ud83d\ude00",true,null,{}]}"#, r#"{"a":{"b":{"c":[]}}}"#, " [ ] "];
    holds(&json_seeds, "{}[]\",:0123456789eE+-.tfn \\ux\n\0", |text| {
        let read = json::parse(text.as_bytes()).ok()?;
        assert!(serde_json::from_str::<Value>(text).is_ok() || text.contains("\\u") || text.contains(['e', 'E']), "{text}");
        serde_json::to_string(&apimachinery::codec::check_value(&untyped(read)?, &ANYTHING).ok()?.value).ok()
    });
    let yaml_seeds = ["a: 1\nb:\n- x\n- {y: z}\n", "a: &x [1, yes, ~]\nb: *x\n<<: {c: d}\n", "{a: 'b', \"c\": |\n d}\n", "a: |\n  text\n"];
    holds(&yaml_seeds, "abxy:&*-[]{},'\"|<> \n\t!#%@`0123456789.~", |text| {
        let value = untyped(yaml::parse(text).ok()?.node)?;
        serde_json::to_string(&value).ok()
    });
}

static ANYTHING: apimachinery::schema::Schema = apimachinery::schema::Schema {
    name: std::borrow::Cow::Borrowed("io.example.v1.Anything"),
    fields: std::borrow::Cow::Borrowed(&[]),
    atomic: false,
    preserve_unknown: true,
    message: None,
};

/// As an object of any content.
fn untyped(node: apimachinery::codec::node::Node<'_>) -> Option<Value> {
    apimachinery::codec::check::check(node, &ANYTHING).ok().map(|decoded| decoded.value)
}

#[test]
fn request_lines() {
    let seeds = [
        "/api/v1/namespaces/n/pods/p/status?watch=1",
        "/apis/apps/v1/deployments?fieldSelector=metadata.name%3Dx&limit=5",
        "/api/v1/watch/namespaces/n/pods?labelSelector=a+in+%28b%29",
        "/healthz",
        "/api/v1/proxy/x",
    ];
    let mut random = Random(7);
    for _ in 0..ROUNDS {
        let target = random.mutated(&seeds, b"/%?&=+;.aw10\xff ");
        let target = String::from_utf8_lossy(&target);
        let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
        let method = random.pick(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", ""]);
        if let Ok(info) = RequestInfo::parse(method, path, query) {
            assert!(!info.is_resource_request || !info.api_prefix.is_empty(), "{target}");
            assert_eq!(info.parts.first().map_or("", String::as_str), info.resource, "{target}");
        }
        let _ = apimachinery::options::DeleteOptions::from_query(&Query::parse(query.unwrap_or_default()));
    }
}

#[test]
fn json_patches() {
    let paths = ["/a", "/a/b/0", "/a/b/-", "/a/b/-1", "", "/", "a", "/n/x", "/a~1b", "/a/b/99999999999999999999"];
    let values = ["1", "null", "{\"x\":[1]}", "[[]]", "\"s\""];
    let operations = ["add", "remove", "replace", "move", "copy", "test", "frob"];
    let mut random = Random(11);
    let document = serde_json::json!({"a": {"b": [1, {"c": 2}]}, "n": null, "a/b": 1});
    for _ in 0..ROUNDS {
        let patch: Vec<Value> = (0..random.below(4))
            .map(|_| {
                let value: Value = serde_json::from_str(random.pick(&values)).expect("JSON");
                let (op, path, from) = (random.pick(&operations), random.pick(&paths), random.pick(&paths));
                serde_json::json!({"op": op, "path": path, "from": from, "value": value})
            })
            .collect();
        let mut patched = document.clone();
        if apimachinery::patch::json::apply(&mut patched, patch.clone()) == Ok(false) {
            assert_eq!(patched, document, "{patch:?}");
        }
    }
}

/// A kind whose objects hold each other, as those of JSONSchemaProps do, by every type that can hold something.
static NEST: Schema = Schema {
    name: std::borrow::Cow::Borrowed("io.example.v1.Nest"),
    fields: std::borrow::Cow::Borrowed(&[
        Field::of("any", FieldType::Any),
        Field::of("apiVersion", FieldType::String),
        Field::of("kind", FieldType::String),
        Field::of("list", FieldType::List(&FieldType::Object(SchemaRef::Static(&NEST)))),
        Field::of("map", FieldType::Map(&FieldType::Object(SchemaRef::Static(&NEST)))),
        Field::of("name", FieldType::String),
        Field::of("nest", FieldType::Object(SchemaRef::Static(&NEST))),
    ]),
    atomic: false,
    preserve_unknown: false,
    message: Some(&message::Message {
        name: "Nest",
        parts: &[
            part(1, 6, message::Form::Typed),
            part(2, 3, message::Form::Typed),
            part(3, 4, message::Form::Typed),
            part(4, 0, message::Form::Raw),
        ],
    }),
};

const fn part(number: u32, field: u16, form: message::Form) -> message::Part {
    message::Part { number, always: false, content: message::Content::Field(field, form) }
}

static NEST_KIND: GroupVersionKind = GroupVersionKind::of("example.io", "v1", "Nest");

/// Half of the stack of a thread that serves requests: what is decoded is walked through by more than is called here, and a build without
/// optimisation needs several times as much as one with it.
const STACK_BYTES: usize = 1 << 20;

/// A stack that overflows ends the process, and with it this test.
fn on_a_small_stack(work: fn()) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
    thread.join().expect("no panic");
}

/// All that happens to an object on its way: it is looked at, compared, copied, printed, written, and dropped.
fn walk(object: &Value) {
    assert!(Extent::of(object).levels <= OBJECT_LEVELS_MAX, "{} levels", Extent::of(object).levels);
    let copy = object.clone();
    assert_eq!(&copy, object);
    let text = copy.to_string();
    // Stored objects are read by a reader with a bound of its own, inside of lists and events.
    assert!(serde_json::from_str::<Value>(&format!(r#"{{"object":{{"items":[{text}]}}}}"#)).is_ok());
    let _ = (apimachinery::field::go_json(object), patch::go_value::show(object));
    assert!(codec::check_value(object, &ANYTHING).is_ok());
    let _ = protobuf::encode(object, &NEST);
}

fn decoded(body: &[u8], media_type: MediaType) -> Option<Value> {
    codec::decode(body, media_type, &NEST_KIND, &NEST, &|_: &GroupVersionKind| None).ok().map(|decoded| decoded.value)
}

/// Nested levels as text: `{"nest":{"nest":1}}`, `[[]]`, …
fn nested(open: &str, close: &str, levels: usize) -> String {
    open.repeat(levels) + &close.repeat(levels)
}

const LEVELS: [usize; 10] = [1, 10, 59, 60, 61, 117, 121, 130, 1_000, 100_000];

#[test]
fn bodies_of_any_depth() {
    on_a_small_stack(|| {
        let mut taken = 0;
        for levels in LEVELS {
            let json_bodies = [
                format!("{{{}{}}}", r#""nest":{"#.repeat(levels), "}".repeat(levels)),
                format!("{{{}{}}}", r#""list":[{"#.repeat(levels), "}]".repeat(levels)),
                format!("{{{}{}}}", r#""map":{"k":{"#.repeat(levels), "}}".repeat(levels)),
                format!(r#"{{"any":{}}}"#, nested("[", "]", levels)),
                format!(r#"{{"any":{}1{}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels)),
                format!(r#"{{"unknown":{}}}"#, nested("[", "]", levels)),
                nested("[", "]", levels),
                "[".repeat(levels),
                r#"{"nest":"#.repeat(levels),
            ];
            let yaml_bodies = [
                (0..levels.min(2_000)).map(|level| format!("{}nest:\n", " ".repeat(level))).collect::<String>(),
                format!("any: {}", "- ".repeat(levels)),
                format!("any: {}", nested("? [", "]", levels)),
                format!("any: {}", "!!map {a: &x ".repeat(levels)),
            ];
            for (bodies, media_type) in
                [(&json_bodies[..], MediaType::Json), (&json_bodies[..], MediaType::Yaml), (&yaml_bodies[..], MediaType::Yaml)]
            {
                for body in bodies {
                    if let Some(object) = decoded(body.as_bytes(), media_type) {
                        walk(&object);
                        taken += 1;
                    }
                    let _ = codec::decode_delete_options(body.as_bytes(), media_type);
                }
            }
        }
        assert!(taken > 20, "{taken} are few");
    });
}

/// A field with a length, and the levels of it inside of each other.
fn messages(number: u8, levels: usize, innermost: &[u8]) -> Vec<u8> {
    let mut reversed: Vec<u8> = innermost.iter().rev().copied().collect();
    for _ in 0..levels {
        let mut length = Vec::new();
        let mut rest = reversed.len();
        while rest >= 0x80 {
            length.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        length.push(rest as u8);
        reversed.extend(length.iter().rev());
        reversed.push(number << 3 | 2);
    }
    reversed.reverse();
    reversed
}

#[test]
fn messages_of_any_depth() {
    on_a_small_stack(|| {
        let mut taken = 0;
        for levels in LEVELS {
            // Two levels a message of a map: its entry, too.
            let entry = |inner: &[u8]| messages(3, 1, &[b"\x0a\x01k".to_vec(), messages(2, 1, inner)].concat());
            let raw = |levels| messages(4, 1, &messages(1, 1, nested("[", "]", levels).as_bytes()));
            let bodies = [
                messages(1, levels, b""),
                messages(2, levels, b""),
                (0..levels.min(1_000)).fold(Vec::new(), |inner, _| entry(&inner)),
                raw(levels),
                messages(1, levels.min(1_000), &raw(60)),
                // Groups that nobody knows, opened and not closed.
                vec![0x7b; levels],
                messages(9, levels, b""),
                // A length that is a lie.
                [messages(1, levels, b""), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
            ];
            for body in bodies {
                let body = protobuf::enveloped("example.io/v1", "Nest", &body);
                if let Some(object) = decoded(&body, MediaType::Protobuf) {
                    walk(&object);
                    taken += 1;
                }
            }
        }
        assert!(taken > 10, "{taken} are few");
    });
}

#[test]
fn patches_of_any_depth() {
    on_a_small_stack(|| {
        let kinds = |_: &GroupVersionKind| None;
        let target = Target { kind: &NEST_KIND, schema: &NEST, kinds: &kinds };
        let deep: Value = serde_json::from_str(&format!(r#"{{"nest":{{"any":{}}}}}"#, nested("[", "]", 100))).expect("JSON");
        let wide: Value = serde_json::from_str(r#"{"nest":{"nest":{}},"list":[{}],"map":{"k":{}},"any":{"a":[]}}"#).expect("JSON");
        let mut taken = 0;
        for levels in LEVELS {
            let value = format!(r#"{{"any":{}}}"#, nested("[", "]", levels));
            let long = |step: &str| step.repeat(levels.min(10_000));
            let copies = |from: &str, to: &str, count: usize| {
                let one = format!(r#"{{"op":"copy","from":"{from}","path":"{to}"}}"#);
                format!("[{}]", vec![one; count].join(","))
            };
            let doubling: Vec<String> =
                (0..17).map(|i| format!(r#"{{"op":"copy","from":"/nest","path":"{}"}}"#, "/nest".repeat((1 << i) + 1))).collect();
            let json_patches = [
                format!(r#"[{{"op":"add","path":"/nest","value":{value}}}]"#),
                format!(r#"[{{"op":"replace","path":"","value":{value}}}]"#),
                format!(r#"[{{"op":"add","path":"{}","value":{{}}}}]"#, long("/nest")),
                format!(r#"[{{"op":"test","path":"{}","value":{value}}}]"#, long("/any/0")),
                format!(r#"[{{"op":"move","from":"/nest","path":"{}"}}]"#, long("/nest")),
                copies("/nest", "/nest/nest", levels.min(9_000)),
                copies("/any", "/any/a/-", levels.min(9_000)),
                copies("/list", "/list/0", levels.min(9_000)),
                format!("[{}]", doubling.join(",")),
            ];
            let merges = [
                format!(r#"{{"nest":{value}}}"#),
                format!(r#"{{"nest":{{"any":{}1{}}}}}"#, r#"{"$patch":"replace","a":"#.repeat(levels), "}".repeat(levels)),
                format!(r#"{{"$setElementOrder/list":{},"list":[{value}]}}"#, nested("[", "]", levels)),
                format!(r#"{{"$retainKeys":["nest"],"nest":{value}}}"#),
                format!("{}{}", r#"{"nest":"#.repeat(levels), "}".repeat(levels)),
                format!("{{{}{}}}", r#""map":{"k":{"#.repeat(levels), "}}".repeat(levels)),
            ];
            for original in [&deep, &wide] {
                for (patches, patch_type) in
                    [(&json_patches[..], PatchType::Json), (&merges[..], PatchType::Merge), (&merges[..], PatchType::StrategicMerge)]
                {
                    for body in patches {
                        for validation in [FieldValidation::Strict, FieldValidation::Ignore] {
                            if let Ok(patched) = patch::apply(patch_type, original, body.as_bytes(), target, validation) {
                                walk(&patched.value);
                                taken += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(taken > 20, "{taken} are few");
    });
}

#[test]
fn random_patches_stay_within_bounds() {
    on_a_small_stack(|| {
        let paths = ["/a", "/a/a", "/a/a/a/a", "/l", "/l/0", "/l/-", "/l/0/0", "/a/l", "/b", "/b/l/0", ""];
        let operations = ["add", "replace", "move", "copy", "copy", "copy", "test", "remove"];
        let mut random = Random(23);
        for _ in 0..ROUNDS / 20 {
            let mut document = serde_json::json!({"a": {"a": {"a": {}}, "l": [[1]]}, "l": [[2], 3], "b": {"l": []}});
            let patch: Vec<Value> = (0..200)
                .map(|_| {
                    let (op, path, from) = (random.pick(&operations), random.pick(&paths), random.pick(&paths));
                    serde_json::json!({"op": op, "path": path, "from": from, "value": {"a": [[]]}})
                })
                .collect();
            // One at a time, so that one which does not apply does not end it.
            for operation in patch {
                let mut next = document.clone();
                if patch::json::apply(&mut next, vec![operation]).is_ok() {
                    document = next;
                }
                if Extent::of(&document).values > 20_000 {
                    break;
                }
            }
            walk(&document);
        }
    });
}

#[test]
fn selectors_and_pointers_of_any_length() {
    on_a_small_stack(|| {
        for text in ["(", "a in (", "!", "a,", "a=b,", ",", "\\", "=", "a notin (x),", "a in (x,"] {
            let long = text.repeat(100_000);
            let _ = (LabelSelector::parse(&long), FieldSelector::parse(&long));
            let _ = Query::parse(&long);
            let _ = RequestInfo::parse("GET", &format!("/api/v1/{}", "x/".repeat(100_000)), Some(&long));
        }
    });
}
