#!/usr/bin/env python3
"""The official Python client. `cargo xtask test` runs this suite in the virtual environment that has it."""

import base64
import json
import ssl
import threading

import websocket
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

from harness import Server, Suite, check, contains, equal, wait_for

suite = Suite("the Python client")


def config_map(name, labels=None, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def refused(status, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ApiException as error:
        equal(error.status, status, error.body)
        return error
    check(False, "it is not refused")


@suite.case
def objects_are_made_changed_and_deleted(server):
    core = client.CoreV1Api()
    made = core.create_namespaced_config_map("default", config_map("one", v="1"))
    check(made.metadata.uid and made.metadata.creation_timestamp, "metadata")
    made.data["v"] = "2"
    equal(core.replace_namespaced_config_map("one", "default", made).data, {"v": "2"})
    contains(refused(409, core.replace_namespaced_config_map, "one", "default", made).body, "Conflict")
    equal(core.read_namespaced_config_map("one", "default").data, {"v": "2"})
    core.delete_namespaced_config_map("one", "default")
    refused(404, core.read_namespaced_config_map, "one", "default")


@suite.case
def patches_of_every_type(server):
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    core.create_namespaced_config_map("default", config_map("patched", a="1", b="2"))
    merge = {"data": {"a": None, "c": "3"}}
    equal(core.patch_namespaced_config_map("patched", "default", merge, _content_type="application/merge-patch+json").data, {"b": "2", "c": "3"})
    steps = [{"op": "replace", "path": "/data/b", "value": "x"}]
    equal(core.patch_namespaced_config_map("patched", "default", steps, _content_type="application/json-patch+json").data["b"], "x")
    body = {"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx:1"}, {"name": "log", "image": "busybox"}]}}}}
    apps.create_namespaced_deployment("default", body)
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}}}
    patched = apps.patch_namespaced_deployment("web", "default", strategic)
    equal({c.name: c.image for c in patched.spec.template.spec.containers}, {"web": "nginx:2", "log": "busybox"})
    apps.patch_namespaced_deployment_status("web", "default", {"status": {"replicas": 3}})
    read = apps.read_namespaced_deployment("web", "default")
    equal((read.status.replicas, read.spec.replicas), (3, 1))


@suite.case
def pages(server):
    core = client.CoreV1Api()
    for index in range(23):
        core.create_namespaced_config_map("default", config_map(f"page-{index:02}", {"set": "pages"}))
    names, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map("default", label_selector="set=pages", limit=10, _continue=token)
        names += [item.metadata.name for item in page.items]
        pages, token = pages + 1, page.metadata._continue
        if not token:
            break
    equal((pages, names), (3, [f"page-{index:02}" for index in range(23)]))
    core.delete_collection_namespaced_config_map("default", label_selector="set=pages")
    equal(core.list_namespaced_config_map("default", label_selector="set=pages").items, [])


@suite.case
def lists_and_watches(server):
    core = client.CoreV1Api()
    version = core.list_namespaced_config_map("default").metadata.resource_version
    seen = []

    def follow():
        for event in watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=version,
                                          label_selector="set=watched", timeout_seconds=60):
            seen.append((event["type"], event["object"].metadata.name))
            if seen[-1] == ("DELETED", "w-0"):
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    for index in range(5):
        core.create_namespaced_config_map("default", config_map(f"w-{index}", {"set": "watched"}))
    core.patch_namespaced_config_map("w-1", "default", {"data": {"a": "b"}})
    core.delete_namespaced_config_map("w-0", "default")
    follower.join(60)
    equal(seen, [("ADDED", f"w-{index}") for index in range(5)] + [("MODIFIED", "w-1"), ("DELETED", "w-0")])


@suite.case
def a_watch_ends_when_it_was_told_to(server):
    core = client.CoreV1Api()
    for _ in watch.Watch().stream(core.list_namespaced_secret, "default", timeout_seconds=1):
        pass


@suite.case
def the_dynamic_client(server):
    api = dynamic.DynamicClient(client.ApiClient())
    services = api.resources.get(api_version="v1", kind="Service")
    made = services.create(namespace="default", body={"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
    check(made.spec.clusterIP, "a cluster IP", made.spec)
    services.patch(namespace="default", name="web", body={"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json")
    equal([s.metadata.name for s in services.get(namespace="default", label_selector="a=b").items], ["web"])
    services.delete(namespace="default", name="web")
    check(len(list(api.resources.search(api_version="apps/v1"))) >= 5, "discovery")


BEARER = "base64url.bearer.authorization.k8s.io."


def encoded(token):
    return BEARER + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def web_socket(server, path, protocols=(), certificate=None, header=None):
    """A WebSocket as the client library opens it; what is received is (opcode, data)."""
    options = {"ca_certs": str(server.ca), "cert_reqs": ssl.CERT_REQUIRED, **({"certfile": str(certificate)} if certificate else {})}
    return websocket.create_connection(f"wss://127.0.0.1:{server.port_in_use}{path}", sslopt=options, subprotocols=list(protocols) or None,
                                       header=header, timeout=60)


def events(socket, count):
    found = []
    while len(found) < count:
        opcode, data = socket.recv_data()
        found.append((opcode, data))
    return found


@suite.case
def a_watch_over_a_web_socket(server):
    core = client.CoreV1Api()
    version = core.list_namespaced_config_map("default").metadata.resource_version
    path = f"/api/v1/namespaces/default/configmaps?watch=1&labelSelector=set%3Dsocket&resourceVersion={version}"
    socket = web_socket(server, path, certificate=server.admin_certificate)
    equal(socket.subprotocol, None)
    for index in range(3):
        core.create_namespaced_config_map("default", config_map(f"s-{index}", {"set": "socket"}))
    core.delete_namespaced_config_map("s-0", "default")
    found = events(socket, 4)
    equal({opcode for opcode, _ in found}, {websocket.ABNF.OPCODE_TEXT}, "an event is one text frame")
    told = [(event["type"], event["object"]["metadata"]["name"]) for event in (json.loads(data) for _, data in found)]
    equal(told, [("ADDED", "s-0"), ("ADDED", "s-1"), ("ADDED", "s-2"), ("DELETED", "s-0")])
    socket.ping("are you there")
    opcode, frame = socket.recv_data_frame(control_frame=True)
    equal((opcode, frame.data), (websocket.ABNF.OPCODE_PONG, b"are you there"))
    # What it sends means nothing.
    socket.send("hello")
    core.create_namespaced_config_map("default", config_map("s-3", {"set": "socket"}))
    equal(json.loads(socket.recv())["object"]["metadata"]["name"], "s-3")
    socket.send_close()
    equal(socket.recv_data()[0], websocket.ABNF.OPCODE_CLOSE, "a close is answered")
    socket.shutdown()


@suite.case
def a_web_socket_ends_with_its_watch(server):
    socket = web_socket(server, "/api/v1/namespaces/default/secrets?watch=1&timeoutSeconds=1", certificate=server.admin_certificate)
    opcode, data = socket.recv_data()
    while opcode == websocket.ABNF.OPCODE_TEXT:
        opcode, data = socket.recv_data()
    equal((opcode, int.from_bytes(data[:2], "big")), (websocket.ABNF.OPCODE_CLOSE, 1000))


@suite.case
def a_token_among_the_subprotocols(server):
    core, rbac = client.CoreV1Api(), client.RbacAuthorizationV1Api()
    core.create_namespaced_service_account("default", client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="viewer")))
    rbac.create_namespaced_role_binding("default", client.V1RoleBinding(
        metadata=client.V1ObjectMeta(name="viewer"), role_ref=client.V1RoleRef(kind="ClusterRole", name="view", api_group="rbac.authorization.k8s.io"),
        subjects=[client.RbacV1Subject(kind="ServiceAccount", name="viewer", namespace="default")]))
    token = core.create_namespaced_service_account_token("viewer", "default", client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[]))).status.token
    core.create_namespaced_config_map("default", config_map("by-token", {"set": "by-token"}))
    path = "/api/v1/namespaces/default/configmaps?watch=1&labelSelector=set%3Dby-token"

    def opened():
        # The role may not have reached the authorizer yet.
        try:
            return web_socket(server, path, [encoded(token), "base64.binary.k8s.io"])
        except websocket.WebSocketBadStatusException as error:
            equal(error.status_code, 403)
            return None

    socket = wait_for("the role binding", opened)
    equal(socket.subprotocol, "base64.binary.k8s.io", "the other protocol is chosen, never the token")
    check(token not in str(socket.headers), "the token is not sent back")
    equal(json.loads(socket.recv())["object"]["metadata"]["name"], "by-token")
    socket.close()

    def refused_with(protocols, status, where=path):
        try:
            web_socket(server, where, protocols).close()
        except websocket.WebSocketBadStatusException as error:
            equal(error.status_code, status, str(error.resp_body))
            return error
        check(False, "it is not refused", protocols)

    for protocols in ([encoded("nobody's"), "v1"], [encoded(token)], [encoded(token), encoded(token), "v1"], [BEARER + "&", "v1"]):
        answer = json.loads(refused_with(protocols, 401).resp_body)
        equal((answer["kind"], answer["reason"]), ("Status", "Unauthorized"), protocols)
    # What is wrong before the upgrade is an ordinary answer.
    elsewhere = json.loads(refused_with([encoded(token), "v1"], 403, "/api/v1/namespaces/kube-system/secrets?watch=1").resp_body)
    equal((elsewhere["kind"], elsewhere["reason"]), ("Status", "Forbidden"))
    wrong = json.loads(refused_with([encoded(token), "v1"], 400, path + "&fieldSelector=x%3Dy").resp_body)
    contains(wrong["message"], "is not a known field selector")
    refused_with([encoded(token), "v1", "v2"], 400)


@suite.case
def a_web_socket_takes_protobuf(server):
    path = "/api/v1/namespaces/default/configmaps?watch=1"
    accept = ["Accept: application/vnd.kubernetes.protobuf;stream=watch"]
    socket = web_socket(server, path, certificate=server.admin_certificate, header=accept)
    opcode, data = socket.recv_data()
    equal(opcode, websocket.ABNF.OPCODE_BINARY)
    # The first field of a WatchEvent is its type; no length stands before it.
    equal(data[:7], b"\n\x05ADDED")
    check(b"k8s\0" in data[:20], "the object is in its envelope", data[:20])
    socket.close()


@suite.case
def reviews(server):
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace="default")))
    equal(client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed, True)
    equal(client.VersionApi().get_code().minor, "36")


with_server = Server()
config.load_kube_config(str(with_server.kubeconfig))
suite.run(with_server, server=with_server)
