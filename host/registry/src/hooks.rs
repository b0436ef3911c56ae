//! What a few kinds need beyond a pure strategy: something of the cluster's must be taken or given back with the object.

use admission::Charges;
use apimachinery::Status;
use async_trait::async_trait;
use serde_json::Value;
use storage::Operation;

use crate::range_change::RangeChange;
use crate::{Registry, Request};

/// What is committed with an object, or not at all.
#[derive(Debug, Default)]
pub struct Also {
    /// Other keys that are written, with their guards.
    pub operations: Vec<Operation>,
    /// Numbers of a range that are taken and given back.
    pub range: Option<RangeChange>,
    /// What is added to objects that limit it.
    pub charges: Charges,
}

/// Called between preparation and validation, as upstream's `BeginCreate` and `BeginUpdate`: the object may still be invalid. What is
/// returned is committed with the object, or not at all; a guard that does not hold there leads to another call.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Whether writes of the resource are given something of the cluster's (addresses, ports): a create that loses the race for it is
    /// tried again.
    fn allocates(&self, request: &Request) -> bool;

    /// Before an object is created (`old` is none) or changed: may set fields that only the cluster knows (`spec.clusterIP`),
    /// and take what they stand for.
    async fn before_write(&self, registry: &Registry, request: &Request, object: &mut Value, old: Option<&Value>) -> Result<Also, Status>;

    /// Before an object goes: gives back what it held.
    async fn before_remove(&self, registry: &Registry, request: &Request, object: &Value) -> Result<Also, Status>;
}

/// For registries without Services: no kind takes or gives back anything.
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    fn allocates(&self, _: &Request) -> bool {
        false
    }

    async fn before_write(&self, _: &Registry, _: &Request, _: &mut Value, _: Option<&Value>) -> Result<Also, Status> {
        Ok(Also::default())
    }

    async fn before_remove(&self, _: &Registry, _: &Request, _: &Value) -> Result<Also, Status> {
        Ok(Also::default())
    }
}
