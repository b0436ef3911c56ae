//! ResourceClaims: their number and the devices that they ask for, of each device class; upstream's
//! `pkg/quota/v1/evaluator/core/resource_claims.go`. The devices of a class that stands for an extended resource are not counted as such
//! (upstream's `DRAExtendedResource`): that takes the classes and the pods to know.

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

use crate::amounts::{self, ResourceList};

/// What is looked at of a claim.
pub const FIELDS: &[&str] = &["spec/devices/requests"];

const COUNT: &str = "count/resourceclaims.resource.k8s.io";
/// Behind a device class: `gpu.deviceclass.resource.k8s.io/devices`.
const DEVICES_OF_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// Upstream's `AllocationResultsMaxSize`: as many devices as a claim can be given.
const DEVICES_MAX: i64 = 32;

/// A ResourceClaim.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct ResourceClaim {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Spec {
    devices: Devices,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Devices {
    requests: Option<Vec<Request>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Request {
    exactly: Option<Wanted>,
    first_available: Option<Vec<Wanted>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Wanted {
    device_class_name: String,
    allocation_mode: Option<String>,
    count: Option<i64>,
}

impl Wanted {
    /// Of its class, at worst.
    fn devices(&self) -> ResourceList {
        let count = match self.allocation_mode.as_deref() {
            Some("ExactCount") => self.count.unwrap_or_default(),
            Some("All") => DEVICES_MAX,
            _ => 0,
        };
        ResourceList::from([(format!("{}{DEVICES_OF_CLASS}", self.device_class_name), Quantity::whole(count))])
    }
}

/// Whether this is a claim's to take.
pub fn limits(name: &str) -> bool {
    name == COUNT || name.ends_with(DEVICES_OF_CLASS)
}

impl ResourceClaim {
    /// What it takes. Of alternatives it may get any: of each class the most that one of them asks for.
    pub fn usage(&self) -> ResourceList {
        let mut usage = ResourceList::from([(COUNT.to_owned(), Quantity::whole(1))]);
        for request in self.spec.devices.requests.iter().flatten() {
            let mut most = ResourceList::new();
            match (&request.first_available, &request.exactly) {
                (Some(alternatives), _) if !alternatives.is_empty() => {
                    alternatives.iter().for_each(|wanted| amounts::larger(&mut most, &wanted.devices()));
                }
                (_, Some(wanted)) => most = wanted.devices(),
                _ => {}
            }
            amounts::add(&mut usage, &most);
        }
        usage
    }
}
