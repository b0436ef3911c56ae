//! The one loop in which a stored object is changed: read it, make an attempt, and make it again on what is stored now where somebody
//! else was faster. Updates, patches, the server's own changes and deletions are attempts (upstream's `GuaranteedUpdate`).

use apimachinery::Status;
use async_trait::async_trait;
use cacher::Object;
use serde_json::Value;

use crate::create::TAKEN_TRIES_MAX;
use crate::{Registry, Request, error};

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
    /// Somebody else took what belongs to the object: an address, a port.
    Taken,
}

/// A change of one object that can be made again.
#[async_trait]
pub(crate) trait Attempt: Send {
    /// What the whole answers.
    type Output: Send;

    /// Makes the change on what is stored (none: there is nothing), and commits it under the condition that nothing else has.
    async fn attempt(&mut self, key: &str, stored: Option<Stored>) -> Result<Attempted<Self::Output>, Status>;
}

impl Registry {
    /// Makes attempts at the object that the request names until one is over, for as long as the request has time: as upstream's, they are
    /// not counted, for each that fails means that somebody else came further. An attempt that insists on a version finds another one and
    /// ends.
    pub(crate) async fn guaranteed_update<A: Attempt>(&self, request: &Request, mut attempt: A) -> Result<A::Output, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let mut found = self.get_fresh(&cacher, &key).await?;
        let mut taken = 0;
        loop {
            let stored = found.as_deref().map(Stored::parse).transpose()?;
            match attempt.attempt(&key, stored).await? {
                Attempted::Done(output) => return Ok(output),
                Attempted::Conflict => {}
                Attempted::Taken => taken += 1,
            }
            if taken == TAKEN_TRIES_MAX {
                return Err(error::taken_too_fast());
            }
            found = self.get_from_store(&cacher, &key).await?;
            // What is answered from here on is no newer than what the client's next read sees, also where nothing has to be written.
            self.caches.catch_up().await.map_err(error::read)?;
        }
    }
}
