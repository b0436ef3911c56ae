//! Field selectors name paths of the API; most are where the object has them, a few are not.

use apimachinery::schema::FieldType;

use crate::Resource;

/// Where a selectable field's value lies in the stored object.
pub fn stored_path(path: &str) -> &str {
    match path {
        "status.successful" => "status.succeeded",
        "source" => "source.component",
        path => path,
    }
}

/// A field as the stored version names it: the two Event resources name the same things differently.
pub fn stored_field(field: &str) -> std::borrow::Cow<'_, str> {
    match field.strip_prefix("regarding.") {
        Some(rest) => format!("involvedObject.{rest}").into(),
        None if field == "reportingController" => "reportingComponent".into(),
        None if field == "spec.host" => "spec.nodeName".into(),
        None => field.into(),
    }
}

/// What is said of a field that may not be selected by. Most kinds with such fields say it alike.
pub fn not_supported(resource: &Resource, field: &str) -> String {
    let quoted = apimachinery::field::go_quote(field);
    match (&*resource.gvk.group, &*resource.gvk.kind) {
        _ if resource.selectable_fields.is_empty() => {
            format!("{quoted} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        ("batch", "Job") => format!("field label {quoted} not supported for Job"),
        ("resource.k8s.io", "ResourceSlice") => format!("field label not supported for {}: {field}", resource.gvk),
        _ => format!("field label not supported: {field}"),
    }
}

/// What a selectable field reads as where the object has none: Go's zero value of its type.
pub fn absent_value(resource: &Resource, path: &str) -> &'static str {
    let mut schema = Some(&resource.schema);
    let mut value = "";
    for name in stored_path(path).split('.') {
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

    #[test]
    fn fields_that_cannot_be_selected_by_are_refused_in_upstreams_words() {
        for (group, version, plural, words) in [
            ("", "v1", "configmaps", r#""x.y" is not a known field selector: only "metadata.name", "metadata.namespace""#),
            ("", "v1", "pods", "field label not supported: x.y"),
            ("batch", "v1", "jobs", r#"field label "x.y" not supported for Job"#),
            ("resource.k8s.io", "v1", "resourceslices", "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x.y"),
        ] {
            assert_eq!(not_supported(crate::tables::find(group, version, plural).expect("a resource"), "x.y"), words);
        }
    }
}
