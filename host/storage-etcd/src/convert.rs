//! etcd's nouns in ours.

use bytes::Bytes;
use etcd_client::ResponseHeader;
use storage::{Error, KeyValue, Revision};

use crate::error::unexpected;

/// The store's revision at an answer.
pub(crate) fn revision(header: Option<ResponseHeader>) -> Result<Revision, Error> {
    header.map(|header| header.revision() as Revision).ok_or_else(|| unexpected("an answer without a header"))
}

/// A key and value; the value's bytes move.
pub(crate) fn key_value(kv: etcd_client::KeyValue) -> Result<KeyValue, Error> {
    let (create_revision, mod_revision) = (kv.create_revision() as Revision, kv.mod_revision() as Revision);
    let (key, value) = kv.into_key_value();
    let key = String::from_utf8(key).map_err(|_| Error::Corrupt("a key in etcd is not UTF-8".into()))?;
    Ok(KeyValue { key: key.into(), value: Bytes::from(value), create_revision, mod_revision })
}
