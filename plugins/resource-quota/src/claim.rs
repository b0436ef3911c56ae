//! PersistentVolumeClaims: their number and the storage that they ask for, in all and of each storage class; upstream's
//! `pkg/quota/v1/evaluator/core/persistent_volume_claims.go`.

use std::collections::BTreeMap;

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

use crate::amounts::ResourceList;
use crate::quota::ScopeRequirement;

/// What is looked at of a claim.
pub const FIELDS: &[&str] = &[
    "metadata/annotations/volume.beta.kubernetes.io~1storage-class",
    "spec/storageClassName",
    "spec/volumeAttributesClassName",
    "spec/resources/requests",
    "status/allocatedResources",
    "status/currentVolumeAttributesClassName",
    "status/modifyVolumeStatus/targetVolumeAttributesClassName",
];

const COUNT: &str = "count/persistentvolumeclaims";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// Between a storage class and what is limited of it: `gold.storageclass.storage.k8s.io/requests.storage`.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// Where the class stood before it was a field; it still counts.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// A PersistentVolumeClaim.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Claim {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    storage_class_name: Option<String>,
    volume_attributes_class_name: Option<String>,
    resources: Option<Resources>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Resources {
    requests: Option<ResourceList>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Status {
    allocated_resources: Option<ResourceList>,
    current_volume_attributes_class_name: Option<String>,
    modify_volume_status: Option<ModifyVolumeStatus>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct ModifyVolumeStatus {
    target_volume_attributes_class_name: Option<String>,
}

/// Whether this is a claim's to take.
pub fn limits(name: &str) -> bool {
    let of_class = || [CLAIMS, STORAGE].iter().any(|what| name.strip_suffix(what).is_some_and(|class| class.ends_with(OF_CLASS)));
    name == COUNT || name == CLAIMS || name == STORAGE || of_class()
}

impl Claim {
    /// What it takes.
    pub fn usage(&self) -> ResourceList {
        let one = Quantity::whole(1);
        let mut usage = ResourceList::from([(COUNT.to_owned(), one), (CLAIMS.to_owned(), one)]);
        let storage = self.storage();
        usage.extend(storage.map(|storage| (STORAGE.to_owned(), storage)));
        if let Some(class) = self.class() {
            usage.insert(format!("{class}{OF_CLASS}{CLAIMS}"), one);
            usage.extend(storage.map(|storage| (format!("{class}{OF_CLASS}{STORAGE}"), storage)));
        }
        usage
    }

    /// Whether a scope is the claim's.
    pub fn is_in(&self, scope: &ScopeRequirement) -> bool {
        if scope.scope_name != "VolumeAttributesClass" {
            return false;
        }
        let names = self.attributes_classes();
        if names.is_empty() { scope.holds_for(None) } else { names.iter().any(|name| scope.holds_for(Some(name))) }
    }

    fn class(&self) -> Option<&str> {
        let annotated = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CLASS_ANNOTATION));
        annotated.or(self.spec.storage_class_name.as_ref()).map(String::as_str).filter(|class| !class.is_empty())
    }

    /// What is asked for, in whole bytes; what has been given already, where that is more.
    fn storage(&self) -> Option<Quantity> {
        let of = |list: Option<&ResourceList>| list.and_then(|list| list.get("storage")).map(|amount| amount.rounded_up_to_whole());
        let asked = of(self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()))?;
        Some(of(self.status.allocated_resources.as_ref()).map_or(asked, |allocated| allocated.max(asked)))
    }

    /// The class that is asked for, the one that the volume has, and the one that it is being given.
    fn attributes_classes(&self) -> Vec<&str> {
        let target = self.status.modify_volume_status.as_ref().and_then(|status| status.target_volume_attributes_class_name.as_deref());
        let all = [self.spec.volume_attributes_class_name.as_deref(), self.status.current_volume_attributes_class_name.as_deref(), target];
        all.into_iter().flatten().filter(|name| !name.is_empty()).collect()
    }
}
