//! Cases as data: what is written, what is held on the signers, and who may do it.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::{Value, json};
use wasmgate_sdk::testing;

use super::*;

const REFUSED: &str = "user not permitted to attest for signerName \"example.com/a\"";

/// The refusal of jane, who has the verb `attest` on these names of signers.
fn refusal(held: &'static [&'static str], old: Option<&Value>, new: &Value) -> String {
    testing::set_authorizer(move |asked| {
        assert_eq!((asked.verb.as_str(), asked.resource.as_str(), asked.user.name.as_str()), ("attest", "signers", "jane"));
        if held.contains(&asked.name.as_str()) { Authorization::allow("") } else { Authorization::no_opinion("") }
    });
    let (group, resource) = ("certificates.k8s.io".to_owned(), "clustertrustbundles".to_owned());
    let attributes = Attributes {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        resource: GroupVersionResource { group, version: "v1beta1".to_owned(), resource },
        ..Attributes::default()
    };
    match ClusterTrustBundleAttest.validate(&Request::new(attributes, Some(Object::of(new)), old.map(Object::of)).by(UserInfo::new("jane")))
    {
        Ok(()) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

#[test]
fn who_may_attest() {
    let of = |signer: &str, anchors: &str| json!({"metadata": {"name": "x"}, "spec": {"signerName": signer, "trustBundle": anchors}});
    let owned = || {
        let mut bundle = of("example.com/a", "1");
        bundle["metadata"]["finalizers"] = json!(["a"]);
        bundle["metadata"]["ownerReferences"] = json!([{"name": "o"}]);
        bundle["metadata"]["labels"] = json!({});
        bundle
    };
    let labelled = || {
        let mut bundle = owned();
        bundle["metadata"]["labels"] = json!({"a": "b"});
        bundle
    };
    let stored = of("example.com/a", "1");
    for (held, old, new, want) in [
        (&["example.com/a"][..], None, of("example.com/a", "1"), ""),
        (&["example.com/*"], None, of("example.com/a", "1"), ""),
        (&["example.com", "*", "other.com/*"], None, of("example.com/a", "1"), REFUSED),
        (&[], None, of("", "1"), ""),
        (&[], None, json!({"spec": {"trustBundle": "1"}}), ""),
        (&[], Some(&stored), of("example.com/a", "2"), REFUSED),
        (&["example.com/a"], Some(&stored), of("example.com/a", "2"), ""),
        (&[], Some(&stored), of("example.com/a", "1"), ""),
        (&[], Some(&stored), owned(), ""),
        (&[], Some(&stored), labelled(), REFUSED),
    ] {
        assert_eq!(refusal(held, old, &new), want, "{held:?} {new}");
    }
}
