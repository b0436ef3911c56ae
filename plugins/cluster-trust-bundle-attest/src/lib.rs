//! Admission `ClusterTrustBundleAttest`: who writes a bundle of trust anchors that belongs to a signer needs the verb `attest` on the signer.
//!
//! As upstream in its default configuration, this server does not serve ClusterTrustBundles yet: the plugin stands in its place and is asked
//! once they are.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quote::quote;
use wasmgate_sdk::signers;

/// The plugin.
#[derive(Default)]
pub struct ClusterTrustBundleAttest;

impl Plugin for ClusterTrustBundleAttest {}

impl ValidatingAdmission for ClusterTrustBundleAttest {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let resource = &request.resource;
        let writes = matches!(request.operation, Operation::Create | Operation::Update)
            && (resource.group.as_str(), resource.resource.as_str()) == ("certificates.k8s.io", "clustertrustbundles");
        if !writes {
            return Ok(());
        }
        let Some(bundle) = request.object() else {
            return Err(deny_forbidden("expected type ClusterTrustBundle, got: <nil>"));
        };
        // The new object's: validation keeps an update from changing it.
        let signer_name = bundle.get_str("/spec/signerName").unwrap_or_default();
        if signer_name.is_empty() || request.changes_only_owners() {
            return Ok(());
        }
        if signers::is_authorized(request.user(), "attest", &signer_name) {
            return Ok(());
        }
        Err(deny_forbidden(format!("user not permitted to attest for signerName {}", quote(&signer_name))))
    }
}

wasmgate_sdk::plugin!(ClusterTrustBundleAttest: validating_admission);

#[cfg(test)]
mod tests;
