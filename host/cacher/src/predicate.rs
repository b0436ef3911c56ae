//! What a list or a watch selects, and which changes a watch has to look at for it.

use std::sync::Arc;

use crate::object::Object;
use crate::snapshot::Snapshot;

/// Which changes wake a watcher. The narrowest that covers its predicate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Every change of the resource.
    All,
    /// Those in a namespace.
    Namespace(Box<str>),
    /// Those of one object.
    Key(Arc<str>),
    /// Those of objects whose indexed field (of pods: `spec.nodeName`) has this value, before or after the change.
    Indexed(Box<str>),
}

type Matcher = Arc<dyn Fn(&Object) -> bool + Send + Sync>;

/// What a list or watch selects.
#[derive(Clone, Default)]
pub struct Predicate {
    /// Only in this namespace.
    pub namespace: Option<Box<str>>,
    /// Only the object of this name.
    pub name: Option<Box<str>>,
    /// Only where the resource's indexed field has this value. The matcher has to say so, too.
    pub indexed: Option<Box<str>>,
    /// Label and field selectors; none: everything.
    pub matcher: Option<Matcher>,
}

impl Predicate {
    /// Whether it selects the object.
    pub fn matches(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace())
            && self.name.as_deref().is_none_or(|name| name == object.name())
            && self.matcher.as_ref().is_none_or(|matches| matches(object))
    }

    /// The narrowest interest that covers it. `namespaced` is the resource's scope.
    pub fn interest(&self, namespaced: bool) -> Interest {
        match (&self.namespace, &self.name, &self.indexed) {
            (Some(namespace), Some(name), _) => Interest::Key(format!("{namespace}/{name}").into()),
            (None, Some(name), _) if !namespaced => Interest::Key((&**name).into()),
            (_, _, Some(value)) => Interest::Indexed(value.clone()),
            (Some(namespace), None, None) => Interest::Namespace(namespace.clone()),
            _ => Interest::All,
        }
    }

    /// The objects of a snapshot that it selects, in order. A namespace is a range of keys, a name one key.
    pub fn select<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Object>> {
        self.select_from(snapshot, None)
    }

    /// The same, from a key on.
    pub fn select_from<'a>(&'a self, snapshot: &'a Snapshot, start: Option<&str>) -> impl Iterator<Item = &'a Arc<Object>> {
        use std::ops::Bound;
        let (low, high): (Arc<str>, Bound<Arc<str>>) = match &self.namespace {
            Some(namespace) => (format!("{namespace}/").into(), Bound::Excluded(format!("{namespace}0").into())),
            None => ("".into(), Bound::Unbounded),
        };
        let low = match start {
            Some(start) if *start >= *low => Bound::Included(Arc::from(start)),
            _ => Bound::Included(low),
        };
        let range = if bounds_are_empty(&low, &high) { None } else { Some(snapshot.objects.range((low, high))) };
        range.into_iter().flatten().map(|(_, object)| object).filter(|object| self.matches(object))
    }
}

fn bounds_are_empty(low: &std::ops::Bound<Arc<str>>, high: &std::ops::Bound<Arc<str>>) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    match (low, high) {
        (Excluded(low), Excluded(high)) | (Included(low), Excluded(high)) => low >= high,
        (Unbounded, _) | (_, Unbounded | Included(_)) => false,
    }
}
