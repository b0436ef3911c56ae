//! Field selectors name paths of the API; most are where the object has them, a few are not.

use apimachinery::field::go_quote;
use apimachinery::schema::FieldType;

use crate::{Resource, kinds};

/// Where a selectable field's value lies in the stored object: the first of these paths that has one. `resource` is of the stored version.
pub fn stored_paths<'a>(resource: &Resource, path: &'a str) -> Vec<&'a str> {
    let known = kinds::of(resource).stored_paths.iter().find(|(field, _)| *field == path);
    known.map_or_else(|| vec![path], |(_, paths)| paths.to_vec())
}

/// Why a resource's selectors cannot name a field, in upstream's words; none where they can.
pub fn refusal(resource: &Resource, field: &str) -> Option<String> {
    let has_fields = !resource.selectable_fields.is_empty();
    let known = match field {
        "metadata.name" => true,
        // Kinds that list their fields list this one only where it can differ.
        "metadata.namespace" => !has_fields || resource.namespaced(),
        field => resource.selectable_fields.iter().any(|known| known == field),
    };
    if known {
        return None;
    }
    if has_fields {
        return Some((kinds::of(resource).unknown_field)(&resource.gvk, field));
    }
    Some(format!("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", go_quote(field)))
}

/// A field of a resource as the stored version names it: the two Event resources name the same things differently.
pub fn stored_field<'a>(resource: &Resource, field: &'a str) -> &'a str {
    let known = kinds::of(resource).stored_fields.iter().find(|(name, _)| *name == field);
    known.map_or(field, |(_, stored)| *stored)
}

/// What a selectable field reads as where the object has none: Go's zero value of its type.
pub fn absent_value(resource: &Resource, path: &str) -> &'static str {
    let mut schema = Some(&resource.schema);
    let mut value = "";
    for name in stored_paths(resource, path)[0].split('.') {
        let Some(field) = schema.and_then(|schema| schema.field(name)) else { return "" };
        (schema, value) = match &field.kind {
            FieldType::Object(schema) => (Some(schema), ""),
            FieldType::Bool => (None, "false"),
            FieldType::Int32 | FieldType::Int64 => (None, "0"),
            _ => (None, ""),
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn fields_are_known_or_refused_as_each_kind_has_it() {
        let unknown = |field: &str| Some(format!("field label not supported: {field}"));
        let by_default =
            |field: &str| Some(format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""));
        for (group, version, resource, field, want) in [
            ("", "v1", "pods", "metadata.namespace", None),
            ("", "v1", "pods", "spec.host", None),
            ("", "v1", "pods", "status.podIPs", None),
            ("", "v1", "pods", "spec.other", unknown("spec.other")),
            ("", "v1", "nodes", "metadata.name", None),
            ("", "v1", "nodes", "spec.unschedulable", None),
            ("", "v1", "nodes", "metadata.namespace", unknown("metadata.namespace")),
            ("", "v1", "namespaces", "metadata.namespace", unknown("metadata.namespace")),
            ("", "v1", "namespaces", "name", unknown("name")),
            ("certificates.k8s.io", "v1", "certificatesigningrequests", "metadata.namespace", unknown("metadata.namespace")),
            ("", "v1", "configmaps", "metadata.namespace", None),
            ("", "v1", "configmaps", "data.a", by_default("data.a")),
            ("", "v1", "persistentvolumes", "metadata.namespace", None),
            ("", "v1", "persistentvolumes", "name", by_default("name")),
            ("apps", "v1", "replicasets", "status.replicas", by_default("status.replicas")),
            ("", "v1", "events", "source", None),
            ("events.k8s.io", "v1", "events", "source", unknown("source")),
            ("events.k8s.io", "v1", "events", "regarding.name", None),
            ("events.k8s.io", "v1", "events", "involvedObject.name", unknown("involvedObject.name")),
            ("batch", "v1", "jobs", "spec.a", Some("field label \"spec.a\" not supported for Job".to_owned())),
            (
                "resource.k8s.io",
                "v1",
                "resourceslices",
                "metadata.namespace",
                Some("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: metadata.namespace".to_owned()),
            ),
        ] {
            let row = tables::find(group, version, resource).expect("a built-in resource");
            assert_eq!(refusal(row, field), want, "{field} of {resource}");
        }
    }
}
