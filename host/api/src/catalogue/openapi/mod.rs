//! OpenAPI v2 and v3 of the built-in kinds: what clients validate with, explain from and generate code from.
//!
//! The documents are rendered and compressed while building. A client that takes gzip gets the bytes as they lie in the
//! binary; any other client's are inflated for its request and dropped after it.

mod parameters;
mod paths;
mod rows;
mod run_time;

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;

use serde_json::{Map, Value, json};

mod generated {
    use std::borrow::Cow;

    use bytes::Bytes;

    use super::Document;

    include!(concat!(env!("OUT_DIR"), "/openapi.rs"));
}

/// A document in one encoding, compressed.
#[derive(Clone, Debug)]
pub struct Document {
    /// As `Content-Encoding: gzip` has it.
    pub gzip: Bytes,
    /// SHA-512 of the document in JSON, in upper-case hexadecimal: what stands in `?hash=`. It is the same in every encoding, as
    /// upstream's is: `Vary` keeps them apart.
    pub hash: Cow<'static, str>,
    /// Length before the compression.
    pub size_bytes: usize,
}

impl Document {
    /// As it was before the compression.
    pub fn inflate(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.size_bytes);
        flate2::read::GzDecoder::new(&*self.gzip).read_to_end(&mut text).expect("what the build compressed");
        text
    }

    /// What stands in the header `ETag`, quotes included.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }
}

pub use run_time::documents;

/// `/openapi/v2` in JSON. Kinds that come while the server runs are not in it.
pub fn v2() -> Document {
    generated::V2.clone()
}

/// `/openapi/v2` in protobuf: google's message `openapi.v2.Document`.
pub fn v2_protobuf() -> Document {
    generated::V2_PROTOBUF.clone()
}

/// `/openapi/v3/<path>`: `api/v1`, `apis/apps/v1`, `apis/apps`, `version`, ….
pub fn v3(path: &str) -> Option<Document> {
    let found = generated::V3.binary_search_by(|(known, _)| (*known).cmp(path)).ok()?;
    Some(generated::V3[found].1.clone())
}

/// The paths of all documents of v3, sorted.
pub fn v3_paths() -> impl Iterator<Item = (&'static str, &'static Document)> {
    generated::V3.iter().map(|(path, document)| (*path, document))
}

/// `/openapi/v3`: where the documents are. The hash in an address changes with the document, so that clients keep it for
/// ever. `custom` are the documents made at run time, as path and hash.
pub fn v3_index<'a>(custom: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let built_in = v3_paths().map(|(path, document)| (path, &*document.hash));
    let paths: Map<String, Value> = built_in
        .chain(custom)
        .map(|(path, hash)| (path.to_owned(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") })))
        .collect();
    json!({ "paths": paths })
}
