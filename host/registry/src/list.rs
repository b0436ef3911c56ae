//! Lists: a snapshot, a selection of it, and pages.

use std::sync::Arc;

use apimachinery::Status;
use apimachinery::options::{ListOptions, ResourceVersionMatch, parse_resource_version};
use cacher::{Cacher, Object, Predicate, ReadError, Snapshot};
use storage::Error;

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
    predicate: Predicate,
    /// The predicate selects by labels or fields, so that nobody knows how many are left.
    selective: bool,
    plan: Plan,
}

impl ListRequest {
    /// Everything that a predicate selects.
    pub fn all(predicate: Predicate, revision: ListRevision) -> Self {
        Self { predicate, selective: false, plan: Plan { revision, start: None, limit: 0 } }
    }

    /// What a request's query asks for.
    ///
    /// # Errors
    /// 400 where version, match, limit and token contradict each other, or the token cannot be read.
    pub fn asked(request: &Request, options: &ListOptions, predicate: Predicate) -> Result<Self, Status> {
        let selective = !options.label_selector.is_everything() || !options.field_selector.is_everything();
        Ok(Self { plan: Plan::of(options, names_one(request, &predicate))?, predicate, selective })
    }
}

/// Whether the list is of one key, and has no pages: unless a token says that it has.
fn names_one(request: &Request, predicate: &Predicate) -> bool {
    predicate.name.is_some() && (!request.resource.namespaced() || !request.namespace.is_empty())
}

/// Which state is listed, from where on, and how much of it: upstream's table over `resourceVersion`, `resourceVersionMatch`, `limit` and
/// `continue` (`storage/cacher/delegator`, `storage/interfaces.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    revision: ListRevision,
    start: Option<ContinueToken>,
    /// At most so many; 0: all.
    limit: usize,
}

impl Plan {
    fn of(options: &ListOptions, names_one: bool) -> Result<Self, Status> {
        let text = options.resource_version.as_str();
        // Whatever state will do is always served from memory, whole.
        let limit = if text == "0" { 0 } else { usize::try_from(options.limit).unwrap_or(0) };
        if !options.continue_token.is_empty() {
            let token = ContinueToken::decode(&options.continue_token)?;
            if !matches!(text, "" | "0") {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            let revision = token.revision.map_or(ListRevision::MostRecent, ListRevision::Exact);
            return Ok(Self { revision, start: Some(token), limit });
        }
        let version = parse_resource_version(text).map_err(|error| Status::bad_request(format!("invalid resource version: {error}")))?;
        let revision = match (version, &options.resource_version_match) {
            (None, _) | (Some(0), Some(ResourceVersionMatch::Exact)) => ListRevision::MostRecent,
            (Some(version), Some(ResourceVersionMatch::Exact)) => ListRevision::Exact(version),
            // With a limit, a version without a match is exact, as it was before the match could be given.
            (Some(version), None) if version > 0 && limit > 0 && !names_one => ListRevision::Exact(version),
            (Some(version), _) => ListRevision::NotOlderThan(version),
        };
        Ok(Self { revision, start: None, limit })
    }
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
    ///
    /// # Errors
    /// 410 where the state asked for has been compacted away, 504 where it is not reached in time, 500 where the store fails.
    pub async fn list(&self, request: &Request, list: &ListRequest) -> Result<ListResult, Status> {
        let cacher = self.cacher(request)?;
        let snapshot = match list.plan.revision {
            ListRevision::MostRecent => self.fresh_snapshot(&cacher).await?,
            ListRevision::NotOlderThan(revision) => {
                self.wait_for(revision).await?;
                cacher.snapshot()
            }
            ListRevision::Exact(revision) => self.snapshot_at(&cacher, revision).await?.ok_or_else(|| expired(list.plan.start.as_ref()))?,
        };
        let scope = if request.namespace.is_empty() { String::new() } else { format!("{}/", request.namespace) };
        let result = page(list, &snapshot, &scope, list.plan.start.is_none() && names_one(request, &list.predicate));
        if result.continue_token.is_some() {
            cacher.keep_for_pages(&snapshot);
        }
        Ok(result)
    }

    async fn fresh_snapshot(&self, cacher: &Cacher) -> Result<Snapshot, Status> {
        if self.caches.make_fresh().await.map_err(error::read)? {
            return Ok(cacher.snapshot());
        }
        self.read_snapshot(cacher, 0).await?.ok_or_else(|| expired(None))
    }

    /// The state at exactly this revision; none where it has been compacted away.
    async fn snapshot_at(&self, cacher: &Cacher, revision: u64) -> Result<Option<Snapshot>, Status> {
        if revision > cacher.revision() {
            // A store that does not say how far it is may be there long before the cache knows.
            if !self.caches.storage().request_progress().await.map_err(error::read)? {
                return self.read_snapshot(cacher, revision).await;
            }
            if !self.caches.wait_until(revision).await {
                // As upstream's store says it, which such a list is read from: who asks again gets no more.
                return Err(error::too_large_resource_version(revision, self.caches.applied(), 0));
            }
        }
        if revision < self.caches.compacted() {
            return Ok(None);
        }
        match cacher.snapshot_at(revision) {
            Some(snapshot) => Ok(Some(snapshot)),
            None => self.read_snapshot(cacher, revision).await,
        }
    }

    /// From the store's history, past the cache; none where it has been compacted away.
    async fn read_snapshot(&self, cacher: &Cacher, revision: u64) -> Result<Option<Snapshot>, Status> {
        match self.caches.read_all(cacher, revision).await {
            Err(ReadError::Storage(Error::Compacted { .. })) => Ok(None),
            found => found.map(Some).map_err(error::read_object),
        }
    }
}

/// A page. `scope` is what all keys of the list begin with (`default/`), which tokens leave out.
fn page(list: &ListRequest, snapshot: &Snapshot, scope: &str, of_one: bool) -> ListResult {
    let limit = list.plan.limit;
    let start = list.plan.start.as_ref().map(|token| format!("{scope}{}", token.start));
    let mut selected = list.predicate.select_from(snapshot, start.as_deref());
    let objects: Vec<Arc<Object>> = selected.by_ref().take(if limit == 0 { usize::MAX } else { limit }).cloned().collect();
    // Whether there are more keys, not whether one of them is selected: upstream stops looking when the page is full.
    let is_full = limit > 0 && objects.len() >= limit;
    let last = objects.last().filter(|last| is_full && !of_one && is_followed(&snapshot.objects, last.key(), scope.len()));
    let remaining = (last.is_some() && !list.selective).then(|| selected.count() as u64);
    let continue_token = last.map(|last| ContinueToken::after(snapshot.revision, &last.key()[scope.len()..]).encode());
    ListResult { objects, revision: snapshot.revision, continue_token, remaining }
}

/// Whether another key comes after this one, in the same namespace where only one is listed (`scope_len` bytes of the key).
fn is_followed<T: Clone>(objects: &imbl::OrdMap<Arc<str>, T>, key: &Arc<str>, scope_len: usize) -> bool {
    use std::ops::Bound::{Excluded, Unbounded};
    let after = (Excluded(key.clone()), Unbounded::<Arc<str>>);
    objects.range(after).next().is_some_and(|(next, _)| next.starts_with(&key[..scope_len]))
}

/// The state that was asked for is gone. Where a page should have gone on with it, the answer carries a token that goes on with the
/// state of now.
fn expired(token: Option<&ContinueToken>) -> Status {
    let Some(token) = token else { return Status::expired("The resourceVersion for the provided list is too old.") };
    let mut expired = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided \
         token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was \
         returned and now may show up in the list.",
    );
    expired.continue_token = Some(ContinueToken { revision: None, start: token.start.clone() }.encode());
    expired
}

#[cfg(test)]
mod tests {
    use apimachinery::query::Query;

    use super::*;

    fn planned(query: &str, of_one: bool) -> String {
        let options = match ListOptions::from_query(&Query::parse(query)) {
            Ok(options) => options,
            Err(status) => return status.code.to_string(),
        };
        match Plan::of(&options, of_one) {
            Ok(Plan { revision, start, limit }) => {
                let start = start.map(|token| format!(" from {}", token.start)).unwrap_or_default();
                format!("{revision:?}{start} limit {limit}")
            }
            Err(status) => format!("{} {}", status.code, status.message),
        }
    }

    #[test]
    fn what_is_listed_follows_upstreams_table() {
        let token = ContinueToken { revision: Some(7), start: "b".into() }.encode();
        let inconsistent = ContinueToken { revision: None, start: "b".into() }.encode();
        let not_with_continue = "400 specifying resource version is not allowed when using continue";
        let no_number =
            "400 invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax";
        let no_token = "400 invalid continue token: continue key is not valid: illegal base64 data at input byte 0";
        // The version, its match, the limit, the token; what is served, and what is where only one name is listed.
        for (version, matched, limit, token, want, of_one) in [
            ("", "", 0, "", "MostRecent limit 0", "MostRecent limit 0"),
            ("", "", 2, "", "MostRecent limit 2", "MostRecent limit 2"),
            ("0", "", 0, "", "NotOlderThan(0) limit 0", "NotOlderThan(0) limit 0"),
            ("0", "", 2, "", "NotOlderThan(0) limit 0", "NotOlderThan(0) limit 0"),
            ("00", "", 2, "", "NotOlderThan(0) limit 2", "NotOlderThan(0) limit 2"),
            ("5", "", 0, "", "NotOlderThan(5) limit 0", "NotOlderThan(5) limit 0"),
            ("5", "", 2, "", "Exact(5) limit 2", "NotOlderThan(5) limit 2"),
            ("5", "", -1, "", "NotOlderThan(5) limit 0", "NotOlderThan(5) limit 0"),
            ("", "NotOlderThan", 0, "", "422", "422"),
            ("0", "NotOlderThan", 2, "", "NotOlderThan(0) limit 0", "NotOlderThan(0) limit 0"),
            ("5", "NotOlderThan", 0, "", "NotOlderThan(5) limit 0", "NotOlderThan(5) limit 0"),
            ("5", "NotOlderThan", 2, "", "NotOlderThan(5) limit 2", "NotOlderThan(5) limit 2"),
            ("", "Exact", 0, "", "422", "422"),
            ("0", "Exact", 0, "", "422", "422"),
            ("5", "Exact", 0, "", "Exact(5) limit 0", "Exact(5) limit 0"),
            ("5", "Exact", 2, "", "Exact(5) limit 2", "Exact(5) limit 2"),
            ("5", "Other", 0, "", "422", "422"),
            ("x", "", 0, "", no_number, no_number),
            ("x", "Exact", 2, "", no_number, no_number),
            ("", "", 2, &token, "Exact(7) from b limit 2", "Exact(7) from b limit 2"),
            ("", "", 0, &token, "Exact(7) from b limit 0", "Exact(7) from b limit 0"),
            ("0", "", 2, &token, "Exact(7) from b limit 0", "Exact(7) from b limit 0"),
            ("5", "", 2, &token, not_with_continue, not_with_continue),
            ("x", "", 2, &token, not_with_continue, not_with_continue),
            ("5", "Exact", 2, &token, "422", "422"),
            ("0", "NotOlderThan", 2, &token, "422", "422"),
            ("", "", 2, &inconsistent, "MostRecent from b limit 2", "MostRecent from b limit 2"),
            ("", "", 2, "&", no_token, no_token),
            ("5", "", 2, "&", no_token, no_token),
        ] {
            let token = token.replace('&', "%26");
            let query = format!("resourceVersion={version}&resourceVersionMatch={matched}&limit={limit}&continue={token}");
            assert_eq!(planned(&query, false), want, "{query}");
            assert_eq!(planned(&query, true), of_one, "{query} of one name");
        }
    }

    #[test]
    fn an_expired_token_comes_back_for_the_state_of_now() {
        let token = ContinueToken::after(7, "web");
        let status = expired(Some(&token));
        assert_eq!((status.code, status.reason), (410, Some(apimachinery::StatusReason::Expired)));
        let again = ContinueToken::decode(&status.continue_token.expect("a token")).expect("a good one");
        assert_eq!(again, ContinueToken { revision: None, start: "web\0".into() });
        assert_eq!(expired(None).continue_token, None);
    }

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
