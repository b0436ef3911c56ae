//! The fields of `metadata` that are the server's.

use std::collections::HashSet;

use apimachinery::{Status, object};
use serde_json::Value;

use crate::Request;

/// RFC 3339 in UTC, whole seconds: `metav1.Time`. A time beyond the years that can be written is the first or the last that can.
pub fn timestamp(seconds: i64) -> String {
    let (first, last) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    jiff::Timestamp::from_second(seconds.clamp(first, last)).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Characters of generated names; no vowels, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const GENERATED_NAME_MAX: usize = 63;

/// `prefix` with five random characters, cut as upstream cuts it.
pub(crate) fn generate_name(prefix: &str) -> String {
    let mut cut = prefix.len().min(GENERATED_NAME_MAX - SUFFIX_LENGTH);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    let random = uuid::Uuid::new_v4().into_bytes();
    let suffix: String = random[..SUFFIX_LENGTH].iter().map(|b| ALPHABET[*b as usize % ALPHABET.len()] as char).collect();
    format!("{}{suffix}", &prefix[..cut])
}

/// Before admission of a create: what only the server says of an object, plugins shall not be told by the client; upstream's
/// `WipeObjectMetaSystemFields`.
pub(crate) fn wipe_for_create(object: &mut Value) {
    let metadata = object::metadata_mut(object);
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(field);
    }
}

/// What was authorized is the request's namespace: an admission plugin may leave it out, and may not change it.
pub(crate) fn keep_namespace(request: &Request, object: &mut Value) -> Result<(), Status> {
    let namespace = object::namespace(object);
    if namespace == request.namespace {
        return Ok(());
    }
    if !namespace.is_empty() && !request.namespace.is_empty() {
        return Err(apimachinery::codec::namespace_mismatch());
    }
    object::set_meta_str(object, "namespace", &request.namespace);
    Ok(())
}

/// Before a create: identity and time are the server's to give.
pub(crate) fn fill_for_create(request: &Request, object: &mut Value) {
    let metadata = object::metadata_mut(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), timestamp(request.context.now_seconds()).into());
    if request.resource.namespaced() {
        metadata.insert("namespace".into(), request.namespace.clone().into());
    } else {
        metadata.remove("namespace");
    }
}

/// When owner references are looked at once more, in the words of the warning.
pub(crate) const AFTER_MUTATION: &str = " after mutating admission happens";

/// Keeps the first of equal owner references, and says so, as upstream does before mutating admission and after.
pub(crate) fn drop_repeated_owners(object: &mut Value, when: &str) -> Vec<String> {
    let metadata = object::metadata_mut(object);
    let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut first = owners.iter().map(|owner| seen.insert(owner)).collect::<Vec<_>>().into_iter();
    let mut repeated = Vec::new();
    owners.retain(|owner| {
        let keep = first.next().unwrap_or(true);
        if !keep {
            repeated.push(owner.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        keep
    });
    if repeated.is_empty() {
        return Vec::new();
    }
    vec![format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests \
         as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    )]
}

/// Before a kind prepares an update: what no client may say.
pub(crate) fn fill_for_update(object: &mut Value, old: &Value) {
    if object::namespace(object).is_empty() {
        keep(object, old, "namespace");
    }
    keep(object, old, "generation");
    keep(object, old, "selfLink");
    object::metadata_mut(object).remove("managedFields");
}

/// After a kind prepared an update and before it is validated: identity and the time of deletion stay as they are, whatever the client
/// and the kind made of them (upstream's `BeforeUpdate`). What is set here is what validation would refuse to see changed; an update that
/// brings a time of deletion of its own to an object that is not being deleted is left to validation.
pub(crate) fn keep_identity(object: &mut Value, old: &Value) {
    let is_nil = |object: &Value, field: &str| object.get("metadata").and_then(|metadata| metadata.get(field)).is_none_or(Value::is_null);
    if object::uid(object).is_empty() {
        keep(object, old, "uid");
    }
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if is_nil(object, field) || !object::meta_str(old, field).is_empty() {
            keep(object, old, field);
        }
    }
    if is_nil(object, "deletionGracePeriodSeconds") {
        keep(object, old, "deletionGracePeriodSeconds");
    }
}

/// Puts a field of `metadata` back to what it was.
fn keep(object: &mut Value, old: &Value, field: &str) {
    let metadata = object::metadata_mut(object);
    match old.get("metadata").and_then(|old| old.get(field)) {
        Some(value) => drop(metadata.insert(field.to_owned(), value.clone())),
        None => drop(metadata.remove(field)),
    }
}

/// Adds one to `metadata.generation` where the kind has one.
pub fn bump_generation(object: &mut Value) {
    let metadata = object::metadata_mut(object);
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|generation| *generation > 0) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit() {
        for prefix in ["", "a-", &"x".repeat(80), &"é".repeat(40)] {
            let name = generate_name(prefix);
            assert!(name.len() <= GENERATED_NAME_MAX, "{name}");
            assert!(prefix.starts_with(&name[..name.len() - SUFFIX_LENGTH]));
        }
    }
}
