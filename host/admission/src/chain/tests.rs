use std::collections::VecDeque;
use std::sync::Mutex;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::{GroupVersionKind, GroupVersionResource};
use serde_json::json;

use super::*;
use crate::{Amounts, ChargedObject, Operation, ResourceKind};

/// A plugin that answers from a list.
struct Scripted {
    name: &'static str,
    answers: Mutex<VecDeque<Result<Mutation, &'static str>>>,
    selects: Option<usize>,
    policy: FailurePolicy,
    reinvoked: bool,
    mode: Mode,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl AdmissionPlugin for Scripted {
    fn name(&self) -> &str {
        self.name
    }
    fn selects(&self, _: Round, _: &Attributes, _: &[Version<'_>]) -> Option<usize> {
        self.selects
    }
    fn failure_policy(&self) -> FailurePolicy {
        self.policy
    }
    fn reinvoked(&self) -> bool {
        self.reinvoked
    }
    async fn admit(&self, attributes: &Attributes, version: Version<'_>) -> Result<Mutation, Fault> {
        attributes.context.recorder.warnings.add(&format!("{} was asked", self.name));
        let seen = match (version.object, &*version.kind.version) {
            (Some(object), "v1") => object.value()["x"].to_string(),
            (Some(object), _) => object.value().to_string(),
            (None, _) => String::new(),
        };
        self.log.lock().unwrap().push(format!("{} {seen}", self.name));
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Mutation::Unchanged));
        answer.map_err(|reason| Fault { plugin: self.name.into(), reason: reason.into() })
    }
    async fn validate(&self, attributes: &Attributes, version: Version<'_>) -> Result<Verdict, Fault> {
        match self.admit(attributes, version).await? {
            Mutation::Denied(denial) => Ok(Verdict::Denied(denial)),
            _ => Ok(Verdict::Admitted(pod_of(self.name))),
        }
    }
    fn faulted(&self, fault: &Fault) {
        self.log.lock().unwrap().push(format!("{} faulted: {}", self.name, fault.reason));
    }
    fn ignored(&self, _: &Fault) {
        self.log.lock().unwrap().push(format!("{} ignored", self.name));
    }
    fn disagreed(&self) {
        self.log.lock().unwrap().push(format!("{} disagreed", self.name));
    }
}

/// Objects are held as `v1`, whose `x` is a number and whose `y`, a text, has a default. `v2` calls them `a` and `b`, and knows `c`, too.
struct Kinds {
    held: GroupVersionKind,
    other: ResourceKind,
}

impl Kinds {
    fn new() -> Self {
        let kind = |version: &'static str| GroupVersionKind::of("", version, "Pod");
        Self { held: kind("v1"), other: ResourceKind { kind: kind("v2"), resource: GroupVersionResource::of("", "v2", "pods") } }
    }
}

impl ObjectInterfaces for Kinds {
    fn held(&self) -> &GroupVersionKind {
        &self.held
    }
    fn equivalents(&self) -> Vec<ResourceKind> {
        vec![self.other.clone()]
    }
    fn convert(&self, object: &Value, to: &GroupVersionKind) -> Value {
        let names = if to.version == "v2" { [("x", "a"), ("y", "b")] } else { [("a", "x"), ("b", "y")] };
        let mut converted = json!({"apiVersion": to.api_version(), "kind": to.kind, "metadata": object["metadata"]});
        for (from, to) in names {
            if let Some(value) = object.get(from) {
                converted[to] = value.clone();
            }
        }
        converted
    }
    fn retype(&self, kind: &GroupVersionKind, object: &mut Value, touched: &[Vec<String>]) -> Result<(), String> {
        assert!(!touched.is_empty());
        let [number, text] = if kind.version == "v2" { ["a", "b"] } else { ["x", "y"] };
        if !object[number].is_number() {
            return Err(format!("{number} is no number"));
        }
        let fields = object.as_object_mut().expect("an object");
        fields.retain(|name, _| ["apiVersion", "kind", "metadata", number, text].contains(&name.as_str()));
        fields.entry(text).or_insert_with(|| "default".into());
        Ok(())
    }
}

struct Bench {
    log: Arc<Mutex<Vec<String>>>,
    plugins: Vec<Arc<Scripted>>,
}

impl Bench {
    fn new() -> Self {
        Self { log: Arc::default(), plugins: Vec::new() }
    }

    fn plugin(mut self, name: &'static str, answers: Vec<Result<Mutation, &'static str>>, change: impl FnOnce(&mut Scripted)) -> Self {
        let mut plugin = Scripted {
            name,
            answers: Mutex::new(answers.into()),
            selects: Some(0),
            policy: FailurePolicy::Fail,
            reinvoked: true,
            mode: Mode::Decide,
            log: self.log.clone(),
        };
        change(&mut plugin);
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Mutates `{"x": 0}` of `pods "web"`; what was logged, and what became of `x`, or the refusal.
    fn mutate(self) -> (Vec<String>, Result<Value, Status>) {
        let (log, result) = self.mutate_object();
        (log, result.map(|object| object["x"].clone()))
    }

    /// The same with the whole object.
    fn mutate_object(self) -> (Vec<String>, Result<Value, Status>) {
        let chain = AdmissionChain::new(links(&self.plugins), Vec::new());
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "x": 0});
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let result = runtime.block_on(chain.mutate(&attributes(), &Kinds::new(), Some(&mut object), None));
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (log, result.map(|()| object))
    }
}

fn links(plugins: &[Arc<Scripted>]) -> Vec<Link> {
    plugins.iter().map(|plugin| Link { plugin: plugin.clone(), mode: plugin.mode }).collect()
}

#[test]
fn who_does_not_decide_is_asked_in_its_place_and_changes_nothing() {
    let bench = |answer: fn() -> Result<Mutation, &'static str>, mode: Mode| {
        let plugins = Bench::new().plugin("a", vec![], |_| {}).plugin("b", vec![answer(), answer()], |b| b.mode = mode).plugin(
            "c",
            vec![set(1)],
            |_| {},
        );
        let chain = AdmissionChain::new(links(&plugins.plugins), links(&plugins.plugins));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let attributes = attributes();
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "x": 0});
        let result = runtime.block_on(async {
            chain.mutate(&attributes, &Kinds::new(), Some(&mut object), None).await?;
            chain.validate(&attributes, &Kinds::new(), Objects { object: Some(&object), old: None }).await
        });
        let disagreed = plugins.log.lock().unwrap().iter().filter(|line| *line == "b disagreed").count();
        let warnings: Vec<String> = attributes.context.recorder.warnings.texts().into_iter().filter(|text| text.contains('b')).collect();
        (result.map(|_| object["x"].clone()).map_err(|status| status.message), disagreed, warnings)
    };
    let denied = || Ok(Mutation::Denied(Denial::Forbidden("no".into())));
    let asked = "b was asked".to_owned();
    let would = |what: &str| format!("admission plugin \"b\" would {what}");
    let refusal = would("refuse this: pods \"web\" is forbidden: no");
    assert_eq!(bench(denied, Mode::Warn), (Ok(json!(1)), 2, vec![asked.clone(), refusal]));
    assert_eq!(bench(denied, Mode::Shadow), (Ok(json!(1)), 2, vec![]));
    assert_eq!(bench(|| set(7), Mode::Warn), (Ok(json!(1)), 1, vec![asked.clone(), would("change the object")]));
    assert_eq!(bench(|| set(7), Mode::Shadow), (Ok(json!(1)), 1, vec![]));
    // What would have failed fails nothing.
    assert_eq!(bench(|| Err("it broke"), Mode::Warn), (Ok(json!(1)), 2, vec![asked.clone(), would("have failed: it broke")]));
    assert_eq!(bench(|| Ok(Mutation::Unchanged), Mode::Shadow), (Ok(json!(1)), 0, vec![]));
    let refused = Err("pods \"web\" is forbidden: no".to_owned());
    assert_eq!(bench(denied, Mode::Decide), (refused, 0, vec![asked]));
}

fn attributes() -> Attributes {
    Attributes {
        operation: Operation::Create,
        kind: GroupVersionKind::of("", "v1", "Pod"),
        resource: GroupVersionResource::of("", "v1", "pods"),
        subresource: String::new(),
        namespace: "default".into(),
        name: String::new(),
        dry_run: false,
        options: None,
        context: Arc::new(crate::RequestContext::new(Arc::new(crate::EmptyChain), Arc::default(), std::time::UNIX_EPOCH)),
    }
}

fn patch(text: &str) -> Result<Mutation, &'static str> {
    Ok(Mutation::Patch(serde_json::from_str(text).expect("a patch")))
}

fn set(x: u32) -> Result<Mutation, &'static str> {
    patch(&format!(r#"[{{"op": "replace", "path": "/x", "value": {x}}}]"#))
}

#[test]
fn an_earlier_plugin_is_asked_again_once_and_only_where_a_later_one_changed_the_object() {
    let (log, result) = Bench::new()
        .plugin("a", vec![set(1), set(5)], |_| {})
        .plugin("b", vec![], |b| b.reinvoked = false)
        .plugin("c", vec![set(2)], |_| {})
        .plugin("d", vec![], |_| {})
        .plugin("e", vec![], |e| e.selects = None)
        .mutate();
    assert_eq!(log, ["a 0", "b 1", "c 1", "d 2", "a 2"]);
    assert_eq!(result.unwrap(), json!(5));
}

#[test]
fn a_patch_that_changes_nothing_reinvokes_nobody() {
    let (log, _) = Bench::new().plugin("a", vec![], |_| {}).plugin("b", vec![set(0)], |_| {}).mutate();
    assert_eq!(log, ["a 0", "b 0"]);
}

#[test]
fn a_refusal_is_named_as_upstream_names_it() {
    let (log, result) =
        Bench::new().plugin("a", vec![Ok(Mutation::Denied(Denial::Forbidden("no".into())))], |_| {}).plugin("b", vec![], |_| {}).mutate();
    assert_eq!(log, ["a 0"]);
    let status = result.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (403, "pods \"web-\" is forbidden: no"));
}

#[test]
fn a_fault_fails_or_is_passed_over_as_the_policy_says() {
    let (_, result) = Bench::new().plugin("a", vec![Err("it trapped")], |_| {}).mutate();
    let status = result.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (500, "Internal error occurred: failed calling admission plugin \"a\": it trapped"));
    let (log, result) =
        Bench::new().plugin("a", vec![Err("it trapped")], |a| a.policy = FailurePolicy::Ignore).plugin("b", vec![set(3)], |_| {}).mutate();
    // b changed the object after a was asked, so a is asked again.
    assert_eq!(log, ["a 0", "a ignored", "b 0", "a 3"]);
    assert_eq!(result.unwrap(), json!(3));
}

#[test]
fn a_patch_that_does_not_hold_is_a_fault_and_leaves_the_object() {
    let cases = [
        (
            r#"[{"op": "replace", "path": "/x", "value": 9}, {"op": "remove", "path": "/nothing"}]"#,
            "its patch does not apply: operation 1: there is nothing at",
        ),
        (r#"[{"op": "replace", "path": "/kind", "value": "Node"}]"#, "its patch changes /kind"),
        (r#"[{"op": "add", "path": "/metadata/namespace", "value": "kube-system"}]"#, "its patch changes /metadata/namespace"),
        (r#"[{"op": "replace", "path": "/metadata", "value": 1}]"#, "its patch leaves no object"),
        (r#"[{"op": "replace", "path": "", "value": []}]"#, "its patch leaves no object"),
        (
            r#"[{"op": "remove", "path": "/metadata"}, {"op": "replace", "path": "/x", "value": "y"}]"#,
            "its patch leaves no Pod: x is no number",
        ),
        (r#"[{"op": "replace", "path": "/x", "value": "9"}]"#, "its patch leaves no Pod: x is no number"),
        (r#"[{"op": "remove", "path": "/x"}]"#, "its patch leaves no Pod: x is no number"),
    ];
    for (text, expected) in cases {
        let (log, result) = Bench::new().plugin("a", vec![patch(text)], |a| a.policy = FailurePolicy::Ignore).mutate();
        assert!(log[1].contains(expected), "{text}: {log:?}");
        assert_eq!(result.unwrap(), json!(0), "{text}");
    }
}

#[test]
fn a_patch_that_copies_itself_over_and_over_is_stopped() {
    let mut operations = vec![json!({"op": "add", "path": "/y", "value": vec!["y".repeat(1000); 10]})];
    for step in 0..40 {
        operations.push(json!({"op": "copy", "from": "/y", "path": format!("/y/{step}")}));
    }
    let (log, result) =
        Bench::new().plugin("a", vec![patch(&Value::from(operations).to_string())], |a| a.policy = FailurePolicy::Ignore).mutate();
    assert!(log[1].contains("copies add more than"), "{log:?}");
    assert_eq!(result.unwrap(), json!(0));
}

#[test]
fn what_a_patch_leaves_is_typed_and_defaulted_before_the_next_plugin_sees_it() {
    let (_, result) = Bench::new()
        .plugin("a", vec![patch(r#"[{"op": "replace", "path": "/x", "value": 1}, {"op": "add", "path": "/unknown", "value": 1}]"#)], |_| {})
        .plugin("b", vec![patch(r#"[{"op": "test", "path": "/y", "value": "default"}, {"op": "test", "path": "/unknown"}]"#)], |_| {})
        .mutate_object();
    // `test` of what is missing is one of null.
    let object = result.expect("b finds the default, and nothing unknown");
    assert_eq!(object, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "x": 1, "y": "default"}));
    let (_, result) = Bench::new().plugin("a", vec![patch(r#"[{"op": "replace", "path": "/x", "value": "1"}]"#)], |_| {}).mutate();
    let status = result.expect_err("it is the plugin's fault");
    let words = "Internal error occurred: failed calling admission plugin \"a\": its patch leaves no Pod: x is no number";
    assert_eq!((status.code, status.message.as_str()), (500, words));
}

#[test]
fn apiversion_and_kind_may_be_left_out() {
    let text = r#"[{"op": "remove", "path": "/apiVersion"}, {"op": "replace", "path": "/kind", "value": null}]"#;
    let object = Bench::new().plugin("a", vec![patch(text)], |_| {}).mutate_object().1.expect("it is what it was");
    assert_eq!((&object["apiVersion"], &object["kind"]), (&json!("v1"), &json!("Pod")));
}

#[test]
fn a_plugin_sees_and_changes_the_version_that_it_selects() {
    let change = r#"[{"op": "replace", "path": "/a", "value": 7}, {"op": "add", "path": "/b", "value": "text"}]"#;
    let (log, result) =
        Bench::new().plugin("old", vec![patch(change)], |old| old.selects = Some(1)).plugin("new", vec![], |_| {}).mutate_object();
    assert_eq!(log, [r#"old {"a":0,"apiVersion":"v2","kind":"Pod","metadata":{"generateName":"web-"}}"#, "new 7"]);
    let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "x": 7, "y": "text"});
    assert_eq!(result.expect("admitted"), expected);
    for (text, why) in [
        (r#"[{"op": "replace", "path": "/a", "value": "7"}]"#, "its patch leaves no Pod: a is no number"),
        (r#"[{"op": "replace", "path": "/apiVersion", "value": "v1"}]"#, "its patch changes /apiVersion"),
    ] {
        let plugin = |old: &mut Scripted| (old.selects, old.policy) = (Some(1), FailurePolicy::Ignore);
        let (log, result) = Bench::new().plugin("old", vec![patch(text)], plugin).mutate();
        assert!(log[1].contains(why), "{log:?}");
        assert_eq!(result.expect("ignored"), json!(0));
    }
}

#[test]
fn what_was_said_before_a_refusal_stays_said() {
    let bench = Bench::new().plugin("a", vec![], |_| {}).plugin("b", vec![Ok(Mutation::Denied(Denial::Forbidden("no".into())))], |_| {});
    let (chain, attributes) = (AdmissionChain::new(links(&bench.plugins), links(&bench.plugins)), attributes());
    let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "x": 0});
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(chain.mutate(&attributes, &Kinds::new(), Some(&mut object), None)).expect_err("b refuses");
    assert_eq!(attributes.context.recorder.warnings.texts(), ["a was asked", "b was asked"]);
}

/// One pod, of the quota of this name.
fn pod_of(quota: &str) -> Charges {
    let charged = ChargedObject { resource: GroupResource::of("", "resourcequotas"), namespace: "default".into(), name: quota.to_owned() };
    let one = Quantity::new(1, Format::DecimalSi);
    let mut charges = Charges::default();
    charges.add(charged, Amounts::from([("pods".to_owned(), one)]));
    charges
}

#[test]
fn only_what_decides_and_answers_takes_something() {
    let passed_over = |plugin: &mut Scripted| plugin.policy = FailurePolicy::Ignore;
    let bench = Bench::new()
        .plugin("a", vec![], |_| {})
        .plugin("shadow", vec![], |plugin| plugin.mode = Mode::Shadow)
        .plugin("warns", vec![], |plugin| plugin.mode = Mode::Warn)
        .plugin("broken", vec![Err("it trapped")], passed_over)
        .plugin("unasked", vec![], |plugin| plugin.selects = None)
        .plugin("b", vec![], |_| {});
    let chain = AdmissionChain::new(Vec::new(), links(&bench.plugins));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let charges = runtime.block_on(chain.validate(&attributes(), &Kinds::new(), Objects::default())).expect("admitted");
    let mut expected = pod_of("a");
    expected.extend(pod_of("b"));
    assert_eq!(charges, expected);
}
