#!/usr/bin/env python3
"""Plugins in --plugin-dir come, change and go while requests flow."""

import base64
import errno
import json
import os
import re
import shutil
import socket
import threading
import time
from pathlib import Path

from harness import TARGET, Failed, Server, Suite, check, contains, equal, free_port, scratch, wait_for

suite = Suite("plugins in force")
MAPS = "/api/v1/namespaces/default/configmaps"
GUEST = TARGET / "test-guests" / "puppet.wasm"
SWAPS = 20
CLIENTS = 6


def manifest(name, config, component="puppet.wasm", roles=("mutating-admission", "validating-admission"), **spec):
    rules = {"match": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "resources": ["configmaps"]}]}
    admission = any(role.endswith("admission") for role in roles)
    return json.dumps({"apiVersion": "plugins.wasmgate.dev/v1alpha1", "kind": "Plugin", "metadata": {"name": name},
                       "spec": {"component": component, "roles": list(roles), **(rules if admission else {}), "config": config, **spec}})


class Folder:
    """A plugin directory, filled as an operator's tools fill it."""

    def __init__(self, name):
        self.path = scratch() / name
        self.path.mkdir()

    def put(self, name, content):
        """In one step, as `mv` does."""
        partial = self.path / ("." + name)
        partial.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(partial, self.path / name)

    def copy(self, name, source):
        """As `cp` does: what is there meanwhile is half a file."""
        data = Path(source).read_bytes()
        with open(self.path / name, "wb", buffering=0) as file:
            for start in range(0, len(data), 1 << 14):
                file.write(data[start:start + (1 << 14)])

    def remove(self, *names):
        for name in names:
            (self.path / name).unlink()


def config_map(name, **labels):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def warning(answer):
    found = answer.header("Warning")
    return re.match(r'299 - "([^"\s]+)', found).group(1) if found else None


def version(client):
    """The version that decides now."""
    answer = client.post(MAPS + "?dryRun=All", config_map("probe")).ok(201)
    return answer.json["metadata"].get("labels", {}).get("version")


class Load(threading.Thread):
    """Creates and updates until told to stop. Every answer must be a success, and all of one plugin's parts of one version."""

    def __init__(self, server, name, stop):
        super().__init__(daemon=True)
        self.client, self.prefix, self.stop, self.errors, self.seen, self.count = server.admin(), name, stop, [], set(), 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.one(f"{self.prefix}-{self.count}")
            except Exception as error:
                self.errors.append(repr(error))
                return
            self.count += 1

    def one(self, name):
        answer = self.client.post(MAPS, config_map(name)).ok(201)
        label = answer.json["metadata"].get("labels", {}).get("version")
        # One warning each of the mutating and of the validating part.
        warnings = [re.match(r'299 - "([^"\s]+)', value).group(1) for key, value in answer.headers if key.lower() == "warning"]
        check(set(warnings) <= {label} and (label is None) == (not warnings), "half a plugin decided", label, warnings)
        self.seen.add(label)
        self.client.get(f"{MAPS}/{name}").ok(200)
        self.client.delete(f"{MAPS}/{name}").ok(200)


@suite.case
def swapped_under_load_no_request_fails():
    folder = Folder("swapped")
    server = Server(f"--plugin-dir={folder.path}")
    stop = threading.Event()
    loads = [Load(server, f"load-{index}", stop) for index in range(CLIENTS)]
    [load.start() for load in loads]
    admin = server.admin()
    try:
        folder.copy("puppet.wasm", GUEST)
        for swap in range(SWAPS):
            if swap % 5 == 4:
                folder.remove("puppet.yaml")
                wait_for("the plugin to be gone", lambda: version(admin) is None)
            folder.put("puppet.yaml", manifest("puppet", {"do": "label", "version": f"v{swap}"}))
            wait_for(f"version {swap} to be in force", lambda swap=swap: version(admin) == f"v{swap}")
            if swap % 5 == 2:
                folder.copy("puppet.wasm", GUEST)  # overwritten in place, byte by byte
        folder.remove("puppet.yaml", "puppet.wasm")
        wait_for("the plugin to be gone", lambda: version(admin) is None)
    finally:
        stop.set()
        [load.join(60) for load in loads]
    equal([load.errors for load in loads if load.errors], [], "requests that failed")
    check(sum(load.count for load in loads) > SWAPS, "there was a load")
    seen = set().union(*(load.seen for load in loads))
    check(len(seen) > SWAPS // 2, "the load saw the versions", sorted(map(str, seen)))
    print(f"       {sum(load.count for load in loads)} rounds, {len(seen)} versions seen", flush=True)
    server.kill()


BROKEN = {
    "no component": b"this is no component",
    "half a component": "half",
    "a core module": b"\0asm\1\0\0\0",
    "an empty file": b"",
}


@suite.case
def a_broken_one_leaves_the_old_in_force():
    folder = Folder("broken")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    folder.put("puppet.wasm", GUEST.read_bytes())
    folder.put("puppet.yaml", manifest("puppet", {"do": "label", "version": "good"}))
    wait_for("the good one", lambda: version(admin) == "good")
    for what, content in BROKEN.items():
        content = GUEST.read_bytes()[:-1000] if content == "half" else content
        lines = server.log().count("does not load")
        folder.put("puppet.wasm", content)
        wait_for(f"{what} to be reported in the log", lambda lines=lines: server.log().count("does not load") > lines)
        equal(version(admin), "good", what)
        contains(admin.get("/metrics").text, 'status="failed-still-serving"', what)
    check_reported(admin)
    for what, text, part in [
        ("no YAML", "{[", ""),
        ("another kind", '{"apiVersion":"v1","kind":"ConfigMap"}', "apiVersion"),
        ("a misspelt field", manifest("puppet", {}, failurePolice="Fail"), "failurePolice"),
        ("a refused config", manifest("puppet", {"configure": "refuse"}), "I do not like it"),
        ("a trap in configure", manifest("puppet", {"configure": "trap"}), ""),
        ("a role without an export", manifest("puppet", {}, component="validating-only.wasm"), ""),
        ("a missing component", manifest("puppet", {}, component="no-such.wasm"), "no-such.wasm"),
        ("a standard plugin's name", manifest("RBAC", {}), "RBAC"),
        ("a file elsewhere", manifest("puppet", {}, component="../puppet.wasm"), "spec.component"),
    ]:
        folder.put("puppet.wasm", GUEST.read_bytes())
        if "validating-only" in text:
            folder.put("validating-only.wasm", (TARGET / "examples" / "rust" / "no-latest-tag.wasm").read_bytes())
        lines = server.log().count("does not load")
        folder.put("puppet.yaml", text)
        wait_for(f"{what} to be reported in the log", lambda lines=lines: server.log().count("does not load") > lines)
        contains(server.log().splitlines()[-1], part, what)
        equal(version(admin), "good", what)
    folder.put("puppet.yaml", manifest("puppet", {"do": "label", "version": "mended"}))
    wait_for("the mended one", lambda: version(admin) == "mended")
    check("failed" not in "".join(plugin_states(admin)), "it is still reported", plugin_states(admin))
    check("[-]" not in admin.get("/readyz?verbose").text)
    server.kill()


def plugin_states(admin):
    return [line for line in admin.get("/metrics").text.splitlines() if line.startswith("wasmgate_plugin_status") and line.endswith(" 1")]


def check_reported(admin):
    """A plugin whose newest version does not load is named for whoever looks; the server is ready, because the old one serves."""
    answer = admin.get("/readyz?verbose")
    equal(answer.status, 200)
    contains(answer.text, "puppet", "/readyz?verbose names it")


RULES = "/apis/rbac.authorization.k8s.io/v1"


def bind(admin, user, role, rules=None):
    """Gives a user a cluster role, which is made of these rules where there are any."""
    if rules is not None:
        admin.post(f"{RULES}/clusterroles", {"metadata": {"name": role}, "rules": rules}).ok(201)
    admin.post(f"{RULES}/clusterrolebindings", {
        "metadata": {"name": f"{user}-{role}"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]}).ok(201)


def speaking_for(admin, user):
    """Requests of somebody else."""
    return lambda method, path, body=None, **more: admin.request(method, path, body, headers={"Impersonate-User": user, **more})


def guest_calls(admin):
    """How many calls of plugins there were, by plugin and call."""
    lines = (line for line in admin.get("/metrics").text.splitlines() if line.startswith("wasmgate_plugin_call_duration_seconds_count{"))
    return {key: int(count) for key, count in (line.rsplit(" ", 1) for line in lines)}


def is_at_rest(admin):
    """Whether nobody else has the server call its plugins."""
    before = guest_calls(admin)
    time.sleep(0.5)
    return guest_calls(admin) == before


@suite.case
def a_repeated_request_makes_no_guest_call_and_a_bindings_deletion_counts_in_the_next():
    server = Server()
    admin = server.admin()
    admin.post(MAPS, config_map("seen")).ok(201)
    bind(admin, "jane", "reader", [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}])
    as_jane = speaking_for(admin, "jane")
    one = f"{MAPS}/seen"
    as_jane("GET", one).ok(200)
    wait_for("the server's own controllers to be at rest", lambda: is_at_rest(admin))
    before = guest_calls(admin)
    for _ in range(20):
        as_jane("GET", one).ok(200)
    equal(guest_calls(admin), before, "a repeated GET calls no component")
    contains(admin.get("/metrics").text, 'wasmgate_plugin_answers_remembered_total{call="authorize",plugin="RBAC"}')
    for _ in range(3):
        admin.request("DELETE", f"{RULES}/clusterrolebindings/jane-reader").ok(200)
        as_jane("GET", one).ok(403)
        bind(admin, "jane", "reader")
        as_jane("GET", one).ok(200)
    server.kill()


def is_refused(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def broken(what, name, **spec):
    """Files of a plugin that does not load, and that something depends on."""
    good = manifest(name, {}, component="bad.wasm", **spec)
    return {
        "its component": (b"nothing", good),
        "its component is missing": (None, good),
        "its manifest": (GUEST.read_bytes(), "spec: ["),
        "its name": (GUEST.read_bytes(), manifest("rbac", {}, component="bad.wasm")),
    }[what]


@suite.case
def one_that_does_not_load_keeps_the_port_closed_until_it_is_mended():
    for what in ("its component", "its component is missing", "its manifest", "its name"):
        folder = Folder("closed-" + what.replace(" ", "-"))
        component, text = broken(what, "policy", roles=["authorizer"])
        if component is not None:
            folder.put("bad.wasm", component)
        folder.put("bad.yaml", text)
        port = free_port()
        server = Server(f"--plugin-dir={folder.path}", wait=False, port=port)
        wait_for("the report", lambda: "the port stays closed" in server.log())
        contains(server.log(), "does not load", what)
        check(server.process.poll() is None, "it waits")
        check(is_refused(port) and not server.kubeconfig.exists(), what)
        folder.put("bad.wasm", GUEST.read_bytes())
        folder.put("bad.yaml", manifest("policy", {"do": "deny"}, component="bad.wasm", roles=["authorizer"]))
        wait_for("the kubeconfig", server.kubeconfig.exists)
        server.read_kubeconfig()
        wait_for("it to serve", lambda server=server: server.admin().get("/readyz").status == 200)
        server.client().get("/version").ok(403)
        equal(server.stop(), 0)


@suite.case
def a_server_that_waits_for_a_plugin_ends_when_it_is_told_to():
    folder = Folder("told")
    folder.put("bad.yaml", "no manifest")
    server = Server(f"--plugin-dir={folder.path}", wait=False)
    wait_for("the report", lambda: "the port stays closed" in server.log())
    equal(server.stop(), 0)


@suite.case
def one_whose_faults_are_passed_over_does_not_keep_the_port_closed():
    folder = Folder("passed-over")
    folder.put("one.yaml", manifest("one", {}, failurePolicy="Ignore", component="no-such.wasm"))
    folder.put("two.yaml", manifest("two", {}, roles=["authorizer"], failurePolicy="NoOpinion", component="no-such.wasm"))
    folder.put("stray.wasm", GUEST.read_bytes())
    server = Server(f"--plugin-dir={folder.path}", wait=False)
    wait_for("the kubeconfig", server.kubeconfig.exists)
    server.read_kubeconfig()
    admin = server.admin()
    wait_for("it to serve", lambda: admin.get("/livez").status == 200)
    admin.post(MAPS, config_map("x")).ok(201)
    # It is said, to whoever may know.
    answer = admin.get("/readyz?verbose")
    equal(answer.status, 500)
    contains(answer.text, "[-]plugins failed: one: no-such.wasm: ")
    contains(answer.text, "warn: stray.wasm is no plugin without a manifest that names it")
    contains(server.log(), "stray.wasm")
    stranger = server.client().get("/readyz?verbose").text
    contains(stranger, "[-]plugins failed: reason withheld\n")
    check("no-such" not in stranger and "stray" not in stranger, "a stranger learns nothing", stranger)
    folder.remove("two.yaml")
    wait_for("its removal", lambda: server.client().get("/readyz/plugins").status == 403)
    folder.remove("one.yaml")
    wait_for("it to be ready", lambda: admin.get("/readyz").status == 200)
    server.kill()


@suite.case
def one_that_never_loaded_leaves_nothing_undecided_in_a_running_server():
    folder = Folder("later")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    bind(admin, "jane", "reader", [{"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}])
    as_jane = speaking_for(admin, "jane")
    folder.put("bad.wasm", b"nothing")
    # An authorizer: what others would allow is denied; system:masters stand before it, and can look.
    for policy, statuses in [(None, (403, 500)), ("Deny", (403, 500)), ("NoOpinion", (200,))]:
        spec = {} if policy is None else {"failurePolicy": policy}
        folder.put("bad.yaml", manifest("policy", {}, component="bad.wasm", roles=["authorizer"], **spec))
        why = "[-]plugins failed: policy: this is not a WebAssembly component"
        wait_for(f"{policy} to be known", lambda why=why: why in admin.get("/readyz?verbose").text)
        as_jane("GET", MAPS).ok(*statuses)
        can_i = {"spec": {"user": "jane", "resourceAttributes": {"verb": "list", "resource": "configmaps"}}}
        review = admin.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", can_i).ok(201).json["status"]
        equal((review["allowed"], review.get("denied", False)), (policy == "NoOpinion", policy != "NoOpinion"), policy)
        if policy == "NoOpinion":
            reviews = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            rules = as_jane("POST", reviews, {"spec": {"namespace": "default"}}).ok(201).json["status"]
            check(rules["incomplete"], "a list that may lack rules says so", rules)
            contains(rules["evaluationError"], "plugin policy: it is not in force")
        folder.remove("bad.yaml")
        wait_for("its removal, and its series'", lambda: "policy" not in "".join(plugin_series(admin)))
        as_jane("GET", MAPS).ok(200)
    # Admission: what it matches fails, and nothing else.
    folder.put("bad.yaml", manifest("policy", {}, component="bad.wasm"))
    wait_for("it to be known", lambda: admin.post(MAPS + "?dryRun=All", config_map("x")).status == 500)
    admin.post(MAPS, config_map("x")).refused(500, "InternalError", 'failed calling admission plugin "policy": it is not in force')
    admin.post("/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}}).ok(201)
    folder.put("bad.yaml", manifest("policy", {}, component="bad.wasm", failurePolicy="Ignore"))
    wait_for("Ignore to be known", lambda: admin.post(MAPS + "?dryRun=All", config_map("x")).status == 201)
    # Nobody knows what this one would have decided: it is reported.
    folder.put("unreadable.yaml", "{")
    wait_for("it to be reported", lambda: "unreadable.yaml: manifest: " in admin.get("/readyz?verbose").text)
    admin.post(MAPS, config_map("x")).ok(201)
    server.kill()


def plugin_series(admin):
    return [line for line in admin.get("/metrics").text.splitlines() if re.match(r"wasmgate_plugin_|apiserver_admission_controller", line)]


@suite.case
def a_name_belongs_to_the_plugin_that_serves_under_it():
    folder = Folder("names")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    folder.put("puppet.wasm", GUEST.read_bytes())
    folder.put("b.yaml", manifest("policy", {"do": "label", "version": "first"}))
    wait_for("the first", lambda: version(admin) == "first")
    folder.put("a.yaml", manifest("Policy", {"do": "label", "version": "second"}))
    wait_for("the second to be refused", lambda: "the name Policy belongs to b.yaml" in server.log())
    equal(version(admin), "first")
    contains(admin.get("/readyz?verbose").text, "the name Policy belongs to b.yaml")
    folder.remove("b.yaml")
    wait_for("the second", lambda: version(admin) == "second")
    admin.get("/readyz").ok(200)
    server.kill()


CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "example.com/signer"
# `/O=dev/CN=jane`
CSR = """-----BEGIN CERTIFICATE REQUEST-----
MIHWMH8CAQAwHTEMMAoGA1UECgwDZGV2MQ0wCwYDVQQDDARqYW5lMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEWw1wz21tgahuk+1SjshK9JAg4cnJdW2dqhGOwU5q
6Wa83QBKCpvS1AmK1eZ7TqdyBxWKTOqZFEd7OBT+3KxSSaAAMAoGCCqGSM49BAMC
A0cAMEQCIF1AaxE0wA/et7YYIY63xjze0LGsUKJcea4PiNb/YVm1AiA9XYOpJIxM
MqsnUizfFtIIWdlghgCBBa/AAefjpu7eog==
-----END CERTIFICATE REQUEST-----
"""


def certificate_request(name, admin, tls):
    admin.post(CSRS, {"metadata": {"name": name}, "spec": {"request": tls, "signerName": SIGNER, "usages": ["client auth"]}}).ok(201)


@suite.case
def approving_and_signing_need_the_signers_permission():
    """A user who may write the subresources and has nothing on the signer is refused; one who has it passes, and system:masters do."""
    server = Server()
    admin = server.admin()
    tls = base64.b64encode(CSR.encode()).decode()
    writes = {"verbs": ["get", "update", "patch"], "apiGroups": ["certificates.k8s.io"],
              "resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status"]}
    on = lambda verb, *names: {"verbs": [verb], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": list(names)}
    bind(admin, "nobody", "writes", [writes])
    bind(admin, "approver", "approves", [writes, on("approve", SIGNER)])
    bind(admin, "signer", "signs", [writes, on("sign", SIGNER)])
    bind(admin, "domain", "domain", [writes, on("approve", "example.com/*"), on("sign", "example.com/*")])
    bind(admin, "elsewhere", "elsewhere", [writes, on("approve", "example.org/*", "example.com"), on("sign", "example.org/signer", "*")])
    condition = lambda kind: {"type": kind, "status": "True", "reason": "Test", "message": "m", "lastUpdateTime": None}
    approval = {"status": {"conditions": [condition("Approved")]}}
    chain = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", server.admin_certificate.read_text(), re.S)[0]
    signing = {"status": {"certificate": base64.b64encode(chain.encode()).decode()}}
    failing = {"status": {"conditions": [condition("Approved"), condition("Failed")]}}
    merge = {"Content-Type": "application/merge-patch+json"}

    def patch(user, name, subresource, change, dry_run=True):
        ask = speaking_for(admin, user) if user else admin.request
        path = f"{CSRS}/{name}/{subresource}" + ("?dryRun=All" if dry_run else "")
        if user:
            return ask("PATCH", path, change, **merge)
        return admin.request("PATCH", path, change, headers=merge)

    refused = lambda name, what: f'certificatesigningrequests.certificates.k8s.io "{name}" is forbidden: user not permitted to {what} requests with signerName "{SIGNER}"'
    certificate_request("a", admin, tls)
    for user, approves in [("nobody", False), ("signer", False), ("elsewhere", False), ("approver", True), ("domain", True), (None, True)]:
        answer = patch(user, "a", "approval", approval)
        if approves:
            answer.ok(200)
        else:
            equal(answer.refused(403, "Forbidden").json["message"], refused("a", "approve"), user)
    patch("approver", "a", "approval", approval, dry_run=False).ok(200)
    for change in (signing, failing):
        for user, signs in [("nobody", False), ("approver", False), ("elsewhere", False), ("signer", True), ("domain", True), (None, True)]:
            answer = patch(user, "a", "status", change)
            if signs:
                answer.ok(200)
            else:
                equal(answer.refused(403, "Forbidden").json["message"], refused("a", "sign"), user)
    # What changes neither is nobody's signature.
    patch("nobody", "a", "status", {"metadata": {"labels": {"a": "b"}}}).ok(200)
    # Nor does another name in what is sent: the stored one counts.
    patch("nobody", "a", "approval", {"spec": {"signerName": "example.org/other"}, **approval}).refused(403, "Forbidden", f'"{SIGNER}"')
    server.kill()


@suite.case
def bad_guests_fail_their_requests_and_nothing_else():
    folder = Folder("guests")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    folder.put("puppet.wasm", GUEST.read_bytes())
    for what in ("trap", "loop", "eat", "recurse", "garbage", "rename", "deny-garbage"):
        folder.put("puppet.yaml", manifest("puppet", {"do": what}, roles=["mutating-admission"], limits={"timeoutMilliseconds": 200}))
        refused = lambda: admin.post(MAPS + "?dryRun=All", config_map("probe")).status >= 400
        wait_for(f"{what} to be in force", refused)
        answer = admin.post(MAPS, config_map(f"x-{what}"))
        check(answer.status >= 400 and answer.json["kind"] == "Status", what, answer.text)
        equal(admin.get(f"{MAPS}/x-{what}").status, 404, f"{what}: nothing was stored")
        # Everybody else is served.
        admin.post("/api/v1/namespaces/default/secrets", {"metadata": {"generateName": "s-"}}).ok(201)
        admin.get("/readyz").ok(200)
        folder.remove("puppet.yaml")
        wait_for(f"{what} to be gone", lambda: not refused())
    folder.put("puppet.yaml", manifest("puppet", {"do": "trap"}, roles=["mutating-admission"], failurePolicy="Ignore"))
    wait_for("faults to be passed over", lambda: "wasmgate_plugin_faults_ignored_total{" in probe_and_metrics(admin))
    admin.post(MAPS, config_map("ignored")).ok(201)
    server.kill()


def probe_and_metrics(admin):
    admin.post(MAPS + "?dryRun=All", config_map("probe")).ok(201)
    return admin.get("/metrics").text


@suite.case
def an_authorizer_that_faults_never_allows():
    folder = Folder("authorizer")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    bind(admin, "jane", "view")
    as_jane = speaking_for(admin, "jane")
    wait_for("view to be aggregated", lambda: as_jane("GET", MAPS).status == 200)
    folder.put("puppet.wasm", GUEST.read_bytes())
    for what in ("trap", "loop", "conditional", "allow"):
        for policy in ("Deny", "NoOpinion"):
            swaps = server.log().count("is in force")
            folder.put("puppet.yaml", manifest("puppet", {"do": what}, roles=["authorizer"], limits={"timeoutMilliseconds": 200},
                                               **({} if policy == "Deny" else {"failurePolicy": policy})))
            wait_for("it to be in force", lambda swaps=swaps: server.log().count("is in force") > swaps)
            if what == "allow":  # it was asked all along
                as_jane("POST", MAPS, config_map("yes-" + policy.lower())).ok(201)
                continue
            # Nobody else allows it: it is refused, or the fault is told.
            as_jane("POST", MAPS, config_map("no")).ok(403, 500)
            as_jane("GET", "/api/v1/namespaces/default/secrets").ok(403, 500)
            # RBAC allows it, and that counts where the faulty one could not have denied it.
            as_jane("GET", MAPS).ok(*((403, 500) if policy == "Deny" else (200,)))
            # Whoever holds the cluster's own certificate is not locked out.
            admin.get(MAPS).ok(200)
    server.kill()


@suite.case
def what_another_authorizer_denies_is_no_way_around_the_escalation_check():
    """`escalate` counts as all authorizers together say, not as the roles alone do."""
    folder = Folder("escalate")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    bind(admin, "jane", "escalates", [{"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"]}])
    role = {"metadata": {"name": "more"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]}
    path = f"{RULES}/namespaces/default/roles?dryRun=All"
    as_jane = speaking_for(admin, "jane")
    wait_for("her rights", lambda: as_jane("POST", path, role).status == 201)
    folder.put("puppet.wasm", GUEST.read_bytes())
    folder.put("puppet.yaml", manifest("puppet", {"do": "deny-escalate"}, roles=["authorizer"]))
    wait_for("it to be in force", lambda: "is in force" in server.log())
    as_jane("POST", path, role).refused(403, "Forbidden", "is attempting to grant RBAC permissions not currently held")
    as_jane("GET", f"{RULES}/namespaces/default/roles").ok(200)
    server.kill()


@suite.case
def an_example_does_what_it_says():
    folder = Folder("examples")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    wait_for("the default service account", lambda: admin.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200)
    pod = lambda name, image: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": image}]}}
    pods = "/api/v1/namespaces/default/pods"
    admin.post(pods, pod("before", "nginx:latest")).ok(201)
    folder.copy("no-latest-tag.wasm", TARGET / "examples" / "rust" / "no-latest-tag.wasm")
    folder.copy("no-latest-tag.yaml", TARGET / "examples" / "rust" / "no-latest-tag.yaml")
    wait_for("no-latest-tag", lambda: admin.post(pods + "?dryRun=All", pod("x", "nginx:latest")).status == 403)
    contains(admin.post(pods, pod("x", "nginx:latest")).refused(403, "Forbidden").json["message"], "latest")
    admin.post(pods, pod("tagged", "nginx:1.29")).ok(201)
    folder.remove("no-latest-tag.yaml")
    wait_for("its removal", lambda: admin.post(pods + "?dryRun=All", pod("x", "nginx:latest")).status == 201)
    server.kill()


suite.run()
