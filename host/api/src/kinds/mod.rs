//! What the built-in kinds do: the list of their rows, and what is done with every object by its kind's row. [`strategy`] is the way in.
//!
//! A kind's row stands in its own folder or file, `<group>/<kind>`, with all that the kind does differently; kinds that are not listed
//! here only get upstream's form. What kinds of a group have in common is in the group's folder, what several groups have in `shared`.

pub mod action;
pub mod convert;
pub(crate) mod go_struct;
pub(crate) mod kind;
pub mod printers;
pub mod retype;
pub mod shape;
pub mod strategy;
mod unified_diff;

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::field;
use serde_json::Value;

use self::kind::Kind;
use self::strategy::Strategy;
pub use crate::shared::warnings::WARNINGS_COUNT_MAX;
use crate::{
    Resource, admissionregistration, apiextensions, apiregistration, apps, authentication, authorization, autoscaling, batch, certificates,
    coordination, core, discovery, flowcontrol, networking, node, policy, rbac, resource, scheduling, storage, storagemigration,
};

/// Every kind that has a row.
static KINDS: &[&Kind] = &[
    &core::binding::KIND,
    &core::component_status::KIND,
    &core::config_map::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::event::KIND_OF_EVENTS,
    &core::limit_range::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::persistent_volume::KIND,
    &core::persistent_volume_claim::KIND,
    &core::pod::KIND,
    &core::pod_template::KIND,
    &core::replication_controller::KIND,
    &core::resource_quota::KIND,
    &core::secret::KIND,
    &core::service::KIND,
    &core::service_account::KIND,
    &apps::controller_revision::KIND,
    &apps::daemon_set::KIND,
    &apps::deployment::KIND,
    &apps::replica_set::KIND,
    &apps::stateful_set::KIND,
    &batch::cron_job::KIND,
    &batch::job::KIND,
    &autoscaling::horizontal_pod_autoscaler::KIND,
    &autoscaling::scale::KIND,
    &policy::pod_disruption_budget::KIND,
    &networking::ingress::KIND,
    &networking::ingress_class::KIND,
    &networking::ip_address::KIND,
    &networking::network_policy::KIND,
    &networking::service_cidr::KIND,
    &discovery::endpoint_slice::KIND,
    &rbac::cluster_role::KIND,
    &rbac::cluster_role_binding::KIND,
    &rbac::role::KIND,
    &rbac::role_binding::KIND,
    &storage::csi_driver::KIND,
    &storage::csi_node::KIND,
    &storage::csi_storage_capacity::KIND,
    &storage::storage_class::KIND,
    &storage::volume_attachment::KIND,
    &storage::volume_attributes_class::KIND,
    &admissionregistration::mutating_admission_policy::KIND,
    &admissionregistration::mutating_admission_policy_binding::KIND,
    &admissionregistration::mutating_webhook_configuration::KIND,
    &admissionregistration::validating_admission_policy::KIND,
    &admissionregistration::validating_admission_policy_binding::KIND,
    &admissionregistration::validating_webhook_configuration::KIND,
    &apiextensions::custom_resource_definition::KIND,
    &apiregistration::api_service::KIND,
    &authentication::self_subject_review::KIND,
    &authentication::token_review::KIND,
    &authorization::local_subject_access_review::KIND,
    &authorization::self_subject_access_review::KIND,
    &authorization::self_subject_rules_review::KIND,
    &authorization::subject_access_review::KIND,
    &certificates::certificate_signing_request::KIND,
    &certificates::cluster_trust_bundle::KIND,
    &certificates::pod_certificate_request::KIND,
    &coordination::lease::KIND,
    &coordination::lease_candidate::KIND,
    &flowcontrol::flow_schema::KIND,
    &flowcontrol::priority_level_configuration::KIND,
    &node::runtime_class::KIND,
    &resource::device_class::KIND,
    &resource::device_taint_rule::KIND,
    &resource::resource_claim::KIND,
    &resource::resource_claim_template::KIND,
    &resource::resource_slice::KIND,
    &scheduling::priority_class::KIND,
    &storagemigration::storage_version_migration::KIND,
];

/// The behaviour of a resource's kind.
pub fn strategy(resource: &Resource) -> &'static dyn Strategy {
    of(resource)
}

/// The row of a resource's kind.
pub(crate) fn of(resource: &Resource) -> &'static Kind {
    find(&resource.gvk.group, &resource.gvk.kind)
}

/// The row of a kind; the plain one where it has none.
pub(crate) fn find(group: &str, kind: &str) -> &'static Kind {
    static PLAIN: Kind = Kind::new("", "");
    static ROWS: LazyLock<HashMap<(&str, &str), &Kind>> = LazyLock::new(|| KINDS.iter().map(|row| ((row.group, row.kind), *row)).collect());
    ROWS.get(&(group, kind)).copied().unwrap_or(&PLAIN)
}

/// What is wrong with a Service's addresses and families as they were asked for; whoever gives them out asks this first.
pub fn service_cluster_ip_errors(service: &Value, old: Option<&Value>) -> Vec<field::Error> {
    core::service::validation::cluster_ip_errors(service, old)
}

#[cfg(test)]
mod tests {
    use super::strategy::{GarbageCollectionPolicy, Strategy};
    use super::*;
    use crate::tables;

    #[test]
    fn deletion() {
        for (group, kind, policy) in [
            ("", "ReplicationController", GarbageCollectionPolicy::Orphan),
            ("batch", "Job", GarbageCollectionPolicy::Orphan),
            ("batch", "CronJob", GarbageCollectionPolicy::Background),
            ("apps", "Deployment", GarbageCollectionPolicy::Background),
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
    fn what_is_not_stored_has_something_that_answers() {
        for resource in tables::resources() {
            let strategy = of(resource);
            assert_eq!(strategy.action("").is_some(), resource.storage_prefix.is_empty(), "{}", resource.gvr);
            for subresource in resource.subresources.iter() {
                let of_another_kind = subresource.gvk != resource.gvk || subresource.name == "log";
                assert_eq!(strategy.action(&subresource.name).is_some(), of_another_kind, "{}/{}", resource.gvr, subresource.name);
            }
        }
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
