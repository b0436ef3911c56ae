//! Admission `LimitRanger`: gives containers the requests and limits that a namespace's LimitRanges default to, and refuses
//! pods and claims that are outside of them.
//!
//! The LimitRanges come by the change feed, parsed once. In a namespace without one, nothing of the object is looked at.

mod constraint;
mod defaults;
mod pod;
mod ranges;

use wasmgate_sdk::prelude::*;

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

impl LimitRanger {
    /// The ranges that count for a request, and its subject. None where there is nothing to do.
    fn applicable(&self, request: &Request) -> Option<(Subject, &[LimitRange])> {
        let pod = request.kind.group.is_empty() && request.kind.kind == "Pod";
        let claim = request.kind.group.is_empty() && request.kind.kind == "PersistentVolumeClaim";
        let subject = match (request.operation, request.subresource.as_str()) {
            // A pod's containers do not change but by this subresource.
            (Operation::Update, "resize") if pod => Subject::Pod,
            (Operation::Create, "") if pod => Subject::Pod,
            (Operation::Create | Operation::Update, "") if claim => Subject::Claim,
            _ => return None,
        };
        let ranges = self.ranges.of(&request.namespace);
        let deleted = || request.old().is_some_and(|old| old.get("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()));
        (!ranges.is_empty() && !deleted()).then_some((subject, ranges))
    }
}

impl MutatingAdmission for LimitRanger {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        match (self.applicable(request), request.object()) {
            (Some((Subject::Pod, ranges)), Some(pod)) => Ok(defaults::patch(ranges, pod)),
            _ => Ok(Patch::unchanged()),
        }
    }
}

impl ValidatingAdmission for LimitRanger {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let (Some((subject, ranges)), Some(object)) = (self.applicable(request), request.object()) else { return Ok(()) };
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
    fn reset(&mut self, _: GroupResource, objects: Vec<Json>) {
        self.ranges = Ranges::default();
        objects.iter().for_each(|object| self.ranges.put(object));
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
