//! What a table shows of a CertificateSigningRequest (upstream: `pkg/printers/internalversion/printers.go`).

use apimachinery::time::human_duration;
use serde_json::Value;

use crate::shared::cell::{NONE, age, at, cells, condition, name, text, text_or};

pub(crate) fn row(request: &Value, now: i64) -> Vec<Value> {
    let has = |kind: &str| condition(request, "/status/conditions", kind).is_some();
    let mut status = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !text(request, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    let duration = at(request, "/spec/expirationSeconds").as_i64();
    cells![
        name(request),
        age(request, now),
        text_or(request, "/spec/signerName", NONE),
        text(request, "/spec/username"),
        duration.map_or_else(|| NONE.to_owned(), human_duration),
        status,
    ]
}
