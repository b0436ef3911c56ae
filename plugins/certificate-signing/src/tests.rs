//! Cases as data: what of the status changes, what is held on the signers, and who may do it.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::json;
use wasmgate_sdk::testing;

use super::*;

const REFUSED: &str = "user not permitted to sign requests with signerName \"example.com/a\"";

/// The refusal of jane, who has the verb `sign` on these names of signers.
fn refusal(held: &'static [&'static str], subresource: &str, old: Value, new: Value) -> String {
    testing::set_authorizer(move |asked| {
        assert_eq!((asked.api_group.as_str(), asked.resource.as_str()), ("certificates.k8s.io", "signers"));
        assert_eq!((asked.verb.as_str(), asked.user.name.as_str()), ("sign", "jane"));
        if held.contains(&asked.name.as_str()) { Authorization::allow("") } else { Authorization::no_opinion("") }
    });
    let (group, resource) = ("certificates.k8s.io".to_owned(), "certificatesigningrequests".to_owned());
    let attributes = Attributes {
        operation: Operation::Update,
        resource: GroupVersionResource { group, version: "v1".to_owned(), resource },
        subresource: subresource.to_owned(),
        ..Attributes::default()
    };
    let old = json!({"spec": {"signerName": "example.com/a"}, "status": old});
    let new = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"signerName": "example.com/mine"}, "status": new});
    match CertificateSigning.validate(&Request::new(attributes, Some(Object::of(&new)), Some(Object::of(&old))).by(UserInfo::new("jane"))) {
        Ok(()) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

#[test]
fn who_may_sign() {
    let signed = || json!({"certificate": "YQ=="});
    for (held, subresource, want) in [
        (&["example.com/a"][..], "status", ""),
        (&["example.com/*"], "status", ""),
        (&["example.com/mine", "example.com", "*", "other.com/*"], "status", REFUSED),
        (&[], "status", REFUSED),
        (&[], "approval", ""),
        (&[], "", ""),
    ] {
        assert_eq!(refusal(held, subresource, json!({}), signed()), want, "{held:?} {subresource}");
    }
}

#[test]
fn what_is_signing() {
    let failed = |change: Value| {
        let mut condition = json!({"type": "Failed", "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z"});
        for (field, value) in change.as_object().expect("fields") {
            condition[field] = value.clone();
        }
        json!({"certificate": "YQ==", "conditions": [condition]})
    };
    for (old, new, want) in [
        (json!({}), json!({}), ""),
        (Value::Null, json!({"conditions": []}), ""),
        (json!({"conditions": null, "certificate": null}), json!({}), ""),
        (failed(json!({})), failed(json!({"reason": "", "lastTransitionTime": null})), ""),
        (json!({}), json!({"certificate": ""}), REFUSED),
        (json!({"certificate": "YQ=="}), json!({}), REFUSED),
        (json!({"certificate": "YQ=="}), json!({"certificate": "Yg=="}), REFUSED),
        (json!({"certificate": "YQ=="}), failed(json!({})), REFUSED),
        (failed(json!({})), failed(json!({"status": "False"})), REFUSED),
        (failed(json!({})), failed(json!({"message": "m"})), REFUSED),
        (failed(json!({})), failed(json!({"lastUpdateTime": "2026-01-02T00:00:00Z"})), REFUSED),
        (json!({"conditions": "x"}), json!({"conditions": "x"}), REFUSED),
    ] {
        assert_eq!(refusal(&[], "status", old.clone(), new.clone()), want, "{old} {new}");
    }
}
