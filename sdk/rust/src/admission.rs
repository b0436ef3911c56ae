//! Roles `mutating-admission` and `validating-admission`: whether an object is admitted, and how it is changed first.

use std::cell::{OnceCell, RefCell};
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::Json;
use crate::patch::Patch;
use crate::status::Status;
use crate::user::UserInfo;

/// What is done to the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Operation {
    #[default]
    Create,
    Update,
    Delete,
    Connect,
}

/// `apps/v1`, `Deployment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// `apps/v1`, `deployments`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub struct GroupVersionResource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

/// What a plugin is told of a request, but for the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// What.
    pub operation: Operation,
    /// The kind of the objects, in the version in which the plugin is shown them.
    pub kind: GroupVersionKind,
    /// The resource of that version.
    pub resource: GroupVersionResource,
    /// `status`; empty for the resource itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty on a create with `generateName`.
    pub name: String,
    /// Who.
    pub user: UserInfo,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions, PatchOptions or DeleteOptions.
    pub options: Option<Json>,
}

impl Attributes {
    /// Whether it is about this resource itself.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.resource.group == group && self.resource.resource == resource && self.subresource.is_empty()
    }
}

/// An object of a request. It stays with the host until somebody asks: for one field, or for all of it.
pub struct Object<'a> {
    source: Source<'a>,
    whole: OnceCell<Value>,
}

enum Source<'a> {
    #[cfg(target_arch = "wasm32")]
    Host(&'a crate::bindings::imports::wasmgate::plugin::objects::Object),
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "objects of tests"))]
    Value(&'a Value),
}

impl<'a> Object<'a> {
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn hosted(handle: &'a crate::bindings::imports::wasmgate::plugin::objects::Object) -> Self {
        Self { source: Source::Host(handle), whole: OnceCell::new() }
    }

    /// An object that is already here: for tests.
    pub fn of(value: &'a Value) -> Self {
        Self { source: Source::Value(value), whole: OnceCell::new() }
    }

    /// The value at a JSON Pointer (`/spec/containers/0/image`), or none. One field costs one field.
    pub fn get(&self, pointer: &str) -> Option<Value> {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle) => serde_json::from_slice(&handle.get(pointer)?).ok(),
            Source::Value(value) => value.pointer(pointer).cloned(),
        }
    }

    /// The text at a JSON Pointer; none where there is no value or it is no string.
    pub fn get_str(&self, pointer: &str) -> Option<String> {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle) => handle.get_string(pointer),
            Source::Value(value) => value.pointer(pointer)?.as_str().map(str::to_owned),
        }
    }

    /// The value at a JSON Pointer as a type of your own; none where it is not there.
    pub fn get_as<T: DeserializeOwned>(&self, pointer: &str) -> Option<Result<T, String>> {
        let named = |error: serde_json::Error| format!("{pointer}: {error}");
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle) => Some(serde_json::from_slice(&handle.get(pointer)?).map_err(named)),
            Source::Value(value) => Some(T::deserialize(value.pointer(pointer)?).map_err(named)),
        }
    }

    /// The value at a JSON Pointer as a type of your own, of which the host hands over only these fields: `containers/*/volumeMounts`, where
    /// `*` stands for every item of a list. For a few fields of something large. In a unit test the value is not cut down.
    pub fn pick_as<T: DeserializeOwned>(&self, pointer: &str, fields: &[&str]) -> Option<Result<T, String>> {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle) => {
                let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
                Some(serde_json::from_slice(&handle.pick(pointer, &fields)?).map_err(|error| format!("{pointer}: {error}")))
            }
            Source::Value(_) => {
                let _ = fields;
                self.get_as(pointer)
            }
        }
    }

    /// The whole object, parsed once.
    pub fn value(&self) -> &Value {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle) => self.whole.get_or_init(|| serde_json::from_slice(&handle.bytes()).unwrap_or(Value::Null)),
            Source::Value(value) => {
                let _ = &self.whole;
                value
            }
        }
    }
}

/// What goes with every answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Sent as Warning headers.
    pub warnings: Vec<String>,
    /// For the audit event, under the plugin's own name.
    pub audit_annotations: Vec<(String, String)>,
}

/// A request at admission: its attributes (it dereferences to them), its objects, and the notes that go back with the answer.
#[derive(Default)]
pub struct Request<'a> {
    attributes: Attributes,
    object: Option<Object<'a>>,
    old: Option<Object<'a>>,
    notes: RefCell<Notes>,
}

impl<'a> Request<'a> {
    /// Of these parts.
    pub fn new(attributes: Attributes, object: Option<Object<'a>>, old: Option<Object<'a>>) -> Self {
        Self { attributes, object, old, notes: RefCell::default() }
    }

    /// As it would be stored; none on delete.
    pub fn object(&self) -> Option<&Object<'a>> {
        self.object.as_ref()
    }

    /// As it is stored; none on create.
    pub fn old(&self) -> Option<&Object<'a>> {
        self.old.as_ref()
    }

    /// What the client asked for, where the attributes speak of another version of it (`matchPolicy: Equivalent`).
    pub fn requested(&self) -> (GroupVersionKind, GroupVersionResource) {
        #[cfg(target_arch = "wasm32")]
        {
            let asked = crate::bindings::imports::wasmgate::plugin::admission_types::requested();
            let (kind, resource) = (asked.kind, asked.resource);
            (
                GroupVersionKind { group: kind.group, version: kind.version, kind: kind.kind },
                GroupVersionResource { group: resource.group, version: resource.version, resource: resource.resource },
            )
        }
        #[cfg(not(target_arch = "wasm32"))]
        (self.kind.clone(), self.resource.clone())
    }

    /// The client gets this as a Warning header, whatever is decided.
    pub fn warn(&self, message: impl Into<String>) {
        self.notes.borrow_mut().warnings.push(message.into());
    }

    /// The audit event gets this, under the plugin's own name.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        self.notes.borrow_mut().audit_annotations.push((key.into(), value.into()));
    }

    /// What was noted so far.
    pub fn notes(&self) -> Notes {
        self.notes.borrow().clone()
    }

    /// `<resource> "<name>" is forbidden: <message>`, for refusals that also carry causes; else [`deny_forbidden`] is enough.
    pub fn forbidden(&self, message: &str) -> Status {
        Status::forbidden(&self.resource.group, &self.resource.resource, &self.object_name(), message)
    }

    /// Whether an update touches nothing but what the garbage collector needs: owners and finalizers. Who may do that need not be able to
    /// do what the object itself stands for.
    pub fn changes_only_owners(&self) -> bool {
        let (Some(object), Some(old)) = (self.object(), self.old()) else { return false };
        let without_owners = |object: &Object| {
            let mut value = object.value().clone();
            if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.retain(|field, _| !["ownerReferences", "finalizers", "managedFields", "selfLink"].contains(&field.as_str()));
            }
            value
        };
        is_same(&without_owners(object), &without_owners(old))
    }

    /// The name that a refusal gives: the object's, its `generateName` before it has one, or `Unknown!`.
    pub fn object_name(&self) -> String {
        let of_object = |pointer| self.object().and_then(|object| object.get_str(pointer)).filter(|name| !name.is_empty());
        if !self.name.is_empty() {
            return self.name.clone();
        }
        of_object("/metadata/name").or_else(|| of_object("/metadata/generateName")).unwrap_or_else(|| "Unknown!".to_owned())
    }
}

/// Whether two objects say the same: an empty list or map is none.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.keys().chain(b.keys()).all(|key| is_same(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (a, b) => a == b || (is_empty(a) && is_empty(b)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Deref for Request<'_> {
    type Target = Attributes;

    fn deref(&self) -> &Attributes {
        &self.attributes
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub enum Denial {
    /// 403: `pods "x" is forbidden: <message>`.
    Forbidden(String),
    /// A whole `Status`, with its code.
    Status(Status),
}

impl From<Status> for Denial {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// 403: `pods "x" is forbidden: <message>`.
pub fn deny_forbidden(message: impl Into<String>) -> Denial {
    Denial::Forbidden(message.into())
}

/// Role `mutating-admission`: may change the object.
pub trait MutatingAdmission: crate::Plugin {
    /// Admits it with these changes (none: an empty patch), or refuses it.
    fn admit(&self, request: &Request) -> Result<Patch, Denial>;
}

/// Role `validating-admission`: says yes or no.
pub trait ValidatingAdmission: crate::Plugin {
    /// Admits it, or refuses it.
    fn validate(&self, request: &Request) -> Result<(), Denial>;
}
