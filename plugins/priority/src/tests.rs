//! Cases as data: the classes of a cluster, an object, and upstream's answer.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
use wasmgate_sdk::serde_json::{Value, json};

use super::*;

fn class(name: &str, value: i64, default: bool, policy: Option<&str>) -> Value {
    let mut class = json!({"metadata": {"name": name}, "value": value, "globalDefault": default});
    if let Some(policy) = policy {
        class["preemptionPolicy"] = json!(policy);
    }
    class
}

fn plugin(classes: &[Value]) -> Priority {
    let mut plugin = Priority::default();
    let resource = GroupResource::new("scheduling.k8s.io", "priorityclasses");
    plugin.apply(classes.iter().map(|class| Change::put(resource.clone(), class)).collect());
    plugin
}

fn attributes(operation: Operation, group: &str, resource: &str) -> Attributes {
    let resource = GroupVersionResource { group: group.to_owned(), version: "v1".to_owned(), resource: resource.to_owned() };
    Attributes { operation, resource, name: "x".to_owned(), ..Attributes::default() }
}

/// What is added to the spec, or the refusal.
fn admitted(plugin: &Priority, operation: Operation, spec: Value, old: Option<Value>) -> Value {
    let (pod, old) = (json!({"spec": spec}), old.map(|spec| json!({"spec": spec})));
    let request = Request::new(attributes(operation, "", "pods"), Some(Object::of(&pod)), old.as_ref().map(Object::of));
    match plugin.admit(&request) {
        Ok(patch) => patch
            .operations()
            .into_iter()
            .map(|operation| {
                let path = operation["path"].as_str().and_then(|path| path.strip_prefix("/spec/")).expect("a field of the spec");
                (path.to_owned(), operation["value"].clone())
            })
            .collect::<wasmgate_sdk::serde_json::Map<_, _>>()
            .into(),
        Err(Denial::Forbidden(message)) => json!(message),
        Err(Denial::Status(status)) => json!(status.message()),
    }
}

#[test]
fn a_new_pod() {
    let some = plugin(&[class("high", 77, false, Some("Never")), class("low", -5, false, None)]);
    let with_default = plugin(&[class("b", 9, true, None), class("g", 5, true, Some("Never")), class("c", 1, false, None)]);
    let plain = json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"});
    let wrong_priority = "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed \
                          77 from the given PriorityClass name";
    let wrong_policy = "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority \
                        admission controller computed Never from the given PriorityClass name";
    let rows = [
        (&some, json!({}), plain.clone()),
        (&some, json!({"priorityClassName": "", "priority": null}), plain),
        (&some, json!({"priorityClassName": "high"}), json!({"priority": 77, "preemptionPolicy": "Never"})),
        (&some, json!({"priorityClassName": "low"}), json!({"priority": -5, "preemptionPolicy": "PreemptLowerPriority"})),
        (&some, json!({"priorityClassName": "high", "priority": 77}), json!({"preemptionPolicy": "Never"})),
        (&some, json!({"priorityClassName": "high", "priority": 5}), json!(wrong_priority)),
        (&some, json!({"priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority"}), json!(wrong_policy)),
        (&some, json!({"priorityClassName": "nope"}), json!("no PriorityClass with name nope was found")),
        (&with_default, json!({}), json!({"priorityClassName": "g", "priority": 5, "preemptionPolicy": "Never"})),
        (&with_default, json!({"priorityClassName": "c"}), json!({"priority": 1, "preemptionPolicy": "PreemptLowerPriority"})),
    ];
    for (plugin, spec, want) in rows {
        assert_eq!(admitted(plugin, Operation::Create, spec.clone(), None), want, "{spec}");
    }
}

#[test]
fn an_update_keeps_what_it_leaves_out() {
    let known = json!({"priority": 7, "preemptionPolicy": "Never"});
    let rows = [
        (json!({}), known.clone(), known.clone()),
        (json!({"priority": 8}), known.clone(), json!({"preemptionPolicy": "Never"})),
        (json!({}), json!({}), json!({})),
    ];
    for (spec, old, want) in rows {
        assert_eq!(admitted(&plugin(&[]), Operation::Update, spec.clone(), Some(old)), want, "{spec}");
    }
}

#[test]
fn one_default_at_most() {
    use Operation::{Create, Update};
    let taken = "PriorityClass g is already marked as default. Only one default can exist";
    let (none, some) = (plugin(&[class("a", 1, false, None)]), plugin(&[class("g", 5, true, None)]));
    let rows = [
        (&none, Create, "h", true, ""),
        (&some, Create, "h", true, taken),
        (&some, Create, "g", true, taken),
        (&some, Create, "h", false, ""),
        (&some, Update, "h", true, taken),
        (&some, Update, "g", true, ""),
    ];
    for (plugin, operation, name, default, want) in rows {
        let object = class(name, 9, default, None);
        let request = Request::new(attributes(operation, "scheduling.k8s.io", "priorityclasses"), Some(Object::of(&object)), None);
        let message = match plugin.validate(&request) {
            Ok(()) => String::new(),
            Err(Denial::Forbidden(message)) => message,
            Err(Denial::Status(status)) => status.message().to_owned(),
        };
        assert_eq!(message, want, "{operation:?} {name} {default}");
    }
}

#[test]
fn changes_count_at_once() {
    let mut plugin = plugin(&[]);
    let resource = GroupResource::new("scheduling.k8s.io", "priorityclasses");
    let change = |object: Option<Value>| Change {
        resource: resource.clone(),
        namespace: String::new(),
        name: "a".to_owned(),
        revision: 1,
        object: object.as_ref().map(Json::from),
    };
    let rows = [(Some(class("a", 3, true, None)), 3), (Some(class("a", 4, true, None)), 4), (None, 0)];
    for (object, want) in rows {
        plugin.apply(vec![change(object)]);
        assert_eq!(admitted(&plugin, Operation::Create, json!({}), None)["priority"], json!(want));
    }
}
