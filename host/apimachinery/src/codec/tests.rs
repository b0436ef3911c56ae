//! Bodies and what becomes of them, over small schemas.

use std::borrow::Cow;

use serde_json::json;

use super::*;

macro_rules! schemas {
    ($($name:ident = $definition:literal { $($field:literal: $kind:expr,)* })*) => {$(
        static $name: Schema = Schema {
            name: Cow::Borrowed($definition),
            fields: Cow::Borrowed(&[$(Field::of($field, $kind)),*]),
            atomic: false,
            preserve_unknown: false,
            message: None,
        };
    )*};
}

schemas! {
    META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" {
        "creationTimestamp": FieldType::Time,
        "labels": FieldType::Map(&FieldType::String),
        "name": FieldType::String,
    }
    CONTAINER = "io.k8s.api.core.v1.Container" {
        "image": FieldType::String,
        "limits": FieldType::Map(&FieldType::Quantity),
        "name": FieldType::String,
    }
    SPEC = "io.k8s.api.apps.v1.DeploymentSpec" {
        "containers": FieldType::List(&FieldType::Object(SchemaRef::Static(&CONTAINER))),
        "maxSurge": FieldType::IntOrString,
        "paused": FieldType::Bool,
        "renewTime": FieldType::MicroTime,
        "replicas": FieldType::Int32,
        "timeout": FieldType::Duration,
        "weight": FieldType::Float,
    }
    DEPLOYMENT = "io.k8s.api.apps.v1.Deployment" {
        "apiVersion": FieldType::String,
        "binaryData": FieldType::Map(&FieldType::Bytes),
        "data": FieldType::Map(&FieldType::String),
        "kind": FieldType::String,
        "metadata": FieldType::Object(SchemaRef::Static(&META)),
        "raw": FieldType::Object(SchemaRef::Static(&RAW)),
        "spec": FieldType::Object(SchemaRef::Static(&SPEC)),
    }
}

static RAW: Schema = Schema {
    name: Cow::Borrowed("io.k8s.apimachinery.pkg.runtime.RawExtension"),
    fields: Cow::Borrowed(&[]),
    atomic: false,
    preserve_unknown: true,
    message: None,
};

const KIND: GroupVersionKind = GroupVersionKind::of("apps", "v1", "Deployment");

fn other_kinds(kind: &GroupVersionKind) -> Option<SchemaRef> {
    matches!((&*kind.version, &*kind.kind), ("v1", "Secret") | ("v2", "Deployment")).then_some(SchemaRef::Static(&DEPLOYMENT))
}

fn decoded(body: &str, media_type: MediaType) -> Result<Decoded, String> {
    decode(body.as_bytes(), media_type, &KIND, &DEPLOYMENT, &other_kinds).map_err(|error| error.into_status(&KIND, body.as_bytes()).message)
}

/// Without apiVersion and kind.
fn content(body: &str, media_type: MediaType) -> String {
    match decoded(body, media_type) {
        Ok(mut decoded) => {
            let object = decoded.value.as_object_mut().expect("an object");
            object.remove("apiVersion");
            object.remove("kind");
            decoded.value.to_string()
        }
        Err(message) => format!("err: {message}"),
    }
}

#[test]
fn values_take_their_types() {
    let rows = [
        (json!({}), json!({})),
        (json!({"metadata": null, "data": null, "spec": {"replicas": null, "paused": null}}), json!({"spec": {}})),
        (
            json!({"data": {"a": null}, "spec": {"containers": [null, {"name": "c"}]}}),
            json!({"data": {"a": ""}, "spec": {"containers": [{}, {"name": "c"}]}}),
        ),
        (json!({"spec": {"weight": 1.0, "replicas": 0}}), json!({"spec": {"weight": 1, "replicas": 0}})),
        (json!({"spec": {"maxSurge": "25%"}}), json!({"spec": {"maxSurge": "25%"}})),
        (
            json!({"spec": {"containers": [{"limits": {"cpu": 1.5, "memory": "1024Mi"}}]}}),
            json!({"spec": {"containers": [{"limits": {"cpu": "1500m", "memory": "1Gi"}}]}}),
        ),
        (
            json!({"metadata": {"creationTimestamp": "2024-01-01T01:00:00.5+01:00"}}),
            json!({"metadata": {"creationTimestamp": "2024-01-01T00:00:00Z"}}),
        ),
        (json!({"metadata": {"creationTimestamp": "0001-01-01T00:00:00Z"}}), json!({"metadata": {}})),
        (
            json!({"spec": {"renewTime": "2024-01-01T00:00:00.000001Z", "timeout": "90s"}}),
            json!({"spec": {"renewTime": "2024-01-01T00:00:00.000001Z", "timeout": "1m30s"}}),
        ),
        (json!({"raw": {"any": [1, {"x": null}]}}), json!({"raw": {"any": [1, {"x": null}]}})),
        (json!({"binaryData": {"a": "YQ=="}}), json!({"binaryData": {"a": "YQ=="}})),
    ];
    for (body, want) in rows {
        assert_eq!(content(&body.to_string(), MediaType::Json), want.to_string(), "{body}");
    }
}

#[test]
fn what_does_not_fit_is_said_in_upstream_s_words() {
    let quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let rows = [
        (json!({"spec": {"paused": "true"}}), "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"),
        (json!({"spec": []}), "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (json!({"metadata": {"name": 5}}), "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"),
        (json!({"data": {"a": 1}}), "json: cannot unmarshal number into Go struct field Deployment.data of type string"),
        (json!({"data": "x"}), "json: cannot unmarshal string into Go struct field Deployment.data of type map[string]string"),
        (json!({"binaryData": {"a": true}}), "json: cannot unmarshal bool into Go struct field Deployment.binaryData of type []uint8"),
        (json!({"binaryData": {"a": "%%%"}}), "illegal base64 data at input byte 0"),
        (
            json!({"spec": {"containers": "x"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.containers of type []v1.Container",
        ),
        (
            json!({"spec": {"replicas": 3000000000u32}}),
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": {"replicas": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": {"maxSurge": true}}),
            "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.maxSurge of type int32",
        ),
        (
            json!({"spec": {"maxSurge": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.maxSurge of type int32",
        ),
        (
            json!({"metadata": {"creationTimestamp": 5}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (json!({"spec": {"containers": [{"limits": {"cpu": true}}]}}), quantity),
        (json!({"spec": {"containers": [{"limits": {"cpu": {}}}]}}), quantity),
        // An error of a type that reads itself ends the reading; another waits for one.
        (json!({"data": 1, "spec": {"containers": [{"limits": {"cpu": "x"}}]}}), quantity),
        (json!({"data": 1, "spec": 2}), "json: cannot unmarshal number into Go struct field Deployment.data of type map[string]string"),
    ];
    for (body, want) in rows {
        let want = format!("Deployment in version \"v1\" cannot be handled as a Deployment: {want}");
        assert_eq!(decoded(&body.to_string(), MediaType::Json), Err(want), "{body}");
    }
}

#[test]
fn bodies_that_are_no_object() {
    let shape = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let parse = "couldn't get version/kind; json parse error:";
    let rows = [
        ("", format!("{parse} unexpected end of JSON input (<empty>)")),
        ("  \n", format!("{parse} unexpected end of JSON input (20200a)")),
        ("[]", format!("{parse} json: cannot unmarshal array into Go value of type {shape} (5b5d)")),
        ("\"x\"", format!("{parse} json: cannot unmarshal string into Go value of type {shape} (227822)")),
        ("5", format!("{parse} json: cannot unmarshal number into Go value of type {shape} (35)")),
        (
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"",
            format!("{parse} unexpected end of JSON input ({{\"apiVersion\":\"v1\",\"kind\":\"Con ...)"),
        ),
        ("{\"kind\":5}", format!("{parse} json: cannot unmarshal number into Go struct field .kind of type string ({{\"kind\":5}})")),
        ("{\"apiVersion\":\"a/b/c\"}", "unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})".to_owned()),
    ];
    for (body, want) in rows {
        let want = format!("the object provided is unrecognized (must be of type Deployment): {want}");
        assert_eq!(decoded(body, MediaType::Json), Err(want), "{body}");
    }
}

#[test]
fn kinds() {
    let rows = [
        (r#"{}"#, "apps/v1 Deployment"),
        (r#"{"apiVersion":"apps/v1"}"#, "apps/v1 Deployment"),
        (r#"{"kind":"Deployment"}"#, "apps/v1 Deployment"),
        (r#"{"apiVersion":"apps/v2","kind":"Deployment"}"#, "apps/v2 Deployment"),
        (
            r#"{"apiVersion":"v1","kind":"Frob"}"#,
            "Frob in version \"v1\" cannot be handled as a Deployment: no kind \"Frob\" is registered for version \"v1\" in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Secret"}"#,
            "Secret in version \"v1\" cannot be handled as a Deployment: converting (v1.Secret) to (apps.Deployment): unknown conversion",
        ),
    ];
    for (body, want) in rows {
        let got = decoded(body, MediaType::Json).map(|decoded| {
            let text = |name: &str| decoded.value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            format!("{} {}", text("apiVersion"), text("kind"))
        });
        assert_eq!(got.unwrap_or_else(|error| error), want, "{body}");
    }
}

#[test]
fn strict_objections() {
    let body = r#"{"metadata":{"name":"a","foo":1,"name":"b"},"data":{"a":"1","a":"2"},"data":{"b":"3"},
        "spec":{"containers":[{"name":"c","imagee":{"x":1},"image":"i","image":"j"}]},"frob":1,"frob":2}"#;
    let decoded = decoded(body, MediaType::Json).expect("fits");
    let want = [
        "unknown field \"metadata.foo\"",
        "duplicate field \"metadata.name\"",
        "duplicate field \"data.a\"",
        "duplicate field \"data\"",
        "unknown field \"spec.containers[0].imagee\"",
        "duplicate field \"spec.containers[0].image\"",
        "unknown field \"frob\"",
    ];
    assert_eq!(decoded.strict_errors, want);
    assert_eq!(decoded.strict_error(), Some(format!("strict decoding error: {}", want.join(", "))));
    assert_eq!(decoded.value.get("data"), Some(&json!({"a": "2", "b": "3"})));
    assert_eq!(decoded.value.get("spec"), Some(&json!({"containers": [{"name": "c", "image": "j"}]})));
}

#[test]
fn yaml_bodies() {
    let body = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  name: b\ndata:\n  a: \"1\"\n  a: \"2\"\nextra: 1\n";
    let decoded = decoded(body, MediaType::Yaml).expect("fits");
    let want = "strict decoding error: yaml: unmarshal errors:\n  line 5: key \"name\" already set in map\n  line 8: key \"a\" already set \
                in map, unknown field \"extra\"";
    assert_eq!(decoded.strict_error().as_deref(), Some(want));
    let warnings = ["line 5: key \"name\" already set in map", "line 8: key \"a\" already set in map", "unknown field \"extra\""];
    assert_eq!(decoded.warnings(), warnings);
    assert_eq!(content("metadata: {name: x}\ndata: {on: 'off'}\n", MediaType::Yaml), r#"{"data":{"true":"off"},"metadata":{"name":"x"}}"#);
    assert_eq!(content("", MediaType::Yaml), "{}");
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let unknown = decoded(&format!("{{\"x\":{}}}", deep(9000)), MediaType::Json).expect("what is unknown is dropped unread");
    assert_eq!(unknown.strict_errors, ["unknown field \"x\""]);
    let kept = content(&format!("{{\"raw\":{}}}", deep(9000)), MediaType::Json);
    assert!(kept.ends_with("exceeded max depth"), "{kept}");
    let mut value = json!(1);
    for _ in 0..node::OBJECT_LEVELS_MAX + 1 {
        value = json!([value]);
    }
    assert_eq!(check_value(&json!({ "raw": value }), &DEPLOYMENT), Err("exceeded max depth".to_owned()));
}

#[test]
fn delete_options() {
    let rows = [
        ("{}", "ok"),
        (r#"{"apiVersion":"v9","kind":"DeleteOptions","foo":1}"#, "ok"),
        ("{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (
            r#"{"kind":"Frob"}"#,
            "no kind \"Frob\" is registered for version \"meta.k8s.io/v1\" in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\"",
        ),
        (
            r#"{"gracePeriodSeconds":"x"}"#,
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
    ];
    for (body, want) in rows {
        let got = decode_delete_options(body.as_bytes(), MediaType::Json).map_or_else(|status| status.message, |_| "ok".to_owned());
        assert_eq!(got, want, "{body}");
    }
    let yaml = decode_delete_options(b"kind: DeleteOptions\npropagationPolicy: Orphan\n", MediaType::Yaml).expect("valid");
    assert_eq!(yaml.propagation_policy.as_deref(), Some("Orphan"));
}

#[test]
fn media_types() {
    let rows = [
        ("", Some(MediaType::Json)),
        ("application/json; charset=utf-8", Some(MediaType::Json)),
        ("application/yaml", Some(MediaType::Yaml)),
        ("text/plain", None),
    ];
    for (content_type, want) in rows {
        assert_eq!(MediaType::of(content_type), want, "{content_type}");
    }
}
