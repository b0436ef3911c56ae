//! What the two kinds of policies have in common. Expressions are checked where they are compiled, not here.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching::{FAILURE_POLICIES, default_match_resources, match_conditions, match_resources, one_of};
use crate::shared::cell::{UNSET, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::value::{self, if_nil, object_at};

/// `ValidatingAdmissionPolicy`, `MutatingAdmissionPolicy`
pub(crate) fn default_policy(_: &Resource, policy: &mut Value) {
    let spec = object_at(policy, "spec");
    if_nil(spec, "failurePolicy", "Fail");
    default_match_resources(spec, "matchConstraints");
}

const AUDIT_ANNOTATIONS_MAX: usize = 20;

fn param_kind(at: &FieldValue<'_>, errors: &mut Errors) {
    let (version, kind) = (at.child("apiVersion"), at.child("kind"));
    match version.text().split('/').collect::<Vec<_>>().as_slice() {
        [""] => errors.push(version.required("")),
        ["", ""] => errors.push(version.invalid("version must be specified")),
        [_, _, _, ..] => errors.push(version.invalid(&format!("unexpected GroupVersion string: {}", version.text()))),
        parts => {
            let (group, number) = if let [group, number] = parts { (*group, *number) } else { ("", parts[0]) };
            let problems = name::is_dns1123_subdomain(group);
            if !group.is_empty() && !problems.is_empty() {
                errors.push(version.invalid_as(group, &problems.join(",")));
            }
            let problems = name::is_dns1035_label(number);
            if number.is_empty() {
                errors.push(version.invalid("version must be specified"));
            } else if !problems.is_empty() {
                errors.push(version.invalid_as(number, &problems.join(",")));
            }
        }
    }
    let problems = name::is_dns1035_label(&kind.text().to_lowercase());
    if kind.text().is_empty() {
        errors.push(kind.required(""));
    } else if !problems.is_empty() {
        errors.push(kind.invalid(&format!("may have mixed case, but should otherwise match: {}", problems.join(","))));
    }
}

fn is_cel_identifier(text: &str) -> bool {
    const RESERVED: [&str; 22] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
        "__proto__",
    ];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !RESERVED.contains(&text)
}

fn policy_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    one_of(&spec.child("failurePolicy"), &FAILURE_POLICIES, errors);
    if let Some(kind) = spec.some("paramKind") {
        param_kind(&kind, errors);
    }
    match spec.some("matchConstraints") {
        None => errors.push(spec.child("matchConstraints").required("")),
        Some(constraints) => {
            match_resources(&constraints, errors);
            if constraints.is_empty("resourceRules") {
                errors.push(constraints.child("resourceRules").required(""));
            }
        }
    }
    match_conditions(spec, errors);
    for variable in spec.items("variables") {
        let name = variable.child("name");
        if name.text().trim().is_empty() {
            errors.push(name.required("name is not specified"));
        } else if !is_cel_identifier(name.text()) {
            errors.push(name.invalid("must be a valid CEL identifier"));
        }
        if variable.text_of("expression").trim().is_empty() {
            errors.push(variable.child("expression").required("expression is not specified"));
        }
    }
}

fn validations(meta_name: &str, spec: &FieldValue<'_>, errors: &mut Errors) {
    if spec.is_empty("validations") && spec.is_empty("auditAnnotations") {
        for name in ["validations", "auditAnnotations"] {
            errors.push(spec.child(name).required("validations or auditAnnotations must contain at least one item"));
        }
        return;
    }
    for at in spec.items("validations") {
        let (message, expression) = (at.child("message"), at.child("messageExpression"));
        if at.text_of("expression").trim().is_empty() {
            errors.push(at.child("expression").required("expression is not specified"));
        }
        if !expression.text().is_empty() && expression.text().trim().is_empty() {
            errors.push(expression.invalid("must be non-empty if specified"));
        }
        if !message.text().is_empty() && message.text().trim().is_empty() {
            errors.push(message.invalid("must be non-empty if specified"));
        } else if message.text().trim().contains(['\n', '\r']) {
            errors.push(message.invalid("must not contain line breaks"));
        }
        one_of(&at.child("reason"), &["Forbidden", "Invalid", "RequestEntityTooLarge"], errors);
    }
    let annotations = spec.child("auditAnnotations");
    if spec.items("auditAnnotations").count() > AUDIT_ANNOTATIONS_MAX {
        errors.push(annotations.invalid(&format!("must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations")));
    }
    let mut keys: HashSet<&str> = HashSet::new();
    for at in spec.items("auditAnnotations") {
        let key = at.child("key");
        let text = value::text(at.value, "key");
        let full = format!("{meta_name}/{text}");
        errors.extend(name::is_qualified_name(&full).iter().map(|problem| key.invalid_as(full.as_str(), problem)));
        if at.text_of("valueExpression").trim().is_empty() {
            errors.push(at.child("valueExpression").required("valueExpression is not specified"));
        }
        if keys.contains(&text) {
            errors.push(key.duplicate());
        }
        keys.insert(text);
    }
}

fn mutations(spec: &FieldValue<'_>, errors: &mut Errors) {
    for rule in spec.child("matchConstraints").items("resourceRules") {
        let at = spec.child("matchConstraints").child("resourceRules").child("operations");
        for operation in rule.items("operations").filter(|operation| !matches!(operation.text(), "*" | "CREATE" | "UPDATE")) {
            errors.push(operation.renamed(at.path.clone()).unsupported(&["*", "CREATE", "UPDATE"]));
        }
    }
    if spec.is_empty("mutations") {
        errors.push(spec.child("mutations").required("mutations must contain at least one item"));
    }
    for at in spec.items("mutations") {
        let kind = at.child("patchType");
        let (apply, patch) = (at.child("applyConfiguration"), at.child("jsonPatch"));
        match kind.text() {
            "ApplyConfiguration" | "JSONPatch" => {
                let (wanted, other) = if kind.text() == "ApplyConfiguration" { (&apply, &patch) } else { (&patch, &apply) };
                if wanted.value.is_null() {
                    errors.push(wanted.required(&format!("must be specified when patchType is {}", kind.text())));
                } else if wanted.text_of("expression").trim().is_empty() {
                    errors.push(wanted.child("expression").required("expression is not specified"));
                }
                if !other.value.is_null() {
                    errors.push(other.forbidden(&format!("may not be specified when patchType is {}", kind.text())));
                }
            }
            "" => errors.push(kind.required("")),
            _ => errors.push(kind.unsupported(&["ApplyConfiguration", "JSONPatch"])),
        }
    }
    let policy = spec.child("reinvocationPolicy");
    if policy.text().is_empty() {
        errors.push(policy.required(""));
    } else {
        one_of(&policy, &["IfNeeded", "Never"], errors);
    }
}

/// `ValidatingAdmissionPolicy`, `MutatingAdmissionPolicy`
pub(crate) fn validate_policy(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    policy_spec(&spec, &mut errors);
    if &*resource.gvk.kind == "ValidatingAdmissionPolicy" {
        validations(apimachinery::object::name(object), &spec, &mut errors);
    } else {
        mutations(&spec, &mut errors);
    }
    errors
}

/// `ValidatingAdmissionPolicy`, `MutatingAdmissionPolicy`
pub(crate) fn validate_policy_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_policy(resource, object)
}

pub(crate) fn parameter_kind(policy: &Value) -> String {
    let kind = some(policy, "/spec/paramKind").map(|kind| format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")));
    kind.unwrap_or_else(|| UNSET.to_owned())
}
