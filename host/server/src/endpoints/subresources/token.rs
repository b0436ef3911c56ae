//! `serviceaccounts/token`: a signed token that says who a service account is, bound to what it dies with.

use admission::Warnings;
use apimachinery::{GroupKind, GroupResource, GroupVersion, Status, field, object};
use registry::{Registry, Request};
use serde_json::{Value, json};

use super::super::request_scope::RequestScope;
use super::super::{Parts, TokenSigner};
use super::{PODS, Posted, fetch, strings, text, timestamp};
use crate::request::Authorized;
use crate::response::Response;

const ACCOUNTS: (&str, &str, &str) = ("", "v1", "serviceaccounts");
const NODES: (&str, &str, &str) = ("", "v1", "nodes");
const SECRETS: (&str, &str, &str) = ("", "v1", "secrets");

const EXPIRATION_SECONDS_DEFAULT: i64 = 3600;
const EXPIRATION_SECONDS_MIN: i64 = 600;
const EXPIRATION_SECONDS_MAX: i64 = 1 << 32;
/// What a kubelet asks for when it projects a token into a pod. Such a token works on for a year, so that clients that never
/// read it again go on, and says from when on to warn about it.
const PROJECTED_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

pub(crate) async fn create(parts: &Parts, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let mut posted = Posted::read(scope, &mut request).await?;
    let Some(signer) = &parts.token_signer else {
        return Err(Status::internal("this server has no key to sign service-account tokens with"));
    };
    let registry = &*parts.registry;
    posted.mutate(registry).await?;
    let account = settle(registry, scope, &mut posted, signer.as_ref()).await?;
    posted.validate(registry).await?;
    let bound = bound(registry, scope, &posted.asked, &posted.object["spec"]).await?;
    let expiration = expiration(&mut posted.object["spec"], signer.expiration_seconds_max(), &request.context().recorder.warnings);
    let now_seconds = request.context().now_seconds();
    let claims = claims(&account, &bound, &posted.object["spec"], &signer.audiences(), expiration, now_seconds);
    let token = signer.sign(claims).map_err(|why| Status::internal(format!("failed to generate token: {why}")))?;
    posted.object["status"] = json!({ "expirationTimestamp": timestamp(now_seconds + expiration), "token": token });
    Ok(posted.view.document(201, &posted.object))
}

/// Fills in what the request leaves open, and refuses what cannot be.
async fn settle(registry: &Registry, scope: &RequestScope, posted: &mut Posted, signer: &dyn TokenSigner) -> Result<Value, Status> {
    let kind = GroupKind::of("authentication.k8s.io", "TokenRequest");
    let token_request = &mut posted.object;
    let name = object::name(token_request);
    if !name.is_empty() && name != scope.name {
        let path = field::Path::new("metadata").child("name");
        let error = field::Error::invalid(&path, name, "must match the service account name if specified");
        return Err(Status::invalid(&kind, &scope.name, &[error]));
    }
    let account = fetch(registry, &posted.asked, ACCOUNTS, &scope.namespace, &scope.name).await?;
    let (asked, found) = (object::uid(token_request), object::uid(&account));
    if !asked.is_empty() && asked != found {
        let why = format!("the UID in the token request ({asked}) does not match the UID of the service account ({found})");
        let resource = GroupResource::of("authentication.k8s.io", "TokenRequest");
        return Err(Status::conflict(&resource, &scope.name, &why));
    }
    let metadata = object::metadata_mut(token_request);
    metadata.insert("name".into(), scope.name.clone().into());
    metadata.insert("namespace".into(), scope.namespace.clone().into());
    metadata.insert("uid".into(), found.into());
    metadata.insert("creationTimestamp".into(), timestamp(posted.asked.context.now_seconds()).into());
    if !token_request["spec"].is_object() {
        token_request["spec"] = json!({});
    }
    let spec = &mut token_request["spec"];
    if strings(spec, "audiences").is_empty() {
        spec["audiences"] = json!(signer.audiences());
    }
    if spec["expirationSeconds"].is_null() {
        spec["expirationSeconds"] = EXPIRATION_SECONDS_DEFAULT.into();
    }
    if spec.get("boundObjectRef").is_none() {
        spec["boundObjectRef"] = Value::Null;
    }
    let errors = validate(spec);
    if !errors.is_empty() {
        return Err(Status::invalid(&kind, "", &errors));
    }
    Ok(account)
}

fn seconds(spec: &Value) -> i64 {
    spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(0)
}

fn validate(spec: &Value) -> Vec<field::Error> {
    let path = field::Path::new("spec").child("expirationSeconds");
    let why = match seconds(spec) {
        seconds if seconds < EXPIRATION_SECONDS_MIN => "may not specify a duration less than 10 minutes",
        seconds if seconds > EXPIRATION_SECONDS_MAX => "may not specify a duration larger than 2^32 seconds",
        _ => return Vec::new(),
    };
    vec![field::Error::invalid(&path, seconds(spec), why)]
}

/// What the token dies with.
#[derive(Debug, Default)]
struct Bound {
    pod: Option<Value>,
    node: Option<Value>,
    secret: Option<Value>,
}

async fn bound(registry: &Registry, scope: &RequestScope, request: &Request, spec: &Value) -> Result<Bound, Status> {
    let mut bound = Bound::default();
    let reference = &spec["boundObjectRef"];
    if reference.is_null() {
        return Ok(bound);
    }
    let (name, kind) = (text(reference, "name"), text(reference, "kind"));
    let version = GroupVersion::parse(text(reference, "apiVersion")).unwrap_or_else(|| GroupVersion::new("", ""));
    let namespace = &*scope.namespace;
    let found = match (&*version.group, kind) {
        ("", "Pod") => {
            let pod = fetch(registry, request, PODS, namespace, name).await?;
            if text(&pod["spec"], "serviceAccountName") != scope.name {
                let account = field::go_quote(&scope.name);
                let words = format!("cannot bind token for serviceaccount {account} to pod running with different serviceaccount name.");
                return Err(Status::bad_request(words));
            }
            bound.node = node_of(registry, request, &pod).await?;
            &*bound.pod.insert(pod)
        }
        ("", "Node") => &*bound.node.insert(fetch(registry, request, NODES, "", name).await?),
        ("", "Secret") => &*bound.secret.insert(fetch(registry, request, SECRETS, namespace, name).await?),
        _ => {
            let words = format!("cannot bind token to object of type {}/{}, Kind={kind}", version.group, version.version);
            return Err(Status::bad_request(words));
        }
    };
    let asked = text(reference, "uid");
    if !asked.is_empty() && asked != object::uid(found) {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then \
             recreated"
        );
        let resource = GroupResource { group: version.group.clone(), resource: kind.to_owned().into() };
        return Err(Status::conflict(&resource, name, &why));
    }
    Ok(bound)
}

/// The node that a pod runs on; only its name where it is not there.
async fn node_of(registry: &Registry, request: &Request, pod: &Value) -> Result<Option<Value>, Status> {
    match text(&pod["spec"], "nodeName") {
        "" => Ok(None),
        name => match fetch(registry, request, NODES, "", name).await {
            Err(status) if status.code == 404 => Ok(Some(json!({ "metadata": { "name": name } }))),
            node => node.map(Some),
        },
    }
}

/// How long the token is said to live; shortened to what the operator allows.
fn expiration(spec: &mut Value, max: Option<i64>, warnings: &Warnings) -> i64 {
    let asked = seconds(spec);
    match max {
        Some(max) if asked > max => {
            warnings.add(&format!("requested expiration of {asked} seconds shortened to {max} seconds"));
            spec["expirationSeconds"] = max.into();
            max
        }
        _ => asked,
    }
}

/// Upstream's claims; the signer adds the issuer.
fn claims(account: &Value, bound: &Bound, spec: &Value, served: &[String], expiration: i64, now: i64) -> Value {
    let (namespace, name) = (object::namespace(account), object::name(account));
    let reference = |object: &Value| {
        let mut shown = json!({ "name": object::name(object) });
        if !object::uid(object).is_empty() {
            shown["uid"] = object::uid(object).into();
        }
        shown
    };
    let mut kubernetes = json!({ "namespace": namespace, "serviceaccount": reference(account) });
    for (what, object) in [("pod", &bound.pod), ("secret", &bound.secret), ("node", &bound.node)] {
        if let Some(object) = object {
            kubernetes[what] = reference(object);
        }
    }
    let audiences = strings(spec, "audiences");
    let mut expires = now + expiration;
    if bound.pod.is_some() && expiration == PROJECTED_SECONDS && audiences.iter().all(|audience| served.contains(audience)) {
        kubernetes["warnafter"] = expires.into();
        expires = now + EXTENDED_SECONDS;
    }
    json!({
        "aud": audiences,
        "exp": expires,
        "iat": now,
        "nbf": now,
        "jti": uuid::Uuid::new_v4().to_string(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": kubernetes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_upstreams() {
        let account = json!({ "metadata": { "namespace": "n", "name": "a", "uid": "1" } });
        let spec = json!({ "audiences": ["x"] });
        let plain = claims(&account, &Bound::default(), &spec, &["x".into()], PROJECTED_SECONDS, 1000);
        assert_eq!(plain["kubernetes.io"], json!({ "namespace": "n", "serviceaccount": { "name": "a", "uid": "1" } }));
        assert_eq!((&plain["exp"], &plain["nbf"], &plain["iat"]), (&json!(4607), &json!(1000), &json!(1000)));
        assert_eq!((&plain["sub"], &plain["aud"]), (&json!("system:serviceaccount:n:a"), &json!(["x"])));
        let bound = Bound {
            pod: Some(json!({ "metadata": { "name": "p", "uid": "2" } })),
            node: Some(json!({ "metadata": { "name": "m" } })),
            secret: None,
        };
        let projected = claims(&account, &bound, &spec, &["x".into()], PROJECTED_SECONDS, 1000);
        assert_eq!(projected["kubernetes.io"]["pod"], json!({ "name": "p", "uid": "2" }));
        assert_eq!(projected["kubernetes.io"]["node"], json!({ "name": "m" }));
        assert_eq!((&projected["kubernetes.io"]["warnafter"], &projected["exp"]), (&json!(4607), &json!(1000 + EXTENDED_SECONDS)));
        let elsewhere = claims(&account, &bound, &spec, &["y".into()], PROJECTED_SECONDS, 1000);
        assert_eq!(elsewhere["exp"], 4607, "a token for others is not extended");
    }

    #[test]
    fn expirations() {
        for (seconds, words) in [
            (600, None),
            (1 << 32, None),
            (599, Some("spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes")),
            (
                4_294_967_297_i64,
                Some("spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"),
            ),
        ] {
            let errors = validate(&json!({ "expirationSeconds": seconds }));
            assert_eq!(errors.first().map(ToString::to_string).as_deref(), words);
        }
        let (mut spec, warnings) = (json!({ "expirationSeconds": 7200 }), Warnings::default());
        assert_eq!(expiration(&mut spec, Some(3600), &warnings), 3600);
        assert_eq!(warnings.texts(), ["requested expiration of 7200 seconds shortened to 3600 seconds"]);
    }
}
