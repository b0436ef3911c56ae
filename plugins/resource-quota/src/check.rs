//! What a request takes of which quotas, and whether it may; upstream's `CheckRequest` (`pkg/admission/plugin/resourcequota/controller.go`),
//! but for the sums: those are made where they are committed.

use std::collections::BTreeSet;

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

use crate::amounts::{self, ResourceList};
use crate::quota::{Quota, ScopeRequirement};
use crate::subject::{Kind, Subject};

/// What may be taken only where a quota covers it; upstream's `LimitedResource`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitedResource {
    api_group: String,
    resource: String,
    match_contains: Vec<String>,
    match_scopes: Vec<ScopeRequirement>,
}

/// A request.
pub struct Change<'a> {
    /// Of which resource the object is: group and name.
    pub resource: (&'a str, &'a str),
    /// How such objects are measured.
    pub kind: &'a Kind,
    /// As it will be.
    pub object: &'a Subject,
    /// As it is, where it is updated.
    pub old: Option<&'a Subject>,
    /// The time.
    pub now_milliseconds: u64,
}

/// Why a request may not be.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is forbidden.
    Forbidden(String),
    /// Upstream answers this as an error of its own, and not as a refusal.
    Error(String),
}

/// What is taken of a quota.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The quota's name.
    pub quota: &'a str,
    /// How much of what, also of what the quota does not limit now.
    pub amounts: ResourceList,
}

impl Change<'_> {
    /// What is taken of these quotas.
    pub fn taken<'q>(&self, quotas: &'q [Quota], limited: &[LimitedResource]) -> Result<Vec<Taken<'q>>, Refusal> {
        let covering = self.covering(quotas)?;
        let usage = self.kind.usage(self.object, self.now_milliseconds);
        let negative = usage.iter().filter(|(_, amount)| **amount < Quantity::default());
        let negative = amounts::names(negative.map(|(name, _)| name.as_str()));
        if !negative.is_empty() {
            return Err(Refusal::Forbidden(format!("quota usage is negative for resource(s): {negative}")));
        }
        let before = self.old.map(|old| self.kind.usage(old, self.now_milliseconds)).unwrap_or_default();
        let increase = amounts::increase(&usage, &before);
        let whole = amounts::increase(&usage, &ResourceList::new());
        // What was outside of a quota's scope before is new to it.
        let was_in = |quota: &Quota| self.old.is_some_and(|old| self.is_under(quota, old));
        let of = |quota: &'q Quota| Taken { quota: quota.name(), amounts: if was_in(quota) { increase.clone() } else { whole.clone() } };
        let taken: Vec<Taken<'q>> = covering.iter().map(|quota| of(quota)).filter(|taken| !taken.amounts.is_empty()).collect();
        let takes_something = if covering.is_empty() { !increase.is_empty() } else { !taken.is_empty() };
        if !takes_something {
            return Ok(Vec::new());
        }
        self.check_covered(quotas, &covering, &usage, limited)?;
        let is_limited = |taken: &Taken<'q>| {
            covering.iter().any(|quota| quota.name() == taken.quota && quota.limited().any(|name| taken.amounts.contains_key(name)))
        };
        Ok(taken.into_iter().filter(is_limited).collect())
    }

    /// The quotas under which the object will be. It must say what they ask for, and somebody must have counted what is taken of them.
    fn covering<'q>(&self, quotas: &'q [Quota]) -> Result<Vec<&'q Quota>, Refusal> {
        let mut covering = Vec::new();
        for quota in quotas.iter().filter(|quota| self.is_under(quota, self.object)) {
            let limited: Vec<&str> = self.limited_by(quota).collect();
            if let Some(missing) = self.object.missing(&limited) {
                return Err(Refusal::Forbidden(format!("failed quota: {}: {missing}", quota.name())));
            }
            if !limited.iter().all(|name| quota.is_counted(name)) {
                let resources = amounts::names(limited.into_iter());
                return Err(Refusal::Forbidden(format!("status unknown for quota: {}, resources: {resources}", quota.name())));
            }
            covering.push(quota);
        }
        Ok(covering)
    }

    /// What a quota limits of objects of this kind.
    fn limited_by<'q>(&self, quota: &'q Quota) -> impl Iterator<Item = &'q str> {
        quota.limited().filter(|name| self.kind.limits(name))
    }

    fn is_under(&self, quota: &Quota, object: &Subject) -> bool {
        self.limited_by(quota).next().is_some() && quota.scopes().iter().all(|scope| object.is_in(scope))
    }

    /// What is limited by configuration needs a quota that covers it.
    fn check_covered(
        &self,
        quotas: &[Quota],
        covering: &[&Quota],
        usage: &ResourceList,
        limited: &[LimitedResource],
    ) -> Result<(), Refusal> {
        let own = limited.iter().filter(|one| (one.api_group.as_str(), one.resource.as_str()) == self.resource);
        let parts: Vec<&str> = own.flat_map(|one| one.match_contains.iter().map(String::as_str)).collect();
        let used = usage.iter().filter(|(_, amount)| **amount > Quantity::default()).map(|(name, _)| name.as_str());
        let covered: BTreeSet<&str> = covering.iter().flat_map(|quota| self.limited_by(quota)).collect();
        let uncovered = used.filter(|name| parts.iter().any(|part| name.contains(part)) && !covered.contains(name));
        let uncovered = amounts::names(uncovered);
        if !uncovered.is_empty() {
            return Err(Refusal::Forbidden(format!("insufficient quota to consume: {uncovered}")));
        }
        if !self.object.has_scopes() {
            return Ok(());
        }
        let is_in = |scope: &ScopeRequirement| self.object.is_in(scope);
        let covered: Vec<ScopeRequirement> = quotas.iter().flat_map(Quota::scopes).filter(is_in).collect();
        let scopes = limited.iter().flat_map(|one| &one.match_scopes).filter(|scope| is_in(scope));
        let uncovered: Vec<String> =
            scopes.filter(|scope| !covered.iter().any(|one| one.scope_name == scope.scope_name)).map(ScopeRequirement::text).collect();
        if uncovered.is_empty() {
            return Ok(());
        }
        Err(Refusal::Error(format!("insufficient quota to match these scopes: [{}]", uncovered.join(" "))))
    }
}
