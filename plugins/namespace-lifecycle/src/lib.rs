//! Admission `NamespaceLifecycle`: nothing is made in a namespace that is not there or is going away, and three namespaces
//! never go away.
//!
//! It is a mutating plugin that changes nothing, as upstream's: so it stands before those that would look into the namespace.

use std::cell::RefCell;

use wasmgate_sdk::admission::{GroupVersionKind, GroupVersionResource};
use wasmgate_sdk::json::Json;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::{clock, cluster};

/// These cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
/// How long after its deletion a namespace is read from the store, where the cache still calls it active.
const FORCE_LIVE_MILLISECONDS: u64 = 30_000;
/// How many of those are remembered.
const FORCE_LIVE_NAMESPACES_MAX: usize = 100;

/// The plugin.
#[derive(Default)]
pub struct NamespaceLifecycle {
    /// Names, and until when. A second call for one request does no harm: it only looks closer.
    force_live: RefCell<Vec<(String, u64)>>,
}

impl Plugin for NamespaceLifecycle {}

impl MutatingAdmission for NamespaceLifecycle {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        self.check(request).map(|()| Patch::unchanged())
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

impl NamespaceLifecycle {
    fn check(&self, request: &Request) -> Result<(), Denial> {
        let Input { operation, kind, resource, namespace, name, lookups } = request.input()?;
        let of_namespaces = kind.group.is_empty() && kind.kind == "Namespace";
        if of_namespaces {
            if operation == Operation::Delete {
                if IMMORTAL.contains(&name.as_str()) {
                    return Err(Status::forbidden(&resource.group, &resource.resource, &name, "this namespace may not be deleted").into());
                }
                self.remember(&name);
            }
            return Ok(());
        }
        // To be told "not found" here would tell of namespaces to somebody who may only ask what they may do.
        let access_review = resource.group == "authorization.k8s.io" && resource.resource == "localsubjectaccessreviews";
        if namespace.is_empty() || operation == Operation::Delete || access_review {
            return Ok(());
        }
        let phase = self.phase(&namespace, lookups.namespace)?;
        if operation == Operation::Create && phase == "Terminating" {
            let denial = request
                .forbidden(&format!("unable to create new content in namespace {namespace} because it is being terminated"))
                .cause("NamespaceTerminating", format!("namespace {namespace} is being terminated"), "metadata.namespace");
            return Err(denial.into());
        }
        Ok(())
    }

    /// The namespace's phase. Where the cache has none, or is known to lag behind a deletion, the store is asked.
    fn phase(&self, name: &str, cached: Option<Namespace>) -> Result<String, Denial> {
        let internal = |error: LookupError| Denial::Status(Status::internal(&error.message));
        match cached.map(|namespace| namespace.status.phase) {
            Some(phase) if !(phase == "Active" && self.is_remembered(name)) => Ok(phase),
            _ => match cluster::get_live("", "namespaces", "", name).map_err(internal)? {
                Some(namespace) => Ok(phase_of(&namespace)),
                None => Err(Status::not_found("", "namespaces", name).into()),
            },
        }
    }

    fn remember(&self, name: &str) {
        let now = clock::now_milliseconds();
        let mut remembered = self.force_live.borrow_mut();
        remembered.retain(|(other, until)| other != name && *until > now);
        if remembered.len() == FORCE_LIVE_NAMESPACES_MAX {
            remembered.remove(0);
        }
        remembered.push((name.to_owned(), now + FORCE_LIVE_MILLISECONDS));
    }

    fn is_remembered(&self, name: &str) -> bool {
        let remembered = self.force_live.borrow();
        remembered.iter().any(|(other, until)| other == name && *until > clock::now_milliseconds())
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
            let answer = NamespaceLifecycle::default().admit(&request(operation, what, namespace, name));
            assert_eq!(message(answer), want, "{operation:?} {what} {namespace} {name}");
        }
    }

    #[test]
    fn a_termination_has_its_cause() {
        testing::put("", "namespaces", namespace("off", "Terminating"));
        let answer = NamespaceLifecycle::default().admit(&request(Operation::Create, "apps/Deployment/deployments", "off", "d"));
        let Err(Denial::Status(status)) = answer else { panic!("{answer:?}") };
        let want = json!({"name": "d", "group": "apps", "kind": "deployments", "causes": [
            {"reason": "NamespaceTerminating", "message": "namespace off is being terminated", "field": "metadata.namespace"}]});
        assert_eq!(status.as_value()["details"], want);
        assert_eq!(status.as_value()["code"], 403);
    }

    #[test]
    fn after_a_deletion_the_store_is_asked() {
        let plugin = NamespaceLifecycle::default();
        let create = || request(Operation::Create, "/ConfigMap/configmaps", "on", "x");
        testing::set_now_milliseconds(1_000);
        testing::put("", "namespaces", namespace("on", "Active"));
        testing::put_live("", "namespaces", namespace("on", "Terminating"));
        assert_eq!(message(plugin.admit(&create())), "");
        assert_eq!(message(plugin.admit(&request(Operation::Delete, "/Namespace/namespaces", "on", "on"))), "");
        assert!(message(plugin.admit(&create())).ends_with("because it is being terminated"));
        testing::set_now_milliseconds(1_000 + FORCE_LIVE_MILLISECONDS);
        assert_eq!(message(plugin.admit(&create())), "");
    }
}
