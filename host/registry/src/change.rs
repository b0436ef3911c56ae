//! What a client makes of an object, and the parts of objects that stand for themselves.

use apimachinery::Status;
use async_trait::async_trait;
use serde_json::Value;

/// Makes the new object from the one that is stored (none: there is none). May run several times: whenever somebody else was faster.
///
/// The object is decoded and defaulted, in the version that is stored, and so is what is returned.
#[async_trait]
pub trait Change: Send + Sync {
    /// The object as it shall be.
    ///
    /// # Errors
    /// What the client is answered; nothing is written then.
    async fn apply(&self, old: Option<&Value>) -> Result<Value, Status>;
}

/// A change that has nothing to wait for.
#[async_trait]
impl<F: Fn(Option<&Value>) -> Result<Value, Status> + Send + Sync> Change for F {
    async fn apply(&self, old: Option<&Value>) -> Result<Value, Status> {
        self(old)
    }
}

/// A kind that stands for a part of the stored one, as `Scale` for `spec.replicas`: what clients and admission are shown of it.
pub trait Facet: Send + Sync {
    /// What is shown of an object.
    ///
    /// # Errors
    /// The object has a form that cannot be shown.
    fn of(&self, object: &Value) -> Result<Value, Status>;
    /// Puts what was shown, changed, back into the object.
    fn put(&self, facet: &Value, object: &mut Value);
}
