//! Roles by name, bindings by subject.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use wasmgate_sdk::json::Json;
use wasmgate_sdk::quote::quote;
use wasmgate_sdk::user::UserInfo;

use crate::objects::{Binding, BindingObject, Key, Role, RoleRef, Rule};

/// All that decisions are made from. The cluster's roles and bindings are those of the namespace `""`.
#[derive(Default)]
pub struct Index {
    roles: HashMap<String, HashMap<String, Vec<Rule>>>,
    bindings: HashMap<String, Bindings>,
}

/// Why a binding grants nothing.
pub enum Unresolved<'a> {
    /// The role is not there.
    Missing {
        /// `role` or `clusterrole`.
        resource: &'static str,
        /// The role's.
        name: &'a str,
    },
    /// A kind that is no role.
    Kind(&'a str),
}

impl Unresolved<'_> {
    /// Upstream's words. Where it asks its store for a request, it names that request's resource and not the role's own.
    pub fn words(&self, asked_for: Option<&str>) -> String {
        match self {
            Self::Missing { resource, name } => {
                format!("{}.rbac.authorization.k8s.io {} not found", asked_for.unwrap_or(resource), quote(name))
            }
            Self::Kind(kind) => format!("unsupported role reference kind: {}", quote(kind)),
        }
    }
}

/// A namespace's bindings.
#[derive(Default)]
struct Bindings {
    by_name: HashMap<String, Rc<Binding>>,
    by_user: HashMap<String, Vec<Rc<Binding>>>,
    by_group: HashMap<String, Vec<Rc<Binding>>>,
}

impl Index {
    /// Bindings of the cluster and of the namespace that have this user, one of its groups, or this service account as a
    /// subject. One that has several of them may come several times.
    pub fn bindings_of<'a>(&'a self, user: &'a UserInfo, namespace: &'a str) -> impl Iterator<Item = &'a Binding> {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        [Some(""), namespace].into_iter().flatten().filter_map(|namespace| self.bindings.get(namespace)).flat_map(|bindings| {
            let of_groups = user.groups.iter().filter_map(|group| bindings.by_group.get(group));
            bindings.by_user.get(&user.name).into_iter().chain(of_groups).flatten().map(Rc::as_ref)
        })
    }

    /// The rules of the role that a binding in this namespace (none: of the cluster) refers to.
    pub fn rules<'a>(&'a self, role_ref: &'a RoleRef, namespace: &'a str) -> Result<&'a [Rule], Unresolved<'a>> {
        let (namespace, resource) = match role_ref.kind.as_str() {
            "ClusterRole" => ("", "clusterrole"),
            "Role" => (namespace, "role"),
            kind => return Err(Unresolved::Kind(kind)),
        };
        let role = self.roles.get(namespace).and_then(|roles| roles.get(&role_ref.name));
        role.map(Vec::as_slice).ok_or(Unresolved::Missing { resource, name: &role_ref.name })
    }

    /// All rules that a user has in a namespace, those of the cluster first, and the roles that are not there.
    pub fn held<'a>(&'a self, user: &'a UserInfo, namespace: &'a str) -> (Vec<&'a Rule>, Vec<Unresolved<'a>>) {
        let mut bindings: Vec<&Binding> = self.bindings_of(user, namespace).collect();
        // Bound by two of one's groups is bound once.
        bindings.sort_by_key(|binding| (&binding.namespace, &binding.name));
        bindings.dedup_by_key(|binding| (&binding.namespace, &binding.name));
        let (mut held, mut unresolved) = (Vec::new(), Vec::new());
        for binding in bindings {
            match self.rules(&binding.role_ref, &binding.namespace) {
                Ok(rules) => held.extend(rules),
                Err(error) => unresolved.push(error),
            }
        }
        (held, unresolved)
    }

    /// Forgets all objects of a resource.
    pub fn reset(&mut self, resource: &str) {
        match resource {
            "clusterroles" => self.roles.retain(|namespace, _| !namespace.is_empty()),
            "roles" => self.roles.retain(|namespace, _| namespace.is_empty()),
            "clusterrolebindings" => self.bindings.retain(|namespace, _| !namespace.is_empty()),
            "rolebindings" => self.bindings.retain(|namespace, _| namespace.is_empty()),
            _ => {}
        }
    }

    /// One object changed; none: it is gone.
    pub fn apply(&mut self, resource: &str, namespace: &str, name: &str, object: Option<&Json>) {
        // An object that does not parse grants nothing, and its last good version no longer counts. The server validates
        // them, so it is one that somebody put into the store by hand.
        if !object.is_some_and(|object| self.put(resource, object)) {
            self.remove(resource, namespace, name);
        }
    }

    fn put(&mut self, resource: &str, object: &Json) -> bool {
        match resource {
            "clusterroles" | "roles" => {
                let Ok(Role { metadata, rules }) = object.parse() else { return false };
                self.roles.entry(metadata.namespace).or_default().insert(metadata.name, rules);
            }
            "clusterrolebindings" | "rolebindings" => {
                let Ok(BindingObject { metadata, role_ref, subjects }) = object.parse() else { return false };
                let binding = Binding { namespace: metadata.namespace, name: metadata.name, role_ref, subjects };
                self.bindings.entry(binding.namespace.clone()).or_default().put(binding);
            }
            _ => {}
        }
        true
    }

    fn remove(&mut self, resource: &str, namespace: &str, name: &str) {
        match resource {
            "clusterroles" | "roles" => {
                if let Some(roles) = self.roles.get_mut(namespace) {
                    roles.remove(name);
                }
            }
            "clusterrolebindings" | "rolebindings" => {
                if let Some(bindings) = self.bindings.get_mut(namespace) {
                    bindings.remove(name);
                }
            }
            _ => {}
        }
    }
}

impl Bindings {
    fn put(&mut self, binding: Binding) {
        self.remove(&binding.name);
        let binding = Rc::new(binding);
        for key in keys(&binding) {
            let list = match key {
                Key::User(name) => self.by_user.entry(name).or_default(),
                Key::Group(name) => self.by_group.entry(name).or_default(),
            };
            // By name, so that a decision names the same binding in every instance.
            let at = list.partition_point(|other| other.name < binding.name);
            list.insert(at, Rc::clone(&binding));
        }
        self.by_name.insert(binding.name.clone(), binding);
    }

    fn remove(&mut self, name: &str) {
        let Some(binding) = self.by_name.remove(name) else { return };
        for key in keys(&binding) {
            let (lists, name) = match key {
                Key::User(name) => (&mut self.by_user, name),
                Key::Group(name) => (&mut self.by_group, name),
            };
            if let Some(list) = lists.get_mut(&name) {
                list.retain(|other| !Rc::ptr_eq(other, &binding));
                if list.is_empty() {
                    lists.remove(&name);
                }
            }
        }
    }
}

/// Each once: a binding may name a subject twice.
fn keys(binding: &Binding) -> HashSet<Key> {
    binding.subjects.iter().filter_map(|subject| subject.key(&binding.namespace)).collect()
}
