//! Admission `CertificateApproval`: who approves or denies a request for a certificate needs the verb `approve` on its signer, besides the
//! right to update `certificatesigningrequests/approval`.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quote::quote;
use wasmgate_sdk::signers;

/// The plugin.
#[derive(Default)]
pub struct CertificateApproval;

impl Plugin for CertificateApproval {}

impl ValidatingAdmission for CertificateApproval {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let resource = &request.resource;
        let approves = request.subresource == "approval"
            && (resource.group.as_str(), resource.resource.as_str()) == ("certificates.k8s.io", "certificatesigningrequests");
        if !approves {
            return Ok(());
        }
        // The stored request counts: the approval must not name another signer than the one that is approved.
        let Some(stored) = request.old() else {
            return Err(deny_forbidden("expected type CertificateSigningRequest, got: <nil>"));
        };
        let signer_name = stored.get_str("/spec/signerName").unwrap_or_default();
        if signers::is_authorized(request.user(), "approve", &signer_name) {
            return Ok(());
        }
        Err(deny_forbidden(format!("user not permitted to approve requests with signerName {}", quote(&signer_name))))
    }
}

wasmgate_sdk::plugin!(CertificateApproval: validating_admission);

#[cfg(test)]
mod tests;
