//! MutatingWebhookConfiguration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/mutatingwebhookconfiguration`).

use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching;
use crate::admissionregistration::webhooks::{self, default_webhook};
use crate::kinds::kind::{Generation, Kind};
use crate::shared::value::{if_nil, list_mut};

/// The row.
pub(crate) static KIND: Kind = Kind::new("admissionregistration.k8s.io", "MutatingWebhookConfiguration")
    .generation(Generation::From1(webhooks::webhooks))
    .conditional_update()
    .default(default)
    .validate(webhooks::validate_webhooks)
    .validate_update(webhooks::validate_webhooks_update)
    .warn(matching::warn_of_name)
    .printer(webhooks::webhook_configuration)
    .unenforced("no webhook is called");

fn default(_: &Resource, object: &mut Value) {
    for webhook in list_mut(object, "webhooks") {
        default_webhook(webhook);
        if_nil(webhook, "reinvocationPolicy", "Never");
    }
}
