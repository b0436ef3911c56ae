//! What each pass over a pod costs on the way to the store, in one thread and by the processor's time: today's passes over
//! `serde_json::Value`, and beside them a prototype of a tree of our own (`tree`), whose bytes are shown to be the same.
//!
//! `cargo bench --package wasmgate-api --bench object_tree`

mod checks;
mod tree;

use std::hint::black_box;

use apimachinery::codec::{check, json, node::Node};
use apimachinery::object::metadata_mut;
use apimachinery::schema::Schema;
use apimachinery::{GroupVersionKind, codec};
use objectstore::layout;
use serde_json::{Value, json};
use wasmgate_api::kinds::{self, shape};
use wasmgate_api::{Resource, tables};

use checks::{InTree, InValue};
use tree::{Numbers, Plans, Tree};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Objects that one measurement goes through.
const OBJECTS: usize = 256;
/// Measurements, of which the median counts.
const ROUNDS: usize = 61;

const NAMESPACE: &str = "default";
const UID: &str = "0e3e4e8c-5d3f-4b0a-9a57-7e4f3c0b7b0d";
const CREATED: &str = "2026-01-01T00:00:00Z";

/// What today's road knows of pods.
struct Road {
    resource: &'static Resource,
    schema: &'static Schema,
}

impl Road {
    fn decode(&self, body: &[u8]) -> Value {
        let nobody = |_: &GroupVersionKind| None;
        let decoded = codec::decode(body, codec::MediaType::Json, &self.resource.gvk, self.schema, &nobody);
        decoded.expect("the body is a pod").value
    }

    fn default(&self, mut pod: Value) -> Value {
        kinds::strategy(self.resource).set_defaults(self.resource, &mut pod);
        pod
    }

    fn normalize(&self, mut pod: Value) -> Value {
        shape::normalize(self.schema, &mut pod);
        pod
    }

    /// As `registry::create` does it.
    fn prepare(&self, mut pod: Value) -> Value {
        let metadata = metadata_mut(&mut pod);
        for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
            metadata.remove(field);
        }
        for (name, text) in [("namespace", NAMESPACE), ("uid", UID), ("creationTimestamp", CREATED)] {
            metadata.insert(name.to_owned(), text.into());
        }
        kinds::strategy(self.resource).prepare_for_create(self.resource, &mut pod);
        pod
    }

    fn encode(&self, pod: &Value) -> Vec<u8> {
        layout::encode(pod, &self.resource.gvk)
    }
}

fn main() {
    let resource = tables::find("", "v1", "pods").expect("there are pods");
    let road = Road { resource, schema: &resource.schema };
    let (plans, head) = (Plans::of(road.schema), layout::head(&resource.gvk));
    let numbers = Numbers::of(&plans);
    let given = [NAMESPACE, UID, CREATED];
    let pods = pods();
    for body in &pods {
        let stored = road.encode(&road.prepare(road.default(road.normalize(road.decode(body)))));
        let mut pod = plans.read(body, &numbers).expect("an ordinary pod");
        tree::prepare(&mut pod, &plans, &numbers, given);
        assert_eq!(String::from_utf8_lossy(&plans.encode(&pod, &head, &numbers)), String::from_utf8_lossy(&stored));
    }
    let body = &pods[0];
    println!("a pod of {} bytes, µs each: median ({ROUNDS} rounds of {OBJECTS}), least and most", body.len());

    let parse = || json::parse(body).expect("JSON");
    let (decoded, strategy) = (road.decode(body), kinds::strategy(resource));
    let normal = road.normalize(decoded.clone());
    let defaulted = road.default(normal.clone());
    let prepared = road.prepare(defaulted.clone());
    let passes = [
        measure("parse: bytes to Node", || (), |()| parse()),
        measure("check: Node to Value", parse, |node: Node<'_>| check::check(node, road.schema).expect("fits").value),
        measure("normalize", || decoded.clone(), |pod| road.normalize(pod)),
        measure("default", || normal.clone(), |pod| road.default(pod)),
        measure("prepare", || defaulted.clone(), |pod| road.prepare(pod)),
        measure("validate", || (), |()| assert!(strategy.validate(resource, &prepared).is_empty())),
        measure("warnings", || (), |()| (strategy.warnings_before_preparation(&prepared), strategy.warnings("", &prepared, None))),
        measure("encode", || (), |()| road.encode(&prepared)),
        measure("drop", || prepared.clone(), drop),
    ];
    println!("{:>8.2}  all of these", passes.iter().sum::<f64>());
    measure("clone, which this road does not do", || (), |()| prepared.clone());
    measure("serde_json: bytes to Value, to compare", || (), |()| serde_json::from_slice::<Value>(body).expect("JSON"));
    let today = measure(
        "whole, but for validate and warnings",
        || (),
        |()| road.encode(&road.prepare(road.default(road.normalize(road.decode(body))))),
    );

    println!("the tree:");
    let read = || plans.read(body, &numbers).expect("an ordinary pod");
    let prepare = |mut pod: Tree<'static>| {
        tree::prepare(&mut pod, &plans, &numbers, given);
        pod
    };
    let body: &'static [u8] = Box::leak(body.clone().into_boxed_slice());
    let read_static = || plans.read(body, &numbers).expect("an ordinary pod");
    let tree = prepare(read_static());
    measure("read: decode, check, normalize, default", || (), |()| read());
    measure("prepare", read_static, prepare);
    measure("encode", || (), |()| plans.encode(&tree, &head, &numbers));
    measure("drop", || tree.clone(), drop);
    measure("clone", || (), |()| tree.clone());
    let ours = measure("whole, but for validate and warnings", || (), |()| plans.encode(&prepare(read_static()), &head, &numbers));
    println!("{:>8.2}  less than today", today - ours);

    println!("one validator (containers' names, ports, variables, mounts, resources), written once for both:");
    let (in_value, in_tree) = (InValue(&prepared), InTree(&tree));
    let over_value = measure("over Value", || (), |()| assert!(checks::containers(in_value, &numbers).is_empty()));
    let over_tree = measure("over the tree", || (), |()| assert!(checks::containers(in_tree, &numbers).is_empty()));
    println!("{:>8.2}  of the time", over_tree / over_value);
}

/// The pod of `wasmgate-bench` and a few others.
fn pods() -> Vec<Vec<u8>> {
    let environment: Vec<_> =
        (0..24).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "a value of some length, as they are in life" })).collect();
    let container = json!({
        "name": "main", "image": "registry.example.com/team/application:1.2.3", "env": environment,
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } },
        "ports": [{ "containerPort": 8080, "name": "http" }],
        "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" } },
        "volumeMounts": [{ "name": "config", "mountPath": "/etc/application" }],
    });
    let first = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "application", "labels": { "app": "application", "team": "a", "tier": "backend" }, "annotations": { "example.com/note": "n".repeat(865) } },
        "spec": { "containers": [container], "volumes": [{ "name": "config", "configMap": { "name": "application" } }] },
    });
    let others = [
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"nginx"}]}}"#,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b","labels":{"z":"1","a":"\u00e9\n\"x"},"annotations":{}},"spec":{
            "serviceAccountName":"s","volumes":[{"name":"v"},{"name":"t","secret":{"secretName":"t"}}],"hostNetwork":false,"nodeSelector":{},
            "initContainers":[{"name":"i","image":"a/b:latest","command":["sh","-c","true"],"unknown":{"x":[1,null]}}],
            "containers":[{"image":"localhost:5000/c","name":"c","resources":{"limits":{"memory":"1024Mi","cpu":2}}}]}}"#,
        r#"{ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "c", "creationTimestamp": null }, "spec": { "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0, "securityContext": { "runAsUser": 0, "runAsNonRoot": false, "fsGroup": 5 },
            "tolerations": [{ "key": "k", "operator": "Exists", "tolerationSeconds": 0 }], "containers": [{ "name": "c", "image": "x:1",
            "env": [{ "name": "N", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }, { "name": "E", "value": "" }],
            "resources": { "limits": { "cpu": "0.5", "memory": "1Gi" }, "requests": { "cpu": "500m", "memory": "1Gi" } },
            "readinessProbe": { "tcpSocket": { "port": 80 }, "periodSeconds": 0, "timeoutSeconds": 7 }, "stdin": false }] }, "status": {} }"#,
    ];
    let others = others.iter().map(|text| text.as_bytes().to_vec());
    [first.to_string().into_bytes()].into_iter().chain(others).collect()
}

/// The median time of one run in µs, printed. What goes in is made before and what comes out is dropped behind the measurement.
fn measure<I, O>(what: &str, make: impl Fn() -> I, run: impl Fn(I) -> O) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let inputs: Vec<I> = (0..OBJECTS).map(|_| make()).collect();
            let mut outputs = Vec::with_capacity(OBJECTS);
            let start = processor_time();
            for input in inputs {
                outputs.push(black_box(run(black_box(input))));
            }
            (processor_time() - start) / OBJECTS as f64 / 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:>8.2}  {what} ({:.2} to {:.2})", times[ROUNDS / 2], times[0], times[ROUNDS - 1]);
    times[ROUNDS / 2]
}

/// The thread's time on a processor, in nanoseconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the structure that it is given, and to nothing else.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "the system tells a thread's time on a processor");
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
