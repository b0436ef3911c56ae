//! Admission `RuntimeClass`: a pod gets the overhead, the node selector and the tolerations of its runtime class, and no
//! overhead of its own.
//!
//! A pod that names no class is admitted after one look at its spec: the field is rare.

mod tolerations;

use std::collections::BTreeMap;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::cluster;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::{self, Map, Value};

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const UNEXPECTED: &str = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

/// The plugin.
#[derive(Default)]
pub struct RuntimeClass;

impl Plugin for RuntimeClass {}

impl MutatingAdmission for RuntimeClass {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let Some(pod) = new_pod(request) else { return Ok(patch) };
        let Some(class) = class_of(pod)? else { return Ok(patch) };
        if let Some(overhead) = &class.overhead {
            let given = pod.get("/spec/overhead").filter(|given| given.as_object().is_some_and(|given| !given.is_empty()));
            if given.as_ref().is_some_and(|given| !same_amounts(given, &overhead.pod_fixed)) {
                return Err(deny_forbidden(MISMATCH));
            }
            if given.is_none() && !overhead.pod_fixed.is_empty() {
                patch.add("/spec/overhead", &overhead.pod_fixed);
            }
        }
        if let Some(scheduling) = &class.scheduling {
            place(pod, scheduling, &mut patch)?;
        }
        Ok(patch)
    }
}

impl ValidatingAdmission for RuntimeClass {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let Some(pod) = new_pod(request) else { return Ok(()) };
        let given = pod.get("/spec/overhead").filter(|given| !given.is_null());
        match class_of(pod)?.and_then(|class| class.overhead) {
            Some(overhead) if !same_amounts(given.as_ref().unwrap_or(&Value::Null), &overhead.pod_fixed) => Err(deny_forbidden(MISMATCH)),
            None if given.is_some() => Err(deny_forbidden(UNEXPECTED)),
            _ => Ok(()),
        }
    }
}

wasmgate_sdk::plugin!(RuntimeClass: mutating_admission, validating_admission);

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Class {
    overhead: Option<Overhead>,
    scheduling: Option<Scheduling>,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Overhead {
    #[serde(default)]
    pod_fixed: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[derive(Default)]
struct Scheduling {
    node_selector: BTreeMap<String, String>,
    tolerations: Vec<Value>,
}

fn new_pod<'a>(request: &'a Request) -> Option<&'a Object<'a>> {
    request.object().filter(|_| request.operation == Operation::Create && request.is("", "pods"))
}

/// The class that the pod names. Where the cache has none of that name, the store is asked: it may be new.
fn class_of(pod: &Object) -> Result<Option<Class>, Denial> {
    let Some(name) = pod.get_str("/spec/runtimeClassName") else { return Ok(None) };
    let internal = |error: String| Denial::Status(Status::internal(&error));
    let failed = |error: LookupError| internal(error.message);
    let (group, resource) = ("node.k8s.io", "runtimeclasses");
    let found = match cluster::get(group, resource, "", &name).map_err(failed)? {
        Some(found) => Some(found),
        None => cluster::get_live(group, resource, "", &name).map_err(failed)?,
    };
    match found {
        Some(found) => found.parse().map(Some).map_err(internal),
        None => Err(deny_forbidden(format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}

/// Whether two lists of resources are the same amounts, however they are written. What is missing is an empty list.
fn same_amounts(given: &Value, fixed: &Map<String, Value>) -> bool {
    let amount = |value: &Value| value.as_str().and_then(Quantity::parse);
    let none = Map::new();
    let given = given.as_object().unwrap_or(&none);
    given.len() == fixed.len()
        && given.iter().all(|(name, given)| fixed.get(name).is_some_and(|fixed| given == fixed || amount(given) == amount(fixed)))
}

fn place(pod: &Object, scheduling: &Scheduling, patch: &mut Patch) -> Result<(), Denial> {
    let known: Option<BTreeMap<String, String>> = pod.get("/spec/nodeSelector").and_then(|known| serde_json::from_value(known).ok());
    let mut selector = known.clone().unwrap_or_default();
    for (key, value) in &scheduling.node_selector {
        if let Some(pods) = selector.insert(key.clone(), value.clone()).filter(|pods| pods != value) {
            return Err(deny_forbidden(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {pods}"
            )));
        }
    }
    if selector != known.unwrap_or_default() {
        patch.add("/spec/nodeSelector", selector);
    }
    let known = match pod.get("/spec/tolerations") {
        Some(Value::Array(known)) => known,
        _ => Vec::new(),
    };
    let merged = tolerations::merge(&known, &scheduling.tolerations);
    if merged != known {
        patch.add("/spec/tolerations", merged);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
