//! PriorityLevelConfiguration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/flowcontrol/prioritylevelconfiguration`).

use serde_json::{Value, json};

use crate::Resource;
use crate::flowcontrol::shared::{self, status_conditions};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{NONE, age, cells, int, name, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::value::{if_nil, if_zero, object_at, object_mut};

const QUEUES_MAX: i64 = 10_000_000;
const HASH_BITS_MAX: u32 = 60;

/// The row.
pub(crate) static KIND: Kind = Kind::new("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration")
    .status(StatusMetadata::KeepAll)
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(shared::validate_status)
    .printer(row)
    .unenforced("requests are not limited by it");

fn default(_: &Resource, level: &mut Value) {
    let spec = object_at(level, "spec");
    if let Some(exempt) = object_mut(spec, "exempt") {
        if_nil(exempt, "nominalConcurrencyShares", 0);
        if_nil(exempt, "lendablePercent", 0);
    }
    let Some(limited) = object_mut(spec, "limited") else { return };
    if_nil(limited, "nominalConcurrencyShares", 30);
    if_nil(limited, "lendablePercent", 0);
    if let Some(queuing) = object_mut(limited, "limitResponse").and_then(|response| object_mut(response, "queuing")) {
        if_zero(queuing, "handSize", 8);
        if_zero(queuing, "queues", 64);
        if_zero(queuing, "queueLengthLimit", 50);
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
    let name = apimachinery::object::name(object);
    const PRESERVE: &str = "flowcontrol.k8s.io/concurrency-shares-defaults-to-zero";
    let annotations = root.child("metadata").child("annotations");
    if annotations.has(PRESERVE) {
        errors.push(annotations.forbidden(&format!("annotation '{PRESERVE}' is forbidden")));
    }
    let spec = root.child("spec");
    let kind = spec.child("type");
    if (name == "exempt") != (kind.text() == "Exempt") {
        errors.push(kind.invalid("must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match kind.text() {
        "Exempt" => {
            if spec.has("limited") {
                errors.push(spec.child("limited").forbidden("must be nil if the type is not Limited"));
            }
            if let Some(exempt) = spec.some("exempt") {
                shares(&exempt, &mut errors);
            }
        }
        "Limited" => {
            if spec.has("exempt") {
                errors.push(spec.child("exempt").forbidden("must be nil if the type is Limited"));
            }
            match spec.some("limited") {
                None => errors.push(spec.child("limited").required("must not be empty when type is Limited")),
                Some(limited) => limited_level(&limited, &mut errors),
            }
        }
        _ => errors.push(kind.unsupported(&["Exempt", "Limited"])),
    }
    if name == "catch-all" {
        let fixed = json!({
            "type": "Limited",
            "limited": { "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": { "type": "Reject" } },
        });
        if *spec.value != fixed {
            errors.push(spec.invalid("spec of 'catch-all' must equal the fixed value"));
        }
    }
    status_conditions(object, &mut errors);
    errors
}

fn shares(at: &FieldValue<'_>, errors: &mut Errors) {
    let shares = at.child("nominalConcurrencyShares");
    if shares.int() < 0 {
        errors.push(shares.invalid("must be a non-negative integer"));
    }
    let lendable = at.child("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
}

fn limited_level(at: &FieldValue<'_>, errors: &mut Errors) {
    let count = at.child("nominalConcurrencyShares");
    if count.int() < 0 {
        errors.push(count.invalid("must be a non-negative integer"));
    }
    let response = at.child("limitResponse");
    let (kind, queuing) = (response.child("type"), response.child("queuing"));
    match kind.text() {
        "Reject" if !queuing.value.is_null() => errors.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited")),
        "Queue" if queuing.value.is_null() => {
            errors.push(queuing.required("must not be empty if limited.limitResponse.type is Limited"));
        }
        "Queue" => queues(&queuing, errors),
        "Reject" => {}
        _ => errors.push(kind.unsupported(&["Queue", "Reject"])),
    }
    let lendable = at.child("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
    let borrowing = at.child("borrowingLimitPercent");
    if borrowing.int() < 0 {
        errors.push(borrowing.invalid("if specified, must be a non-negative integer"));
    }
}

fn queues(at: &FieldValue<'_>, errors: &mut Errors) {
    let (length, queues, hand) = (at.child("queueLengthLimit"), at.child("queues"), at.child("handSize"));
    if length.int() <= 0 {
        errors.push(length.invalid("must be positive"));
    }
    if queues.int() <= 0 {
        errors.push(queues.invalid("must be positive"));
    } else if queues.int() > QUEUES_MAX {
        errors.push(queues.invalid(&format!("must not be greater than {QUEUES_MAX}")));
    }
    if hand.int() <= 0 {
        errors.push(hand.invalid("must be positive"));
    } else if hand.int() > queues.int() {
        errors.push(hand.invalid(&format!("should not be greater than queues ({})", queues.int())));
    } else {
        let bits = entropy_bits(queues.int(), hand.int());
        if bits > HASH_BITS_MAX {
            let detail = format!(
                "required entropy bits of deckSize {} and handSize {} should not be greater than {HASH_BITS_MAX}",
                queues.int(),
                hand.int()
            );
            errors.push(hand.invalid(&detail));
        }
    }
}

fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let bits = (deck as f64).log2() * hand as f64;
    bits.ceil() as u32
}

fn validate_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate(resource, object)
}

fn row(level: &Value, now: i64) -> Vec<Value> {
    let limited = some(level, "/spec/limited");
    let queuing = limited.and_then(|limited| some(limited, "/limitResponse/queuing"));
    // Numbers where there are any, in columns of strings.
    let number = |of: Option<&Value>, pointer: &str| of.map_or_else(|| Value::from(NONE), |of| int(of, pointer).into());
    cells![
        name(level),
        text(level, "/spec/type"),
        number(limited, "/nominalConcurrencyShares"),
        number(queuing, "/queues"),
        number(queuing, "/handSize"),
        number(queuing, "/queueLengthLimit"),
        age(level, now),
    ]
}
