//! Where a pod may run: affinity, node selectors, tolerations, topology spread.

use std::collections::{HashMap, HashSet};

use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::selector::label_selector;

/// `affinity`
pub(crate) fn affinity(at: &FieldValue<'_>, errors: &mut Errors) {
    if let Some(node) = at.some("nodeAffinity") {
        if let Some(required) = node.some("requiredDuringSchedulingIgnoredDuringExecution") {
            node_selector(&required, errors);
        }
        for term in node.items("preferredDuringSchedulingIgnoredDuringExecution") {
            weight(&term, errors);
            node_selector_term(&term.child("preference"), true, errors);
        }
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = at.some(name) else { continue };
        for term in pods.items("requiredDuringSchedulingIgnoredDuringExecution") {
            pod_affinity_term(&term, errors);
        }
        for term in pods.items("preferredDuringSchedulingIgnoredDuringExecution") {
            weight(&term, errors);
            pod_affinity_term(&term.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &FieldValue<'_>, errors: &mut Errors) {
    let weight = term.child("weight");
    if !(1..=100).contains(&weight.int()) {
        errors.push(weight.invalid_as(weight.int(), "must be in the range 1-100"));
    }
}

/// A `NodeSelector`.
pub(crate) fn node_selector(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.is_empty("nodeSelectorTerms") {
        errors.push(at.child("nodeSelectorTerms").required("must have at least one node selector term"));
    }
    for term in at.items("nodeSelectorTerms") {
        node_selector_term(&term, false, errors);
    }
}

/// One term; upstream does not look at values in a preference.
fn node_selector_term(at: &FieldValue<'_>, any_value: bool, errors: &mut Errors) {
    for requirement in at.items("matchExpressions") {
        let values = requirement.child("values");
        match requirement.text_of("operator") {
            "In" | "NotIn" if requirement.is_empty("values") => {
                errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !requirement.is_empty("values") => {
                errors.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
            "Gt" | "Lt" if requirement.texts("values").count() != 1 => {
                errors.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => errors.push(requirement.child("operator").invalid("not a valid selector operator")),
        }
        requirement.child("key").label_key(errors);
        if !any_value {
            for value in requirement.items("values") {
                value.problems(name::is_label_value(value.text()), errors);
            }
        }
    }
    for requirement in at.items("matchFields") {
        match requirement.text_of("operator") {
            "In" | "NotIn" => {
                if requirement.texts("values").count() != 1 {
                    let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                    errors.push(requirement.child("values").required(detail));
                }
            }
            _ => errors.push(requirement.child("operator").invalid("not a valid selector operator")),
        }
        if requirement.text_of("key") == "metadata.name" {
            for value in requirement.items("values") {
                value.problems(metadata::subdomain(value.text(), false), errors);
            }
        } else {
            errors.push(requirement.child("key").invalid("not a valid field selector key"));
        }
    }
}

fn pod_affinity_term(at: &FieldValue<'_>, errors: &mut Errors) {
    label_selector(&at.child("labelSelector"), errors);
    label_selector(&at.child("namespaceSelector"), errors);
    for namespace in at.texts("namespaces") {
        let namespace_at = at.child("namespace");
        errors.extend(metadata::label(namespace, false).iter().map(|problem| namespace_at.invalid_as(namespace, problem)));
    }
    match_label_keys(at, errors);
    let key = at.child("topologyKey");
    if key.text().is_empty() {
        errors.push(key.required("can not be empty"));
    }
    errors.extend(name::is_label_key(key.text()).iter().map(|problem| key.invalid_as(key.text(), problem)));
}

fn match_label_keys(at: &FieldValue<'_>, errors: &mut Errors) {
    let selector = at.child("labelSelector");
    for which in ["matchLabelKeys", "mismatchLabelKeys"] {
        if at.is_empty(which) {
            continue;
        }
        if selector.value.is_null() {
            errors.push(at.child(which).forbidden("must not be specified when labelSelector is not set"));
            continue;
        }
        for key in at.items(which) {
            key.label_key(errors);
        }
    }
    let mut keys: HashMap<&str, usize> = HashMap::new();
    for (i, key) in at.texts("matchLabelKeys").enumerate() {
        keys.entry(key).or_insert(i);
    }
    let mut selected: HashSet<&str> = selector.entries("matchLabels").map(|(key, _)| key).collect();
    for expression in selector.items("matchExpressions") {
        let key = expression.text_of("key");
        if let Some(i) = keys.get(key).filter(|_| selected.contains(key)) {
            errors.push(
                FieldValue { value: at.value, path: at.path.index(*i) }.invalid_as(key, "exists in both matchLabelKeys and labelSelector"),
            );
        }
        selected.insert(key);
    }
    let mismatched: HashSet<&str> = at.texts("mismatchLabelKeys").collect();
    for key in at.items("matchLabelKeys").filter(|key| mismatched.contains(key.text())) {
        errors.push(key.invalid("exists in both matchLabelKeys and mismatchLabelKeys"));
    }
}

/// `tolerations`
pub(crate) fn tolerations(spec: &FieldValue<'_>, errors: &mut Errors) {
    for at in spec.items("tolerations") {
        let (key, operator, effect, value) = (at.child("key"), at.child("operator"), at.child("effect"), at.text_of("value"));
        if !key.text().is_empty() {
            key.label_key(errors);
        }
        if key.text().is_empty() && operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(operator.invalid_as(operator.text(), detail));
        }
        if at.has("tolerationSeconds") && effect.text() != "NoExecute" {
            errors.push(effect.invalid_as(effect.text(), "effect must be 'NoExecute' when `tolerationSeconds` is set"));
        }
        match operator.text() {
            "Equal" | "" => {
                let problems = name::is_label_value(value);
                if !problems.is_empty() {
                    errors.push(operator.invalid_as(value, &problems.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    errors.push(operator.invalid_as(value, "value must be empty when `operator` is 'Exists'"));
                }
            }
            "Lt" | "Gt" => errors.push(operator.unsupported(&["Equal", "Exists", "Lt", "Gt"])),
            _ => errors.push(operator.unsupported(&["Equal", "Exists"])),
        }
        if !effect.text().is_empty() {
            taint_effect(&effect, errors);
        }
    }
}

/// `effect` of a taint or toleration.
pub(crate) fn taint_effect(at: &FieldValue<'_>, errors: &mut Errors) {
    if !matches!(at.text(), "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        errors.push(field_value::unsupported(&at.path, &Value::from(at.text()), &["NoSchedule", "PreferNoSchedule", "NoExecute"]));
    }
}

/// `topologySpreadConstraints`
pub(crate) fn topology_spread(spec: &FieldValue<'_>, errors: &mut Errors) {
    let all: Vec<FieldValue<'_>> = spec.items("topologySpreadConstraints").collect();
    let topology = |at: &FieldValue<'_>| (at.text_of("topologyKey").to_owned(), at.text_of("whenUnsatisfiable").to_owned());
    // How many of each are still to come: all but the last of equal ones are told.
    let mut to_come: HashMap<(String, String), usize> = HashMap::new();
    all.iter().for_each(|at| *to_come.entry(topology(at)).or_default() += 1);
    for at in &all {
        at.child("maxSkew").positive(errors);
        let key = at.child("topologyKey");
        if key.text().is_empty() {
            errors.push(key.required("can not be empty"));
        }
        let when = at.child("whenUnsatisfiable");
        if !matches!(when.text(), "DoNotSchedule" | "ScheduleAnyway") {
            errors.push(field_value::unsupported(&when.path, &Value::from(when.text()), &["DoNotSchedule", "ScheduleAnyway"]));
        }
        let equal_ones = to_come.entry(topology(at)).or_default();
        *equal_ones = equal_ones.saturating_sub(1);
        if *equal_ones > 0 {
            let path = at.path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(apimachinery::field::Error::duplicate(&path, format!("{{{}, {}}}", key.text(), when.text())));
        }
        if let Some(domains) = at.some("minDomains") {
            domains.positive(errors);
            if when.text() != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", when.text());
                errors.push(domains.invalid(&detail));
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = at.some(name).filter(|policy| !matches!(policy.text(), "Honor" | "Ignore")) {
                errors.push(policy.unsupported(&["Honor", "Ignore"]));
            }
        }
        match_label_keys(at, errors);
        label_selector(&at.child("labelSelector"), errors);
    }
}
