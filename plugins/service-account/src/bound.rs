//! Tokens of the TokenRequest API: bound to an account, and perhaps to a pod, a secret or a node.

use wasmgate_sdk::json::Json;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::{clock, cluster};

use crate::Account;
use crate::claims::{Claims, Reference};

/// Clocks differ by so much, upstream's default.
const LEEWAY_SECONDS: i64 = 60;
const INVALIDATED: &str = "service account token has been invalidated";

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Object {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Metadata {
    uid: String,
    deletion_timestamp: Option<String>,
}

/// Whom the token is of, if all of it holds.
pub fn validate(claims: &Claims) -> Result<Account, String> {
    let now = i64::try_from(clock::now_milliseconds() / 1000).unwrap_or(i64::MAX);
    check_times(claims, now)?;
    let kubernetes = &claims.kubernetes;
    let (namespace, of) = (&kubernetes.namespace, &kubernetes.serviceaccount);
    let gone = |object: &Object| object.is_gone(now - LEEWAY_SECONDS);

    let not_found = || format!("serviceaccounts \"{}\" not found", of.name);
    let account = find("serviceaccounts", namespace, &of.name)?.ok_or_else(not_found)?;
    if account.metadata.uid != of.uid {
        return Err(format!("service account UID ({}) does not match claim ({})", account.metadata.uid, of.uid));
    }
    if gone(&account) {
        return Err(format!("service account {namespace}/{} has been deleted", of.name));
    }
    let bound_to = |resource: &str, what: &str, namespace: &str, reference: &Reference| {
        // Why it is not found does not matter: what the token is bound to cannot be shown to be there.
        let object = find(resource, namespace, &reference.name).ok().flatten().ok_or(INVALIDATED)?;
        if object.metadata.uid != reference.uid {
            let (found, claimed) = (&object.metadata.uid, &reference.uid);
            return Err(format!("{what} UID ({found}) does not match service account {what} ref claim ({claimed})"));
        }
        if gone(&object) { Err(INVALIDATED.to_owned()) } else { Ok(()) }
    };
    if let Some(secret) = &kubernetes.secret {
        bound_to("secrets", "secret", namespace, secret)?;
    }
    if let Some(pod) = &kubernetes.pod {
        bound_to("pods", "pod", namespace, pod)?;
    }
    if let (Some(node), None) = (&kubernetes.node, &kubernetes.pod) {
        bound_to("nodes", "node", "", node)?;
    }
    Ok(Account {
        namespace: namespace.clone(),
        name: of.name.clone(),
        uid: of.uid.clone(),
        pod: kubernetes.pod.clone().unwrap_or_default(),
        // Of a pod's token the node is a claim that nobody checks: the pod's own binding is what counts.
        node: kubernetes.node.clone().unwrap_or_default(),
        jti: claims.jti.clone(),
    })
}

fn check_times(claims: &Claims, now: i64) -> Result<(), String> {
    let seconds = |time: Option<f64>| time.map(|time| time as i64);
    if seconds(claims.nbf).is_some_and(|not_before| now + LEEWAY_SECONDS < not_before) {
        return Err("service account token is not valid yet".to_owned());
    }
    if seconds(claims.exp).is_some_and(|expiry| now - LEEWAY_SECONDS > expiry) {
        return Err("service account token has expired".to_owned());
    }
    if seconds(claims.iat).is_some_and(|issued| now + LEEWAY_SECONDS < issued) {
        return Err("service account token is issued in the future".to_owned());
    }
    Ok(())
}

impl Object {
    fn is_gone(&self, before: i64) -> bool {
        let deleted = self.metadata.deletion_timestamp.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        deleted.is_some_and(|deleted| deleted.as_second() < before)
    }
}

/// In the cache, or, as it may be newer than that, in the store.
fn find(resource: &str, namespace: &str, name: &str) -> Result<Option<Object>, String> {
    find_json(resource, namespace, name)?.map(|object| object.parse()).transpose()
}

/// See [`find`].
pub fn find_json(resource: &str, namespace: &str, name: &str) -> Result<Option<Json>, String> {
    match cluster::get("", resource, namespace, name)? {
        Some(object) => Ok(Some(object)),
        None => Ok(cluster::get_live("", resource, namespace, name)?),
    }
}
