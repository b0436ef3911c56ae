//! Who may do something in the name of a signer: upstream's permission on the resource `signers`, which is no resource of the API.

use crate::authorization::{Attributes, Decision};
use crate::capabilities::authorizer;
use crate::user::UserInfo;

/// Whether the user has this verb (`approve`, `sign`, `attest`) on the signer, or on all signers of its domain (`example.com/*`). Asks the
/// authorizers: needs the capability `authorizer`.
pub fn is_authorized(user: &UserInfo, verb: &str, signer_name: &str) -> bool {
    let domain = signer_name.split('/').next().unwrap_or_default();
    [signer_name, &format!("{domain}/*")].into_iter().any(|name| {
        let attributes = Attributes {
            user: user.clone(),
            verb: verb.to_owned(),
            api_group: "certificates.k8s.io".to_owned(),
            api_version: "*".to_owned(),
            resource: "signers".to_owned(),
            name: name.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        authorizer::authorize(&attributes).is_ok_and(|answer| answer.decision == Decision::Allow)
    })
}
