//! A ResourceQuota, as far as it limits, and its scopes.

use wasmgate_sdk::serde::Deserialize;

use crate::amounts::ResourceList;

/// A ResourceQuota.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Quota {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    scopes: Option<Vec<String>>,
    scope_selector: Option<ScopeSelector>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct ScopeSelector {
    match_expressions: Option<Vec<ScopeRequirement>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Status {
    hard: Option<ResourceList>,
    used: Option<ResourceList>,
}

/// What a scope asks of an object; upstream's `ScopedResourceSelectorRequirement`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct ScopeRequirement {
    /// `Terminating`, `PriorityClass`, ….
    pub scope_name: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// What it is compared with.
    pub values: Option<Vec<String>>,
}

impl ScopeRequirement {
    /// Whether an object has the scope's property with this value; none: it does not have it.
    pub fn holds_for(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().flatten().any(|one| one == value));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }

    /// As Go prints it.
    pub fn text(&self) -> String {
        format!("{{{} {} [{}]}}", self.scope_name, self.operator, self.values.iter().flatten().cloned().collect::<Vec<_>>().join(" "))
    }
}

impl Quota {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// All that its scopes ask for.
    pub fn scopes(&self) -> Vec<ScopeRequirement> {
        let exists = |scope: &String| ScopeRequirement { scope_name: scope.clone(), operator: "Exists".to_owned(), values: None };
        let selected = self.spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
        self.spec.scopes.iter().flatten().map(exists).chain(selected.cloned()).collect()
    }

    /// The names of what it limits: what whoever counts has taken up of `spec.hard`. Before that it limits nothing, as upstream has it.
    pub fn limited(&self) -> impl Iterator<Item = &str> {
        self.status.hard.iter().flat_map(|hard| hard.keys().map(String::as_str))
    }

    /// Whether somebody has counted how much of it is taken.
    pub fn is_counted(&self, name: &str) -> bool {
        self.status.used.as_ref().is_some_and(|used| used.contains_key(name))
    }
}
