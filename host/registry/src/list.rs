//! Lists: a snapshot, a selection of it, and pages.

use std::sync::Arc;

use apimachinery::Status;
use cacher::{Cacher, Object, Predicate, Snapshot};
use storage::Range;

use crate::continue_token::ContinueToken;
use crate::{Registry, Request, error};

/// How fresh a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRevision {
    /// As the store is now.
    MostRecent,
    /// At least this new; 0: anything.
    NotOlderThan(u64),
    /// Exactly this state.
    Exact(u64),
}

/// What to list.
#[derive(Clone)]
pub struct ListRequest {
    /// Which objects.
    pub predicate: Predicate,
    /// The predicate selects by labels or fields, so that nobody knows how many are left.
    pub selective: bool,
    /// At most so many; 0: all.
    pub limit: usize,
    /// Where the page before ended.
    pub continue_token: Option<String>,
    /// How fresh.
    pub revision: ListRevision,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct ListResult {
    /// In the order of keys.
    pub objects: Vec<Arc<Object>>,
    /// The list's resource version.
    pub revision: u64,
    /// The token of the next page.
    pub continue_token: Option<String>,
    /// How many are left after this page, where that is known.
    pub remaining: Option<u64>,
}

impl Registry {
    /// Lists objects.
    pub async fn list(&self, request: &Request, list: &ListRequest) -> Result<ListResult, Status> {
        let cacher = self.cacher(request)?;
        let scope = list.predicate.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let token = list.continue_token.as_deref().map(|token| ContinueToken::decode(token, &scope)).transpose()?;
        let snapshot = match &token {
            Some(ContinueToken { revision: Some(revision), .. }) => {
                self.snapshot_at(cacher, request, *revision).await.map_err(|status| expired_continue(status, &token, &scope))?
            }
            Some(ContinueToken { revision: None, .. }) => self.fresh_snapshot(cacher, request).await?,
            None => match list.revision {
                ListRevision::MostRecent => self.fresh_snapshot(cacher, request).await?,
                ListRevision::NotOlderThan(revision) => {
                    self.wait_for(revision).await?;
                    cacher.snapshot()
                }
                ListRevision::Exact(revision) => self.snapshot_at(cacher, request, revision).await?,
            },
        };
        let result = page(list, &snapshot, token.as_ref().map(|token| &*token.after), scope.len());
        if result.continue_token.is_some() {
            cacher.keep_for_pages(&snapshot);
        }
        Ok(result)
    }

    async fn fresh_snapshot(&self, cacher: &Arc<Cacher>, request: &Request) -> Result<Snapshot, Status> {
        if self.caches.make_fresh().await.map_err(error::read)? {
            return Ok(cacher.snapshot());
        }
        self.read_snapshot(cacher, request, 0).await
    }

    async fn snapshot_at(&self, cacher: &Arc<Cacher>, request: &Request, revision: u64) -> Result<Snapshot, Status> {
        if revision > cacher.revision() {
            self.wait_for(revision).await?;
        }
        match cacher.snapshot_at(revision) {
            Some(snapshot) => Ok(snapshot),
            None => self.read_snapshot(cacher, request, revision).await,
        }
    }

    /// From the store's history, past the cache.
    async fn read_snapshot(&self, cacher: &Arc<Cacher>, request: &Request, revision: u64) -> Result<Snapshot, Status> {
        let prefix = self.caches.store_key(&request.resource, "");
        let found = self.caches.storage().range(Range { revision, ..Range::prefix(&prefix) }).await.map_err(error::read)?;
        let mut objects = imbl::OrdMap::new();
        for kv in &found.items {
            let key: Arc<str> = kv.key.strip_prefix(&prefix).unwrap_or(&kv.key).into();
            objects.insert(key.clone(), cacher.decode(key, kv).map_err(error::corrupt)?);
        }
        Ok(Snapshot { objects, revision: found.revision })
    }
}

fn page(list: &ListRequest, snapshot: &Snapshot, after: Option<&str>, scope_len: usize) -> ListResult {
    let mut selected = list.predicate.select_after(snapshot, after);
    let objects: Vec<Arc<Object>> =
        if list.limit == 0 { selected.by_ref().cloned().collect() } else { selected.by_ref().take(list.limit).cloned().collect() };
    // Whether there are more keys, not whether one of them is selected: upstream stops looking when the page is full.
    let last = objects.last().filter(|_| list.limit > 0 && objects.len() >= list.limit);
    let more = last.is_some_and(|last| list.predicate.name.is_none() && is_followed(&snapshot.objects, last.key(), scope_len));
    let remaining = (more && !list.selective).then(|| selected.count() as u64);
    let continue_token = objects
        .last()
        .filter(|_| more)
        .map(|last| ContinueToken { revision: Some(snapshot.revision), after: last.key()[scope_len..].to_owned() }.encode());
    ListResult { objects, revision: snapshot.revision, continue_token, remaining }
}

/// Whether another key comes after this one, in the same namespace where only one is listed (`scope_len` bytes of the key).
fn is_followed<T: Clone>(objects: &imbl::OrdMap<Arc<str>, T>, key: &Arc<str>, scope_len: usize) -> bool {
    use std::ops::Bound::{Excluded, Unbounded};
    let after = (Excluded(key.clone()), Unbounded::<Arc<str>>);
    objects.range(after).next().is_some_and(|(next, _)| next.starts_with(&key[..scope_len]))
}

/// The state that the first page was read from is gone. The answer carries a token that goes on with the state of now.
fn expired_continue(status: Status, token: &Option<ContinueToken>, scope: &str) -> Status {
    if status.code != 410 {
        return status;
    }
    let mut expired = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided \
         token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was \
         returned and now may show up in the list.",
    );
    expired.continue_token = token
        .as_ref()
        .map(|token| ContinueToken { revision: None, after: token.after[scope.len().min(token.after.len())..].to_owned() }.encode());
    expired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_last_where_no_key_follows_in_its_scope() {
        let keys = ["a/x", "a/y", "a-b/x", "b/x"].map(|key| (Arc::<str>::from(key), ()));
        let objects: imbl::OrdMap<Arc<str>, ()> = keys.into_iter().collect();
        for (key, scope, followed) in
            [("a/x", "a/", true), ("a/y", "a/", false), ("a/y", "", true), ("b/x", "", false), ("a-b/x", "a-b/", false)]
        {
            assert_eq!(is_followed(&objects, &key.into(), scope.len()), followed, "{key} in {scope:?}");
        }
    }
}
