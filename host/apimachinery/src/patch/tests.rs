//! Whole patches over small schemas.

use std::borrow::Cow;

use serde_json::json;

use super::*;
use crate::schema::{Field, SchemaRef};

macro_rules! schemas {
    ($($name:ident = $definition:literal { $($field:expr,)* })*) => {$(
        static $name: Schema =
            Schema { name: Cow::Borrowed($definition), fields: Cow::Borrowed(&[$($field),*]), atomic: false, preserve_unknown: false, message: None };
    )*};
}

const fn merged_by(name: &'static str, kind: FieldType, key: &'static str) -> Field {
    let plain = Field::of(name, FieldType::Any);
    let field = Field {
        name: Cow::Borrowed(name),
        kind,
        required: false,
        list_type: plain.list_type,
        list_map_keys: Cow::Borrowed(&[]),
        patch_merge_key: if key.is_empty() { None } else { Some(Cow::Borrowed(key)) },
        patch_merge: true,
        patch_replace: false,
        patch_retain_keys: false,
        atomic: false,
        default: None,
    };
    std::mem::forget(plain);
    field
}

const fn replaced(name: &'static str, kind: FieldType) -> Field {
    let mut field = merged_by(name, kind, "");
    field.patch_merge = false;
    field.patch_replace = true;
    field
}

schemas! {
    ENV = "io.k8s.api.core.v1.EnvVar" { Field::of("name", FieldType::String), Field::of("value", FieldType::String), }
    CONTAINER = "io.k8s.api.core.v1.Container" {
        Field::of("args", FieldType::List(&FieldType::String)),
        merged_by("env", FieldType::List(&FieldType::Object(SchemaRef::Static(&ENV))), "name"),
        Field::of("image", FieldType::String),
        Field::of("name", FieldType::String),
    }
    STRATEGY = "io.k8s.api.apps.v1.DeploymentStrategy" { Field::of("max", FieldType::IntOrString), Field::of("type", FieldType::String), }
    SPEC = "io.k8s.api.apps.v1.DeploymentSpec" {
        merged_by("containers", FieldType::List(&FieldType::Object(SchemaRef::Static(&CONTAINER))), "name"),
        merged_by("finalizers", FieldType::List(&FieldType::String), ""),
        Field::of("replicas", FieldType::Int32),
        replaced("selector", FieldType::Object(SchemaRef::Static(&STRATEGY))),
        Field::of("strategy", FieldType::Object(SchemaRef::Static(&STRATEGY))),
    }
    META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" {
        Field::of("labels", FieldType::Map(&FieldType::String)),
        Field::of("name", FieldType::String),
    }
    DEPLOYMENT = "io.k8s.api.apps.v1.Deployment" {
        Field::of("apiVersion", FieldType::String),
        Field::of("kind", FieldType::String),
        Field::of("metadata", FieldType::Object(SchemaRef::Static(&META))),
        Field::of("spec", FieldType::Object(SchemaRef::Static(&SPEC))),
    }
}

const KIND: GroupVersionKind = GroupVersionKind::of("apps", "v1", "Deployment");

fn patched(patch_type: PatchType, original: &Value, body: &str, validation: FieldValidation) -> Result<Decoded, Status> {
    let none = |_: &GroupVersionKind| None;
    apply(patch_type, original, body.as_bytes(), Target { kind: &KIND, schema: &DEPLOYMENT, kinds: &none }, validation)
}

fn strategic(spec: Value, patch: Value) -> String {
    let body = json!({ "spec": patch }).to_string();
    match patched(PatchType::StrategicMerge, &json!({"metadata": {"name": "d"}, "spec": spec}), &body, FieldValidation::Warn) {
        Ok(decoded) => decoded.value.get("spec").cloned().unwrap_or_default().to_string(),
        Err(status) => format!("{} {}", status.code, status.message),
    }
}

#[test]
fn strategic_merges() {
    let list = |names: &[&str]| json!({"containers": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
    let named = |names: &[&str]| list(names).to_string();
    let rows = [
        // Maps and lists of maps.
        (json!({"replicas": 1}), json!({"replicas": 2}), json!({"replicas": 2}).to_string()),
        (json!({"replicas": 1}), json!({"replicas": null}), json!({}).to_string()),
        (json!({"replicas": 1}), json!({"replicas": 2.0}), json!({"replicas": 2}).to_string()),
        (
            json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}]}),
            json!({"containers": [{"name": "a", "image": "2", "args": ["y", "z"]}]}),
            json!({"containers": [{"name": "a", "image": "2", "args": ["y", "z"]}]}).to_string(),
        ),
        (
            json!({"containers": [{"name": "a", "env": [{"name": "E", "value": "1"}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "F", "value": "2"}, {"name": "E", "value": null}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "F", "value": "2"}, {"name": "E"}]}]}).to_string(),
        ),
        // The order of the result.
        (list(&["a", "b"]), list(&["c"]), named(&["c", "a", "b"])),
        (list(&["a", "b", "c"]), list(&["c", "a"]), named(&["b", "c", "a"])),
        (list(&["a", "b"]), list(&["b", "x"]), named(&["a", "b", "x"])),
        (json!({"finalizers": ["a", "b"]}), json!({"finalizers": ["b", "c"]}), json!({"finalizers": ["a", "b", "c"]}).to_string()),
        (
            list(&["a", "b"]),
            json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}], "containers": [{"name": "c"}]}),
            named(&["c", "b", "a"]),
        ),
        (list(&["a", "b", "c"]), json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}), named(&["b", "c", "a"])),
        // What is added takes the place of what is deleted.
        (
            list(&["c", "d", "a"]),
            json!({
                "$setElementOrder/containers": [{"name": "d"}, {"name": "e"}],
                "containers": [{"name": "d"}, {"name": "e"}, {"$patch": "delete", "name": "c"}],
            }),
            named(&["d", "a", "e"]),
        ),
        // Directives.
        (list(&["a", "b"]), json!({"containers": [{"$patch": "delete", "name": "a"}]}), named(&["b"])),
        (list(&["a", "b"]), json!({"containers": [{"$patch": "replace"}, {"name": "x"}]}), named(&["x"])),
        (
            json!({"strategy": {"type": "a", "max": 1}}),
            json!({"strategy": {"$patch": "replace", "type": "b"}}),
            json!({"strategy": {"type": "b"}}).to_string(),
        ),
        (json!({"strategy": {"type": "a"}}), json!({"strategy": {"$patch": "delete"}}), json!({"strategy": {}}).to_string()),
        (
            json!({"strategy": {"type": "a", "max": 1}}),
            json!({"strategy": {"$retainKeys": ["type"], "type": "b"}}),
            json!({"strategy": {"type": "b"}}).to_string(),
        ),
        (
            json!({"finalizers": ["a", "b"]}),
            json!({"$deleteFromPrimitiveList/finalizers": ["a"]}),
            json!({"finalizers": ["b"]}).to_string(),
        ),
        (json!({}), json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "env": null}]}), named(&["b"])),
        // What is wrong.
        (
            list(&["a"]),
            json!({"containers": [{"image": "a:2"}]}),
            "500 map: map[image:a:2] does not contain declared merge key: name".to_owned(),
        ),
        (list(&["a"]), json!({"containers": ["a"]}), "500 list element types are not identical: [[map[name:a]] [a]]".to_owned()),
        (
            list(&["a"]),
            json!({"containers": {"name": "a"}}),
            "422  \"\" is invalid: patch: Invalid value: \"map[spec:map[containers:map[name:a]]]\": cannot restore slice from map"
                .to_owned(),
        ),
        (
            json!({}),
            json!({"replicas": "x"}),
            "422  \"\" is invalid: patch: Invalid value: \"map[spec:map[replicas:x]]\": unrecognized type: int32".to_owned(),
        ),
        (
            list(&["a"]),
            json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a", "image": "a:2"}]}),
            "500 The order in patch list:\n[map[image:a:2 name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n".to_owned(),
        ),
        (
            json!({"strategy": {"type": "a"}}),
            json!({"strategy": {"$retainKeys": ["max"], "type": "b"}}),
            "400 invalid patch format of retainKeys".to_owned(),
        ),
        (
            json!({"strategy": {"type": "a"}}),
            json!({"strategy": {"$retainKeys": "type"}}),
            "400 invalid patch format of retainKeys".to_owned(),
        ),
        (
            json!({"strategy": {"type": "a"}}),
            json!({"strategy": {"$patch": "frob"}}),
            "500 unknown patch type: frob in map: map[$patch:frob]".to_owned(),
        ),
        (
            list(&["a"]),
            json!({"containers": [{"$patch": "frob", "name": "a"}]}),
            "500 unknown patch type: frob in map: map[$patch:frob name:a]".to_owned(),
        ),
    ];
    for (spec, patch, want) in rows {
        assert_eq!(strategic(spec.clone(), patch.clone()), want, "{spec} + {patch}");
    }
}

#[test]
fn bodies_that_are_no_patch() {
    use FieldValidation::{Ignore, Warn};
    let parse = "error decoding patch: ";
    let rows = [
        (PatchType::Json, "{}", Warn, format!("{parse}json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")),
        (PatchType::Json, "{}", Ignore, "json: cannot unmarshal object into Go value of type jsonpatch.Patch".to_owned()),
        (PatchType::Json, "[1]", Warn, format!("{parse}json: cannot unmarshal number into Go value of type handlers.jsonPatchOp")),
        (
            PatchType::Json,
            "[{\"op\":1}]",
            Warn,
            format!("{parse}json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        ),
        (PatchType::Json, "[", Warn, format!("{parse}unexpected end of JSON input")),
        (PatchType::Merge, "{", Warn, format!("{parse}unexpected end of JSON input")),
        (PatchType::Merge, "{", Ignore, "Invalid JSON Patch".to_owned()),
        (PatchType::Merge, "[]", Warn, format!("{parse}json: cannot unmarshal array into Go value of type map[string]interface {{}}")),
        (PatchType::Merge, "null", Warn, "Invalid JSON Patch".to_owned()),
        (PatchType::StrategicMerge, "[]", Warn, "json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned()),
    ];
    for (patch_type, body, validation, want) in rows {
        let status = patched(patch_type, &json!({}), body, validation).expect_err(body);
        assert_eq!((status.code, status.message), (400, want), "{patch_type:?} {body}");
    }
}

#[test]
fn what_comes_out_is_checked() {
    let original = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}});
    let shown = |spec: Value| field::go_quote(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}).to_string());
    let invalid = |spec: Value, why: &str| format!(" \"\" is invalid: patch: Invalid value: {}: {why}", shown(spec));
    let typed = "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
    let rows = [
        (PatchType::Merge, json!({"spec": {"replicas": "x"}}), FieldValidation::Warn, invalid(json!({"replicas": "x"}), typed)),
        (
            PatchType::Json,
            json!([{"op": "replace", "path": "/spec/replicas", "value": "x"}]),
            FieldValidation::Ignore,
            invalid(json!({"replicas": "x"}), typed),
        ),
        (
            PatchType::Merge,
            json!({"spec": {"foo": 1}}),
            FieldValidation::Strict,
            invalid(json!({"foo": 1, "replicas": 1}), "strict decoding error: unknown field \"spec.foo\""),
        ),
        (PatchType::Json, json!([{"op": "remove", "path": "/zz"}]), FieldValidation::Warn, rejected().message),
    ];
    for (patch_type, patch, validation, want) in rows {
        let status = patched(patch_type, &original, &patch.to_string(), validation).expect_err("does not fit");
        assert_eq!((status.code, status.message), (422, want), "{patch}");
    }
    let many: Vec<Value> = vec![json!({"op": "test", "path": "/zz"}); json::JSON_PATCH_OPERATIONS_MAX + 1];
    let status = patched(PatchType::Json, &original, &Value::Array(many).to_string(), FieldValidation::Warn).expect_err("too many");
    assert_eq!(
        (status.code, status.message.as_str()),
        (413, "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001")
    );
}

#[test]
fn objections_to_the_patch_and_to_the_object() {
    let original = json!({"metadata": {"name": "d"}});
    let rows = [
        (
            PatchType::Json,
            r#"[{"op":"add","path":"/a","path":"/spec","value":{"replicas":1,"foo":1},"foo":"bar"}]"#,
            vec!["json patch duplicate field \"[0].path\"", "json patch unknown field \"[0].foo\"", "unknown field \"spec.foo\""],
        ),
        (
            PatchType::Merge,
            r#"{"spec":{"replicas":1,"replicas":2},"spec":{"replicas":3,"foo":1}}"#,
            vec!["duplicate field \"spec.replicas\"", "duplicate field \"spec\"", "unknown field \"spec.foo\""],
        ),
        (
            PatchType::StrategicMerge,
            r#"{"spec":{"containers":[{"name":"a","imagee":"x"}]}}"#,
            vec!["unknown field \"spec.containers[0].imagee\""],
        ),
    ];
    for (patch_type, body, want) in rows {
        assert_eq!(patched(patch_type, &original, body, FieldValidation::Warn).expect(body).strict_errors, want, "{body}");
        assert!(patched(patch_type, &original, body, FieldValidation::Ignore).expect(body).strict_errors.is_empty(), "{body}");
        assert_eq!(patched(patch_type, &original, body, FieldValidation::Strict).expect_err(body).code, 422, "{body}");
    }
}

#[test]
fn an_object_whose_strategy_is_replace_is_not_merged() {
    let both = json!({ "type": "a", "max": 1 });
    let merged =
        strategic(json!({ "strategy": both, "selector": both }), json!({ "strategy": { "type": "b" }, "selector": { "type": "b" } }));
    assert_eq!(merged, json!({ "strategy": { "type": "b", "max": 1 }, "selector": { "type": "b" } }).to_string());
}
