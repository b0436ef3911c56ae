//! Admission `NamespaceLifecycle`: nothing is made in a namespace that is not there or is going away, and three namespaces
//! never go away.
//!
//! It is a mutating plugin that changes nothing, as upstream's: so it stands before those that would look into the namespace.

use wasmgate_sdk::admission::{GroupVersionKind, GroupVersionResource};
use wasmgate_sdk::cluster;
use wasmgate_sdk::json::Json;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

/// These cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
/// The plugin. Upstream remembers which namespaces were deleted, because its cache may lag behind what the same server wrote; this server's
/// does not.
#[derive(Default)]
pub struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {}

impl MutatingAdmission for NamespaceLifecycle {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        check(request).map(|()| Patch::unchanged())
    }
}

wasmgate_sdk::plugin!(NamespaceLifecycle: mutating_admission);

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Input {
    operation: Operation,
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    namespace: String,
    name: String,
    lookups: Lookups,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Lookups {
    namespace: Option<Namespace>,
}

fn check(request: &Request) -> Result<(), Denial> {
    let Input { operation, kind, resource, namespace, name, lookups } = request.input()?;
    if kind.group.is_empty() && kind.kind == "Namespace" {
        if operation == Operation::Delete && IMMORTAL.contains(&name.as_str()) {
            return Err(Status::forbidden(&resource.group, &resource.resource, &name, "this namespace may not be deleted").into());
        }
        return Ok(());
    }
    // To be told "not found" here would tell of namespaces to somebody who may only ask what they may do.
    let access_review = resource.group == "authorization.k8s.io" && resource.resource == "localsubjectaccessreviews";
    if namespace.is_empty() || operation == Operation::Delete || access_review {
        return Ok(());
    }
    let phase = match lookups.namespace {
        Some(namespace) => namespace.status.phase,
        None => live_phase(&namespace)?,
    };
    if operation == Operation::Create && phase == "Terminating" {
        let denial = request
            .forbidden(&format!("unable to create new content in namespace {namespace} because it is being terminated"))
            .cause("NamespaceTerminating", format!("namespace {namespace} is being terminated"), "metadata.namespace");
        return Err(denial.into());
    }
    Ok(())
}

/// The phase of a namespace that the cache does not have: another server may just have made it.
fn live_phase(name: &str) -> Result<String, Denial> {
    let internal = |error: LookupError| Denial::Status(Status::internal(&error.message));
    match cluster::get_live("", "namespaces", "", name).map_err(internal)? {
        Some(namespace) => Ok(phase_of(&namespace)),
        None => Err(Status::not_found("", "namespaces", name).into()),
    }
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Namespace {
    status: NamespaceStatus,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct NamespaceStatus {
    phase: String,
}

fn phase_of(namespace: &Json) -> String {
    namespace.parse::<Namespace>().unwrap_or_default().status.phase
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionKind, GroupVersionResource};
    use wasmgate_sdk::serde_json::{Value, json};
    use wasmgate_sdk::testing;

    use super::*;

    fn namespace(name: &str, phase: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {"phase": phase}})
    }

    /// `group/kind/resource`, a namespace and a name.
    fn request(operation: Operation, what: &str, namespace: &str, name: &str) -> Request<'static> {
        let parts: Vec<String> = what.split('/').map(str::to_owned).collect();
        let [group, kind, resource] = parts.try_into().expect("three parts");
        Request::new(
            Attributes {
                operation,
                kind: GroupVersionKind { group: group.clone(), version: "v1".to_owned(), kind },
                resource: GroupVersionResource { group, version: "v1".to_owned(), resource },
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                ..Attributes::default()
            },
            None,
            None,
        )
        .with_lookup(
            "namespace",
            cluster::get("", "namespaces", "", namespace).expect("a look-up").map_or(Value::Null, |json| json.value()),
        )
    }

    fn message(answer: Result<Patch, Denial>) -> String {
        match answer {
            Ok(patch) if patch.is_empty() => String::new(),
            Ok(_) => "changed".to_owned(),
            Err(Denial::Forbidden(message)) => message,
            Err(Denial::Status(status)) => status.message().to_owned(),
        }
    }

    #[test]
    fn what_is_refused() {
        use Operation::{Create, Delete, Update};
        const MAP: &str = "/ConfigMap/configmaps";
        const NAMESPACE: &str = "/Namespace/namespaces";
        testing::put("", "namespaces", namespace("on", "Active"));
        testing::put("", "namespaces", namespace("off", "Terminating"));
        testing::put_live("", "namespaces", namespace("fresh", "Active"));
        let review = "authorization.k8s.io/LocalSubjectAccessReview/localsubjectaccessreviews";
        let off = r#"configmaps "x" is forbidden: unable to create new content in namespace off because it is being terminated"#;
        let immortal = r#"namespaces "kube-system" is forbidden: this namespace may not be deleted"#;
        let rows = [
            (Create, MAP, "on", "x", ""),
            (Create, MAP, "fresh", "x", ""),
            (Create, MAP, "none", "x", r#"namespaces "none" not found"#),
            (Update, MAP, "none", "x", r#"namespaces "none" not found"#),
            (Delete, MAP, "none", "x", ""),
            (Create, review, "none", "", ""),
            (Create, MAP, "off", "x", off),
            (Update, MAP, "off", "x", ""),
            (Create, "/Node/nodes", "", "x", ""),
            (Create, NAMESPACE, "off", "off", ""),
            (Delete, NAMESPACE, "kube-system", "kube-system", immortal),
            (Delete, NAMESPACE, "kube-node-lease", "kube-node-lease", ""),
            (Delete, "apps/Namespace/namespaces", "", "default", ""),
        ];
        for (operation, what, namespace, name, want) in rows {
            let answer = NamespaceLifecycle.admit(&request(operation, what, namespace, name));
            assert_eq!(message(answer), want, "{operation:?} {what} {namespace} {name}");
        }
    }

    #[test]
    fn a_termination_has_its_cause() {
        testing::put("", "namespaces", namespace("off", "Terminating"));
        let answer = NamespaceLifecycle.admit(&request(Operation::Create, "apps/Deployment/deployments", "off", "d"));
        let Err(Denial::Status(status)) = answer else { panic!("{answer:?}") };
        let want = json!({"name": "d", "group": "apps", "kind": "deployments", "causes": [
            {"reason": "NamespaceTerminating", "message": "namespace off is being terminated", "field": "metadata.namespace"}]});
        assert_eq!(status.as_value()["details"], want);
        assert_eq!(status.as_value()["code"], 403);
    }
}
