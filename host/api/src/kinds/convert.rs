//! Conversion between the versions in which a kind is served and the one in which it is stored.
//!
//! Most kinds have one version, or versions of one shape, for which only the name of the version changes. The others, and
//! what upstream's conversion does to them: HorizontalPodAutoscaler (`autoscaling/v1` keeps what it has no fields for in
//! annotations) and Event (two groups, two sets of names). Nothing is lost on a round trip.

use std::fmt;
use std::sync::Arc;

use apimachinery::{GroupVersion, GroupVersionKind};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::Resource;

/// Whether objects of this resource are stored in another form than they are served in.
pub fn needs_conversion(resource: &Resource) -> bool {
    resource.gvk != resource.storage_gvk
}

/// Why an object cannot be had in another version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// There is no rule.
    #[error("converting ({from}) to ({to}): unknown conversion")]
    Unknown {
        /// What the object is.
        from: String,
        /// What it was to become.
        to: String,
    },
    /// Who converts objects of the kind did not.
    #[error("{0}")]
    Failed(String),
}

/// Converts objects of one kind from any of its versions to another.
#[async_trait]
pub trait Converter: fmt::Debug + Send + Sync {
    /// The objects in the wanted version, in the same order and as many.
    ///
    /// # Errors
    /// One of them cannot be had in that version; none is given then.
    async fn convert(&self, objects: Vec<Value>, to: &GroupVersionKind) -> Result<Vec<Value>, ConversionError>;
}

/// How objects of a resource get from one of its versions to another.
#[derive(Clone, Debug, Default)]
pub enum Conversion {
    /// By the rules of [`convert`].
    #[default]
    BuiltIn,
    /// By somebody who is asked.
    Asked(Arc<dyn Converter>),
}

impl Conversion {
    /// The objects in the wanted version, in the same order.
    ///
    /// # Errors
    /// One of them cannot be had in that version.
    pub async fn convert(&self, objects: Vec<Value>, to: &GroupVersionKind) -> Result<Vec<Value>, ConversionError> {
        match self {
            Self::BuiltIn => objects.into_iter().map(|object| convert(object, to)).collect(),
            Self::Asked(converter) => {
                let count = objects.len();
                let converted = converter.convert(objects, to).await?;
                let is_wanted = |object: &Value| object["apiVersion"] == *to.api_version() && object["kind"] == *to.kind;
                if converted.len() != count || !converted.iter().all(is_wanted) {
                    return Err(ConversionError::Failed(format!("what was to be {to} came back as something else")));
                }
                Ok(converted)
            }
        }
    }
}

/// The object as another version of its kind has it. Versions of one shape differ in their name alone.
///
/// # Errors
/// It is of another kind, and there is no rule for it.
pub fn convert(mut object: Value, to: &GroupVersionKind) -> Result<Value, ConversionError> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (from, kind) = (GroupVersion::parse(text("apiVersion")), text("kind"));
    let unknown = || ConversionError::Unknown { from: format!("{}, Kind={kind}", text("apiVersion")), to: to.to_string() };
    let from = from.ok_or_else(unknown)?;
    if kind != to.kind {
        return Err(unknown());
    }
    let conversions = super::find(&to.group, &to.kind).conversions;
    if let Some(known) = conversions.iter().find(|known| known.from == (&*from.group, &*from.version) && known.to == to.version) {
        (known.convert)(&mut object);
    } else if from.group != to.group {
        return Err(unknown());
    }
    Ok(named(object, to))
}

fn named(mut object: Value, to: &GroupVersionKind) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(to.api_version()));
        fields.insert("kind".to_owned(), json!(to.kind));
    }
    object
}
