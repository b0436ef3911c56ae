//! The four kinds, as far as a decision needs them.

use wasmgate_sdk::quote::quote;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::user::{SERVICE_ACCOUNT_PREFIX, UserInfo};

/// ClusterRole or Role.
#[derive(Deserialize, Default)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Role {
    pub metadata: Metadata,
    #[serde(deserialize_with = "nullable")]
    pub rules: Vec<Rule>,
}

/// ClusterRoleBinding or RoleBinding, as the API has it.
#[derive(Deserialize, Default)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct BindingObject {
    pub metadata: Metadata,
    pub role_ref: RoleRef,
    #[serde(deserialize_with = "nullable")]
    pub subjects: Vec<Subject>,
}

#[derive(Deserialize, Default)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Metadata {
    pub namespace: String,
    pub name: String,
}

#[derive(Deserialize, Default)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct RoleRef {
    pub kind: String,
    pub name: String,
}

#[derive(Deserialize, Default)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Subject {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// One rule of a role.
#[derive(Deserialize, Default, Debug)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct Rule {
    #[serde(deserialize_with = "nullable")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub api_groups: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub resources: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", deserialize_with = "nullable")]
    pub non_resource_urls: Vec<String>,
}

/// `null` is an empty list: so is an empty ClusterRole's `rules` stored.
fn nullable<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: wasmgate_sdk::serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A binding in the index.
pub struct Binding {
    /// Empty: of the cluster.
    pub namespace: String,
    pub name: String,
    pub role_ref: RoleRef,
    pub subjects: Vec<Subject>,
}

/// Under what a subject is found.
#[derive(PartialEq, Eq, Hash)]
pub enum Key {
    /// A user's name; a service account's too.
    User(String),
    Group(String),
}

impl Subject {
    /// None: it can match nobody.
    pub fn key(&self, binding_namespace: &str) -> Option<Key> {
        match self.kind.as_str() {
            "User" => Some(Key::User(self.name.clone())),
            "Group" => Some(Key::Group(self.name.clone())),
            "ServiceAccount" => {
                let namespace = self.namespace_or(binding_namespace);
                (!namespace.is_empty()).then(|| Key::User(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", self.name)))
            }
            _ => None,
        }
    }

    fn namespace_or<'a>(&'a self, binding_namespace: &'a str) -> &'a str {
        if self.namespace.is_empty() { binding_namespace } else { &self.namespace }
    }

    fn applies_to(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self.key(binding_namespace) {
            Some(Key::User(name)) => name == user.name,
            Some(Key::Group(name)) => user.groups.contains(&name),
            None => false,
        }
    }

    fn describe(&self, binding_namespace: &str) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => format!("ServiceAccount {}", quote(&format!("{}/{}", self.name, self.namespace_or(binding_namespace)))),
            kind => format!("{kind} {}", quote(&self.name)),
        }
    }
}

impl Binding {
    /// `ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`: the first of its subjects that is this user.
    pub fn describe(&self, user: &UserInfo) -> String {
        let subject = self.subjects.iter().find(|subject| subject.applies_to(user, &self.namespace));
        let subject = subject.map(|subject| subject.describe(&self.namespace)).unwrap_or_default();
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", quote(&self.name)),
            namespace => ("RoleBinding", quote(&format!("{}/{namespace}", self.name))),
        };
        format!("{kind} {name} of {} {} to {subject}", self.role_ref.kind, quote(&self.role_ref.name))
    }
}
