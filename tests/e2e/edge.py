#!/usr/bin/env python3
"""The edge of the server: paths that lead nowhere, methods, strangers, readers that do not read, heads, and what metrics tell.

What one crate can show alone is in its own tests (`host/server/tests`); here is what needs the whole server, as it is installed.
"""

import contextlib
import json
import re
import socket
import ssl
import struct

from harness import Server, Suite, check, contains, equal, scratch, wait_for

suite = Suite("the edge")
MAPS = "/api/v1/namespaces/default/configmaps"
STREAMS_PER_CONNECTION, CONNECTIONS = 40, 8
SEATS = 8


def connect(server, alpn, certificate=None):
    context = server.tls(certificate)
    context.set_alpn_protocols([alpn])
    plain = socket.create_connection(("127.0.0.1", server.port_in_use), timeout=60)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


# HTTP/2 by hand: no client of the standard library speaks it, and none would behave like this.

GOAWAY = 7


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def frames(received):
    """Kind and stream of each frame."""
    found = []
    while len(received) >= 9:
        found.append((received[3], struct.unpack(">I", received[5:9])[0]))
        received = received[9 + int.from_bytes(received[:3], "big"):]
    return found


def field(name, value):
    """A header that is neither indexed nor compressed."""
    def text(data):
        length = len(data)
        if length < 127:
            return bytes([length]) + data
        length, out = length - 127, bytearray([127])
        while length >= 128:
            out.append(length % 128 + 128)
            length //= 128
        return bytes(out) + bytes([length]) + data
    return b"\0" + text(name.encode()) + text(value.encode())


def head(path, more=()):
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", path), *more]
    return b"".join(field(name, value) for name, value in fields)


def start_http2(server, window, certificate=None):
    """A connection whose streams grant the server so many bytes."""
    tls = connect(server, "h2", certificate)
    tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, struct.pack(">HI", 4, window)))
    return tls


def ask(tls, stream, path, more=()):
    tls.sendall(frame(1, 0x4 | 0x1, stream, head(path, more)))


def is_cut(tls):
    """Whether the server has closed the connection; reads what is there without granting more of it."""
    tls.settimeout(0.2)
    try:
        while True:
            if not tls.recv(65536):
                return True
    except (TimeoutError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


class World:
    def __init__(self):
        tokens = scratch() / "tokens"
        tokens.write_text('jane-token,jane,1,"team"\n')
        self.server = Server(f"--token-auth-file={tokens}", f"--max-requests-inflight={SEATS}", "--max-mutating-requests-inflight=8",
                             "--min-request-timeout=1")
        self.admin = self.server.admin()
        # Connections whose clients read nothing.
        self.held = []


@suite.case
def who_may_do_everything_in_one_namespace_may_do_nothing_outside(world):
    admin, jane = world.admin, world.server.client(token="jane-token")
    for namespace in ("ten", "victim"):
        admin.post("/api/v1/namespaces", {"metadata": {"name": namespace}}).ok(201)
        admin.post(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "kept"}}).ok(201)
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/ten"
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    admin.post(f"{rbac}/roles", {"metadata": {"name": "all"}, "rules": [everything]}).ok(201)
    admin.post(f"{rbac}/rolebindings", {"metadata": {"name": "all"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]}).ok(201)
    wait_for("jane's rights", lambda: jane.get("/api/v1/namespaces/ten/configmaps").status == 200)
    missing = "the server could not find the requested resource"
    inside = "/api/v1/namespaces/ten"
    for method, path, body in [
        ("GET", f"{inside}/namespaces/victim", None),
        ("GET", f"{inside}/namespaces", None),
        ("GET", f"{inside}/namespaces?watch=1&timeoutSeconds=1", None),
        ("GET", f"/api/v1/watch/namespaces/ten/namespaces/victim", None),
        ("POST", f"{inside}/namespaces", {"metadata": {"name": "made"}}),
        ("PUT", f"{inside}/namespaces/victim", {"metadata": {"name": "victim", "labels": {"a": "b"}}}),
        ("PUT", f"{inside}/namespaces/victim/finalize", {"metadata": {"name": "victim"}, "spec": {"finalizers": []}}),
        ("PATCH", f"{inside}/namespaces/victim", {"metadata": {"labels": {"a": "b"}}}),
        ("PATCH", f"{inside}/namespaces/victim/status", {"status": {"phase": "Terminating"}}),
        ("DELETE", f"{inside}/namespaces/victim", None),
        ("DELETE", f"{inside}/namespaces", None),
        ("GET", f"{inside}/nodes", None),
        ("POST", f"{inside}/nodes", {"metadata": {"name": "made"}}),
        ("DELETE", f"{inside}/persistentvolumes", None),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/ten/clusterroles/cluster-admin", None),
        ("GET", f"{inside}/componentstatuses", None),
        ("GET", f"{inside}/namespaces%2Fvictim", None),
    ]:
        kind = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        jane.request(method, path, body, headers=kind).refused(404, "NotFound", missing)
    for path in ("/api/v1/namespaces/victim/configmaps/kept", "/api/v1/namespaces//configmaps", "/api/v1/configmaps", "/api/v1/namespaces",
                 "/api/v1/namespaces/victim"):
        jane.get(path).refused(403, "Forbidden")
    # A name in the selector is a name that was authorized; it does not open another road.
    jane.get(f"{inside}/pods//status?fieldSelector=metadata.name%3Dkept").refused(400, "BadRequest", "name must be provided")
    jane.get(f"/api/v1/watch/namespaces/ten/configmaps/kept?fieldSelector=metadata.name%3Dother").refused(
        400, "BadRequest", "fieldSelector metadata.name doesn't match requested name")
    equal(jane.get("//api/v1/namespaces/ten/configmaps").status, 404)
    victim = admin.get("/api/v1/namespaces/victim").ok(200).json
    equal((victim["status"]["phase"], victim["metadata"].get("labels")), ("Active", {"kubernetes.io/metadata.name": "victim"}))
    admin.get("/api/v1/namespaces/made").refused(404, "NotFound")
    admin.get("/api/v1/nodes/made").refused(404, "NotFound")


@suite.case
def methods_that_are_not_served_are_listed(world):
    admin = world.admin
    for method, path, allowed in [
        ("POST", f"{MAPS}/x", "GET, PUT, PATCH, DELETE"),
        ("OPTIONS", MAPS, "GET, POST, DELETE"),
        ("POST", "/api/v1/configmaps", "GET"),
        ("DELETE", "/api/v1/namespaces", "GET, POST"),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", "POST"),
        ("POST", "/api/v1/watch/configmaps", "GET"),
        ("POST", "/apis/apps/v1", "GET"),
        ("POST", "/version", "GET"),
    ]:
        answer = admin.request(method, path)
        equal((answer.status, answer.header("Allow")), (405, allowed), f"{method} {path}")
        equal(answer.json["reason"], "MethodNotAllowed", f"{method} {path}")
    equal(admin.request("HEAD", MAPS).status, 405)
    admin.get("/api/v1/proxy/namespaces/default/pods/x").refused(404, "NotFound")
    equal([admin.get(path).status for path in ("/metrics/", "//metrics", "/healthz/", "//version")], [404] * 4)


@suite.case
def what_goes_on_to_others_says_that_it_is_not_served(world):
    admin = world.admin
    pods = "/api/v1/namespaces/default/pods"
    container = {"name": "c", "image": "example.com/c"}
    admin.post("/api/v1/nodes", {"metadata": {"name": "node"}}).ok(201)
    admin.post(pods, {"metadata": {"name": "pod"}, "spec": {"nodeName": "node", "containers": [container]}}).ok(201)
    admin.patch(f"{pods}/pod/status", {"status": {"podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}]}}).ok(200)
    admin.post("/api/v1/namespaces/default/services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}).ok(201)
    admin.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}], "ports": [{"port": 80}]}).ok(201)
    for method, path, what in [
        ("GET", f"{pods}/pod/log", "pods/log"),
        ("GET", f"{pods}/pod/exec?command=x", "pods/exec"),
        ("POST", f"{pods}/pod/exec?command=x", "pods/exec"),
        ("POST", f"{pods}/pod/attach", "pods/attach"),
        ("GET", f"{pods}/pod/portforward", "pods/portforward"),
        ("GET", f"{pods}/pod/proxy", "pods/proxy"),
        ("PUT", f"{pods}/pod/proxy/some/path", "pods/proxy"),
        ("OPTIONS", f"{pods}/pod/proxy/some/path", "pods/proxy"),
        ("GET", "/api/v1/namespaces/default/services/web/proxy/", "services/proxy"),
        ("DELETE", "/api/v1/namespaces/default/services/web:80/proxy/x", "services/proxy"),
        ("GET", "/api/v1/nodes/node/proxy/metrics", "nodes/proxy"),
    ]:
        answer = admin.request(method, path)
        equal((answer.status, answer.json["kind"], answer.json["status"]), (501, "Status", "Failure"), f"{method} {path}")
        contains(answer.json["message"], f"{what} is not served", f"{method} {path}")
    for path in (f"{MAPS}/x/proxy", f"{MAPS}/x/exec", "/api/v1/nodes/node/log", f"{pods}/pod/log/more", f"{pods}/pod/exec/more"):
        admin.get(path).refused(404, "NotFound", "the server could not find the requested resource")
    world.server.client(token="jane-token").get(f"{pods}/pod/exec").refused(403, "Forbidden", "pods/exec")


@suite.case
def nobody_is_locked_out_by_streams_that_are_never_read(world):
    server = world.server
    held = world.held
    for _ in range(CONNECTIONS):
        tls = start_http2(server, 0)
        with contextlib.suppress(OSError):
            for index in range(STREAMS_PER_CONNECTION):
                ask(tls, 2 * index + 1, "/version")
        held.append(tls)
    jane, stranger = server.client(token="jane-token"), server.client()
    def served():
        """Probes at once; others as soon as what was asked for is worked off, whether or not it is read."""
        for path in ("/livez", "/readyz", "/healthz"):
            stranger.get(path).ok(200)
        for client, path in (stranger, "/version"), (jane, "/version"), (jane, "/apis"):
            wait_for("a place", lambda: client.get(path).status == 200)
    served()
    # Those who say who they are hold none either.
    for _ in range(CONNECTIONS):
        tls = start_http2(server, 0)
        for index in range(STREAMS_PER_CONNECTION):
            ask(tls, 2 * index + 1, "/apis", [("authorization", "Bearer jane-token")])
        held.append(tls)
    served()


@suite.case
def readers_that_do_not_read_are_cut_and_slow_ones_are_not(world):
    server, admin = world.server, world.admin
    for index in range(12):
        admin.post(MAPS, {"metadata": {"name": f"fat-{index}"}, "data": {"v": "x" * 800_000}}).ok(201)
    def start(path):
        tls = connect(server, "http/1.1", server.admin_certificate)
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return tls
    slow = start(MAPS)
    lazy = [start(MAPS), start(f"{MAPS}?watch=1&resourceVersion=0&timeoutSeconds=600")]
    # The slow one takes its time, and gets all of it: a little whenever the server is asked whether it cut the others.
    def pause():
        taken.extend(slow.recv(16384))
        return False
    taken = bytearray()
    count = lambda: int(re.search(r"^wasmgate_stalled_connections_total (\d+)$", admin.get("/metrics").ok(200).text, re.M)[1])
    before = count()
    wait_for("all of them to be cut", lambda: pause() or count() >= before + len(lazy) + len(world.held))
    check(all(is_cut(tls) for tls in world.held), "streams that are never read are left open")
    for tls in lazy:
        tls.settimeout(60)
        rest = 0
        with contextlib.suppress(OSError):
            while chunk := tls.recv(65536):
                rest += len(chunk)
        check(rest < 9_000_000, "cut, and not served", rest)
    length = int(re.search(rb"content-length: (\d+)", bytes(taken))[1])
    start_of_body = taken.index(b"\r\n\r\n") + 4
    while len(taken) - start_of_body < length:
        chunk = slow.recv(65536)
        check(chunk, "the slow reader was cut", len(taken), length)
        taken.extend(chunk)
    equal(len(json.loads(taken[start_of_body:])["items"]) >= 12, True)
    for index in range(12):
        admin.delete(f"{MAPS}/fat-{index}").ok(200)


@suite.case
def heads_beyond_the_limit_get_an_answer(world):
    server = world.server
    for what, data in {
        "a header of 3 MB": b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3_000_000 + b"\r\n\r\n",
        "a path of 3 MB": b"GET /" + b"y" * 3_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "5,000 headers": b"GET /version HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        "a head without an end": b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3_000_000,
    }.items():
        tls = connect(server, "http/1.1")
        tls.sendall(data)
        received = b""
        while chunk := tls.recv(65536):
            received += chunk
        equal(received.split(b"\r\n")[0], b"HTTP/1.1 431 Request Header Fields Too Large", what)
    # Over HTTP/2 it is a response of its own, or, where it goes on and on, the connection's end with a reason.
    for size, kinds in (300_000, [1]), (3_000_000, [1, GOAWAY]):
        tls = start_http2(server, 65535)
        block = head("/version", [(f"x-{number}", "y" * 10_000) for number in range(size // 10_000)])
        parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        with contextlib.suppress(OSError):
            tls.sendall(frame(1, 0x1, 1, parts[0]) + b"".join(frame(9, 0, 1, part) for part in parts[1:-1]) + frame(9, 0x4, 1, parts[-1]))
        received = b""
        answered = lambda: [kind for kind, _ in frames(received) if kind in kinds]
        with contextlib.suppress(OSError):
            while not answered() and (chunk := tls.recv(65536)):
                received += chunk
        check(answered(), "HTTP/2 is not answered", size, frames(received))
    # An audit id comes back as long as it is written down.
    answer = server.client().get("/version", headers={"Audit-ID": "y" * 50_000})
    equal(answer.header("Audit-Id"), "y" * 64)
    equal(server.client().get("/version", headers={"Audit-ID": "mine"}).header("Audit-Id"), "mine")


@suite.case
def what_a_stranger_writes_is_no_label(world):
    server, long = world.server, "madeup" * 5000
    stranger, jane = server.client(), server.client(token="jane-token")
    for client in (stranger, jane, world.admin):
        for path in (f"/apis/{long}/v1/{long}", f"/api/v1/namespaces/{long}/{long}/{long}/{long}", f"/api/{long}/pods?watch=1", f"/{long}",
                     f"/api/v1/namespaces/default/configmaps/x/{long}", f"/api/v1/watch/{long}", f"/healthz/{long}",
                     f"/api/v1/namespaces?dryRun={long}"):
            client.get(path)
        client.request("MADEUP", "/api/v1/namespaces")
    text = world.admin.get("/metrics").ok(200).text
    check("madeup" not in text.lower(), "a made-up word is in the metrics")
    check(len(text) < 1_000_000, "the metrics are large", len(text))
    check('resource="configmaps"' in text, "what is served is told")


@suite.case
def a_watch_that_names_no_time_ends_by_the_flag(world):
    watch = world.admin.watch(MAPS)
    wait_for("the watch to end by itself", watch.ended.is_set)
    equal(watch.error, None)
    longer = world.admin.watch(MAPS, {"timeoutSeconds": "600"})
    again = world.admin.watch(MAPS)
    wait_for("the other to end by itself", again.ended.is_set)
    check(not longer.ended.is_set(), "the client's own time counts")
    longer.close()


world = World()
suite.run(world, server=world.server)
