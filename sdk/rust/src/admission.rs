//! Roles `mutating-admission` and `validating-admission`: whether an object is admitted, and how it is changed first.

use std::cell::{OnceCell, RefCell};
use std::ops::Deref;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
#[cfg(not(target_arch = "wasm32"))]
use serde_json::json;

use crate::changes::GroupResource;
use crate::json::Json;
use crate::lookup::LookupError;
use crate::patch::Patch;
use crate::status::Status;
use crate::user::UserInfo;

/// What is done to the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Operation {
    #[default]
    Create,
    Update,
    Delete,
    Connect,
}

/// `apps/v1`, `Deployment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "upstream's words")]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// `apps/v1`, `deployments`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "upstream's words")]
pub struct GroupVersionResource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

/// What a request does.
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
    /// Nothing will be stored.
    pub dry_run: bool,
}

impl Operation {
    /// `CREATE`, as in an AdmissionReview.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
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

/// Where the object stands in a request.
#[cfg(target_arch = "wasm32")]
const OBJECT: &str = "/object";
/// Where the one that it replaces stands.
#[cfg(target_arch = "wasm32")]
const OLD_OBJECT: &str = "/oldObject";

enum Source<'a> {
    #[cfg(target_arch = "wasm32")]
    Host(&'a crate::glue::HostRequest, &'static str),
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "objects of tests"))]
    Value(&'a Value),
}

impl<'a> Object<'a> {
    #[cfg(target_arch = "wasm32")]
    fn hosted(handle: &'a crate::glue::HostRequest, part: &'static str) -> Option<Self> {
        // What an object has of this is nothing, or little: it is asked whether there is one.
        let there = handle.pick(part, &["kind".to_owned()]);
        there.ok().flatten().map(|_| Self { source: Source::Host(handle, part), whole: OnceCell::new() })
    }

    /// An object that is already here: for tests.
    pub fn of(value: &'a Value) -> Self {
        Self { source: Source::Value(value), whole: OnceCell::new() }
    }

    /// The value at a JSON Pointer (`/spec/containers/0/image`), or none. One field costs one field.
    pub fn get(&self, pointer: &str) -> Option<Value> {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle, part) => serde_json::from_str(&handle.get(&format!("{part}{pointer}")).ok()??).ok(),
            Source::Value(value) => value.pointer(pointer).cloned(),
        }
    }

    /// The text at a JSON Pointer; none where there is no value or it is no string.
    pub fn get_str(&self, pointer: &str) -> Option<String> {
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle, part) => handle.get_string(&format!("{part}{pointer}")).ok()?,
            Source::Value(value) => value.pointer(pointer)?.as_str().map(str::to_owned),
        }
    }

    /// The value at a JSON Pointer as a type of your own; none where it is not there.
    pub fn get_as<T: DeserializeOwned>(&self, pointer: &str) -> Option<Result<T, String>> {
        let named = |error: serde_json::Error| format!("{pointer}: {error}");
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle, part) => match handle.get(&format!("{part}{pointer}")) {
                Ok(found) => Some(serde_json::from_str(&found?).map_err(named)),
                Err(error) => Some(Err(error.message)),
            },
            Source::Value(value) => Some(T::deserialize(value.pointer(pointer)?).map_err(named)),
        }
    }

    /// The value at a JSON Pointer as a type of your own, of which the host hands over only these fields: `containers/*/volumeMounts`, where
    /// `*` stands for every item of a list. For a few fields of something large. In a unit test the value is not cut down.
    pub fn pick_as<T: DeserializeOwned>(&self, pointer: &str, fields: &[&str]) -> Option<Result<T, String>> {
        #[cfg(target_arch = "wasm32")]
        let named = |error: serde_json::Error| format!("{pointer}: {error}");
        match &self.source {
            #[cfg(target_arch = "wasm32")]
            Source::Host(handle, part) => {
                let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
                match handle.pick(&format!("{part}{pointer}"), &fields) {
                    Ok(found) => Some(serde_json::from_str(&found?).map_err(named)),
                    Err(error) => Some(Err(error.message)),
                }
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
            Source::Host(handle, part) => self.whole.get_or_init(|| {
                let text = if *part == OBJECT { handle.object() } else { handle.old() };
                serde_json::from_str(&text.unwrap_or_default()).unwrap_or(Value::Null)
            }),
            Source::Value(value) => {
                let _ = &self.whole;
                value
            }
        }
    }
}

/// What was said beside the answer, in a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Sent as Warning headers.
    pub warnings: Vec<String>,
    /// For the audit event, under the plugin's own name.
    pub audit_annotations: Vec<(String, String)>,
    /// What was charged, in order.
    pub charges: Vec<Charge>,
}

/// What a request takes of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// The object's resource: one of the manifest's `charges`.
    pub resource: GroupResource,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// How much of what: `pods` and `1`, `requests.cpu` and `500m`.
    pub amounts: Vec<(String, String)>,
}

/// A request at admission: its attributes (it dereferences to them) and its objects, each asked for when first looked at, and what the
/// manifest's `input` hands over with the call.
pub struct Request<'a> {
    parts: Parts<'a>,
    attributes: OnceCell<Attributes>,
    user: OnceCell<UserInfo>,
    object: OnceCell<Option<Object<'a>>>,
    old: OnceCell<Option<Object<'a>>>,
    /// What came with the call; in a test, all there is.
    input: OnceCell<Vec<u8>>,
    notes: RefCell<Notes>,
}

/// Where what is not known yet comes from.
enum Parts<'a> {
    #[cfg(target_arch = "wasm32")]
    Host(&'a crate::glue::HostRequest),
    /// A test's: everything is there already.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "requests of tests"))]
    Given { lookups: serde_json::Map<String, Value>, lifetime: std::marker::PhantomData<&'a ()> },
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self::new(Attributes::default(), None, None)
    }
}

impl<'a> Request<'a> {
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn hosted(handle: &'a crate::glue::HostRequest, input: Vec<u8>) -> Self {
        Self {
            parts: Parts::Host(handle),
            attributes: OnceCell::new(),
            user: OnceCell::new(),
            object: OnceCell::new(),
            old: OnceCell::new(),
            input: OnceCell::from(input),
            notes: RefCell::default(),
        }
    }

    /// Of these parts, by nobody: for tests.
    pub fn new(attributes: Attributes, object: Option<Object<'a>>, old: Option<Object<'a>>) -> Self {
        Self {
            parts: Parts::Given { lookups: serde_json::Map::new(), lifetime: std::marker::PhantomData },
            attributes: OnceCell::from(attributes),
            user: OnceCell::from(UserInfo::default()),
            object: OnceCell::from(object),
            old: OnceCell::from(old),
            input: OnceCell::new(),
            notes: RefCell::default(),
        }
    }

    /// Sent by this user: for tests.
    #[must_use]
    pub fn by(mut self, user: UserInfo) -> Self {
        self.user = OnceCell::from(user);
        self
    }

    /// With this object as what one of the manifest's `lookups` found: for tests.
    #[must_use]
    pub fn with_lookup(mut self, name: &str, found: Value) -> Self {
        match &mut self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(_) => {}
            Parts::Given { lookups, .. } => {
                lookups.insert(name.to_owned(), found);
            }
        }
        self
    }

    /// Who sent it; whom they speak for, where they impersonate somebody.
    pub fn user(&self) -> &UserInfo {
        self.user.get_or_init(|| match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => handle.user().map(crate::glue::user_in).unwrap_or_default(),
            Parts::Given { .. } => UserInfo::default(),
        })
    }

    /// What the manifest's `input` and `lookups` hand over with the call, as a type of your own: `{"operation": "CREATE", "object": {…},
    /// "lookups": {…}}`, in the words of upstream's AdmissionReview. Without a look-up of the host. In a test it is all of the request.
    pub fn input<'s, T: Deserialize<'s>>(&'s self) -> Result<T, Denial> {
        #[cfg(target_arch = "wasm32")]
        let input = self.input.get().map(Vec::as_slice).unwrap_or_default();
        #[cfg(not(target_arch = "wasm32"))]
        let input = self.input.get_or_init(|| self.document().to_string().into_bytes());
        serde_json::from_slice(input).map_err(|error| Status::internal(&format!("the plugin's input: {error}")).into())
    }

    /// The whole of what a test gave.
    #[cfg(not(target_arch = "wasm32"))]
    fn document(&self) -> Value {
        let attributes = &**self;
        let mut document = json!({
            "operation": attributes.operation.as_str(),
            "kind": {"group": attributes.kind.group, "version": attributes.kind.version, "kind": attributes.kind.kind},
            "resource": {
                "group": attributes.resource.group, "version": attributes.resource.version, "resource": attributes.resource.resource,
            },
            "subResource": attributes.subresource, "namespace": attributes.namespace, "name": attributes.name,
            "dryRun": attributes.dry_run,
            "userInfo": {
                "username": self.user().name, "uid": self.user().uid, "groups": self.user().groups, "extra": self.user().extra,
            },
        });
        for (part, object) in [("object", self.object()), ("oldObject", self.old())] {
            if let Some(object) = object {
                document[part] = object.value().clone();
            }
        }
        let Parts::Given { lookups, .. } = &self.parts;
        document["lookups"] = Value::Object(lookups.clone());
        document
    }

    /// As it would be stored; none on delete.
    pub fn object(&self) -> Option<&Object<'a>> {
        let object = self.object.get_or_init(|| match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => Object::hosted(handle, OBJECT),
            Parts::Given { .. } => None,
        });
        object.as_ref()
    }

    /// As it is stored; none on create.
    pub fn old(&self) -> Option<&Object<'a>> {
        let old = self.old.get_or_init(|| match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => Object::hosted(handle, OLD_OBJECT),
            Parts::Given { .. } => None,
        });
        old.as_ref()
    }

    /// What the client asked for, where the attributes speak of another version of it (`matchPolicy: Equivalent`).
    pub fn requested(&self) -> (GroupVersionKind, GroupVersionResource) {
        match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => match handle.requested() {
                Some(asked) => (crate::glue::kind_in(asked.kind), crate::glue::resource_in(asked.resource)),
                None => Default::default(),
            },
            Parts::Given { .. } => (self.kind.clone(), self.resource.clone()),
        }
    }

    /// CreateOptions, UpdateOptions, PatchOptions or DeleteOptions.
    pub fn options(&self) -> Option<Json> {
        match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => handle.options().map(crate::glue::json_in),
            Parts::Given { .. } => None,
        }
    }

    /// The client gets this as a Warning header, whatever is decided.
    pub fn warn(&self, message: impl Into<String>) {
        match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => handle.warn(&message.into()),
            Parts::Given { .. } => self.notes.borrow_mut().warnings.push(message.into()),
        }
    }

    /// The audit event gets this, under the plugin's own name.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => handle.annotate(&key.into(), &value.into()),
            Parts::Given { .. } => self.notes.borrow_mut().audit_annotations.push((key.into(), value.into())),
        }
    }

    /// Takes something of what an object limits: it is added to the object's `status.used` in the transaction that stores the request's
    /// object, and refused where that would be more than its `status.hard`. Nothing comes of it where the request is refused.
    ///
    /// # Errors
    /// The manifest's `charges` does not name the resource, or an amount is none. In a test, never.
    pub fn charge(&self, charge: Charge) -> Result<(), LookupError> {
        match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => crate::glue::charge(handle, charge),
            Parts::Given { .. } => {
                self.notes.borrow_mut().charges.push(charge);
                Ok(())
            }
        }
    }

    /// What was noted so far, in a test.
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
        self.attributes.get_or_init(|| match &self.parts {
            #[cfg(target_arch = "wasm32")]
            Parts::Host(handle) => crate::glue::attributes_in(handle, self.input.get().map(Vec::as_slice).unwrap_or_default()),
            Parts::Given { .. } => Attributes::default(),
        })
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
