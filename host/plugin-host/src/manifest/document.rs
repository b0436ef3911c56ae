//! A manifest as it is written: every field by its name and type, and nothing of what the fields mean together.

use serde::Deserialize;
use serde_json::Value;

use super::rule::Rule;
use super::words::{Capability, Credential, Instances, MatchPolicy, Reinvocation, Role};

/// A resource of `reads` or `watches`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceName {
    #[serde(default)]
    pub(super) group: String,
    pub(super) resource: String,
    /// What of its objects is shown; empty: all.
    #[serde(default)]
    pub(super) fields: Vec<String>,
}

/// A resource of `charges`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargedResource {
    #[serde(default)]
    pub(super) group: String,
    pub(super) resource: String,
}

/// An index that the host holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexDeclaration {
    pub(super) name: String,
    #[serde(default)]
    pub(super) group: String,
    pub(super) resource: String,
    /// The parts of the key, each with the paths of its texts.
    pub(super) key: Vec<Vec<String>>,
    /// What entries show of their object; empty: nothing.
    #[serde(default)]
    pub(super) fields: Vec<String>,
}

/// What `http` may reach.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpSpec {
    pub(super) origins: Vec<String>,
    /// PEM; none: those that the system trusts.
    pub(super) ca: Option<String>,
    pub(super) timeout_milliseconds: Option<u64>,
    pub(super) request_bytes: Option<u64>,
    pub(super) response_bytes: Option<u64>,
}

/// A look-up whose result comes with the call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LookupSpec {
    pub(super) name: String,
    #[serde(default)]
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) namespace_from: Option<String>,
    #[serde(default)]
    pub(super) name_from: Vec<String>,
    #[serde(default)]
    pub(super) name_default: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) name: String,
    /// Free for its author's use.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as on every object")]
    pub(super) labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as on every object")]
    pub(super) annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    pub(super) component: Option<String>,
    pub(super) roles: Vec<Role>,
    #[serde(default, rename = "match")]
    pub(super) rules: Vec<Rule>,
    pub(super) match_policy: Option<MatchPolicy>,
    pub(super) failure_policy: Option<FailurePolicyWord>,
    #[serde(default)]
    pub(super) capabilities: Vec<Capability>,
    #[serde(default)]
    pub(super) credentials: Vec<Credential>,
    pub(super) mode: Option<ModeWord>,
    #[serde(default)]
    pub(super) fallback: bool,
    #[serde(default)]
    pub(super) pure: bool,
    #[serde(default)]
    pub(super) input: Vec<String>,
    #[serde(default)]
    pub(super) lookups: Vec<LookupSpec>,
    #[serde(default)]
    pub(super) reads: Vec<ResourceName>,
    #[serde(default)]
    pub(super) watches: Vec<ResourceName>,
    #[serde(default)]
    pub(super) charges: Vec<ChargedResource>,
    #[serde(default)]
    pub(super) indexes: Vec<IndexDeclaration>,
    pub(super) http: Option<HttpSpec>,
    #[serde(default)]
    pub(super) instances: Instances,
    pub(super) order: Option<i32>,
    #[serde(default)]
    pub(super) reinvocation: Reinvocation,
    #[serde(default)]
    pub(super) limits: LimitsSpec,
    #[serde(default)]
    pub(super) config: Value,
}

/// The words of the admission roles, and those of an authorizer.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum FailurePolicyWord {
    Fail,
    Ignore,
    Deny,
    NoOpinion,
}

/// The words of [`Mode`].
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum ModeWord {
    Decide,
    Warn,
    Shadow,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LimitsSpec {
    pub(super) memory_bytes: Option<u64>,
    pub(super) timeout_milliseconds: Option<u64>,
    pub(super) instances: Option<u32>,
    pub(super) counter_keys: Option<u64>,
}
