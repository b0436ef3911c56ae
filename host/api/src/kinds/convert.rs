//! Conversion between the versions in which a kind is served and the one in which it is stored.
//!
//! Most kinds have one version, or versions of one shape, for which only the name of the version changes. The others, and
//! what upstream's conversion does to them: HorizontalPodAutoscaler (`autoscaling/v1` keeps what it has no fields for in
//! annotations) and Event (two groups, two sets of names). Nothing is lost on a round trip.

use apimachinery::{GroupVersion, GroupVersionKind};
use serde_json::{Value, json};

use crate::Resource;

/// Whether objects of this resource are stored in another form than they are served in.
pub fn needs_conversion(resource: &Resource) -> bool {
    resource.gvk != resource.storage_gvk
}

/// The object as another version has it. What is of that version already, or of an unknown one, only gets its name.
pub fn convert(mut object: Value, to: &GroupVersionKind) -> Value {
    let from = object.get("apiVersion").and_then(Value::as_str).and_then(GroupVersion::parse);
    let Some(from) = from else { return named(object, to) };
    if from == to.group_version() && object.get("kind").and_then(Value::as_str) == Some(&to.kind) {
        return object;
    }
    let conversions = super::find(&to.group, &to.kind).conversions;
    if let Some(known) = conversions.iter().find(|known| known.from == (&*from.group, &*from.version) && known.to == to.version) {
        (known.convert)(&mut object);
    }
    named(object, to)
}

fn named(mut object: Value, to: &GroupVersionKind) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(to.api_version()));
        fields.insert("kind".to_owned(), json!(to.kind));
    }
    object
}
