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

/// A subresource with a kind of its own, as `Scale`, which stands for `spec.replicas` of a Deployment: clients and admission see that kind,
/// and not the stored one.
pub trait Subresource: Send + Sync {
    /// What is shown of an object.
    ///
    /// # Errors
    /// The object has a form that cannot be shown.
    fn of(&self, object: &Value) -> Result<Value, Status>;
    /// Puts what was shown, changed, back into the object.
    fn put(&self, part: &Value, object: &mut Value);
}
