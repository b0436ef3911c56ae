//! Cases as data: what is held on the signers, and who may approve.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::json;
use wasmgate_sdk::testing;

use super::*;

const REFUSED: &str = "user not permitted to approve requests with signerName \"example.com/a\"";

/// The refusal of jane, who has this verb on these names of signers.
fn refusal(held: (&'static str, &'static [&'static str]), (operation, subresource): (Operation, &str)) -> String {
    testing::set_authorizer(move |asked| {
        assert_eq!((asked.api_group.as_str(), asked.resource.as_str()), ("certificates.k8s.io", "signers"));
        assert_eq!((asked.api_version.as_str(), asked.resource_request, asked.user.name.as_str()), ("*", true, "jane"));
        let allowed = asked.verb == held.0 && held.1.contains(&asked.name.as_str());
        if allowed { Authorization::allow("") } else { Authorization::no_opinion("") }
    });
    let (group, resource) = ("certificates.k8s.io".to_owned(), "certificatesigningrequests".to_owned());
    let attributes = Attributes {
        operation,
        resource: GroupVersionResource { group, version: "v1".to_owned(), resource },
        subresource: subresource.to_owned(),
        ..Attributes::default()
    };
    // Another signer in the approval helps nobody.
    let (new, old) = (json!({"spec": {"signerName": "example.com/mine"}}), json!({"spec": {"signerName": "example.com/a"}}));
    match CertificateApproval.validate(&Request::new(attributes, Some(Object::of(&new)), Some(Object::of(&old))).by(UserInfo::new("jane")))
    {
        Ok(()) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

#[test]
fn who_may_approve() {
    let approval = (Operation::Update, "approval");
    for (held, request, want) in [
        (("approve", &["example.com/a"][..]), approval, ""),
        (("approve", &["example.com/*"]), approval, ""),
        (("approve", &["example.com/mine", "example.com", "*", "other.com/*"]), approval, REFUSED),
        (("sign", &["example.com/a", "example.com/*"]), approval, REFUSED),
        (("approve", &[]), approval, REFUSED),
        (("approve", &[]), (Operation::Update, "status"), ""),
        (("approve", &[]), (Operation::Update, ""), ""),
    ] {
        assert_eq!(refusal(held, request), want, "{held:?} {request:?}");
    }
}
