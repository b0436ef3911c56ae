//! How large a transaction may be: etcd's own bounds, which every backend keeps, so that what one stores fits into the others.

use crate::{Error, Operation};

/// Bytes of a transaction as etcd's log has it (etcd's `--max-request-bytes` by default).
pub const REQUEST_BYTES_MAX: usize = 3 << 19;
/// Bytes of a transaction that upstream's client sends at all.
pub const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// What etcd's log adds to a transaction: its number and the tag before it.
const LOG_BYTES: usize = 19;

/// The transaction's bytes, or why etcd would not take it, in the words that clients of upstream see.
pub fn check(operations: &[Operation]) -> Result<usize, Error> {
    let bytes = request_bytes(operations);
    if bytes > MESSAGE_BYTES_MAX {
        return Err(message_too_large(bytes));
    }
    if bytes + LOG_BYTES > REQUEST_BYTES_MAX {
        return Err(Error::TooLarge("etcdserver: request is too large".to_owned()));
    }
    Ok(bytes)
}

/// What upstream's client says of a message that it does not send.
pub fn message_too_large(bytes: usize) -> Error {
    let words = "rpc error: code = ResourceExhausted desc = trying to send message larger than max";
    Error::TooLarge(format!("{words} ({bytes} vs. {MESSAGE_BYTES_MAX})"))
}

/// Bytes of the `TxnRequest`: for each operation its guard, what it does, and a read of the key for when a guard does not hold.
fn request_bytes(operations: &[Operation]) -> usize {
    operations.iter().map(|operation| guard_bytes(operation) + change_bytes(operation) + read_bytes(operation)).sum()
}

/// `Compare`: the target, the key, the revision.
fn guard_bytes(operation: &Operation) -> usize {
    field(2 + field(operation.key.len()) + 1 + varint(operation.expected as usize))
}

/// `RequestOp` with a `PutRequest` or a `DeleteRangeRequest`. A lease's number takes up to nine bytes.
fn change_bytes(operation: &Operation) -> usize {
    let lease = if operation.time_to_live.is_some() { 10 } else { 0 };
    let value = operation.value.as_ref().map_or(0, |value| if value.is_empty() { 0 } else { field(value.len()) });
    field(field(field(operation.key.len()) + value + lease))
}

/// `RequestOp` with a `RangeRequest`.
fn read_bytes(operation: &Operation) -> usize {
    field(field(field(operation.key.len())))
}

/// A field that has a length.
fn field(bytes: usize) -> usize {
    1 + varint(bytes) + bytes
}

fn varint(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(bytes: usize) -> Result<usize, String> {
        check(&[Operation::create("/registry/a", vec![0; bytes].into())]).map_err(|error| error.to_string())
    }

    #[test]
    fn words_are_upstreams() {
        assert!(created(0).is_ok() && created(3 << 19 >> 1).is_ok());
        assert_eq!(created(3 << 19), Err("etcdserver: request is too large".to_owned()));
        let words = "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097216 vs. 2097152)";
        assert_eq!(created(2 << 20), Err(words.to_owned()));
        let many: Vec<Operation> = (0..3).map(|i| Operation::create(format!("/{i}"), vec![0; 1 << 19].into())).collect();
        assert!(check(&many).is_err() && check(&many[..2]).is_ok(), "all operations together");
    }
}
