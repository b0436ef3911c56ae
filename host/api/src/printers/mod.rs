//! Tables: what `kubectl get` shows, as upstream's printers make it (`pkg/printers/internalversion`).
//!
//! An object comes in the version that the client asked for; a row is a function of it and of the time. Columns are data
//! (`data/columns.txt`); cells are one small function a kind, in files by group. Upstream's server always makes the wide table:
//! clients leave out the columns whose priority is not 0.
//!
//! **Architecture invariant:** pure functions; the clock is handed in.

mod admission;
mod autoscaling;
mod cell;
mod cluster;
mod core;
mod networking;
mod pod;
mod storage;
mod workloads;

use apimachinery::object;
use apimachinery::time::Time;
use serde_json::{Map, Value, json};

use self::cell::{age, cells, name};
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

/// A kind's cells; `now` is in seconds since 1970.
type Printer = fn(object: &Value, now: i64) -> Vec<Value>;

/// By group and plural, sorted: the same rows as `data/columns.txt`, but for those that show only a name and a time.
const PRINTERS: &[(&str, &str, Printer)] = &[
    ("", "componentstatuses", core::component_status),
    ("", "configmaps", core::config_map),
    ("", "endpoints", networking::endpoints),
    ("", "events", core::event),
    ("", "namespaces", core::namespace),
    ("", "nodes", core::node),
    ("", "persistentvolumeclaims", storage::persistent_volume_claim),
    ("", "persistentvolumes", storage::persistent_volume),
    ("", "pods", pod::pod),
    ("", "podtemplates", workloads::pod_template),
    ("", "replicationcontrollers", workloads::replication_controller),
    ("", "resourcequotas", core::resource_quota),
    ("", "secrets", core::secret),
    ("", "serviceaccounts", name_and_age),
    ("", "services", networking::service),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", admission::mutating_admission_policy),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", admission::policy_binding),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", admission::webhook_configuration),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", admission::validating_admission_policy),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", admission::policy_binding),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", admission::webhook_configuration),
    ("apiregistration.k8s.io", "apiservices", cluster::api_service),
    ("apps", "controllerrevisions", workloads::controller_revision),
    ("apps", "daemonsets", workloads::daemon_set),
    ("apps", "deployments", workloads::deployment),
    ("apps", "replicasets", workloads::replica_set),
    ("apps", "statefulsets", workloads::stateful_set),
    ("autoscaling", "horizontalpodautoscalers", autoscaling::horizontal_pod_autoscaler),
    ("autoscaling", "scale", autoscaling::scale),
    ("batch", "cronjobs", workloads::cron_job),
    ("batch", "jobs", workloads::job),
    ("certificates.k8s.io", "certificatesigningrequests", cluster::certificate_signing_request),
    ("coordination.k8s.io", "leases", cluster::lease),
    ("discovery.k8s.io", "endpointslices", networking::endpoint_slice),
    ("events.k8s.io", "events", core::event),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", cluster::flow_schema),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", cluster::priority_level_configuration),
    ("networking.k8s.io", "ingressclasses", networking::ingress_class),
    ("networking.k8s.io", "ingresses", networking::ingress),
    ("networking.k8s.io", "ipaddresses", networking::ip_address),
    ("networking.k8s.io", "networkpolicies", networking::network_policy),
    ("networking.k8s.io", "servicecidrs", networking::service_cidr),
    ("node.k8s.io", "runtimeclasses", cluster::runtime_class),
    ("policy", "poddisruptionbudgets", workloads::pod_disruption_budget),
    ("rbac.authorization.k8s.io", "clusterrolebindings", cluster::role_binding),
    ("rbac.authorization.k8s.io", "rolebindings", cluster::role_binding),
    ("resource.k8s.io", "deviceclasses", name_and_age),
    ("resource.k8s.io", "resourceclaims", cluster::resource_claim),
    ("resource.k8s.io", "resourceclaimtemplates", name_and_age),
    ("resource.k8s.io", "resourceslices", cluster::resource_slice),
    ("scheduling.k8s.io", "priorityclasses", cluster::priority_class),
    ("storage.k8s.io", "csidrivers", storage::csi_driver),
    ("storage.k8s.io", "csinodes", storage::csi_node),
    ("storage.k8s.io", "storageclasses", storage::storage_class),
    ("storage.k8s.io", "volumeattachments", storage::volume_attachment),
    ("storage.k8s.io", "volumeattributesclasses", storage::volume_attributes_class),
];

/// Columns and cells of a resource.
#[derive(Clone, Copy)]
struct Layout {
    columns: &'static [Column],
    printer: Printer,
}

impl Layout {
    /// `None`: neither a built-in resource with rows, nor a kind that a subresource gives.
    fn find(group: &str, plural: &str) -> Option<Self> {
        let found = generated::COLUMNS.binary_search_by(|(g, p, _)| (*g, *p).cmp(&(group, plural))).ok()?;
        let columns = generated::COLUMNS[found].2;
        let printer =
            PRINTERS.binary_search_by(|(g, p, _)| (*g, *p).cmp(&(group, plural))).map_or(name_and_time as Printer, |i| PRINTERS[i].2);
        Some(Self { columns, printer })
    }

    fn of(resource: &Resource) -> Self {
        let built_in = if tables::is_built_in(resource) { Self::find(&resource.gvr.group, &resource.gvr.resource) } else { None };
        built_in.unwrap_or_else(|| Self { columns: custom_columns(), printer: name_and_age })
    }

    /// A subresource may give another kind than the resource's.
    fn of_object(resource: &Resource, object: &Value) -> Self {
        if object["kind"] == "Scale" && object["apiVersion"] == "autoscaling/v1" {
            return Self::find("autoscaling", "scale").expect("it is in data/columns.txt");
        }
        Self::of(resource)
    }
}

/// Of a custom resource that says nothing of columns: the name, and an age that is called a date.
fn custom_columns() -> &'static [Column] {
    static COLUMNS: std::sync::LazyLock<[Column; 2]> = std::sync::LazyLock::new(|| {
        let standard = Layout::find("", "serviceaccounts").expect("it is in data/columns.txt").columns;
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
    if let Some(conditions) = pod::conditions(resource, object) {
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
    let rows: Vec<Value> =
        cluster::in_order(resource, objects).into_iter().map(|object| row(resource, object, include, now_seconds)).collect();
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

/// Annotations that stand for a field which a version lacks. Upstream makes tables and metadata from its own, unversioned form of
/// an object, where they are fields again.
const ROUND_TRIP_ANNOTATIONS: &[(&str, &[&str])] = &[
    ("DaemonSet", &["deprecated.daemonset.template.generation"]),
    ("Deployment", &["deprecated.deployment.rollback.to"]),
    (
        "HorizontalPodAutoscaler",
        &[
            autoscaling::SPECS_ANNOTATION,
            autoscaling::STATUSES_ANNOTATION,
            autoscaling::BEHAVIOR_ANNOTATION,
            autoscaling::CONDITIONS_ANNOTATION,
        ],
    ),
];

fn drop_annotations(metadata: &mut Value, names: &[&str]) {
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else { return };
    annotations.retain(|key, _| !names.contains(&key.as_str()));
    if annotations.is_empty() {
        metadata.as_object_mut().expect("it has annotations").remove("annotations");
    }
}

/// The `PartialObjectMetadata` of an object.
pub fn partial_object_metadata(object: &Value) -> Value {
    let mut metadata = object.get("metadata").filter(|metadata| metadata.is_object()).cloned().unwrap_or_else(|| json!({}));
    if let Some((_, annotations)) = ROUND_TRIP_ANNOTATIONS.iter().find(|(kind, _)| object["kind"] == *kind) {
        drop_annotations(&mut metadata, annotations);
    }
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
}

/// Of kinds that have no printer: the name, and when the object was made.
fn name_and_time(object: &Value, _now: i64) -> Vec<Value> {
    let created = object::meta_str(object, "creationTimestamp");
    let created = Time::parse(created).map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), Time::rfc3339);
    cells![name(object), created]
}

fn name_and_age(object: &Value, now: i64) -> Vec<Value> {
    cells![name(object), age(object, now)]
}

#[cfg(test)]
mod tests;
