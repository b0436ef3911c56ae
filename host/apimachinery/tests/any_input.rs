//! Whatever a client sends, the readers answer: no panic, and what they accept reads the same when it is written and read again.
//!
//! The inputs are valid ones with a few bytes changed, from a seed, so that a failure comes again.

use wasmgate_apimachinery as apimachinery;

use apimachinery::codec::{json, yaml};
use apimachinery::quantity::Quantity;
use apimachinery::query::Query;
use apimachinery::time::{Time, format_duration, parse_duration};
use apimachinery::validation::ip;
use apimachinery::{FieldSelector, LabelSelector, RequestInfo};
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
