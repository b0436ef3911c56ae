//! Admission `CertificateSubjectRestriction`: nobody asks the API server's client signer for a certificate of
//! `system:masters`, which no authorizer could take back.

mod request;

use wasmgate_sdk::prelude::*;

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

/// The plugin.
#[derive(Default)]
pub struct CertificateSubjectRestriction;

impl Plugin for CertificateSubjectRestriction {}

impl ValidatingAdmission for CertificateSubjectRestriction {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let creates = request.operation == Operation::Create && request.is("certificates.k8s.io", "certificatesigningrequests");
        let Some(csr) = request.object().filter(|_| creates) else { return Ok(()) };
        if csr.get_str("/spec/signerName").as_deref() != Some(SIGNER) {
            return Ok(());
        }
        let organizations = request::organizations(&csr.get_str("/spec/request").unwrap_or_default())
            .map_err(|error| deny_forbidden(format!("failed to parse CSR: {error}")))?;
        if organizations.iter().any(|organization| organization == MASTERS) {
            return Err(deny_forbidden(format!("use of {SIGNER} signer with {MASTERS} group is not allowed")));
        }
        Ok(())
    }
}

wasmgate_sdk::plugin!(CertificateSubjectRestriction: validating_admission);

#[cfg(test)]
mod tests;
