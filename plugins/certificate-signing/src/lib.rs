//! Admission `CertificateSigning`: who puts a certificate, or a condition, into the status of a request needs the verb `sign` on its
//! signer, besides the right to update `certificatesigningrequests/status`.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quote::quote;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::Value;
use wasmgate_sdk::signers;

/// The plugin.
#[derive(Default)]
pub struct CertificateSigning;

impl Plugin for CertificateSigning {}

/// All fields of a condition; one that is not there is empty.
#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
    last_update_time: Option<String>,
    last_transition_time: Option<String>,
}

impl ValidatingAdmission for CertificateSigning {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let resource = &request.resource;
        let signs = request.subresource == "status"
            && (resource.group.as_str(), resource.resource.as_str()) == ("certificates.k8s.io", "certificatesigningrequests");
        if !signs {
            return Ok(());
        }
        let (Some(csr), Some(stored)) = (request.object(), request.old()) else {
            return Err(deny_forbidden("expected type CertificateSigningRequest, got: <nil>"));
        };
        if certificate(csr) == certificate(stored) && is_same(conditions(csr), conditions(stored)) {
            return Ok(());
        }
        // The stored request counts: the change must not name another signer than the one that signs.
        let signer_name = stored.get_str("/spec/signerName").unwrap_or_default();
        if signers::is_authorized(request.user(), "sign", &signer_name) {
            return Ok(());
        }
        Err(deny_forbidden(format!("user not permitted to sign requests with signerName {}", quote(&signer_name))))
    }
}

fn certificate(csr: &Object) -> Option<Value> {
    csr.get("/status/certificate").filter(|certificate| !certificate.is_null())
}

/// None where they cannot be read.
fn conditions(csr: &Object) -> Option<Vec<Condition>> {
    match csr.get_as::<Option<Vec<Condition>>>("/status/conditions") {
        None => Some(Vec::new()),
        Some(conditions) => conditions.ok().map(Option::unwrap_or_default),
    }
}

/// What cannot be read is not the same as anything.
fn is_same(new: Option<Vec<Condition>>, stored: Option<Vec<Condition>>) -> bool {
    new.is_some() && new == stored
}

wasmgate_sdk::plugin!(CertificateSigning: validating_admission);

#[cfg(test)]
mod tests;
