//! The one loop in which a stored object is changed: read it, make an attempt, and make it again on what is stored now where somebody
//! else was faster. Updates, patches, the server's own changes and deletions are attempts (upstream's `GuaranteedUpdate`).

use apimachinery::Status;
use async_trait::async_trait;
use cacher::Object;
use serde_json::Value;

use crate::{Registry, Request, error};

/// How often an attempt is made. One that insists on a resource version ends by itself at the first conflict.
const ATTEMPTS_MAX: usize = 32;

/// The object that an attempt starts from, as the store holds it.
pub(crate) struct Stored {
    pub(crate) object: Value,
    pub(crate) revision: u64,
    /// It is to be stored anew even where nothing changes.
    pub(crate) is_stale: bool,
}

impl Stored {
    fn parse(object: &Object) -> Result<Self, Status> {
        let value = serde_json::from_slice(&object.json()).map_err(error::corrupt)?;
        Ok(Self { object: value, revision: object.revision(), is_stale: object.is_stale() })
    }
}

/// What an attempt came to.
pub(crate) enum Attempted<T> {
    /// It is over, with this answer.
    Done(T),
    /// Somebody else changed what it was based on.
    Conflict,
}

/// A change of one object that can be made again.
#[async_trait]
pub(crate) trait Attempt: Send {
    /// What the whole answers.
    type Output: Send;

    /// Makes the change on what is stored (none: there is nothing), and commits it under the condition that nothing else has.
    async fn attempt(&mut self, key: &str, stored: Option<Stored>) -> Result<Attempted<Self::Output>, Status>;

    /// The answer where every attempt met somebody who was faster.
    fn exhausted(&self) -> Status;
}

impl Registry {
    /// Makes attempts at the object that the request names until one is over.
    pub(crate) async fn guaranteed_update<A: Attempt>(&self, request: &Request, mut attempt: A) -> Result<A::Output, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let mut found = self.get_fresh(cacher, &key).await?;
        for _ in 0..ATTEMPTS_MAX {
            let stored = found.as_deref().map(Stored::parse).transpose()?;
            if let Attempted::Done(output) = attempt.attempt(&key, stored).await? {
                return Ok(output);
            }
            found = self.get_from_store(cacher, &key).await?;
        }
        Err(attempt.exhausted())
    }
}
