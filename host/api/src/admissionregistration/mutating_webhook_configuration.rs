//! MutatingWebhookConfiguration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/mutatingwebhookconfiguration`).

use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::webhooks::{self, default_webhook};
use crate::kinds::kind::Kind;
use crate::shared::value::{if_nil, list_mut};

/// The row.
pub(crate) static KIND: Kind = webhooks::configuration("MutatingWebhookConfiguration", default);

fn default(_: &Resource, object: &mut Value) {
    for webhook in list_mut(object, "webhooks") {
        default_webhook(webhook);
        if_nil(webhook, "reinvocationPolicy", "Never");
    }
}
