use std::collections::VecDeque;
use std::sync::Mutex;

use apimachinery::{GroupVersionKind, GroupVersionResource};
use serde_json::json;

use super::*;
use crate::Operation;

/// A plugin that answers from a list.
struct Scripted {
    name: &'static str,
    answers: Mutex<VecDeque<Result<Mutation, &'static str>>>,
    matches: bool,
    policy: FailurePolicy,
    reinvoked: bool,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl AdmissionPlugin for Scripted {
    fn name(&self) -> &str {
        self.name
    }
    fn matches(&self, _: Round, _: &Attributes, _: Objects<'_>) -> bool {
        self.matches
    }
    fn failure_policy(&self) -> FailurePolicy {
        self.policy
    }
    fn reinvoked(&self) -> bool {
        self.reinvoked
    }
    async fn admit(
        &self,
        _: &Attributes,
        object: Option<&ObjectView<'_>>,
        _: Option<&ObjectView<'_>>,
    ) -> Result<Mutation, Fault> {
        self.log.lock().unwrap().push(format!("{} {}", self.name, object.map(|o| o.value()["x"].to_string()).unwrap_or_default()));
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Mutation::Unchanged));
        answer.map_err(|reason| Fault { plugin: self.name.into(), reason: reason.into() })
    }
    async fn validate(
        &self,
        attributes: &Attributes,
        object: Option<&ObjectView<'_>>,
        old: Option<&ObjectView<'_>>,
    ) -> Result<Option<Denial>, Fault> {
        match self.admit(attributes, object, old).await? {
            Mutation::Denied(denial) => Ok(Some(denial)),
            _ => Ok(None),
        }
    }
    fn faulted(&self, fault: &Fault) {
        self.log.lock().unwrap().push(format!("{} faulted: {}", self.name, fault.reason));
    }
    fn ignored(&self, _: &Fault) {
        self.log.lock().unwrap().push(format!("{} ignored", self.name));
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
            matches: true,
            policy: FailurePolicy::Fail,
            reinvoked: true,
            log: self.log.clone(),
        };
        change(&mut plugin);
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Mutates `{"x": 0}` of `pods "web"`; what was logged, and the object or the refusal.
    fn mutate(self) -> (Vec<String>, Result<Value, Status>) {
        let chain = AdmissionChain::new(self.plugins, Vec::new());
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "x": 0});
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let result = runtime.block_on(chain.mutate(&attributes(), Some(&mut object), None));
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (log, result.map(|()| object["x"].clone()))
    }
}

fn attributes() -> Attributes {
    Attributes {
        operation: Operation::Create,
        kind: GroupVersionKind::of("", "v1", "Pod"),
        resource: GroupVersionResource::of("", "v1", "pods"),
        subresource: String::new(),
        namespace: "default".into(),
        name: String::new(),
        user: Arc::default(),
        dry_run: false,
        options: None,
        recorder: crate::Recorder::default(),
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
        .plugin("e", vec![], |e| e.matches = false)
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
