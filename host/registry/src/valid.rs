//! What may be stored.

use api::kinds::strategy;
use apimachinery::{Status, object};
use serde_json::Value;

use crate::Request;
use crate::create::group_kind;

/// An object that nothing is wrong with: it has the form of its kind and its defaults, from decoding and again from every mutation
/// by admission, and its kind's validation found no fault. Only such an object is committed.
pub(crate) struct Valid(Value);

impl Valid {
    /// A new object.
    ///
    /// # Errors
    /// 422 with everything that is wrong with it.
    pub(crate) fn created(request: &Request, object: Value) -> Result<Self, Status> {
        let errors = strategy(&request.resource).validate(&request.requested, &object);
        if errors.is_empty() { Ok(Self(object)) } else { Err(Status::invalid(&group_kind(request), object::name(&object), &errors)) }
    }

    /// A changed object; `subresource` is empty where the kind judges it as a whole.
    ///
    /// # Errors
    /// 422 with everything that is wrong with it.
    pub(crate) fn updated(request: &Request, subresource: &str, object: Value, old: &Value) -> Result<Self, Status> {
        let strategy = strategy(&request.resource);
        let errors = match subresource {
            "" => strategy.validate_update(&request.requested, &object, old),
            subresource => strategy.validate_subresource_update(&request.requested, subresource, &object, old),
        };
        if errors.is_empty() { Ok(Self(object)) } else { Err(Status::invalid(&group_kind(request), &request.name, &errors)) }
    }

    /// A valid object in which the server itself changed something that it alone decides: a mark of deletion, a pod's node.
    pub(crate) fn changed_by_server(object: Value) -> Self {
        Self(object)
    }

    /// The object.
    pub(crate) fn object(&self) -> &Value {
        &self.0
    }

    /// The version that it is based on; empty: none. The store gives it the next one.
    pub(crate) fn set_resource_version(&mut self, version: &str) {
        if version.is_empty() {
            object::metadata_mut(&mut self.0).remove("resourceVersion");
        } else {
            object::set_meta_str(&mut self.0, "resourceVersion", version);
        }
    }

    /// The object, to be changed: it is no longer known to be valid.
    pub(crate) fn into_object(self) -> Value {
        self.0
    }
}
