//! Admission `LimitRanger`: gives containers the requests and limits that a namespace's LimitRanges default to, and refuses
//! pods and claims that are outside of them.
//!
//! The LimitRanges come by the change feed, parsed once. In a namespace without one, nothing of the object is looked at.

mod constraint;
mod defaults;
mod pod;
mod ranges;

use wasmgate_sdk::admission::GroupVersionKind;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

use constraint::Violations;
use pod::{Claim, PodSpec};
use ranges::{LimitRange, Ranges};

/// The plugin.
#[derive(Default)]
pub struct LimitRanger {
    ranges: Ranges,
}

impl Plugin for LimitRanger {}

/// What is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Subject {
    Pod,
    Claim,
}

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Input {
    operation: Operation,
    kind: GroupVersionKind,
    sub_resource: String,
    namespace: String,
    #[serde(default)]
    old_object: Option<OldObject>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct OldObject {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
}

impl LimitRanger {
    /// The ranges that count for a request, and its subject. None where there is nothing to do.
    fn applicable(&self, request: &Request) -> Result<Option<(Subject, &[LimitRange])>, Denial> {
        let Input { operation, kind, sub_resource, namespace, old_object } = request.input()?;
        let pod = kind.group.is_empty() && kind.kind == "Pod";
        let claim = kind.group.is_empty() && kind.kind == "PersistentVolumeClaim";
        let subject = match (operation, sub_resource.as_str()) {
            // A pod's containers do not change but by this subresource.
            (Operation::Update, "resize") if pod => Subject::Pod,
            (Operation::Create, "") if pod => Subject::Pod,
            (Operation::Create | Operation::Update, "") if claim => Subject::Claim,
            _ => return Ok(None),
        };
        let ranges = self.ranges.of(&namespace);
        let deleted = old_object.is_some_and(|old| old.metadata.deletion_timestamp.is_some());
        Ok((!ranges.is_empty() && !deleted).then_some((subject, ranges)))
    }
}

impl MutatingAdmission for LimitRanger {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        match self.applicable(request)? {
            Some((Subject::Pod, ranges)) => Ok(request.object().map(|pod| defaults::patch(ranges, pod)).unwrap_or_default()),
            _ => Ok(Patch::unchanged()),
        }
    }
}

impl ValidatingAdmission for LimitRanger {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let Some((subject, ranges)) = self.applicable(request)? else { return Ok(()) };
        let Some(object) = request.object() else { return Ok(()) };
        let unreadable = |error| deny_forbidden(format!("unable to read the object: {error}"));
        let mut check: Box<dyn FnMut(&LimitRange, &mut Violations)> = match subject {
            Subject::Pod => {
                let pod: PodSpec = object.get_as("/spec").transpose().map_err(unreadable)?.unwrap_or_default();
                Box::new(move |range, violations| pod.check(range, violations))
            }
            Subject::Claim => {
                let claim: Claim = object.get_as("/spec").transpose().map_err(unreadable)?.unwrap_or_default();
                Box::new(move |range, violations| claim.check(range, violations))
            }
        };
        // The first range that is violated is the answer, with all that is wrong by it.
        for range in ranges {
            let mut violations = Violations::default();
            check(range, &mut violations);
            if let Some(message) = violations.message() {
                return Err(deny_forbidden(message));
            }
        }
        Ok(())
    }
}

impl Changes for LimitRanger {
    fn reset(&mut self, _: GroupResource) {
        self.ranges = Ranges::default();
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change.object {
                Some(object) => self.ranges.put(object),
                None => self.ranges.remove(&change.namespace, &change.name),
            }
        }
    }
}

wasmgate_sdk::plugin!(LimitRanger: mutating_admission, validating_admission, changes);

#[cfg(test)]
mod tests;
