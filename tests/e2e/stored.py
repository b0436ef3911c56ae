#!/usr/bin/env python3
"""Values in etcd: what kube-apiserver wrote is served, and what is written is what kube-apiserver reads.

Speaks to etcd through its HTTP gateway. With WASMGATE_K8S_TESTDATA, the folder of a version in kubernetes/api's `testdata`, every kind of
upstream's golden files is put into etcd as protobuf and read through the API.
"""

import base64
import json
import os
import threading
import time
import urllib.request
from pathlib import Path

from harness import Etcd, Server, Suite, check, contains, equal, skip, wait_for

suite = Suite("values in etcd")
PROTOBUF = "--storage-media-type=application/vnd.kubernetes.protobuf"
MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"
PORTS = "/registry/ranges/servicenodeports"


class Store(Etcd):
    """An etcd whose keys are read and written past the API."""

    def call(self, what, body):
        body = json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v3/kv/{what}", body), timeout=30) as answer:
            return json.load(answer)

    def put(self, key, value):
        value = value.encode() if isinstance(value, str) else value
        self.call("put", {"key": b64(key.encode()), "value": b64(value)})

    def get(self, key):
        found = self.call("range", {"key": b64(key.encode())}).get("kvs", [])
        return base64.b64decode(found[0].get("value", "")) if found else None

    def delete(self, key):
        self.call("deleterange", {"key": b64(key.encode())})


def b64(data):
    return base64.b64encode(data).decode()


def serve(store, *flags, **more):
    return Server(f"--etcd-servers={store.url}", *flags, **more)


# Protobuf, by hand: an independent reading of upstream's generated.proto.


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def entries(number, pairs):
    return b"".join(field(number, field(1, key) + field(2, value)) for key, value in sorted(pairs.items()))


def metadata(name, namespace="default", uid="", created=0, labels=(), generation=0):
    return (field(1, name) + field(2, "") + field(3, namespace) + field(4, "") + field(5, uid) + field(6, "") + field(7, generation)
            + field(8, (field(1, created) + field(2, 0)) if created else b"") + entries(11, dict(labels)))


def envelope(version, kind, message):
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, message) + field(3, "") + field(4, "")


def config_map(meta, data):
    return envelope("v1", "ConfigMap", field(1, meta) + entries(2, data))


UID = "6f2a3c1e-0000-4000-8000-000000000001"
CREATED = 1_700_000_000


@suite.case
def what_kube_apiserver_wrote_is_served():
    store = Store()
    store.put("/registry/configmaps/default/message", config_map(metadata("message", uid=UID, created=CREATED, labels={"a": "b"}), {"k": "v"}))
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "json", "namespace": "default", "uid": UID}, "data": {"k": "dg=="}}
    store.put("/registry/secrets/default/json", json.dumps(secret) + "\n")
    with serve(store) as server:
        admin = server.admin()
        found = admin.get(f"{MAPS}/message").ok(200).json
        version = found["metadata"].pop("resourceVersion")
        check(int(version) > 1, "a version", version)
        equal(found, {"kind": "ConfigMap", "apiVersion": "v1", "data": {"k": "v"}, "metadata": {
            "name": "message", "namespace": "default", "uid": UID, "creationTimestamp": "2023-11-14T22:13:20Z", "labels": {"a": "b"}}})
        equal([item["metadata"]["name"] for item in admin.get(f"{MAPS}?labelSelector=a=b").ok(200).json["items"]], ["message"])
        # What is absent in a Secret is its type: kube-apiserver's default.
        equal(admin.get("/api/v1/namespaces/default/secrets/json").ok(200).json["type"], "Opaque")
        # A value that comes while the server runs reaches who watches.
        watch = admin.watch(MAPS, {"resourceVersion": admin.get(MAPS).ok(200).json["metadata"]["resourceVersion"]})
        store.put("/registry/configmaps/default/late", config_map(metadata("late", uid=UID, created=CREATED), {}))
        watch.named("ADDED", "late")
        watch.close()
        # The next write of the object, though nothing changes, gives it the form that this server writes.
        admin.put(f"{MAPS}/message", {**found, "metadata": {**found["metadata"], "resourceVersion": version}}).ok(200)
        contains(store.get("/registry/configmaps/default/message").decode(), '{"kind":"ConfigMap","apiVersion":"v1","metadata":{')


@suite.case
def what_is_written_as_protobuf_is_upstreams_message():
    store = Store()
    with serve(store, PROTOBUF) as server:
        made = server.admin().post(MAPS, {"metadata": {"name": "m", "labels": {"z": "1", "a": "2"}}, "data": {"b": "2", "a": "1"}}).ok(201).json
        meta = made["metadata"]
        created = int(time.mktime(time.strptime(meta["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ"))) - time.timezone
        wanted = config_map(metadata("m", uid=meta["uid"], created=created, labels=meta["labels"]), made["data"])
        equal(store.get("/registry/configmaps/default/m"), wanted)
        check(store.get("/registry/ranges/servicenodeports").startswith(b"k8s\0"), "the range of ports is a message too")
    # Another server that writes JSON reads them, and the other way round.
    with serve(store) as server:
        equal(server.admin().get(f"{MAPS}/m").ok(200).json, made)


@suite.case
def an_older_version_is_converted_and_not_relabelled():
    store = Store()
    scaler = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"name": "h", "namespace": "default", "uid": UID},
              "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}}
    store.put("/registry/horizontalpodautoscalers/default/h", json.dumps(scaler))
    event = {"kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e", "namespace": "default", "uid": UID},
             "note": "text", "regarding": {"kind": "Pod", "name": "p"}, "reason": "Why", "type": "Normal"}
    store.put("/registry/events/default/e", json.dumps(event))
    with serve(store) as server:
        admin = server.admin()
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
        found = admin.get("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h").ok(200).json
        equal((found["spec"]["metrics"], found["spec"]["minReplicas"]), ([metric], 1))
        older = admin.get("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h").ok(200).json
        equal(older["spec"], {**scaler["spec"], "minReplicas": 1})
        found = admin.get("/api/v1/namespaces/default/events/e").ok(200).json
        equal((found["message"], found["involvedObject"]["name"], "note" in found), ("text", "p", False))


@suite.case
def what_is_no_object_is_left_out_and_said():
    store = Store()
    store.put("/registry/configmaps/default/good", config_map(metadata("good", uid=UID, created=CREATED), {}))
    for name, value in {"cut": b"k8s\0\x0a", "sealed": b"k8s:enc:aescbc:v1:key1:xx", "kind": envelope("v1", "Secret", b""), "text": b"no"}.items():
        store.put(f"/registry/configmaps/default/{name}", value)
    with serve(store) as server:
        admin = server.admin()
        equal([item["metadata"]["name"] for item in admin.get(MAPS).ok(200).json["items"]], ["good"])
        for name in ("cut", "sealed", "kind", "text"):
            contains(server.log(), f"/registry/configmaps/default/{name}")
        admin.post(MAPS, {"metadata": {"name": "after"}}).ok(201)


def service(name, *ports, kind="NodePort"):
    ports = [{"name": f"p{i}", "port": 80 + i, **({"nodePort": port} if port else {})} for i, port in enumerate(ports)]
    return {"metadata": {"name": name}, "spec": {"type": kind, "selector": {"a": name}, "ports": ports}}


def ports_of(answer):
    return [port["nodePort"] for port in answer["spec"]["ports"] if "nodePort" in port]


def range_of(store):
    """Which range kube-apiserver would find, and which ports are taken in it."""
    value = json.loads(store.get(PORTS))
    equal((value["kind"], value["apiVersion"]), ("RangeAllocation", "v1"))
    first = int(value["range"].split("-")[0])
    bits = int.from_bytes(base64.b64decode(value.get("data", "")), "big")
    return value["range"], {first + bit for bit in range(bits.bit_length()) if bits >> bit & 1}


def put_range(store, first, last, taken):
    bits = sum(1 << port - first for port in taken)
    data = b64(bits.to_bytes((bits.bit_length() + 7) // 8, "big"))
    value = {"kind": "RangeAllocation", "apiVersion": "v1", "metadata": {"creationTimestamp": None}, "range": f"{first}-{last}", "data": data}
    store.put(PORTS, json.dumps(value) + "\n")


@suite.case
def node_ports_are_held_where_kube_apiserver_holds_them():
    store = Store()
    with serve(store) as server:
        admin = server.admin()
        equal(range_of(store), ("30000-32767", set()))
        chosen, = ports_of(admin.post(SERVICES, service("a", None)).ok(201).json)
        equal(ports_of(admin.post(SERVICES, service("b", 30007)).ok(201).json), [30007])
        equal(range_of(store)[1], {chosen, 30007})
        admin.post(SERVICES, service("c", 30007)).refused(422, "Invalid", "provided port is already allocated")
        admin.post(f"{SERVICES}?dryRun=All", service("d", 30008)).ok(201)
        equal(range_of(store)[1], {chosen, 30007})
        # One that kube-apiserver has given to a Service that it is about to write.
        put_range(store, 30000, 32767, {chosen, 30007, 30009})
        admin.post(SERVICES, service("e", 30009)).refused(422, "Invalid", "provided port is already allocated")
        changed = admin.get(f"{SERVICES}/b").ok(200).json
        changed["spec"]["ports"][0]["nodePort"] = 30010
        admin.put(f"{SERVICES}/b", changed).ok(200)
        equal(range_of(store)[1], {chosen, 30009, 30010})
        admin.patch(f"{SERVICES}/b", {"spec": {"type": "ClusterIP"}}).ok(200)
        admin.delete(f"{SERVICES}/a").ok(200)
        equal(range_of(store)[1], {30009})


@suite.case
def many_services_at_once_get_different_ports():
    store = Store()
    with serve(store, "--service-node-port-range=30000-30063") as server, serve(store, "--service-node-port-range=30000-30063") as other:
        answers = []

        def create(server, start):
            client = server.admin()
            answers.extend(client.post(SERVICES, service(f"s{start + i}", None)) for i in range(4))

        threads = [threading.Thread(target=create, args=(server if i % 2 else other, i * 4)) for i in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        equal([answer.text for answer in answers if answer.status != 201], [])
        given = sorted(port for answer in answers for port in ports_of(answer.json))
        equal(given, list(range(30000, 30064)))
        equal(range_of(store)[1], set(given))
        # The last port is gone; one that is given back is given out again.
        server.admin().post(SERVICES, service("more", None)).refused(500, "InternalError", "failed to allocate a nodePort: range is full")
        server.admin().delete(f"{SERVICES}/s0").ok(200)
        server.admin().post(SERVICES, service("more", None)).ok(201)


@suite.case
def the_range_is_put_right_at_the_start():
    store = Store()
    with serve(store) as server:
        server.admin().post(SERVICES, service("a", 30007)).ok(201)
    store.delete(PORTS)
    with serve(store):
        equal(range_of(store), ("30000-32767", {30007}))
    # An operator gives another range; what a Service has outside of it is nobody's to give out.
    with serve(store, "--service-node-port-range=20000-20099") as server:
        equal(range_of(store), ("20000-20099", set()))
        port, = ports_of(server.admin().post(SERVICES, service("b", None)).ok(201).json)
        check(20000 <= port <= 20099, "a port of the range", port)
        contains(server.log(), "outside of --service-node-port-range")
    store.put(PORTS, "no range")
    with serve(store) as server:
        contains(server.log(), "the range of node ports could not be repaired")
        server.admin().post(SERVICES, service("c", None)).refused(500, "InternalError", "cannot be read")
        server.admin().post(SERVICES, service("d", None, kind="ClusterIP")).ok(201)


# Where a golden file says what no server would answer: fields that are filled in from each other, one that is only written, and lists
# that the server sorts or cuts.
UNSERVED = {("Node", "spec.podCIDRs"), ("Pod", "status.podIPs"), ("Secret", "stringData")}
UNSERVED_IN_PODS = "spec.serviceAccount"


def golden(folder, resources):
    """Every kind that is stored in the very version of its file: the resource, the object, and its message."""
    for (group, version), resource in resources:
        stem = f"{group or 'core'}.{version}.{resource['kind']}"
        # Component statuses are made when they are asked for.
        if "/" in resource["name"] or resource["name"] == "componentstatuses" or "get" not in resource["verbs"] or not (folder / f"{stem}.pb").exists():
            continue
        yield group, version, resource, json.loads((folder / f"{stem}.json").read_text()), (folder / f"{stem}.pb").read_bytes()


def served_resources(admin):
    groups = [("", "v1", "/api/v1")]
    for group in admin.get("/apis").ok(200).json["groups"]:
        groups += [(group["name"], version["version"], f"/apis/{version['groupVersion']}") for version in group["versions"]]
    for group, version, path in groups:
        for resource in admin.get(path).ok(200).json["resources"]:
            yield (group, version), {**resource, "path": path}


def missing(wanted, found, kind, at=""):
    """Paths of what a golden file says and the answer does not."""
    if (kind, at) in UNSERVED or at.endswith(UNSERVED_IN_PODS) or wanted in (None, {}, []) and not found:
        return []
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [path for key in wanted for path in missing(wanted[key], found.get(key), kind, f"{at}.{key}".lstrip("."))]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [path for one, other in zip(wanted, found) for path in missing(one, other, kind, at)]
    return [] if wanted == found or (kind, at.rsplit(".", 1)[0]) in UNSERVED else [f"{kind} {at}: {wanted!r} became {found!r}"]


def upstreams_golden_files_are_served(folder):
    store = Store()
    with serve(store) as server:
        admin = server.admin()
        files = list(golden(folder, served_resources(admin)))
        prefixes = {("", "services"): "services/specs", ("", "endpoints"): "services/endpoints", ("", "nodes"): "minions",
                    ("", "replicationcontrollers"): "controllers", ("networking.k8s.io", "ingresses"): "ingress",
                    ("apiregistration.k8s.io", "apiservices"): "apiregistration.k8s.io/apiservices",
                    ("apiextensions.k8s.io", "customresourcedefinitions"): "apiextensions.k8s.io/customresourcedefinitions"}
        lost, read = [], 0
        for group, version, resource, wanted, message in files:
            name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"] if resource["namespaced"] else ""
            place = prefixes.get((group, resource["name"]), resource["name"])
            place += f"/{namespace}/{name}" if namespace else f"/{name}"
            store.put(f"/registry/{place}", message)
            at = f"{resource['path']}/namespaces/{namespace}/{resource['name']}/{name}" if namespace else f"{resource['path']}/{resource['name']}/{name}"
            try:
                wait_for("the object", lambda: admin.get(at).status == 200, 5)
            except Exception:  # it is said below, with all others
                lost.append(f"{group}/{version} {resource['name']}: {admin.get(at).text}")
                continue
            found = admin.get(at).json
            wanted["metadata"].pop("resourceVersion"), found["metadata"].pop("resourceVersion")
            lost += missing(wanted, found, resource["kind"])
            read += 1
            store.delete(f"/registry/{place}")
        equal(lost, [], f"{read} kinds were read")
        print(f"       {read} kinds", flush=True)
        check(read > 50, "most kinds are there", read)


TESTDATA = os.environ.get("WASMGATE_K8S_TESTDATA")
if not Etcd.find():
    skip("no etcd: install etcd-server, or set WASMGATE_ETCD")
if TESTDATA:
    suite.cases.append(("upstreams golden files are served", lambda: upstreams_golden_files_are_served(Path(TESTDATA))))
else:
    print("SKIPPED: no golden files of kubernetes/api; WASMGATE_K8S_TESTDATA names the folder of one version", flush=True)
suite.run()
