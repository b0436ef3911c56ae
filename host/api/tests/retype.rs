//! Looking only at what a patch touched comes to the same as looking at the whole object: over every kind of the table, objects and patches
//! drawn from a seed.

use apimachinery::codec::check_value;
use apimachinery::patch::json;
use apimachinery::schema::{FieldType, Schema};
use serde_json::{Map, Value, json};
use wasmgate_api::kinds::{retype, strategy};
use wasmgate_api::{Resource, tables};

const OBJECTS_PER_KIND: usize = 12;
const PATCHES_PER_OBJECT: usize = 12;
const LEVELS_MAX: usize = 7;

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn object(&mut self, schema: &Schema, level: usize) -> Value {
        let mut map = Map::new();
        if level < LEVELS_MAX {
            for field in schema.fields.iter() {
                // Near the root most fields are there, below fewer, so that objects end.
                if !self.one_in(if level < 3 { 4 } else { 2 }) {
                    map.insert(field.name.to_string(), self.value(&field.kind, level + 1));
                }
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, kind: &FieldType, level: usize) -> Value {
        if self.one_in(24) {
            return Value::Null;
        }
        match kind {
            FieldType::Any => json!({ "any": [1, null, {}] }),
            FieldType::Bool => self.one_in(2).into(),
            FieldType::Int32 | FieldType::Int64 => self.below(3).into(),
            FieldType::Float => json!(0.5),
            FieldType::String => (*self.pick(&["", "a", "b", "TCP", "Always"])).into(),
            FieldType::Bytes => (*self.pick(&["", "YQ=="])).into(),
            FieldType::Time => "2020-01-02T03:04:05+01:00".into(),
            FieldType::MicroTime => "2020-01-02T03:04:05.500000Z".into(),
            FieldType::Duration => "90s".into(),
            FieldType::Quantity => self.pick(&[json!("1500m"), json!("1.5"), json!(2), json!("0")]).clone(),
            FieldType::IntOrString => self.pick(&[json!(1), json!("50%")]).clone(),
            FieldType::Object(schema) => self.object(schema, level),
            list @ (FieldType::List(_) | FieldType::SharedList(_)) => {
                let items = list.items().expect("a list has items");
                (0..self.below(3)).map(|_| self.value(items, level)).collect()
            }
            map @ (FieldType::Map(_) | FieldType::SharedMap(_)) => {
                let values = map.values().expect("a map has values");
                let keys = ["a", "b"].iter().take(self.below(3));
                Value::Object(keys.map(|key| ((*key).to_owned(), self.value(values, level))).collect())
            }
        }
    }

    /// One to three operations on places of the object; some of them make no sense.
    fn patch(&mut self, schema: &Schema, object: &Value) -> Vec<Value> {
        let mut places = Vec::new();
        collect(object, String::new(), &mut places);
        let other = self.object(schema, 0);
        let mut values = vec![json!(null), json!({}), json!([]), json!("x"), json!(1), json!(true), json!({ "unknown": 1 })];
        let mut operations = Vec::new();
        for _ in 0..=self.below(3) {
            let place = self.pick(&places).clone();
            // A value that is right there, or one from elsewhere.
            values.push(other.pointer(&place).cloned().unwrap_or_default());
            let value = self.pick(&values).clone();
            operations.push(match self.below(7) {
                0 => json!({ "op": "remove", "path": place }),
                1 => json!({ "op": "add", "path": format!("{place}/unknown"), "value": value }),
                2 => json!({ "op": "add", "path": format!("{place}/-"), "value": value }),
                3 => json!({ "op": "move", "from": place, "path": self.pick(&places) }),
                4 => json!({ "op": "copy", "from": place, "path": self.pick(&places) }),
                5 => json!({ "op": "add", "path": from_the_end(&place), "value": value }),
                _ => json!({ "op": "replace", "path": place, "value": other.pointer(&place).cloned().unwrap_or(value) }),
            });
        }
        operations
    }
}

/// The same place, with the first index counted from the end of its list.
fn from_the_end(place: &str) -> String {
    place.replacen("/0", "/-1", 1)
}

fn collect(value: &Value, path: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(value, format!("{path}/{key}"), places)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| collect(value, format!("{path}/{i}"), places)),
        _ => {}
    }
    if !path.is_empty() {
        places.push(path);
    }
}

/// As a request's body is looked at.
fn whole(resource: &Resource, object: &Value) -> Result<Value, String> {
    let mut object = check_value(object, &resource.schema)?.value;
    strategy(resource).default(resource, &mut object);
    Ok(object)
}

#[test]
fn what_a_patch_touched_is_all_that_there_is_to_look_at() {
    let (mut random, mut patched, mut refused) = (Random(0x9E37_79B9_7F4A_7C15), 0, 0);
    for resource in tables::resources() {
        for _ in 0..OBJECTS_PER_KIND {
            let sample = random.object(&resource.schema, 0);
            let Ok(object) = whole(resource, &sample) else { panic!("{}: {sample}", resource.gvk) };
            if !object.is_object() {
                continue;
            }
            assert_eq!(whole(resource, &object).as_ref(), Ok(&object), "{}: a second time", resource.gvk);
            for _ in 0..PATCHES_PER_OBJECT {
                let patch = random.patch(&resource.schema, &object);
                let mut document = object.clone();
                if json::apply(&mut document, patch.clone()).is_err() || !document.is_object() {
                    continue;
                }
                let expected = whole(resource, &document);
                let mut found = document.clone();
                let result = retype::object(resource, &mut found, &json::touched(&patch));
                match expected {
                    Ok(expected) => {
                        assert_eq!(result, Ok(()), "{}: {}", resource.gvk, Value::from(patch));
                        assert_eq!(found, expected, "{}: {}", resource.gvk, Value::from(patch));
                        patched += 1;
                    }
                    Err(_) => {
                        assert!(result.is_err(), "{}: {}", resource.gvk, Value::from(patch));
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(patched > 1000 && refused > 1000, "patches of both kinds: {patched} {refused}");
}

#[test]
fn what_does_not_fit_is_named_as_a_decoder_names_it() {
    let pods = tables::find("", "v1", "pods").expect("pods");
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c" }] } });
    let pod = whole(pods, &pod).expect("a pod");
    for (place, value, words) in [
        ("/spec/priority", json!("high"), "json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32"),
        (
            "/spec/containers/0/image",
            json!(5),
            "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (
            "/metadata/labels",
            json!("x"),
            "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "/metadata/creationTimestamp",
            json!(5),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        ("/spec", json!([]), "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
    ] {
        let patch = [json!({ "op": "add", "path": place, "value": value })];
        let mut patched = pod.clone();
        json::apply(&mut patched, patch.to_vec()).expect("it applies");
        let error = retype::object(pods, &mut patched.clone(), &json::touched(&patch)).expect_err("it does not fit");
        assert_eq!(error, check_value(&patched, &pods.schema).expect_err("neither does all of it"));
        assert!(error.starts_with(words.split(" into ").next().expect("words")), "{error}");
    }
}

#[test]
fn what_is_injected_gets_its_defaults() {
    let pods = tables::find("", "v1", "pods").expect("pods");
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c" }] } });
    let mut pod = whole(pods, &pod).expect("a pod");
    let sidecar = json!({ "name": "s", "image": "sidecar", "ports": [{ "containerPort": 80 }], "colour": "red" });
    let patch = [json!({ "op": "add", "path": "/spec/containers/-", "value": sidecar })];
    json::apply(&mut pod, patch.to_vec()).expect("it applies");
    retype::object(pods, &mut pod, &json::touched(&patch)).expect("a pod");
    let sidecar = &pod["spec"]["containers"][1];
    assert_eq!((&sidecar["imagePullPolicy"], &sidecar["ports"][0]["protocol"]), (&json!("Always"), &json!("TCP")));
    assert_eq!((&sidecar["terminationMessagePath"], sidecar.get("colour")), (&json!("/dev/termination-log"), None));
}

/// What the patches of the standard plugins cost on a pod, one by one, and what looking at the whole pod would. Prints; asserts nothing.
#[test]
#[ignore = "a measurement: cargo test --release -p wasmgate-api --test retype -- --ignored --nocapture"]
fn cost() {
    let pods = tables::find("", "v1", "pods").expect("pods");
    let environment: Vec<Value> = (0..24).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "a value of some length" })).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "default", "labels": { "app": "web" } },
        "spec": { "containers": [{
            "name": "main", "image": "registry.example.com/team/application:1.2.3", "env": environment,
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } },
            "volumeMounts": [{ "name": "config", "mountPath": "/etc/application" }] }],
            "volumes": [{ "name": "config", "configMap": { "name": "application" } }] },
    });
    let pod = whole(pods, &pod).expect("a pod");
    let toleration = json!({ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    let mount = json!({ "name": "token", "mountPath": "/var/run/secrets" });
    for (what, patch) in [
        ("priority", json!([{ "op": "add", "path": "/spec/priority", "value": 0 }])),
        ("tolerations", json!([{ "op": "add", "path": "/spec/tolerations", "value": [toleration] }])),
        (
            "token",
            json!([{ "op": "add", "path": "/spec/volumes/-", "value": { "name": "token", "emptyDir": {} } },
                { "op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": mount }]),
        ),
    ] {
        let patch = patch.as_array().expect("a list").clone();
        let mut patched = pod.clone();
        json::apply(&mut patched, patch.clone()).expect("it applies");
        let measure = |run: &dyn Fn(Value) -> Value| {
            let rounds = 2000;
            let copies: Vec<Value> = (0..rounds).map(|_| patched.clone()).collect();
            let start = std::time::Instant::now();
            let done: Vec<Value> = copies.into_iter().map(run).collect();
            let took = start.elapsed();
            assert_eq!(done.len(), rounds);
            took.as_secs_f64() * 1e6 / rounds as f64
        };
        let touched = measure(&|mut pod| {
            retype::object(pods, &mut pod, &json::touched(&patch)).expect("a pod");
            pod
        });
        let all = measure(&|pod| whole(pods, &pod).expect("a pod"));
        println!("{what}: {touched:.1} µs, all of the pod {all:.1} µs");
    }
}
