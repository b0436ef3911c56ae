#!/usr/bin/env python3
"""Plugins in --plugin-dir come, change and go while requests flow; the examples do what they say."""

import json
import os
import re
import shutil
import threading
from pathlib import Path

from harness import TARGET, Failed, Server, Suite, check, contains, equal, scratch, wait_for

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
            folder.put("validating-only.wasm", (TARGET / "examples" / "no-latest-tag.wasm").read_bytes())
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


@suite.case
def one_that_never_loaded_is_reported_and_the_server_serves():
    folder = Folder("never")
    folder.put("bad.wasm", b"nothing")
    folder.put("bad.yaml", manifest("bad", {}, component="bad.wasm"))
    server = Server(f"--plugin-dir={folder.path}", wait=False)
    wait_for("the report", lambda: "does not load" in server.log())
    wait_for("the kubeconfig", server.kubeconfig.exists)
    server.read_kubeconfig()
    admin = server.admin()
    wait_for("it to serve", lambda: admin.get("/livez").status == 200)
    answer = admin.get("/readyz?verbose")
    contains(answer.text, "[-]plugins failed")
    contains(admin.get("/readyz/plugins").text, "bad")
    check('plugin="bad"' in "".join(plugin_states(admin)) and 'status="failed"' in "".join(plugin_states(admin)), "metrics", plugin_states(admin))
    admin.post(MAPS, config_map("x")).ok(201)
    folder.remove("bad.yaml")
    wait_for("it to be ready", lambda: admin.get("/readyz").status == 200)
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
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "metadata": {"name": "jane"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]}).ok(201)
    as_jane = lambda method, path, body=None: admin.request(method, path, body, headers={"Impersonate-User": "jane"})
    wait_for("view to be aggregated", lambda: as_jane("GET", MAPS).status == 200)
    folder.put("puppet.wasm", GUEST.read_bytes())
    for what in ("trap", "loop", "conditional", "allow"):
        swaps = server.log().count("is in force")
        folder.put("puppet.yaml", manifest("puppet", {"do": what}, roles=["authorizer"], limits={"timeoutMilliseconds": 200}))
        wait_for("it to be in force", lambda: server.log().count("is in force") > swaps)
        if what != "allow":
            # Nobody else allows it: it is refused, or the fault is told.
            as_jane("POST", MAPS, config_map("no")).ok(403, 500)
            as_jane("GET", "/api/v1/namespaces/default/secrets").ok(403, 500)
            as_jane("GET", MAPS).ok(200)  # RBAC allows it, whatever the other one does
        else:  # it was asked all along
            as_jane("POST", MAPS, config_map("yes")).ok(201)
    server.kill()


@suite.case
def the_examples_do_what_they_say():
    folder = Folder("examples")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    wait_for("the default service account", lambda: admin.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200)
    pod = lambda name, image: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": image}]}}
    pods = "/api/v1/namespaces/default/pods"
    admin.post(pods, pod("before", "nginx:latest")).ok(201)
    folder.copy("no-latest-tag.wasm", TARGET / "examples" / "no-latest-tag.wasm")
    folder.copy("no-latest-tag.yaml", TARGET / "examples" / "no-latest-tag.yaml")
    wait_for("no-latest-tag", lambda: admin.post(pods + "?dryRun=All", pod("x", "nginx:latest")).status == 403)
    contains(admin.post(pods, pod("x", "nginx:latest")).refused(403, "Forbidden").json["message"], "latest")
    admin.post(pods, pod("tagged", "nginx:1.29")).ok(201)
    folder.remove("no-latest-tag.yaml")
    wait_for("its removal", lambda: admin.post(pods + "?dryRun=All", pod("x", "nginx:latest")).status == 201)
    # Python's component takes a while to compile; the server serves meanwhile.
    folder.copy("team-label.wasm", TARGET / "examples" / "team-label.wasm")
    folder.copy("team-label.yaml", TARGET / "examples" / "team-label.yaml")
    ready = lambda: any("team-label" in line and 'status="ready"' in line for line in plugin_states(admin))
    wait_for("team-label to be in force", lambda: admin.get("/livez").ok(200) and ready(), 240)
    admin.patch("/api/v1/namespaces/default", {"metadata": {"labels": {"team": "red"}}}).ok(200)
    labels = admin.post(pods, pod("teamed", "nginx:1.29")).ok(201).json["metadata"].get("labels")
    equal(labels, {"team": "red"})
    server.kill()


suite.run()
