//! The manifest beside a component: what the plugin is, what it wants to see, and what it may call.
//!
//! YAML or JSON, in the shape of an API object, so that the same text can one day be applied with kubectl. Every mistake
//! is an error that names its place: a field that is misspelt must not silently mean its default.

use std::collections::BTreeSet;
use std::time::Duration;

use admission::chain::{FailurePolicy, Mode, Round};
use admission::{Operation, Version};
use apimachinery::GroupResource;
use serde::Deserialize;
use serde_json::Value;

use crate::host::ProjectedResource;
use crate::index::IndexSpec;
use crate::input::{Input, Lookup};
use crate::limits;
use crate::projection::Fields;

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

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of wit/")]
pub enum Role {
    Authenticator,
    Authorizer,
    MutatingAdmission,
    ValidatingAdmission,
}

impl Role {
    /// As in the manifest, and the name of the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Authorizer => "authorizer",
            Self::MutatingAdmission => "mutating-admission",
            Self::ValidatingAdmission => "validating-admission",
        }
    }

    fn of(round: Round) -> Self {
        match round {
            Round::Mutating => Self::MutatingAdmission,
            Round::Validating => Self::ValidatingAdmission,
        }
    }
}

/// What a plugin may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of wit/capabilities.wit")]
pub enum Capability {
    Log,
    Clock,
    Random,
    Jwt,
    Cluster,
    Index,
    Http,
    Counters,
    Authorizer,
}

impl Capability {
    /// All there are.
    pub const ALL: [Self; 9] =
        [Self::Log, Self::Clock, Self::Random, Self::Jwt, Self::Cluster, Self::Index, Self::Http, Self::Counters, Self::Authorizer];

    /// As in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Jwt => "jwt",
            Self::Cluster => "cluster",
            Self::Index => "index",
            Self::Http => "http",
            Self::Counters => "counters",
            Self::Authorizer => "authorizer",
        }
    }

    /// The interface's name in `wit/capabilities.wit`. The word `authorizer` is there the role's.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Authorizer => "authorization",
            Self::Index => "indexes",
            other => other.as_str(),
        }
    }

    /// Whether version 0.1 of the interface has it.
    pub(crate) fn is_in_0_1(self) -> bool {
        !matches!(self, Self::Index | Self::Http | Self::Counters)
    }
}

/// What an authenticator is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields of wit/authenticator.wit")]
pub enum Credential {
    ClientCertificate,
    BearerToken,
}

/// Whether an instance serves one request or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Instances {
    /// It keeps its memory from call to call.
    Reused,
    /// Every call gets a new one.
    #[default]
    Fresh,
}

/// Whether a mutating plugin is asked again where a later one changed the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Reinvocation {
    IfNeeded,
    #[default]
    Never,
}

/// Whether a rule is about a resource in the versions that it names alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum MatchPolicy {
    Exact,
    /// A request in another version or group of the same objects is converted, and matches too.
    #[default]
    Equivalent,
}

/// Which resources a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Scope {
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
    pub scope: Scope,
    /// Only for these of the plugin's admission roles.
    pub roles: Vec<Role>,
    /// Only objects that have one of these fields, now or before the change: JSON Pointers (RFC 6901).
    pub fields: Vec<String>,
    /// Only where the request's namespace has an object of this resource; of a cluster-scoped one, where there is any.
    pub exists: Option<Existing>,
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

/// Whether a namespace has an object of a resource.
pub type Exists<'a> = dyn Fn(&GroupResource, &str) -> bool + 'a;

impl Rule {
    /// Whether the rule is about a request, in this version of it; upstream's `rules.Matcher`.
    pub fn matches(&self, round: Round, attributes: &admission::Attributes, version: &Version<'_>, exists: &Exists<'_>) -> bool {
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
                Scope::Any => true,
                Scope::Namespaced => namespaced(),
                Scope::Cluster => !namespaced(),
            }
            && (self.roles.is_empty() || self.roles.contains(&Role::of(round)))
            && (self.fields.is_empty() || self.fields.iter().any(|field| is_set(version, field)))
            && self
                .exists
                .as_ref()
                .is_none_or(|it| exists(&GroupResource::new(it.group.clone(), it.resource.clone()), &attributes.namespace))
    }
}

fn is_set(version: &Version<'_>, field: &str) -> bool {
    let set = |value: &Value| value.pointer(field).is_some_and(|value| !value.is_null());
    [version.object, version.old].into_iter().flatten().any(|object| set(object.value()))
}

/// A resource of `reads` or `watches`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceName {
    #[serde(default)]
    group: String,
    resource: String,
    /// What of its objects is shown; empty: all.
    #[serde(default)]
    fields: Vec<String>,
}

/// An index that the host holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexDeclaration {
    name: String,
    #[serde(default)]
    group: String,
    resource: String,
    /// The parts of the key, each with the paths of its texts.
    key: Vec<Vec<String>>,
    /// What entries show of their object; empty: nothing.
    #[serde(default)]
    fields: Vec<String>,
}

/// What `http` may reach.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpSpec {
    origins: Vec<String>,
    /// PEM; none: those that the system trusts.
    ca: Option<String>,
    timeout_milliseconds: Option<u64>,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
}

/// A look-up whose result comes with the call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LookupSpec {
    name: String,
    #[serde(default)]
    group: String,
    resource: String,
    namespace_from: Option<String>,
    #[serde(default)]
    name_from: Vec<String>,
    #[serde(default)]
    name_default: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: String,
    /// Free for its author's use.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as on every object")]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted, as on every object")]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    component: Option<String>,
    roles: Vec<Role>,
    #[serde(default, rename = "match")]
    rules: Vec<Rule>,
    match_policy: Option<MatchPolicy>,
    failure_policy: Option<FailurePolicyWord>,
    #[serde(default)]
    capabilities: Vec<Capability>,
    #[serde(default)]
    credentials: Vec<Credential>,
    mode: Option<ModeWord>,
    #[serde(default)]
    fallback: bool,
    #[serde(default)]
    pure: bool,
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    lookups: Vec<LookupSpec>,
    #[serde(default)]
    reads: Vec<ResourceName>,
    #[serde(default)]
    watches: Vec<ResourceName>,
    #[serde(default)]
    indexes: Vec<IndexDeclaration>,
    http: Option<HttpSpec>,
    #[serde(default)]
    instances: Instances,
    order: Option<i32>,
    #[serde(default)]
    reinvocation: Reinvocation,
    #[serde(default)]
    limits: LimitsSpec,
    #[serde(default)]
    config: Value,
}

/// The words of the admission roles, and those of an authorizer.
#[derive(Clone, Copy, Debug, Deserialize)]
enum FailurePolicyWord {
    Fail,
    Ignore,
    Deny,
    NoOpinion,
}

/// The words of [`Mode`].
#[derive(Clone, Copy, Debug, Deserialize)]
enum ModeWord {
    Decide,
    Warn,
    Shadow,
}

/// Where an authorizer stands whose manifest does not say: behind `system:masters` (10), whom a plugin must not lock out by mistake, and
/// before the modes of `--authorization-mode` (20, 30, …), which it may have to overrule.
const AUTHORIZER_ORDER_DEFAULT: i32 = 15;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LimitsSpec {
    memory_bytes: Option<u64>,
    timeout_milliseconds: Option<u64>,
    instances: Option<u32>,
    counter_keys: Option<u64>,
}

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
        Self::check(document)
    }

    fn check(document: Document) -> Result<Self, Error> {
        let Document { metadata: Metadata { name, .. }, spec, .. } = document;
        check_name(&name)?;
        if let Some(file) = &spec.component {
            // One directory is what the operator vouches for.
            if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0']) {
                return Err(field_error("spec.component", format!("\"{file}\" must be the name of a file beside the manifest")));
            }
        }
        let roles = unique("spec.roles", &spec.roles)?;
        if roles.is_empty() {
            return Err(field_error(
                "spec.roles",
                "must name at least one of authenticator, authorizer, mutating-admission, validating-admission",
            ));
        }
        let admits = roles.contains(&Role::MutatingAdmission) || roles.contains(&Role::ValidatingAdmission);
        if !spec.rules.is_empty() && !admits {
            return Err(field_error("spec.match", "is for the admission roles only"));
        }
        if spec.match_policy.is_some() && !admits {
            return Err(field_error("spec.matchPolicy", "is for the admission roles only"));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            check_rule(rule, &roles, &format!("spec.match[{index}]"))?;
        }
        let capabilities = unique("spec.capabilities", &spec.capabilities)?;
        let credentials = unique("spec.credentials", &spec.credentials)?;
        if !roles.contains(&Role::Authenticator) {
            if !credentials.is_empty() {
                return Err(field_error("spec.credentials", "is for the role authenticator only"));
            }
            if spec.fallback {
                return Err(field_error("spec.fallback", "is for the role authenticator only"));
            }
        }
        if spec.mode.is_some() && roles.iter().any(|role| matches!(role, Role::Authenticator | Role::Authorizer)) {
            return Err(field_error("spec.mode", "is for plugins that have admission roles only"));
        }
        if spec.pure {
            if !roles.contains(&Role::Authenticator) && !roles.contains(&Role::Authorizer) {
                return Err(field_error("spec.pure", "is for the roles authenticator and authorizer only"));
            }
            let beside = ["auditID", "originalUser"];
            if let Some(index) = spec.input.iter().position(|path| beside.iter().any(|part| path.split('/').next() == Some(*part))) {
                let problem = "differs between requests that ask the same, which is not for a plugin that is `pure`";
                return Err(field_error(format!("spec.input[{index}]"), problem));
            }
        }
        if !spec.reads.is_empty() && !capabilities.contains(&Capability::Cluster) {
            return Err(field_error("spec.reads", "needs the capability cluster"));
        }
        if matches!(spec.reinvocation, Reinvocation::IfNeeded) && !roles.contains(&Role::MutatingAdmission) {
            return Err(field_error("spec.reinvocation", "is for the role mutating-admission only"));
        }
        if !spec.watches.is_empty() && spec.instances == Instances::Fresh {
            return Err(field_error(
                "spec.watches",
                "needs `instances: Reused`: a fresh instance would be told of everything at every call",
            ));
        }
        let reads = resources("spec.reads", spec.reads)?;
        let watches = resources("spec.watches", spec.watches)?;
        let indexes = indexes(spec.indexes, &capabilities)?;
        let http = http(spec.http, &capabilities)?;
        for (index, rule) in spec.rules.iter().enumerate() {
            let Some(Existing { group, resource }) = &rule.exists else { continue };
            let known = |item: &ProjectedResource| item.resource.group == *group && item.resource.resource == *resource;
            if !reads.iter().chain(&watches).any(known) {
                return Err(field_error(format!("spec.match[{index}].exists"), "must be in spec.reads or spec.watches"));
            }
        }
        let lookups = lookups(spec.lookups, &reads, admits)?;
        let at = |(index, problem): (usize, String)| field_error(format!("spec.input[{index}]"), problem);
        let input = Input::compile(&spec.input, lookups).map_err(at)?;
        let (failure_policy, authorizer_failure_policy) = failure_policies(spec.failure_policy, &roles)?;
        Ok(Self {
            name,
            component: spec.component,
            roles,
            rules: spec.rules,
            match_policy: spec.match_policy.unwrap_or_default(),
            failure_policy,
            mode: match spec.mode {
                None | Some(ModeWord::Decide) => Mode::Decide,
                Some(ModeWord::Warn) => Mode::Warn,
                Some(ModeWord::Shadow) => Mode::Shadow,
            },
            authorizer_failure_policy,
            capabilities,
            credentials,
            fallback: spec.fallback,
            pure: spec.pure,
            input,
            reads,
            watches,
            indexes,
            http,
            instances: spec.instances,
            order: spec.order,
            reinvocation: spec.reinvocation,
            limits: check_limits(&spec.limits)?,
            config: spec.config,
        })
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
        exists: &Exists<'_>,
    ) -> Option<usize> {
        let (requested, equivalents) = versions.split_first()?;
        if self.rules.is_empty() || self.rules.iter().any(|rule| rule.matches(round, attributes, requested, exists)) {
            return Some(0);
        }
        if self.match_policy == MatchPolicy::Exact || equivalents.is_empty() {
            return None;
        }
        let first = |rule: &Rule| equivalents.iter().position(|version| rule.matches(round, attributes, version, exists));
        self.rules.iter().find_map(first).map(|index| index + 1)
    }
}

/// The words of a YAML error without the picture of the place; line and column stay.
fn plain(error: &serde_saphyr::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}

/// Upstream's plugins are named like `NamespaceLifecycle`, so upper case is allowed; else it is a DNS subdomain.
fn check_name(name: &str) -> Result<(), Error> {
    let fine = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && edge(label.chars().next()) && edge(label.chars().last())
        });
    if fine {
        Ok(())
    } else {
        Err(field_error(
            "metadata.name",
            format!("\"{name}\" must consist of letters, digits, '-' and '.', and begin and end with a letter or digit"),
        ))
    }
}

/// What a fault means at admission and at authorization. A word is about the roles that know it; a role that is not spoken of is strict.
fn failure_policies(word: Option<FailurePolicyWord>, roles: &BTreeSet<Role>) -> Result<(FailurePolicy, auth::FailurePolicy), Error> {
    let admits = roles.contains(&Role::MutatingAdmission) || roles.contains(&Role::ValidatingAdmission);
    let authorizes = roles.contains(&Role::Authorizer);
    let mut policies = (FailurePolicy::Fail, auth::FailurePolicy::Deny);
    let speaks = match word {
        None => return Ok(policies),
        Some(FailurePolicyWord::Fail) => admits,
        Some(FailurePolicyWord::Ignore) => {
            policies.0 = FailurePolicy::Ignore;
            admits
        }
        Some(FailurePolicyWord::Deny) => authorizes,
        Some(FailurePolicyWord::NoOpinion) => {
            policies.1 = auth::FailurePolicy::NoOpinion;
            authorizes
        }
    };
    let why = "must be Fail or Ignore for an admission role, Deny or NoOpinion for an authorizer; a fault never authenticates";
    if speaks { Ok(policies) } else { Err(field_error("spec.failurePolicy", why)) }
}

fn unique<T: Copy + Ord + std::fmt::Debug>(field: &str, list: &[T]) -> Result<BTreeSet<T>, Error> {
    let mut set = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        if !set.insert(*item) {
            return Err(field_error(format!("{field}[{index}]"), format!("{item:?} is there twice")));
        }
    }
    Ok(set)
}

fn resources(field: &str, names: Vec<ResourceName>) -> Result<Vec<ProjectedResource>, Error> {
    let mut list: Vec<ProjectedResource> = Vec::with_capacity(names.len());
    for (index, ResourceName { group, resource, fields }) in names.into_iter().enumerate() {
        if resource.is_empty() || resource.contains(['/', '*']) {
            return Err(field_error(
                format!("{field}[{index}].resource"),
                format!("\"{resource}\" must be one resource, such as \"pods\""),
            ));
        }
        let resource = GroupResource::new(group, resource);
        if list.iter().any(|known| known.resource == resource) {
            return Err(field_error(format!("{field}[{index}]"), format!("{resource} is there twice")));
        }
        let fields = Fields::parse(&fields).map_err(|problem| field_error(format!("{field}[{index}].fields"), problem))?;
        list.push(ProjectedResource { resource, fields });
    }
    Ok(list)
}

fn indexes(declared: Vec<IndexDeclaration>, capabilities: &BTreeSet<Capability>) -> Result<Vec<IndexSpec>, Error> {
    if !declared.is_empty() && !capabilities.contains(&Capability::Index) {
        return Err(field_error("spec.indexes", "needs the capability index"));
    }
    if declared.len() > limits::INDEXES_MAX {
        return Err(field_error("spec.indexes", format!("are {}, more than {}", declared.len(), limits::INDEXES_MAX)));
    }
    let mut list: Vec<IndexSpec> = Vec::with_capacity(declared.len());
    for (index, IndexDeclaration { name, group, resource, key, fields }) in declared.into_iter().enumerate() {
        let field = |name: &str| format!("spec.indexes[{index}].{name}");
        if name.is_empty() || list.iter().any(|known| known.name() == name) {
            return Err(field_error(field("name"), format!("\"{name}\" must be a name that no other index has")));
        }
        if resource.is_empty() || resource.contains(['/', '*']) {
            return Err(field_error(field("resource"), format!("\"{resource}\" must be one resource, such as \"pods\"")));
        }
        let resource = GroupResource::new(group, resource);
        list.push(IndexSpec::compile(name, resource, &key, &fields).map_err(|problem| field_error(field("key"), problem))?);
    }
    Ok(list)
}

/// Look-ups are of what `reads` grants, and are made for the admission roles.
fn lookups(specs: Vec<LookupSpec>, reads: &[ProjectedResource], admits: bool) -> Result<Vec<Lookup>, Error> {
    if specs.len() > limits::LOOKUPS_MAX {
        return Err(field_error("spec.lookups", format!("are {}, more than {}", specs.len(), limits::LOOKUPS_MAX)));
    }
    let mut list: Vec<Lookup> = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let field = |name: &str| format!("spec.lookups[{index}].{name}");
        if !admits {
            return Err(field_error(field("name"), "look-ups come with calls of the admission roles only"));
        }
        if spec.name.is_empty() || list.iter().any(|known| known.name == spec.name) {
            return Err(field_error(field("name"), format!("\"{}\" must be a name that no other look-up has", spec.name)));
        }
        let resource = GroupResource::new(spec.group, spec.resource);
        if !reads.iter().any(|read| read.resource == resource) {
            return Err(field_error(field("resource"), format!("{resource} must be in spec.reads")));
        }
        if spec.name_from.is_empty() && spec.name_default.is_empty() {
            return Err(field_error(field("nameFrom"), "must say where the object's name is"));
        }
        for pointer in spec.namespace_from.iter().chain(&spec.name_from) {
            if !pointer.starts_with('/') || pointer.len() > limits::POINTER_BYTES_MAX {
                return Err(field_error(field("nameFrom"), format!("\"{pointer}\" must be a JSON Pointer, such as /object/spec/nodeName")));
            }
        }
        list.push(Lookup {
            name: spec.name,
            resource,
            namespace_from: spec.namespace_from,
            name_from: spec.name_from,
            name_default: spec.name_default,
        });
    }
    Ok(list)
}

fn check_rule(rule: &Rule, roles: &BTreeSet<Role>, path: &str) -> Result<(), Error> {
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
    for (index, field) in rule.fields.iter().enumerate() {
        if !field.starts_with('/') || field.len() > limits::POINTER_BYTES_MAX {
            return Err(field_error(
                format!("{path}.fields[{index}]"),
                format!("\"{field}\" must be a JSON Pointer, such as /spec/nodeName"),
            ));
        }
    }
    Ok(())
}

fn within(field: String, value: u64, max: u64) -> Result<u64, Error> {
    if (1..=max).contains(&value) { Ok(value) } else { Err(field_error(field, format!("{value} must be between 1 and {max}"))) }
}

/// What `http` may reach. Nothing goes without saying.
fn http(spec: Option<HttpSpec>, capabilities: &BTreeSet<Capability>) -> Result<Option<outbound::Grant>, Error> {
    let spec = match (spec, capabilities.contains(&Capability::Http)) {
        (None, false) => return Ok(None),
        (None, true) => return Err(field_error("spec.http", "must say what the capability http may reach")),
        (Some(_), false) => return Err(field_error("spec.http", "needs the capability http")),
        (Some(spec), true) => spec,
    };
    let count = spec.origins.len();
    if count == 0 || count > limits::HTTP_ORIGINS_MAX {
        return Err(field_error("spec.http.origins", format!("are {count}, and not 1 to {}", limits::HTTP_ORIGINS_MAX)));
    }
    let origin = |(index, text): (usize, &String)| {
        text.parse().map_err(|error: outbound::OriginError| field_error(format!("spec.http.origins[{index}]"), error.to_string()))
    };
    let origins = spec.origins.iter().enumerate().map(origin).collect::<Result<_, _>>()?;
    let roots = match &spec.ca {
        Some(text) => outbound::Roots::from_pem(text).map_err(|problem| field_error("spec.http.ca", problem))?,
        None => outbound::Roots::System,
    };
    let bytes = |field: &str, value: Option<u64>| {
        let value = value.unwrap_or(limits::HTTP_BODY_BYTES_DEFAULT);
        within(format!("spec.http.{field}"), value, limits::HTTP_BODY_BYTES_MAX).map(|bytes| bytes as usize)
    };
    let timeout = spec.timeout_milliseconds.unwrap_or(limits::TIMEOUT_MILLISECONDS_MAX);
    Ok(Some(outbound::Grant {
        origins,
        roots,
        timeout: Duration::from_millis(within("spec.http.timeoutMilliseconds".into(), timeout, limits::TIMEOUT_MILLISECONDS_MAX)?),
        request_bytes_max: bytes("requestBytes", spec.request_bytes)?,
        response_bytes_max: bytes("responseBytes", spec.response_bytes)?,
    }))
}

fn check_limits(spec: &LimitsSpec) -> Result<Limits, Error> {
    let within = |field: &str, value: u64, max: u64| within(format!("spec.limits.{field}"), value, max);
    let memory = within("memoryBytes", spec.memory_bytes.unwrap_or(limits::MEMORY_BYTES_DEFAULT as u64), limits::MEMORY_BYTES_MAX as u64)?;
    let timeout = spec.timeout_milliseconds.unwrap_or(limits::TIMEOUT_MILLISECONDS_DEFAULT);
    Ok(Limits {
        memory_bytes: memory as usize,
        timeout_milliseconds: within("timeoutMilliseconds", timeout, limits::TIMEOUT_MILLISECONDS_MAX)?,
        instances: match spec.instances {
            Some(count) => Some(within("instances", count.into(), limits::INSTANCES_MAX.into())? as u32),
            None => None,
        },
        counter_keys: within("counterKeys", spec.counter_keys.unwrap_or(limits::COUNTER_KEYS_DEFAULT), limits::COUNTER_KEYS_MAX)? as usize,
    })
}
