//! The smallest thing that a rule grants: one verb on one resource (perhaps by one name), or on one path.
//!
//! A role is taken apart into these to see whether somebody holds all of it: one of them is either covered by one single
//! rule or not at all.

use std::collections::{BTreeMap, BTreeSet};

use wasmgate_sdk::quote::quote_all;

use crate::objects::Rule;
use crate::rule::{ALL, has, url_matches};

/// One verb on one resource or path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission<'a> {
    /// `*` means all, in each field.
    Resource {
        /// API group.
        group: &'a str,
        /// `pods`, `pods/log`, `*/scale`.
        resource: &'a str,
        /// None: every name.
        name: Option<&'a str>,
        /// What to do.
        verb: &'a str,
    },
    /// Of no resource.
    Path {
        /// `/healthz`, `/metrics/*`.
        url: &'a str,
        /// What to do.
        verb: &'a str,
    },
}

impl Rule {
    /// What it grants, one by one.
    pub fn permissions(&self) -> impl Iterator<Item = Permission<'_>> {
        let resources = self.api_groups.iter().flat_map(move |group| {
            self.resources.iter().flat_map(move |resource| {
                self.verbs.iter().flat_map(move |verb| {
                    let any = self.resource_names.is_empty().then_some(None);
                    let names = any.into_iter().chain(self.resource_names.iter().map(|name| Some(name.as_str())));
                    names.map(move |name| Permission::Resource { group, resource, name, verb })
                })
            })
        });
        let paths = self.non_resource_urls.iter().flat_map(move |url| self.verbs.iter().map(move |verb| Permission::Path { url, verb }));
        resources.chain(paths)
    }

    /// How many those are, without counting them one by one: three short lists can make billions.
    pub fn permission_count(&self) -> usize {
        let names = self.resource_names.len().max(1);
        let resources = [self.resources.len(), names, self.verbs.len()].into_iter().fold(self.api_groups.len(), usize::saturating_mul);
        resources.saturating_add(self.non_resource_urls.len().saturating_mul(self.verbs.len()))
    }

    /// Whether somebody who has this rule has that permission.
    pub fn covers(&self, permission: Permission) -> bool {
        match permission {
            Permission::Resource { group, resource, name, verb } => {
                has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && covers_resource(&self.resources, resource)
                    && (self.resource_names.is_empty() || name.is_some_and(|name| self.resource_names.iter().any(|own| own == name)))
            }
            // Upstream asks for no names here, too: a rule about one named resource is about no path.
            Permission::Path { url, verb } => {
                has(&self.verbs, verb) && self.resource_names.is_empty() && self.non_resource_urls.iter().any(|own| url_matches(own, url))
            }
        }
    }
}

/// `pods/log` is covered by itself, by `*/log` and by `*`; `*/log` not by `pods/log`.
fn covers_resource(own: &[String], resource: &str) -> bool {
    let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
    own.iter().any(|own| own == ALL || own == resource || (subresource.is_some() && own.strip_prefix("*/") == subresource))
}

/// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`, each once, in the order of their texts. The verbs on
/// one resource are put together, unless it is by name.
pub fn describe(permissions: &[Permission]) -> BTreeSet<String> {
    let mut verbs_by_resource: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut texts = BTreeSet::new();
    for permission in permissions {
        match *permission {
            Permission::Resource { group, resource, name: None, verb } => {
                verbs_by_resource.entry((group, resource)).or_default().push(verb);
            }
            Permission::Resource { group, resource, name: Some(name), verb } => {
                let [group, resource, name, verb] = [group, resource, name, verb].map(|text| quote_all([text]));
                texts.insert(format!("{{APIGroups:{group}, Resources:{resource}, ResourceNames:{name}, Verbs:{verb}}}"));
            }
            Permission::Path { url, verb } => {
                texts.insert(format!("{{NonResourceURLs:{}, Verbs:{}}}", quote_all([url]), quote_all([verb])));
            }
        }
    }
    texts.extend(verbs_by_resource.into_iter().map(|((group, resource), verbs)| {
        format!("{{APIGroups:{}, Resources:{}, Verbs:{}}}", quote_all([group]), quote_all([resource]), quote_all(verbs))
    }));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split_terminator(',').map(|item| if item == "core" { String::new() } else { item.to_owned() }).collect()
    }

    /// `verbs groups resources [names]`, or `verbs /path,/path`.
    fn rule(text: &str) -> Rule {
        let mut words = text.split(' ');
        let mut next = || words.next().map(list).unwrap_or_default();
        let (verbs, groups) = (next(), next());
        if groups.iter().any(|word| word.starts_with('/') || word == "*url") {
            let urls = groups.into_iter().map(|url| url.replace("*url", "*")).collect();
            return Rule { verbs, non_resource_urls: urls, ..Rule::default() };
        }
        Rule { verbs, api_groups: groups, resources: next(), resource_names: next(), non_resource_urls: Vec::new() }
    }

    #[test]
    fn what_covers_what() {
        let rows = [
            ("get core pods", "get core pods", true),
            ("get,list core pods,nodes", "list core nodes", true),
            ("get core pods", "list core pods", false),
            ("* core pods", "list core pods", true),
            ("get core pods", "* core pods", false),
            ("get * pods", "get apps pods", true),
            ("get core pods", "get * pods", false),
            ("get core *", "get core pods/log", true),
            ("get core pods", "get core *", false),
            ("get core pods", "get core pods/log", false),
            ("get core */log", "get core pods/log", true),
            ("get core */log", "get core */log", true),
            ("get core pods/log", "get core */log", false),
            ("get core */log", "get core log", false),
            ("get core */log", "get core pods/log/x", false),
            ("get core pods", "get core pods a", true),
            ("get core pods a", "get core pods", false),
            ("get core pods a,b", "get core pods b", true),
            ("get core pods a,b", "get core pods c", false),
            ("get core pods a,b", "get core pods a,b", true),
            ("get core pods", "get /healthz", false),
            ("* * *", "get /healthz", false),
            ("* *url", "get core pods", false),
            ("* *url", "* *url", true),
            ("get /healthz", "get /healthz", true),
            ("get /healthz", "get /healthz/ping", false),
            ("get /healthz/*", "get /healthz/ping,/healthz/*", true),
            ("get /healthz/*", "get /healthz", false),
            ("get /healthz/*", "get *url", false),
            ("get", "get core pods", false),
        ];
        for (own, wanted, want) in rows {
            let (own, wanted) = (rule(own), rule(wanted));
            assert_eq!(wanted.permissions().all(|permission| own.covers(permission)), want, "{own:?} {wanted:?}");
        }
    }

    #[test]
    fn the_count_is_that_of_the_permissions() {
        for text in ["get", "get core pods", "get,list core,apps pods,nodes,x", "get,list core pods,nodes a,b,c", "get,put /a,/b,/c"] {
            let rule = rule(text);
            assert_eq!(rule.permission_count(), rule.permissions().count(), "{text}");
        }
    }

    #[test]
    fn verbs_of_a_resource_are_put_together() {
        let rules = [
            rule("get,list core pods"),
            rule("get apps,core x"),
            rule("list,watch core pods"),
            rule("get,list core pods b"),
            rule("get,put /a"),
        ];
        let permissions: Vec<_> = rules.iter().flat_map(Rule::permissions).collect();
        let want = [
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#,
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["list"]}"#,
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list" "list" "watch"]}"#,
            r#"{APIGroups:[""], Resources:["x"], Verbs:["get"]}"#,
            r#"{APIGroups:["apps"], Resources:["x"], Verbs:["get"]}"#,
            r#"{NonResourceURLs:["/a"], Verbs:["get"]}"#,
            r#"{NonResourceURLs:["/a"], Verbs:["put"]}"#,
        ];
        assert_eq!(describe(&permissions).into_iter().collect::<Vec<_>>(), want);
    }
}
