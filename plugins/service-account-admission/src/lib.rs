//! Admission `ServiceAccount`: a pod runs as a service account that exists, mounts a token of it, and pulls images with its
//! secrets.
//!
//! Mirror pods (what a kubelet shows of a static pod) are left as they are, and may not use accounts or secrets at all.

mod account;
mod pod;
mod secrets;
mod token;

use wasmgate_sdk::admission::GroupVersionResource;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::json;

use account::{Account, DEFAULT_NAME};
use pod::Pod;
use secrets::SecretUses;

/// The plugin.
#[derive(Default)]
pub struct ServiceAccount;

impl Plugin for ServiceAccount {}

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Input {
    operation: Operation,
    resource: GroupVersionResource,
    sub_resource: String,
    namespace: String,
    #[serde(default)]
    object: Option<Pod>,
    lookups: Lookups,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Lookups {
    #[serde(default)]
    account: Option<Account>,
}

impl Input {
    /// The pod of a request that is about one.
    fn pod(&self) -> Option<&Pod> {
        let pods = self.resource.group.is_empty() && self.resource.resource == "pods";
        let known = ["", "ephemeralcontainers"].contains(&self.sub_resource.as_str());
        self.object.as_ref().filter(|_| pods && known)
    }
}

impl MutatingAdmission for ServiceAccount {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let input: Input = request.input()?;
        let Some(pod) = input.pod().filter(|_| input.operation == Operation::Create) else { return Ok(Patch::unchanged()) };
        if pod.is_mirror() {
            return check_mirror_pod(pod, request).map(|()| Patch::unchanged());
        }
        let spec = &pod.spec;
        let name = Some(spec.account_name()).filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
        let account = Account::found_or_live(input.lookups.account.as_ref(), &input.namespace, name).map_err(deny_forbidden)?;
        if account.enforces_mountable_secrets() {
            secret_uses(request)?.check(&account).map_err(deny_forbidden)?;
        }
        let mut patch = Patch::unchanged();
        // The second name is the first one's old name, and upstream always answers with both.
        for (field, known) in [("serviceAccountName", &spec.service_account_name), ("serviceAccount", &spec.service_account)] {
            if known.as_deref() != Some(name) {
                patch.add(format!("/spec/{field}"), name);
            }
        }
        if spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true) {
            token::mount(spec, &mut patch);
        }
        if spec.image_pull_secrets().is_empty() && !account.image_pull_secrets().is_empty() {
            let names: Vec<_> = account.image_pull_secrets().iter().map(|secret| json!({"name": secret.name})).collect();
            patch.add("/spec/imagePullSecrets", names);
        }
        Ok(patch)
    }
}

impl ValidatingAdmission for ServiceAccount {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let input: Input = request.input()?;
        let Some(pod) = input.pod() else { return Ok(()) };
        let ephemeral = match (input.operation, input.sub_resource.as_str()) {
            (Operation::Create, _) => false,
            (Operation::Update, "ephemeralcontainers") => true,
            _ => return Ok(()),
        };
        if !ephemeral && pod.is_mirror() {
            return check_mirror_pod(pod, request);
        }
        let name = pod.spec.account_name();
        if name.is_empty() {
            return Err(deny_forbidden(format!("no service account specified for pod {}/{}", input.namespace, pod.name())));
        }
        let account = Account::found_or_live(input.lookups.account.as_ref(), &input.namespace, name).map_err(deny_forbidden)?;
        if !account.enforces_mountable_secrets() {
            return Ok(());
        }
        let uses = secret_uses(request)?;
        if ephemeral {
            // Upstream does not call this one forbidden.
            return uses.check_ephemeral(&account).map_err(|message| Status::new(500, "", message).into());
        }
        uses.check(&account).map_err(deny_forbidden)
    }
}

wasmgate_sdk::plugin!(ServiceAccount: mutating_admission, validating_admission);

/// What the pod does with secrets: asked for only where it matters.
fn secret_uses(request: &Request) -> Result<SecretUses, Denial> {
    let spec = request.object().and_then(|pod| pod.get_as("/spec"));
    Ok(spec.transpose().map_err(|error| deny_forbidden(format!("unable to read the pod: {error}")))?.unwrap_or_default())
}

fn check_mirror_pod(pod: &Pod, request: &Request) -> Result<(), Denial> {
    if !pod.spec.account_name().is_empty() {
        return Err(deny_forbidden("a mirror pod may not reference service accounts"));
    }
    let uses = secret_uses(request)?;
    if uses.any() {
        return Err(deny_forbidden("a mirror pod may not reference secrets"));
    }
    if uses.projects_tokens() {
        return Err(deny_forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
