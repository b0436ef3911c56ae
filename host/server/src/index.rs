//! `/`: the paths that are served.

use crate::response::{self, Response};

/// Lists paths, sorted and each once.
pub fn answer(paths: impl IntoIterator<Item = String>) -> Response {
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_unstable();
    paths.dedup();
    response::raw_json(200, &serde_json::json!({ "paths": paths }))
}
