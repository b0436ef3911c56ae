//! The manifest beside a component: what the plugin is, what it wants to see, and what it may call.
//!
//! YAML or JSON, in the shape of an API object, so that the same text can one day be applied with kubectl. Every mistake
//! is an error that names its place: a field that is misspelt must not silently mean its default.

mod check;
mod document;
mod rule;
mod words;

use std::collections::BTreeSet;

use admission::Version;
use admission::chain::{FailurePolicy, Mode, Round};
use apimachinery::GroupResource;
use serde_json::Value;

use crate::index::IndexSpec;
use crate::input::Input;
use crate::limits;
use crate::projection::ProjectedResource;
use document::Document;

pub use rule::{Existing, LookupRequirement, Operator, Rule, ScopeType, Surroundings, Unknown};
pub use words::{Capability, Credential, Instances, MatchPolicy, Reinvocation, Role};

/// What stands in `apiVersion`.
pub const API_VERSION: &str = "plugins.wasmgate.dev/v1alpha1";
/// What stands in `kind`.
pub const KIND: &str = "Plugin";

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no YAML, has a field that does not exist, or one of another type.
    #[error("{0}")]
    Syntax(String),
    /// A field has a value that it cannot have.
    #[error("{field}: {problem}")]
    Field {
        /// `spec.limits.memoryBytes`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn field_error(field: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Field { field: field.into(), problem: problem.into() }
}

/// Where an authorizer stands whose manifest does not say: behind `system:masters` (10), whom a plugin must not lock out by mistake, and
/// before the modes of `--authorization-mode` (20, 30, …), which it may have to overrule.
const AUTHORIZER_ORDER_DEFAULT: i32 = 15;

/// What an instance and a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All memories of one instance together.
    pub memory_bytes: usize,
    /// One call.
    pub timeout_milliseconds: u64,
    /// How many at once; `None`: the host's choice.
    pub instances: Option<u32>,
    /// Keys of counters that are kept, for all instances together.
    pub counter_keys: usize,
}

/// A manifest that holds.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `metadata.name`: the plugin's name in the log, metrics and messages.
    pub name: String,
    /// The component's file, in the manifest's own directory; `None`: the manifest's name with `.wasm`.
    pub component: Option<String>,
    /// What it does; at least one.
    pub roles: BTreeSet<Role>,
    /// Which requests admission shows it; empty: all.
    pub rules: Vec<Rule>,
    /// Whether they mean other versions of the same objects, too.
    pub match_policy: MatchPolicy,
    /// What its fault means at admission.
    pub failure_policy: FailurePolicy,
    /// Whether admission does what it says.
    pub mode: Mode,
    /// What its fault means at authorization.
    pub authorizer_failure_policy: auth::FailurePolicy,
    /// What it may call.
    pub capabilities: BTreeSet<Capability>,
    /// What an authenticator is shown.
    pub credentials: BTreeSet<Credential>,
    /// An authenticator that is asked only where no other named a user, found anything invalid or failed: anonymous.
    pub fallback: bool,
    /// An authenticator or authorizer whose answer is of nothing but the question, its configuration and what it watches: answers are
    /// remembered.
    pub pure: bool,
    /// What is handed over with a call.
    pub input: Input,
    /// What `cluster` may look up.
    pub reads: Vec<ProjectedResource>,
    /// What `changes` tells of.
    pub watches: Vec<ProjectedResource>,
    /// Of which resources it may charge objects.
    pub charges: Vec<GroupResource>,
    /// What `index` may be asked.
    pub indexes: Vec<IndexSpec>,
    /// What `http` may reach; `None`: nothing.
    pub http: Option<outbound::Grant>,
    /// Whether an instance serves many calls.
    pub instances: Instances,
    /// Lower ones are asked first; equal ones by name. See [`Self::order_as`].
    pub order: Option<i32>,
    /// Whether a mutating one is asked again.
    pub reinvocation: Reinvocation,
    /// What it may use.
    pub limits: Limits,
    /// For `configure`; `null` where there is none.
    pub config: Value,
}

impl Manifest {
    /// Reads a manifest, YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > limits::MANIFEST_BYTES_MAX {
            return Err(Error::Syntax(format!("the manifest has {} bytes, more than {}", text.len(), limits::MANIFEST_BYTES_MAX)));
        }
        // What it is comes first: a ConfigMap in the directory should be told so, and not which of its fields is unknown.
        let loose: Value = serde_saphyr::from_str(text).map_err(|error| Error::Syntax(plain(&error)))?;
        for (field, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            match loose.get(field) {
                Some(Value::String(found)) if found == expected => {}
                Some(found) => return Err(field_error(field, format!("is {found}, must be \"{expected}\""))),
                None => return Err(field_error(field, format!("is missing, must be \"{expected}\""))),
            }
        }
        let document: Document = serde_saphyr::from_str(text).map_err(|error| Error::Syntax(plain(&error)))?;
        debug_assert!(document.api_version == API_VERSION && document.kind == KIND);
        check::checked(document)
    }

    /// Whether any of the credentials that it looks at is shown.
    pub fn is_shown(&self, credentials: &auth::Credentials) -> bool {
        self.credentials.iter().any(|credential| match credential {
            Credential::ClientCertificate => credentials.certificate.is_some(),
            Credential::BearerToken => credentials.bearer_token.is_some(),
        })
    }

    /// Its place among the plugins of a role.
    pub fn order_as(&self, role: Role) -> i32 {
        self.order.unwrap_or(if role == Role::Authorizer { AUTHORIZER_ORDER_DEFAULT } else { 0 })
    }

    /// Whether something would go undecided without it: unless its manifest says that its faults are passed over.
    pub fn is_required(&self) -> bool {
        self.roles.iter().any(|role| match role {
            Role::Authenticator => true,
            Role::Authorizer => self.authorizer_failure_policy == auth::FailurePolicy::Deny,
            Role::MutatingAdmission | Role::ValidatingAdmission => self.mode == Mode::Decide && self.failure_policy == FailurePolicy::Fail,
        })
    }

    /// In which of a request's versions admission shows it: as requested where a rule says so, else in the first other version that the
    /// first rule names; upstream's `ShouldCallHook`. `None`: it is not shown.
    pub fn selects(
        &self,
        round: Round,
        attributes: &admission::Attributes,
        versions: &[Version<'_>],
        cluster: &dyn Surroundings,
    ) -> Option<usize> {
        let (requested, equivalents) = versions.split_first()?;
        if self.rules.is_empty() || self.rules.iter().any(|rule| rule.matches(round, attributes, requested, cluster)) {
            return Some(0);
        }
        if self.match_policy == MatchPolicy::Exact || equivalents.is_empty() {
            return None;
        }
        let first = |rule: &Rule| equivalents.iter().position(|version| rule.matches(round, attributes, version, cluster));
        self.rules.iter().find_map(first).map(|index| index + 1)
    }
}

/// The words of a YAML error without the picture of the place; line and column stay.
fn plain(error: &serde_saphyr::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}
