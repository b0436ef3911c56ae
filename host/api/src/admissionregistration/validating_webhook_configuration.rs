//! ValidatingWebhookConfiguration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/validatingwebhookconfiguration`).

use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching;
use crate::admissionregistration::webhooks::{self, default_webhook};
use crate::kinds::kind::{Generation, Kind};
use crate::shared::value::list_mut;

/// The row.
pub(crate) static KIND: Kind = Kind::new("admissionregistration.k8s.io", "ValidatingWebhookConfiguration")
    .generation(Generation::From1(webhooks::webhooks))
    .conditional_update()
    .default(default)
    .validate(webhooks::validate_webhooks)
    .validate_update(webhooks::validate_webhooks_update)
    .warn(matching::warn_of_name)
    .printer(webhooks::webhook_configuration)
    .unenforced("no webhook is called");

fn default(_: &Resource, object: &mut Value) {
    list_mut(object, "webhooks").for_each(default_webhook);
}
