#!/usr/bin/env python3
"""Bad bodies, credentials, connections, disks and flags: each ends in a clear error, and the server goes on serving.

What one crate can show alone is in its own tests; here is what needs the whole server.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import time

from harness import BINARY, Failed, Server, Suite, check, contains, equal, free_port, scratch, wait_for

suite = Suite("bad input")
MAPS = "/api/v1/namespaces/default/configmaps"
BODY_BYTES_MAX = 3 * 1024 * 1024
JSON, YAML = {"Content-Type": "application/json"}, {"Content-Type": "application/yaml"}


def alive(server):
    """Everybody else is served."""
    admin = server.admin()
    admin.get("/api/v1/namespaces/default").ok(200)
    admin.post(MAPS, {"metadata": {"generateName": "alive-"}}).ok(201)
    admin.close()
    check(server.process.poll() is None, "the server has ended")


@suite.case
def bodies_that_are_too_large(server):
    admin = server.admin()
    start, end = b'{"metadata":{"name":"large"},"data":{"v":"', b'"}}'
    large = start + b"x" * (BODY_BYTES_MAX - len(start) - len(end) + 1) + end
    admin.post(MAPS, large, headers=JSON).refused(413, "RequestEntityTooLarge", "limit is 3145728")
    admin = server.admin()  # the connection is closed, so that nobody need send the rest
    admin.patch(f"{MAPS}/x", large).refused(413, "RequestEntityTooLarge")
    admin = server.admin()
    admin.post(MAPS, {"metadata": {"name": "large"}, "data": {"v": "x" * (1024 * 1024 + 1)}}).refused(422, "Invalid", "Too long")
    # Without a length, in chunks.
    connection = admin.open()
    connection.putrequest("POST", MAPS)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
        for _ in range(8):
            connection.send(b"80000\r\n" + b" " * 0x80000 + b"\r\n")
        connection.send(b"0\r\n\r\n")
    equal(connection.getresponse().status, 413)
    connection.close()
    alive(server)


@suite.case
def bodies_that_are_no_objects(server):
    meta = b'"metadata":{"name":"bad"}'
    for what, body, headers, status, part in [
        ("nothing", b"", JSON, 400, ""),
        ("no JSON", b"{", JSON, 400, ""),
        ("a trailing comma", b'{"metadata":{"name":"bad",}}', JSON, 400, ""),
        ("an array", b"[]", JSON, 400, ""),
        ("a number", b"7", JSON, 400, ""),
        ("two objects", b"{} {}", JSON, 400, ""),
        ("no UTF-8", b'{"metadata":{"name":"\xff\xfe"}}', JSON, 422, ""),
        ("a NUL", b'{"metadata":{"name":"a\\u0000b"}}', JSON, 422, ""),
        ("a lone surrogate", b'{"metadata":{"name":"bad"},"data":{"a":"\\ud800"}}', JSON, 201, ""),
        ("deep arrays", b'{"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON, 400, ""),
        ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON, 400, ""),
        ("a long number", b'{"metadata":{"generation":' + b"9" * 100_000 + b"}}", JSON, 400, ""),
        ("a float", b'{"metadata":{"name":"bad","generation":1e999}}', JSON, 400, ""),
        ("a string for a map", b'{' + meta + b',"data":"x"}', JSON, 400, "ConfigMap"),
        ("a number for a string", b'{' + meta + b',"data":{"a":1}}', JSON, 400, "ConfigMap"),
        ("another kind", b'{"apiVersion":"v1","kind":"Secret",' + meta + b"}", JSON, 400, "Secret"),
        ("another version", b'{"apiVersion":"v9","kind":"ConfigMap",' + meta + b"}", JSON, 400, "v9"),
        ("an unknown kind", b'{"apiVersion":"example.org/v1","kind":"Gadget",' + meta + b"}", JSON, 400, "Gadget"),
        ("no name", b"{}", JSON, 422, "name or generateName is required"),
        ("a bad name", b'{"metadata":{"name":"No Name"}}', JSON, 422, "RFC 1123"),
        ("another namespace", b'{"metadata":{"name":"bad","namespace":"kube-system"}}', JSON, 400, "does not match the namespace"),
        ("bad YAML", b"a: [", YAML, 400, ""),
        ("a YAML bomb", b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (98 + i, 98 + i, *[97 + i] * 8) for i in range(12)),
         YAML, 400, ""),
        ("YAML that refers to itself", b"a: &a [*a]", YAML, 400, ""),
        ("an unknown type", b"x", {"Content-Type": "text/plain"}, 415, "application/json"),
        ("no protobuf", b"k8s\0\xff\xff\xff\xff", {"Content-Type": "application/vnd.kubernetes.protobuf"}, None, ""),
        ("protobuf without its mark", b"\x0a\x00", {"Content-Type": "application/vnd.kubernetes.protobuf"}, None, ""),
    ]:
        admin = server.admin()  # a refusal may come before the body is read: then the connection is closed
        try:
            answer = admin.post(MAPS + ("?dryRun=All" if status == 201 else ""), body, headers=headers)
        except Exception as error:
            raise Failed(f"{what}: {error!r}") from None
        if status is None:
            check(400 <= answer.status < 500, what, answer.status, answer.text[:300])
        else:
            equal(answer.status, status, f"{what}: {answer.text[:300]}")
        if answer.status >= 400:
            equal((answer.json["kind"], answer.json["code"]), ("Status", answer.status), what)
            contains(answer.json["message"], part, what)
        equal(server.admin().get(f"{MAPS}/bad").status, 404, what)
    alive(server)


@suite.case
def bodies_that_are_small_and_make_much(server):
    """Neither the process nor its memory is anybody's to spend: patches that double what is there, aliases, and objects without number."""
    admin = server.admin()
    admin.post("/apis/apps/v1/namespaces/default/controllerrevisions", {"metadata": {"name": "deep"}, "revision": 1, "data": {"a": {}}}).ok(201)
    revision = "/apis/apps/v1/namespaces/default/controllerrevisions/deep"
    patch = lambda body: server.admin().request("PATCH", revision, json.dumps(body).encode(), headers={"Content-Type": "application/json-patch+json"})
    copy = lambda origin, path: {"op": "copy", "from": origin, "path": path}
    for what, body in {
        "levels that double": [copy("/data", "/data" + "/a" * 2 ** i) for i in range(1, 14)],
        "a level more each time": [copy("/data", "/data/a")] * 9000,
        "bytes that double": [{"op": "add", "path": "/data/l", "value": ["x" * 1000]}] + [copy("/data/l", "/data/l/-")] * 40,
        "a value as deep as it is long": [{"op": "add", "path": "/data/a", "value": json.loads("[" * 900 + "]" * 900)}],
    }.items():
        answer = patch(body)
        check(answer.status in (400, 422), what, answer.status, answer.text[:300])
        equal(answer.json["kind"], "Status", what)
        check(server.process.poll() is None, what, "the server has ended")
    patch([copy("/data", "/data/a")] * 10_001).refused(413, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is 10000, got 10001")
    equal(admin.get(revision).ok(200).json["data"], {"a": {}})
    before = memory_peak(server)
    aliases = b"metadata: {name: bad}\ndata: {a: &a " + b"x" * 1000 + b"}\nx:\n" + b"- *a\n" * 80_000
    merged = b"metadata: {name: bad}\nx: &a {" + b"".join(b"k%d: v, " % i for i in range(1000)) + b"}\ny:\n" + b"- {<<: *a}\n" * 30_000
    kept = b"metadata: {name: bad}\nx: " + b"[&a " * 100 + b"[" + b"1234," * 60_000 + b"]" + b"]" * 100
    for what, body in {"aliases": aliases, "merged mappings": merged, "anchors inside of each other": kept}.items():
        server.admin().post(MAPS, body, headers=YAML).refused(400, "BadRequest", "document contains excessive aliasing")
    pods, empties = "/api/v1/namespaces/default/pods", 1_000_000
    server.admin().post(pods, b'{"spec":{"containers":[' + b",".join([b"{}"] * empties) + b"]}}", headers=JSON).refused(400, "BadRequest", "objects")
    grown = memory_peak(server) - before
    check(grown < 150 << 20, "memory for bodies of 400 kB and 3 MB", grown)
    alive(server)


def memory_peak(server):
    """The most that the process has had, in bytes."""
    lines = open(f"/proc/{server.process.pid}/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@suite.case
def schemas_that_are_deep(server):
    """The kind whose objects hold themselves is validated by functions that call themselves: as deep as a body may be, and deeper."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def definition(name, schema):
        group = "example.org"
        names = {"plural": name, "singular": name, "kind": name.capitalize(), "listKind": f"{name.capitalize()}List"}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        return {"metadata": {"name": f"{name}.{group}"}, "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}}

    wrappers = {
        "properties": lambda inner: {"type": "object", "properties": {"a": inner}},
        "items": lambda inner: {"type": "array", "items": inner},
        "values": lambda inner: {"type": "object", "additionalProperties": inner},
        "not": lambda inner: {"not": inner},
        "all": lambda inner: {"allOf": [inner, inner]} if len(json.dumps(inner)) < 20_000 else {"allOf": [inner]},
    }
    for what, wrap in wrappers.items():
        for levels in (10, 54, 110, 400):
            schema = {"type": "object"}
            for _ in range(levels):
                schema = wrap(schema)
            whole = definition("gadgets", {"type": "object", "properties": {"spec": schema}})
            answer = server.admin().post(f"{definitions}?dryRun=All", whole)
            check(answer.status in (201, 400, 422), what, levels, answer.status, answer.text[:300])
    alive(server)


@suite.case
def objects_that_the_store_does_not_take(server):
    """etcd's bound holds on every store, and in upstream's words: for what is created, replaced, and made by a patch."""
    admin = server.admin()
    revisions = "/apis/apps/v1/namespaces/default/controllerrevisions"
    revision = lambda name, size: {"metadata": {"name": name}, "revision": 1, "data": {"v": "x" * size}}
    too_large = "etcdserver: request is too large"
    admin.post(revisions, revision("large", 1_700_000)).refused(500, None, too_large)
    more = admin.post(revisions, revision("large", 2_200_000))
    equal(more.status, 500)
    contains(more.json["message"], "rpc error: code = ResourceExhausted desc = trying to send message larger than max (22")
    equal(more.json.get("reason"), None)
    equal(admin.get(f"{revisions}/large").status, 404)
    admin.post(revisions, revision("fits", 1_400_000)).ok(201)
    stored = admin.get(f"{revisions}/fits").ok(200).json
    annotated = {**stored, "metadata": {**stored["metadata"], "annotations": {"a": "x" * 200_000}}}
    admin.put(f"{revisions}/fits", annotated).refused(500, None, too_large)
    for kind in ("merge", "strategic-merge"):
        larger = json.dumps({"metadata": {"annotations": {"a": "x" * 200_000}}}).encode()
        patched = admin.request("PATCH", f"{revisions}/fits", larger, headers={"Content-Type": f"application/{kind}-patch+json"})
        patched.refused(500, None, too_large)
    equal(admin.get(f"{revisions}/fits").ok(200).json["metadata"]["resourceVersion"], stored["metadata"]["resourceVersion"])
    # What is only tried out never reaches the store.
    admin.post(f"{revisions}?dryRun=All", revision("tried", 1_700_000)).ok(201)
    admin.delete(f"{revisions}/fits").ok(200)
    for kind in ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"):
        huge = b"[" + b" " * BODY_BYTES_MAX + b"]"
        answer = server.admin().request("PATCH", f"{revisions}/x", huge, headers={"Content-Type": f"application/{kind}"})
        answer.refused(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    for kind in ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf"):
        answer = server.admin().post(MAPS, b" " * (BODY_BYTES_MAX + 1), headers={"Content-Type": kind})
        answer.refused(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    alive(server)


@suite.case
def large_objects_hold_nobody_up(server):
    """Thirty thousand owners, containers, ports or errors: the object is judged, and meanwhile the others are served."""
    owner = lambda i: {"apiVersion": "v1", "kind": "Pod", "name": f"p{i}", "uid": f"u{i}"}
    owners = {"metadata": {"name": "many", "ownerReferences": [owner(i) for i in range(30_000)]}}
    server.admin().post(MAPS + "?dryRun=All", owners).ok(201)
    same = {"metadata": {"name": "many", "ownerReferences": [owner(1)] * 30_000}}
    equal(len(server.admin().post(MAPS + "?dryRun=All", same).ok(201).json["metadata"]["ownerReferences"]), 1)
    # Without it, pods are refused before they are validated.
    server.admin().post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}).ok(201, 409)
    pods = "/api/v1/namespaces/default/pods?dryRun=All"
    names = lambda key, count, **more: [{key: f"n{i}", **more} for i in range(count)]
    for what, spec in {
        "volumes": {"containers": [{"name": "c", "image": "i"}], "volumes": names("name", 30_000, emptyDir={})},
        "variables": {"containers": [{"name": "c", "image": "i", "env": names("name", 30_000, value="v")}]},
        "gates": {"containers": [{"name": "c", "image": "i"}], "schedulingGates": names("name", 30_000)},
        "spread constraints": {
            "containers": [{"name": "c", "image": "i"}],
            "topologySpreadConstraints": names("topologyKey", 30_000, maxSkew=1, whenUnsatisfiable="DoNotSchedule"),
        },
    }.items():
        answer = server.admin().post(pods, {"metadata": {"name": "many"}, "spec": spec})
        check(answer.status == 201, what, answer.status, answer.text[:300])
    wrong = {"metadata": {"name": "many"}, "spec": {"containers": [{}] * 5_000}}
    answer = server.admin().post(pods, wrong)
    equal(answer.status, 422)
    check(len(answer.body) < 20 << 20, "bytes of an answer with errors", len(answer.body))
    alive(server)


@suite.case
def fields_that_are_not_there(server):
    admin = server.admin()
    strict = {"fieldValidation": "Strict"}
    twice = b'{"metadata":{"name":"bad"},"data":{"a":"1","a":"2"}}'
    admin.post(MAPS, twice, headers=JSON, query=strict).refused(400, "BadRequest", 'duplicate field "data.a"')
    unknown = {"metadata": {"name": "bad"}, "datum": {}}
    admin.post(MAPS, unknown, query=strict).refused(400, "BadRequest", 'unknown field "datum"')
    warned = admin.post(MAPS + "?dryRun=All", unknown).ok(201)
    contains(warned.header("Warning") or "", 'unknown field \\"datum\\"')
    equal(admin.post(MAPS + "?dryRun=All", unknown, query=None, headers=JSON).json.get("datum"), None)
    admin.post(MAPS, unknown, query={"fieldValidation": "Sometimes"}).refused(422, "Invalid", "fieldValidation")


@suite.case
def requests_that_ask_for_nonsense(server):
    admin = server.admin()
    for path, query, status, part in [
        (MAPS, {"labelSelector": "a in (b"}, 400, ""),
        (MAPS, {"labelSelector": "=x"}, 400, ""),
        (MAPS, {"fieldSelector": "spec.nonsense=1"}, 400, "is not a known field selector"),
        (MAPS, {"fieldSelector": "metadata.name"}, 400, "invalid selector"),
        (MAPS, {"continue": "nonsense"}, 400, "continue"),
        (MAPS, {"limit": "many"}, 400, ""),
        (MAPS, {"resourceVersion": "new"}, 400, ""),
        (MAPS, {"resourceVersionMatch": "Exact"}, 422, "resourceVersionMatch"),
        (MAPS, {"watch": "1", "timeoutSeconds": "soon"}, 400, ""),
        (MAPS, {"sendInitialEvents": "true"}, 422, "sendInitialEvents"),
        ("/api/v1/gadgets", {}, 404, "could not find the requested resource"),
        ("/apis/example.org/v1/gadgets", {}, 404, "404 page not found"),
        ("/apis/nonsense", {}, 404, "404 page not found"),
        ("/api/v1/namespaces/default/pods/x/nonsense", {}, 404, "could not find the requested resource"),
    ]:
        answer = admin.get(path, query=query)
        equal(answer.status, status, f"{path} {query}: {answer.text[:300]}")
        contains(answer.text, part, f"{path} {query}")
    equal(admin.request("BREW", MAPS).status, 405)
    equal(admin.post(f"{MAPS}/x", {}).status, 405)
    patch = lambda kind, body: admin.request("PATCH", f"{MAPS}/none", body, headers={"Content-Type": kind})
    equal(patch("application/nonsense", b"{}").status, 415)
    equal(patch("application/merge-patch+json", b"{").status in (400, 404), True)
    huge = admin.get(MAPS, headers={"Impersonate-User": "jane", "Impersonate-Group": "x" * 200_000})
    check(400 <= huge.status < 500, "a long header", huge.status)
    alive(server)


def jwt(header, claims, sign=lambda data: b"x" * 32):
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    head = encode(json.dumps(header).encode()) + b"." + encode(json.dumps(claims).encode())
    return (head + b"." + encode(sign(head))).decode()


@suite.case
def tokens_that_are_not_ours(server):
    admin = server.admin()
    issuer = admin.get("/.well-known/openid-configuration").ok(200).json["issuer"]
    keys = admin.get("/openid/v1/jwks", headers={"Accept": "application/jwk-set+json"}).ok(200).json["keys"]
    admin.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "robot"}}).ok(201)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    good = admin.post("/api/v1/namespaces/default/serviceaccounts/robot/token", request).ok(201).json["status"]["token"]
    other = admin.post("/api/v1/namespaces/default/serviceaccounts/robot/token", {**request, "spec": {"audiences": ["elsewhere"]}}).ok(201)
    me = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = lambda token: server.client(token=token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", me)
    equal(who(good).ok(201).json["status"]["userInfo"]["username"], "system:serviceaccount:default:robot")
    head, claims, signature = good.split(".")
    decode = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    body = decode(claims)
    changed = base64.urlsafe_b64encode(json.dumps({**body, "sub": "system:serviceaccount:kube-system:admin"}).encode()).rstrip(b"=").decode()
    public = json.dumps(keys[0]).encode()
    for what, token in {
        "nonsense": "nonsense",
        "empty parts": "..",
        "very long": "x" * 100_000,
        "changed claims": f"{head}.{changed}.{signature}",
        "changed signature": f"{head}.{claims}.{signature[:-6]}AAAAAA",
        "no algorithm": jwt({"alg": "none"}, body, lambda _: b""),
        "the public key as a secret": jwt({"alg": "HS256"}, body, lambda data: hmac.new(public, data, hashlib.sha256).digest()),
        "another issuer": jwt({"alg": "RS256"}, {**body, "iss": "https://example.org"}),
        "an unknown key": jwt({**decode(head), "kid": "other"}, {**body, "iss": issuer}),
        "another audience": other.json["status"]["token"],
    }.items():
        try:
            answer = who(token)
        except (OSError, ssl.SSLError) as error:
            raise Failed(f"{what}: {error!r}") from None
        check(answer.status in (401, 431), what, answer.status, answer.text[:200])
    alive(server)


class Authority:
    """Certificates by openssl: the standard library makes none."""

    def __init__(self, name):
        self.folder = scratch() / name
        self.folder.mkdir()
        self.name = name

    def run(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, "openssl", done.stderr[-500:])

    def own(self):
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
                 "-subj", f"/CN={self.name}", "-days", "30")
        return self.folder / "ca.crt", self.folder / "ca.key"

    def issue(self, name, subject, ca, key, use="clientAuth", days="1", start=None, basic="CA:FALSE"):
        (self.folder / f"{name}.ext").write_text(f"basicConstraints={basic}\nextendedKeyUsage={use}\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                 "-subj", subject)
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", ca, "-CAkey", key, "-CAcreateserial", "-out", f"{name}.crt",
                 "-extfile", f"{name}.ext", "-days", days)
        pem = self.folder / f"{name}.pem"
        pem.write_text((self.folder / f"{name}.crt").read_text() + (self.folder / f"{name}.key").read_text())
        return pem


@suite.case
def certificates_that_do_not_hold(_):
    authority, stranger = Authority("authority"), Authority("stranger")
    ca, key = authority.own()
    strange_ca, strange_key = stranger.own()
    server = Server(f"--client-ca-file={ca}")
    me = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = lambda pem: server.client(certificate=pem).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", me)
    good = authority.issue("good", "/O=team/CN=jane", ca, key)
    user = who(good).ok(201).json["status"]["userInfo"]
    equal((user["username"], user["groups"]), ("jane", ["team", "system:authenticated"]))
    for what, pem in {
        "expired": authority.issue("expired", "/CN=jane", ca, key, days="-1"),
        "of a stranger": stranger.issue("strange", "/O=system:masters/CN=jane", strange_ca, strange_key),
        "for servers": authority.issue("server", "/CN=jane", ca, key, use="serverAuth"),
    }.items():
        try:
            answer = who(pem)
        except (OSError, ssl.SSLError):
            continue  # refused in the handshake: clear enough
        equal(answer.status, 401, what)
        equal(answer.json["reason"], "Unauthorized", what)
    # Without a CN it names nobody: the request is anonymous, and anonymous may not ask that.
    who(authority.issue("nameless", "/O=team", ca, key)).refused(403, "Forbidden", 'User "system:anonymous"')
    # A bad certificate beside a good token does not spoil the token.
    server.client(certificate=good).get("/version").ok(200)
    alive_with(server, good)
    server.kill()


def alive_with(server, pem):
    equal(server.client(certificate=pem).get("/livez").status, 200)


@suite.case
def requests_that_smuggle(server):
    def raw(data):
        with socket.create_connection(("127.0.0.1", server.port_in_use), timeout=30) as plain:
            with server.tls(server.admin_certificate).wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                tls.sendall(data)
                tls.settimeout(30)
                received = b""
                with contextlib.suppress(OSError):
                    while chunk := tls.recv(65536):
                        received += chunk
                return received

    inner = b"DELETE /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST " + MAPS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for what, data in {
        "two lengths": head + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + inner,
        "a length and chunks": head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        "a signed length": head + b"Content-Length: +2\r\n\r\n{}" + inner,
        "an unknown coding": head + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        "two codings": head + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + inner,
        "a coding and none": head + b"Transfer-Encoding: identity, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + inner,
        "a coding twice": head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + inner,
        "an odd expectation": head + b"Expect: 999\r\nContent-Length: 2\r\n\r\n{}" + inner,
        "a bad chunk": head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n" + inner,
        "a space before the colon": head + b"Content-Length : 2\r\n\r\n{}" + inner,
        "a folded header": head + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n" + inner,
        "a NUL in a header": head + b"X: a\0b\r\nContent-Length: 0\r\n\r\n" + inner,
    }.items():
        received = raw(data)
        first = received.split(b"\r\n", 1)[0]
        check(b" 4" in first or b" 501 " in first or not received, what, first)
        equal(received.count(b"HTTP/1.1"), min(1, len(received)), f"{what}: a second request was served")
        equal(server.admin().get("/api/v1/namespaces/default").json["status"]["phase"], "Active", what)
    alive(server)


@suite.case
def slow_clients_keep_nobody_waiting(server):
    """Hundreds that never finish their handshake, their head or their body."""
    context, stuck = server.tls(server.admin_certificate), []
    for index in range(150):
        plain = socket.create_connection(("127.0.0.1", server.port_in_use), timeout=30)
        stuck.append(plain)
        if index % 3 == 0:
            plain.send(b"\x16\x03\x01")
            continue
        tls = context.wrap_socket(plain, server_hostname="127.0.0.1")
        stuck[-1] = tls
        if index % 3 == 1:
            tls.send(b"GET /api/v1/names")
        else:
            tls.send(b"POST " + MAPS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    alive(server)
    # Those that want everything and read nothing.
    admin = server.admin()
    for index in range(20):
        admin.post(MAPS, {"metadata": {"name": f"fat-{index}"}, "data": {"v": "x" * 500_000}}).ok(201)
    for _ in range(50):
        tls = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port_in_use), timeout=30), server_hostname="127.0.0.1")
        tls.send(b"GET " + MAPS.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.append(tls)
    alive(server)
    for connection in stuck:
        connection.close()
    for index in range(20):
        admin.delete(f"{MAPS}/fat-{index}").ok(200)
    alive(server)


@suite.case
def a_disk_that_is_full(_):
    """A file that may not grow stands for it: the write fails, and says so; reads go on; with room again writes do."""
    def limit():
        # The limit's signal would end the process; a full disk has none.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, resource.RLIM_INFINITY))

    server = Server(preexec=limit)
    admin = server.admin()
    admin.post(MAPS, {"metadata": {"name": "kept"}, "data": {"v": "1"}}).ok(201)
    refused = None
    for index in range(100):
        answer = admin.post(MAPS, {"metadata": {"name": f"fill-{index}"}, "data": {"v": "x" * 900_000}})
        if answer.status != 201:
            refused = answer
            break
    check(refused is not None, "the disk never was full")
    check(refused.status in (500, 503, 507) and refused.json["kind"] == "Status", "a clear error", refused.status, refused.text[:500])
    admin.get(f"{MAPS}/kept").ok(200)
    equal(admin.get(f"{MAPS}/fill-{index}").status, 404, "what was refused is not there")
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for("writes to succeed again", lambda: admin.post(MAPS, {"metadata": {"generateName": "room-"}}).status == 201)
    server.kill()
    server.preexec = None
    server.start()
    server.admin().get(f"{MAPS}/kept").ok(200)
    equal(len(server.admin().get(MAPS, query={"fieldSelector": "metadata.name=fill-0"}).json["items"]), 1)
    server.kill()


@suite.case
def a_store_that_is_damaged(_):
    server = Server()
    admin = server.admin()
    for index in range(50):
        admin.post(MAPS, {"metadata": {"name": f"m-{index}"}, "data": {"v": "x" * 10_000}}).ok(201)
    equal(server.stop(), 0)
    store = server.data / "store.redb"
    whole = store.read_bytes()
    for what, content in {
        "zeros at its start": b"\0" * 4096 + whole[4096:],
        "cut in half": whole[: len(whole) // 2],
        "empty": b"",
        "another file": b"this is no store" * 1000,
        "noise in its middle": whole[:8192] + os.urandom(len(whole) - 8192),
    }.items():
        store.write_bytes(content)
        before = len(server.log())
        server.start(wait=False)
        try:
            code = server.process.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            raise Failed(f"{what}: it serves from a damaged store") from None
        last = server.log()[before:].strip().splitlines()[-1]
        equal(code, 1, f"{what}: {last}")
        contains(last, "Error:", what)
        contains(server.log()[before:], str(store.name), f"{what}: the file is named")
    store.write_bytes(whole)
    server.start()
    equal(len(server.admin().get(MAPS).json["items"]) >= 50, True)
    server.kill()


@suite.case
def flags_that_are_wrong(_):
    for words, part in [
        (["--no-such-flag"], "no-such-flag"),
        (["--secure-port=many"], "secure-port"),
        (["--secure-port=70000"], "secure-port"),
        (["--anonymous-auth=perhaps"], "anonymous-auth"),
        (["--bind-address=nowhere"], "bind-address"),
        (["--authorization-mode=Trust"], "Trust"),
        (["--enable-admission-plugins=Nonsense"], "Nonsense"),
        (["--service-cluster-ip-range=10.0.0.0"], "service-cluster-ip-range"),
        (["--tls-cert-file=x"], "--tls-private-key-file"),
        (["--client-ca-file=/nonexistent"], "/nonexistent"),
        (["--token-auth-file=/nonexistent"], "/nonexistent"),
        (["--plugin-dir=/nonexistent"], "/nonexistent"),
        (["--etcd-servers=nowhere"], "nowhere"),
        (["--controllers=magic"], "magic"),
        (["--request-timeout=soon"], "request-timeout"),
        (["surplus"], "surplus"),
        (["-v"], "v"),
    ]:
        done = subprocess.run([BINARY, f"--data-dir={scratch() / 'flags'}", *words], capture_output=True, text=True, timeout=60)
        equal(done.returncode, 2, f"{words}: {done.stderr}")
        equal(len(done.stderr.strip().splitlines()), 1, f"{words}: one line: {done.stderr}")
        contains(done.stderr, part, str(words))
        equal(done.stdout, "", str(words))
    check(not (scratch() / "flags").exists(), "a wrong command line leaves no files")
    for words in (["--help"], ["--version"]):
        equal(subprocess.run([BINARY, *words], capture_output=True, timeout=60).returncode, 0, str(words))
    contains(subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=60).stdout, "v1.36")


@suite.case
def addresses_that_are_taken(_):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = subprocess.run([BINARY, f"--data-dir={scratch() / 'taken'}", f"--secure-port={port}"], capture_output=True, text=True, timeout=60)
        equal(done.returncode, 1)
        contains(done.stderr.strip().splitlines()[-1], str(port))
    unreachable = f"http://127.0.0.1:{free_port()}"
    other = Server(f"--etcd-servers={unreachable}", "--bind-address=127.0.0.1", wait=False)
    time.sleep(3)
    if other.process.poll() is not None:
        contains(other.log(), unreachable.split("//")[1])
    other.kill()


@suite.case
def anonymous_requests_get_no_further_than_they_may(server):
    stranger = server.client()
    stranger.get("/livez").ok(200)
    stranger.get("/version").ok(200)
    stranger.get(MAPS).refused(403, "Forbidden", 'User "system:anonymous" cannot list')
    stranger.get("/metrics").refused(403, "Forbidden")
    closed = Server("--anonymous-auth=false")
    closed.client().get(MAPS).refused(401, "Unauthorized")
    closed.kill()


with_server = Server()
suite.run(with_server, server=with_server)
