use std::path::PathBuf;

use serde_json::json;

use api::tables;

use super::*;
use crate::Identity;

#[path = "../../../../tests/skipped.rs"]
mod skipped;

fn codec_of(group: &str, version: &str, plural: &str, media_type: StorageMediaType) -> Codec {
    let resource = tables::find(group, version, plural).expect("built in");
    Codec::new(resource.into(), Catalogue::built_in(), media_type, Arc::new(Identity))
}

fn parsed(stored: &Stored) -> Value {
    serde_json::from_slice(&stored.json).expect("stored objects are JSON")
}

fn json_bytes(object: &Value) -> Bytes {
    // As kube-apiserver writes it: with a new line at the end.
    format!("{object}\n").into()
}

#[test]
fn what_is_written_is_read() {
    let object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a", "namespace": "n", "resourceVersion": "7" }, "data": { "k": "v" } });
    for media_type in [StorageMediaType::Json, StorageMediaType::Protobuf] {
        let codec = codec_of("", "v1", "configmaps", media_type);
        let encoded = codec.encode("/k", &object).expect("a config map");
        assert_eq!(encoded.value.starts_with(&protobuf::PREFIX), media_type == StorageMediaType::Protobuf);
        let stored = codec.decode("/k", &encoded.value).expect("it was written");
        assert_eq!(parsed(&stored), parsed(&Stored { json: encoded.json, stale: false }));
        assert_eq!((parsed(&stored)["metadata"].get("resourceVersion"), stored.stale), (None, false), "{media_type:?}");
    }
}

#[test]
fn what_is_written_in_another_form_is_stale() {
    let object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a", "namespace": "n" } });
    let (json, protobuf) = (StorageMediaType::Json, StorageMediaType::Protobuf);
    for (written, read, is_stale) in [(json, json, false), (json, protobuf, true), (protobuf, json, true), (protobuf, protobuf, false)] {
        let value = codec_of("", "v1", "configmaps", written).encode("/k", &object).expect("a config map").value;
        let stored = codec_of("", "v1", "configmaps", read).decode("/k", &value).expect("either is read");
        assert_eq!(stored.stale, is_stale, "{written:?} {read:?}");
    }
    let stored = codec_of("", "v1", "configmaps", json).decode("/k", &json_bytes(&object)).expect("upstream's JSON is read");
    assert!(stored.stale && stored.json.ends_with(b"}"), "{stored:?}");
}

#[test]
fn older_versions_are_converted_and_get_defaults() {
    let codec = codec_of("autoscaling", "v2", "horizontalpodautoscalers", StorageMediaType::Json);
    let old = json!({
        "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": { "name": "a", "namespace": "n" },
        "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "d" }, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50 }
    });
    let stored = codec.decode("/k", &json_bytes(&old)).expect("a version that is served");
    let object = parsed(&stored);
    assert_eq!((&object["apiVersion"], &object["spec"]["minReplicas"]), (&json!("autoscaling/v2"), &json!(1)));
    assert_eq!(object["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    assert!(object["spec"].get("targetCPUUtilizationPercentage").is_none() && stored.stale);

    let events = codec_of("", "v1", "events", StorageMediaType::Json);
    let of_other_group = json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": { "name": "e", "namespace": "n" },
        "note": "text", "regarding": { "kind": "Pod", "name": "p" }
    });
    let object = parsed(&events.decode("/k", &json_bytes(&of_other_group)).expect("the other group's name of it"));
    assert_eq!((&object["apiVersion"], &object["message"], &object["involvedObject"]["name"]), (&json!("v1"), &json!("text"), &json!("p")));
}

#[test]
fn what_is_no_object_of_the_resource_is_refused() {
    let codec = codec_of("", "v1", "configmaps", StorageMediaType::Json);
    let message = codec_of("", "v1", "secrets", StorageMediaType::Protobuf)
        .encode("/k", &json!({ "metadata": { "name": "s", "namespace": "n" } }))
        .expect("a secret")
        .value;
    for (value, want) in [
        (Bytes::from_static(b""), "couldn't get version/kind"),
        (Bytes::from_static(b"k8s\0"), "empty body"),
        (Bytes::from_static(b"k8s\0\x0a\xff"), "unexpected EOF"),
        (Bytes::from_static(b"k8s:enc:aescbc:v1:key1:xx"), "couldn't get version/kind"),
        (Bytes::from_static(b"{\"kind\":\"ConfigMap\""), "couldn't get version/kind"),
        (json_bytes(&json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": {} })), "no metadata.name"),
        (json_bytes(&json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": 5 } })), "cannot unmarshal"),
        (json_bytes(&json!({ "kind": "ConfigMap", "apiVersion": "v7", "metadata": { "name": "a" } })), "which is not stored here"),
        (message, "Secret, which is not stored here"),
    ] {
        let error = codec.decode("/k", &value).expect_err("it is no config map").to_string();
        assert!(error.contains(want), "{value:?}: {error}");
    }
}

/// Adds a byte, and says that the first key is no longer used.
struct Sealed;

impl Transformer for Sealed {
    fn seal(&self, key: &str, value: Bytes) -> Result<Bytes, TransformError> {
        Ok([key.as_bytes(), b"\x02", &value].concat().into())
    }

    fn open(&self, key: &str, sealed: &Bytes) -> Result<Opened, TransformError> {
        match sealed.strip_prefix(key.as_bytes()).and_then(<[u8]>::split_first) {
            Some((version @ 1..=2, value)) => Ok(Opened { value: Bytes::copy_from_slice(value), stale: *version == 1 }),
            _ => Err(TransformError("sealed by somebody else".into())),
        }
    }
}

#[test]
fn values_are_sealed_for_their_key() {
    let codec = Codec::new(
        tables::find("", "v1", "configmaps").expect("built in").into(),
        Catalogue::built_in(),
        StorageMediaType::Json,
        Arc::new(Sealed),
    );
    let object = json!({ "metadata": { "name": "a", "namespace": "n" } });
    let encoded = codec.encode("/k", &object).expect("a config map");
    assert!(encoded.value.starts_with(b"/k\x02{"));
    assert!(!codec.decode("/k", &encoded.value).expect("its own").stale);
    let older = [b"/k\x01", &encoded.json[..]].concat().into();
    assert!(codec.decode("/k", &older).expect("an older key's").stale);
    assert_eq!(codec.decode("/l", &encoded.value).expect_err("another key's").to_string(), "it cannot be opened: sealed by somebody else");
}

/// A golden file's object, as kube-apiserver stores it: without a resource version.
fn golden(resource: &Resource, body: &[u8], media_type: MediaType) -> Value {
    let decoded = codec::decode(body, media_type, &resource.gvk, &resource.schema, &tables::schema_of).expect("a golden file");
    let mut object = decoded.value;
    object::metadata_mut(&mut object).remove("resourceVersion");
    object
}

/// Where upstream's own conversion does not keep what a golden file says: fields that contradict each other, and one that is only written.
const CONVERTED: &[&str] = &["Node.spec.podCIDRs[0]", "Pod.status.podIPs[0].ip", ".serviceAccount: ", "Secret.stringData"];

/// Every kind, as upstream's golden files have it in every version that is served, read from protobuf and from JSON.
#[test]
fn upstreams_values_are_read_and_given_back() {
    let Some(folder) = std::env::var_os("WASMGATE_K8S_TESTDATA").map(PathBuf::from) else {
        return skipped::skipped("no golden files of Kubernetes' protobuf; WASMGATE_K8S_TESTDATA names their folder");
    };
    let (mut read, mut same, mut changed) = (0, 0, Vec::new());
    for resource in tables::resources().iter().filter(|resource| !resource.storage_prefix.is_empty()) {
        let group = if resource.gvk.group.is_empty() { "core" } else { &resource.gvk.group };
        let path = folder.join(format!("{group}.{}.{}", resource.gvk.version, resource.gvk.kind));
        let file =
            |extension: &str| std::fs::read(path.with_file_name(format!("{}.{extension}", path.file_name().unwrap().to_str().unwrap())));
        let (Ok(message), Ok(json)) = (file("pb"), file("json")) else { continue };
        read += 1;
        let codec = Codec::new(tables::stored(resource).into(), Catalogue::built_in(), StorageMediaType::Protobuf, Arc::new(Identity));
        let object = golden(resource, &message, MediaType::Protobuf);
        let stored = codec.decode("/k", &message.into()).unwrap_or_else(|error| panic!("{}: {error}", resource.gvk));
        let from_json = codec.decode("/k", &json.clone().into()).unwrap_or_else(|error| panic!("{}: {error}", resource.gvk));
        assert_eq!(parsed(&stored), parsed(&from_json), "{}", resource.gvk);
        let stored_as = &tables::stored(resource).gvk;
        assert_eq!(parsed(&stored)["apiVersion"], stored_as.api_version(), "{}", resource.gvk);
        if resource.gvk != *stored_as {
            continue;
        }
        // Defaults are added to what upstream wrote, and nothing of it is lost.
        let mut expected = golden(resource, &json, MediaType::Json);
        api::kinds::shape::normalize(&resource.schema, &mut expected);
        let of_kind = lost(&expected, &parsed(&stored), "").into_iter().map(|what| format!("{}{what}", resource.gvk.kind));
        changed.extend(of_kind.filter(|what| !CONVERTED.iter().any(|converted| what.contains(converted))));
        let mut normal = object;
        api::kinds::shape::normalize(&resource.schema, &mut normal);
        if normal == parsed(&stored) {
            same += 1;
            let written = codec.encode("/k", &parsed(&stored)).expect("it was read");
            let message = protobuf::encode(&normal, &resource.schema).expect("an object of the kind");
            assert_eq!(written.value, protobuf::enveloped(&resource.gvk.api_version(), &resource.gvk.kind, &message), "{}", resource.gvk);
        }
    }
    assert!(changed.is_empty(), "{changed:#?}");
    assert!(read > 50 && same > 30, "{read} files were read, {same} of them without defaults");
}

/// Upstream's own value is read from either form, and written as upstream writes it.
#[test]
fn range_allocations_are_upstreams() {
    struct Unused;

    #[async_trait::async_trait]
    impl storage::Storage for Unused {
        async fn commit(&self, _: Vec<storage::Operation>) -> Result<u64, storage::Error> {
            unreachable!("nothing is written")
        }
        async fn get(&self, _: &str) -> Result<(Option<storage::KeyValue>, u64), storage::Error> {
            unreachable!("nothing is read")
        }
        async fn range(&self, _: storage::Range) -> Result<storage::RangeResult, storage::Error> {
            unreachable!("nothing is read")
        }
        async fn watch(&self, _: &str, _: u64) -> Result<Box<dyn storage::Watch>, storage::Error> {
            unreachable!("nothing is watched")
        }
        async fn current_revision(&self) -> Result<u64, storage::Error> {
            unreachable!("nobody asks")
        }
        async fn request_progress(&self) -> Result<bool, storage::Error> {
            unreachable!("nobody asks")
        }
        async fn compact(&self, _: u64) -> Result<(), storage::Error> {
            unreachable!("nobody asks")
        }
        async fn size_bytes(&self) -> Result<u64, storage::Error> {
            unreachable!("nobody asks")
        }
        async fn healthy(&self) -> Result<(), storage::Error> {
            unreachable!("nobody asks")
        }
    }
    let store = crate::ObjectStore::new(Arc::new(Unused), "/registry/");
    let mut allocation = crate::RangeAllocation::new("30000-32767");
    [0, 80, 2767].into_iter().for_each(|offset| allocation.take(offset));
    let key = store.range_allocation_key("servicenodeports");
    assert_eq!(key, "/registry/ranges/servicenodeports");
    let json = store.encode_range_allocation(&key, &allocation).expect("nothing seals it");
    assert_eq!(store.decode_range_allocation(&key, &json).expect("it was written"), allocation);
    let store = store.with_media_type(StorageMediaType::Protobuf);
    let message = store.encode_range_allocation(&key, &allocation).expect("nothing seals it");
    assert_eq!(store.decode_range_allocation(&key, &message).expect("it was written"), allocation);
    // What kube-apiserver's generated marshaller writes for an object without a name: every field of metadata that is no pointer.
    let head = b"k8s\0\x0a\x15\x0a\x02v1\x12\x0fRangeAllocation\x12";
    let metadata = b"\x0a\x10\x0a\0\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0\x12\x0b30000-32767";
    assert!(message.starts_with(head), "{message:?}");
    assert!(message.windows(metadata.len()).any(|window| window == metadata), "{message:?}");
}

/// Where `found` does not have what is expected.
fn lost(expected: &Value, found: &Value, at: &str) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let missing = Value::Null;
            expected.iter().flat_map(|(key, value)| lost(value, found.get(key).unwrap_or(&missing), &format!("{at}.{key}"))).collect()
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            expected.iter().zip(found).enumerate().flat_map(|(i, (expected, found))| lost(expected, found, &format!("{at}[{i}]"))).collect()
        }
        _ if expected == found => Vec::new(),
        _ => vec![format!("{at}: {expected} became {found}")],
    }
}
