//! Admission `Priority`: a pod's class becomes its priority and its preemption policy, and only one class is the default.
//!
//! The classes come by the change feed, parsed once. That the system's own classes cannot be deleted is the registry's rule,
//! as upstream's.

mod classes;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde_json::Value;

use classes::{Classes, PREEMPT_LOWER_PRIORITY};

/// A pod's priority where it names no class and none is the default.
const DEFAULT_PRIORITY: i64 = 0;

/// The plugin.
#[derive(Default)]
pub struct Priority {
    classes: Classes,
}

impl Plugin for Priority {}

impl MutatingAdmission for Priority {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let Some(pod) = request.object().filter(|_| request.is("", "pods")) else { return Ok(Patch::unchanged()) };
        match request.operation {
            Operation::Create => self.resolve(pod),
            Operation::Update => Ok(keep(pod, request.old())),
            _ => Ok(Patch::unchanged()),
        }
    }
}

impl ValidatingAdmission for Priority {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let class = request.object().filter(|_| writes && request.is("scheduling.k8s.io", "priorityclasses"));
        let Some(class) = class.filter(|class| class.get("/globalDefault") == Some(Value::Bool(true))) else { return Ok(()) };
        let Some((known, _)) = self.classes.global_default() else { return Ok(()) };
        let itself = request.operation == Operation::Update && class.get_str("/metadata/name").is_some_and(|name| name == known);
        if itself {
            return Ok(());
        }
        Err(deny_forbidden(format!("PriorityClass {known} is already marked as default. Only one default can exist")))
    }
}

impl Priority {
    /// A new pod may say what its class says; it may not say anything else.
    fn resolve(&self, pod: &Object) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let named = pod.get_str("/spec/priorityClassName").filter(|name| !name.is_empty());
        let (priority, policy) = match &named {
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
        match pod.get("/spec/priority").filter(|given| !given.is_null()) {
            None => {
                patch.add("/spec/priority", priority);
            }
            Some(given) if given.as_i64() == Some(priority) => {}
            Some(given) => {
                return Err(deny_forbidden(format!(
                    "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                     computed {priority} from the given PriorityClass name"
                )));
            }
        }
        match pod.get_str("/spec/preemptionPolicy") {
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
fn keep(pod: &Object, old: Option<&Object>) -> Patch {
    let mut patch = Patch::unchanged();
    for field in ["/spec/priority", "/spec/preemptionPolicy"] {
        let missing = pod.get(field).is_none_or(|value| value.is_null());
        if let Some(known) = old.filter(|_| missing).and_then(|old| old.get(field)).filter(|known| !known.is_null()) {
            patch.add(field, known);
        }
    }
    patch
}

impl Changes for Priority {
    fn reset(&mut self, _: GroupResource, objects: Vec<Json>) {
        self.classes = Classes::default();
        objects.iter().for_each(|object| self.classes.put(object));
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
