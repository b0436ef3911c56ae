//! What a kind does differently from all others: defaults, what a client may not set, validation, deletion.
//!
//! The registry runs these in upstream's order: `default` (after decoding, before admission), `prepare_for_*`, `validate*`,
//! `canonicalize`. A kind without behaviour of its own uses [`Generic`].
//!
//! **Architecture invariant:** pure functions of the objects; no look-ups, no clock but the one handed in.

use std::time::Duration;

use apimachinery::field;
use serde_json::Value;

use super::action::Action;
use crate::Resource;

/// What deletion does with dependents where the request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum GarbageCollectionPolicy {
    Background,
    Orphan,
    /// Objects of the kind have no dependents and are none: they get no finalizers for it, and the garbage collector leaves them alone.
    Unsupported,
}

/// Finalizers of a kind's own, outside of `metadata`. Deletion marks such an object first, whatever else holds it, and removes it when
/// its own finalizers are gone (upstream: `pkg/registry/core/namespace/storage`).
#[derive(Debug)]
pub struct OwnFinalizers {
    /// Where they stand (JSON pointer).
    pub(crate) pointer: &'static str,
    /// What the mark changes besides `metadata`.
    pub(crate) mark: fn(&mut Value),
}

impl OwnFinalizers {
    /// Whether they hold the object still.
    pub fn hold(&self, object: &Value) -> bool {
        object.pointer(self.pointer).and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty())
    }

    /// Marks an object whose deletion begins, besides its `metadata`.
    pub fn mark(&self, object: &mut Value) {
        (self.mark)(object);
    }
}

/// What a kind may need to know of the request itself.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// Now, RFC 3339 in whole seconds.
    pub now: &'a str,
    /// The subresource that is updated.
    pub subresource: Option<&'a str>,
    /// Who asks.
    pub username: &'a str,
    /// The user's uid.
    pub uid: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
    /// The user's other attributes.
    pub extra: &'a [(String, Vec<String>)],
}

/// The behaviour of a kind. All objects are complete JSON objects of `resource`'s version, type-checked by the decoder; validation
/// alone is shown the stored version's object and the `resource` that was asked for, which a few rules tell apart.
pub trait Strategy: Sync + Send {
    /// Fills in what upstream's `SetDefaults_*` fill in. Idempotent. Runs on every decoded request body and on what is read
    /// from the store.
    fn default(&self, _resource: &Resource, _object: &mut Value) {}

    /// The part of `default` that is the kind's own. For an object that has the form of upstream's answers already.
    fn set_defaults(&self, _resource: &Resource, _object: &mut Value) {}

    /// Clears what a creator may not set (for most kinds `status`), sets `metadata.generation`.
    fn prepare_for_create(&self, _resource: &Resource, _object: &mut Value) {}

    /// Restores what an updater may not change (for most kinds `status`), bumps `metadata.generation`.
    fn prepare_for_update(&self, _resource: &Resource, _object: &mut Value, _old: &Value) {}

    /// The same for an update of a subresource (`status`, …).
    fn prepare_for_subresource_update(&self, _resource: &Resource, _subresource: &str, _object: &mut Value, _old: &Value) {}

    /// Fills in what only the request knows: who asks, and when. Runs right after `prepare_for_*` (`old` on update).
    fn stamp(&self, _resource: &Resource, _object: &mut Value, _old: Option<&Value>, _context: &Context<'_>) {}

    /// Everything wrong with a new object, `metadata` included.
    fn validate(&self, _resource: &Resource, _object: &Value) -> Vec<field::Error> {
        Vec::new()
    }

    /// Everything wrong with a change, `metadata` included.
    fn validate_update(&self, _resource: &Resource, _object: &Value, _old: &Value) -> Vec<field::Error> {
        Vec::new()
    }

    /// Everything wrong with a change of a subresource.
    fn validate_subresource_update(&self, _resource: &Resource, _subresource: &str, _object: &Value, _old: &Value) -> Vec<field::Error> {
        Vec::new()
    }

    /// Warnings about a new object as it was sent: of what `prepare_for_create` is about to put right. Given whether it is valid or not.
    fn warnings_before_preparation(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Warnings for the client about a valid object (`old` on update), at most [`crate::kinds::WARNINGS_COUNT_MAX`]. `subresource` is
    /// empty for the object itself.
    fn warnings(&self, _subresource: &str, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// A PUT of an object that is not there creates it.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// A PUT without a resourceVersion overwrites whatever is there.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// For a DELETE that does not say what becomes of dependents.
    fn default_garbage_collection_policy(&self) -> GarbageCollectionPolicy {
        GarbageCollectionPolicy::Background
    }

    /// What a DELETE that does not say what becomes of dependents is warned of.
    fn orphaning_warning(&self) -> Option<&'static str> {
        None
    }

    /// Why this object may not be deleted by its name.
    fn refuses_deletion(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// Whether the answer to a deletion is the object, and not a `Status`.
    fn returns_deleted_object(&self) -> bool {
        false
    }

    /// Finalizers outside of `metadata`; few kinds have them.
    fn own_finalizers(&self) -> Option<&OwnFinalizers> {
        None
    }

    /// How long an object is kept after it was last written. `None`: until it is deleted.
    fn time_to_live(&self) -> Option<Duration> {
        None
    }

    /// The group that refusals name, where it is not the resource's.
    fn group_in_refusals(&self) -> Option<&'static str> {
        None
    }

    /// The selectable field that many watchers select by one value each: watchers are woken for their value of it only.
    fn indexed_field(&self) -> Option<&'static str> {
        None
    }

    /// What answers a request about a subresource (empty: about the resource itself) that is not the store's to answer.
    fn action(&self, _subresource: &str) -> Option<Action> {
        None
    }

    /// How many seconds the object stays, marked as deleted, before it goes. `None`: the kind is deleted at once.
    /// `asked` is the request's `gracePeriodSeconds`.
    fn grace_period_seconds(&self, _object: &Value, _asked: Option<i64>) -> Option<i64> {
        None
    }
}

/// A kind without behaviour of its own.
pub struct Generic;

impl Strategy for Generic {}
