//! ResourceClaim: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/resource/resourceclaim`).

use std::collections::HashSet;

use apimachinery::validation::ip::is_valid_interface_address;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::resource::claim_spec::{RequestNames, claim_spec, default_claim_spec, request_names, request_reference, request_references};
use crate::resource::shared::{
    CONFIGS_COUNT_MAX, PARAMETERS_BYTES_MAX, binding_conditions, conditions, configuration, each, each_once, pool_name, raw_object,
};
use crate::shared::cell::{self, age, cells, is_deleted, items, join, some};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::volume;
use crate::shared::rules::{self, Field, Rule, field, immutable};
use crate::shared::scheduling::node_selector;
use crate::shared::value::{self, if_zero, list_mut, object_at};

const RESULTS_COUNT_MAX: usize = 32;
const RESERVATIONS_COUNT_MAX: usize = 256;
const NETWORK_IPS_COUNT_MAX: usize = 16;
const INTERFACE_NAME_BYTES_MAX: usize = 256;
const HARDWARE_ADDRESS_BYTES_MAX: usize = 128;

/// The row.
pub(crate) static KIND: Kind = Kind::new("resource.k8s.io", "ResourceClaim")
    .status(StatusMetadata::Reset)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .printer(row)
    .returns_deleted_object()
    .status_without_table();

fn default(_: &Resource, claim: &mut Value) {
    default_claim_spec(object_at(claim, "spec"));
    if let Some(devices) = claim.pointer_mut("/status/allocation/devices") {
        for result in list_mut(devices, "results") {
            for toleration in list_mut(result, "tolerations") {
                if_zero(toleration, "operator", "Equal");
            }
        }
    }
}

fn validate(resource: &Resource, claim: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    claim_spec(&FieldValue::root(claim).child("spec"), &mut errors);
    errors
}

/// Its spec stays as it is.
fn validate_update(resource: &Resource, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    metadata::validate_update(claim, old, &mut errors);
    rules::check(&[immutable("spec")], &FieldValue::root(claim), Some(&FieldValue::root(old)), &mut errors);
    errors
}

/// Which device of which driver's pool, as claims tell devices apart.
fn device_of(at: &FieldValue<'_>) -> [String; 4] {
    ["driver", "pool", "device", "shareID"].map(|name| at.text_of(name).to_owned())
}

/// What it was given, who uses it, how the devices are.
fn validate_status(_: &Resource, _: &str, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    let status = FieldValue::root(claim).child("status");
    each_once(
        &status,
        "reservedFor",
        RESERVATIONS_COUNT_MAX,
        |user| user.text_of("uid").to_owned(),
        &mut errors,
        |user, errors| {
            for name in ["resource", "name", "uid"] {
                if user.is_empty(name) {
                    errors.push(user.child(name).required(""));
                }
            }
        },
    );
    let allocation = status.child("allocation");
    let given: HashSet<[String; 4]> = allocation.child("devices").items("results").map(|result| device_of(&result)).collect();
    each_once(
        &status,
        "devices",
        usize::MAX,
        |device| device_of(device).join("/"),
        &mut errors,
        |device, errors| {
            device_status(device, &given, errors);
        },
    );
    if !status.is_empty("reservedFor") {
        let reserved = status.child("reservedFor");
        let before: HashSet<&Value> = value::list(&old["status"], "reservedFor").iter().collect();
        if allocation.value.is_null() {
            errors.push(reserved.forbidden("may not be specified when `allocated` is not set"));
        } else if apimachinery::object::is_being_deleted(claim) && status.items("reservedFor").any(|user| !before.contains(user.value)) {
            errors.push(reserved.forbidden("new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"));
        }
    }
    let before = FieldValue::root(old).child("status").child("allocation");
    match (before.value.is_null(), allocation.value.is_null()) {
        (false, false) => allocation.immutable(&before, &mut errors),
        (true, false) => allocated(&allocation, &request_names(&FieldValue::root(claim).child("spec").child("devices")), &mut errors),
        (_, true) => {}
    }
    errors
}

fn allocated(at: &FieldValue<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    let devices = at.child("devices");
    each(&devices, "results", RESULTS_COUNT_MAX, errors, |result, errors| {
        request_reference(&result.child("request"), known, errors);
        device_name(result, errors);
        binding_conditions(result, errors);
        share_id(result, errors);
    });
    // The class's and the claim's.
    each(&devices, "config", 2 * CONFIGS_COUNT_MAX, errors, |config, errors| {
        config.child("source").one_of(&["FromClaim", "FromClass"], errors);
        request_references(config, known, errors);
        configuration(config, errors);
    });
    if let Some(selector) = at.some("nodeSelector") {
        node_selector(&selector, errors);
    }
}

fn device_name(at: &FieldValue<'_>, errors: &mut Errors) {
    volume::csi_driver_name(&at.child("driver"), errors);
    pool_name(&at.child("pool"), errors);
    let device = at.child("device");
    errors.extend(name::is_dns1123_label(device.text()).iter().map(|problem| device.invalid_as(device.text(), problem)));
}

fn share_id(at: &FieldValue<'_>, errors: &mut Errors) {
    let Some(id) = at.some("shareID") else { return };
    let form = |text: &str| {
        text.len() == 36 && text.char_indices().all(|(i, c)| if [8, 13, 18, 23].contains(&i) { c == '-' } else { c.is_ascii_hexdigit() })
    };
    if !form(id.text()) {
        errors.push(id.invalid(&format!("error validating uid: invalid UUID length: {}", id.text().len())));
    } else if id.text() != id.text().to_lowercase() {
        let detail =
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.push(id.invalid(detail));
    }
}

const NETWORK: [Field; 2] = [
    field("interfaceName", &[Rule::MaxBytes(INTERFACE_NAME_BYTES_MAX)]),
    field("hardwareAddress", &[Rule::MaxBytes(HARDWARE_ADDRESS_BYTES_MAX)]),
];

fn device_status(at: &FieldValue<'_>, given: &HashSet<[String; 4]>, errors: &mut Errors) {
    device_name(at, errors);
    share_id(at, errors);
    if !given.contains(&device_of(at)) {
        errors.push(at.invalid_as(device_of(at).join("/"), "must be an allocated device in the claim"));
    }
    conditions(at, errors);
    if let Some(data) = at.some("data") {
        raw_object(&data, PARAMETERS_BYTES_MAX, errors);
    }
    let network = at.child("networkData");
    rules::check(&NETWORK, &network, None, errors);
    each_once(
        &network,
        "ips",
        NETWORK_IPS_COUNT_MAX,
        |ip| ip.text().to_owned(),
        errors,
        |ip, errors| {
            errors.extend(is_valid_interface_address(&ip.path, ip.text()));
        },
    );
}

fn row(claim: &Value, now: i64) -> Vec<Value> {
    let (deleted, allocated) = (is_deleted(claim), some(claim, "/status/allocation").is_some());
    let states = [
        ("deleted", deleted),
        ("pending", !allocated && !deleted),
        ("allocated", allocated),
        ("reserved", allocated && !items(claim, "/status/reservedFor").is_empty()),
    ];
    cells![cell::name(claim), join(states.into_iter().filter(|(_, holds)| *holds).map(|(state, _)| state), ","), age(claim, now)]
}
