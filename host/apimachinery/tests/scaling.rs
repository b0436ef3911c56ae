//! Reading costs as much more as there is more to read: bodies of each format, patches, selectors, errors.
//!
//! What is compared is the processor's time for an input with that for one several times as long, so that it does not matter how fast the
//! machine is, nor what else runs on it.

use std::fs;
use std::sync::LazyLock;

use apimachinery::codec::{json, yaml};
use apimachinery::field::{self, Path};
use apimachinery::options::FieldValidation;
use apimachinery::patch::{self, PatchType, Target};
use apimachinery::query::Query;
use apimachinery::schema::{Field, FieldType, Schema, SchemaRef};
use apimachinery::{FieldSelector, GroupKind, GroupVersionKind, LabelSelector, Status};
use serde_json::{Value, json};
use wasmgate_apimachinery as apimachinery;

/// How many times as long the longer input is.
const TIMES: usize = 4;
/// Times as much work as that may be: linear work is [`TIMES`] times as much, quadratic work its square.
const RATIO_MAX: f64 = 10.0;

/// Less work than this, in nanoseconds, is not told apart from none: the kernel counts in ticks.
const WORK_MIN: f64 = 4e6;

/// The thread's time on a processor, in nanoseconds.
fn work() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time on a processor");
    stat.split(' ').next().and_then(|text| text.parse().ok()).expect("its first number")
}

/// Reads inputs of `size` and of several times that, up to three times each.
fn grows_with_its_size<I>(what: &str, size: usize, make: impl Fn(usize) -> I, read: impl Fn(&I)) {
    let (small, large) = (make(size), make(size * TIMES));
    let measured = |input: &I| {
        let start = work();
        read(input);
        (work() - start).max(WORK_MIN)
    };
    let ratios: Vec<f64> = (0..3).map(|_| measured(&large) / measured(&small)).collect();
    let least = ratios.iter().copied().fold(f64::MAX, f64::min);
    assert!(least < RATIO_MAX, "{what}: {ratios:.1?} times the work for {TIMES} times the input");
}

#[test]
fn bodies() {
    let rows: &[(&str, fn(usize) -> String)] = &[
        ("a list", |n| format!("[{}1]", "1,".repeat(n))),
        ("objects", |n| format!("[{}1]", "{\"a\":1},".repeat(n / 2))),
        ("keys", |n| format!("{{{}\"z\":1}}", (0..n).map(|i| format!("\"k{i}\":1,")).collect::<String>())),
        ("a repeated key", |n| format!("{{{}\"z\":1}}", "\"k\":1,".repeat(n))),
        ("a text", |n| format!("\"{}\"", "x".repeat(20 * n))),
        ("escapes", |n| format!("\"{}\"", "\\u00e9\\n".repeat(4 * n))),
        ("spaces", |n| " ".repeat(20 * n)),
        ("what is deep", |n| "[".repeat(n.min(9_000)) + &"]".repeat(n.min(9_000))),
    ];
    for (what, make) in rows {
        grows_with_its_size(&format!("JSON: {what}"), 40_000, make, |text| drop(json::parse(text.as_bytes())));
    }
    let yaml_rows: &[(&str, fn(usize) -> String)] = &[
        ("a list", |n| "- a\n".repeat(n)),
        ("a list in brackets", |n| format!("[{}]", "a, ".repeat(n))),
        ("mappings", |n| "- {a: b}\n".repeat(n)),
        ("keys", |n| (0..n).map(|i| format!("k{i}: v\n")).collect()),
        ("keys in braces", |n| format!("{{{}}}", (0..n).map(|i| format!("k{i}: v, ")).collect::<String>())),
        ("a repeated key", |n| "k: v\n".repeat(n)),
        ("a plain text over lines", |n| format!("a: x\n{}", "  x\n".repeat(n))),
        ("a quoted text over lines", |n| format!("a: \"x\n{}\"", "  x\\n\n".repeat(n))),
        ("a block", |n| format!("a: |\n{}", "  x\n".repeat(n))),
        ("empty lines of a block", |n| format!("a: |\n{}  x\n", "\n".repeat(n))),
        ("a folded block", |n| format!("a: >\n{}", "  x\n\n".repeat(n))),
        ("comments", |n| "# x\n".repeat(n)),
        ("comments behind values", |n| "- a # x\n".repeat(n)),
        ("anchors", |n| (0..n).map(|i| format!("- &a{i} x\n")).collect()),
        ("anchors and aliases", |n| (0..n / 2).map(|i| format!("- &a{i} x\n- *a{i}\n")).collect()),
        ("one anchor over and over", |n| "- &a x\n- *a\n".repeat(n / 2)),
        ("merge keys", |n| format!("a: &a {{k: v}}\nb:\n{}", "- {<<: *a}\n".repeat(n / 8))),
        ("tags", |n| "- !!str x\n".repeat(n)),
        ("documents", |n| "---\na\n".repeat(n)),
        ("question marks", |n| "? a\n".repeat(n)),
        ("open brackets", |n| "[".repeat(n)),
        ("open braces", |n| "{a: ".repeat(n)),
        ("dashes", |n| "- ".repeat(n)),
        ("colons", |n| "a: ".repeat(n)),
        ("a long key", |n| format!("{}: v", "k".repeat(10 * n))),
        ("a long quoted key", |n| format!("\"{}\": v", "k".repeat(10 * n))),
        ("spaces", |n| " ".repeat(10 * n)),
        ("tabs", |n| "\t".repeat(10 * n)),
        ("indentation", |n| (0..n.min(600)).map(|i| " ".repeat(i) + "a:\n").collect()),
        ("directives", |n| "%TAG ! tag:x,2000:\n".repeat(n)),
        ("carriage returns", |n| "- a\r\n".repeat(n)),
        ("letters of several bytes", |n| "- éé😀\n".repeat(n)),
    ];
    for (what, make) in yaml_rows {
        grows_with_its_size(&format!("YAML: {what}"), 12_000, make, |text| drop(yaml::parse(text)));
    }
}

static ITEM: Schema = Schema {
    name: std::borrow::Cow::Borrowed("io.example.v1.Item"),
    fields: std::borrow::Cow::Borrowed(&[Field::of("name", FieldType::String), Field::of("value", FieldType::String)]),
    atomic: false,
    preserve_unknown: false,
    message: None,
};

static ITEM_TYPE: FieldType = FieldType::Object(SchemaRef::Static(&ITEM));

fn merged(name: &'static str, kind: FieldType, key: Option<&'static str>) -> Field {
    Field { patch_merge: true, patch_merge_key: key.map(std::borrow::Cow::Borrowed), ..Field::of(name, kind) }
}

static OBJECT: LazyLock<Schema> = LazyLock::new(|| Schema {
    name: "io.example.v1.Object".into(),
    fields: vec![
        Field::of("apiVersion", FieldType::String),
        merged("items", FieldType::List(&ITEM_TYPE), Some("name")),
        Field::of("kind", FieldType::String),
        Field::of("map", FieldType::Map(&FieldType::String)),
        merged("set", FieldType::List(&FieldType::String), None),
    ]
    .into(),
    atomic: false,
    preserve_unknown: false,
    message: None,
});

static KIND: GroupVersionKind = GroupVersionKind::of("example.io", "v1", "Object");

#[test]
fn patches() {
    let kinds = |_: &GroupVersionKind| None;
    let target = Target { kind: &KIND, schema: &OBJECT, kinds: &kinds };
    let original = |n: usize| {
        let items: Vec<Value> = (0..n).map(|i| json!({ "name": format!("n{i}"), "value": "v" })).collect();
        let texts: Vec<String> = (0..n).map(|i| format!("t{i}")).collect();
        let map: serde_json::Map<String, Value> = (0..n).map(|i| (format!("k{i}"), "v".into())).collect();
        json!({ "items": items, "set": texts, "map": map })
    };
    let each = |n: usize, write: &dyn Fn(usize) -> Value| Value::from((0..n).map(write).collect::<Vec<_>>());
    type Patch<'a> = (&'a str, PatchType, &'a dyn Fn(usize) -> Value);
    let named = |i: usize| json!({ "name": format!("n{i}"), "value": "w" });
    let key = |i: usize| json!({ "name": format!("n{i}") });
    let rows: &[Patch<'_>] = &[
        ("items that are there", PatchType::StrategicMerge, &|n| json!({ "items": each(n, &named) })),
        ("items that are new", PatchType::StrategicMerge, &|n| json!({ "items": each(n, &|i| named(i + n)) })),
        ("items alike", PatchType::StrategicMerge, &|n| json!({ "items": each(n, &|_| named(1)) })),
        (
            "items in another order",
            PatchType::StrategicMerge,
            &|n| json!({ "$setElementOrder/items": each(n, &|i| key(n - 1 - i)), "items": each(n, &|i| named(n - 1 - i)) }),
        ),
        (
            "items deleted",
            PatchType::StrategicMerge,
            &|n| json!({ "items": each(n, &|i| json!({ "name": format!("n{i}"), "$patch": "delete" })) }),
        ),
        ("texts", PatchType::StrategicMerge, &|n| json!({ "set": each(n, &|i| format!("u{i}").into()) })),
        ("texts deleted", PatchType::StrategicMerge, &|n| json!({ "$deleteFromPrimitiveList/set": each(n, &|i| format!("t{i}").into()) })),
        ("keys kept", PatchType::StrategicMerge, &|n| json!({ "$retainKeys": each(n, &|i| format!("k{i}").into()) })),
        (
            "a map",
            PatchType::Merge,
            &|n| json!({ "map": (0..n).map(|i| (format!("k{i}"), Value::Null)).collect::<serde_json::Map<_, _>>() }),
        ),
        (
            "a map of a strategic merge",
            PatchType::StrategicMerge,
            &|n| json!({ "map": (0..n).map(|i| (format!("k{i}"), "w".into())).collect::<serde_json::Map<_, _>>() }),
        ),
    ];
    for (what, patch_type, write) in rows {
        let make = |n: usize| (original(n), write(n).to_string());
        grows_with_its_size(what, 4_000, make, |(original, body)| {
            let _ = patch::apply(*patch_type, original, body.as_bytes(), target, FieldValidation::Warn);
        });
    }
    // Ten thousand operations at most: their number does not grow, what each of them looks at does.
    let tests = |n: usize| (original(n), vec![json!({ "op": "test", "path": "/items", "value": 1 }); 2_000]);
    grows_with_its_size("tests of a large list", 10_000, tests, |(original, operations)| {
        let _ = patch::json::apply(&mut original.clone(), operations.clone());
    });
}

#[test]
fn selectors_and_errors() {
    let listed = |n: usize| (0..n).map(|i| format!("v{i}")).collect::<Vec<_>>().join(",");
    grows_with_its_size("values of a selector", 20_000, |n| format!("a in ({})", listed(n)), |text| drop(LabelSelector::parse(text)));
    grows_with_its_size("requirements of a selector", 20_000, listed, |text| drop(LabelSelector::parse(text)));
    let fields = |n: usize| (0..n).map(|i| format!("a=v{i}")).collect::<Vec<_>>().join(",");
    grows_with_its_size("requirements of a field selector", 20_000, fields, |text| drop(FieldSelector::parse(text)));
    grows_with_its_size("a query", 20_000, |n| "a=b&".repeat(n), |text| drop(Query::parse(text)));
    // Looked up once for each of as many objects.
    let selector = |n: usize| (n, LabelSelector::parse(&format!("a in ({})", listed(n))).expect("a selector"));
    grows_with_its_size("a selector and as many objects", 10_000, selector, |(n, selector)| {
        for i in 0..*n {
            std::hint::black_box(selector.matches(&[("a", format!("w{i}"))][..]));
        }
    });
    let errors = |n: usize| (0..n).map(|i| field::Error::required(&Path::new("spec").index(i), "")).collect::<Vec<_>>();
    grows_with_its_size("errors", 2_000, errors, |errors| drop(Status::invalid(&GroupKind::of("", "Pod"), "x", errors)));
}
