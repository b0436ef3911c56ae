//! Compaction every few minutes, by one of the servers that share the cluster.
//!
//! All of them race for a key, with its version as the turn. Who wins writes the revision of now under it, and compacts to
//! the revision that it read a turn ago: history is kept for at least one interval. Who loses takes over the winner's turn.
//! Upstream's protocol and upstream's key, so that it and we may share a cluster.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use storage::Revision;

use crate::connection::Connection;
use crate::convert;
use crate::error::{NotDone, unexpected};

/// Upstream's key, outside of `/registry`.
const TURN_KEY: &str = "compact_rev_key";

/// The last turn that we know of.
#[derive(Clone, Copy, Default)]
struct Turn {
    /// The key's version.
    number: i64,
    /// Where the store was.
    revision: Revision,
}

pub(crate) async fn run(connection: Connection, interval: Duration) {
    let mut turn = Turn::default();
    loop {
        tokio::time::sleep(interval).await;
        match take_turn(&connection, turn).await {
            Ok(next) => turn = next,
            Err(error) => tracing::warn!(error = %error.into_error(), "etcd was not compacted"),
        }
    }
}

async fn take_turn(connection: &Connection, last: Turn) -> Result<Turn, NotDone> {
    let transaction = Txn::new()
        .when([Compare::version(TURN_KEY, CompareOp::Equal, last.number)])
        .and_then([TxnOp::put(TURN_KEY, last.revision.to_string(), None)])
        .or_else([TxnOp::get(TURN_KEY, None)]);
    let call = |mut connection: Connection| {
        let transaction = transaction.clone();
        async move { connection.kv.txn(transaction).await }
    };
    let mut response = connection.write(call).await?;
    let revision = convert::revision(response.take_header())?;
    if !response.succeeded() {
        let number = response.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(got) => Some(got.kvs().first().map_or(0, |kv| kv.version())),
            _ => None,
        });
        let number = number.ok_or_else(|| unexpected("a turn that is neither ours nor another's"))?;
        return Ok(Turn { number, revision });
    }
    let next = Turn { number: last.number + 1, revision };
    if last.revision == 0 {
        return Ok(next);
    }
    let to = last.revision as i64;
    match connection.write(|mut connection| async move { connection.kv.compact(to, None).await }).await {
        Ok(_) => tracing::debug!(revision = to, "etcd is compacted"),
        // Somebody else has; the turn is ours all the same.
        Err(NotDone::Compacted) => {}
        Err(error) => return Err(error),
    }
    Ok(next)
}
