//! The script.

#![allow(missing_docs, reason = "generated, and a test's")]

use std::cell::RefCell;
use std::hint::black_box;

use serde_json::{Value, json};

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package wasmgate:test-guest;
        world scripted {
            include wasmgate:plugin/capabilities@0.2.0;
            export wasmgate:plugin/plugin@0.2.0;
            export wasmgate:plugin/authenticator@0.2.0;
            export wasmgate:plugin/authorizer@0.2.0;
            export wasmgate:plugin/mutating-admission@0.2.0;
            export wasmgate:plugin/validating-admission@0.2.0;
            export wasmgate:plugin/changes@0.2.0;
        }
    ",
    world: "wasmgate:test-guest/scripted",
    generate_all,
});

use exports::wasmgate::plugin as e;
use host::admission_types::Denial;
use host::requests::{AuthorizationAttributes, Request, SelectorOperator, SelectorRequirement};
use host::types::{GroupResource, LookupError, UserInfo};
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
            host::random::bytes(1_000_000).expect("random bytes");
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
    let selector = |key: &str| vec![SelectorRequirement { key: key.into(), operator: SelectorOperator::In, values: vec!["a".into()] }];
    let asked = AuthorizationAttributes {
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
    };
    match host::authorization::authorize(&bob, &asked) {
        Ok(answer) => format!("{:?} {:?} {:?}", answer.decision, answer.reason, answer.evaluation_error),
        Err(LookupError { reason, message }) => format!("{reason:?} {message}"),
    }
}

/// What the host says of a look-up.
fn words<T: std::fmt::Debug>(found: Result<T, LookupError>) -> String {
    match found {
        Ok(found) => format!("{found:?}"),
        Err(error) => format!("{:?} {}", error.reason, error.message),
    }
}

/// What the index `pods` has of `web`, and what it says of what it cannot know.
fn indexed() -> String {
    let pods = match host::indexes::open("pods") {
        Ok(pods) => pods,
        Err(error) => return words::<()>(Err(error)),
    };
    let show = |page: host::indexes::Page| {
        let entry = |entry: host::indexes::Entry| format!("{}/{}@{}{}", entry.id.namespace, entry.id.name, entry.revision, entry.object);
        format!("{} more={}", page.entries.into_iter().map(entry).collect::<Vec<_>>().join(" "), page.more)
    };
    let find = |namespace: &str, key: &[&str]| {
        let key: Vec<String> = key.iter().map(|&part| part.to_owned()).collect();
        words(pods.find(namespace, &key, None).map(show))
    };
    let any = |key: &str| words(pods.any("", &[key.to_owned()]));
    let long = "x".repeat(2_000);
    [
        find("", &["web"]),
        find("default", &["web"]),
        find("other", &["web"]),
        any("web"),
        any("absent"),
        find("", &[&long]),
        find("", &["web", "web"]),
        words(host::indexes::open("secrets").map(|_| ())),
    ]
    .join(" | ")
}

/// How many handles may be held, and that one that is given back may be had again.
fn index_handles() -> String {
    let mut held = Vec::new();
    let refused = loop {
        match host::indexes::open("pods") {
            Ok(handle) => held.push(handle),
            Err(error) => break words::<()>(Err(error)),
        }
    };
    held.pop();
    format!("{} {refused} {}", held.len() + 1, host::indexes::open("pods").is_ok())
}

/// What comes back from the script's `url`.
fn fetch() -> String {
    let header = |name: &str, value: &str| host::http::Header { name: name.into(), value: value.into() };
    let request = host::http::OutgoingRequest {
        method: host::http::Method::Post,
        url: script("url"),
        headers: vec![header("x-asked", "please")],
        body: script("body").into_bytes(),
        timeout_milliseconds: None,
    };
    match host::http::send(&request) {
        Ok(answer) => {
            let found = answer.headers.iter().find(|header| header.name == "x-answered").map(|header| header.value.as_str());
            format!("{} {found:?} {}", answer.status, String::from_utf8_lossy(&answer.body))
        }
        Err(error) => format!("{:?} {}", error.reason, error.message),
    }
}

/// As upstream's EventRateLimit: two a namespace, and one more each second.
fn limit_rate(request: &Request) -> Result<(), Denial> {
    let attributes = request.admission().expect("this is admission");
    if attributes.dry_run {
        return Ok(());
    }
    let bucket = host::counters::Bucket { per_second: 1.0, burst: 2 };
    match host::counters::take(&attributes.namespace, 1, bucket) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let message = format!("limit reached on type Namespace for key {}", attributes.namespace);
            Err(Denial::Status(json!({"code": 429, "reason": "TooManyRequests", "message": message}).to_string()))
        }
        Err(error) => Err(Denial::Forbidden(words::<()>(Err(error)))),
    }
}

/// Charges what the script's `charges` say, warns of what the host says to each, and goes on as `then` says.
fn charge(request: &Request) -> Result<(), Denial> {
    let charges = STATE.with_borrow(|state| state.config["charges"].clone());
    for charge in charges.as_array().into_iter().flatten() {
        let text = |field: &str| charge[field].as_str().unwrap_or_default().to_owned();
        let resource = GroupResource { group: String::new(), resource: text("resource") };
        let amount = |(name, quantity): (&String, &Value)| host::requests::Amount {
            name: name.clone(),
            quantity: quantity.as_str().unwrap_or_default().to_owned(),
        };
        let mut amounts: Vec<_> = charge["amounts"].as_object().into_iter().flatten().map(amount).collect();
        if charge["twice"] == true {
            amounts.extend(amounts.clone());
        }
        for number in 0..charge["objects"].as_u64().unwrap_or(1) {
            let name = if number == 0 { text("name") } else { format!("{}-{number}", text("name")) };
            request.warn(&words(request.charge(&resource, "default", &name, &amounts)));
        }
    }
    match script("then").as_str() {
        "trap" => panic!("as told"),
        other => denial(other).map_or(Ok(()), Err),
    }
}

/// All that a request has beside its question.
fn beside(request: &Request) -> String {
    let user = request.user().map(|user| user.name);
    let original = request.original_user().map(|user| user.name);
    format!("id={:?} user={user:?} original={original:?}", request.id())
}

impl e::plugin::Guest for Scripted {
    fn configure(config: String) -> Result<(), String> {
        let config: Value = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        STATE.with_borrow_mut(|state| state.config = config);
        match script("configure").as_str() {
            "refuse" => Err("I do not like it".into()),
            "trap" => panic!("as told"),
            "fetch" => Err(fetch()),
            "index" => Err(words(host::indexes::open("pods").and_then(|pods| pods.any("", &["web".into()])))),
            _ => Ok(()),
        }
    }
}

fn user(name: &str) -> UserInfo {
    UserInfo { name: name.into(), uid: String::new(), groups: Vec::new(), extra: Vec::new() }
}

fn authenticated(name: &str) -> Result<Option<e::authenticator::Authenticated>, String> {
    Ok(Some(e::authenticator::Authenticated { user: user(name), audiences: None }))
}

impl e::authenticator::Guest for Scripted {
    fn authenticate(request: Request, input: String) -> Result<Option<e::authenticator::Authenticated>, String> {
        let request = &request;
        let credentials = request.credentials().expect("this is authentication");
        match act().as_str() {
            "nobody" => authenticated(""),
            "reject" => Err("as told".into()),
            "for-nobody" => Ok(Some(e::authenticator::Authenticated { user: user("jane"), audiences: Some(Vec::new()) })),
            "verify" => match host::jwt::verify(&credentials.bearer_token.unwrap_or_default()) {
                host::jwt::Verification::Claims(claims) => authenticated(&claims),
                host::jwt::Verification::Unknown => Ok(None),
                host::jwt::Verification::Invalid(why) => Err(why),
            },
            "show" => authenticated(&format!(
                "token={:?} certificate={:?}",
                credentials.bearer_token,
                credentials.certificate.map(|c| (c.common_name, c.organizations, c.der.len(), c.chain_error))
            )),
            "input" => authenticated(&input),
            "note" => {
                request.warn("from an authenticator");
                request.annotate("who", "jane");
                authenticated("jane")
            }
            "count" => authenticated(&STATE.with_borrow(|state| state.calls.to_string())),
            _ => Ok(None),
        }
    }
}

impl e::authorizer::Guest for Scripted {
    fn authorize(request: Request, input: String) -> e::authorizer::Authorization {
        if script("do") == "hoard" {
            std::mem::forget(request);
            let reason = STATE.with_borrow_mut(|state| {
                state.calls += 1;
                state.calls.to_string()
            });
            return e::authorizer::Authorization { decision: e::authorizer::Decision::NoOpinion, reason, evaluation_error: None };
        }
        let request = &request;
        use e::authorizer::Decision;
        let action = Some(script("authorize")).filter(|own| !own.is_empty()).unwrap_or_else(act);
        let condition = e::authorizer::Condition { id: "a".into(), expression: "true".into(), effect: e::authorizer::Effect::Allow };
        let (decision, reason) = match action.as_str() {
            "allow" => (Decision::Allow, "as told".to_owned()),
            "deny" => (Decision::Deny, "as told".to_owned()),
            "conditional" => (Decision::Conditional(vec![condition]), String::new()),
            "known" => (Decision::NoOpinion, STATE.with_borrow(|state| state.known.join(" "))),
            "count" => (Decision::NoOpinion, STATE.with_borrow(|state| state.calls.to_string())),
            "show" => (Decision::NoOpinion, format!("{:?} {:?}", request.user(), request.authorization())),
            "input" => (Decision::NoOpinion, input),
            "beside" => (Decision::NoOpinion, beside(request)),
            "note" => {
                request.warn("from an authorizer");
                request.annotate("why", "as told");
                (Decision::NoOpinion, STATE.with_borrow(|state| state.calls.to_string()))
            }
            "ask" => (Decision::Allow, ask()),
            "index" => (Decision::NoOpinion, indexed()),
            "index-any" => {
                let key = [request.user().expect("an authorizer knows the user").name];
                (Decision::NoOpinion, words(host::indexes::open("pods").and_then(|pods| pods.any("", &key))))
            }
            "index-handles" => (Decision::NoOpinion, index_handles()),
            "counters" => {
                let take = |key: &str, per_second| words(host::counters::take(key, 1, host::counters::Bucket { per_second, burst: 1 }));
                (Decision::NoOpinion, format!("{} | {} | {}", take("a", 1.0), take(&"x".repeat(2_000), 1.0), take("b", f64::NAN)))
            }
            "fetch" => (Decision::NoOpinion, fetch()),
            "clock" => (Decision::NoOpinion, host::clock::now_milliseconds().to_string()),
            "random-error" => (Decision::NoOpinion, words(host::random::bytes(1_000_000))),
            "read" => {
                let read = |resource: &str| {
                    let resource = GroupResource { group: String::new(), resource: resource.into() };
                    let got = words(host::cluster::get(&resource, "default", "web"));
                    let live = words(host::cluster::get_live(&resource, "default", "web").map(|object| object.is_some()));
                    let list = words(host::cluster::list(&resource, "").map(|list| list.len()));
                    format!("{got} {live} {list}")
                };
                (Decision::NoOpinion, format!("{} / {}", read("pods"), read("secrets")))
            }
            _ => (Decision::NoOpinion, String::new()),
        };
        e::authorizer::Authorization { decision, reason, evaluation_error: None }
    }
}

fn note(request: &Request, action: &str) {
    let count = if action == "notes" { 100_000 } else { 1 };
    let calls = STATE.with_borrow(|state| state.calls);
    for _ in 0..count {
        request.warn(&format!("{} calls={calls}", script("version")));
    }
    request.annotate("version", &script("version"));
}

fn denial(action: &str) -> Option<Denial> {
    match action {
        "deny" => Some(Denial::Forbidden("as told".into())),
        "deny-status" => Some(Denial::Status(json!({"code": 429, "reason": "TooManyRequests", "message": "later"}).to_string())),
        "deny-success" => Some(Denial::Status(json!({"status": "Success", "code": 200, "message": "no"}).to_string())),
        "deny-garbage" => Some(Denial::Status("{\"code\": \"".into())),
        _ => None,
    }
}

/// What a request says of itself, asked in every way.
fn look(request: &Request) -> String {
    let name = words(request.get_string("/object/metadata/name"));
    let number = words(request.get("/object/spec/number"));
    let nothing = request.get("/object/nothing").is_ok_and(|found| found.is_none())
        && request.get_string("/object/spec/number").is_ok_and(|found| found.is_none())
        && request.get("/credentials").is_ok_and(|found| found.is_none())
        && request.get("nonsense").is_ok_and(|found| found.is_none())
        && request.old().is_none()
        && request.params().is_none()
        && request.credentials().is_none()
        && request.authorization().is_none();
    let whole = request.object().map(|object| object.len()) == request.get("/object").unwrap_or_default().map(|object| object.len());
    let picked = words(request.pick("/object/metadata", &["name".into(), "absent".into()]));
    let document =
        words(request.get_string("/operation")) + &words(request.get("/kind")) + &words(request.get_string("/userInfo/username"));
    format!("{name} {number} {nothing} {whole} {picked} {document}")
}

/// Texts in lists.
fn texts(request: &Request) -> String {
    let pointers = [
        "/object/metadata/name",
        "/object/spec/parts/*/name",
        "/object/spec/parts/*/more/*",
        "/object/spec/parts/*/a~1b",
        "/object/spec/parts/0/name",
        "/object/spec/number/*",
        "/object/spec/none/*/name",
        "/nonsense/*",
    ];
    pointers.map(|pointer| format!("{pointer} {}", words(request.get_strings(pointer)))).join(" | ")
}

/// What is too much to ask, and what was not granted.
fn refused(request: &Request) -> String {
    let long = "/x".repeat(5_000);
    let many: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    format!(
        "{} | {} | {} | {} | {}",
        words(request.get(&long)),
        words(request.get_strings(&long)),
        words(request.pick("/object", &many)),
        words(request.namespace()),
        words(request.get("/namespaceObject/metadata"))
    )
}

impl e::mutating_admission::Guest for Scripted {
    fn admit(request: Request, input: String) -> Result<Option<String>, Denial> {
        let request = &request;
        let action = act();
        note(request, &action);
        let patch = |patch: Value| Ok(Some(patch.to_string()));
        let seen = |seen: String| patch(json!([{"op": "add", "path": "/seen", "value": seen}]));
        match (denial(&action), action.as_str()) {
            (Some(denial), _) => Err(denial),
            (None, "garbage") => Ok(Some("[{\"op\": \"frobnicate\"".into())),
            (None, "rename") => patch(json!([{"op": "replace", "path": "/metadata/name", "value": "other"}])),
            (None, "label") => patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"version": script("version")}}])),
            (None, "look") => seen(look(request)),
            (None, "texts") => seen(texts(request)),
            (None, "refused") => seen(refused(request)),
            (None, "beside") => seen(beside(request)),
            (None, "input") => seen(input),
            (None, "namespace") => seen(words(request.namespace())),
            (None, "charge") => charge(request).map(|()| None),
            _ => Ok(None),
        }
    }
}

impl e::validating_admission::Guest for Scripted {
    fn validate(request: Request, _: String) -> Result<(), Denial> {
        let request = &request;
        let action = act();
        note(request, &action);
        match action.as_str() {
            // What admitted the object must be what judges it.
            "label" => {
                let label = request.get_string("/object/metadata/labels/version").unwrap_or_default();
                match label.as_deref() == Some(script("version").as_str()) {
                    true => Ok(()),
                    false => Err(Denial::Forbidden(format!("{label:?} is not {}", script("version")))),
                }
            }
            "ask" => Err(Denial::Forbidden(ask())),
            "limit-rate" => limit_rate(request),
            "charge" => charge(request),
            other => denial(other).map_or(Ok(()), Err),
        }
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> String {
    format!("{resource}/{namespace}/{name}")
}

impl e::changes::Guest for Scripted {
    fn reset(resource: GroupResource) {
        match script("changes").as_str() {
            "trap" => panic!("as told"),
            "fetch" => {
                let (reason, _) = fetch().split_once(' ').map(|(reason, rest)| (reason.to_owned(), rest.to_owned())).unwrap_or_default();
                STATE.with_borrow_mut(|state| state.known.push(reason));
            }
            _ => {}
        }
        STATE.with_borrow_mut(|state| state.known.retain(|known| !known.starts_with(&format!("{}/", resource.resource))));
    }

    fn apply(changes: Vec<e::changes::Change>) {
        let shows = script("changes") == "show";
        STATE.with_borrow_mut(|state| {
            for change in changes {
                let key = key(&change.resource.resource, &change.namespace, &change.name);
                state.known.retain(|known| !known.starts_with(&key));
                match change.object {
                    Some(object) if shows => state.known.push(format!("{key}@{}={}", change.revision, object)),
                    Some(_) => state.known.push(key),
                    None => {}
                }
            }
        });
    }
}
