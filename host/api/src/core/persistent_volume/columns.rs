//! What a table shows of a PersistentVolume (upstream: `pkg/printers/internalversion/printers.go`).

use serde_json::Value;

use crate::core::volumes::{access_modes, class, phase, storage};
use crate::shared::cell::{UNSET, age, at, cells, name, some, text};

pub(crate) fn row(volume: &Value, now: i64) -> Vec<Value> {
    let claim = some(volume, "/spec/claimRef").map(|claim| format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")));
    cells![
        name(volume),
        storage(at(volume, "/spec/capacity")),
        access_modes(at(volume, "/spec/accessModes")),
        text(volume, "/spec/persistentVolumeReclaimPolicy"),
        phase(volume),
        claim.unwrap_or_default(),
        class(volume),
        at(volume, "/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET),
        text(volume, "/status/reason"),
        age(volume, now),
        at(volume, "/spec/volumeMode").as_str().unwrap_or(UNSET),
    ]
}
