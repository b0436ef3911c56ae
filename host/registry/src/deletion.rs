//! What a deletion makes of an object, as it is stored now: upstream's `BeforeDelete`, and what its store adds about finalizers.
//! Pure, so that a deletion that lost a race or was cut off is judged anew on what is there.

use api::kinds::strategy;
use api::strategy::{GarbageCollectionPolicy, OwnFinalizers};
use apimachinery::object;
use apimachinery::options::DeleteOptions;
use serde_json::Value;

use crate::{Request, meta};

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// What is done with the object.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing: it is marked already and has time left that this deletion does not shorten.
    Pending,
    /// It stays, as this; nothing is written where nothing differs.
    Mark(Value),
    /// It goes. Where the kind has a grace period, `mark` is stored first, so that watchers see the mark as they do upstream. A
    /// deletion that ends between the two leaves a grace period of 0, and the next one removes the object at once.
    Remove { mark: Option<Value> },
}

/// What the grace period makes of an object.
enum Grace {
    /// None is to be waited for: the kind has no grace period, or it is over.
    Over,
    /// One runs that is not longer than what is asked for.
    Pending,
    /// The object has been marked with this one.
    Seconds(i64),
}

/// What to do with the object now.
pub(crate) fn step(request: &Request, old: &Value, options: &DeleteOptions) -> Step {
    let mut object = old.clone();
    if let Some(own) = strategy(&request.resource).own_finalizers() {
        if !object::is_being_deleted(old) {
            mark_first(request, &mut object, own, options);
            return Step::Mark(object);
        }
        if own.hold(old) {
            return Step::Pending;
        }
    }
    let grace = begin_grace(request, &mut object, options);
    if matches!(grace, Grace::Pending) {
        return Step::Pending;
    }
    set_finalizers_for_garbage_collection(request, &mut object, options);
    let stays = !object::finalizers(&object).is_empty();
    match grace {
        Grace::Pending => Step::Pending,
        Grace::Over if stays => {
            mark(request, &mut object);
            Step::Mark(object)
        }
        Grace::Over => Step::Remove { mark: None },
        Grace::Seconds(0) if !stays => Step::Remove { mark: Some(object) },
        Grace::Seconds(_) => Step::Mark(object),
    }
}

/// Begins or shortens the time that the object is given to end.
fn begin_grace(request: &Request, object: &mut Value, options: &DeleteOptions) -> Grace {
    // A negative one is a second, wherever it comes from.
    let positive = |seconds: i64| if seconds < 0 { 1 } else { seconds };
    let asked = options.grace_period_seconds.map(positive);
    let Some(seconds) = strategy(&request.resource).grace_period_seconds(object, asked) else { return Grace::Over };
    if object::is_being_deleted(object) {
        return match object::deletion_grace_period_seconds(object).map(positive) {
            None | Some(0) => Grace::Over,
            Some(running) => match asked.filter(|asked| *asked < running) {
                Some(shorter) => shorten_grace(request, object, running, shorter),
                None => Grace::Pending,
            },
        };
    }
    meta::bump_generation(object);
    set_deletion(object, request.context.now_seconds() + as_duration(seconds), seconds);
    Grace::Seconds(seconds)
}

/// The end moves nearer, but not into the past. A period that would be over by then is a second: who waits for the object is still to
/// see the mark and to say that it has ended.
fn shorten_grace(request: &Request, object: &mut Value, running: i64, shorter: i64) -> Grace {
    let end =
        object::meta_str(object, "deletionTimestamp").parse::<jiff::Timestamp>().map_or(request.context.now_seconds(), |at| at.as_second());
    let (mut end, mut seconds) = (end - as_duration(running) + as_duration(shorter), shorter);
    if end <= request.context.now_seconds() {
        (end, seconds) = (request.context.now_seconds(), seconds.min(1));
    }
    set_deletion(object, end, seconds);
    Grace::Seconds(seconds)
}

/// Seconds that went through Go's duration, which counts nanoseconds in 64 bits: 292 years and more come out as another time.
fn as_duration(seconds: i64) -> i64 {
    const NANOSECONDS: i64 = 1_000_000_000;
    seconds.wrapping_mul(NANOSECONDS).div_euclid(NANOSECONDS)
}

fn set_deletion(object: &mut Value, at: i64, grace_period_seconds: i64) {
    let metadata = object::metadata_mut(object);
    metadata.insert("deletionTimestamp".into(), meta::timestamp(at).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace_period_seconds.into());
}

/// Marks an object that only its finalizers hold.
fn mark(request: &Request, object: &mut Value) {
    if !object::is_being_deleted(object) {
        meta::bump_generation(object);
    }
    let at = object::meta_str(object, "deletionTimestamp").parse::<jiff::Timestamp>().map_or(i64::MAX, |at| at.as_second());
    set_deletion(object, at.min(request.context.now_seconds()), 0);
}

/// An object with finalizers of its own is marked first, whatever else holds it.
fn mark_first(request: &Request, object: &mut Value, own: &OwnFinalizers, options: &DeleteOptions) {
    let holds = |finalizer: &str| object::finalizers(object).contains(&finalizer);
    // Not quite what holds for all other kinds: here the older option can ask for foreground deletion.
    let wanted = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, !orphan),
        (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        (None, None) => (holds(FINALIZER_ORPHAN), holds(FINALIZER_FOREGROUND)),
    };
    set_garbage_collection_finalizers(object, wanted);
    object::metadata_mut(object).insert("deletionTimestamp".into(), meta::timestamp(request.context.now_seconds()).into());
    own.mark(object);
}

fn set_finalizers_for_garbage_collection(request: &Request, object: &mut Value, options: &DeleteOptions) {
    let by_default = strategy(&request.resource).default_garbage_collection_policy();
    if by_default == GarbageCollectionPolicy::Unsupported {
        return;
    }
    let had = object::finalizers(object).into_iter().find(|finalizer| matches!(*finalizer, FINALIZER_ORPHAN | FINALIZER_FOREGROUND));
    let wanted = match (options.orphan_dependents, options.propagation_policy.as_deref(), had) {
        (Some(orphan), _, _) => (orphan, false),
        (None, Some(policy), _) => (policy == "Orphan", policy == "Foreground"),
        (None, None, Some(had)) => (had == FINALIZER_ORPHAN, had == FINALIZER_FOREGROUND),
        (None, None, None) => (by_default == GarbageCollectionPolicy::Orphan, false),
    };
    set_garbage_collection_finalizers(object, wanted);
}

/// Leaves the list alone where it says that already.
fn set_garbage_collection_finalizers(object: &mut Value, (orphan, foreground): (bool, bool)) {
    let had = object::finalizers(object);
    if had.contains(&FINALIZER_ORPHAN) == orphan && had.contains(&FINALIZER_FOREGROUND) == foreground {
        return;
    }
    let others = had.into_iter().filter(|finalizer| !matches!(*finalizer, FINALIZER_ORPHAN | FINALIZER_FOREGROUND));
    let wanted = [(orphan, FINALIZER_ORPHAN), (foreground, FINALIZER_FOREGROUND)];
    let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, finalizer)| finalizer);
    let finalizers: Vec<Value> = others.chain(wanted).map(Value::from).collect();
    let metadata = object::metadata_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}

#[cfg(test)]
mod tests;
