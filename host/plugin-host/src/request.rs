//! What a call is about: the host's side of the WIT resource `request`.
//!
//! A guest sees a request as a handle, which it may drop when it likes; the host keeps a pointer to what the call is about for as long as
//! the call runs. Copying it into the store instead would cost every plugin what only few need.
//!
//! A request is one JSON document, in the words of upstream's `AdmissionReview`, `SubjectAccessReview` and `TokenReview`. Nothing of it is
//! made before somebody asks; `wit/README.md` has the fields.

use std::ptr::NonNull;

use admission::Version;
use apimachinery::object::find;
use auth::{AskedFor, Credentials, SelectorRequirement, UserInfo};
use serde::Serialize;
use serde_json::{Value, json};

use crate::lookup::{LookupError, LookupFailure};
use crate::projection::{Fields, whole};

/// The host's type of the WIT resource: only ever a number, see [`BorrowedRequest`].
pub enum RequestHandle {}

/// What a call is about.
pub(crate) enum Subject<'a> {
    /// Who shows these; what the manifest does not ask for is left out.
    Authentication(&'a Credentials),
    /// Who wants this.
    Authorization(&'a auth::Attributes),
    /// What is to be admitted, in the version that the plugin selects.
    Admission(&'a admission::Attributes, Version<'a>),
}

/// The request that the running call is about: borrowed, so that calls copy nothing.
#[derive(Default)]
pub(crate) struct BorrowedRequest(Option<NonNull<Subject<'static>>>);

// SAFETY: the pointer is only ever read as `&Subject`, which is `Sync`.
unsafe impl Send for BorrowedRequest {}
// SAFETY: as above; nothing is reachable through `&BorrowedRequest` but through `get`.
unsafe impl Sync for BorrowedRequest {}

impl BorrowedRequest {
    /// Lends a request.
    ///
    /// # Safety
    /// The guest must not run after the borrow has ended without [`Self::end`] before it: the caller runs the guest
    /// inside a future that holds the borrow, calls `end` when the call returns, and drops the store where the future
    /// is dropped before.
    pub(crate) unsafe fn begin(&mut self, subject: &Subject<'_>) {
        self.0 = Some(NonNull::from(subject).cast());
    }

    /// Takes the request back: handles are dead from here on.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// The request of the running call, if it has one.
    pub(crate) fn get(&self) -> Option<&Subject<'_>> {
        // SAFETY: between `begin` and `end` the borrow that the pointer came from is alive.
        self.0.map(|pointer| unsafe { pointer.as_ref() })
    }
}

/// A part of a request's document.
pub(crate) enum Part<'a> {
    Borrowed(&'a Value),
    Owned(Value),
}

impl Part<'_> {
    fn value(&self) -> &Value {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => value,
        }
    }
}

/// The fields of the document that some role has.
pub(crate) const PARTS: [&str; 28] = [
    "auditID",
    "operation",
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "name",
    "namespace",
    "userInfo",
    "originalUser",
    "dryRun",
    "options",
    "object",
    "oldObject",
    "namespaceObject",
    "lookups",
    "user",
    "uid",
    "groups",
    "extra",
    "resourceAttributes",
    "nonResourceAttributes",
    "token",
    "audiences",
    "certificate",
    "params",
    "connect",
];

#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    extra: &'a std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct ResourceAttributes<'a> {
    namespace: &'a str,
    verb: &'a str,
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    name: &'a str,
    #[serde(rename = "fieldSelector", skip_serializing_if = "Selector::is_empty")]
    field_selector: Selector<'a>,
    #[serde(rename = "labelSelector", skip_serializing_if = "Selector::is_empty")]
    label_selector: Selector<'a>,
}

#[derive(Serialize)]
struct Selector<'a> {
    requirements: Vec<Requirement<'a>>,
}

#[derive(Serialize)]
struct Requirement<'a> {
    key: &'a str,
    operator: &'a str,
    values: &'a [String],
}

impl<'a> Selector<'a> {
    fn of(list: &'a [SelectorRequirement]) -> Self {
        let requirement = |item: &'a SelectorRequirement| Requirement { key: &item.key, operator: &item.operator, values: &item.values };
        Self { requirements: list.iter().map(requirement).collect() }
    }

    fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

#[derive(Serialize)]
struct NonResourceAttributes<'a> {
    path: &'a str,
    verb: &'a str,
}

fn user(user: &UserInfo) -> User<'_> {
    User { username: &user.name, uid: &user.uid, groups: &user.groups, extra: &user.extra }
}

impl<'a> ResourceAttributes<'a> {
    fn of(attributes: &'a auth::Attributes) -> Self {
        Self {
            namespace: &attributes.namespace,
            verb: &attributes.verb,
            group: &attributes.api_group,
            version: &attributes.api_version,
            resource: &attributes.resource,
            subresource: &attributes.subresource,
            name: &attributes.name,
            field_selector: Selector::of(&attributes.field_selector),
            label_selector: Selector::of(&attributes.label_selector),
        }
    }
}

/// Writes a part as JSON, where the request has it.
struct Writer<'a> {
    fields: &'a Fields,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn part(&mut self, value: &(impl Serialize + ?Sized)) -> bool {
        if self.fields.is_whole() {
            whole(value, self.out);
        } else {
            self.value(&json!(value));
        }
        true
    }

    fn some(&mut self, value: Option<&(impl Serialize + ?Sized)>) -> bool {
        value.is_some_and(|value| self.part(value))
    }

    fn value(&mut self, value: &Value) {
        self.fields.write(value, self.out);
    }
}

impl Subject<'_> {
    /// The request that the question belongs to.
    pub(crate) fn asked_for(&self) -> AskedFor {
        match self {
            Self::Authentication(credentials) => credentials.asked_for.clone(),
            Self::Authorization(attributes) => attributes.asked_for.clone(),
            Self::Admission(attributes, _) => attributes.context.asking(),
        }
    }

    /// Who sent it.
    pub(crate) fn user(&self) -> Option<&UserInfo> {
        match self {
            Self::Authentication(_) => None,
            Self::Authorization(attributes) => Some(&attributes.user),
            Self::Admission(attributes, _) => Some(&attributes.context.user),
        }
    }

    /// Writes a part of the document, cut down to these fields. False, and nothing written, where the request has no such part.
    pub(crate) fn write(&self, part: &str, fields: &Fields, out: &mut Vec<u8>) -> bool {
        let mut writer = Writer { fields, out };
        match self {
            Self::Authentication(credentials) => write_credentials(credentials, part, &mut writer),
            Self::Authorization(attributes) => write_authorization(attributes, part, &mut writer),
            Self::Admission(attributes, version) => write_admission(attributes, *version, part, &mut writer),
        }
    }

    /// A part of the document.
    pub(crate) fn part(&self, part: &str) -> Option<Part<'_>> {
        if let Self::Admission(_, version) = self {
            match part {
                "object" => return version.object.map(|object| Part::Borrowed(object.value())),
                "oldObject" => return version.old.map(|object| Part::Borrowed(object.value())),
                _ => {}
            }
        }
        let mut out = Vec::new();
        self.write(part, &Fields::default(), &mut out).then(|| Part::Owned(serde_json::from_slice(&out).unwrap_or_default()))
    }

    /// What is found at a pointer.
    pub(crate) fn at<R>(&self, pointer: &str, found: impl FnOnce(&Value) -> R) -> Option<R> {
        let rest = pointer.strip_prefix('/')?;
        let (part, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        find(self.part(part)?.value(), below).map(found)
    }

    /// The text at a pointer; empty where there is none.
    pub(crate) fn text_at(&self, pointer: &str) -> String {
        // The two that most look-ups are made of, without a detour by JSON.
        match (self, pointer) {
            (Self::Admission(attributes, _), "/namespace") => return attributes.namespace.clone(),
            (Self::Admission(attributes, _), "/name") => return attributes.name.clone(),
            _ => {}
        }
        self.at(pointer, |value| value.as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }
}

fn write_credentials(credentials: &Credentials, part: &str, writer: &mut Writer<'_>) -> bool {
    match part {
        "auditID" => writer.part(&*credentials.asked_for.id),
        "token" => writer.some(credentials.bearer_token.as_ref()),
        "audiences" => writer.part(&credentials.audiences),
        "certificate" => {
            let certificate = credentials.certificate.as_ref().map(|found| {
                json!({
                    "commonName": found.common_name, "organizations": found.organizations, "uid": found.uid, "sha256": found.sha256,
                    "chainError": found.chain_error,
                })
            });
            writer.some(certificate.as_ref())
        }
        _ => false,
    }
}

fn write_authorization(attributes: &auth::Attributes, part: &str, writer: &mut Writer<'_>) -> bool {
    match part {
        "auditID" => writer.part(&*attributes.asked_for.id),
        "user" => writer.part(&attributes.user.name),
        "uid" => writer.part(&attributes.user.uid),
        "groups" => writer.part(&attributes.user.groups),
        "extra" => writer.part(&attributes.user.extra),
        "userInfo" => writer.part(&user(&attributes.user)),
        "originalUser" => writer.some(attributes.asked_for.original_user.as_deref().map(user).as_ref()),
        "resourceAttributes" => attributes.resource_request && writer.part(&ResourceAttributes::of(attributes)),
        "nonResourceAttributes" => {
            !attributes.resource_request && writer.part(&NonResourceAttributes { path: &attributes.path, verb: &attributes.verb })
        }
        _ => false,
    }
}

fn write_admission(attributes: &admission::Attributes, version: Version<'_>, part: &str, writer: &mut Writer<'_>) -> bool {
    let kind = |kind: &apimachinery::GroupVersionKind, writer: &mut Writer<'_>| {
        writer.part(&Kind { group: &kind.group, version: &kind.version, kind: &kind.kind })
    };
    let resource = |resource: &apimachinery::GroupVersionResource, writer: &mut Writer<'_>| {
        writer.part(&Resource { group: &resource.group, version: &resource.version, resource: &resource.resource })
    };
    match part {
        "auditID" => writer.part(&*attributes.context.id),
        "operation" => writer.part(attributes.operation.as_str()),
        "kind" => kind(version.kind, writer),
        "resource" => resource(version.resource, writer),
        "subResource" => writer.part(&attributes.subresource),
        "requestKind" => kind(&attributes.kind, writer),
        "requestResource" => resource(&attributes.resource, writer),
        "name" => writer.part(&attributes.name),
        "namespace" => writer.part(&attributes.namespace),
        "userInfo" => writer.part(&user(&attributes.context.user)),
        "originalUser" => writer.some(attributes.context.original_user.as_deref().map(user).as_ref()),
        "dryRun" => writer.part(&attributes.dry_run),
        "options" => match &attributes.options {
            Some(options) => {
                writer.fields.cut(std::str::from_utf8(options).unwrap_or("null"), writer.out);
                true
            }
            None => false,
        },
        "object" => version.object.map(|object| writer.value(object.value())).is_some(),
        "oldObject" => version.old.map(|object| writer.value(object.value())).is_some(),
        "connect" if attributes.operation == admission::Operation::Connect => {
            version.object.map(|object| writer.value(object.value())).is_some()
        }
        _ => false,
    }
}

/// A pointer that is not too long.
pub(crate) fn checked(pointer: &str) -> Result<&str, LookupError> {
    if pointer.len() > crate::limits::POINTER_BYTES_MAX {
        let message = format!("a JSON Pointer has {} bytes, more than {}", pointer.len(), crate::limits::POINTER_BYTES_MAX);
        return Err(LookupError { reason: LookupFailure::TooLong, message });
    }
    Ok(pointer)
}
