//! Watches: where a stream begins.

use apimachinery::Status;
use cacher::{Predicate, Watcher};

use crate::{Registry, Request, error};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With what is there now, as ADDED events (`resourceVersion` unset).
    MostRecent,
    /// With what is there at any time (`resourceVersion=0`).
    Any,
    /// With the next change, whatever is there now.
    Now,
    /// After this revision.
    After(u64),
    /// With what is there, at least as new as this, for a client that wants to know where it ends (`sendInitialEvents`).
    InitialEvents(u64),
}

/// What to watch.
#[derive(Clone)]
pub struct WatchRequest {
    /// Which objects.
    pub predicate: Predicate,
    /// Where to begin.
    pub start: WatchStart,
}

impl Registry {
    /// Begins a watch.
    ///
    /// # Errors
    /// 410 where the revision asked for is no longer in the window, 504 where it is not reached in time, 500 where the store fails.
    pub async fn watch(&self, request: &Request, watch: WatchRequest) -> Result<Watcher, Status> {
        let cacher = self.cacher(request)?;
        match watch.start {
            WatchStart::After(revision) => {
                cacher.watch_from(revision, watch.predicate).map_err(|lost| error::too_old_resource_version(lost.requested, lost.oldest))
            }
            WatchStart::Now => Ok(cacher.watch_from_now(watch.predicate)),
            WatchStart::Any => Ok(cacher.watch_with_state(watch.predicate)),
            WatchStart::MostRecent => {
                if !self.caches.make_fresh().await.map_err(error::read)? {
                    let current = self.caches.storage().current_revision().await.map_err(error::read)?;
                    self.caches.wait_until(current).await;
                }
                Ok(cacher.watch_with_state(watch.predicate))
            }
            WatchStart::InitialEvents(revision) => {
                self.wait_for(revision).await?;
                Ok(cacher.watch_with_state(watch.predicate))
            }
        }
    }
}
