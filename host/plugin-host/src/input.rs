//! What of a request is handed over with a call: the manifest's `input` and `lookups`, compiled once.

use apimachinery::GroupResource;
use bytes::Bytes;

use crate::limits;
use crate::projection::{Fields, separate, whole};
use crate::request::{PARTS, Subject};

/// The name of the part that look-ups come in.
const LOOKUPS: &str = "lookups";

/// An object that comes with the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Its name below `lookups`.
    pub name: String,
    /// Of which resource; it is one of the manifest's `reads`, whose fields it has.
    pub resource: GroupResource,
    /// Where its namespace stands in the request; `None` for cluster-scoped resources.
    pub namespace_from: Option<String>,
    /// Where its name stands: the first of these that is no empty text.
    pub name_from: Vec<String>,
    /// Its name, where the request has none.
    pub name_default: String,
}

/// Where look-ups are answered from: the watch cache.
pub(crate) trait Lookups {
    /// What the manifest shows of an object; none where the cache does not have it.
    fn object(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Bytes>;
}

/// The parts, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    parts: Vec<(String, Fields)>,
    lookups: Vec<Lookup>,
}

impl Input {
    /// From paths such as `operation` and `object/spec/containers/*/image`. The error names the place.
    pub fn compile(paths: &[String], lookups: Vec<Lookup>) -> Result<Self, (usize, String)> {
        let mut parts: Vec<(String, Fields)> = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let (part, below) = path.split_once('/').unwrap_or((path, ""));
            if !PARTS.contains(&part) || part == LOOKUPS || part == "namespaceObject" {
                return Err((index, format!("\"{path}\" must begin with a part of a request, such as operation or object")));
            }
            if path.len() > limits::PICKED_FIELD_BYTES_MAX {
                return Err((index, format!("has {} bytes, more than {}", path.len(), limits::PICKED_FIELD_BYTES_MAX)));
            }
            let known = parts.iter_mut().find(|(name, _)| name == part);
            let is_new = known.is_none();
            let fields = match known {
                Some((_, fields)) => fields,
                None => {
                    parts.push((part.to_owned(), Fields::default()));
                    &mut parts.last_mut().expect("just pushed").1
                }
            };
            if !is_new && (below.is_empty() || fields.is_whole()) {
                return Err((index, format!("\"{path}\": {part} is asked for as a whole, too")));
            }
            if !below.is_empty() {
                fields.add(below);
            }
        }
        Ok(Self { parts, lookups })
    }

    /// The JSON object that a call is given; nothing where the manifest asks for nothing.
    pub(crate) fn of(&self, subject: &Subject<'_>, objects: &dyn Lookups) -> Vec<u8> {
        if self.parts.is_empty() && self.lookups.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        let mut written = 0;
        for (part, fields) in &self.parts {
            let start = out.len();
            separate(written, &mut out);
            whole(part, &mut out);
            out.push(b':');
            if subject.write(part, fields, &mut out) {
                written += 1;
            } else {
                out.truncate(start);
            }
        }
        if !self.lookups.is_empty() && matches!(subject, Subject::Admission(..)) {
            separate(written, &mut out);
            self.write_lookups(subject, objects, &mut out);
        }
        out.push(b'}');
        out
    }

    fn write_lookups(&self, subject: &Subject<'_>, objects: &dyn Lookups, out: &mut Vec<u8>) {
        whole(LOOKUPS, out);
        out.extend_from_slice(b":{");
        for (at, lookup) in self.lookups.iter().enumerate() {
            separate(at, out);
            whole(&lookup.name, out);
            out.push(b':');
            // What the cache does not have may be there all the same: the guest may ask the store.
            out.extend_from_slice(lookup.find(subject, objects).as_deref().unwrap_or(b"null"));
        }
        out.push(b'}');
    }

    /// What the look-up of a name finds in the cache.
    pub(crate) fn look_up(&self, name: &str, subject: &Subject<'_>, objects: &dyn Lookups) -> Option<Bytes> {
        self.lookups.iter().find(|lookup| lookup.name == name)?.find(subject, objects)
    }
}

impl Lookup {
    /// Its object, as far as the manifest shows it.
    fn find(&self, subject: &Subject<'_>, objects: &dyn Lookups) -> Option<Bytes> {
        let namespace = self.namespace_from.as_deref().map(|pointer| subject.text_at(pointer)).unwrap_or_default();
        let named = self.name_from.iter().map(|pointer| subject.text_at(pointer)).find(|name| !name.is_empty());
        let name = named.unwrap_or_else(|| self.name_default.clone());
        if name.is_empty() {
            return None;
        }
        objects.object(&self.resource, &namespace, &name)
    }
}
