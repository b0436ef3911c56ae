#!/usr/bin/env python3
"""The smoke test: objects, lists, pages and watches. `--store etcd` runs it on etcd, with two servers on one cluster.

The same cases on both stores: what a client sees must not tell them apart.
"""

import gzip
import re
import sys
import threading

from harness import Etcd, Failed, Server, Suite, check, contains, equal, wait_for

STORE = "etcd" if "--store=etcd" in sys.argv else "embedded"
sys.argv = [argument for argument in sys.argv if not argument.startswith("--store")]
suite = Suite(f"serving from the {STORE} store")
MAPS = "/api/v1/namespaces/default/configmaps"
ETCD_FLAGS = ("--authorization-mode=RBAC", "--bind-address=127.0.0.1", "--controllers=*")


def config_map(name, labels=None, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {}}, "data": data}


class World:
    """One server on the embedded store, or two on one etcd."""

    def __init__(self):
        if STORE == "etcd":
            self.etcd = Etcd()
            self.flags = (f"--etcd-servers={self.etcd.url}", *ETCD_FLAGS)
            self.first = Server(*self.flags)
            # The second one shares the first one's keys and certificates, as servers of one cluster do.
            self.second = Server(*self.flags, data=self.first.data)
        else:
            self.first = self.second = Server()

    def clients(self):
        return self.first.admin(), self.second.admin()


@suite.case
def objects_are_made_changed_and_deleted(world):
    a, b = world.clients()
    made = a.post(MAPS, config_map("one", v="1")).ok(201).json
    metadata = made["metadata"]
    check(metadata["uid"] and metadata["creationTimestamp"] and int(metadata["resourceVersion"]) > 0, "metadata is filled in", metadata)
    equal(b.get(f"{MAPS}/one").ok(200).json["metadata"]["uid"], metadata["uid"], "what one server wrote the other one serves at once")
    made["data"]["v"] = "2"
    updated = b.put(f"{MAPS}/one", made).ok(200).json
    check(int(updated["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"]))
    made["data"]["v"] = "3"
    a.put(f"{MAPS}/one", made).refused(409, "Conflict", "the object has been modified")
    equal(a.patch(f"{MAPS}/one", {"data": {"w": "4"}}).ok(200).json["data"], {"v": "2", "w": "4"})
    equal(b.get(f"{MAPS}/one").json["data"], {"v": "2", "w": "4"})
    a.post(MAPS, config_map("one")).refused(409, "AlreadyExists", 'configmaps "one" already exists')
    b.delete(f"{MAPS}/one", {"preconditions": {"uid": "other"}}).refused(409, "Conflict", "")
    a.delete(f"{MAPS}/one").ok(200)
    b.get(f"{MAPS}/one").refused(404, "NotFound", 'configmaps "one" not found')


@suite.case
def an_update_without_change_writes_nothing(world):
    a, b = world.clients()
    made = a.post(MAPS, config_map("same", v="1")).ok(201).json
    equal(a.put(f"{MAPS}/same", made).ok(200).json["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"])
    a.delete(f"{MAPS}/same").ok()


@suite.case
def what_is_stored_is_counted(world):
    a, _ = world.clients()
    count = lambda: int(re.search(r'^apiserver_storage_objects\{resource="configmaps"\} (\d+)$', a.get("/metrics").ok(200).text, re.M)[1])
    before = count()
    a.post(MAPS, config_map("counted")).ok(201)
    equal(count(), before + 1)
    contains(a.get("/metrics").text, 'apiserver_resource_objects{group="apps",resource="deployments"} 0')
    a.get("/api/v1/namespaces/default/endpoints").ok(200)
    contains(a.get("/metrics").text, 'apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"')
    a.delete(f"{MAPS}/counted").ok()
    equal(count(), before)


@suite.case
def openapi_v2_is_negotiated(world):
    a, _ = world.clients()
    protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    get = lambda accept, **headers: a.get("/openapi/v2", headers={"Accept": accept, **headers})
    json_form, plain = get("application/json").ok(200), get(protobuf).ok(200)
    equal(json_form.json["swagger"], "2.0")
    check(plain.body.startswith(b"\n\x032.0"), "the first field is the version", plain.body[:10])
    for answer, kind in ((json_form, "application/json"), (plain, protobuf), (get(protobuf.replace("v2.v1", "v2@v1")).ok(200), protobuf)):
        equal(answer.header("Content-Type"), kind)
        equal(answer.header("ETag"), json_form.header("ETag"), "one ETag for every encoding")
        equal([value for name, value in answer.headers if name.lower() == "vary"], ["Accept-Encoding", "Accept"])
    packed = get(protobuf, **{"Accept-Encoding": "gzip"}).ok(200)
    equal((packed.header("Content-Encoding"), gzip.decompress(packed.body)), ("gzip", plain.body))
    equal(get(protobuf, **{"If-None-Match": plain.header("ETag")}).status, 304)
    refused = get("application/yaml")
    equal((refused.status, refused.body, refused.header("Content-Type")), (406, b"", None))


@suite.case
def lists_select_and_page(world):
    a, b = world.clients()
    for index in range(25):
        labels = {"set": "pages", "half": "even" if index % 2 == 0 else "odd"}
        a.post(MAPS, config_map(f"page-{index:02}", labels)).ok(201)
    names, token, pages = [], None, 0
    while True:
        query = {"labelSelector": "set=pages", "limit": "10", **({"continue": token} if token else {})}
        page = b.get(MAPS, query=query).ok(200).json
        names += [item["metadata"]["name"] for item in page["items"]]
        pages += 1
        token = page["metadata"].get("continue")
        if pages == 1:
            # What is made between two pages is not in the picture that the first one was of.
            a.post(MAPS, config_map("page-99", {"set": "pages"})).ok(201)
        if not token:
            break
    equal((pages, names), (3, [f"page-{index:02}" for index in range(25)]))
    count = lambda **query: len(b.get(MAPS, query=query).ok(200).json["items"])
    equal(count(labelSelector="set=pages,half in (even)"), 13)
    equal(count(labelSelector="set=pages,!half"), 1)
    equal(count(fieldSelector="metadata.name=page-03"), 1)
    equal(count(labelSelector="set=pages", fieldSelector="metadata.name!=page-03"), 25)
    equal(len(b.delete(MAPS, query={"labelSelector": "set=pages"}).ok(200).json.get("items", [])), 26)
    wait_for("all to be gone", lambda: count(labelSelector="set=pages") == 0)


@suite.case
def watches_tell_everything_in_order(world):
    a, b = world.clients()
    start = b.get(MAPS).json["metadata"]["resourceVersion"]
    watch = b.watch(MAPS, {"resourceVersion": start, "labelSelector": "set=watched"})
    for index in range(20):
        a.post(MAPS, config_map(f"w-{index}", {"set": "watched"}, v="0")).ok(201)
    a.patch(f"{MAPS}/w-3", {"data": {"v": "1"}}).ok()
    a.patch(f"{MAPS}/w-4", {"metadata": {"labels": {"set": "other"}}}).ok()
    a.delete(f"{MAPS}/w-5").ok()
    watch.named("DELETED", "w-5")
    seen = [(event["type"], event["object"]["metadata"]["name"]) for event in watch.events]
    wanted = [("ADDED", f"w-{index}") for index in range(20)] + [("MODIFIED", "w-3"), ("DELETED", "w-4"), ("DELETED", "w-5")]
    equal(seen, wanted)
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in watch.events]
    equal(revisions, sorted(set(revisions)), "revisions grow")
    watch.close()
    again = a.watch(MAPS, {"resourceVersion": str(revisions[0]), "labelSelector": "set=watched"})
    again.named("DELETED", "w-5")
    equal([(event["type"], event["object"]["metadata"]["name"]) for event in again.events], wanted[1:], "from a revision on")
    again.close()


@suite.case
def watches_from_nothing_begin_with_what_is_there(world):
    a, b = world.clients()
    watch = b.watch(MAPS, {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true",
                           "labelSelector": "set=watched"})
    mark = watch.wait(lambda event: event["type"] == "BOOKMARK")
    equal(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true")
    there = a.get(MAPS, query={"labelSelector": "set=watched"}).json["items"]
    equal(len(watch.events) - 1, len(there))
    watch.close()


@suite.case
def racing_writers_all_count(world):
    a, _ = world.clients()
    a.post(MAPS, config_map("counter", n="0")).ok(201)
    errors = []

    def count(server):
        client = server.admin()
        try:
            for _ in range(20):
                while True:
                    found = client.get(f"{MAPS}/counter").ok(200).json
                    found["data"]["n"] = str(int(found["data"]["n"]) + 1)
                    if client.put(f"{MAPS}/counter", found).ok(200, 409).status == 200:
                        break
        except Failed as error:
            errors.append(error)

    threads = [threading.Thread(target=count, args=(server,)) for server in (world.first, world.second) * 3]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal((errors, a.get(f"{MAPS}/counter").json["data"]["n"]), ([], "120"))


@suite.case
def the_controllers_do_their_work(world):
    a, b = world.clients()
    a.post("/api/v1/namespaces", {"metadata": {"name": "made"}}).ok(201)
    wait_for("the default service account", lambda: b.get("/api/v1/namespaces/made/serviceaccounts/default").status == 200)
    b.post("/api/v1/namespaces/made/configmaps", config_map("inside")).ok(201)
    a.delete("/api/v1/namespaces/made").ok(200, 202)
    wait_for("the namespace to be gone", lambda: b.get("/api/v1/namespaces/made").status == 404)
    a.get("/api/v1/namespaces/made/configmaps/inside").refused(404, "NotFound")


@suite.case
def a_quota_is_never_exceeded(world):
    a, b = world.clients()
    a.post("/api/v1/namespaces", {"metadata": {"name": "limited"}}).ok(201)
    inside = "/api/v1/namespaces/limited"
    secrets, quota = f"{inside}/secrets", f"{inside}/resourcequotas/q"
    a.post(secrets, {"metadata": {"name": "before"}}).ok(201)
    a.post(f"{inside}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"secrets": "10", "limits.cpu": "1"}}}).ok(201)
    used = lambda: b.get(quota).ok(200).json["status"].get("used")
    wait_for("what is there to be counted", lambda: used() == {"secrets": "1", "limits.cpu": "0"})
    codes, refusals = [], set()

    def create(server, number):
        answer = server.admin().post(secrets, {"metadata": {"name": f"s{number}"}})
        codes.append(answer.status)
        if answer.status != 201:
            refusals.add(answer.json["message"].replace(f"s{number}", "*"))

    threads = [threading.Thread(target=create, args=((world.first, world.second)[number % 2], number)) for number in range(64)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal((codes.count(201), codes.count(403), refusals), (9, 55, {
        'secrets "*" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=10, limited: secrets=10'}))
    equal((used(), len(b.get(secrets).json["items"])), ({"secrets": "10", "limits.cpu": "0"}, 10))
    a.post(f"{secrets}?dryRun=All", {"metadata": {"name": "dry"}}).refused(403, "Forbidden", "exceeded quota: q")
    # What goes is given back.
    a.delete(f"{secrets}/before").ok(200)
    wait_for("what went to be given back", lambda: used()["secrets"] == "9")
    b.post(f"{secrets}?dryRun=All", {"metadata": {"name": "dry"}}).ok(201)
    equal(used()["secrets"], "9", "a dry run takes nothing")
    b.post(secrets, {"metadata": {"name": "after"}}).ok(201)
    a.post(secrets, {"metadata": {"name": "beyond"}}).refused(403, "Forbidden", "exceeded quota: q")
    # Another limit holds when it has been taken up.
    a.patch(quota, {"spec": {"hard": {"secrets": "11"}}}).ok(200)
    wait_for("the other limit", lambda: b.get(quota).json["status"]["hard"]["secrets"] == "11")
    b.post(secrets, {"metadata": {"name": "beyond"}}).ok(201)
    # Pods, by what they ask for.
    wait_for("the default service account", lambda: b.get(f"{inside}/serviceaccounts/default").status == 200)
    pod = lambda name, cpu: {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": cpu}}]}}
    a.post(f"{inside}/pods", pod("p", {})).refused(403, "Forbidden", 'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: c')
    a.post(f"{inside}/pods", pod("p", {"cpu": "600m"})).ok(201)
    why = "exceeded quota: q, requested: limits.cpu=500m, used: limits.cpu=600m, limited: limits.cpu=1"
    b.post(f"{inside}/pods", pod("r", {"cpu": "500m"})).refused(403, "Forbidden", why)
    resize = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1100m"}}}]}}
    b.patch(f"{inside}/pods/p/resize", resize, kind="strategic-merge").refused(403, "Forbidden", "requested: limits.cpu=500m")
    a.patch(f"{inside}/pods/p/status", {"status": {"phase": "Succeeded"}}).ok(200)
    wait_for("a pod that ended to give back", lambda: used()["limits.cpu"] == "0")


@suite.case
def a_kubelet_ends_a_pod(world):
    a, b = world.clients()
    pods = "/api/v1/namespaces/default/pods"
    wait_for("the default service account", lambda: a.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200)
    made = a.post(pods, {"metadata": {"name": "ends"}, "spec": {"nodeName": "far", "containers": [{"name": "c", "image": "i"}]}}).ok(201).json
    marked = b.delete(f"{pods}/ends").ok(200).json
    equal(marked["metadata"]["deletionGracePeriodSeconds"], 30)
    # The status as a kubelet sends it: with the uid, and the time of deletion as it knows it.
    patch = {"metadata": {"uid": made["metadata"]["uid"]}, "status": {"phase": "Succeeded"}}
    written = a.patch(f"{pods}/ends/status", patch, kind="strategic-merge").ok(200).json
    equal(written["metadata"]["deletionTimestamp"], marked["metadata"]["deletionTimestamp"])
    written["status"]["message"] = "it ended"
    written["metadata"].pop("deletionTimestamp")
    written = a.put(f"{pods}/ends/status", written).ok(200).json
    equal(written["metadata"]["deletionTimestamp"], marked["metadata"]["deletionTimestamp"])
    a.patch(f"{pods}/ends", {"metadata": {"finalizers": ["example.com/new"]}}).refused(422, "Invalid", "no new finalizers can be added")
    end = {"gracePeriodSeconds": 0, "preconditions": {"uid": made["metadata"]["uid"]}}
    a.delete(f"{pods}/ends", {**end, "preconditions": {"uid": "other"}}).refused(409, "Conflict", "the UID in the precondition")
    b.delete(f"{pods}/ends", end).ok(200)
    a.get(f"{pods}/ends").refused(404, "NotFound")


@suite.case
def pods_go_before_what_they_need(world):
    a, b = world.clients()
    a.post("/api/v1/namespaces", {"metadata": {"name": "ordered"}}).ok(201)
    inside = "/api/v1/namespaces/ordered"
    wait_for("the default service account", lambda: a.get(f"{inside}/serviceaccounts/default").status == 200)
    a.post(f"{inside}/secrets", {"metadata": {"name": "needed"}}).ok(201)
    pod = {"metadata": {"name": "last", "finalizers": ["example.com/f"]}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    a.post(f"{inside}/pods", pod).ok(201)
    a.delete(inside).ok(200)
    conditions = wait_for("its conditions", lambda: b.get(inside).ok(200).json["status"].get("conditions"))
    equal([(c["type"], c["status"], c["reason"]) for c in conditions], [
        ("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered"),
        ("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions"),
        ("NamespaceDeletionContentFailure", "False", "ContentDeleted"),
        ("NamespaceContentRemaining", "False", "ContentRemoved"),
        ("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers"),
    ])
    a.get(f"{inside}/secrets/needed").ok(200)
    check(a.get(f"{inside}/pods/last").ok(200).json["metadata"].get("deletionTimestamp"), "the pod is marked")
    a.post(f"{inside}/secrets", {"metadata": {"name": "late"}}).refused(403, "Forbidden", "being terminated")
    a.patch(f"{inside}/pods/last", {"metadata": {"finalizers": None}}).ok(200)
    wait_for("the namespace to be gone", lambda: b.get(inside).status == 404)


@suite.case
def garbage_in_doubt_is_kept(world):
    a, b = world.clients()
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    owner = a.post(MAPS, config_map("owner")).ok(201).json["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    a.post(roles, {"metadata": {"name": "kept", "ownerReferences": [reference]}, "rules": []}).ok(201)
    gone = {"apiVersion": "v1", "kind": "Node", "name": "nobody", "uid": "nobody"}
    a.post(roles, {"metadata": {"name": "taken", "ownerReferences": [gone]}, "rules": []}).ok(201)
    wait_for("what has no owner to be gone", lambda: b.get(f"{roles}/taken").status == 404)
    told = lambda: [event for event in b.get("/api/v1/namespaces/default/events").json["items"] if event["involvedObject"]["name"] == "kept"]
    event = wait_for("the event", told)[0]
    equal((event["reason"], event["type"]), ("OwnerRefInvalidNamespace", "Warning"))
    equal(event["message"], f'ownerRef [v1/ConfigMap, namespace: , name: owner, uid: {owner["uid"]}] does not exist in namespace ""')
    a.get(f"{roles}/kept").ok(200)
    a.delete(f"{roles}/kept").ok(200)
    a.delete(f"{MAPS}/owner").ok(200)


@suite.case
def the_chain_decides_on_every_server(world):
    a, b = world.clients()
    b.get("/api/v1/namespaces/default/pods", headers={"Impersonate-User": "jane"}).refused(403, "Forbidden", 'User "jane" cannot list')
    binding = {"metadata": {"name": "jane"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
               "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]}
    a.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).ok(201)
    a.get("/api/v1/namespaces/default/pods", headers={"Impersonate-User": "jane"}).ok(200)  # at once, where it was written
    wait_for("the other server to know", lambda: b.get("/api/v1/namespaces/default/pods", headers={"Impersonate-User": "jane"}).status == 200)
    a.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/jane").ok()
    a.get("/api/v1/namespaces/default/pods", headers={"Impersonate-User": "jane"}).refused(403, "Forbidden")
    b.post("/api/v1/namespaces/none/configmaps", config_map("x")).refused(404, "NotFound", 'namespaces "none" not found')


@suite.case
def a_restart_keeps_everything(world):
    a, _ = world.clients()
    before = a.get(MAPS).json
    uid = a.get("/api/v1/namespaces/kube-system").json["metadata"]["uid"]
    certificate = world.first.admin_certificate.read_bytes()
    equal(world.first.stop(), 0, "exit code")
    if STORE == "etcd":
        world.second.client(certificate=world.second.admin_certificate).get(MAPS).ok(200)
        equal(world.second.stop(), 0, "exit code")
    world.first.start()
    equal(world.first.admin_certificate.read_bytes(), certificate, "the administrator's certificate is kept")
    a = world.first.admin()
    after = a.get(MAPS).ok(200).json
    equal([item for item in after["items"]], [item for item in before["items"]])
    equal(a.get("/api/v1/namespaces/kube-system").json["metadata"]["uid"], uid)
    check(int(after["metadata"]["resourceVersion"]) >= int(before["metadata"]["resourceVersion"]), "revisions go on")


if STORE == "etcd":

    @suite.case
    def etcd_may_go_away_for_a_while(world):
        a = world.first.admin(timeout=90)
        a.post(MAPS, config_map("before")).ok(201)
        world.etcd.kill()
        wait_for("readyz to fail", lambda: world.first.client().get("/readyz").status == 500)
        answer = a.post(MAPS, config_map("during"))
        check(answer.status in (500, 503, 504), "a write without a store is an error", answer.status, answer.text)
        equal(answer.json["kind"], "Status")
        world.etcd.start()
        wait_for("writes to succeed", lambda: a.post(MAPS, config_map("after")).status in (201, 409))
        wait_for("readyz", lambda: world.first.client().get("/readyz").status == 200)
        a.get(f"{MAPS}/before").ok(200)
        watch = a.watch(MAPS, {"resourceVersion": a.get(MAPS).json["metadata"]["resourceVersion"]})
        a.post(MAPS, config_map("later")).ok(201)
        watch.named("ADDED", "later")

    @suite.case
    def keys_are_laid_out_as_upstream_does(world):
        import base64
        import http.client
        import json
        from urllib.parse import urlsplit

        client = http.client.HTTPConnection(urlsplit(world.etcd.url).netloc)
        encode = lambda text: base64.b64encode(text.encode()).decode()
        client.request("POST", "/v3/kv/range", json.dumps({"key": encode("/registry/configmaps/default/before")}))
        response = client.getresponse()
        found = json.loads(response.read())
        contains(base64.b64decode(found["kvs"][0]["value"]).decode(), '"name":"before"')


world = World()
suite.run(world, server=world.first)
