//! A row for each built-in kind with a rule of its own. Kinds without a row only get upstream's form.

use serde_json::Value;

use super::validation as check;
use super::{
    Generation, Kind, StatusMetadata, admission, autoscaling, certificates, core, device, extension, flowcontrol, networking, pod,
    pod_warnings, rbac, runtime_class, service, storage, value, workload,
};
use crate::Resource;
use crate::strategy::Strategy;

/// The row of a kind; the plain one where it has none.
pub(super) fn find(group: &str, kind: &str) -> &'static dyn Strategy {
    static PLAIN: Kind = Kind::new("", "");
    KINDS.iter().find(|row| row.kind == kind && row.group == group).unwrap_or(&PLAIN)
}

fn spec(new: &Value, old: &Value) -> bool {
    new.get("spec") != old.get("spec")
}

fn template(new: &Value, old: &Value) -> bool {
    new.get("template") != old.get("template")
}

fn webhooks(new: &Value, old: &Value) -> bool {
    new.get("webhooks") != old.get("webhooks")
}

/// Annotations too: they are copied to replica sets.
fn spec_or_annotations(new: &Value, old: &Value) -> bool {
    spec(new, old) || new.pointer("/metadata/annotations") != old.pointer("/metadata/annotations")
}

fn content_or_labels(new: &Value, old: &Value) -> bool {
    let content = |object: &Value| -> Vec<(String, Value)> {
        let fields =
            object.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "metadata" | "kind" | "apiVersion"));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    content(new) != content(old) || new.pointer("/metadata/labels") != old.pointer("/metadata/labels")
}

fn never(_: &Value, _: &Value) -> bool {
    false
}

/// `Lease`: two fields behind a gate that is off by default.
fn prepare_lease(_: &Resource, lease: &mut Value, old: Option<&Value>) {
    for name in ["strategy", "preferredHolder"] {
        let in_use = old.is_some_and(|old| value::has(&old["spec"], name));
        if let Some(spec) = value::object_mut(lease, "spec").filter(|_| !in_use) {
            value::remove(spec, name);
        }
    }
}

/// `PriorityClass`: pods of the system rely on these two.
fn protected_priority_class(name: &str) -> Option<&'static str> {
    matches!(name, "system-node-critical" | "system-cluster-critical").then_some("this is a system priority class and cannot be deleted")
}

const SPEC: Generation = Generation::From1(spec);

const APPS: &str = "apps";
const BATCH: &str = "batch";
const ADMISSION: &str = "admissionregistration.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const FLOWCONTROL: &str = "flowcontrol.apiserver.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

static KINDS: &[Kind] = &[
    // Core, by use.
    Kind::new("", "Pod")
        .status(StatusMetadata::KeepOwners)
        .generation(SPEC)
        .grace(pod::grace_period_seconds)
        .default(pod::default)
        .prepare(pod::prepare)
        .prepare_subresource(pod::prepare_subresource)
        .stamp(pod::stamp)
        .validate(check::pod::validate)
        .validate_update(check::pod::validate_update)
        .validate_subresource(check::pod::validate_subresource)
        .warn(pod_warnings::pod)
        .warn_of_status(pod_warnings::pod_status)
        .warn_before_preparation(pod_warnings::before_preparation),
    Kind::new("", "ConfigMap").validate(check::core::validate_config_map).validate_update(check::core::validate_config_map_update),
    Kind::new("", "Secret")
        .default(core::default_secret)
        .prepare(core::prepare_secret)
        .validate(check::core::validate_secret)
        .validate_update(check::core::validate_secret_update)
        .warn(core::warn_of_secret),
    Kind::new("", "Service")
        .status(StatusMetadata::Free)
        .create_on_update()
        .default(service::default)
        .prepare(service::prepare)
        .validate(check::service::validate)
        .validate_update(check::service::validate_update)
        .validate_subresource(check::service::validate_status)
        .warn(service::warn)
        .warn_of_status(service::warn_of_status),
    Kind::new("", "Endpoints")
        .create_on_update()
        .default(core::default_endpoints)
        .validate(check::service::validate_endpoints)
        .validate_update(check::service::validate_endpoints_update)
        .warn(core::warn_of_endpoints),
    Kind::new("", "Event").create_on_update().validate(check::core::validate_event).validate_update(check::core::validate_event_update),
    Kind::new("events.k8s.io", "Event")
        .create_on_update()
        .validate(check::core::validate_event)
        .validate_update(check::core::validate_event_update),
    Kind::new("", "Namespace")
        .status(StatusMetadata::Free)
        .default(core::default_namespace)
        .prepare(core::prepare_namespace)
        .prepare_subresource(core::prepare_namespace_subresource)
        .validate(check::core::validate_namespace)
        .validate_subresource(check::core::validate_namespace_subresource),
    Kind::new("", "Node")
        .status(StatusMetadata::Free)
        .status_on_create()
        .default(core::default_node)
        .prepare(core::prepare_node)
        .validate(check::core::validate_node)
        .validate_update(check::core::validate_node_update)
        .validate_subresource(check::core::validate_node_status)
        .warn(core::warn_of_node),
    Kind::new("", "PersistentVolume")
        .status(StatusMetadata::Free)
        .default(storage::default_volume)
        .prepare(storage::prepare_volume)
        .stamp(storage::stamp_volume)
        .validate(check::storage::validate_volume)
        .validate_update(check::storage::validate_volume_update)
        .warn(storage::warn_of_volume),
    Kind::new("", "PersistentVolumeClaim")
        .status(StatusMetadata::Free)
        .default(storage::default_claim)
        .prepare(storage::prepare_claim)
        .validate(check::storage::validate_claim)
        .validate_update(check::storage::validate_claim_update)
        .validate_subresource(check::storage::validate_claim_status)
        .warn(storage::warn_of_claim),
    Kind::new("", "ServiceAccount")
        .prepare(core::prepare_service_account)
        .validate_update(check::core::validate_metadata_again)
        .warn(core::warn_of_service_account),
    Kind::new("", "LimitRange")
        .create_on_update()
        .default(core::default_limit_range)
        .prepare(core::prepare_limit_range)
        .validate(check::core::validate_limit_range)
        .validate_update(check::core::validate_limit_range_update),
    Kind::new("", "ResourceQuota")
        .status(StatusMetadata::Free)
        .default(core::default_resource_quota)
        .validate(check::core::validate_quota)
        .validate_update(check::core::validate_quota_update)
        .validate_subresource(check::core::validate_quota_status)
        .warn(core::warn_of_quota),
    Kind::new("", "ReplicationController")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .orphans_dependents()
        .default(workload::default_replication_controller)
        .validate(check::workload::validate_replication_controller)
        .validate_update(check::workload::validate_replication_controller_update)
        .validate_subresource(check::workload::validate_status)
        .warn(workload::warn_of_replication_controller),
    Kind::new("", "PodTemplate")
        .generation(Generation::From1(template))
        .default(workload::default_pod_template)
        .validate(check::workload::validate_pod_template)
        .validate_update(check::workload::validate_pod_template_update)
        .warn(workload::warn_of_pod_template),
    // Workloads.
    Kind::new(APPS, "Deployment")
        .status(StatusMetadata::KeepLabels)
        .generation(Generation::From1(spec_or_annotations))
        .default(workload::default_deployment)
        .validate(check::workload::validate_deployment)
        .validate_update(check::workload::validate_deployment_update)
        .validate_subresource(check::workload::validate_status)
        .warn(workload::warn_of_replicas),
    Kind::new(APPS, "ReplicaSet")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .default(workload::default_replica_set)
        .validate(check::workload::validate_replica_set)
        .validate_update(check::workload::validate_replica_set_update)
        .validate_subresource(check::workload::validate_status)
        .warn(workload::warn_of_replicas),
    Kind::new(APPS, "StatefulSet")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .default(workload::default_stateful_set)
        .prepare(workload::prepare_stateful_set)
        .validate(check::workload::validate_stateful_set)
        .validate_update(check::workload::validate_stateful_set_update)
        .validate_subresource(check::workload::validate_status)
        .warn(workload::warn_of_stateful_set),
    Kind::new(APPS, "DaemonSet")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .default(workload::default_daemon_set)
        .prepare(workload::prepare_daemon_set)
        .prepare_subresource(workload::prepare_daemon_set_status)
        .validate(check::workload::validate_daemon_set)
        .validate_update(check::workload::validate_daemon_set_update)
        .validate_subresource(check::workload::validate_status)
        .warn(workload::warn_of_daemon_set),
    Kind::new(APPS, "ControllerRevision")
        .validate(check::workload::validate_revision)
        .validate_update(check::workload::validate_revision_update),
    Kind::new(BATCH, "Job")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .orphans_dependents()
        .default(workload::default_job)
        .prepare(workload::prepare_job)
        .validate(check::job::validate)
        .validate_update(check::job::validate_update)
        .validate_subresource(check::job::validate_status)
        .warn(workload::warn_of_job)
        .orphaning_warning(workload::PODS_STAY),
    Kind::new(BATCH, "CronJob")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .default(workload::default_cron_job)
        .validate(check::job::validate_cron_job)
        .validate_update(check::job::validate_cron_job_update)
        .validate_subresource(check::job::validate_cron_job_status)
        .warn(workload::warn_of_cron_job),
    Kind::new("autoscaling", "HorizontalPodAutoscaler")
        .status(StatusMetadata::Free)
        .default(autoscaling::default)
        .validate(check::autoscaling::validate)
        .validate_update(check::autoscaling::validate_update)
        .validate_subresource(check::autoscaling::validate_status),
    Kind::new("policy", "PodDisruptionBudget")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .conditional_update()
        .validate(check::autoscaling::validate_budget)
        .validate_update(check::autoscaling::validate_budget_update)
        .validate_subresource(check::autoscaling::validate_budget_status),
    // Networking.
    Kind::new(NETWORKING, "Ingress")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .validate(check::networking::validate_ingress)
        .validate_update(check::networking::validate_ingress_update)
        .validate_subresource(check::networking::validate_ingress_status)
        .warn(networking::warn_of_ingress)
        .warn_of_status(networking::warn_of_ingress_status),
    Kind::new(NETWORKING, "IngressClass")
        .generation(SPEC)
        .default(networking::default_ingress_class)
        .validate(check::networking::validate_ingress_class)
        .validate_update(check::networking::validate_ingress_class_update),
    Kind::new(NETWORKING, "NetworkPolicy")
        .generation(SPEC)
        .default(networking::default_policy)
        .validate(check::networking::validate_policy)
        .validate_update(check::networking::validate_policy_update)
        .warn(networking::warn_of_policy),
    Kind::new(NETWORKING, "IPAddress")
        .validate(check::networking::validate_ip_address)
        .validate_update(check::networking::validate_ip_address_update),
    Kind::new(NETWORKING, "ServiceCIDR")
        .status(StatusMetadata::Reset)
        .validate(check::networking::validate_service_cidr)
        .validate_update(check::networking::validate_service_cidr_update),
    Kind::new("discovery.k8s.io", "EndpointSlice")
        .generation(Generation::From1(content_or_labels))
        .default(networking::default_endpoint_slice)
        .prepare(networking::prepare_endpoint_slice)
        .validate(check::networking::validate_endpoint_slice)
        .validate_update(check::networking::validate_endpoint_slice_update)
        .warn(networking::warn_of_endpoint_slice),
    // Roles and their bindings.
    Kind::new(RBAC, "Role").create_on_update().validate(check::rbac::validate_role).validate_update(check::rbac::validate_role_update),
    Kind::new(RBAC, "ClusterRole")
        .create_on_update()
        .validate(check::rbac::validate_role)
        .validate_update(check::rbac::validate_role_update),
    Kind::new(RBAC, "RoleBinding")
        .create_on_update()
        .default(rbac::default_binding)
        .validate(check::rbac::validate_binding)
        .validate_update(check::rbac::validate_binding_update),
    Kind::new(RBAC, "ClusterRoleBinding")
        .create_on_update()
        .default(rbac::default_binding)
        .validate(check::rbac::validate_binding)
        .validate_update(check::rbac::validate_binding_update),
    // Storage.
    Kind::new(STORAGE, "StorageClass")
        .default(storage::default_class)
        .validate(check::storage::validate_class)
        .validate_update(check::storage::validate_class_update)
        .warn(storage::warn_of_class),
    Kind::new(STORAGE, "VolumeAttachment")
        .status(StatusMetadata::Reset)
        .conditional_update()
        .default(storage::default_attachment)
        .validate(check::storage::validate_attachment)
        .validate_update(check::storage::validate_attachment_update)
        .validate_subresource(|resource, _, attachment, old| check::storage::validate_attachment_update(resource, attachment, old)),
    Kind::new(STORAGE, "CSIDriver")
        .generation(Generation::From0(spec))
        .conditional_update()
        .default(storage::default_driver)
        .validate(check::storage::validate_driver)
        .validate_update(check::storage::validate_driver_update)
        .warn(storage::warn_of_driver),
    Kind::new(STORAGE, "CSINode")
        .conditional_update()
        .validate(check::storage::validate_node)
        .validate_update(check::storage::validate_node_update),
    Kind::new(STORAGE, "CSIStorageCapacity")
        .conditional_update()
        .validate(check::storage::validate_capacity)
        .validate_update(check::storage::validate_capacity_update)
        .warn(storage::warn_of_capacity),
    Kind::new(STORAGE, "VolumeAttributesClass")
        .validate(check::storage::validate_attributes_class)
        .validate_update(check::storage::validate_attributes_class_update),
    Kind::new("storagemigration.k8s.io", "StorageVersionMigration").status(StatusMetadata::Reset).conditional_update(),
    // The rest.
    Kind::new("node.k8s.io", "RuntimeClass")
        .create_on_update()
        .conditional_update()
        .validate(check::policy::validate_runtime_class)
        .validate_update(check::policy::validate_runtime_class_update)
        .warn(runtime_class::warn),
    Kind::new("scheduling.k8s.io", "PriorityClass")
        .generation(Generation::From1(never))
        .refuses_deletion(protected_priority_class)
        .default(|_, class| value::if_nil(class, "preemptionPolicy", "PreemptLowerPriority"))
        .validate(check::policy::validate_priority_class)
        .validate_update(check::policy::validate_priority_class_update),
    Kind::new("coordination.k8s.io", "Lease")
        .create_on_update()
        .conditional_update()
        .prepare(prepare_lease)
        .validate(check::policy::validate_lease)
        .validate_update(check::policy::validate_lease_update),
    Kind::new("coordination.k8s.io", "LeaseCandidate").create_on_update().conditional_update(),
    Kind::new(CERTIFICATES, "CertificateSigningRequest")
        .status(StatusMetadata::Free)
        .prepare(certificates::prepare)
        .prepare_subresource(certificates::prepare_subresource)
        .stamp(certificates::stamp)
        .validate(check::certificates::validate)
        .validate_update(check::certificates::validate_update)
        .validate_subresource(check::certificates::validate_subresource),
    Kind::new(CERTIFICATES, "ClusterTrustBundle").conditional_update(),
    Kind::new(CERTIFICATES, "PodCertificateRequest").status(StatusMetadata::Reset).conditional_update(),
    Kind::new(FLOWCONTROL, "FlowSchema")
        .status(StatusMetadata::KeepAll)
        .generation(SPEC)
        .default(flowcontrol::default_flow_schema)
        .validate(check::flowcontrol::validate_flow_schema)
        .validate_update(check::flowcontrol::validate_flow_schema_update)
        .validate_subresource(check::flowcontrol::validate_status),
    Kind::new(FLOWCONTROL, "PriorityLevelConfiguration")
        .status(StatusMetadata::KeepAll)
        .generation(SPEC)
        .default(flowcontrol::default_priority_level)
        .validate(check::flowcontrol::validate_priority_level)
        .validate_update(check::flowcontrol::validate_priority_level_update)
        .validate_subresource(check::flowcontrol::validate_status),
    Kind::new(ADMISSION, "MutatingWebhookConfiguration")
        .generation(Generation::From1(webhooks))
        .conditional_update()
        .default(admission::default_mutating_webhooks)
        .validate(check::admission::validate_webhooks)
        .validate_update(check::admission::validate_webhooks_update)
        .warn(admission::warn_of_name),
    Kind::new(ADMISSION, "ValidatingWebhookConfiguration")
        .generation(Generation::From1(webhooks))
        .conditional_update()
        .default(admission::default_validating_webhooks)
        .validate(check::admission::validate_webhooks)
        .validate_update(check::admission::validate_webhooks_update)
        .warn(admission::warn_of_name),
    Kind::new(ADMISSION, "ValidatingAdmissionPolicy")
        .status(StatusMetadata::Reset)
        .generation(SPEC)
        .conditional_update()
        .default(admission::default_policy)
        .validate(check::admission::validate_policy)
        .validate_update(check::admission::validate_policy_update)
        .validate_subresource(check::admission::validate_policy_status)
        .warn(admission::warn_of_name)
        .warn_of_status(admission::warn_of_policy_status),
    Kind::new(ADMISSION, "ValidatingAdmissionPolicyBinding")
        .generation(SPEC)
        .conditional_update()
        .default(admission::default_binding)
        .validate(check::admission::validate_binding)
        .validate_update(check::admission::validate_binding_update)
        .warn(admission::warn_of_name),
    Kind::new(ADMISSION, "MutatingAdmissionPolicy")
        .generation(SPEC)
        .conditional_update()
        .default(admission::default_policy)
        .validate(check::admission::validate_policy)
        .validate_update(check::admission::validate_policy_update)
        .warn(admission::warn_of_name),
    Kind::new(ADMISSION, "MutatingAdmissionPolicyBinding")
        .generation(SPEC)
        .conditional_update()
        .default(admission::default_binding)
        .validate(check::admission::validate_binding)
        .validate_update(check::admission::validate_binding_update)
        .warn(admission::warn_of_name),
    Kind::new(RESOURCE, "DeviceClass")
        .generation(SPEC)
        .validate(check::device::validate_class)
        .validate_update(check::device::validate_class_update),
    Kind::new(RESOURCE, "ResourceSlice")
        .generation(SPEC)
        .stamp(device::stamp_slice)
        .validate(check::resource_slice::validate)
        .validate_update(check::resource_slice::validate_update)
        .warn(device::warn_of_slice),
    Kind::new(RESOURCE, "ResourceClaim")
        .status(StatusMetadata::Reset)
        .default(device::default_claim)
        .validate(check::device::validate_claim)
        .validate_update(check::device::validate_claim_update)
        .validate_subresource(check::device::validate_claim_status),
    Kind::new(RESOURCE, "ResourceClaimTemplate")
        .default(device::default_claim_template)
        .validate(check::device::validate_template)
        .validate_update(check::device::validate_template_update),
    Kind::new(RESOURCE, "DeviceTaintRule")
        .status(StatusMetadata::Reset)
        .generation(SPEC)
        .stamp(device::stamp_taint_rule)
        .validate(check::device::validate_taint_rule)
        .validate_update(check::device::validate_taint_rule_update)
        .validate_subresource(check::device::validate_taint_rule_status),
    Kind::new("apiregistration.k8s.io", "APIService")
        .status(StatusMetadata::KeepClients)
        .conditional_update()
        .default(extension::default_api_service)
        .stamp(extension::stamp_api_service)
        .validate(check::definition::validate_api_service)
        .validate_update(check::definition::validate_api_service_update)
        .validate_subresource(check::definition::validate_api_service_status),
    Kind::new("apiextensions.k8s.io", "CustomResourceDefinition")
        .status(StatusMetadata::Free)
        .generation(SPEC)
        .conditional_update()
        .default(extension::default_definition)
        .prepare(extension::prepare_definition)
        .warn(extension::warn_of_definition)
        .validate(check::definition::validate)
        .validate_update(check::definition::validate_update)
        .validate_subresource(check::definition::validate_status),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::GarbageCollectionPolicy;
    use crate::tables;

    #[test]
    fn deletion() {
        for (group, kind, policy) in [
            ("", "ReplicationController", GarbageCollectionPolicy::Orphan),
            (BATCH, "Job", GarbageCollectionPolicy::Orphan),
            (BATCH, "CronJob", GarbageCollectionPolicy::Background),
            (APPS, "Deployment", GarbageCollectionPolicy::Background),
        ] {
            assert_eq!(find(group, kind).default_garbage_collection_policy(), policy, "{kind}");
        }
        let classes = find("scheduling.k8s.io", "PriorityClass");
        for (name, refused) in [("system-node-critical", true), ("system-cluster-critical", true), ("mine", false)] {
            assert_eq!(classes.refuses_deletion(name).is_some(), refused, "{name}");
        }
        assert_eq!(find("", "Pod").refuses_deletion("system-node-critical"), None);
    }

    #[test]
    fn every_row_is_a_kind_and_stands_there_once() {
        for (i, row) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|other| (other.group, other.kind) != (row.group, row.kind)), "{} twice", row.kind);
        }
        for resource in tables::resources().iter().filter(|resource| resource.subresource("status").is_some()) {
            let row = KINDS.iter().find(|row| (row.group, row.kind) == (&*resource.gvk.group, &*resource.gvk.kind));
            assert!(row.is_some_and(|row| row.status.is_some()), "{} has a status", resource.gvk);
        }
    }
}
