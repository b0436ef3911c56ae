//! Fields and resources of a pod that its containers are told, in their environment or in files of a volume (upstream's
//! `ObjectFieldSelector` and `ResourceFieldSelector`).

use apimachinery::validation::name;

use crate::shared::field_value::{Errors, FieldValue};

/// A field of the pod, for its environment or its files.
pub(crate) fn field_ref(at: &FieldValue<'_>, env: bool, errors: &mut Errors) {
    const ENV: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    const FILES: [&str; 5] = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    let path = at.child("fieldPath");
    if at.is_empty("apiVersion") {
        return errors.push(at.child("apiVersion").required(""));
    }
    if path.text().is_empty() {
        return errors.push(path.required(""));
    }
    let subscripted = path.text().strip_suffix("']").and_then(|text| text.split_once("['"));
    match subscripted {
        Some(("metadata.annotations", key)) => {
            errors.extend(name::is_qualified_name(&key.to_lowercase()).iter().map(|problem| at.invalid_as(key.to_lowercase(), problem)));
        }
        Some(("metadata.labels", key)) => {
            errors.extend(name::is_qualified_name(key).iter().map(|problem| at.invalid_as(key, problem)));
        }
        _ => {
            let known = ENV.contains(&path.text()) || FILES.contains(&path.text()) || path.text() == "spec.restartPolicy";
            if !known || at.text_of("apiVersion") != "v1" {
                let reason = if at.text_of("apiVersion") == "v1" {
                    format!("field label not supported: {}", path.text())
                } else {
                    format!("unsupported pod version: {}", at.text_of("apiVersion"))
                };
                errors.push(path.invalid(&format!("error converting fieldPath: {reason}")));
            } else if env && !ENV.contains(&path.text()) {
                errors.push(path.unsupported(&ENV));
            } else if !env && !FILES.contains(&path.text()) {
                errors.push(path.unsupported(&FILES));
            }
        }
    }
}

/// A resource of a container, for its environment or its files.
pub(crate) fn resource_field_ref(at: &FieldValue<'_>, of_volume: bool, errors: &mut Errors) {
    const KNOWN: [&str; 6] =
        ["limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];
    let resource = at.child("resource");
    let huge = resource.text().starts_with("limits.hugepages-") || resource.text().starts_with("requests.hugepages-");
    if of_volume && at.is_empty("containerName") {
        errors.push(at.child("containerName").required(""));
    } else if resource.text().is_empty() {
        errors.push(resource.required(""));
    } else if !KNOWN.contains(&resource.text()) && !huge {
        errors.push(resource.unsupported(&KNOWN));
    }
    let divisor = at.child("divisor");
    if divisor.quantity().is_none_or(|divisor| divisor.is_zero()) {
        return;
    }
    const BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let noun = match resource.text() {
        "limits.cpu" | "requests.cpu" => {
            if !matches!(divisor.text(), "1m" | "1") {
                errors.push(divisor.invalid_as(resource.text(), "only divisor's values 1m and 1 are supported with the cpu resource"));
            }
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return,
    };
    if !BYTES.contains(&divisor.text()) {
        let detail = format!("only divisor's values {} are supported with the {noun} resource", BYTES.join(", "));
        errors.push(divisor.invalid_as(resource.text(), &detail));
    }
}
