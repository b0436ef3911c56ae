//! What clients are warned of about a Pod.

use apimachinery::field::Path;
use serde_json::Value;

use crate::shared::field_value::FieldValue;
use crate::shared::pod::warnings::{APP_ARMOR_CONTAINER, USE_APP_ARMOR_PROFILE, app_armor_profile, containers, spec_and_metadata};
use crate::shared::value::text;
use crate::shared::warnings::{self, Warnings};

/// When it is made. An update is not looked at: it comes often, and hardly ever from people.
pub(crate) fn warn(pod: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_none() {
        let root = FieldValue::root(pod);
        warnings::not_a_hostname(&root, "the Pod's hostname", warnings);
        spec_and_metadata(&root, warnings);
    }
}

/// Addresses in its status.
pub(crate) fn warn_of_status(pod: &Value, warnings: &mut Warnings) {
    let status = FieldValue::root(pod).child("status");
    for list in ["podIPs", "hostIPs"] {
        status.items(list).for_each(|item| warnings::address(&item.child("ip"), warnings));
    }
}

/// Annotations from which preparation is about to fill in fields.
pub(crate) fn warn_before_preparation(pod: &Value) -> Vec<String> {
    let path = Path::new("metadata").child("annotations");
    app_armor_to_fill_in(pod).into_iter().map(|found| format!("{}: {USE_APP_ARMOR_PROFILE}", path.key(&found.annotation))).collect()
}

/// A container's AppArmor profile that only an annotation tells.
pub(crate) struct AppArmorAnnotation {
    /// The annotation's key.
    pub(crate) annotation: String,
    /// `containers`, …, and where in it.
    pub(crate) container: (&'static str, usize),
    /// What the field is to be; none where the annotation says nothing that a field can say.
    pub(crate) profile: Option<Value>,
}

/// The AppArmor annotations of a pod that differ from its fields. On Windows there is no AppArmor.
pub(crate) fn app_armor_to_fill_in(pod: &Value) -> Vec<AppArmorAnnotation> {
    let spec = &pod["spec"];
    let Some(annotations) = pod.pointer("/metadata/annotations").and_then(Value::as_object) else { return Vec::new() };
    if spec.pointer("/os/name").is_some_and(|name| name == "windows") {
        return Vec::new();
    }
    let of_pod = spec.pointer("/securityContext/appArmorProfile").filter(|profile| !profile.is_null());
    let mut found = Vec::new();
    for (list, index, container) in containers(&FieldValue::root(spec)).map(|(list, index, at)| (list, index, at.value)) {
        let key = format!("{APP_ARMOR_CONTAINER}{}", text(container, "name"));
        let Some(annotation) = annotations.get(&key).and_then(Value::as_str) else { continue };
        if container.pointer("/securityContext/appArmorProfile").is_some_and(|profile| !profile.is_null()) {
            continue;
        }
        let profile = app_armor_profile(annotation).filter(is_valid_app_armor_profile);
        if profile.is_none() || profile.as_ref() != of_pod {
            found.push(AppArmorAnnotation { annotation: key, container: (list, index), profile });
        }
    }
    found
}

fn is_valid_app_armor_profile(profile: &Value) -> bool {
    const LOCALHOST_PROFILE_BYTES_MAX: usize = 4095;
    let name = text(profile, "localhostProfile");
    name.trim() == name && name.len() <= LOCALHOST_PROFILE_BYTES_MAX
}
