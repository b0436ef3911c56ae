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
