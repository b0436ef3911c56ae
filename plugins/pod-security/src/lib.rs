//! Admission `PodSecurity`: holds pods to the standard that their namespace's labels name, and says where templates of pods
//! would not hold to it.
//!
//! Order of work: the namespace's policy first, for most have none; then the pod, parsed only as far as a check looks.

mod baseline;
mod checks;
mod existing;
mod namespaces;
mod pod;
mod policy;
mod restricted;
mod settings;
mod words;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::de::DeserializeOwned;

use checks::Findings;
use namespaces::{Namespaces, labels_of};
use pod::{Pod, PodSpec};
use policy::{LabelError, Labels, Level, PREFIX, Policy};
use settings::{Document, Settings};

/// The plugin.
#[derive(Default)]
pub struct PodSecurity {
    settings: Settings,
    namespaces: Namespaces,
}

impl Plugin for PodSecurity {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        self.settings = config.parse::<Document>()?.try_into()?;
        Ok(())
    }
}

impl ValidatingAdmission for PodSecurity {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if !writes {
            return Ok(());
        }
        let (group, resource, subresource) = (&*request.resource.group, &*request.resource.resource, &*request.subresource);
        match (group, resource, subresource) {
            ("", "namespaces", "") => self.namespace(request),
            ("", "pods", "" | "ephemeralcontainers" | "resize") => self.pod(request),
            ("", "podtemplates", "") => self.template(request, "/template"),
            ("", "replicationcontrollers", "") | ("apps", _, "") | ("batch", "jobs", "") => self.template(request, "/spec/template"),
            ("batch", "cronjobs", "") => self.template(request, "/spec/jobTemplate/spec/template"),
            _ => Ok(()),
        }
    }
}

impl PodSecurity {
    fn policy(&self, labels: &Labels) -> (Policy, Vec<LabelError>) {
        Policy::of(labels, &self.settings.defaults)
    }

    /// Labels that say something, and a warning where they say more than the pods hold to that are already there.
    fn namespace(&self, request: &Request) -> Result<(), Denial> {
        let Some(namespace) = request.object() else { return Ok(()) };
        let labels = labels_of(namespace);
        let (policy, errors) = self.policy(&labels);
        let name = request.object_name();
        if request.operation == Operation::Create {
            if !errors.is_empty() {
                return Err(invalid(request, &errors));
            }
            self.warn_of_exemption(request, &name, &policy, &labels);
            return Ok(());
        }
        let (old, old_errors) = self.policy(&request.old().map(labels_of).unwrap_or_default());
        if !errors.is_empty() && errors != old_errors {
            return Err(invalid(request, &errors));
        }
        let (new, old) = (policy.enforce, old.enforce);
        let relaxed = new.version == old.version && new.level <= old.level;
        if new == old || new.level == Level::Privileged || relaxed || self.warn_of_exemption(request, &name, &policy, &labels) {
            return Ok(());
        }
        for warning in existing::warnings(&name, new, &self.settings.exemptions) {
            request.warn(warning);
        }
        Ok(())
    }

    /// Whether nobody looks at this namespace; labels that promise otherwise are worth a warning.
    fn warn_of_exemption(&self, request: &Request, name: &str, policy: &Policy, labels: &Labels) -> bool {
        if !self.settings.exemptions.namespaces.iter().any(|exempt| exempt == name) {
            return false;
        }
        if !policy.is_privileged() && !policy.same_effect(&self.settings.defaults) {
            let modes = [("enforce", policy.enforce), ("audit", policy.audit), ("warn", policy.warn)];
            let said = modes.into_iter().filter(|(mode, standard)| {
                standard.level != Level::Privileged && (labels.contains_key(*mode) || labels.contains_key(&format!("{mode}-version")))
            });
            let said: Vec<String> = said.map(|(mode, standard)| format!("{mode}={standard}")).collect();
            let said = said.join(", ");
            request.warn(format!("namespace {name:?} is exempt from Pod Security, and the policy ({said}) will be ignored"));
        }
        true
    }

    /// Whether this user or this namespace is not looked at.
    fn is_exempt(&self, request: &Request) -> bool {
        let exemptions = &self.settings.exemptions;
        let reason = if exemptions.namespaces.contains(&request.namespace) {
            "namespace"
        } else if !exemptions.usernames.is_empty() && exemptions.usernames.contains(&request.user().name) {
            "user"
        } else {
            return false;
        };
        annotate(request, "exempt", reason);
        true
    }

    fn pod(&self, request: &Request) -> Result<(), Denial> {
        if self.is_exempt(request) {
            return Ok(());
        }
        let Some((policy, errors)) = self.namespaces.with(&request.namespace, |labels| self.policy(labels)) else {
            return Err(Status::internal(&format!("failed to lookup namespace {:?}", request.namespace)).into());
        };
        if errors.is_empty() && policy.is_privileged() {
            annotate(request, "enforce-policy", &policy.enforce.to_string());
            return Ok(());
        }
        // A pod in a namespace without a policy is not looked at: so it is not asked for before.
        let Some(object) = request.object() else { return Ok(()) };
        let bad_request = |_| Denial::Status(Status::new(400, "BadRequest", "failed to decode pod"));
        let spec: PodSpec = field(object, "/spec").map_err(bad_request)?;
        if request.operation == Operation::Update {
            let old: PodSpec = request.old().map(|old| field(old, "/spec")).transpose().map_err(bad_request)?.unwrap_or_default();
            if !spec.differs_from(&old) {
                return Ok(());
            }
        }
        let metadata = field(object, "/metadata").map_err(bad_request)?;
        self.evaluate(request, &policy, &errors, &Pod { metadata, spec }, true)
    }

    /// What makes pods is never refused: the pods are, and whoever writes the template is told.
    fn template(&self, request: &Request, pointer: &str) -> Result<(), Denial> {
        if self.is_exempt(request) {
            return Ok(());
        }
        let Some((policy, errors)) = self.namespaces.with(&request.namespace, |labels| self.policy(labels)) else {
            annotate(request, "error", &format!("failed to lookup namespace {:?}", request.namespace));
            return Ok(());
        };
        if errors.is_empty() && policy.warn.level == Level::Privileged && policy.audit.level == Level::Privileged {
            return Ok(());
        }
        match request.object().and_then(|object| object.get_as::<Option<Pod>>(pointer)) {
            Some(Ok(Some(pod))) => self.evaluate(request, &policy, &errors, &pod, false),
            Some(Err(error)) => {
                annotate(request, "error", &format!("failed to extract pod template: {error}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn evaluate(&self, request: &Request, policy: &Policy, errors: &[LabelError], pod: &Pod, enforce: bool) -> Result<(), Denial> {
        if pod.spec.runtime_class_name.as_ref().is_some_and(|class| self.settings.exemptions.runtime_classes.contains(class)) {
            annotate(request, "exempt", "runtimeClass");
            return Ok(());
        }
        if !errors.is_empty() {
            annotate(request, "error", &format!("Failed to parse policy: {}", all(errors)));
        }
        let mut denial = None;
        if enforce {
            annotate(request, "enforce-policy", &policy.enforce.to_string());
            let found = Findings::of(policy.enforce, pod);
            if !found.is_empty() {
                denial = Some(deny_forbidden(format!("violates PodSecurity \"{}\": {}", policy.enforce, found.details())));
            }
        }
        let would = |standard| {
            let found = Findings::of(standard, pod);
            (!found.is_empty()).then(|| format!("would violate PodSecurity \"{standard}\": {}", found.details()))
        };
        if let Some(words) = would(policy.audit) {
            annotate(request, "audit-violations", &words);
        }
        // Who is refused is told why already.
        match denial {
            Some(denial) => Err(denial),
            None => {
                would(policy.warn).into_iter().for_each(|words| request.warn(words));
                Ok(())
            }
        }
    }
}

impl Changes for PodSecurity {
    fn reset(&mut self, _: GroupResource) {
        self.namespaces = Namespaces::default();
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change.object {
                Some(object) => self.namespaces.put(object),
                None => self.namespaces.remove(&change.name),
            }
        }
    }
}

wasmgate_sdk::plugin!(PodSecurity: validating_admission, changes);

/// A part of an object; its default where it is not there.
fn field<T: DeserializeOwned + Default>(object: &Object, pointer: &str) -> Result<T, String> {
    Ok(object.get_as::<Option<T>>(pointer).transpose()?.flatten().unwrap_or_default())
}

fn annotate(request: &Request, key: &str, value: &str) {
    request.annotate(format!("{PREFIX}{key}"), value);
}

/// One as it is, several in brackets.
fn all(errors: &[LabelError]) -> String {
    let words: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    match words.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// 422, with a cause for each label.
fn invalid(request: &Request, errors: &[LabelError]) -> Denial {
    let (kind, name) = (&request.kind.kind, request.object_name());
    let status = Status::new(422, "Invalid", format!("{kind} {name:?} is invalid: {}", all(errors)));
    let status = status.about(&request.kind.group, kind, &name);
    errors.iter().fold(status, |status, error| status.cause("FieldValueInvalid", error.message.clone(), &error.field)).into()
}

#[cfg(test)]
mod tests;
