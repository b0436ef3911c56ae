//! Which requests an admission plugin is shown: the rules of `match`, in the form of upstream's webhook configurations.

use std::collections::BTreeSet;

use admission::chain::Round;
use admission::{Operation, Version};
use apimachinery::GroupResource;
use apimachinery::object::find;
use serde::Deserialize;
use serde_json::Value;

use super::words::Role;
use super::{Error, field_error};
use crate::limits;

/// Which resources a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum ScopeType {
    Cluster,
    Namespaced,
    #[default]
    #[serde(rename = "*")]
    Any,
}

/// A rule of `match`, as in upstream's webhook configurations. An empty list is `["*"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
    pub operations: Vec<String>,
    /// The core group is the empty string.
    pub api_groups: Vec<String>,
    /// `v1`.
    pub api_versions: Vec<String>,
    /// `pods`, `pods/status`, `pods/*`, `*`, `*/scale`, `*/*`.
    pub resources: Vec<String>,
    /// Cluster-scoped or namespaced ones.
    pub scope: ScopeType,
    /// Only for these of the plugin's admission roles.
    pub roles: Vec<Role>,
    /// Only objects that have one of these fields, now or before the change: JSON Pointers (RFC 6901).
    pub fields: Vec<String>,
    /// Only where the request's namespace has an object of this resource; of a cluster-scoped one, where there is any.
    pub exists: Option<Existing>,
    /// Only where an object of the manifest's `lookups` is like this.
    pub lookup: Option<LookupRequirement>,
}

/// A resource of `exists`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Existing {
    /// The core group is the empty string.
    #[serde(default)]
    pub group: String,
    /// `limitranges`.
    pub resource: String,
}

/// What the object of a look-up must be like; the words are those of label selectors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequirement {
    /// The look-up's name.
    pub name: String,
    /// Where in the object: a JSON Pointer (RFC 6901). Empty: the object itself.
    #[serde(default)]
    pub field: String,
    /// How it stands to `values`.
    pub operator: Operator,
    /// Texts; what is no text in the object is compared by its JSON.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What is asked of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Operator {
    In,
    /// Holds where there is no such field, and no such object.
    NotIn,
    Exists,
    DoesNotExist,
}

impl LookupRequirement {
    /// Whether it holds of what was found: an object's JSON, or nothing.
    pub fn holds(&self, object: Option<&[u8]>) -> bool {
        // What cannot be read counts as missing.
        let object: Option<Value> = object.and_then(|object| serde_json::from_slice(object).ok());
        let found = object.as_ref().and_then(|object| find(object, &self.field)).filter(|found| !found.is_null());
        let is_listed = |found: &Value| match found {
            Value::String(text) => self.values.contains(text),
            other => self.values.contains(&other.to_string()),
        };
        match self.operator {
            Operator::In => found.is_some_and(is_listed),
            Operator::NotIn => !found.is_some_and(is_listed),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
        }
    }
}

/// What rules ask of the cluster.
pub trait Surroundings {
    /// Whether a namespace has an object of a resource; where `namespace` is empty, whether there is any.
    fn exists(&self, resource: &GroupResource, namespace: &str) -> bool;

    /// Whether the object of a look-up that is made for this request is as required.
    fn meets(&self, requirement: &LookupRequirement, attributes: &admission::Attributes, version: &Version<'_>) -> bool;
}

/// Where nothing is known of the cluster: whatever a rule asks for may be there.
pub struct Unknown;

impl Surroundings for Unknown {
    fn exists(&self, _: &GroupResource, _: &str) -> bool {
        true
    }

    fn meets(&self, _: &LookupRequirement, _: &admission::Attributes, _: &Version<'_>) -> bool {
        true
    }
}

impl Rule {
    /// Whether the rule is about a request, in this version of it; upstream's `rules.Matcher`.
    pub fn matches(&self, round: Round, attributes: &admission::Attributes, version: &Version<'_>, cluster: &dyn Surroundings) -> bool {
        let asked = version.resource;
        let listed = |list: &[String], word: &str| list.is_empty() || list.iter().any(|item| item == "*" || item == word);
        let resource = || {
            self.resources.is_empty()
                || self.resources.iter().any(|item| {
                    let (resource, subresource) = item.split_once('/').unwrap_or((item, ""));
                    (resource == "*" || resource == asked.resource) && (subresource == "*" || subresource == attributes.subresource)
                })
        };
        // A request for a namespace carries its own name as namespace, and is cluster-scoped all the same.
        let namespaced = || {
            let namespaces = asked.group.is_empty() && asked.resource == "namespaces";
            !namespaces && !attributes.namespace.is_empty()
        };
        listed(&self.operations, attributes.operation.as_str())
            && listed(&self.api_groups, &asked.group)
            && listed(&self.api_versions, &asked.version)
            && resource()
            && match self.scope {
                ScopeType::Any => true,
                ScopeType::Namespaced => namespaced(),
                ScopeType::Cluster => !namespaced(),
            }
            && (self.roles.is_empty() || self.roles.contains(&Role::of(round)))
            && (self.fields.is_empty() || self.fields.iter().any(|field| is_set(version, field)))
            && self
                .exists
                .as_ref()
                .is_none_or(|it| cluster.exists(&GroupResource::new(it.group.clone(), it.resource.clone()), &attributes.namespace))
            && self.lookup.as_ref().is_none_or(|requirement| cluster.meets(requirement, attributes, version))
    }
}

fn is_set(version: &Version<'_>, field: &str) -> bool {
    let set = |value: &Value| find(value, field).is_some_and(|value| !value.is_null());
    [version.object, version.old].into_iter().flatten().any(|object| set(object.value()))
}

/// Whether its words are known, and its roles the plugin's. `path` is where it stands: `spec.match[0]`.
pub(super) fn check(rule: &Rule, roles: &BTreeSet<Role>, path: &str) -> Result<(), Error> {
    let known = [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect].map(Operation::as_str);
    for (index, word) in rule.operations.iter().enumerate() {
        if word != "*" && !known.contains(&word.as_str()) {
            return Err(field_error(
                format!("{path}.operations[{index}]"),
                format!("\"{word}\" is none of CREATE, UPDATE, DELETE, CONNECT, *"),
            ));
        }
    }
    for (index, word) in rule.resources.iter().enumerate() {
        let mut parts = word.split('/');
        if word.matches('/').count() > 1 || parts.any(str::is_empty) {
            return Err(field_error(
                format!("{path}.resources[{index}]"),
                format!("\"{word}\" must be like pods, pods/status, pods/*, *, */scale or */*"),
            ));
        }
    }
    for (index, role) in rule.roles.iter().enumerate() {
        let admits = matches!(role, Role::MutatingAdmission | Role::ValidatingAdmission);
        if !admits || !roles.contains(role) {
            return Err(field_error(format!("{path}.roles[{index}]"), "must be one of the plugin's admission roles"));
        }
    }
    let is_pointer = |field: &str| field.starts_with('/') && field.len() <= limits::POINTER_BYTES_MAX;
    for (index, field) in rule.fields.iter().enumerate() {
        if !is_pointer(field) {
            return Err(field_error(
                format!("{path}.fields[{index}]"),
                format!("\"{field}\" must be a JSON Pointer, such as /spec/nodeName"),
            ));
        }
    }
    if let Some(LookupRequirement { field, operator, values, .. }) = &rule.lookup {
        if !field.is_empty() && !is_pointer(field) {
            return Err(field_error(format!("{path}.lookup.field"), format!("\"{field}\" must be a JSON Pointer, such as /status/phase")));
        }
        if matches!(operator, Operator::In | Operator::NotIn) == values.is_empty() {
            return Err(field_error(format!("{path}.lookup.values"), "must be given with In and NotIn, and with nothing else"));
        }
    }
    Ok(())
}
