//! The admission chain: mutating plugins in order, once more where a later one changed the object, then validating ones.
//!
//! Pure order. A plugin that does not match costs nothing. A plugin is shown a request in the version that it selects; its patch is applied
//! in that version, and what comes out is typed and defaulted before anybody else sees it. A patch whose result is no object of its kind is
//! the plugin's fault, and not the client's. A fault is refused or passed over as the plugin's `failurePolicy` says. A plugin whose link does
//! not decide is asked in its place like the others, and what it would have done is told or counted.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::object::meta;
use apimachinery::patch::json;
use apimachinery::{GroupResource, GroupVersionKind, Status};
use async_trait::async_trait;
use auth::Fault;
use serde_json::Value;

use crate::version::Versions;
use crate::{Admission, Attributes, Charges, ObjectInterfaces, ObjectView, Objects, Recorder, RequestContext, Version};

/// Why a plugin refuses.
#[derive(Clone, Debug, PartialEq)]
pub enum Denial {
    /// 403: `pods "x" is forbidden: <message>`.
    Forbidden(String),
    /// A whole answer.
    Status(Box<Status>),
}

/// What a mutating plugin answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    /// Admitted as it is.
    Unchanged,
    /// Admitted with this JSON Patch (RFC 6902) applied: its operations.
    Patch(Vec<Value>),
    /// Not admitted.
    Denied(Denial),
}

/// What a validating plugin answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Admitted, and this is what it takes.
    Admitted(Charges),
    /// Not admitted.
    Denied(Denial),
}

impl Verdict {
    /// Admitted, and it takes nothing.
    pub fn admitted() -> Self {
        Self::Admitted(Charges::default())
    }
}

/// What a fault means for the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The request fails with 500.
    #[default]
    Fail,
    /// The request goes on as if the plugin had not been asked.
    Ignore,
}

/// Which of a request's two rounds it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Objects may be changed.
    Mutating,
    /// They may be refused.
    Validating,
}

/// A plugin as the chain sees it.
#[async_trait]
pub trait AdmissionPlugin: Send + Sync {
    /// As in messages.
    fn name(&self) -> &str;

    /// In which of these versions the plugin wants to see the request; the first is the requested one. `None`: not at all.
    fn selects(&self, round: Round, attributes: &Attributes, versions: &[Version<'_>]) -> Option<usize>;

    /// What its fault means.
    fn failure_policy(&self) -> FailurePolicy;

    /// Whether it wants to be asked again where a later plugin changed the object.
    fn reinvoked(&self) -> bool;

    /// Role `mutating-admission`.
    async fn admit(&self, attributes: &Attributes, version: Version<'_>) -> Result<Mutation, Fault>;

    /// Role `validating-admission`.
    async fn validate(&self, attributes: &Attributes, version: Version<'_>) -> Result<Verdict, Fault>;

    /// Is told that its answer was none: a patch that does not hold. To be counted like every other fault.
    fn faulted(&self, fault: &Fault);

    /// Is told that its fault was passed over.
    fn ignored(&self, fault: &Fault);

    /// Is told that it would have refused or changed something, if it decided.
    fn disagreed(&self) {}
}

/// How much a link's word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It decides.
    #[default]
    Decide,
    /// The client is warned of what it would have refused or changed; nothing else comes of it.
    Warn,
    /// Nobody is told: what it would have refused or changed is counted.
    Shadow,
}

/// A plugin in its place in the chain.
#[derive(Clone)]
pub struct Link {
    /// Whatever decides: a component, and one day a policy or a webhook.
    pub plugin: Arc<dyn AdmissionPlugin>,
    /// Whether it does.
    pub mode: Mode,
}

impl Link {
    /// One that decides.
    pub fn deciding(plugin: Arc<dyn AdmissionPlugin>) -> Self {
        Self { plugin, mode: Mode::Decide }
    }

    /// The request as the link's plugin sees it: what a shadow says beside its answer reaches nobody.
    fn shown<'a>(&self, attributes: &'a Attributes) -> Cow<'a, Attributes> {
        if self.mode != Mode::Shadow {
            return Cow::Borrowed(attributes);
        }
        let context = RequestContext { recorder: Recorder::default(), ..(*attributes.context).clone() };
        Cow::Owned(Attributes { context: Arc::new(context), ..attributes.clone() })
    }

    /// Tells of an answer that does not count: what the plugin would have done, if it had decided.
    fn would(&self, attributes: &Attributes, what: Option<String>) {
        let Some(what) = what else { return };
        self.plugin.disagreed();
        if self.mode == Mode::Warn {
            attributes.context.recorder.warnings.add(&format!("admission plugin \"{}\" would {what}", self.plugin.name()));
        }
    }
}

/// Links in the order in which they are asked.
pub struct AdmissionChain {
    mutating: Vec<Link>,
    validating: Vec<Link>,
}

impl AdmissionChain {
    /// In the order of the lists.
    pub fn new(mutating: Vec<Link>, validating: Vec<Link>) -> Self {
        Self { mutating, validating }
    }

    /// Asks one mutating plugin, if it wants to be, and applies its patch. Whether the object changed; `None`: it was not asked.
    async fn admit_one(
        link: &Link,
        attributes: &Attributes,
        versions: &Versions<'_>,
        object: &mut Option<&mut Value>,
        old: Option<&[ObjectView<'_>]>,
    ) -> Result<Option<bool>, Status> {
        let plugin = &*link.plugin;
        let (index, answer) = {
            let views = object.as_deref().map(|object| versions.views(object));
            let list = versions.list(views.as_deref(), old);
            let Some(index) = plugin.selects(Round::Mutating, attributes, &list) else { return Ok(None) };
            (index, plugin.admit(&link.shown(attributes), list[index]).await)
        };
        if link.mode != Mode::Decide {
            link.would(attributes, would_mutate(&answer, attributes, object.as_deref()));
            return Ok(None);
        }
        let fault = match answer {
            Ok(Mutation::Unchanged) => return Ok(Some(false)),
            Ok(Mutation::Denied(denial)) => return Err(refusal(denial, attributes, object.as_deref())),
            Ok(Mutation::Patch(patch)) if patch.is_empty() => return Ok(Some(false)),
            Ok(Mutation::Patch(patch)) => match object {
                Some(object) => match patch_object(object, patch, versions.kind(index), versions.interfaces, plugin.failure_policy()) {
                    Ok(changed) => return Ok(Some(changed)),
                    Err(why) => malformed(plugin, why),
                },
                None => malformed(plugin, "it answered a patch, and the request has no object".into()),
            },
            Err(fault) => fault,
        };
        failed(plugin, &fault).map(|()| Some(false))
    }
}

/// What a plugin that does not decide would have done to the request.
fn would_mutate(answer: &Result<Mutation, Fault>, attributes: &Attributes, object: Option<&Value>) -> Option<String> {
    match answer {
        Ok(Mutation::Unchanged) => None,
        Ok(Mutation::Patch(patch)) => (!patch.is_empty()).then(|| "change the object".to_owned()),
        Ok(Mutation::Denied(denial)) => Some(format!("refuse this: {}", refusal(denial.clone(), attributes, object).message)),
        Err(fault) => Some(format!("have failed: {}", fault.reason)),
    }
}

#[async_trait]
impl Admission for AdmissionChain {
    async fn mutate(
        &self,
        attributes: &Attributes,
        interfaces: &dyn ObjectInterfaces,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let versions = Versions::of(attributes, interfaces);
        let old = old.map(|old| versions.views(old));
        let mut last_change = None;
        let mut asked = Vec::new();
        for (index, link) in self.mutating.iter().enumerate() {
            match Self::admit_one(link, attributes, &versions, &mut object, old.as_deref()).await? {
                None => continue,
                Some(true) => last_change = Some(index),
                Some(false) => {}
            }
            asked.push(index);
        }
        let Some(last_change) = last_change else { return Ok(()) };
        // Once, as upstream (`pkg/admission/reinvocation.go`): two plugins that undo each other would never end.
        for link in
            asked.into_iter().filter(|index| *index < last_change).map(|index| &self.mutating[index]).filter(|link| link.plugin.reinvoked())
        {
            Self::admit_one(link, attributes, &versions, &mut object, old.as_deref()).await?;
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes, interfaces: &dyn ObjectInterfaces, objects: Objects<'_>) -> Result<Charges, Status> {
        let mut charges = Charges::default();
        let versions = Versions::of(attributes, interfaces);
        let object = objects.object.map(|object| versions.views(object));
        let old = objects.old.map(|old| versions.views(old));
        let list = versions.list(object.as_deref(), old.as_deref());
        for link in &self.validating {
            let plugin = &*link.plugin;
            let Some(index) = plugin.selects(Round::Validating, attributes, &list) else { continue };
            let answer = plugin.validate(&link.shown(attributes), list[index]).await;
            match answer {
                // Only what decides takes anything.
                Ok(Verdict::Admitted(_)) if link.mode != Mode::Decide => {}
                Ok(Verdict::Admitted(taken)) => charges.extend(taken),
                Ok(Verdict::Denied(denial)) if link.mode != Mode::Decide => {
                    let refused = refusal(denial, attributes, objects.object).message;
                    link.would(attributes, Some(format!("refuse this: {refused}")));
                }
                Err(fault) if link.mode != Mode::Decide => link.would(attributes, Some(format!("have failed: {}", fault.reason))),
                Ok(Verdict::Denied(denial)) => return Err(refusal(denial, attributes, objects.object)),
                Err(fault) => failed(plugin, &fault)?,
            }
        }
        Ok(charges)
    }
}

fn malformed(plugin: &dyn AdmissionPlugin, reason: String) -> Fault {
    let fault = Fault { plugin: plugin.name().to_owned(), reason };
    plugin.faulted(&fault);
    fault
}

fn failed(plugin: &dyn AdmissionPlugin, fault: &Fault) -> Result<(), Status> {
    match plugin.failure_policy() {
        FailurePolicy::Fail => {
            Err(Status::internal(format_args!("failed calling admission plugin \"{}\": {}", plugin.name(), fault.reason)))
        }
        FailurePolicy::Ignore => {
            plugin.ignored(fault);
            Ok(())
        }
    }
}

fn refusal(denial: Denial, attributes: &Attributes, object: Option<&Value>) -> Status {
    match denial {
        Denial::Status(status) => *status,
        Denial::Forbidden(message) => {
            let resource = GroupResource { group: attributes.resource.group.clone(), resource: attributes.resource.resource.clone() };
            Status::forbidden(&resource, name_in_messages(attributes, object), &message)
        }
    }
}

/// Upstream's `extractResourceName`: the object may not have its name yet.
fn name_in_messages<'a>(attributes: &'a Attributes, object: Option<&'a Value>) -> &'a str {
    let from_object = |field| object.map(|object| apimachinery::object::meta_str(object, field)).unwrap_or("");
    [attributes.name.as_str(), from_object("name"), from_object("generateName"), "Unknown"]
        .into_iter()
        .find(|name| !name.is_empty())
        .expect("the last one is not empty")
}

/// What identifies an object, of its `metadata`. What was not there may come: a create with `generateName` has no name yet, and no uid.
const IDENTITY: [&str; 3] = ["name", "namespace", "uid"];

/// Patches the object in place, as the plugin saw it; whether that changed it. What identifies the object must stay.
///
/// A patch that does not hold ends the request, and the half patched object with it. Only where the request goes on all the same, because
/// the plugin's faults are passed over, the object has to be kept as it was.
fn patch_object(
    object: &mut Value,
    patch: Vec<Value>,
    kind: &GroupVersionKind,
    interfaces: &dyn ObjectInterfaces,
    policy: FailurePolicy,
) -> Result<bool, String> {
    let held = interfaces.held();
    if kind != held {
        let mut shown = interfaces.convert(object, kind);
        let changed = try_patch(&mut shown, patch, kind, interfaces)?;
        if changed {
            let mut back = interfaces.convert(&shown, held);
            // The patch replaced the whole object, so all of it is typed and defaulted again.
            interfaces.retype(held, &mut back, &[Vec::new()])?;
            *object = back;
        }
        return Ok(changed);
    }
    let kept = (policy == FailurePolicy::Ignore).then(|| object.clone());
    let outcome = try_patch(object, patch, kind, interfaces);
    if let (Err(_), Some(kept)) = (&outcome, kept) {
        *object = kept;
    }
    outcome
}

fn try_patch(object: &mut Value, patch: Vec<Value>, kind: &GroupVersionKind, interfaces: &dyn ObjectInterfaces) -> Result<bool, String> {
    if patch.len() > json::JSON_PATCH_OPERATIONS_MAX {
        return Err(format!("its patch has {} operations, more than {}", patch.len(), json::JSON_PATCH_OPERATIONS_MAX));
    }
    let before = IDENTITY.map(|field| meta(object, field).cloned());
    let touched = json::touched(&patch);
    if !json::apply(object, patch).map_err(|error| format!("its patch does not apply: {error}"))? {
        return Ok(false);
    }
    let Some(fields) = object.as_object_mut() else { return Err("its patch leaves no object".into()) };
    if !fields.get("metadata").is_none_or(Value::is_object) {
        return Err("its patch leaves no object with metadata".into());
    }
    for (name, is) in [("apiVersion", kind.api_version()), ("kind", kind.kind.to_string())] {
        // A decoder fills in what is not said.
        match fields.get(name) {
            Some(Value::String(text)) if *text == is => {}
            None | Some(Value::Null) => drop(fields.insert(name.to_owned(), is.into())),
            Some(Value::String(text)) if text.is_empty() => drop(fields.insert(name.to_owned(), is.into())),
            Some(_) => return Err(format!("its patch changes /{name}")),
        }
    }
    let unset = |value: &Option<Value>| value.as_ref().is_none_or(|value| value.is_null() || value == "");
    for (field, before) in IDENTITY.into_iter().zip(&before) {
        let may_be_set = unset(before) && field != "namespace";
        if !may_be_set && meta(object, field) != before.as_ref() {
            return Err(format!("its patch changes /metadata/{field}"));
        }
    }
    interfaces.retype(kind, object, &touched).map_err(|error| format!("its patch leaves no {}: {error}", kind.kind))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
