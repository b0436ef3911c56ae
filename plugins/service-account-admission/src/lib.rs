//! Admission `ServiceAccount`: a pod runs as a service account that exists, mounts a token of it, and pulls images with its
//! secrets.
//!
//! Mirror pods (what a kubelet shows of a static pod) are left as they are, and may not use accounts or secrets at all.

mod account;
mod pod;
mod secrets;
mod token;

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::de::DeserializeOwned;
use wasmgate_sdk::serde_json::json;

use account::{Account, DEFAULT_NAME};
use pod::PodSpec;
use secrets::SecretUses;

/// Where a kubelet marks the mirror of a static pod.
const MIRROR_POD: &str = "/metadata/annotations/kubernetes.io~1config.mirror";

/// The plugin.
#[derive(Default)]
pub struct ServiceAccount;

impl Plugin for ServiceAccount {}

impl MutatingAdmission for ServiceAccount {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let Some(pod) = pod_of(request).filter(|_| request.operation == Operation::Create) else { return Ok(Patch::unchanged()) };
        if pod.get(MIRROR_POD).is_some() {
            return check_mirror_pod(pod).map(|()| Patch::unchanged());
        }
        let spec: PodSpec = readable(pod.pick_as("/spec", &PodSpec::FIELDS))?;
        let name = Some(spec.account_name()).filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
        let account = Account::find(&request.namespace, name).map_err(deny_forbidden)?;
        if account.enforces_mountable_secrets() {
            spec_of::<SecretUses>(pod)?.check(&account).map_err(deny_forbidden)?;
        }
        let mut patch = Patch::unchanged();
        // The second name is the first one's old name, and upstream always answers with both.
        for (field, known) in [("serviceAccountName", &spec.service_account_name), ("serviceAccount", &spec.service_account)] {
            if known.as_deref() != Some(name) {
                patch.add(format!("/spec/{field}"), name);
            }
        }
        if spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true) {
            token::mount(&spec, &mut patch);
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
        let Some(pod) = pod_of(request) else { return Ok(()) };
        let ephemeral = match (request.operation, request.subresource.as_str()) {
            (Operation::Create, _) => false,
            (Operation::Update, "ephemeralcontainers") => true,
            _ => return Ok(()),
        };
        if !ephemeral && pod.get(MIRROR_POD).is_some() {
            return check_mirror_pod(pod);
        }
        let name = [pod.get_str("/spec/serviceAccountName"), pod.get_str("/spec/serviceAccount")];
        let Some(name) = name.into_iter().flatten().find(|name| !name.is_empty()) else {
            let pod = pod.get_str("/metadata/name").unwrap_or_default();
            return Err(deny_forbidden(format!("no service account specified for pod {}/{pod}", request.namespace)));
        };
        let account = Account::find(&request.namespace, &name).map_err(deny_forbidden)?;
        if !account.enforces_mountable_secrets() {
            return Ok(());
        }
        let uses: SecretUses = spec_of(pod)?;
        if ephemeral {
            // Upstream does not call this one forbidden.
            return uses.check_ephemeral(&account).map_err(|message| Status::new(500, "", message).into());
        }
        uses.check(&account).map_err(deny_forbidden)
    }
}

wasmgate_sdk::plugin!(ServiceAccount: mutating_admission, validating_admission);

/// The pod of a request that is about one.
fn pod_of<'a>(request: &'a Request) -> Option<&'a Object<'a>> {
    let pods = request.resource.group.is_empty() && request.resource.resource == "pods";
    let known = ["", "ephemeralcontainers"].contains(&request.subresource.as_str());
    request.object().filter(|_| pods && known)
}

fn spec_of<T: DeserializeOwned + Default>(pod: &Object) -> Result<T, Denial> {
    readable(pod.get_as("/spec"))
}

fn readable<T: Default>(spec: Option<Result<T, String>>) -> Result<T, Denial> {
    Ok(spec.transpose().map_err(|error| deny_forbidden(format!("unable to read the pod: {error}")))?.unwrap_or_default())
}

fn check_mirror_pod(pod: &Object) -> Result<(), Denial> {
    if !spec_of::<PodSpec>(pod)?.account_name().is_empty() {
        return Err(deny_forbidden("a mirror pod may not reference service accounts"));
    }
    let uses: SecretUses = spec_of(pod)?;
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
