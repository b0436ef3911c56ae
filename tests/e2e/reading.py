#!/usr/bin/env python3
"""What a reader is told: documents that it may keep, lists of a state, history that is gone, selectors, and what is not acted on.

`--store=etcd` runs the same cases on etcd, with two servers on one cluster.
"""

import base64
import json
import sys

from harness import Etcd, Server, Suite, check, contains, equal, wait_for

STORE = "etcd" if "--store=etcd" in sys.argv else "embedded"
sys.argv = [argument for argument in sys.argv if not argument.startswith("--store")]
suite = Suite(f"reading from the {STORE} store")
MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
THREE = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
# So short that history goes while the suite runs.
COMPACTION = "--etcd-compaction-interval=500ms"


class World:
    """One server on the embedded store, or two on one etcd: `first` writes, `second` reads."""

    def __init__(self, *flags):
        if STORE == "etcd":
            self.etcd = Etcd()
            flags = (f"--etcd-servers={self.etcd.url}", "--authorization-mode=RBAC", "--bind-address=127.0.0.1", *flags)
            self.first = Server(*flags)
            self.second = Server(*flags, data=self.first.data)
        else:
            self.first = self.second = Server(*flags)

    def clients(self):
        return self.first.admin(), self.second.admin()


def headers(answer, name):
    return [value for key, value in answer.headers if key.lower() == name.lower()]


def config_map(name, **labels):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def token(version, revision, start):
    return base64.urlsafe_b64encode(json.dumps({"v": version, "rv": revision, "start": start}).encode()).decode().rstrip("=")


@suite.case
def aggregated_discovery_is_kept_by_its_tag(world):
    _, b = world.clients()
    tags = []
    for path in ("/api", "/apis"):
        answer = b.get(path, headers={"Accept": AGGREGATED.format("v2")}).ok(200)
        tag = answer.header("ETag")
        check(len(tag) == 130 and tag.strip('"').isalnum(), "a quoted SHA-512", tag)
        equal((headers(answer, "Vary"), headers(answer, "Cache-Control")), (["Accept"], ["public"]))
        for given, status in ((tag, 304), ('"other"', 200), (f"W/{tag}", 200), (f'"other", {tag}', 200), ("*", 200)):
            again = b.get(path, headers={"Accept": AGGREGATED.format("v2"), "If-None-Match": given})
            equal((again.status, again.header("ETag"), bool(again.body)), (status, tag, status == 200), given)
        tags.append(tag)
    check(tags[0] != tags[1], "two documents")
    plain = b.get("/apis", headers={"Accept": "application/json"}).ok(200)
    equal((plain.json["kind"], plain.header("ETag"), plain.header("Cache-Control")), ("APIGroupList", None, "no-cache, private"))


@suite.case
def documents_are_routed_as_upstream_routes_them(world):
    _, b = world.clients()
    # The router looks at names alone and tells what the route produces; the aggregator negotiates, and answers any method.
    for path, produces in [("/api", THREE), ("/api/v1", THREE), ("/apis/apps/v1/", THREE), ("/version", "application/json"),
                           ("/.well-known/openid-configuration", "application/json"), ("/openid/v1/jwks", "application/jwk-set+json")]:
        for accept in ["text/html", "application/*"]:
            refused = b.get(path, headers={"Accept": accept}).refused(406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: ")
            check(refused.json["message"].endswith(f": {produces}"), f"{path} tells what it produces", refused.json["message"])
    for path in ["/apis", "/apis/apps", "/apis/"]:
        b.get(path, headers={"Accept": "text/html"}).refused(406, "NotAcceptable", "only the following media types are accepted")
        equal(b.get(path, headers={"Accept": "application/*"}).status, 200)
        for method in ["POST", "PUT", "DELETE", "OPTIONS"]:
            equal((method, path, b.request(method, path).status), (method, path, 200))
    b.request("POST", "/apis/apps/v1").refused(405, "MethodNotAllowed", "")
    b.get("/apis/", headers={"Accept": AGGREGATED.format("v2")}).refused(406, "NotAcceptable", "only the following")
    equal(b.get("/index.html").json, b.get("/").json)
    equal(b.get("/openapi/v3").header("Content-Type"), "text/plain; charset=utf-8")


@suite.case
def the_older_aggregated_discovery_is_gone(world):
    _, b = world.clients()
    older = AGGREGATED.format("v2beta1")
    b.get("/apis", headers={"Accept": older}).refused(406, "NotAcceptable", "only the following media types are accepted")
    equal(b.get("/apis", headers={"Accept": f"{older},application/json"}).ok(200).json["kind"], "APIGroupList")


@suite.case
def openapi_is_kept_by_its_hash(world):
    _, b = world.clients()
    addresses = b.get("/openapi/v3").ok(200).json["paths"]
    address = addresses["apis/apps/v1"]["serverRelativeURL"]
    answer = b.get(address).ok(200)
    tag = answer.header("ETag")
    equal(address, f"/openapi/v3/apis/apps/v1?hash={tag.strip(chr(34))}")
    equal((answer.header("Cache-Control"), "Accept" in headers(answer, "Vary")), ("public, immutable", True))
    check(answer.header("Expires").endswith(" GMT") and answer.header("Last-Modified").endswith(" GMT"), "dates", answer.headers)
    stale = b.get("/openapi/v3/apis/apps/v1?hash=0123ABC")
    equal((stale.status, stale.header("Location"), stale.header("ETag"), stale.body), (301, address, tag, b""))
    without = b.get("/openapi/v3/apis/apps/v1").ok(200)
    equal((without.header("Cache-Control"), without.header("Expires"), without.header("ETag")), ("no-cache, private", None, tag))
    equal(without.body, answer.body)
    for path in ("/openapi/v3/apis/apps/v1", address, "/openapi/v2"):
        whole = b.get(path).ok(200)
        tag, since = whole.header("ETag"), whole.header("Last-Modified")
        for given, status in (
            ({"If-None-Match": tag}, 304),
            ({"If-None-Match": f'"other", W/{tag}'}, 304),
            ({"If-None-Match": '"other"', "If-Modified-Since": since}, 200),
            ({"If-Modified-Since": since}, 304),
            ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
            ({"If-Match": '"other"'}, 412),
            ({"If-Match": tag}, 200),
        ):
            again = b.get(path, headers=given)
            equal((again.status, again.header("ETag")), (status, tag), f"{path} {given}")
    for path in ("/openapi/v3/apis/none/v1", "/openapi/v3/"):
        equal((b.get(path).status, b.get(path).body), (404, b""), path)
    equal(b.get("/openapi/v3/apis/apps/v1", headers={"Accept": "application/yaml"}).status, 406)


@suite.case
def whatever_state_will_do_comes_whole(world):
    a, b = world.clients()
    for index in range(5):
        a.post(MAPS, config_map(f"whole-{index}", set="whole")).ok(201)
    # The second server's memory has them once a most recent list has been answered.
    every = b.get(MAPS, query={"labelSelector": "set=whole"}).ok(200).json
    version = every["metadata"]["resourceVersion"]
    equal(len(every["items"]), 5)
    for more in ({}, {"resourceVersionMatch": "NotOlderThan"}):
        for selector in ({"labelSelector": "set=whole"}, {"fieldSelector": "metadata.name!=x"}, {}):
            query = {"resourceVersion": "0", "limit": "2", **more, **selector}
            for accept, rows in (("application/json", "items"), (TABLE, "rows"), (METADATA, "items")):
                answer = b.get(MAPS, query=query, headers={"Accept": accept}).ok(200).json
                check(len(answer[rows]) >= 5 and "continue" not in answer["metadata"], f"{query} {accept}", answer["metadata"])
    for query, count, left in (
        ({"limit": "2"}, 2, None),
        ({"limit": "2", "resourceVersion": version}, 2, None),
        ({"limit": "2", "resourceVersion": version, "resourceVersionMatch": "NotOlderThan"}, 2, None),
        ({"limit": "2", "resourceVersion": version, "resourceVersionMatch": "Exact"}, 2, None),
        ({"resourceVersion": version, "resourceVersionMatch": "Exact"}, 5, None),
    ):
        answer = b.get(MAPS, query={"labelSelector": "set=whole", **query}).ok(200).json
        equal((len(answer["items"]), "continue" in answer["metadata"], answer["metadata"].get("remainingItemCount")), (count, count == 2, left))
    page = b.get("/api/v1/configmaps", query={"limit": "1"}).ok(200).json["metadata"]
    equal(page["remainingItemCount"], len(b.get("/api/v1/configmaps").json["items"]) - 1, "without a selector it is counted")
    one = b.get(MAPS, query={"fieldSelector": "metadata.name=whole-1", "limit": "1"}).ok(200).json
    equal(([item["metadata"]["name"] for item in one["items"]], "continue" in one["metadata"]), (["whole-1"], False), "one name has no pages")


@suite.case
def tokens_that_are_none(world):
    a, b = world.clients()
    for index in range(3):
        a.post(MAPS, config_map(f"token-{index}")).ok(201)
    v1 = "meta.k8s.io/v1"
    words = "invalid continue token: continue key is not valid"
    for given, why in (
        ("&", f"{words}: illegal base64 data at input byte 0"),
        (token("meta.k8s.io/v2", 5, "a"), f"{words}: server does not recognize this encoded version meta.k8s.io/v2"),
        (token(v1, 0, "a"), f"{words}: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (token(v1, 5, ""), f"{words}: encoded start key empty (version meta.k8s.io/v1)"),
        (token(v1, 5, "../../secrets/default/x"), f"{words}: ../../secrets/default/x"),
        (token(v1, 5, "a//b"), f"{words}: a//b"),
    ):
        b.get(MAPS, query={"limit": "1", "continue": given}).refused(400, "BadRequest", why)
    b.get(MAPS, query={"fieldSelector": "metadata.name=token-1", "continue": "&"}).refused(400, "BadRequest", words)
    good = b.get(MAPS, query={"limit": "1"}).ok(200).json["metadata"]["continue"]
    b.get(MAPS, query={"continue": good, "resourceVersion": "5"}).refused(400, "BadRequest", "specifying resource version is not allowed")
    b.get(MAPS, query={"continue": good, "resourceVersion": "x"}).refused(400, "BadRequest", "specifying resource version is not allowed")
    # One of another namespace or resource is a place in this one.
    elsewhere = b.get("/api/v1/namespaces/kube-system/configmaps", query={"continue": good}).ok(200).json
    check(all(item["metadata"]["namespace"] == "kube-system" for item in elsewhere["items"]), "nothing of another namespace")
    future = token(v1, 999999999, "a")
    ahead = b.get(MAPS, query={"continue": future}).refused(504, "Timeout", "Too large resource version: 999999999")
    # An exact version comes from the store, and who asks again gets no more of it; the cache may get there.
    equal((ahead.header("Retry-After"), "retryAfterSeconds" in ahead.json["details"]), (None, False))
    equal(b.get(MAPS, query={"resourceVersion": "999999999"}).header("Retry-After"), "1")


@suite.case
def versions_that_are_no_numbers(world):
    a, b = world.clients()
    a.post(MAPS, config_map("versions")).ok(201)
    path = f"{MAPS}/versions"
    no_number = 'strconv.ParseUint: parsing "x": invalid syntax'
    in_field = f'resourceVersion: Invalid value: "x": {no_number}'

    def unclassified(answer, message):
        equal((answer.status, answer.json.get("reason"), answer.json["message"]), (500, None, message))

    unclassified(b.get(path, query={"resourceVersion": "x"}), in_field)
    b.get(MAPS, query={"resourceVersion": "x"}).refused(400, "BadRequest", f"invalid resource version: {in_field}")
    b.delete(MAPS, query={"resourceVersion": "x", "labelSelector": "none=such"}).refused(400, "BadRequest", f"invalid resource version: {in_field}")
    unclassified(b.get(MAPS, query={"resourceVersion": "x", "watch": "1"}), in_field)
    changed = lambda version: {**config_map("versions"), "metadata": {"name": "versions", "resourceVersion": version}}
    unclassified(b.put(path, changed("x")), no_number)
    unclassified(b.put(path, changed("+5")), 'strconv.ParseUint: parsing "+5": invalid syntax')
    unclassified(b.put(path, changed("99999999999999999999")), 'strconv.ParseUint: parsing "99999999999999999999": value out of range')
    unclassified(b.patch(path, {"metadata": {"resourceVersion": "x"}}), no_number)
    b.delete(path, {"preconditions": {"resourceVersion": "x"}}).refused(409, "Conflict", "the ResourceVersion in the precondition (x)")
    current = b.get(path).json["metadata"]["resourceVersion"]
    b.put(path, changed(f"00{current}")).ok(200)
    made = config_map("made-anyway")
    made["metadata"]["resourceVersion"] = "x"
    check(b.post(MAPS, made).ok(201).json["metadata"]["resourceVersion"].isdigit(), "it is overwritten")


@suite.case
def events_select_by_their_source(world):
    a, b = world.clients()
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    for name, more in (("by-component", {"source": {"component": "here"}, "reportingComponent": "there"}), ("by-controller", {"reportingComponent": "there"})):
        a.post(EVENTS, {"metadata": {"name": name}, "involvedObject": about, **more}).ok(201)
    names = lambda path, selector: [item["metadata"]["name"] for item in b.get(path, query={"fieldSelector": selector}).ok(200).json["items"]]
    equal(names(EVENTS, "source=here"), ["by-component"])
    equal(names(EVENTS, "source=there"), ["by-controller"])
    equal(names(EVENTS, "reportingComponent=there"), ["by-component", "by-controller"])
    newer = "/apis/events.k8s.io/v1/namespaces/default/events"
    equal(names(newer, "reportingController=there,regarding.name=p"), ["by-component", "by-controller"])
    b.get(newer, query={"fieldSelector": "source=there"}).refused(400, "BadRequest", "field label not supported: source")
    for path, selector, why in (
        ("/api/v1/nodes", "metadata.namespace=x", "field label not supported: metadata.namespace"),
        ("/apis/batch/v1/jobs", "spec.x=y", 'field label "spec.x" not supported for Job'),
        ("/apis/resource.k8s.io/v1/resourceslices", "x=y", "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x"),
    ):
        b.get(path, query={"fieldSelector": selector}).refused(400, "BadRequest", why)
    watch = "/api/v1/watch/namespaces/default/configmaps/one"
    b.get(watch, query={"fieldSelector": "metadata.name=two"}).refused(400, "BadRequest", "fieldSelector metadata.name doesn't match requested name")


@suite.case
def a_review_is_no_table(world):
    _, b = world.clients()
    access = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    b.post(reviews, access, headers={"Accept": TABLE}).refused(406, "NotAcceptable", "only the following media types are accepted")
    equal(b.post(reviews, access, headers={"Accept": f"{TABLE},application/json"}).ok(201).json["kind"], "SelfSubjectAccessReview")
    metadata = METADATA.replace("MetadataList", "Metadata")
    equal(b.post(reviews, access, headers={"Accept": metadata}).ok(201).json["kind"], "PartialObjectMetadata")
    account = "/api/v1/namespaces/kube-system/serviceaccounts/default/token"
    b.post(account, {}, headers={"Accept": TABLE}).refused(406, "NotAcceptable", "")


@suite.case
def time_zones_are_those_of_the_database(world):
    _, b = world.clients()
    container = {"name": "c", "image": "i"}
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    make = lambda zone: b.post(
        "/apis/batch/v1/namespaces/default/cronjobs?dryRun=All",
        {"metadata": {"name": "z"}, "spec": {"schedule": "@daily", "timeZone": zone, "jobTemplate": template}})
    for zone in ("Europe/Berlin", "UTC", "US/Pacific", "Etc/GMT+12"):
        make(zone).ok(201)
    for zone, why in (
        ("Europe/Nowhere", "unknown time zone Europe/Nowhere"),
        ("europe/berlin", "unknown time zone europe/berlin"),
        ("Local", "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
        ("", "timeZone must be nil or non-empty string"),
    ):
        make(zone).refused(422, "Invalid", why)


@suite.case
def what_is_not_acted_on_is_said(world):
    a, b = world.clients()
    schema = {"metadata": {"name": "f"}, "spec": {"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 9000}}
    schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    definition = {"metadata": {"name": "things.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    service = {"metadata": {"name": "v1.example.org"}, "spec": {
        "group": "example.org", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": True,
        "service": {"name": "s", "namespace": "default"}}}
    says = lambda answer, what: contains(" ".join(headers(answer, "Warning")), f"and does not act on it yet: {what}", "a warning")
    says(a.post(schemas, schema).ok(201), "requests are not ordered by it")
    says(a.patch(f"{schemas}/f", {"spec": {"matchingPrecedence": 9001}}).ok(200), "requests are not ordered by it")
    says(a.put(f"{schemas}/f", schema).ok(200), "requests are not ordered by it")
    condition = {"type": "Dangling", "status": "False", "reason": "Found", "message": "", "lastTransitionTime": None}
    status = {"status": {"conditions": [condition]}}
    equal(headers(a.patch(f"{schemas}/f/status", status).ok(200), "Warning"), [], "controllers are spared")
    says(a.post(f"{hooks}?dryRun=All", {"metadata": {"name": "w"}}).ok(201), "no webhook is called")
    says(a.post("/apis/apiregistration.k8s.io/v1/apiservices", service).ok(201), "no request is passed on to it")
    says(a.post(definitions, definition).ok(201), "its resources are not served")
    found = wait_for("the condition", lambda: b.get(f"{definitions}/things.example.com").ok(200).json["status"].get("conditions"))
    equal([(c["type"], c["status"], c["reason"]) for c in found], [("Established", "False", "NotServed")])
    equal(headers(a.post(MAPS, config_map("served")).ok(201), "Warning"), [], "and nothing of what is acted on")


@suite.case
def history_goes_and_says_where_to_go_on(_):
    world = World(COMPACTION)
    a, b = world.clients()
    for index in range(4):
        a.post(MAPS, config_map(f"old-{index}", set="old")).ok(201)
    page = lambda **query: b.get(MAPS, query={"labelSelector": "set=old", "limit": "2", **query})
    first = page().ok(200).json["metadata"]
    # Nothing else is written: the token grows old all the same.
    gone = wait_for("the token to be too old", lambda: (lambda answer: answer if answer.status != 200 else None)(page(**{"continue": first["continue"]})))
    gone.refused(410, "Expired", "The provided continue parameter is too old to display a consistent list result. You can start a new list "
                 "without the continue parameter, or use the continue token in this response to retrieve the remainder of the results.")
    a.post(MAPS, config_map("old-9", set="old")).ok(201)
    rest = page(**{"continue": gone.json["metadata"]["continue"], "limit": "9"}).ok(200).json
    equal([item["metadata"]["name"] for item in rest["items"]], ["old-2", "old-3", "old-9"], "the state of now")
    exact = {"resourceVersion": first["resourceVersion"], "resourceVersionMatch": "Exact"}
    b.get(MAPS, query=exact).refused(410, "Expired", "The resourceVersion for the provided list is too old.")
    b.get(MAPS, query={"resourceVersion": first["resourceVersion"], "limit": "1"}).refused(410, "Expired", "The resourceVersion for the provided list")
    b.get(MAPS, query={"resourceVersion": first["resourceVersion"]}).ok(200)
    # A server that starts knows nothing older than that. A watch says so in its stream.
    world.second.stop()
    world.second.start()
    b = world.second.admin()
    [event] = b.get(MAPS, query={"resourceVersion": first["resourceVersion"], "watch": "1"}).ok(200).text.splitlines()
    event = json.loads(event)
    equal((event["type"], event["object"]["code"], event["object"]["reason"]), ("ERROR", 410, "Expired"))
    contains(event["object"]["message"], f"too old resource version: {first['resourceVersion']} (")
    # A token that was just given is good, however short the interval.
    for _ in range(20):
        fresh = page().ok(200).json["metadata"]["continue"]
        page(**{"continue": fresh}).ok(200)


suite.run(World())
