//! From a document to a manifest: what its fields mean together. Every mistake names its place.

use std::collections::BTreeSet;
use std::time::Duration;

use admission::chain::{FailurePolicy, Mode};
use apimachinery::GroupResource;

use super::document::{
    ChargedResource, Document, FailurePolicyWord, HttpSpec, IndexDeclaration, LimitsSpec, LookupSpec, Metadata, ModeWord, ResourceName,
    Spec,
};
use super::rule::{self, Existing, Rule};
use super::words::{Capability, Instances, Reinvocation, Role};
use super::{Error, Limits, Manifest, field_error};
use crate::index::IndexSpec;
use crate::input::{Input, Lookup};
use crate::limits;
use crate::projection::{Fields, ProjectedResource};

/// The manifest that a document stands for.
pub(super) fn checked(document: Document) -> Result<Manifest, Error> {
    let Document { metadata: Metadata { name, .. }, spec, .. } = document;
    check_name(&name)?;
    check_component(spec.component.as_deref())?;
    let roles = unique("spec.roles", &spec.roles)?;
    if roles.is_empty() {
        return Err(field_error(
            "spec.roles",
            "must name at least one of authenticator, authorizer, mutating-admission, validating-admission",
        ));
    }
    let capabilities = unique("spec.capabilities", &spec.capabilities)?;
    let credentials = unique("spec.credentials", &spec.credentials)?;
    check_admission(&spec, &roles)?;
    check_authentication(&spec, &roles)?;
    check_purity(&spec, &roles)?;
    check_cluster_access(&spec, &capabilities)?;

    let reads = resources("spec.reads", spec.reads)?;
    let watches = resources("spec.watches", spec.watches)?;
    let charges = charges(spec.charges, &roles)?;
    let indexes = indexes(spec.indexes, &capabilities)?;
    let http = http(spec.http, &capabilities)?;
    check_existing(&spec.rules, reads.iter().chain(&watches))?;
    let lookups = lookups(spec.lookups, &reads, admits(&roles))?;
    check_requirements(&spec.rules, &lookups)?;
    let at = |(index, problem): (usize, String)| field_error(format!("spec.input[{index}]"), problem);
    let input = Input::compile(&spec.input, lookups).map_err(at)?;
    let (failure_policy, authorizer_failure_policy) = failure_policies(spec.failure_policy, &roles)?;
    Ok(Manifest {
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
        charges,
        indexes,
        http,
        instances: spec.instances,
        order: spec.order,
        reinvocation: spec.reinvocation,
        limits: check_limits(&spec.limits)?,
        config: spec.config,
    })
}

fn admits(roles: &BTreeSet<Role>) -> bool {
    roles.contains(&Role::MutatingAdmission) || roles.contains(&Role::ValidatingAdmission)
}

fn check_component(file: Option<&str>) -> Result<(), Error> {
    match file {
        // One directory is what the operator vouches for.
        Some(file) if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0']) => {
            Err(field_error("spec.component", format!("\"{file}\" must be the name of a file beside the manifest")))
        }
        _ => Ok(()),
    }
}

/// What is for the admission roles only.
fn check_admission(spec: &Spec, roles: &BTreeSet<Role>) -> Result<(), Error> {
    let only = "is for the admission roles only";
    if !spec.rules.is_empty() && !admits(roles) {
        return Err(field_error("spec.match", only));
    }
    if spec.match_policy.is_some() && !admits(roles) {
        return Err(field_error("spec.matchPolicy", only));
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        rule::check(rule, roles, &format!("spec.match[{index}]"))?;
    }
    if spec.mode.is_some() && roles.iter().any(|role| matches!(role, Role::Authenticator | Role::Authorizer)) {
        return Err(field_error("spec.mode", "is for plugins that have admission roles only"));
    }
    if matches!(spec.reinvocation, Reinvocation::IfNeeded) && !roles.contains(&Role::MutatingAdmission) {
        return Err(field_error("spec.reinvocation", "is for the role mutating-admission only"));
    }
    Ok(())
}

/// What is for authenticators only.
fn check_authentication(spec: &Spec, roles: &BTreeSet<Role>) -> Result<(), Error> {
    let only = "is for the role authenticator only";
    if !spec.credentials.is_empty() && !roles.contains(&Role::Authenticator) {
        return Err(field_error("spec.credentials", only));
    }
    if spec.fallback && !roles.contains(&Role::Authenticator) {
        return Err(field_error("spec.fallback", only));
    }
    Ok(())
}

/// A pure plugin must not be shown what differs between requests that ask the same.
fn check_purity(spec: &Spec, roles: &BTreeSet<Role>) -> Result<(), Error> {
    if !spec.pure {
        return Ok(());
    }
    if !roles.contains(&Role::Authenticator) && !roles.contains(&Role::Authorizer) {
        return Err(field_error("spec.pure", "is for the roles authenticator and authorizer only"));
    }
    let beside = ["auditID", "originalUser"];
    match spec.input.iter().position(|path| beside.iter().any(|part| path.split('/').next() == Some(*part))) {
        None => Ok(()),
        Some(index) => {
            let problem = "differs between requests that ask the same, which is not for a plugin that is `pure`";
            Err(field_error(format!("spec.input[{index}]"), problem))
        }
    }
}

/// What it is shown of the cluster has to be granted, and an instance that lives for one call cannot follow changes.
fn check_cluster_access(spec: &Spec, capabilities: &BTreeSet<Capability>) -> Result<(), Error> {
    if !spec.reads.is_empty() && !capabilities.contains(&Capability::Cluster) {
        return Err(field_error("spec.reads", "needs the capability cluster"));
    }
    if !spec.watches.is_empty() && spec.instances == Instances::Fresh {
        return Err(field_error("spec.watches", "needs `instances: Reused`: a fresh instance would be told of everything at every call"));
    }
    Ok(())
}

/// A rule may ask only for what the plugin is granted to see.
fn check_existing<'a>(rules: &[Rule], granted: impl Iterator<Item = &'a ProjectedResource> + Clone) -> Result<(), Error> {
    for (index, rule) in rules.iter().enumerate() {
        let Some(Existing { group, resource }) = &rule.exists else { continue };
        let known = |item: &ProjectedResource| item.resource.group == *group && item.resource.resource == *resource;
        if !granted.clone().any(known) {
            return Err(field_error(format!("spec.match[{index}].exists"), "must be in spec.reads or spec.watches"));
        }
    }
    Ok(())
}

/// A rule may ask only for a look-up that the plugin has.
fn check_requirements(rules: &[Rule], lookups: &[Lookup]) -> Result<(), Error> {
    for (index, rule) in rules.iter().enumerate() {
        let Some(requirement) = &rule.lookup else { continue };
        if !lookups.iter().any(|lookup| lookup.name == requirement.name) {
            return Err(field_error(
                format!("spec.match[{index}].lookup.name"),
                format!("\"{}\" must be in spec.lookups", requirement.name),
            ));
        }
    }
    Ok(())
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

fn one_resource(field: String, group: String, resource: String) -> Result<GroupResource, Error> {
    if resource.is_empty() || resource.contains(['/', '*']) {
        return Err(field_error(field, format!("\"{resource}\" must be one resource, such as \"pods\"")));
    }
    Ok(GroupResource::new(group, resource))
}

/// What is charged is charged for an object as it will be stored, which mutating plugins have not seen.
fn charges(specs: Vec<ChargedResource>, roles: &BTreeSet<Role>) -> Result<Vec<GroupResource>, Error> {
    if !specs.is_empty() && !roles.contains(&Role::ValidatingAdmission) {
        return Err(field_error("spec.charges", "is for the role validating-admission only"));
    }
    let mut list: Vec<GroupResource> = Vec::with_capacity(specs.len());
    for (index, ChargedResource { group, resource }) in specs.into_iter().enumerate() {
        let resource = one_resource(format!("spec.charges[{index}].resource"), group, resource)?;
        if list.contains(&resource) {
            return Err(field_error(format!("spec.charges[{index}]"), format!("{resource} is there twice")));
        }
        list.push(resource);
    }
    Ok(list)
}

fn resources(field: &str, names: Vec<ResourceName>) -> Result<Vec<ProjectedResource>, Error> {
    let mut list: Vec<ProjectedResource> = Vec::with_capacity(names.len());
    for (index, ResourceName { group, resource, fields }) in names.into_iter().enumerate() {
        let resource = one_resource(format!("{field}[{index}].resource"), group, resource)?;
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
        let resource = one_resource(field("resource"), group, resource)?;
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
