//! The script.

#![allow(missing_docs, reason = "generated, and a test's")]

use std::cell::RefCell;
use std::hint::black_box;

use serde_json::{Value, json};

wit_bindgen::generate!({
    path: "../../../../../wit/0.1",
    inline: "
        package wasmgate:test-guest;
        world scripted {
            include wasmgate:plugin/capabilities@0.1.0;
            export wasmgate:plugin/plugin@0.1.0;
            export wasmgate:plugin/authenticator@0.1.0;
            export wasmgate:plugin/authorizer@0.1.0;
            export wasmgate:plugin/mutating-admission@0.1.0;
            export wasmgate:plugin/validating-admission@0.1.0;
            export wasmgate:plugin/changes@0.1.0;
        }
    ",
    world: "wasmgate:test-guest/scripted",
    generate_all,
});

use exports::wasmgate::plugin as e;
use host::admission_types::{Attributes, Denial, Notes};
use host::objects::Object;
use host::types::{AuditAnnotation, GroupResource, UserInfo};
use wasmgate::plugin as host;

struct Scripted;

export!(Scripted);

#[derive(Default)]
struct State {
    config: Value,
    calls: u32,
    /// `pods/default/web`, as told.
    known: Vec<String>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn script(field: &str) -> String {
    STATE.with_borrow(|state| state.config[field].as_str().unwrap_or_default().to_owned())
}

/// Down the engine's stack: nothing in it has an address.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { recurse(depth + 1).wrapping_mul(3) ^ depth }
}

/// Down the guest's own stack, which is in its memory.
#[inline(never)]
fn recurse_with_locals(depth: u64) -> u64 {
    let pad = black_box([depth; 64]);
    if black_box(true) { recurse_with_locals(depth + 1) + pad[3] } else { depth }
}

/// What is bad in any role. Gives what the script says else.
fn act() -> String {
    STATE.with_borrow_mut(|state| state.calls += 1);
    let script = script("do");
    match script.as_str() {
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
            black_box(recurse(black_box(1)));
        }
        "recurse-with-locals" => {
            black_box(recurse_with_locals(0));
        }
        "random" => {
            host::random::bytes(1_000_000);
        }
        "shout" => {
            for _ in 0..10_000 {
                host::log::log(host::log::Level::Debug, &"x".repeat(10_000));
            }
        }
        _ => {}
    }
    script
}

/// What the server's authorizers say of bob.
fn ask() -> String {
    let bob = UserInfo {
        name: "bob".into(),
        uid: "u".into(),
        groups: vec!["g".into()],
        extra: vec![host::types::Extra { key: "k".into(), values: vec!["v".into()] }],
    };
    let selector = |key: &str| {
        vec![host::authorization_types::SelectorRequirement { key: key.into(), operator: "In".into(), values: vec!["a".into()] }]
    };
    let answer = host::authorization::authorize(&host::authorization_types::Attributes {
        user: bob,
        verb: "approve".into(),
        namespace: "ns1".into(),
        api_group: "certificates.k8s.io".into(),
        api_version: "*".into(),
        resource: "signers".into(),
        subresource: "sub".into(),
        name: "example.com/*".into(),
        resource_request: true,
        path: "/p".into(),
        field_selector: selector("f"),
        label_selector: selector("l"),
        conditional_accepted: true,
    });
    format!("{:?} {:?} {:?}", answer.decision, answer.reason, answer.evaluation_error)
}

impl e::plugin::Guest for Scripted {
    fn configure(config: Vec<u8>) -> Result<(), String> {
        let config: Value = serde_json::from_slice(&config).map_err(|error| error.to_string())?;
        STATE.with_borrow_mut(|state| state.config = config);
        match script("configure").as_str() {
            "refuse" => Err("I do not like it".into()),
            "trap" => panic!("as told"),
            _ => Ok(()),
        }
    }
}

fn user(name: &str) -> UserInfo {
    UserInfo { name: name.into(), uid: String::new(), groups: Vec::new(), extra: Vec::new() }
}

impl e::authenticator::Guest for Scripted {
    fn authenticate(credentials: e::authenticator::Credentials) -> e::authenticator::Authentication {
        use e::authenticator::Authentication::{NoOpinion, Rejected, User};
        match act().as_str() {
            "nobody" => User(user("")),
            "reject" => Rejected("as told".into()),
            "verify" => match host::jwt::verify(&credentials.bearer_token.unwrap_or_default()) {
                host::jwt::Verification::Claims(claims) => User(user(&String::from_utf8_lossy(&claims))),
                host::jwt::Verification::Unknown => NoOpinion,
                host::jwt::Verification::Invalid(why) => Rejected(why),
            },
            "show" => User(user(&format!(
                "token={:?} certificate={:?}",
                credentials.bearer_token,
                credentials.certificate.map(|c| (c.common_name, c.organizations, c.der.len(), c.chain_error))
            ))),
            _ => NoOpinion,
        }
    }
}

impl e::authorizer::Guest for Scripted {
    fn authorize(attributes: e::authorizer::Attributes) -> e::authorizer::Authorization {
        use e::authorizer::Decision;
        let action = Some(script("authorize")).filter(|own| !own.is_empty()).unwrap_or_else(act);
        let condition = e::authorizer::Condition { id: "a".into(), expression: "true".into(), effect: "allow".into() };
        let (decision, reason) = match action.as_str() {
            "allow" => (Decision::Allow, "as told".to_owned()),
            "deny" => (Decision::Deny, "as told".to_owned()),
            "conditional" => (Decision::Conditional(vec![condition]), String::new()),
            "known" => (Decision::NoOpinion, STATE.with_borrow(|state| state.known.join(" "))),
            "count" => (Decision::NoOpinion, STATE.with_borrow(|state| state.calls.to_string())),
            "show" => (Decision::NoOpinion, format!("{attributes:?}")),
            "ask" => (Decision::Allow, ask()),
            "clock" => (Decision::NoOpinion, host::clock::now_milliseconds().to_string()),
            "read" => {
                let read = |resource: &str| {
                    let resource = GroupResource { group: String::new(), resource: resource.into() };
                    let got = host::cluster::get(&resource, "default", "web").map(|o| o.map(|o| String::from_utf8_lossy(&o).into_owned()));
                    let live = host::cluster::get_live(&resource, "default", "web").map(|o| o.is_some());
                    let list = host::cluster::list(&resource, "").map(|list| list.len());
                    format!("{got:?} {live:?} {list:?}")
                };
                (Decision::NoOpinion, format!("{} / {}", read("pods"), read("secrets")))
            }
            _ => (Decision::NoOpinion, String::new()),
        };
        e::authorizer::Authorization { decision, reason, evaluation_error: None }
    }
}

fn notes(action: &str) -> Notes {
    let count = if action == "notes" { 100_000 } else { 1 };
    let calls = STATE.with_borrow(|state| state.calls);
    Notes {
        warnings: vec![format!("{} calls={calls}", script("version")); count],
        audit_annotations: vec![AuditAnnotation { key: "version".into(), value: script("version") }],
    }
}

fn denial(action: &str) -> Option<Denial> {
    match action {
        "deny" => Some(Denial::Forbidden("as told".into())),
        "deny-status" => {
            Some(Denial::Status(json!({"code": 429, "reason": "TooManyRequests", "message": "later"}).to_string().into_bytes()))
        }
        "deny-success" => Some(Denial::Status(json!({"status": "Success", "code": 200, "message": "no"}).to_string().into_bytes())),
        "deny-garbage" => Some(Denial::Status(b"{\"code\": \"".to_vec())),
        _ => None,
    }
}

impl e::mutating_admission::Guest for Scripted {
    fn admit(_: Attributes, object: Option<&Object>, _: Option<&Object>) -> e::mutating_admission::Answer {
        use e::mutating_admission::Mutation;
        let action = act();
        let patch = |patch: Value| Mutation::Patch(patch.to_string().into_bytes());
        let mutation = match (denial(&action), action.as_str()) {
            (Some(denial), _) => Mutation::Denied(denial),
            (None, "garbage") => Mutation::Patch(b"[{\"op\": \"frobnicate\"".to_vec()),
            (None, "rename") => patch(json!([{"op": "replace", "path": "/metadata/name", "value": "other"}])),
            (None, "label") => patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"version": script("version")}}])),
            (None, "look") => {
                let object = object.expect("an object");
                let name = object.get_string("/metadata/name");
                let number = object.get("/spec/number").map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let nothing = object.get("/nothing").is_none() && object.get_string("/spec/number").is_none();
                let seen = format!("{name:?} {number:?} {nothing} {}", object.bytes().len());
                patch(json!([{"op": "add", "path": "/seen", "value": seen}]))
            }
            _ => Mutation::Unchanged,
        };
        e::mutating_admission::Answer { mutation, notes: notes(&action) }
    }
}

impl e::validating_admission::Guest for Scripted {
    fn validate(_: Attributes, object: Option<&Object>, _: Option<&Object>) -> e::validating_admission::Answer {
        let action = act();
        let denial = match action.as_str() {
            // What admitted the object must be what judges it.
            "label" => {
                let label = object.and_then(|object| object.get_string("/metadata/labels/version"));
                (label.as_deref() != Some(script("version").as_str()))
                    .then(|| Denial::Forbidden(format!("{label:?} is not {}", script("version"))))
            }
            "ask" => Some(Denial::Forbidden(ask())),
            other => denial(other),
        };
        e::validating_admission::Answer { denial, notes: notes(&action) }
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> String {
    format!("{resource}/{namespace}/{name}")
}

impl e::changes::Guest for Scripted {
    fn reset(resource: GroupResource, objects: Vec<Vec<u8>>) {
        if script("changes") == "trap" {
            panic!("as told");
        }
        STATE.with_borrow_mut(|state| {
            state.known.retain(|known| !known.starts_with(&format!("{}/", resource.resource)));
            for object in objects {
                let object: Value = serde_json::from_slice(&object).expect("an object");
                let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
                state.known.push(key(&resource.resource, &text("/metadata/namespace"), &text("/metadata/name")));
            }
        });
    }

    fn apply(changes: Vec<e::changes::Changed>) {
        STATE.with_borrow_mut(|state| {
            for change in changes {
                let key = key(&change.resource.resource, &change.namespace, &change.name);
                state.known.retain(|known| *known != key);
                if change.object.is_some() {
                    state.known.push(key);
                }
            }
        });
    }
}
