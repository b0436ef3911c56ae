//! Who a request comes from and what it may do: the nouns, the traits, and the chains over them.

mod forbidden;
mod recorder;

pub mod chain;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

pub use forbidden::{forbidden, sanitized};
pub use recorder::{AuditAnnotations, Recorder, Warnings};

/// A user, as an authenticator names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// `system:serviceaccount:default:builder`.
    pub name: String,
    /// Changes when a name is given out again.
    pub uid: String,
    /// Upstream's order is kept.
    pub groups: Vec<String>,
    /// Keys are lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A client certificate of the connection. The host has looked at its chain; what it means is the plugin's to say.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    /// DER of the leaf.
    pub der: Vec<u8>,
    /// Subject's CN; empty where there is none.
    pub common_name: String,
    /// Subject's O, in order.
    pub organizations: Vec<String>,
    /// Subject's UID attribute (KEP-5018 uses 1.3.6.1.4.1.57683.2), empty where there is none.
    pub uid: String,
    /// Lower-case hex of sha256 over the DER.
    pub sha256: String,
    /// Why the chain does not hold, in upstream's words; `None`: verified against `--client-ca-file`.
    pub chain_error: Option<String>,
}

/// The request that a question belongs to. It is no part of the question: the same question has the same answer for another request.
#[derive(Clone, Debug, Default)]
pub struct AskedFor {
    /// What the request is known by in the log; empty for those that the server makes to itself.
    pub id: Arc<str>,
    /// Who really sent it, where its user is impersonated.
    pub original_user: Option<Arc<UserInfo>>,
    /// When the client stops waiting; `None`: it does not.
    pub deadline: Option<Instant>,
    /// Where warnings and audit annotations go.
    pub recorder: Recorder,
}

/// What a request shows to prove who sent it.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The connection's client certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// `Authorization: Bearer …`, without the scheme.
    pub bearer_token: Option<String>,
    /// Whom the credentials must be meant for: those that a TokenReview names. Empty: this server.
    pub audiences: Vec<String>,
    /// The request that shows them.
    pub asked_for: AskedFor,
}

/// What an authenticator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// This is who it is.
    User(UserInfo),
    /// The same, by a token that says whom it is meant for: those of the audiences asked for that are among them.
    UserFor(UserInfo, Vec<String>),
    /// There is nothing here that this authenticator knows.
    NoOpinion,
    /// There is something, and it is not valid. The words are for the log, not for the client.
    Rejected(String),
}

/// Decides who sent a request.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Looks at the credentials. An `Err` is a fault: the request is not authenticated by it.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault>;
}

/// A component that did not answer: a trap, a timeout, a limit, or an answer that is none. Never an allow.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin {plugin}: {reason}")]
pub struct Fault {
    /// The plugin's name.
    pub plugin: String,
    /// What happened, for the log and for the plugin's status.
    pub reason: String,
}

/// A requirement of a label or field selector, as an authorizer sees it (KEP-4601).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// The label or field.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// The values.
    pub values: Vec<String>,
}

/// What a request wants to do.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Who.
    pub user: Arc<UserInfo>,
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
    /// Whether it is about a resource at all.
    pub resource_request: bool,
    /// The URL's path.
    pub path: String,
    /// Parsed requirements of `fieldSelector`.
    pub field_selector: Vec<SelectorRequirement>,
    /// Parsed requirements of `labelSelector`.
    pub label_selector: Vec<SelectorRequirement>,
    /// The request that wants it.
    pub asked_for: AskedFor,
}

/// What an authorizer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// Refused, whatever others say.
    Deny,
    /// Ask the next.
    NoOpinion,
}

/// A decision, with the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What.
    pub decision: Decision,
    /// Why, for the audit log and for the client where it is refused.
    pub reason: String,
    /// Something went wrong on the way, and the decision stands all the same.
    pub evaluation_error: Option<String>,
}

/// What an authorizer's fault means for the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// It is refused: the authorizer may have been there to deny it.
    #[default]
    Deny,
    /// The next authorizer is asked. Right for one that only ever allows.
    NoOpinion,
}

impl Authorization {
    /// What stands in for the answer that a fault is in place of.
    pub fn of_fault(fault: &Fault, policy: FailurePolicy) -> Self {
        let decision = match policy {
            FailurePolicy::Deny => Decision::Deny,
            FailurePolicy::NoOpinion => Decision::NoOpinion,
        };
        Self { decision, reason: String::new(), evaluation_error: Some(fault.to_string()) }
    }
}

/// Rules of a user, for `SelfSubjectRulesReview`.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// On resources: each is a JSON object as in the review's `status.resourceRules`.
    pub resource_rules: Vec<ResourceRule>,
    /// On paths.
    pub non_resource_rules: Vec<NonResourceRule>,
    /// Whether rules may be missing.
    pub incomplete: bool,
    /// What went wrong.
    pub evaluation_error: String,
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

/// Decides what a user may do.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Decides. A component's fault is [`Authorization::of_fault`]: never an allow.
    async fn authorize(&self, attributes: &Attributes) -> Authorization;

    /// What a user may do in a namespace.
    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules;
}
