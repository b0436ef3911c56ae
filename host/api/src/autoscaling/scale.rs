//! Scale: what the subresource `scale` of workloads takes and gives. It is stored nowhere.

use serde_json::Value;

use crate::kinds::kind::Kind;
use crate::shared::cell::{age, cells, int, name};

/// The row.
pub(crate) static KIND: Kind = Kind::new("autoscaling", "Scale").printer(row);

fn row(scale: &Value, now: i64) -> Vec<Value> {
    cells![name(scale), int(scale, "/spec/replicas"), int(scale, "/status/replicas"), age(scale, now)]
}
