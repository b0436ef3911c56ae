//! Whether a rule allows a request.

use wasmgate_sdk::authorization::Attributes;

use crate::objects::Rule;

/// Every verb, group, resource or path.
pub const ALL: &str = "*";

impl Rule {
    /// Whether verb, group, resource and name hold; verb and path where it is about no resource.
    pub fn allows(&self, attributes: &Attributes) -> bool {
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if !attributes.resource_request {
            return self.non_resource_urls.iter().any(|url| url_matches(url, &attributes.path));
        }
        has(&self.api_groups, &attributes.api_group)
            && self.resources.iter().any(|resource| resource_matches(resource, &attributes.resource, &attributes.subresource))
            && (self.resource_names.is_empty() || self.resource_names.contains(&attributes.name))
    }
}

/// Whether a list has it, or all.
pub fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

/// `pods`, `pods/log`, `*/scale` (of every resource), `*` (with all subresources).
fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == ALL {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    let exactly = |prefix| rule.strip_prefix(prefix).and_then(|rest: &str| rest.strip_prefix('/')) == Some(subresource);
    exactly(resource) || exactly(ALL)
}

/// `/healthz`, `/healthz/*`, `*`.
pub fn url_matches(rule: &str, path: &str) -> bool {
    rule == ALL || rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        let rows = [
            ("*", "pods", "", true),
            ("*", "pods", "log", true),
            ("pods", "pods", "", true),
            ("pods", "pods", "log", false),
            ("pods/log", "pods", "log", true),
            ("pods/log", "pods", "", false),
            ("pods/log", "pods", "exec", false),
            ("*/scale", "deployments", "scale", true),
            ("*/scale", "deployments", "", false),
            ("*/scale", "deployments", "status", false),
            ("pods/*", "pods", "log", false),
            ("*/*", "pods", "log", false),
            ("nodes/proxy", "nodes", "proxy/a", false),
            ("podsx/log", "pods", "log", false),
        ];
        for (rule, resource, subresource, want) in rows {
            assert_eq!(resource_matches(rule, resource, subresource), want, "{rule} {resource}/{subresource}");
        }
    }

    #[test]
    fn urls() {
        let rows = [
            ("*", "/any", true),
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/ping", false),
            ("/healthz/*", "/healthz/ping", true),
            ("/healthz/*", "/healthz", false),
            ("/healthz*", "/healthz", true),
            ("/healthz**", "/healthz/x", true),
            ("/a*b", "/axb", false),
        ];
        for (rule, path, want) in rows {
            assert_eq!(url_matches(rule, path), want, "{rule} {path}");
        }
    }
}
