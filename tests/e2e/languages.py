#!/usr/bin/env python3
"""The examples in every language, judged by the same cases, and replaced by each other while requests flow."""

import hashlib
import os
import threading

from harness import TARGET, Server, Suite, contains, equal, scratch, wait_for

suite = Suite("plugins in five languages")
LANGUAGES = ("rust", "c", "go", "typescript", "python")
PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
DIGEST = "@sha256:" + "a" * 64
CLIENTS = 2
# An interpreter takes a while to compile, beside a load on two cores.
COMPILE_SECONDS_MAX = 240

# Images of the init containers and of the containers, and the container that is refused: its image and name.
CASES = [
    ([], ["nginx:1.27"], None),
    ([], ["registry:5000/nginx:1.27", "registry:5000/a/b/nginx:1.27"], None),
    ([], ["nginx" + DIGEST, "nginx:latest" + DIGEST], None),
    ([], ["nginx:latest-1", "latest:1"], None),
    (["tool:1"], ["nginx:1.27"], None),
    ([], ["nginx"], ("nginx", "c0")),
    ([], ["nginx:latest"], ("nginx:latest", "c0")),
    ([], ["registry:5000/nginx"], ("registry:5000/nginx", "c0")),
    ([], ["nginx:1.27", "other:latest", "third"], ("other:latest", "c1")),
    (["tool"], ["nginx"], ("tool", "i0")),
    (["tool:1", "tool:latest"], ["nginx:1"], ("tool:latest", "i1")),
    ([], ["größe/名前:latest"], ("größe/名前:latest", "c0")),
]


class Folder:
    """A plugin directory. The manifest comes last, and in one step."""

    def __init__(self, name):
        self.path = scratch() / name
        self.path.mkdir()

    def install(self, language, name, *changes):
        """Gives the digest of the component, which the log tells when it is in force."""
        made = TARGET / "examples" / language / name
        component = made.with_suffix(".wasm").read_bytes()
        self.put(f"{language}.wasm", component)
        manifest = made.with_suffix(".yaml").read_text()
        for old, new in ((f"component: {name}.wasm", f"component: {language}.wasm"), *changes):
            contains(manifest, old, f"{language}/{name}")
            manifest = manifest.replace(old, new)
        self.put(f"{name}.yaml", manifest.encode())
        return hashlib.sha256(component).hexdigest()

    def put(self, name, content):
        partial = self.path / ("." + name)
        partial.write_bytes(content)
        os.replace(partial, self.path / name)

    def remove(self, name):
        (self.path / name).unlink()


def in_force(server, name):
    """The digest of each version of a plugin that came into force, in order."""
    lines = (line for line in server.log().splitlines() if "a plugin is in force" in line and name in line)
    return [line.split('digest="', 1)[1].split('"', 1)[0] for line in lines]


def install(server, folder, language, name, *changes):
    """Installs an example and waits until it decides."""
    known = len(in_force(server, name))
    digest = folder.install(language, name, *changes)
    wait_for(f"{name} in {language}", lambda: in_force(server, name)[known:] == [digest], COMPILE_SECONDS_MAX)


def pod(name, init, images):
    containers = lambda letter, list: [{"name": f"{letter}{at}", "image": image} for at, image in enumerate(list)]
    spec = {"containers": containers("c", images)}
    if init:
        spec["initContainers"] = containers("i", init)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def judged(answer, status, name, refused, what):
    """Whether the answer is what the policy says."""
    if refused is None:
        return equal(answer.status, status, f"{what}: {answer.text[:500]}")
    image, container = refused
    message = f'pods "{name}" is forbidden: image "{image}" of container "{container}" needs a tag other than latest'
    equal(answer.refused(403, "Forbidden").json["message"], message, what)


class Load(threading.Thread):
    """Good pods and bad ones until told to stop: whoever decides, each must be judged, and as the policy says."""

    def __init__(self, server, stop):
        super().__init__(daemon=True)
        self.client, self.stop, self.count, self.error = server.admin(), stop, 0, None

    def run(self):
        try:
            # With a pause: the component that is being compiled needs the machine, too.
            while not self.stop.wait(0.01):
                init, images, refused = CASES[self.count % len(CASES)]
                judged(self.client.post(PODS + "?dryRun=All", pod("load", init, images)), 201, "load", refused, "under load")
                self.count += 1
        except Exception as error:
            self.error = repr(error)


@suite.case
def each_language_takes_the_others_place_under_load_and_judges_alike():
    folder = Folder("languages")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    wait_for("the default service account", lambda: admin.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200)
    admin.post(PODS, pod("before", [], ["nginx"])).ok(201)
    install(server, folder, LANGUAGES[0], "no-latest-tag")
    stop = threading.Event()
    loads = [Load(server, stop) for _ in range(CLIENTS)]
    [load.start() for load in loads]
    try:
        for language in (*LANGUAGES[1:], LANGUAGES[0]):
            install(server, folder, language, "no-latest-tag")
            # A connection of its own: one that was idle while a component was compiled may be closed.
            admin = server.admin()
            before = [load.count for load in loads]
            for at, (init, images, refused) in enumerate(CASES):
                judged(admin.post(PODS, pod(f"{language}-{at}", init, images)), 201, f"{language}-{at}", refused, f"{language}, case {at}")
            change = lambda image: admin.patch(
                f"{PODS}/{language}-0", {"spec": {"containers": [{"name": "c0", "image": image}]}}, "strategic-merge")
            judged(change("nginx:1.28"), 200, f"{language}-0", None, language)
            judged(change("nginx:latest"), 200, f"{language}-0", ("nginx:latest", "c0"), language)
            admin.delete(f"{PODS}/{language}-0").ok(200, 202)
            wait_for("the load to have met it", lambda before=before: all(
                load.error or load.count > count + len(CASES) for load, count in zip(loads, before)))
    finally:
        stop.set()
        [load.join(60) for load in loads]
    equal([load.error for load in loads if load.error], [], "requests that failed or were misjudged")
    equal([line for line in admin.get("/metrics").text.splitlines() if line.startswith("wasmgate_plugin_faults_total{")], [], "faults")
    print(f"       {sum(load.count for load in loads)} requests judged while each of {len(LANGUAGES)} was replaced", flush=True)
    server.kill()


@suite.case
def an_authenticator_in_typescript_and_an_authorizer_in_go_decide():
    folder = Folder("roles")
    server = Server(f"--plugin-dir={folder.path}")
    admin = server.admin()
    admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "metadata": {"name": "robots"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "robots"}]}).ok(201)
    wait_for("the role to be aggregated", lambda: admin.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/admin").json["rules"])
    token = "an-example-that-everybody-knows"
    server.client(token=token).get(MAPS).refused(401, "Unauthorized")

    install(server, folder, "typescript", "config-token")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = server.client(token=token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).ok(201).json["status"]["userInfo"]
    equal((who["username"], sorted(who["groups"])), ("robot", ["robots", "system:authenticated"]))
    for wrong in (token[:-1], token + "x", token + token, token.upper(), "x"):
        server.client(token=wrong).get(MAPS).refused(401, "Unauthorized")
    robot = server.client(token=token)
    config_map = lambda name: {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    robot.post(MAPS, config_map("before")).ok(201)

    install(server, folder, "go", "read-only", ("group: read-only", "group: robots"))
    # The same question twice: the second time it is answered from memory.
    for _ in range(2):
        robot.get(MAPS).ok(200)
        robot.post(MAPS, config_map("x")).refused(403, "Forbidden", "members of robots may only read")
        robot.delete(f"{MAPS}/before").refused(403, "Forbidden", "members of robots may only read")
    admin.post(MAPS, config_map("by-another")).ok(201)
    # A configuration that the plugin refuses leaves the last good one in force.
    install_refused(server, folder)
    robot.post(MAPS, config_map("x")).refused(403, "Forbidden", "members of robots may only read")
    folder.remove("read-only.yaml")
    wait_for("its removal", lambda: robot.post(MAPS + "?dryRun=All", config_map("x")).status == 201)

    # Replaced: the old token is nobody's in the next request, whatever was remembered of it.
    install(server, folder, "typescript", "config-token", (token, "another-example"))
    robot.get(MAPS).refused(401, "Unauthorized")
    server.client(token="another-example").get(MAPS).ok(200)
    server.kill()


def install_refused(server, folder):
    folder.install("go", "read-only", ("config: {group: read-only}", "config: {}"))
    wait_for("it to be refused", lambda: "config.group: whose members may only read?" in server.log())


suite.run()
