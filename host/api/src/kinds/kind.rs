//! A row of the table of kinds, and how its parts make the kind's [`Strategy`]: a row names a rule where kinds share it (status,
//! generation, …) and a function where a kind has behaviour of its own. Whatever a row does not say is as for most kinds.

use std::time::Duration;

use apimachinery::object::metadata_mut;
use apimachinery::{GroupVersionKind, field};
use serde_json::Value;

use super::action::Action;
use super::strategy::{Context, GarbageCollectionPolicy, OwnFinalizers, Strategy};
use super::{go_struct, shape};
use crate::Resource;
use crate::shared::pod::defaults::drop_disabled_sources;
use crate::shared::warnings::Warnings;
use crate::shared::{metadata, value};

/// What an update of `status` may change of `metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMetadata {
    /// Everything.
    Free,
    /// All but labels.
    KeepLabels,
    /// Nothing of what a client says about the object: `ResetObjectMetaForStatus`.
    Reset,
    /// Nothing but managedFields.
    KeepAll,
    /// All but owner references; a time of deletion is not read.
    KeepOwners,
    /// All but labels, annotations, finalizers and owner references.
    KeepClients,
}

/// When `metadata.generation` changes.
#[derive(Clone, Copy)]
pub(crate) enum Generation {
    /// The kind has none.
    None,
    /// 1 when created, and one more whenever this says that a new object differs from the old.
    From1(fn(&Value, &Value) -> bool),
    /// As above, but nothing when created.
    From0(fn(&Value, &Value) -> bool),
}

/// What most kinds with a generation count: changes of the spec.
pub(crate) const SPEC: Generation = Generation::From1(spec);

pub(crate) fn spec(new: &Value, old: &Value) -> bool {
    new.get("spec") != old.get("spec")
}

/// How objects of another version or view become those of this kind in one of its versions.
pub(crate) struct Conversion {
    /// Group and version of what there is.
    pub(crate) from: (&'static str, &'static str),
    /// The version of this kind that is wanted.
    pub(crate) to: &'static str,
    /// Changes all but `apiVersion` and `kind`.
    pub(crate) convert: fn(&mut Value),
}

/// The cells of an object's row in a table; `now` is in seconds since 1970.
pub(crate) type Printer = fn(object: &Value, now: i64) -> Vec<Value>;

type Prepare = fn(&Resource, &mut Value, Option<&Value>);
type PrepareSubresource = fn(&Resource, &str, &mut Value, &Value);
type Stamp = fn(&mut Value, Option<&Value>, &Context<'_>);
type Validate = fn(&Resource, &Value) -> Vec<field::Error>;
type ValidateUpdate = fn(&Resource, &Value, &Value) -> Vec<field::Error>;
type ValidateSubresource = fn(&Resource, &str, &Value, &Value) -> Vec<field::Error>;
type Warn = fn(&Value, Option<&Value>, &mut Warnings);
type WarnOfStatus = fn(&Value, &mut Warnings);

/// What most kinds ask of metadata: a DNS subdomain as the name.
fn validate_subdomain(resource: &Resource, object: &Value) -> Vec<field::Error> {
    let mut errors = Vec::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    errors
}

/// A row of the table.
pub(crate) struct Kind {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    /// `None`: the kind has no status that only the subresource writes.
    pub(super) status: Option<StatusMetadata>,
    /// A creator may set the status.
    status_on_create: bool,
    generation: Generation,
    create_on_update: bool,
    unconditional_update: bool,
    default: fn(&Resource, &mut Value),
    prepare: Prepare,
    prepare_subresource: PrepareSubresource,
    stamp: Stamp,
    validate: Validate,
    validate_update: ValidateUpdate,
    validate_subresource: ValidateSubresource,
    warn: Warn,
    /// The subresource `status`; the others are not warned of.
    warn_of_status: WarnOfStatus,
    warn_before_preparation: fn(&Value) -> Vec<String>,
    grace_period_seconds: fn(&Value, Option<i64>) -> Option<i64>,
    garbage_collection: GarbageCollectionPolicy,
    orphaning_warning: Option<&'static str>,
    refuses_deletion: fn(&str) -> Option<&'static str>,
    returns_deleted_object: bool,
    own_finalizers: Option<OwnFinalizers>,
    time_to_live: Option<Duration>,
    group_in_refusals: Option<&'static str>,
    indexed_field: Option<&'static str>,
    /// By subresource; the empty one is the resource itself.
    actions: &'static [(&'static str, Action)],
    /// The status has no form as a table: three kinds, to which upstream has never given it.
    pub(crate) status_without_table: bool,
    /// Field selectors' names for fields that the stored version names otherwise.
    pub(crate) stored_fields: &'static [(&'static str, &'static str)],
    /// Where the value of a selectable field lies in the stored object, where it is not at the field's own path: the first of these paths
    /// that has one.
    pub(crate) stored_paths: &'static [(&'static str, &'static [&'static str])],
    /// Where the spec of a pod stands in objects of the kind (JSON pointer).
    pod_spec: Option<&'static str>,
    /// `None`: a table shows the name and when the object was made.
    pub(super) printer: Option<Printer>,
    /// What a row of a table says of the object besides its cells.
    pub(super) row_conditions: fn(&Value) -> Option<Value>,
    /// The order of a table's rows, where it is not the list's.
    pub(super) order_rows: fn(&mut [&Value]),
    /// Annotations that stand for a field which a version lacks. Upstream makes tables and metadata from its own, unversioned form of an
    /// object, where they are fields again.
    pub(super) round_trip_annotations: &'static [&'static str],
    /// Of versions that differ in more than their name.
    pub(super) conversions: &'static [Conversion],
    /// What does not happen although objects of the kind are stored and validated. A kind that the server learns to act on loses it.
    pub(crate) unenforced: Option<&'static str>,
    /// Whether that is so for an object.
    pub(crate) unenforced_if: Option<fn(&Value) -> bool>,
    /// That a field selector cannot name a field, in the words that upstream has for the kind.
    pub(crate) unknown_field: fn(&GroupVersionKind, &str) -> String,
}

impl Kind {
    /// A kind without behaviour of its own.
    pub(crate) const fn new(group: &'static str, kind: &'static str) -> Self {
        Self {
            group,
            kind,
            status: None,
            status_on_create: false,
            generation: Generation::None,
            create_on_update: false,
            unconditional_update: true,
            default: |_, _| (),
            prepare: |_, _, _| (),
            prepare_subresource: |_, _, _, _| (),
            stamp: |_, _, _| (),
            validate: validate_subdomain,
            validate_update: |_, object, old| {
                let mut errors = Vec::new();
                metadata::validate_update(object, old, &mut errors);
                errors
            },
            validate_subresource: |_, _, object, old| {
                let mut errors = Vec::new();
                metadata::validate_update(object, old, &mut errors);
                errors
            },
            warn: |_, _, _| (),
            warn_of_status: |_, _| (),
            warn_before_preparation: |_| Vec::new(),
            grace_period_seconds: |_, _| None,
            garbage_collection: GarbageCollectionPolicy::Background,
            orphaning_warning: None,
            refuses_deletion: |_| None,
            returns_deleted_object: false,
            own_finalizers: None,
            time_to_live: None,
            group_in_refusals: None,
            indexed_field: None,
            actions: &[],
            status_without_table: false,
            stored_fields: &[],
            stored_paths: &[],
            pod_spec: None,
            printer: None,
            row_conditions: |_| None,
            order_rows: |_| (),
            round_trip_annotations: &[],
            conversions: &[],
            unenforced: None,
            unenforced_if: None,
            unknown_field: |_, field| format!("field label not supported: {field}"),
        }
    }

    pub(crate) const fn status(mut self, metadata: StatusMetadata) -> Self {
        self.status = Some(metadata);
        self
    }

    pub(crate) const fn status_on_create(mut self) -> Self {
        self.status_on_create = true;
        self
    }

    pub(crate) const fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    pub(crate) const fn create_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }

    pub(crate) const fn conditional_update(mut self) -> Self {
        self.unconditional_update = false;
        self
    }

    pub(crate) const fn default(mut self, default: fn(&Resource, &mut Value)) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn prepare(mut self, prepare: Prepare) -> Self {
        self.prepare = prepare;
        self
    }

    pub(crate) const fn prepare_subresource(mut self, prepare: PrepareSubresource) -> Self {
        self.prepare_subresource = prepare;
        self
    }

    pub(crate) const fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = stamp;
        self
    }

    pub(crate) const fn validate(mut self, validate: Validate) -> Self {
        self.validate = validate;
        self
    }

    pub(crate) const fn validate_update(mut self, validate: ValidateUpdate) -> Self {
        self.validate_update = validate;
        self
    }

    pub(crate) const fn validate_subresource(mut self, validate: ValidateSubresource) -> Self {
        self.validate_subresource = validate;
        self
    }

    pub(crate) const fn warn(mut self, warn: Warn) -> Self {
        self.warn = warn;
        self
    }

    pub(crate) const fn warn_of_status(mut self, warn: WarnOfStatus) -> Self {
        self.warn_of_status = warn;
        self
    }

    pub(crate) const fn warn_before_preparation(mut self, warn: fn(&Value) -> Vec<String>) -> Self {
        self.warn_before_preparation = warn;
        self
    }

    pub(crate) const fn grace(mut self, grace: fn(&Value, Option<i64>) -> Option<i64>) -> Self {
        self.grace_period_seconds = grace;
        self
    }

    pub(crate) const fn without_dependents(mut self) -> Self {
        self.garbage_collection = GarbageCollectionPolicy::Unsupported;
        self
    }

    pub(crate) const fn returns_deleted_object(mut self) -> Self {
        self.returns_deleted_object = true;
        self
    }

    pub(crate) const fn own_finalizers(mut self, pointer: &'static str, mark: fn(&mut Value)) -> Self {
        self.own_finalizers = Some(OwnFinalizers { pointer, mark });
        self
    }

    pub(crate) const fn time_to_live(mut self, duration: Duration) -> Self {
        self.time_to_live = Some(duration);
        self
    }

    pub(crate) const fn group_in_refusals(mut self, group: &'static str) -> Self {
        self.group_in_refusals = Some(group);
        self
    }

    pub(crate) const fn indexed_field(mut self, field: &'static str) -> Self {
        self.indexed_field = Some(field);
        self
    }

    pub(crate) const fn actions(mut self, actions: &'static [(&'static str, Action)]) -> Self {
        self.actions = actions;
        self
    }

    pub(crate) const fn status_without_table(mut self) -> Self {
        self.status_without_table = true;
        self
    }

    pub(crate) const fn stored_fields(mut self, names: &'static [(&'static str, &'static str)]) -> Self {
        self.stored_fields = names;
        self
    }

    pub(crate) const fn stored_paths(mut self, paths: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.stored_paths = paths;
        self
    }

    /// Deletion leaves dependents alone, as it did before there was garbage collection.
    pub(crate) const fn orphans_dependents(mut self) -> Self {
        self.garbage_collection = GarbageCollectionPolicy::Orphan;
        self
    }

    pub(crate) const fn orphaning_warning(mut self, warning: &'static str) -> Self {
        self.orphaning_warning = Some(warning);
        self
    }

    pub(crate) const fn refuses_deletion(mut self, why: fn(&str) -> Option<&'static str>) -> Self {
        self.refuses_deletion = why;
        self
    }

    pub(crate) const fn pod_spec(mut self, pointer: &'static str) -> Self {
        self.pod_spec = Some(pointer);
        self
    }

    pub(crate) const fn printer(mut self, printer: Printer) -> Self {
        self.printer = Some(printer);
        self
    }

    pub(crate) const fn row_conditions(mut self, conditions: fn(&Value) -> Option<Value>) -> Self {
        self.row_conditions = conditions;
        self
    }

    pub(crate) const fn order_rows(mut self, order: fn(&mut [&Value])) -> Self {
        self.order_rows = order;
        self
    }

    pub(crate) const fn round_trip_annotations(mut self, names: &'static [&'static str]) -> Self {
        self.round_trip_annotations = names;
        self
    }

    pub(crate) const fn converts_from(mut self, conversions: &'static [Conversion]) -> Self {
        self.conversions = conversions;
        self
    }

    pub(crate) const fn unenforced(mut self, what: &'static str) -> Self {
        self.unenforced = Some(what);
        self
    }

    pub(crate) const fn unenforced_if(mut self, condition: fn(&Value) -> bool) -> Self {
        self.unenforced_if = Some(condition);
        self
    }

    pub(crate) const fn unknown_field(mut self, words: fn(&GroupVersionKind, &str) -> String) -> Self {
        self.unknown_field = words;
        self
    }
}

impl Kind {
    /// Whether a table shows more of it than the name and the time.
    pub(crate) fn has_cells(&self) -> bool {
        self.printer.is_some()
    }

    /// Takes away what is behind gates that are off from the pod, or the template of pods, that objects of the kind hold.
    fn drop_disabled(&self, object: &mut Value, old: Option<&Value>) {
        let Some(pointer) = self.pod_spec else { return };
        if let Some(spec) = object.pointer_mut(pointer) {
            drop_disabled_sources(spec, old.and_then(|old| old.pointer(pointer)));
        }
    }
}

impl Strategy for Kind {
    fn default(&self, resource: &Resource, object: &mut Value) {
        shape::normalize(&resource.schema, object);
        self.set_defaults(resource, object);
    }

    fn set_defaults(&self, resource: &Resource, object: &mut Value) {
        (self.default)(resource, object);
    }

    fn prepare_for_create(&self, resource: &Resource, object: &mut Value) {
        if self.status.is_some() && !self.status_on_create {
            value::remove(object, "status");
            shape::normalize_field(&resource.schema, object, "status");
        }
        if let Generation::From1(_) = self.generation {
            metadata_mut(object).insert("generation".to_owned(), 1.into());
        }
        self.drop_disabled(object, None);
        (self.prepare)(resource, object, None);
    }

    fn prepare_for_update(&self, resource: &Resource, object: &mut Value, old: &Value) {
        if self.status.is_some() {
            value::restore(object, old, "status");
        }
        value::restore_metadata(object, old, "generation");
        self.drop_disabled(object, Some(old));
        (self.prepare)(resource, object, Some(old));
        if let Generation::From1(differs) | Generation::From0(differs) = self.generation
            && differs(object, old)
        {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
            metadata_mut(object).insert("generation".to_owned(), (generation + 1).into());
        }
    }

    fn prepare_for_subresource_update(&self, resource: &Resource, subresource: &str, object: &mut Value, old: &Value) {
        value::restore_metadata(object, old, "generation");
        if subresource == "status" {
            value::restore(object, old, "spec");
            let kept: &[&str] = match self.status.unwrap_or(StatusMetadata::Free) {
                StatusMetadata::Free => &[],
                StatusMetadata::KeepLabels => &["labels"],
                StatusMetadata::Reset => &["deletionTimestamp", "selfLink", "labels", "annotations", "finalizers", "ownerReferences"],
                StatusMetadata::KeepOwners => {
                    metadata_mut(object).remove("deletionTimestamp");
                    &["ownerReferences"]
                }
                StatusMetadata::KeepClients => &["labels", "annotations", "finalizers", "ownerReferences"],
                StatusMetadata::KeepAll => {
                    let managed = metadata_mut(object).remove("managedFields");
                    value::restore(object, old, "metadata");
                    if let Some(managed) = managed {
                        metadata_mut(object).insert("managedFields".to_owned(), managed);
                    }
                    &[]
                }
            };
            for name in kept {
                value::restore_metadata(object, old, name);
            }
        }
        (self.prepare_subresource)(resource, subresource, object, old);
    }

    fn stamp(&self, _resource: &Resource, object: &mut Value, old: Option<&Value>, context: &Context<'_>) {
        (self.stamp)(object, old, context);
    }

    fn validate(&self, resource: &Resource, object: &Value) -> Vec<field::Error> {
        let mut errors = (self.validate)(resource, object);
        if errors.is_empty() {
            metadata::validate_generic(resource, object, metadata::path_segment, &mut errors);
        }
        go_struct::reword(resource, &mut errors);
        errors
    }

    fn validate_update(&self, resource: &Resource, object: &Value, old: &Value) -> Vec<field::Error> {
        let mut errors = Vec::new();
        metadata::validate_any_update(resource, object, old, &mut errors);
        errors.extend((self.validate_update)(resource, object, old));
        go_struct::reword(resource, &mut errors);
        errors
    }

    fn validate_subresource_update(&self, resource: &Resource, subresource: &str, object: &Value, old: &Value) -> Vec<field::Error> {
        let mut errors = Vec::new();
        metadata::validate_any_update(resource, object, old, &mut errors);
        errors.extend((self.validate_subresource)(resource, subresource, object, old));
        go_struct::reword(resource, &mut errors);
        errors
    }

    fn warnings_before_preparation(&self, object: &Value) -> Vec<String> {
        (self.warn_before_preparation)(object)
    }

    fn warnings(&self, subresource: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = Warnings::default();
        match subresource {
            "" => (self.warn)(object, old, &mut warnings),
            "status" => (self.warn_of_status)(object, &mut warnings),
            _ => {}
        }
        warnings.into_vec()
    }

    fn orphaning_warning(&self) -> Option<&'static str> {
        self.orphaning_warning
    }

    fn allow_create_on_update(&self) -> bool {
        self.create_on_update
    }

    fn allow_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn default_garbage_collection_policy(&self) -> GarbageCollectionPolicy {
        self.garbage_collection
    }

    fn refuses_deletion(&self, name: &str) -> Option<&'static str> {
        (self.refuses_deletion)(name)
    }

    fn returns_deleted_object(&self) -> bool {
        self.returns_deleted_object
    }

    fn own_finalizers(&self) -> Option<&OwnFinalizers> {
        self.own_finalizers.as_ref()
    }

    fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live
    }

    fn group_in_refusals(&self) -> Option<&'static str> {
        self.group_in_refusals
    }

    fn indexed_field(&self) -> Option<&'static str> {
        self.indexed_field
    }

    fn action(&self, subresource: &str) -> Option<Action> {
        self.actions.iter().find(|(name, _)| *name == subresource).map(|(_, action)| *action)
    }

    fn grace_period_seconds(&self, object: &Value, asked: Option<i64>) -> Option<i64> {
        (self.grace_period_seconds)(object, asked)
    }
}
