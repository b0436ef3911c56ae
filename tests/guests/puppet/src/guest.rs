//! The strings.

#![allow(missing_docs, reason = "generated, and a test's")]

use std::cell::RefCell;
use std::hint::black_box;

use serde_json::{Value, json};

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package wasmgate:test-puppet;
        world puppet {
            export wasmgate:plugin/plugin@0.1.0;
            export wasmgate:plugin/authorizer@0.1.0;
            export wasmgate:plugin/mutating-admission@0.1.0;
            export wasmgate:plugin/validating-admission@0.1.0;
        }
    ",
    world: "wasmgate:test-puppet/puppet",
    generate_all,
});

use exports::wasmgate::plugin as e;
use host::admission_types::{Attributes, Denial, Notes};
use host::objects::Object;
use wasmgate::plugin as host;

struct Puppet;

export!(Puppet);

thread_local! {
    static CONFIG: RefCell<Value> = RefCell::default();
}

fn config(field: &str) -> String {
    CONFIG.with_borrow(|config| config[field].as_str().unwrap_or_default().to_owned())
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let pad = black_box([depth; 64]);
    if black_box(true) { recurse(depth + 1) + pad[3] } else { depth }
}

/// What is bad in any role. Gives what is asked for else.
fn act() -> String {
    let action = config("do");
    match action.as_str() {
        "loop" => loop {
            black_box(0);
        },
        "eat" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1u8; 1 << 20]));
            }
        }
        "trap" => panic!("as told"),
        "recurse" => {
            black_box(recurse(0));
        }
        _ => {}
    }
    action
}

fn notes() -> Notes {
    let listed = CONFIG.with_borrow(|config| config["warnings"].as_array().cloned());
    let warnings = listed.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    Notes { warnings: warnings.unwrap_or_else(|| vec![config("version")]), audit_annotations: Vec::new() }
}

/// What the plugin is shown, as a warning: the resource and kind that it is given, those that were asked for, and the object's values at
/// the JSON Pointers of `show`.
fn shown(attributes: &Attributes, object: Option<&Object>, old: Option<&Object>) -> String {
    let pointers = CONFIG.with_borrow(|config| config["show"].as_array().cloned().unwrap_or_default());
    let value =
        |object: &Object, pointer: &str| object.get(pointer).map_or("none".into(), |json| String::from_utf8_lossy(&json).into_owned());
    let values = |object: Option<&Object>| {
        object.map_or("-".into(), |object| {
            pointers.iter().filter_map(Value::as_str).map(|pointer| value(object, pointer)).collect::<Vec<_>>().join(",")
        })
    };
    let asked = host::admission_types::requested();
    let gvr = |group: &str, version: &str, resource: &str| format!("{group}/{version}/{resource}");
    format!(
        "{} {} for {} {}: {} was {}",
        gvr(&attributes.resource.group, &attributes.resource.version, &attributes.resource.resource),
        attributes.kind.kind,
        gvr(&asked.resource.group, &asked.resource.version, &asked.resource.resource),
        asked.kind.version,
        values(object),
        values(old)
    )
}

impl e::plugin::Guest for Puppet {
    fn configure(config: Vec<u8>) -> Result<(), String> {
        let config: Value = serde_json::from_slice(&config).map_err(|error| error.to_string())?;
        let answer = match config["configure"].as_str() {
            Some("refuse") => Err("I do not like it".to_owned()),
            Some("trap") => panic!("as told"),
            _ => Ok(()),
        };
        CONFIG.set(config);
        answer
    }
}

impl e::authorizer::Guest for Puppet {
    fn authorize(attributes: e::authorizer::Attributes) -> e::authorizer::Authorization {
        use e::authorizer::{Condition, Decision};
        let decision = match act().as_str() {
            "allow" => Decision::Allow,
            "deny" => Decision::Deny,
            "deny-escalate" if attributes.verb == "escalate" => Decision::Deny,
            "conditional" => Decision::Conditional(vec![Condition { id: "a".into(), expression: "true".into(), effect: "allow".into() }]),
            _ => Decision::NoOpinion,
        };
        e::authorizer::Authorization { decision, reason: "as told".into(), evaluation_error: None }
    }
}

impl e::mutating_admission::Guest for Puppet {
    fn admit(attributes: Attributes, object: Option<&Object>, old: Option<&Object>) -> e::mutating_admission::Answer {
        use e::mutating_admission::Mutation;
        let patch = |patch: Value| Mutation::Patch(patch.to_string().into_bytes());
        let mutation = match act().as_str() {
            "label" => patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"version": config("version")}}])),
            "patch" => patch(CONFIG.with_borrow(|config| config["patch"].clone())),
            "rename" => patch(json!([{"op": "replace", "path": "/metadata/name", "value": "other"}])),
            "garbage" => Mutation::Patch(b"[{\"op\": \"frobnicate\"".to_vec()),
            "deny" => Mutation::Denied(Denial::Forbidden("as told".into())),
            "deny-garbage" => Mutation::Denied(Denial::Status(b"{\"code\": \"".to_vec())),
            _ => Mutation::Unchanged,
        };
        let mut notes = notes();
        if config("do") == "show" {
            notes.warnings = vec![shown(&attributes, object, old)];
        }
        e::mutating_admission::Answer { mutation, notes }
    }
}

impl e::validating_admission::Guest for Puppet {
    fn validate(attributes: Attributes, object: Option<&Object>, old: Option<&Object>) -> e::validating_admission::Answer {
        let mut notes = notes();
        let action = act();
        if action == "show" {
            notes.warnings = vec![shown(&attributes, object, old)];
        }
        let refused = (action == "refuse").then(|| Denial::Forbidden("as told".into()));
        let denial =
            (action == "label").then(|| object.and_then(|object| object.get_string("/metadata/labels/version"))).and_then(|label| {
                // What changed the object must be what judges it.
                (label.as_deref() != Some(config("version").as_str()))
                    .then(|| Denial::Forbidden(format!("{label:?} is not {}", config("version"))))
            });
        e::validating_admission::Answer { denial: denial.or(refused), notes }
    }
}
