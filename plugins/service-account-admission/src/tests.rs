//! Cases as data: a pod, and upstream's answer.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::{Value, json};
use wasmgate_sdk::testing;

use super::*;

fn accounts() {
    let accounts = [
        json!({"metadata": {"name": "default", "namespace": "ns"}}),
        json!({"metadata": {"name": "quiet", "namespace": "ns"}, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "reg"}]}),
        json!({"metadata": {"name": "strict", "namespace": "ns", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
               "automountServiceAccountToken": false, "secrets": [{"name": "ok"}], "imagePullSecrets": [{"name": "reg"}]}),
    ];
    accounts.into_iter().for_each(|account| testing::put("", "serviceaccounts", account));
    testing::put_live(
        "",
        "serviceaccounts",
        json!({"metadata": {"name": "new", "namespace": "ns"}, "automountServiceAccountToken": false}),
    );
}

fn request<'a>(operation: Operation, subresource: &str, pod: &'a Value) -> Request<'a> {
    let attributes = Attributes {
        operation,
        resource: GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "pods".to_owned() },
        subresource: subresource.to_owned(),
        namespace: "ns".to_owned(),
        name: "p".to_owned(),
        ..Attributes::default()
    };
    Request::new(attributes, Some(Object::of(pod)), None)
}

fn words<T>(answer: Result<T, Denial>) -> String {
    match answer {
        Ok(_) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => format!("{} {}", status.as_value()["code"], status.message()),
    }
}

#[test]
fn what_is_refused() {
    accounts();
    let pod = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
    let mirror = |spec: Value| json!({"metadata": {"name": "p", "annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": spec});
    let secret_env = json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": "bad", "key": "k"}}}]);
    let rows = [
        (pod(json!({"serviceAccountName": "default"})), ""),
        (pod(json!({"serviceAccountName": "new"})), ""),
        (pod(json!({"serviceAccountName": "nope"})), "error looking up service account ns/nope: serviceaccount \"nope\" not found"),
        (pod(json!({"serviceAccount": "nope"})), "error looking up service account ns/nope: serviceaccount \"nope\" not found"),
        (pod(json!({"serviceAccountName": "quiet", "volumes": [{"name": "v", "secret": {"secretName": "bad"}}]})), ""),
        (pod(json!({"serviceAccountName": "strict", "volumes": [{"name": "v", "secret": {"secretName": "ok"}}]})), ""),
        (
            pod(json!({"serviceAccountName": "strict", "volumes": [{"name": "v", "secret": {"secretName": "bad"}}]})),
            "volume with secret.secretName=\"bad\" is not allowed because service account strict does not reference that secret",
        ),
        (pod(json!({"serviceAccountName": "strict", "containers": [{"name": "c", "env": secret_env}]})), {
            "container c with envVar E referencing secret.secretName=\"bad\" is not allowed because service account strict does not \
             reference that secret"
        }),
        (
            pod(json!({"serviceAccountName": "strict", "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "bad"}}]}]})),
            "init container i with envFrom referencing secret.secretName=\"bad\" is not allowed because service account strict does not \
             reference that secret",
        ),
        (
            pod(json!({"serviceAccountName": "strict", "imagePullSecrets": [{"name": "reg"}, {"name": "bad"}]})),
            "imagePullSecrets[1].name=\"bad\" is not allowed because service account strict does not reference that imagePullSecret",
        ),
        (mirror(json!({})), ""),
        (mirror(json!({"serviceAccountName": "default"})), "a mirror pod may not reference service accounts"),
        (mirror(json!({"serviceAccount": "default"})), "a mirror pod may not reference service accounts"),
        (mirror(json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})), "a mirror pod may not reference secrets"),
        (mirror(json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]})), {
            "a mirror pod may not reference secrets"
        }),
        (mirror(json!({"imagePullSecrets": [{"name": "s"}]})), "a mirror pod may not reference secrets"),
        (
            mirror(json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]})),
            "a mirror pod may not use ServiceAccountToken volume projections",
        ),
    ];
    for (pod, want) in rows {
        assert_eq!(words(ServiceAccount.validate(&request(Operation::Create, "", &pod))), want, "validate {pod}");
        assert_eq!(words(ServiceAccount.admit(&request(Operation::Create, "", &pod))), want, "admit {pod}");
        assert_eq!(words(ServiceAccount.validate(&request(Operation::Update, "", &pod))), "", "update {pod}");
    }
    let nameless = pod(json!({}));
    assert_eq!(words(ServiceAccount.validate(&request(Operation::Create, "", &nameless))), "no service account specified for pod ns/p");
    let ephemeral = pod(json!({"serviceAccountName": "strict", "ephemeralContainers": [{"name": "e", "env": secret_env}]}));
    let want = "500 ephemeral container e with envVar E referencing secret.secretName=\"bad\" is not allowed because service account \
                strict does not reference that secret";
    assert_eq!(words(ServiceAccount.validate(&request(Operation::Update, "ephemeralcontainers", &ephemeral))), want);
}

#[test]
fn what_is_added() {
    accounts();
    let mount = json!({"name": "V", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    let volume = json!({"name": "V", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}}]}});
    let taken = json!([{"name": "x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let name = |name: &str| {
        vec![
            json!({"op": "add", "path": "/spec/serviceAccountName", "value": name}),
            json!({"op": "add", "path": "/spec/serviceAccount", "value": name}),
        ]
    };
    let rows = [
        (
            json!({"containers": [{"name": "c"}]}),
            [
                name("default"),
                vec![
                    json!({"op": "add", "path": "/spec/containers/0/volumeMounts", "value": [mount]}),
                    json!({"op": "add", "path": "/spec/volumes", "value": [volume]}),
                ],
            ]
            .concat(),
        ),
        (
            json!({"serviceAccountName": "default", "serviceAccount": "default", "volumes": [{"name": "v", "emptyDir": {}}],
                   "containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, {"name": "b", "volumeMounts": taken}],
                   "initContainers": [{"name": "i"}]}),
            vec![
                json!({"op": "add", "path": "/spec/initContainers/0/volumeMounts", "value": [mount]}),
                json!({"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": mount}),
                json!({"op": "add", "path": "/spec/volumes/-", "value": volume}),
            ],
        ),
        (json!({"containers": [{"name": "b", "volumeMounts": taken}]}), name("default")),
        (json!({"automountServiceAccountToken": false, "containers": [{"name": "c"}]}), name("default")),
        (
            json!({"serviceAccount": "quiet", "containers": [{"name": "c"}]}),
            vec![
                json!({"op": "add", "path": "/spec/serviceAccountName", "value": "quiet"}),
                json!({"op": "add", "path": "/spec/imagePullSecrets", "value": [{"name": "reg"}]}),
            ],
        ),
        (json!({"serviceAccountName": "quiet", "serviceAccount": "quiet", "imagePullSecrets": [{"name": "mine"}]}), vec![]),
    ];
    for (spec, want) in rows {
        let pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let patch = ServiceAccount.admit(&request(Operation::Create, "", &pod)).expect("admitted");
        let mut text = Value::from(patch.operations()).to_string();
        if let Some(at) = text.find("kube-api-access-") {
            let generated = text[at..at + "kube-api-access-".len() + 5].to_owned();
            text = text.replace(&generated, "V");
        }
        assert_eq!(text, Value::from(want).to_string(), "{spec}");
    }
}

#[test]
fn a_volume_that_is_there_is_used() {
    accounts();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "default", "serviceAccount": "default",
        "volumes": [{"name": "kube-api-access-abcde", "emptyDir": {}}], "containers": [{"name": "c"}]}});
    let patch = ServiceAccount.admit(&request(Operation::Create, "", &pod)).expect("admitted");
    assert_eq!(patch.operations().len(), 1);
    assert_eq!(patch.operations()[0]["value"][0]["name"], "kube-api-access-abcde");
}
