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
            export wasmgate:plugin/plugin@0.2.0;
            export wasmgate:plugin/authorizer@0.2.0;
            export wasmgate:plugin/mutating-admission@0.2.0;
            export wasmgate:plugin/validating-admission@0.2.0;
        }
    ",
    world: "wasmgate:test-puppet/puppet",
    generate_all,
});

use exports::wasmgate::plugin as e;
use host::admission_types::Denial;
use host::requests::Request;
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

/// The warnings that the configuration asks for.
fn note(request: &Request, action: &str) {
    if action == "show" {
        return request.warn(&shown(request));
    }
    let listed = CONFIG.with_borrow(|config| config["warnings"].as_array().cloned());
    match listed {
        Some(list) => list.iter().filter_map(Value::as_str).for_each(|text| request.warn(text)),
        None => request.warn(&config("version")),
    }
}

/// What the plugin is shown, as a warning: the resource and kind that it is given, those that were asked for, and the object's values at
/// the JSON Pointers of `show`.
fn shown(request: &Request) -> String {
    let pointers = CONFIG.with_borrow(|config| config["show"].as_array().cloned().unwrap_or_default());
    let value = |part: &str, pointer: &str| {
        let found = request.get(&format!("{part}{pointer}")).expect("a short pointer");
        found.unwrap_or_else(|| "none".into())
    };
    let values = |part: &str, object: Option<String>| {
        object.map_or("-".into(), |_| {
            pointers.iter().filter_map(Value::as_str).map(|pointer| value(part, pointer)).collect::<Vec<_>>().join(",")
        })
    };
    let (shown, asked) = (request.admission().expect("this is admission"), request.requested().expect("this is admission"));
    let gvr = |group: &str, version: &str, resource: &str| format!("{group}/{version}/{resource}");
    format!(
        "{} {} for {} {}: {} was {}",
        gvr(&shown.resource.group, &shown.resource.version, &shown.resource.resource),
        shown.kind.kind,
        gvr(&asked.resource.group, &asked.resource.version, &asked.resource.resource),
        asked.kind.version,
        values("/object", request.object()),
        values("/oldObject", request.old())
    )
}

impl e::plugin::Guest for Puppet {
    fn configure(config: String) -> Result<(), String> {
        let config: Value = serde_json::from_str(&config).map_err(|error| error.to_string())?;
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
    fn authorize(request: Request, _: String) -> e::authorizer::Authorization {
        let request = &request;
        use e::authorizer::{Condition, Decision, Effect};
        let verb = request.authorization().expect("this is authorization").verb;
        let decision = match act().as_str() {
            "allow" => Decision::Allow,
            "deny" => Decision::Deny,
            "deny-escalate" if verb == "escalate" => Decision::Deny,
            "conditional" => Decision::Conditional(vec![Condition { id: "a".into(), expression: "true".into(), effect: Effect::Allow }]),
            _ => Decision::NoOpinion,
        };
        e::authorizer::Authorization { decision, reason: "as told".into(), evaluation_error: None }
    }
}

impl e::mutating_admission::Guest for Puppet {
    fn admit(request: Request, _: String) -> Result<Option<String>, Denial> {
        let request = &request;
        let patch = |patch: Value| Ok(Some(patch.to_string()));
        let action = act();
        note(request, &action);
        match action.as_str() {
            "label" => patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"version": config("version")}}])),
            "patch" => patch(CONFIG.with_borrow(|config| config["patch"].clone())),
            "rename" => patch(json!([{"op": "replace", "path": "/metadata/name", "value": "other"}])),
            "garbage" => Ok(Some("[{\"op\": \"frobnicate\"".into())),
            "deny" => Err(Denial::Forbidden("as told".into())),
            "deny-garbage" => Err(Denial::Status("{\"code\": \"".into())),
            _ => Ok(None),
        }
    }
}

impl e::validating_admission::Guest for Puppet {
    fn validate(request: Request, _: String) -> Result<(), Denial> {
        let request = &request;
        let action = act();
        note(request, &action);
        if action == "refuse" {
            return Err(Denial::Forbidden("as told".into()));
        }
        if action == "label" {
            // What changed the object must be what judges it.
            let label = request.get_string("/object/metadata/labels/version").expect("a short pointer");
            if label.as_deref() != Some(config("version").as_str()) {
                return Err(Denial::Forbidden(format!("{label:?} is not {}", config("version"))));
            }
        }
        Ok(())
    }
}
