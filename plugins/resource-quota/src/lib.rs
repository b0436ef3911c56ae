//! Admission `ResourceQuota`: what is made and changed takes of the quotas of its namespace, and not more than there is.
//!
//! This plugin says what an object takes of which quotas, and refuses what lacks something that a quota asks for. Whether there is enough is
//! decided where it is taken, in the transaction that stores the object: each quota is charged ([`Request::charge`]).
//!
//! A quota counts as soon as somebody has taken up its `spec.hard` in its `status`, and counted what is there already; in a cluster that is
//! kube-controller-manager, which also gives back what deletions free. A server that is alone counts by itself, and by the code of this plugin.

pub mod amounts;
mod check;
mod claim;
mod pod;
pub mod quota;
mod resource_claim;
mod service;
pub mod subject;

use wasmgate_sdk::admission::{Charge, GroupVersionResource};
use wasmgate_sdk::json::Config;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::{clock, cluster};

use check::{LimitedResource, Refusal};
use quota::Quota;
use subject::Kind;

/// The plugin.
#[derive(Default)]
pub struct ResourceQuota {
    settings: Settings,
}

/// Upstream's `ResourceQuotaConfiguration`. Where it limits something, the manifest must not ask for a quota that `exists`.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    limited_resources: Vec<LimitedResource>,
}

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Input {
    operation: Operation,
    resource: GroupVersionResource,
    sub_resource: String,
    namespace: String,
}

impl Plugin for ResourceQuota {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        self.settings = config.parse()?;
        Ok(())
    }
}

impl ValidatingAdmission for ResourceQuota {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let Input { operation, resource, sub_resource, namespace } = request.input()?;
        let Some(kind) = Kind::of(&resource.group, &resource.resource) else { return Ok(()) };
        let Some(object) = request.object() else { return Ok(()) };
        let read = |object: &Object<'_>| kind.read(object).map_err(|why| internal(&format!("unable to read the object: {why}")));
        let old = request.old().map(read).transpose()?;
        let object = read(object)?;
        if !kind.is_concerned(operation, &sub_resource, &object, old.as_ref()) {
            return Ok(());
        }
        let quotas = quotas(&namespace)?;
        if quotas.is_empty() && self.settings.limited_resources.is_empty() {
            return Ok(());
        }
        let change = check::Change {
            resource: (&resource.group, &resource.resource),
            kind: &kind,
            object: &object,
            old: old.as_ref().filter(|_| operation == Operation::Update),
            now_milliseconds: clock::now_milliseconds(),
        };
        let taken = change.taken(&quotas, &self.settings.limited_resources).map_err(|refusal| match refusal {
            Refusal::Forbidden(message) => deny_forbidden(message),
            Refusal::Error(message) => Status::new(500, "", message).into(),
        })?;
        for check::Taken { quota, amounts } in taken {
            let charge = Charge {
                resource: GroupResource::new("", "resourcequotas"),
                namespace: namespace.clone(),
                name: quota.to_owned(),
                amounts: amounts.into_iter().map(|(name, amount)| (name, amount.to_string())).collect(),
            };
            request.charge(charge).map_err(|error| internal(&error.message))?;
        }
        Ok(())
    }
}

/// The namespace's quotas, by name.
fn quotas(namespace: &str) -> Result<Vec<Quota>, Denial> {
    let found = cluster::list("", "resourcequotas", namespace).map_err(|error| internal(&error.message))?;
    // One that cannot be read might limit what is asked for.
    found.iter().map(|quota| quota.parse().map_err(|why| internal(&format!("unable to read a quota: {why}")))).collect()
}

fn internal(message: &str) -> Denial {
    Status::internal(message).into()
}

wasmgate_sdk::plugin!(ResourceQuota: validating_admission);

#[cfg(test)]
mod tests;
