//! The stage between the registry and a [`View`](super::view::View): objects in the version that the client asks for. A view renders
//! nothing else, and an object that cannot be converted is an error, never another version's bytes.

use std::sync::Arc;

use apimachinery::{GroupVersionKind, Status};
use bytes::Bytes;
use cacher::{Encoding, EncodingKey, Object};
use objectstore::layout;
use serde_json::Value;

use super::request_scope::RequestScope;

/// Objects that are converted in one go.
const BATCH_MAX: usize = 500;

/// An object of the cache and its bytes in the version that the client asks for.
pub(crate) struct Versioned {
    pub(crate) object: Arc<Object>,
    pub(crate) json: Bytes,
}

/// From the version that is stored to the one that is asked for.
#[derive(Clone)]
pub(crate) struct ToRequested {
    requested: api::ResourceRef,
    converts: bool,
}

impl ToRequested {
    /// Of a request's resource.
    pub(crate) fn of(scope: &RequestScope) -> Self {
        Self { requested: scope.requested.clone(), converts: scope.converts() }
    }

    /// Objects of the cache. What was converted before is not converted again.
    ///
    /// # Errors
    /// 500: one of them cannot be had in that version.
    pub(crate) async fn objects(&self, objects: Vec<Arc<Object>>) -> Result<Vec<Versioned>, Status> {
        if !self.converts {
            return Ok(objects.into_iter().map(|object| Versioned { json: object.json(), object }).collect());
        }
        let gvk = &self.requested.gvk;
        let key = EncodingKey { encoding: Encoding::Json, version: (gvk.group.clone(), gvk.version.clone()) };
        let mut found: Vec<Option<Bytes>> = objects.iter().map(|object| object.encoding(&key)).collect();
        let missing: Vec<usize> = (0..objects.len()).filter(|at| found[*at].is_none()).collect();
        for batch in missing.chunks(BATCH_MAX) {
            let converted = self.convert(batch.iter().map(|at| objects[*at].json())).await?;
            for (at, json) in batch.iter().zip(converted) {
                objects[*at].keep_encoding(key.clone(), &json);
                found[*at] = Some(json);
            }
        }
        Ok(objects.into_iter().zip(found).filter_map(|(object, json)| Some(Versioned { object, json: json? })).collect())
    }

    /// One object of the cache.
    ///
    /// # Errors
    /// As [`Self::objects`].
    pub(crate) async fn object(&self, object: Arc<Object>) -> Result<Versioned, Status> {
        self.objects(vec![object]).await?.pop().ok_or_else(|| Status::internal("an object was lost in conversion"))
    }

    /// One object as it is stored, which is not in the cache.
    ///
    /// # Errors
    /// As [`Self::objects`].
    pub(crate) async fn json(&self, json: Bytes) -> Result<Bytes, Status> {
        if !self.converts {
            return Ok(json);
        }
        self.convert([json].into_iter()).await?.pop().ok_or_else(|| Status::internal("an object was lost in conversion"))
    }

    async fn convert(&self, objects: impl Iterator<Item = Bytes>) -> Result<Vec<Bytes>, Status> {
        let parsed: Result<Vec<Value>, _> = objects.map(|json| serde_json::from_slice(&json)).collect();
        let parsed = parsed.map_err(|error| Status::internal(format!("the stored object cannot be read: {error}")))?;
        let gvk = &self.requested.gvk;
        let converted = self.requested.conversion.convert(parsed, gvk).await.map_err(Status::internal)?;
        Ok(converted.iter().map(|object| served(object, gvk).into()).collect())
    }
}

/// An object as it is served, in layout, with its resource version where it stands.
fn served(object: &Value, gvk: &GroupVersionKind) -> Vec<u8> {
    let stored = layout::encode(object, gvk);
    match apimachinery::object::resource_version(object).parse() {
        Ok(revision) => {
            let mut out = Vec::with_capacity(stored.len() + 32);
            layout::splice(&mut out, &stored, &layout::head(gvk), revision);
            out
        }
        Err(_) => stored,
    }
}
