//! Tables: what `kubectl get` shows, as upstream's printers make it (`pkg/printers/internalversion`).
//!
//! An object comes in the version that the client asked for; a row is a function of it and of the time. Columns are data
//! (`data/columns.txt`); cells are one small function a kind (`Kind::printer`). Upstream's server always makes the wide table:
//! clients leave out the columns whose priority is not 0.
//!
//! **Architecture invariant:** pure functions; the clock is handed in.

use apimachinery::object;
use apimachinery::time::Time;
use serde_json::{Map, Value, json};

use super::kind::{Kind, Printer};
use crate::shared::cell::{age, cells, name};
use crate::{Resource, tables};

mod generated {
    use super::Column;

    include!(concat!(env!("OUT_DIR"), "/columns.rs"));
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The head.
    pub name: &'static str,
    /// An OpenAPI type: `string`, `integer`, `boolean`, `date`.
    pub kind: &'static str,
    /// `name` for the column that names the object; empty for most.
    pub format: &'static str,
    /// For a person.
    pub description: &'static str,
    /// 0: always shown; more: shown where there is room.
    pub priority: i32,
}

/// What a row carries besides its cells (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// `PartialObjectMetadata`; also where the client does not say.
    #[default]
    Metadata,
    /// The object.
    Object,
}

/// Columns and cells of a resource.
#[derive(Clone, Copy)]
struct Layout {
    columns: &'static [Column],
    printer: Printer,
}

impl Layout {
    fn new(columns: &'static [Column], kind: &Kind) -> Self {
        Self { columns, printer: kind.printer.unwrap_or(name_and_time) }
    }

    fn of(resource: &Resource) -> Self {
        let columns = if tables::is_built_in(resource) { columns_of(&resource.gvr.group, &resource.gvr.resource) } else { None };
        columns.map_or_else(|| Self { columns: custom_columns(), printer: name_and_age }, |columns| Self::new(columns, super::of(resource)))
    }

    /// A subresource may give another kind than the resource's.
    fn of_object(resource: &Resource, object: &Value) -> Self {
        if object["kind"] == "Scale" && object["apiVersion"] == "autoscaling/v1" {
            return Self::new(columns_of("autoscaling", "scale").expect("it is in data/columns.txt"), super::find("autoscaling", "Scale"));
        }
        Self::of(resource)
    }
}

/// `None`: neither a built-in resource with rows, nor a kind that a subresource gives.
fn columns_of(group: &str, plural: &str) -> Option<&'static [Column]> {
    let found = generated::COLUMNS.binary_search_by(|(g, p, _)| (*g, *p).cmp(&(group, plural))).ok()?;
    Some(generated::COLUMNS[found].2)
}

/// Of a custom resource that says nothing of columns: the name, and an age that is called a date.
fn custom_columns() -> &'static [Column] {
    static COLUMNS: std::sync::LazyLock<[Column; 2]> = std::sync::LazyLock::new(|| {
        let standard = columns_of("", "serviceaccounts").expect("it is in data/columns.txt");
        [standard[0], Column { kind: "date", ..standard[1] }]
    });
    &*COLUMNS
}

/// The columns of a resource's table.
pub fn columns(resource: &Resource) -> &'static [Column] {
    Layout::of(resource).columns
}

/// The cells of an object's row.
pub fn cells(resource: &Resource, object: &Value, now_seconds: i64) -> Vec<Value> {
    (Layout::of_object(resource, object).printer)(object, now_seconds)
}

/// The row of an object: cells, conditions, and what it carries.
pub fn row(resource: &Resource, object: &Value, include: IncludeObject, now_seconds: i64) -> Value {
    let mut row = Map::new();
    row.insert("cells".to_owned(), cells(resource, object, now_seconds).into());
    if let Some(conditions) = (super::of(resource).row_conditions)(object) {
        row.insert("conditions".to_owned(), conditions);
    }
    let carried = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => partial_object_metadata(object),
        IncludeObject::Object => object.clone(),
    };
    row.insert("object".to_owned(), carried);
    row.into()
}

/// A `Table` of `meta.k8s.io/v1`. `objects` are whole, in the version asked for; `metadata` is the list's, or for a single object
/// its `resourceVersion` alone. See [`to_v1beta1`].
pub fn table(resource: &Resource, objects: &[Value], metadata: Value, include: IncludeObject, now_seconds: i64) -> Value {
    let layout = objects.first().map_or_else(|| Layout::of(resource), |object| Layout::of_object(resource, object));
    let mut objects: Vec<&Value> = objects.iter().collect();
    (super::of(resource).order_rows)(&mut objects);
    let rows: Vec<Value> = objects.into_iter().map(|object| row(resource, object, include, now_seconds)).collect();
    // Upstream's plain tables have no rows at all where there are none.
    let no_rows = rows.is_empty() && layout.columns.last().is_some_and(|column| column.name == "Created At");
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": layout.columns.iter().map(column_definition).collect::<Vec<_>>(),
        "rows": if no_rows { Value::Null } else { rows.into() },
    })
}

fn column_definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// Makes a `Table`, or a `PartialObjectMetadata`, one of `meta.k8s.io/v1beta1`; what its rows carry, too.
pub fn to_v1beta1(shown: &mut Value) {
    let is_ours = |value: &Value| value["apiVersion"] == "meta.k8s.io/v1";
    if let Some(Value::Array(rows)) = shown.get_mut("rows") {
        for carried in rows.iter_mut().filter_map(|row| row.get_mut("object")).filter(|carried| is_ours(carried)) {
            carried["apiVersion"] = "meta.k8s.io/v1beta1".into();
        }
    }
    if is_ours(shown) {
        shown["apiVersion"] = "meta.k8s.io/v1beta1".into();
    }
}

fn drop_annotations(metadata: &mut Value, names: &[&str]) {
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations").filter(|_| !names.is_empty()) else { return };
    annotations.retain(|key, _| !names.contains(&key.as_str()));
    if annotations.is_empty() {
        metadata.as_object_mut().expect("it has annotations").remove("annotations");
    }
}

/// The row of the kind that an object says it is of.
fn kind_of(object: &Value) -> &'static Kind {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    super::find(group, text("kind"))
}

/// The `PartialObjectMetadata` of an object.
pub fn partial_object_metadata(object: &Value) -> Value {
    let mut metadata = object.get("metadata").filter(|metadata| metadata.is_object()).cloned().unwrap_or_else(|| json!({}));
    drop_annotations(&mut metadata, kind_of(object).round_trip_annotations);
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
}

/// Of kinds that have no printer: the name, and when the object was made.
fn name_and_time(object: &Value, _now: i64) -> Vec<Value> {
    let created = object::meta_str(object, "creationTimestamp");
    let created = Time::parse(created).map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), Time::rfc3339);
    cells![name(object), created]
}

pub(crate) fn name_and_age(object: &Value, now: i64) -> Vec<Value> {
    cells![name(object), age(object, now)]
}

#[cfg(test)]
mod tests;
