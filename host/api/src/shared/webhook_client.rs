//! How a webhook is reached: by a URL or by a service. Webhook configurations and conversions of custom resources say it alike.

use apimachinery::validation::name;

use crate::shared::field_value::{Errors, FieldValue};

/// Where a webhook is.
pub(crate) fn client_config(at: &FieldValue<'_>, words: &str, errors: &mut Errors) {
    match (at.some("url"), at.some("service")) {
        (Some(url), None) => webhook_url(&url, errors),
        (None, Some(service)) => webhook_service(&service, errors),
        _ => errors.push(at.required(words)),
    }
}

fn webhook_url(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn webhook_service(at: &FieldValue<'_>, errors: &mut Errors) {
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
