//! Webhook configurations and admission policies. Expressions are checked where they are compiled, not here.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use super::selector::label_selector;
use super::{At, Errors, metadata};
use crate::Resource;
use crate::kinds::value;

const CONDITIONS_MAX: usize = 64;
const AUDIT_ANNOTATIONS_MAX: usize = 20;
const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];

fn has_wildcard(at: &At<'_>, name: &str) -> bool {
    at.texts(name).any(|text| text == "*")
}

fn rule(at: &At<'_>, errors: &mut Errors) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let operations = at.child("operations");
    if at.is_empty("operations") {
        errors.push(operations.required(""));
    }
    if at.texts("operations").count() > 1 && has_wildcard(at, "operations") {
        errors.push(operations.invalid("if '*' is present, must not specify other operations"));
    }
    for operation in at.items("operations").filter(|operation| !OPERATIONS.contains(&operation.text())) {
        errors.push(operation.unsupported(&OPERATIONS));
    }
    for (name, noun) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = at.child(name);
        if at.is_empty(name) {
            errors.push(list.required(""));
        }
        if at.texts(name).count() > 1 && has_wildcard(at, name) {
            errors.push(list.invalid(&format!("if '*' is present, must not specify other {noun}")));
        }
    }
    for version in at.items("apiVersions").filter(|version| version.text().is_empty()) {
        errors.push(version.required(""));
    }
    resources(at, errors);
    if let Some(scope) = at.some("scope").filter(|scope| !matches!(scope.text(), "*" | "Cluster" | "Namespaced")) {
        errors.push(scope.unsupported(&["*", "Cluster", "Namespaced"]));
    }
}

fn resources(at: &At<'_>, errors: &mut Errors) {
    let list = at.child("resources");
    if at.is_empty("resources") {
        errors.push(list.required(""));
    }
    let (mut any_sub, mut any_resource): (HashSet<&str>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    let (mut everything, mut star, mut plain) = (false, false, false);
    for item in at.items("resources") {
        let text = item.value.as_str().unwrap_or_default();
        if text.is_empty() {
            errors.push(item.required(""));
            continue;
        }
        everything |= text == "*/*";
        star |= text == "*";
        let Some((resource, sub)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if any_sub.contains(resource) {
            errors.push(item.invalid(&format!("if '{resource}/*' is present, must not specify {text}")));
        }
        if any_resource.contains(sub) {
            errors.push(item.invalid(&format!("if '*/{sub}' is present, must not specify {text}")));
        }
        if sub == "*" {
            any_sub.insert(resource);
        }
        if resource == "*" {
            any_resource.insert(sub);
        }
    }
    if at.texts("resources").count() > 1 && everything {
        errors.push(list.invalid("if '*/*' is present, must not specify other resources"));
    }
    if star && plain {
        errors.push(list.invalid("if '*' is present, must not specify other resources without subresources"));
    }
}

/// Three labels at least.
fn fully_qualified_name(at: &At<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    let problems = name::is_dns1123_subdomain(at.text());
    if !problems.is_empty() {
        at.problems(problems, errors);
    } else if at.text().split('.').count() < 3 {
        errors.push(at.invalid("should be a domain with at least three segments separated by dots"));
    }
}

fn webhook(hook: &At<'_>, errors: &mut Errors) {
    fully_qualified_name(&hook.child("name"), errors);
    for at in hook.items("rules") {
        rule(&at, errors);
    }
    one_of(&hook.child("failurePolicy"), &FAILURE_POLICIES, errors);
    one_of(&hook.child("matchPolicy"), &MATCH_POLICIES, errors);
    let effects = hook.child("sideEffects");
    if effects.value.is_null() {
        errors.push(effects.required("must specify one of None, NoneOnDryRun"));
    }
    one_of(&effects, &["None", "NoneOnDryRun"], errors);
    if let Some(timeout) = hook.some("timeoutSeconds").filter(|timeout| !(1..=30).contains(&timeout.int())) {
        errors.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    label_selector(&hook.child("namespaceSelector"), errors);
    label_selector(&hook.child("objectSelector"), errors);
    one_of(&hook.child("reinvocationPolicy"), &["IfNeeded", "Never"], errors);
    client_config(&hook.child("clientConfig"), "exactly one of url or service is required", errors);
    match_conditions(hook, errors);
    review_versions(hook, errors);
}

fn one_of(at: &At<'_>, valid: &[&str], errors: &mut Errors) {
    if !at.value.is_null() && !valid.contains(&at.text()) {
        errors.push(at.unsupported(valid));
    }
}

/// Where a webhook is.
pub(crate) fn client_config(at: &At<'_>, words: &str, errors: &mut Errors) {
    match (at.some("url"), at.some("service")) {
        (Some(url), None) => webhook_url(&url, errors),
        (None, Some(service)) => webhook_service(&service, errors),
        _ => errors.push(at.required(words)),
    }
}

fn webhook_url(at: &At<'_>, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let text = at.text();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", text),
    };
    if scheme != "https" {
        errors.push(at.invalid_as(scheme, &format!("'https' is the only allowed URL scheme{FORM}")));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    if host.is_empty() || scheme.is_empty() {
        errors.push(at.invalid_as("", &format!("host must be specified{FORM}")));
    }
    if authority.contains('@') {
        errors.push(at.invalid_as(user, "user information is not permitted in the URL"));
    }
    if let Some((_, fragment)) = tail.split_once('#').filter(|(_, fragment)| !fragment.is_empty()) {
        errors.push(at.invalid_as(fragment, "fragments are not permitted in the URL"));
    }
    let query = tail.split('#').next().unwrap_or_default().split_once('?').map_or("", |(_, query)| query);
    if !query.is_empty() {
        errors.push(at.invalid_as(query, "query parameters are not permitted in the URL"));
    }
}

fn webhook_service(at: &At<'_>, errors: &mut Errors) {
    for (name, words) in [("name", "service name is required"), ("namespace", "service namespace is required")] {
        if at.is_empty(name) {
            errors.push(at.child(name).required(words));
        }
    }
    let port = at.child("port");
    if !name::is_valid_port_num(port.int()).is_empty() {
        errors.push(port.invalid(&format!("port is not valid: {}", name::inclusive_range_error(1, 65535))));
    }
    let Some(path) = at.some("path") else { return };
    let text = path.text();
    if text == "/" || text.is_empty() {
        return;
    }
    if text == "//" {
        errors.push(path.invalid("segment[0] may not be empty"));
    }
    if !text.starts_with('/') {
        errors.push(path.invalid("must start with a '/'"));
    }
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (i, segment) in inner.split('/').enumerate() {
        if segment.is_empty() {
            errors.push(path.invalid(&format!("segment[{i}] may not be empty")));
            continue;
        }
        for problem in name::is_dns1123_subdomain(segment) {
            errors.push(path.invalid(&format!("segment[{i}]: {problem}")));
        }
    }
}

fn match_conditions(owner: &At<'_>, errors: &mut Errors) {
    let list = owner.child("matchConditions");
    let count = owner.items("matchConditions").count();
    if count > CONDITIONS_MAX {
        errors.push(apimachinery::field::Error::too_many(&list.path, count, CONDITIONS_MAX));
    }
    let mut names: HashSet<&str> = HashSet::new();
    for condition in owner.items("matchConditions") {
        if condition.text_of("expression").trim().is_empty() {
            errors.push(condition.child("expression").required(""));
        }
        let name = condition.child("name");
        let text = value::text(condition.value, "name");
        if text.is_empty() {
            errors.push(name.required(""));
            continue;
        }
        errors.extend(name::is_qualified_name(text).iter().map(|problem| name.invalid(problem)));
        if names.contains(&text) {
            errors.push(name.duplicate());
        }
        names.insert(text);
    }
}

fn review_versions(hook: &At<'_>, errors: &mut Errors) {
    let list = hook.child("admissionReviewVersions");
    if hook.is_empty("admissionReviewVersions") {
        return errors.push(list.required("must specify one of v1, v1beta1"));
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for version in hook.items("admissionReviewVersions") {
        let text = version.value.as_str().unwrap_or_default();
        if seen.contains(&text) {
            errors.push(version.invalid("duplicate version"));
            continue;
        }
        seen.insert(text);
        version.problems(name::is_dns1035_label(text), errors);
    }
    if !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        errors.push(list.invalid("must include at least one of v1, v1beta1"));
    }
}

/// `ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`
pub(crate) fn validate_webhooks(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let mut names: HashSet<&str> = HashSet::new();
    for hook in At::root(object).items("webhooks") {
        webhook(&hook, &mut errors);
        let text = value::text(hook.value, "name");
        if !text.is_empty() && names.contains(&text) {
            errors.push(hook.child("name").duplicate());
        }
        names.insert(text);
    }
    errors
}

/// `ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`
pub(crate) fn validate_webhooks_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_webhooks(resource, object)
}

fn match_resources(at: &At<'_>, errors: &mut Errors) {
    one_of(&at.child("matchPolicy"), &MATCH_POLICIES, errors);
    label_selector(&at.child("namespaceSelector"), errors);
    label_selector(&at.child("objectSelector"), errors);
    for list in ["resourceRules", "excludeResourceRules"] {
        for named in at.items(list) {
            let mut names: HashSet<&str> = HashSet::new();
            for name in named.items("resourceNames") {
                name.problems(name::is_path_segment_name(name.text()), errors);
                let text = name.value.as_str().unwrap_or_default();
                if names.contains(&text) {
                    errors.push(name.duplicate());
                }
                names.insert(text);
            }
            rule(&named, errors);
        }
    }
}

fn param_kind(at: &At<'_>, errors: &mut Errors) {
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

fn policy_spec(spec: &At<'_>, errors: &mut Errors) {
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

fn validations(meta_name: &str, spec: &At<'_>, errors: &mut Errors) {
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

fn mutations(spec: &At<'_>, errors: &mut Errors) {
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
    let spec = At::root(object).child("spec");
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

/// `ValidatingAdmissionPolicy`: what its controller found, and nothing else.
pub(crate) fn validate_policy_status(_: &Resource, _: &str, object: &Value, _: &Value) -> Errors {
    let mut errors = Errors::new();
    let status = At::root(object).child("status");
    for warning in status.child("typeChecking").items("expressionWarnings") {
        for name in ["warning", "fieldRef"] {
            let field = warning.child(name);
            if field.text().trim().is_empty() {
                errors.push(field.required(""));
            }
        }
    }
    let conditions = status.child("conditions");
    errors.extend(apimachinery::validation::meta::validate_conditions(Some(conditions.value), &conditions.path));
    errors
}

/// The bindings of both.
pub(crate) fn validate_binding(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let spec = At::root(object).child("spec");
    let policy = spec.child("policyName");
    if policy.text().is_empty() {
        errors.push(policy.required(""));
    } else {
        policy.problems(metadata::subdomain(policy.text(), false), &mut errors);
    }
    if let Some(reference) = spec.some("paramRef") {
        param_ref(&reference, &mut errors);
    }
    if let Some(matcher) = spec.some("matchResources") {
        match_resources(&matcher, &mut errors);
    }
    if &*resource.gvk.kind == "ValidatingAdmissionPolicyBinding" {
        actions(&spec, &mut errors);
    }
    errors
}

fn param_ref(at: &At<'_>, errors: &mut Errors) {
    let (name, selector, missing) = (at.child("name"), at.child("selector"), at.child("parameterNotFoundAction"));
    let named = !name.text().is_empty();
    if named {
        name.problems(name::is_path_segment_name(name.text()), errors);
        if !selector.value.is_null() {
            errors.push(name.forbidden("name and selector are mutually exclusive"));
        }
    }
    if !selector.value.is_null() {
        label_selector(&selector, errors);
        if named {
            errors.push(selector.forbidden("name and selector are mutually exclusive"));
        }
    }
    if !named && selector.value.is_null() {
        errors.push(at.required("one of name or selector must be specified"));
    }
    if missing.text().is_empty() {
        errors.push(missing.required(""));
    } else {
        one_of(&missing, &["Deny", "Allow"], errors);
    }
}

fn actions(spec: &At<'_>, errors: &mut Errors) {
    let list = spec.child("validationActions");
    let mut seen: HashSet<&str> = HashSet::new();
    for action in spec.items("validationActions") {
        one_of(&action, &["Audit", "Deny", "Warn"], errors);
        let text = action.value.as_str().unwrap_or_default();
        if seen.contains(&text) {
            errors.push(action.duplicate());
        }
        seen.insert(text);
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers \
             serves no purpose)";
        errors.push(list.invalid(detail));
    }
    if seen.is_empty() {
        errors.push(list.required("at least one validation action is required"));
    }
}

/// The bindings of both.
pub(crate) fn validate_binding_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_binding(resource, object)
}
