//! ValidatingWebhookConfiguration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/validatingwebhookconfiguration`).

use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::webhooks::{self, default_webhook};
use crate::kinds::kind::Kind;
use crate::shared::value::list_mut;

/// The row.
pub(crate) static KIND: Kind = webhooks::configuration("ValidatingWebhookConfiguration", default);

fn default(_: &Resource, object: &mut Value) {
    list_mut(object, "webhooks").for_each(default_webhook);
}
