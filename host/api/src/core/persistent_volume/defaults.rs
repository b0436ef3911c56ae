//! What is filled in of a PersistentVolume (upstream: `pkg/apis/core/v1/defaults.go`).

use serde_json::Value;

use crate::Resource;
use crate::shared::pod::defaults::default_volume_source;
use crate::shared::resources::round_up_quantities;
use crate::shared::value::{if_nil, if_zero, object_at};

pub(crate) fn default(_: &Resource, volume: &mut Value) {
    if_zero(object_at(volume, "status"), "phase", "Pending");
    let spec = object_at(volume, "spec");
    default_volume_spec(spec);
    if_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    if_nil(spec, "volumeMode", "Filesystem");
}

pub(crate) fn default_volume_spec(spec: &mut Value) {
    default_volume_source(spec);
    round_up_quantities(spec, "capacity");
}
