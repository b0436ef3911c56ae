//! Resource requirements: names, quantities, and how requests and limits fit.

use std::collections::HashSet;

use apimachinery::quantity::Quantity;
use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{self, Errors, FieldValue, NEGATIVE};

/// Limits and requests are kept in thousandths.
pub(crate) fn default_resources(resources: &mut Value) {
    round_up_quantities(resources, "limits");
    round_up_quantities(resources, "requests");
}

/// Rounds each quantity of a map up to thousandths.
pub(crate) fn round_up_quantities(value: &mut Value, name: &str) {
    for (_, quantity) in value.get_mut(name).and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(given) = Quantity::of_json(quantity) else { continue };
        let mut rounded = given.clone();
        rounded.round_up(-3);
        if rounded != given {
            *quantity = Value::String(rounded.to_string());
        }
    }
}

/// `hugepages-2Mi`
pub(crate) fn is_huge_page(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

/// A resource that Kubernetes itself has a meaning for: upstream's `IsStandardResourceName`.
pub(crate) fn is_standard(resource: &str) -> bool {
    matches!(
        resource,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "storage"
            | "requests.storage"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || is_huge_page(resource)
        || resource.starts_with("requests.hugepages-")
}

fn is_standard_for_containers(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(resource)
}

pub(crate) fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// `example.com/gpu`
pub(crate) fn is_extended(resource: &str) -> bool {
    let native = is_native(resource) || resource.starts_with("requests.");
    !native && name::is_qualified_name(&format!("requests.{resource}")).is_empty()
}

fn is_overcommit_allowed(resource: &str) -> bool {
    is_native(resource) && !is_huge_page(resource)
}

/// A resource's name; `at` is where it is the key.
pub(crate) fn resource_name(resource: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    let problems = name::is_qualified_name(resource);
    if !problems.is_empty() {
        errors.extend(problems.iter().map(|problem| at.invalid_as(resource, problem)));
    } else if !resource.contains('/') && !is_standard(resource) {
        errors.push(at.invalid_as(resource, "must be a standard resource type or fully qualified"));
    }
}

pub(crate) fn container_resource_name(resource: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    resource_name(resource, at, errors);
    if !resource.contains('/') {
        if !is_standard_for_containers(resource) {
            errors.push(at.invalid_as(resource, "must be a standard resource for containers"));
        }
    } else if !is_native(resource) && !is_extended(resource) {
        errors.push(at.invalid_as(resource, "doesn't follow extended resource name standard"));
    }
}

fn pod_resource_name(resource: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    resource_name(resource, at, errors);
    if !matches!(resource, "cpu" | "memory") && !is_huge_page(resource) {
        errors.push(field_value::unsupported(&at.path, &resource.into(), &["cpu", "hugepages-", "memory"]));
    }
}

/// Not negative, and whole where only whole ones make sense.
pub(crate) fn quantity_value(resource: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    let Some(quantity) = at.quantity() else { return };
    if quantity.sign() < 0 {
        errors.push(at.invalid_as(quantity.to_string(), NEGATIVE));
    }
    let counted = matches!(
        resource,
        "pods"
            | "services"
            | "replicationcontrollers"
            | "resourcequotas"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || is_extended(resource);
    if counted && !quantity.is_whole() {
        errors.push(at.invalid_as(quantity.to_string(), "must be an integer"));
    }
}

/// Not negative.
pub(crate) fn non_negative_quantity(at: &FieldValue<'_>, errors: &mut Errors) {
    if let Some(quantity) = at.quantity().filter(|quantity| quantity.sign() < 0) {
        errors.push(at.invalid_as(quantity.to_string(), NEGATIVE));
    }
}

/// What is said of resources, of a container or of a pod.
pub(crate) fn requirements(at: &FieldValue<'_>, of_pod: bool, claims: &HashSet<&str>, errors: &mut Errors) {
    let check_name = if of_pod { pod_resource_name } else { container_resource_name };
    let (mut compute, mut huge) = (false, false);
    let mut one = |resource: &str, entry: &FieldValue<'_>, errors: &mut Errors| {
        huge |= is_huge_page(resource);
        compute |= matches!(resource, "cpu" | "memory");
        if is_huge_page(resource) {
            huge_page_value(resource, entry, errors);
        }
    };
    for (resource, entry) in at.entries("limits") {
        check_name(resource, &entry, errors);
        quantity_value(resource, &entry, errors);
        one(resource, &entry, errors);
    }
    let limits = at.child("limits");
    let requests = at.child("requests");
    for (resource, entry) in at.entries("requests") {
        check_name(resource, &entry, errors);
        quantity_value(resource, &entry, errors);
        let Some(quantity) = entry.quantity() else { continue };
        let limit = limits.value.get(resource).and_then(Quantity::of_json);
        match limit {
            Some(limit) if quantity != limit && !is_overcommit_allowed(resource) => {
                errors.push(requests.invalid_as(quantity.to_string(), &format!("must be equal to {resource} limit of {limit}")));
            }
            Some(limit) if quantity > limit => {
                errors
                    .push(requests.invalid_as(quantity.to_string(), &format!("must be less than or equal to {resource} limit of {limit}")));
            }
            None if !is_overcommit_allowed(resource) => errors.push(limits.required("Limit must be set for non overcommitable resources")),
            _ => {}
        }
        one(resource, &entry, errors);
    }
    if huge && !compute {
        errors.push(at.forbidden("HugePages require cpu or memory"));
    }
    claim_names(at, claims, errors);
}

fn huge_page_value(resource: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    let Some(size) = resource.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok()) else { return };
    if let Some(quantity) = at.quantity()
        && size.value() > 0
        && quantity.value() % size.value() != 0
    {
        let detail = format!("{quantity} is not positive integer multiple of {size}");
        errors.push(at.invalid_as(quantity.to_string(), &detail));
    }
}

fn claim_names(at: &FieldValue<'_>, known: &HashSet<&str>, errors: &mut Errors) {
    let (mut seen, mut names): (HashSet<(&str, &str)>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    for claim in at.items("claims") {
        let name = claim.child("name");
        let request = claim.text_of("request");
        if name.text().is_empty() {
            errors.push(name.required(""));
            continue;
        }
        // Without a request it is all requests of the claim.
        let all = if request.is_empty() { names.contains(name.text()) } else { seen.contains(&(name.text(), "")) };
        let repeated = all || seen.contains(&(name.text(), request));
        if repeated {
            errors.push(name.duplicate());
        } else {
            seen.insert((name.text(), request));
            names.insert(name.text());
        }
        if !known.contains(name.text()) {
            errors.push(name.not_found());
        }
    }
}
