//! The store in an etcd cluster, which several API servers share.
//!
//! Keys and values are written to etcd as they come. A commit is one etcd transaction that compares `mod_revision`s; a range is
//! read in pages of one revision; each watch is a stream of its own. Nothing waits for ever: every call has a deadline, and a
//! cluster that does not answer is [`Error::Unavailable`].
//!
//! **Architecture invariant:** nothing is kept here that another API server may change, but for the lease in use.

mod connection;
mod convert;
mod error;
mod lease;
pub mod limits;
mod options;
mod version;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};
use storage::{Error, KeyValue, Operation, Range, RangeResult, Revision, Storage, Watch};

use crate::connection::Connection;
use crate::error::{NotDone, unexpected};
use crate::lease::Leases;
use crate::limits::{HEALTH_TIMEOUT, PAGE_KEYS_MAX, RANGE_RESTARTS_MAX};
pub use crate::options::Options;
use crate::version::Versions;
use crate::watch::{EtcdWatch, ProgressRequests};

/// An etcd cluster as a store.
pub struct Etcd {
    connection: Connection,
    leases: Leases,
    versions: Versions,
    progress: ProgressRequests,
}

impl Etcd {
    /// Connects, and asks every member for its version. At least one must answer.
    pub async fn connect(options: Options) -> Result<Arc<Self>, Error> {
        let connection = Connection::new(&options.endpoints, &options).await?;
        let versions = Versions::new(options);
        versions.ask().await?;
        Ok(Arc::new(Self { leases: Leases::new(connection.clone()), connection, versions, progress: ProgressRequests::default() }))
    }

    async fn or_explain<T>(&self, result: Result<T, NotDone>, requested: Revision) -> Result<T, Error> {
        match result {
            Ok(done) => Ok(done),
            Err(not_done) => Err(self.explain(not_done, requested).await),
        }
    }

    /// Where a call did not reach its member, the members' versions are asked again: one may have been replaced.
    fn doubt(&self, not_done: NotDone) -> NotDone {
        if matches!(not_done, NotDone::NotSent(_) | NotDone::NoAnswer(_)) {
            self.versions.doubt();
        }
        not_done
    }

    /// Puts the revisions into an error that etcd gives without them.
    async fn explain(&self, not_done: NotDone, requested: Revision) -> Error {
        match not_done {
            NotDone::Compacted => match self.oldest().await {
                Ok(oldest) => Error::Compacted { requested, oldest },
                Err(error) => error,
            },
            NotDone::Future => match self.current_revision().await {
                Ok(current) => Error::Future { requested, current },
                Err(error) => error,
            },
            other => self.doubt(other).into_error(),
        }
    }

    /// The oldest revision in the history. etcd tells it only to a watch that begins before it, so one is opened at revision 1.
    async fn oldest(&self) -> Result<Revision, Error> {
        match EtcdWatch::open(&self.connection, PROBE, 1, &self.progress).await {
            // etcd creates such a watch and then cancels it, with the oldest revision as the reason.
            Ok(mut watch) => match tokio::time::timeout(HEALTH_TIMEOUT, watch.next()).await {
                Ok(Err(Error::Compacted { oldest, .. })) => Ok(oldest),
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) | Err(_) => Ok(0),
            },
            Err(Error::Compacted { oldest, .. }) => Ok(oldest),
            Err(error) => Err(error),
        }
    }

    /// The transaction of some operations. In its else branch it reads what is there.
    async fn transaction(&self, operations: &[Operation]) -> Result<Txn, NotDone> {
        let (mut compares, mut then, mut otherwise) = (Vec::new(), Vec::new(), Vec::new());
        for operation in operations {
            let key = operation.key.as_str();
            compares.push(Compare::mod_revision(key, CompareOp::Equal, operation.expected as i64));
            otherwise.push(TxnOp::get(key, None));
            match &operation.value {
                Some(value) => {
                    let options = match operation.time_to_live {
                        Some(time) => Some(PutOptions::new().with_lease(self.leases.get(time).await?)),
                        None => None,
                    };
                    then.push(TxnOp::put(key, value.as_ref(), options));
                }
                // An operation that only checks its guard: the key must not exist, and nothing is written.
                None if operation.expected == 0 => {}
                None => then.push(TxnOp::delete(key, None::<DeleteOptions>)),
            }
        }
        Ok(Txn::new().when(compares).and_then(then).or_else(otherwise))
    }

    async fn try_commit(&self, operations: &[Operation]) -> Result<Revision, NotDone> {
        let transaction = self.transaction(operations).await?;
        let call = |mut connection: Connection| {
            let transaction = transaction.clone();
            async move { connection.kv.txn(transaction).await }
        };
        let mut response = self.connection.write(call).await?;
        if response.succeeded() {
            return Ok(convert::revision(response.take_header())?);
        }
        let found = response.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Get(mut got) => got.take_kvs().into_iter().next().map(convert::key_value).transpose(),
            _ => Err(unexpected("a transaction's else branch that is no read")),
        });
        for (operation, current) in operations.iter().zip(found) {
            let current = current?;
            if current.as_ref().map_or(0, |kv| kv.mod_revision) != operation.expected {
                return Err(Error::Conflict { key: operation.key.clone(), current }.into());
            }
        }
        Err(unexpected("a transaction failed though every guard holds").into())
    }

    /// One page: `count` is that of `[start, end)`.
    async fn page(&self, start: &str, end: &str, limit: usize, revision: Revision) -> Result<RangeResult, NotDone> {
        // etcd: an end of zero is the end of the store; none at all is a single key.
        let end = if end.is_empty() { "\0" } else { end };
        let options = GetOptions::new().with_range(end).with_limit(limit as i64).with_revision(revision as i64);
        let call = |mut connection: Connection| {
            let options = options.clone();
            async move { connection.kv.get(start, Some(options)).await }
        };
        let mut response = self.connection.read(call).await?;
        let (more, count) = (response.more(), response.count() as u64);
        let at = convert::revision(response.take_header())?;
        let items = response.take_kvs().into_iter().map(convert::key_value).collect::<Result<Vec<_>, _>>()?;
        Ok(RangeResult { items, more, count, revision: if revision == 0 { at } else { revision } })
    }

    /// All pages of a range, as of the first one's revision.
    async fn pages(&self, range: &Range) -> Result<RangeResult, NotDone> {
        let wanted = if range.limit == 0 { usize::MAX } else { range.limit };
        let mut result = self.page(&range.start, &range.end, wanted.min(PAGE_KEYS_MAX), range.revision).await?;
        while result.more && result.items.len() < wanted {
            let Some(last) = result.items.last() else { break };
            let (start, left) = (format!("{}\0", last.key), wanted - result.items.len());
            let page = self.page(&start, &range.end, left.min(PAGE_KEYS_MAX), result.revision).await?;
            result.items.extend(page.items);
            result.more = page.more;
        }
        Ok(result)
    }
}

/// A key that nobody has. It begins with no `/`, as etcd's users' keys do.
const PROBE: &str = "wasmgate_probe";

#[async_trait]
impl Storage for Etcd {
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        if operations.is_empty() {
            return self.current_revision().await;
        }
        match self.try_commit(&operations).await {
            Err(NotDone::LeaseGone) => self.leases.forget().await,
            result => return self.or_explain(result, 0).await,
        }
        let again = self.try_commit(&operations).await;
        self.or_explain(again, 0).await
    }

    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error> {
        let call = |mut connection: Connection| async move { connection.kv.get(key, None).await };
        let mut response = self.or_explain(self.connection.read(call).await, 0).await?;
        let revision = convert::revision(response.take_header())?;
        let kv = response.take_kvs().into_iter().next().map(convert::key_value).transpose()?;
        Ok((kv, revision))
    }

    async fn range(&self, range: Range) -> Result<RangeResult, Error> {
        // etcd takes such a range, but says that it is an invalid one.
        if !range.end.is_empty() && range.end <= range.start {
            let revision = self.current_revision().await?;
            if range.revision > revision {
                return Err(Error::Future { requested: range.revision, current: revision });
            }
            let revision = if range.revision == 0 { revision } else { range.revision };
            return Ok(RangeResult { items: Vec::new(), more: false, count: 0, revision });
        }
        let mut result = self.pages(&range).await;
        for _ in 0..RANGE_RESTARTS_MAX {
            // The revision of the first page was compacted before the last page was read: begin again at the newest.
            if range.revision == 0 && matches!(result, Err(NotDone::Compacted)) {
                result = self.pages(&range).await;
            }
        }
        self.or_explain(result, range.revision).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error> {
        match EtcdWatch::open(&self.connection, prefix, from, &self.progress).await {
            Ok(watcher) => Ok(Box::new(watcher)),
            Err(error) => {
                self.versions.doubt();
                Err(error)
            }
        }
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        let call = |mut connection: Connection| async move { connection.kv.get(PROBE, Some(GetOptions::new().with_count_only())).await };
        let response = self.connection.read(call).await.map_err(|error| self.doubt(error).into_error())?;
        convert::revision(response.header().cloned())
    }

    async fn request_progress(&self) -> Result<bool, Error> {
        if !self.versions.progress().await? {
            return Ok(false);
        }
        self.progress.send_modify(|asked| *asked += 1);
        Ok(true)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        let call = |mut connection: Connection| async move { connection.kv.compact(revision as i64, None).await };
        self.or_explain(self.connection.write(call).await, revision).await.map(drop)
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        let call = |mut connection: Connection| async move { connection.maintenance.status().await };
        self.or_explain(self.connection.read(call).await, 0).await.map(|status| status.db_size().max(0) as u64)
    }

    async fn healthy(&self) -> Result<(), Error> {
        let call = |mut connection: Connection| async move { connection.kv.get(PROBE, None).await };
        let result = self.connection.call(true, HEALTH_TIMEOUT, call).await;
        result.map(drop).map_err(|error| self.doubt(error).into_error())
    }
}
