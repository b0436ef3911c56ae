//! The shape of a kind: which fields it has, their types, how lists merge, what is defaulted.
//!
//! Built-in kinds' schemas are statics that the build generates; a custom resource's are made at run time. Strict
//! decoding, strategic merge patch and server-side apply are written once, over this.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use crate::group_version::Text;
use crate::message::Message;

/// A schema by reference: static for a built-in kind, shared for a custom one.
#[derive(Clone, Debug)]
pub enum SchemaRef {
    /// Generated at build time.
    Static(&'static Schema),
    /// Made from a CustomResourceDefinition.
    Shared(Arc<Schema>),
}

impl Deref for SchemaRef {
    type Target = Schema;

    fn deref(&self) -> &Schema {
        match self {
            Self::Static(schema) => schema,
            Self::Shared(schema) => schema,
        }
    }
}

/// An object type. Fields are sorted by name, so that [`Schema::field`] is a binary search.
#[derive(Debug)]
pub struct Schema {
    /// The definition's name, for example `io.k8s.api.core.v1.PodSpec`.
    pub name: Text,
    /// Its fields, sorted by name.
    pub fields: Cow<'static, [Field]>,
    /// `x-kubernetes-map-type: atomic`: apply and patch replace the whole.
    pub atomic: bool,
    /// Unknown fields are kept (`RawExtension`, `FieldsV1`, `x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// How it is written in protobuf; `None` where it cannot be: custom resources.
    pub message: Option<&'static Message>,
}

impl Schema {
    /// The field of that name, exactly.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| (*field.name).cmp(name)).ok().map(|i| &self.fields[i])
    }

    /// The type's name in Go's messages: `v1.DeploymentSpec` of `io.k8s.api.apps.v1.DeploymentSpec`.
    pub fn go_type(&self) -> String {
        let mut parts = self.name.rsplitn(3, '.');
        match (parts.next(), parts.next()) {
            (Some(name), Some(package)) => format!("{package}.{name}"),
            _ => self.name.to_string(),
        }
    }
}

/// A field of an object type.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its JSON name.
    pub name: Text,
    /// Its type.
    pub kind: FieldType,
    /// The definition lists it as required.
    pub required: bool,
    /// For lists: how server-side apply merges them.
    pub list_type: ListType,
    /// `x-kubernetes-list-map-keys`.
    pub list_map_keys: Cow<'static, [Text]>,
    /// `x-kubernetes-patch-merge-key`: the key of a strategic merge.
    pub patch_merge_key: Option<Text>,
    /// `x-kubernetes-patch-strategy` contains `merge`.
    pub patch_merge: bool,
    /// `x-kubernetes-patch-strategy` is `replace`: a strategic merge puts the patch's object in the place of the old.
    pub patch_replace: bool,
    /// `x-kubernetes-patch-strategy` contains `retainKeys`.
    pub patch_retain_keys: bool,
    /// `x-kubernetes-map-type: atomic` on the field itself.
    pub atomic: bool,
    /// The schema's default, as JSON text.
    pub default: Option<Text>,
}

impl Field {
    /// A field that is a name and a type, and nothing besides.
    pub const fn of(name: &'static str, kind: FieldType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            required: false,
            list_type: ListType::Atomic,
            list_map_keys: Cow::Borrowed(&[]),
            patch_merge_key: None,
            patch_merge: false,
            patch_replace: false,
            patch_retain_keys: false,
            atomic: false,
            default: None,
        }
    }
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ListType {
    /// Replaced as a whole; also what a list without the mark is.
    #[default]
    Atomic,
    /// A set of scalars.
    Set,
    /// Items are told apart by [`Field::list_map_keys`].
    Map,
}

/// The type of a value.
#[derive(Debug, Clone)]
pub enum FieldType {
    /// Any JSON (`JSON`, `JSONSchemaProps` extensions, raw objects).
    Any,
    /// `boolean`
    Bool,
    /// `integer`, 32 bits.
    Int32,
    /// `integer`, 64 bits.
    Int64,
    /// `number`
    Float,
    /// `string`
    String,
    /// `string`, base64 (`format: byte`).
    Bytes,
    /// `metav1.Time`: RFC 3339, whole seconds.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    /// `metav1.Duration`: Go's duration text.
    Duration,
    /// A Kubernetes quantity: a string or a number.
    Quantity,
    /// A number or a string.
    IntOrString,
    /// A list.
    List(&'static FieldType),
    /// A map with string keys.
    Map(&'static FieldType),
    /// An object.
    Object(SchemaRef),
    /// A list made at run time.
    SharedList(Arc<FieldType>),
    /// A map made at run time.
    SharedMap(Arc<FieldType>),
}

impl FieldType {
    /// The items' type, of a list.
    pub fn items(&self) -> Option<&FieldType> {
        match self {
            Self::List(items) => Some(items),
            Self::SharedList(items) => Some(items),
            _ => None,
        }
    }

    /// The values' type, of a map.
    pub fn values(&self) -> Option<&FieldType> {
        match self {
            Self::Map(values) => Some(values),
            Self::SharedMap(values) => Some(values),
            _ => None,
        }
    }
}
