//! What clients may not set of a CertificateSigningRequest, and what the server sets (upstream: `pkg/registry/certificates/certificates`).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::kinds::strategy::Context;
use crate::shared::value::{has, if_nil, list, list_mut, object_at, remove, restore, set, text};

/// Nothing of a request changes but by its subresources.
pub(crate) fn prepare(_: &Resource, request: &mut Value, old: Option<&Value>) {
    if let Some(old) = old {
        restore(request, old, "spec");
    }
}

/// Approvals stay as they were given; `approval` changes conditions only.
pub(crate) fn prepare_subresource(_: &Resource, subresource: &str, request: &mut Value, old: &Value) {
    match subresource {
        "status" => {
            for kind in ["Approved", "Denied"] {
                preserve_conditions(request, old, kind);
            }
        }
        "approval" => {
            let conditions = remove(object_at(request, "status"), "conditions");
            restore(request, old, "spec");
            restore(request, old, "status");
            let status = object_at(request, "status");
            match conditions {
                Some(conditions) => set(status, "conditions", conditions),
                None => {
                    remove(status, "conditions");
                }
            }
        }
        _ => {}
    }
}

fn preserve_conditions(request: &mut Value, old: &Value, kind: &str) {
    let of_kind = |request: &Value| -> Vec<Value> {
        list(&request["status"], "conditions").iter().filter(|condition| text(condition, "type") == kind).cloned().collect()
    };
    let kept = of_kind(old);
    if kept.len() == of_kind(request).len() {
        let new = list_mut(object_at(request, "status"), "conditions").filter(|condition| text(condition, "type") == kind);
        new.zip(kept).for_each(|(new, old)| *new = old);
    }
}

/// Who asks for the certificate, and when conditions changed.
pub(crate) fn stamp(request: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    let Some(old) = old else { return stamp_user(request, context) };
    if context.subresource.is_none() {
        return;
    }
    let mut since: HashMap<[&Value; 2], &Value> = HashMap::new();
    for old in list(&old["status"], "conditions").iter().filter(|old| has(old, "lastTransitionTime")) {
        since.entry([&old["type"], &old["status"]]).or_insert(&old["lastTransitionTime"]);
    }
    for condition in list_mut(object_at(request, "status"), "conditions") {
        if_nil(condition, "lastUpdateTime", context.now);
        if !has(condition, "lastTransitionTime") {
            let since = since.get(&[&condition["type"], &condition["status"]]).map(|since| (*since).clone());
            set(condition, "lastTransitionTime", since.unwrap_or_else(|| context.now.into()));
        }
    }
}

fn stamp_user(request: &mut Value, context: &Context<'_>) {
    let spec = object_at(request, "spec");
    for name in ["username", "uid", "groups", "extra"] {
        remove(spec, name);
    }
    for (name, value) in [("username", context.username), ("uid", context.uid)] {
        if !value.is_empty() {
            set(spec, name, value);
        }
    }
    if !context.groups.is_empty() {
        set(spec, "groups", context.groups.to_vec());
    }
    if !context.extra.is_empty() {
        set(spec, "extra", context.extra.iter().map(|(name, values)| (name.clone(), json!(values))).collect::<Map<_, _>>());
    }
}
