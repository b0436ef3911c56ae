//! Role `authorizer`: what a user may do.

use crate::user::UserInfo;

/// A requirement of a label or field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// The label or field.
    pub key: String,
    /// How the values count.
    pub operator: SelectorOperator,
    /// The values.
    pub values: Vec<String>,
}

/// How a requirement's values count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum SelectorOperator {
    #[default]
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// What a request wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who.
    pub user: UserInfo,
    /// `get`, `list`, `create`, …; for paths that are no resource the method in lower case.
    pub verb: String,
    /// Empty for cluster-scoped resources, and for all namespaces.
    pub namespace: String,
    /// Empty for the core group.
    pub api_group: String,
    /// `v1`.
    pub api_version: String,
    /// `pods`.
    pub resource: String,
    /// `status`; empty for the resource itself.
    pub subresource: String,
    /// Empty where the request names none.
    pub name: String,
    /// Whether it is about a resource; else only `path` and `verb` mean something.
    pub resource_request: bool,
    /// The URL's path.
    pub path: String,
    /// Parsed requirements of `fieldSelector`.
    pub field_selector: Vec<SelectorRequirement>,
    /// Parsed requirements of `labelSelector`.
    pub label_selector: Vec<SelectorRequirement>,
    /// Whether [`Decision::Conditional`] may be answered.
    pub conditional_accepted: bool,
}

/// A condition on the object, decided later, at admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its name in logs.
    pub id: String,
    /// A CEL expression over `object`, `oldObject`, `request`.
    pub expression: String,
    /// What it means if the expression holds.
    pub effect: Effect,
}

/// What it means if a condition's expression holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "an authorizer's words")]
pub enum Effect {
    Allow,
    Deny,
    #[default]
    NoOpinion,
}

/// What an authorizer decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// Refused, whatever others say.
    Deny,
    /// Ask the next.
    NoOpinion,
    /// It depends on the object.
    Conditional(Vec<Condition>),
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What.
    pub decision: Decision,
    /// For the audit log, and for the client where it is refused.
    pub reason: String,
    /// Something went wrong on the way, and the decision stands all the same.
    pub evaluation_error: Option<String>,
}

impl Authorization {
    /// Allowed, and why.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow, reason: reason.into(), evaluation_error: None }
    }

    /// Refused, and why.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Deny, reason: reason.into(), evaluation_error: None }
    }

    /// The next decides.
    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Self { decision: Decision::NoOpinion, reason: reason.into(), evaluation_error: None }
    }
}

/// Role `authorizer`.
pub trait Authorizer: crate::Plugin {
    /// Decides.
    fn authorize(&self, attributes: &Attributes) -> Authorization;
}

/// One rule on resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "field for field upstream's ResourceRule")]
pub struct ResourceRule {
    pub verbs: Vec<String>,
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
}

/// One rule on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "field for field upstream's NonResourceRule")]
pub struct NonResourceRule {
    pub verbs: Vec<String>,
    pub non_resource_urls: Vec<String>,
}

/// A user's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRules {
    /// On resources.
    pub resource_rules: Vec<ResourceRule>,
    /// On paths.
    pub non_resource_rules: Vec<NonResourceRule>,
    /// Rules may be missing.
    pub incomplete: bool,
    /// What went wrong.
    pub evaluation_error: String,
}

/// Optional, for role `authorizer`: lists a user's rules (`kubectl auth can-i --list`).
pub trait Rules: Authorizer {
    /// What this user may do in this namespace.
    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules;
}
