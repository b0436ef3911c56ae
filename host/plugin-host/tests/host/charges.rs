//! What a plugin charges: noted with its answer, and only what its manifest grants.

use admission::{Admission, Amounts, ChainSource, Charges, Objects, Operation};
use apimachinery::Status;
use apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use crate::bench::*;

/// A plugin that charges these and goes on so, with a manifest that lets it charge quotas.
fn charging(change: Value) -> String {
    let mut spec = json!({
        "roles": ["validating-admission"], "credentials": [], "charges": [{"resource": "resourcequotas"}], "config": {"do": "charge"},
    });
    for (field, value) in change.as_object().into_iter().flatten() {
        match field.as_str() {
            "charges" | "then" => spec["config"][field] = value.clone(),
            field => spec[field] = value.clone(),
        }
    }
    manifest("charger", spec)
}

fn quota(name: &str, amounts: Value) -> Value {
    json!({"resource": "resourcequotas", "name": name, "amounts": amounts})
}

/// What comes of an operation on `pods "web"`, and of what the client is warned: what the guest was told of each charge.
async fn validated(bench: &Bench, operation: Operation) -> (Result<Charges, Status>, Vec<String>) {
    let mut attributes = create(bench.set.in_force());
    attributes.operation = operation;
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}});
    let objects = Objects { object: Some(&object), old: None };
    let charges = bench.set.chain().validate(&attributes, &Untyped::PODS, objects).await;
    (charges, attributes.context.recorder.warnings.texts().split_off(1))
}

/// `q: pods=1 | r: pods=2`
fn text(charges: &Charges) -> String {
    let amounts = |amounts: &Amounts| {
        let one = |(name, amount): (&String, &Quantity)| format!("{name}={amount}");
        amounts.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let all = charges.iter().map(|(charged, sums)| {
        assert_eq!((&*charged.resource.resource, charged.namespace.as_str()), ("resourcequotas", "default"));
        format!("{}: {}", charged.name, amounts(sums))
    });
    all.collect::<Vec<_>>().join(" | ")
}

#[tokio::test]
async fn charges_go_with_the_answer() {
    let bench = Bench::new().await;
    let charges =
        json!([quota("q", json!({"pods": "1", "requests.cpu": "500m"})), quota("q", json!({"pods": "2"})), quota("r", json!({}))]);
    bench.load(&[charging(json!({ "charges": charges }))]).await;
    for operation in [Operation::Create, Operation::Update] {
        let (charges, told) = validated(&bench, operation).await;
        assert_eq!(text(&charges.expect("admitted")), "q: pods=3,requests.cpu=500m | r: ");
        assert_eq!(told, ["()"]);
    }
    // The next call begins with nothing.
    assert_eq!(text(&validated(&bench, Operation::Create).await.0.expect("admitted")), "q: pods=3,requests.cpu=500m | r: ");
}

#[tokio::test]
async fn nothing_comes_of_them_where_the_answer_is_none_or_no() {
    let bench = Bench::new().await;
    let charges = json!([quota("q", json!({"pods": "1"}))]);
    for (then, ignored, code) in [("trap", false, Some(500)), ("deny", false, Some(403)), ("trap", true, None)] {
        let policy = if ignored { "Ignore" } else { "Fail" };
        bench.load(&[charging(json!({"charges": charges, "then": then, "failurePolicy": policy}))]).await;
        let attributes = create(bench.set.in_force());
        let found = bench.set.chain().validate(&attributes, &Untyped::PODS, Objects::default()).await;
        match code {
            Some(code) => assert_eq!(found.expect_err("refused").code, code, "{then}"),
            None => assert!(found.expect("passed over").is_empty()),
        }
    }
    // What does not decide takes nothing.
    bench.load(&[charging(json!({"charges": charges, "mode": "Warn"}))]).await;
    assert!(validated(&bench, Operation::Create).await.0.expect("admitted").is_empty());
}

#[tokio::test]
async fn what_is_not_granted_or_none_is_an_error_and_no_fault() {
    let bench = Bench::new().await;
    let told = async |charge: Value, operation: Operation| {
        bench.load(&[charging(json!({"charges": [charge]}))]).await;
        let (charges, told) = validated(&bench, operation).await;
        (text(&charges.expect("admitted")), told.join(" | "))
    };
    let secret = json!({"resource": "secrets", "name": "s", "amounts": {"pods": "1"}});
    let twice = json!({"resource": "resourcequotas", "name": "q", "amounts": {"pods": "1"}, "twice": true});
    let long = "x".repeat(600);
    let many: serde_json::Map<String, Value> = (0..300).map(|i| (format!("a{i}"), json!("1"))).collect();
    let no_quantity = "the amount pods=x: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    for (charge, words) in [
        (secret, "LookupFailure::NotGranted secrets is not in the manifest's spec.charges".to_owned()),
        (quota("", json!({"pods": "1"})), "LookupFailure::Malformed an object that is charged has a name".into()),
        (quota("q", json!({"pods": "x"})), format!("LookupFailure::Malformed {no_quantity}")),
        (quota("q", json!({"pods": "-1"})), "LookupFailure::Malformed the amount pods=-1: it must have a name, and not be negative".into()),
        (quota("q", json!({"": "1"})), "LookupFailure::Malformed the amount =1: it must have a name, and not be negative".into()),
        (twice, "LookupFailure::Malformed the amount pods=1: it is there twice".into()),
        (quota("q", json!({ long: "1" })), "LookupFailure::TooLong an amount has more than 512 bytes".into()),
        (quota("q", Value::Object(many)), "LookupFailure::TooLong 300 amounts are charged at once, more than 256".into()),
    ] {
        assert_eq!(told(charge.clone(), Operation::Create).await, (String::new(), words), "{charge}");
    }
    let not_now = "LookupFailure::NotNow an object may be charged while a created or updated one is validated, and at no other time";
    for operation in [Operation::Delete, Operation::Connect] {
        assert_eq!(told(quota("q", json!({"pods": "1"})), operation).await, (String::new(), not_now.to_owned()), "{operation:?}");
    }
    let (charges, words) = told(json!({"resource": "resourcequotas", "name": "q", "objects": 65}), Operation::Create).await;
    assert_eq!(charges.split(" | ").count(), 64);
    assert_eq!(words, "() | LookupFailure::TooLong more than 64 objects are charged at once");
    // What mutates has not seen the object as it will be.
    let both = json!({"roles": ["mutating-admission", "validating-admission"], "charges": [quota("q", json!({"pods": "1"}))]});
    bench.load(&[charging(both)]).await;
    let (admitted, recorder) = bench.create().await;
    admitted.expect("admitted");
    assert_eq!(recorder.warnings.texts()[1..], [not_now.to_owned(), " calls=2".into(), "()".into()]);
}

#[tokio::test]
async fn what_is_charged_must_be_served() {
    let bench = Bench::new().await;
    bench.load(&[charging(json!({"charges": []})).replace("resourcequotas", "unicorns")]).await;
    assert_eq!(bench.failure(), "spec.charges names unicorns, which this server does not serve");
}
