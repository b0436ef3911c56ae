//! Admission `Priority`: a pod's class becomes its priority and its preemption policy, and only one class is the default.
//!
//! The classes come by the change feed, parsed once. That the system's own classes cannot be deleted is the registry's rule,
//! as upstream's.

mod classes;

use wasmgate_sdk::admission::GroupVersionResource;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

use classes::{Classes, PREEMPT_LOWER_PRIORITY};

/// A pod's priority where it names no class and none is the default.
const DEFAULT_PRIORITY: i64 = 0;

/// The plugin.
#[derive(Default)]
pub struct Priority {
    classes: Classes,
}

impl Plugin for Priority {}

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Input {
    operation: Operation,
    resource: GroupVersionResource,
    sub_resource: String,
    #[serde(default)]
    object: Object,
    #[serde(default)]
    old_object: Object,
}

/// A pod or a class, as far as it counts.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    global_default: bool,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    priority_class_name: Option<String>,
    priority: Option<i64>,
    preemption_policy: Option<String>,
}

impl Input {
    fn is(&self, group: &str, resource: &str) -> bool {
        self.resource.group == group && self.resource.resource == resource && self.sub_resource.is_empty()
    }
}

impl MutatingAdmission for Priority {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let input: Input = request.input()?;
        match input.operation {
            Operation::Create if input.is("", "pods") => self.resolve(&input.object.spec),
            Operation::Update if input.is("", "pods") => Ok(keep(&input.object.spec, &input.old_object.spec)),
            _ => Ok(Patch::unchanged()),
        }
    }
}

impl ValidatingAdmission for Priority {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let input: Input = request.input()?;
        let writes = matches!(input.operation, Operation::Create | Operation::Update);
        if !(writes && input.is("scheduling.k8s.io", "priorityclasses") && input.object.global_default) {
            return Ok(());
        }
        let Some((known, _)) = self.classes.global_default() else { return Ok(()) };
        let itself = input.operation == Operation::Update && input.object.metadata.name == known;
        if itself {
            return Ok(());
        }
        Err(deny_forbidden(format!("PriorityClass {known} is already marked as default. Only one default can exist")))
    }
}

impl Priority {
    /// A new pod may say what its class says; it may not say anything else.
    fn resolve(&self, spec: &Spec) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let named = spec.priority_class_name.as_deref().filter(|name| !name.is_empty());
        let (priority, policy) = match named {
            Some(name) => match self.classes.get(name) {
                Some(class) => (class.value, class.preemption_policy.as_str()),
                None => return Err(deny_forbidden(format!("no PriorityClass with name {name} was found"))),
            },
            None => match self.classes.global_default() {
                Some((name, class)) => {
                    patch.add("/spec/priorityClassName", name);
                    (class.value, class.preemption_policy.as_str())
                }
                None => (DEFAULT_PRIORITY, PREEMPT_LOWER_PRIORITY),
            },
        };
        match spec.priority {
            None => {
                patch.add("/spec/priority", priority);
            }
            Some(given) if given == priority => {}
            Some(given) => {
                return Err(deny_forbidden(format!(
                    "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                     computed {priority} from the given PriorityClass name"
                )));
            }
        }
        match &spec.preemption_policy {
            None => {
                patch.add("/spec/preemptionPolicy", policy);
            }
            Some(given) if given == policy => {}
            Some(given) => {
                return Err(deny_forbidden(format!(
                    "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
                     controller computed {policy} from the given PriorityClass name"
                )));
            }
        }
        Ok(patch)
    }
}

/// An update that leaves them out does not mean to take them away. One that changes them fails in validation.
fn keep(spec: &Spec, old: &Spec) -> Patch {
    let mut patch = Patch::unchanged();
    if let (None, Some(known)) = (spec.priority, old.priority) {
        patch.add("/spec/priority", known);
    }
    if let (None, Some(known)) = (&spec.preemption_policy, &old.preemption_policy) {
        patch.add("/spec/preemptionPolicy", known);
    }
    patch
}

impl Changes for Priority {
    fn reset(&mut self, _: GroupResource) {
        self.classes = Classes::default();
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change.object {
                Some(object) => self.classes.put(object),
                None => self.classes.remove(&change.name),
            }
        }
    }
}

wasmgate_sdk::plugin!(Priority: mutating_admission, validating_admission, changes);

#[cfg(test)]
mod tests;
