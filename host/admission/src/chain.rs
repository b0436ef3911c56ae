//! The admission chain: mutating plugins in order, once more where a later one changed the object, then validating ones.
//!
//! Pure order. A plugin that does not match costs nothing. A plugin's patch is applied and checked here, on a copy, so
//! that a bad one leaves the object as it was. A fault is refused or passed over as the plugin's `failurePolicy` says.

use std::sync::{Arc, OnceLock};

use apimachinery::patch::json;
use apimachinery::{GroupResource, Status};
use async_trait::async_trait;
use auth::Fault;
use bytes::Bytes;
use serde_json::Value;

use crate::{Admission, Attributes, Objects};

/// An object on loan to the plugins of a chain; serialised once, when the first asks for the bytes.
pub struct ObjectView<'a> {
    value: &'a Value,
    bytes: OnceLock<Bytes>,
}

impl<'a> ObjectView<'a> {
    /// Lends an object.
    pub fn new(value: &'a Value) -> Self {
        Self { value, bytes: OnceLock::new() }
    }

    /// The object.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The object as JSON.
    pub fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| serde_json::to_vec(self.value).expect("a Value has string keys only").into())
    }
}

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

    /// Whether the plugin wants to see this request, with these objects.
    fn matches(&self, round: Round, attributes: &Attributes, objects: Objects<'_>) -> bool;

    /// What its fault means.
    fn failure_policy(&self) -> FailurePolicy;

    /// Whether it wants to be asked again where a later plugin changed the object.
    fn reinvoked(&self) -> bool;

    /// Role `mutating-admission`.
    async fn admit(
        &self,
        attributes: &Attributes,
        object: Option<&ObjectView<'_>>,
        old: Option<&ObjectView<'_>>,
    ) -> Result<Mutation, Fault>;

    /// Role `validating-admission`; `None`: admitted.
    async fn validate(
        &self,
        attributes: &Attributes,
        object: Option<&ObjectView<'_>>,
        old: Option<&ObjectView<'_>>,
    ) -> Result<Option<Denial>, Fault>;

    /// Is told that its answer was none: a patch that does not hold. To be counted like every other fault.
    fn faulted(&self, fault: &Fault);

    /// Is told that its fault was passed over.
    fn ignored(&self, fault: &Fault);
}

/// Admission plugins in the order in which they are asked.
pub struct AdmissionChain<P: ?Sized> {
    mutating: Vec<Arc<P>>,
    validating: Vec<Arc<P>>,
}

impl<P: AdmissionPlugin + ?Sized> AdmissionChain<P> {
    /// In the order of the lists.
    pub fn new(mutating: Vec<Arc<P>>, validating: Vec<Arc<P>>) -> Self {
        Self { mutating, validating }
    }

    /// Asks one mutating plugin and applies its patch. `true`: the object changed.
    async fn admit_one(
        plugin: &P,
        attributes: &Attributes,
        object: &mut Option<&mut Value>,
        old: Option<&ObjectView<'_>>,
    ) -> Result<bool, Status> {
        let answer = {
            let view = object.as_deref().map(ObjectView::new);
            plugin.admit(attributes, view.as_ref(), old).await
        };
        let fault = match answer {
            Ok(Mutation::Unchanged) => return Ok(false),
            Ok(Mutation::Denied(denial)) => return Err(refusal(denial, attributes, object.as_deref())),
            Ok(Mutation::Patch(patch)) => match object {
                Some(object) => match patch_object(object, patch, plugin.failure_policy()) {
                    Ok(changed) => return Ok(changed),
                    Err(why) => malformed(plugin, why),
                },
                None => malformed(plugin, "it answered a patch, and the request has no object".into()),
            },
            Err(fault) => fault,
        };
        failed(plugin, &fault).map(|()| false)
    }
}

#[async_trait]
impl<P: AdmissionPlugin + ?Sized> Admission for AdmissionChain<P> {
    async fn mutate(
        &self,
        attributes: &Attributes,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let old_view = old.map(ObjectView::new);
        let mut last_change = None;
        let mut asked = Vec::new();
        for (index, plugin) in self.mutating.iter().enumerate() {
            if !plugin.matches(Round::Mutating, attributes, Objects { object: object.as_deref(), old }) {
                continue;
            }
            if Self::admit_one(plugin, attributes, &mut object, old_view.as_ref()).await? {
                last_change = Some(index);
            }
            asked.push(index);
        }
        let Some(last_change) = last_change else { return Ok(()) };
        // Once and no more, as upstream: two plugins that undo each other must come to an end.
        for plugin in
            asked.into_iter().filter(|index| *index < last_change).map(|index| &self.mutating[index]).filter(|plugin| plugin.reinvoked())
        {
            Self::admit_one(plugin, attributes, &mut object, old_view.as_ref()).await?;
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes, objects: Objects<'_>) -> Result<(), Status> {
        let object = objects.object.map(ObjectView::new);
        let old = objects.old.map(ObjectView::new);
        for plugin in self.validating.iter().filter(|plugin| plugin.matches(Round::Validating, attributes, objects)) {
            match plugin.validate(attributes, object.as_ref(), old.as_ref()).await {
                Ok(None) => {}
                Ok(Some(denial)) => return Err(refusal(denial, attributes, objects.object)),
                Err(fault) => failed(&**plugin, &fault)?,
            }
        }
        Ok(())
    }
}

fn malformed<P: AdmissionPlugin + ?Sized>(plugin: &P, reason: String) -> Fault {
    let fault = Fault { plugin: plugin.name().to_owned(), reason };
    plugin.faulted(&fault);
    fault
}

fn failed<P: AdmissionPlugin + ?Sized>(plugin: &P, fault: &Fault) -> Result<(), Status> {
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

/// What identifies an object. A create with `generateName` has no name yet.
const IDENTITY: [&str; 5] = ["/metadata/name", "/apiVersion", "/kind", "/metadata/namespace", "/metadata/uid"];

/// Patches the object in place; whether that changed it. What identifies the object must stay.
///
/// A patch that does not hold ends the request, and the half patched object with it. Only where the request goes on all the same, because
/// the plugin's faults are passed over, the object has to be kept as it was.
fn patch_object(object: &mut Value, patch: Vec<Value>, policy: FailurePolicy) -> Result<bool, String> {
    let kept = (policy == FailurePolicy::Ignore).then(|| object.clone());
    let outcome = try_patch(object, patch);
    if let (Err(_), Some(kept)) = (&outcome, kept) {
        *object = kept;
    }
    outcome
}

fn try_patch(object: &mut Value, patch: Vec<Value>) -> Result<bool, String> {
    if patch.len() > json::JSON_PATCH_OPERATIONS_MAX {
        return Err(format!("its patch has {} operations, more than {}", patch.len(), json::JSON_PATCH_OPERATIONS_MAX));
    }
    let before = IDENTITY.map(|pointer| object.pointer(pointer).cloned());
    if !json::apply(object, patch).map_err(|error| format!("its patch does not apply: {error}"))? {
        return Ok(false);
    }
    if !object.get("metadata").is_none_or(Value::is_object) || !object.is_object() {
        return Err("its patch leaves no object with metadata".into());
    }
    let may_be_named = before[0].as_ref().and_then(Value::as_str).is_none_or(str::is_empty);
    for (pointer, before) in IDENTITY.iter().zip(&before).skip(usize::from(may_be_named)) {
        if object.pointer(pointer) != before.as_ref() {
            return Err(format!("its patch changes {pointer}"));
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
