#!/usr/bin/env python3
"""kubectl and helm, as a newcomer uses them, against a server with nothing but defaults."""

import json
import os
import signal
import subprocess
import time

from harness import ROOT, Failed, Server, Suite, check, contains, equal, scratch, tool, wait_for

suite = Suite("kubectl and helm")
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: site
  labels: {app: site}
spec:
  replicas: 2
  selector: {matchLabels: {app: site}}
  template:
    metadata: {labels: {app: site}}
    spec:
      containers:
      - name: web
        image: nginx:1.28
        ports: [{containerPort: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: site}
spec:
  selector: {app: site}
  ports: [{port: 80, targetPort: 80}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: site}
data: {colour: green}
"""
COMMAND_SECONDS_MAX = 60


class Kubectl:
    def __init__(self, server):
        self.server = server
        self.home = scratch() / "home"
        self.home.mkdir(exist_ok=True)
        self.env = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(self.home), "KUBE_EDITOR": "true"}
        self.program = os.environ.get("WASMGATE_KUBECTL") or tool("kubectl")

    def arguments(self, command):
        """Words; quotes as in a shell are not needed: pass a list where one has spaces."""
        return command.split() if isinstance(command, str) else list(command)

    def try_it(self, command, stdin=None, program=None):
        words = [program or self.program, *self.arguments(command)]
        done = subprocess.run(words, input=stdin, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX)
        return done.returncode, done.stdout, done.stderr

    def __call__(self, command, stdin=None, program=None):
        code, out, err = self.try_it(command, stdin, program)
        if code != 0:
            raise Failed(f"{command}: exit code {code}\n{out}{err}")
        return out + err

    def json(self, command):
        return json.loads(self(self.arguments(command) + ["-o", "json"]))

    def refused(self, command, part, stdin=None):
        code, out, err = self.try_it(command, stdin)
        check(code != 0, f"{command} should fail", out)
        contains(err, part, str(command))

    def gone(self, command):
        wait_for(f"{command}: not found", lambda: "NotFound" in self.try_it("get " + command)[2])


def expect(k, command, *parts, stdin=None):
    out = k(command, stdin)
    for part in parts:
        contains(out, part, str(command))
    return out


@suite.case
def the_tour_of_the_README(k):
    out = expect(k, "get namespaces", "default", "kube-system", "kube-public", "kube-node-lease", "Active")
    equal(out.splitlines()[0].split(), ["NAME", "STATUS", "AGE"])
    expect(k, "create deployment web --image=nginx", "deployment.apps/web created")
    out = expect(k, "get deployments --output wide", "nginx")
    equal(out.splitlines()[0].split(), "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR".split())
    expect(k, "explain pod.spec.containers", "KIND:       Pod", "VERSION:    v1", "FIELD: containers", "image\t<string>", "-required-")
    expect(k, "create namespace team-a", "namespace/team-a created")
    expect(k, "create serviceaccount builder --namespace team-a", "serviceaccount/builder created")
    expect(k, "create rolebinding builders --clusterrole=edit --serviceaccount=team-a:builder --namespace team-a", "created")
    builder = "--as system:serviceaccount:team-a:builder"
    wait_for("the roles to be aggregated", lambda: k.try_it(f"auth can-i create pods --namespace team-a {builder}")[1] == "yes\n")
    code, out, _ = k.try_it(f"auth can-i create pods --namespace default {builder}")
    equal((code, out), (1, "no\n"))


@suite.case
def versions_and_addresses(k):
    expect(k, "version", "Client Version: v1.35", "Server Version: v1.36")
    expect(k, "cluster-info", "is running at")
    expect(k, "get --raw /readyz?verbose", "[+]ping ok", "readyz check passed")
    expect(k, "get --raw /metrics", "apiserver_request_total")
    expect(k, "get --raw /api/v1/namespaces/default", '"kind":"Namespace"')
    expect(k, "api-versions", "apps/v1", "rbac.authorization.k8s.io/v1", "v1")
    out = expect(k, "api-resources", "deployments", "deploy", "apps/v1", "true")
    check(len(out.splitlines()) > 50, "all kinds", out)
    expect(k, "api-resources --api-group=batch --no-headers", "cronjobs", "jobs")
    expect(k, "config view", "wasmgate")
    expect(k, "auth whoami", "kubernetes-admin", "system:masters", "system:authenticated")


@suite.case
def create_and_look(k):
    expect(k, "create -f -", "deployment.apps/site created", "service/site created", "configmap/site created", stdin=MANIFEST)
    k.refused("create -f -", "(AlreadyExists)", stdin=MANIFEST)
    expect(k, "get deploy,svc,cm -l app=site", "deployment.apps/site")
    expect(k, "get service site -o wide", "ClusterIP", "80/TCP", "app=site")
    expect(k, "describe deployment site", "nginx:1.28", "80/TCP")
    expect(k, "describe service site", "Selector:", "app=site")
    expect(k, "get cm site -o yaml", "colour: green", "resourceVersion:")
    expect(k, ["get", "cm", "site", "-o", "jsonpath={.data.colour}"], "green")
    expect(k, "get deploy site -o name", "deployment.apps/site")
    expect(k, ["get", "deploy", "-o", "custom-columns=NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image"], "nginx:1.28")
    expect(k, "get deploy --show-labels", "app=site")
    expect(k, "get deploy -A --sort-by=.metadata.name", "NAMESPACE")
    k.refused("get deploy no-such", 'deployments.apps "no-such" not found')
    k.refused("get nonsense", 'the server doesn\'t have a resource type "nonsense"')


@suite.case
def apply_changes_and_prunes_fields(k):
    expect(k, "apply -f -", "deployment.apps/site configured", "service/site configured", stdin=MANIFEST)
    expect(k, "apply -f -", "deployment.apps/site unchanged", "service/site unchanged", "configmap/site unchanged", stdin=MANIFEST)
    changed = MANIFEST.replace("nginx:1.28", "nginx:1.29").replace("data: {colour: green}", "data: {size: large}")
    code, out, _ = k.try_it("diff -f -", changed)
    equal(code, 1, "diff")
    contains(out, "nginx:1.29")
    expect(k, "apply -f -", "deployment.apps/site configured", "configmap/site configured", stdin=changed)
    equal(k.json("get cm site")["data"], {"size": "large"})
    deployment = k.json("get deploy site")
    equal(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:1.29")
    equal(deployment["metadata"]["generation"], 3, "a deployment's generation counts changes of its annotations, too")
    expect(k, "apply -f -", "configmap/fresh created", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\n")
    k.refused("apply -f -", "unknown field", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndatum: {}\n")


@suite.case
def kinds_that_nobody_serves_are_named(k):
    # Before it says so, kubectl reads OpenAPI v2 as protobuf.
    for version in ("v1", "example.org/v1"):
        gadget = f"apiVersion: {version}\nkind: Gadget\nmetadata: {{name: x}}\n"
        for command in ("apply -f -", "create -f -", "apply --validate=false -f -"):
            k.refused(command, f'no matches for kind "Gadget" in version "{version}"\nensure CRDs are installed first', stdin=gadget)


@suite.case
def edits(k):
    k(["patch", "deploy", "site", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'])
    container = k.json("get deploy site")["spec"]["template"]["spec"]["containers"][0]
    equal((container["image"], container["env"]), ("nginx:1.29", [{"name": "A", "value": "1"}]), "a strategic merge patch merges by name")
    k(["patch", "cm", "site", "--type=merge", "-p", '{"data":{"size":null,"shape":"round"}}'])
    equal(k.json("get cm site")["data"], {"shape": "round"})
    k(["patch", "cm", "site", "--type=json", "-p", '[{"op":"test","path":"/data/shape","value":"round"},{"op":"add","path":"/data/n","value":"1"}]'])
    equal(k.json("get cm site")["data"], {"shape": "round", "n": "1"})
    k.refused(["patch", "cm", "site", "--type=json", "-p", '[{"op":"test","path":"/data/shape","value":"flat"}]'], "")
    expect(k, "scale deployment site --replicas=5", "scaled")
    equal(k.json("get deploy site")["spec"]["replicas"], 5)
    expect(k, "set image deployment/site web=nginx:1.30", "image updated")
    expect(k, "label deployment site tier=front", "labeled")
    k.refused("label deployment site tier=back", "already has a value")
    expect(k, "label deployment site tier=back --overwrite", "labeled")
    expect(k, "get deploy -l tier=back -o name", "deployment.apps/site")
    equal(k("get deploy -l app=site,tier!=back -o name"), "")
    expect(k, "annotate deployment site why=because", "annotated")
    expect(k, "label deployment site tier-", "unlabeled")
    k.env["KUBE_EDITOR"] = "sed -i s/round/square/"
    expect(k, "edit configmap site", "configmap/site edited")
    equal(k.json("get cm site")["data"]["shape"], "square")
    replaced = k.json("get cm site")
    replaced["data"] = {"all": "new"}
    expect(k, "replace -f -", "replaced", stdin=json.dumps(replaced))
    k.refused("replace -f -", "the object has been modified", stdin=json.dumps(replaced))
    expect(k, "rollout history deployment/site", "deployment.apps/site")
    expect(k, "autoscale deployment site --min=1 --max=3", "autoscaled")
    expect(k, "get hpa", "Deployment/site")
    expect(k, "expose deployment site --name=other --port=80", "exposed")


@suite.case
def dry_runs_change_nothing(k):
    expect(k, "create configmap dry --dry-run=server", "created (server dry run)")
    k.gone("configmap dry")
    expect(k, "label cm site dry=1 --dry-run=server", "server dry run")
    check("dry" not in k.json("get cm site")["metadata"].get("labels", {}), "it is not labelled")
    expect(k, "delete cm site --dry-run=server", "server dry run")
    k("get cm site")
    expect(k, "run dry --image=nginx --dry-run=server -o yaml", "serviceAccountName: default", "kube-api-access-")


@suite.case
def watches(k):
    watch = subprocess.Popen(
        [k.program, "get", "configmaps", "-l", "watched", "-w", "--no-headers", "-o", "custom-columns=N:.metadata.name,V:.data.v"],
        env=k.env, stdout=subprocess.PIPE, text=True)
    try:
        k(["create", "-f", "-"], stdin=config_map("seen", {"watched": "yes"}, {"v": "1"}))
        equal(watch.stdout.readline().split(), ["seen", "1"])
        k(["patch", "cm", "seen", "-p", '{"data":{"v":"2"}}'])
        equal(watch.stdout.readline().split(), ["seen", "2"])
        k("delete cm seen")
        equal(watch.stdout.readline().split(), ["seen", "2"], "the deleted object")
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(COMMAND_SECONDS_MAX)


def config_map(name, labels=None, data=None, owners=None, finalizers=None):
    metadata = {"name": name, "labels": labels or {}, "ownerReferences": owners or [], "finalizers": finalizers or []}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}})


@suite.case
def waits(k):
    k(["create", "-f", "-"], stdin=config_map("waited", data={"ready": "no"}))
    waiting = subprocess.Popen([k.program, "wait", "cm/waited", "--for=jsonpath={.data.ready}=yes", "--timeout=60s"], env=k.env,
                               stdout=subprocess.PIPE, text=True)
    k(["patch", "cm", "waited", "-p", '{"data":{"ready":"yes"}}'])
    contains(waiting.communicate(timeout=COMMAND_SECONDS_MAX)[0], "condition met")
    waiting = subprocess.Popen([k.program, "wait", "cm/waited", "--for=delete", "--timeout=60s", "-v=8"], env=k.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in waiting.stderr:
        if "watch=true" in line:
            break
    k("delete cm waited")
    contains(waiting.communicate(timeout=COMMAND_SECONDS_MAX)[0], "condition met")
    k.refused("wait deploy/site --for=condition=Available --timeout=1s", "timed out waiting")


@suite.case
def a_default_service_account_appears(k):
    k("create namespace fresh")
    wait_for("the default service account", lambda: k.try_it("get serviceaccount default -n fresh")[0] == 0)
    wait_for("the root CA", lambda: "BEGIN CERTIFICATE" in k.json("get configmap kube-root-ca.crt -n fresh")["data"]["ca.crt"])
    expect(k, "run web --image=nginx -n fresh", "pod/web created")
    pod = k.json("get pod web -n fresh")
    equal(pod["spec"]["serviceAccountName"], "default")
    equal(pod["status"]["phase"], "Pending")
    expect(k, "get pods -n fresh", "0/1", "Pending")
    k.refused("run bad --image=nginx -n fresh --overrides={\"spec\":{\"serviceAccountName\":\"none\"}}", "(Forbidden)")
    k("delete serviceaccount default -n fresh")
    wait_for("it to come back", lambda: k.try_it("get serviceaccount default -n fresh")[0] == 0)


@suite.case
def roles_are_aggregated(k):
    for role in ("view", "edit", "admin"):
        wait_for(role, lambda role=role: k.json(f"get clusterrole {role}")["rules"])
    k(["create", "-f", "-"], stdin=json.dumps({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "see-gadgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.org"], "resources": ["gadgets"], "verbs": ["get"]}]}))
    rules = lambda: any("gadgets" in rule.get("resources", []) for rule in k.json("get clusterrole view")["rules"])
    wait_for("view to have the new rule", rules)
    k("delete clusterrole see-gadgets")
    wait_for("view to have lost it", lambda: not rules())


@suite.case
def authorization_follows_bindings(k):
    k("create namespace rights")
    k("create serviceaccount reader -n rights")
    reader = "--as=system:serviceaccount:rights:reader"
    k.refused(f"get pods -n rights {reader}", 'User "system:serviceaccount:rights:reader" cannot list resource "pods" in API group "" in the '
                                              'namespace "rights"')
    k("create role read --verb=get,list --resource=pods -n rights")
    k("create rolebinding read --role=read --serviceaccount=rights:reader -n rights")
    k(f"get pods -n rights {reader}")
    expect(k, f"auth can-i list pods -n rights {reader}", "yes")
    expect(k, f"auth can-i --list -n rights {reader}", "pods", "[get list]")
    k.refused(f"delete pod x -n rights {reader}", 'cannot delete resource "pods"')
    k("delete rolebinding read -n rights")
    k.refused(f"get pods -n rights {reader}", "(Forbidden)")
    k.refused("create clusterrolebinding up --clusterrole=cluster-admin --user=jane --as=jane", "is forbidden")


@suite.case
def tokens_of_service_accounts(k):
    k("create namespace tokens")
    k("create serviceaccount robot -n tokens")
    k("create rolebinding view --clusterrole=view --serviceaccount=tokens:robot -n tokens")
    token = k("create token robot -n tokens --duration=1h").strip()
    equal(token.count("."), 2, "a JWT")
    bare = ["--kubeconfig=/dev/null", f"--server=https://127.0.0.1:{k.server.port_in_use}", f"--certificate-authority={k.server.ca}"]
    robot = [*bare, f"--token={token}"]
    expect(k, [*robot, "auth", "whoami"], "system:serviceaccount:tokens:robot", "system:serviceaccounts:tokens")
    wait_for("view to be aggregated", lambda: k.try_it([*robot, "get", "configmaps", "-n", "tokens"])[0] == 0)
    k.refused([*robot, "get", "secrets", "-n", "tokens"], "(Forbidden)")
    k.refused([*bare, f"--token={token[:-8]}AAAAAAAA", "get", "pods"], "Unauthorized")
    k("delete serviceaccount robot -n tokens")
    wait_for("the token to be void", lambda: "Unauthorized" in k.try_it([*robot, "get", "configmaps", "-n", "tokens"])[2])


def replica_set(name):
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "owners"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}})


def owned_pod(name, owner, blocks=False):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
                 "controller": True, "blockOwnerDeletion": blocks}
    return json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "owners", "labels": {"app": owner["metadata"]["name"]}, "ownerReferences": [reference]},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], "terminationGracePeriodSeconds": 0}})


def family(k, name, blocks=False, pods=3):
    k("create -f -", stdin=replica_set(name))
    owner = k.json(f"get rs {name} -n owners")
    for index in range(pods):
        k("create -f -", stdin=owned_pod(f"{name}-{index}", owner, blocks))
    return [f"{name}-{index}" for index in range(pods)]


@suite.case
def garbage_is_collected(k):
    k("create namespace owners")
    wait_for("the default service account", lambda: k.try_it("get serviceaccount default -n owners")[0] == 0)
    pods = family(k, "behind")
    k("delete rs behind -n owners --cascade=background")
    for pod in pods:
        k.gone(f"pod {pod} -n owners")
    pods = family(k, "before", blocks=True)
    k("delete rs before -n owners --cascade=foreground --timeout=60s")
    for pod in pods:
        k.refused(f"get pod {pod} -n owners", "NotFound")  # at once: the owner goes last
    pods = family(k, "without")
    k("delete rs without -n owners --cascade=orphan --timeout=60s")
    for pod in pods:
        wait_for("the owner reference to go", lambda pod=pod: not k.json(f"get pod {pod} -n owners")["metadata"].get("ownerReferences"))
    # An owner that was never there.
    absent = {"metadata": {"name": "absent", "uid": "00000000-0000-4000-8000-000000000000"}}
    k("create -f -", stdin=owned_pod("lost", absent))
    k.gone("pod lost -n owners")


@suite.case
def deleting_a_namespace_finishes(k):
    k("create namespace doomed")
    wait_for("the default service account", lambda: k.try_it("get serviceaccount default -n doomed")[0] == 0)
    k("create -f - -n doomed", stdin=MANIFEST)
    k("run web --image=nginx -n doomed")
    k("create -f - -n doomed", stdin=config_map("holds", finalizers=["example.org/hold"]))
    k("delete namespace doomed --wait=false")
    wait_for("Terminating", lambda: k.json("get namespace doomed")["status"]["phase"] == "Terminating")
    k.refused("create configmap late -n doomed", "because it is being terminated")
    wait_for("all but one to go", lambda: k("get all,cm,sa -n doomed -o name").split() == ["configmap/holds"])
    k(["patch", "cm", "holds", "-n", "doomed", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'])
    k.gone("namespace doomed")
    k.refused("create configmap late -n doomed", 'namespaces "doomed" not found')


@suite.case
def deletes(k):
    for index in range(3):
        k("create -f -", stdin=config_map(f"many-{index}", {"many": "yes"}))
    equal(k("delete cm -l many=yes").count("deleted"), 3)
    expect(k, "delete deploy site --wait", "deleted")
    k.gone("deploy site")
    k.refused("delete deploy site", "NotFound")
    expect(k, "delete deploy site --ignore-not-found")
    k("run slow --image=nginx")
    k("delete pod slow --grace-period=0 --force")
    k.gone("pod slow")


@suite.case
def every_kind_explains_itself(k):
    for what, part in {
        "deployment.spec.strategy": "RollingUpdate", "service.spec.ports": "targetPort", "cronjob.spec": "schedule",
        "ingress.spec.rules": "host", "networkpolicy.spec": "podSelector", "pdb.spec": "minAvailable", "role.rules": "verbs",
        "horizontalpodautoscaler.spec": "maxReplicas", "storageclass": "provisioner", "pod.metadata.ownerReferences": "blockOwnerDeletion",
    }.items():
        expect(k, f"explain {what}", "DESCRIPTION:", part)
    expect(k, "explain deployment --recursive", "containers", "readinessProbe")
    k.refused("explain pod.nonsense", "does not exist")


@suite.case
def everyday_kinds_are_made_and_shown(k):
    k("create namespace kinds")
    wait_for("the default service account", lambda: k.try_it("get serviceaccount default -n kinds")[0] == 0)
    for make, look, part in [
        ("create job once --image=busybox", "get jobs", "once"),
        ("create cronjob often --image=busybox --schedule=*/5.*.*.*.*", "get cronjobs", "*/5 * * * *"),
        ("create secret generic key --from-literal=a=b", "get secrets", "Opaque"),
        ("create ingress front --rule=example.org/=site:80", "get ingresses", "example.org"),
        ("create poddisruptionbudget budget --selector=app=site --min-available=1", "get pdb", "budget"),
        ("create quota some --hard=pods=10", "get quota", "pods: 0/10"),
        ("create role r --verb=get --resource=pods", "get roles", "r"),
        ("create priorityclass high --value=10", "get priorityclasses", "high"),
    ]:
        k([word.replace(".", " ") if word.startswith("--schedule") else word for word in make.split()] + ["-n", "kinds"])
        if "quota" in make:  # its status is a controller's
            wait_for("the quota to be counted", lambda: part in k(look + " -n kinds"))
        expect(k, look + " -n kinds", part)
    expect(k, "get secret key -n kinds -o yaml", "a: Yg==")
    expect(k, "get events -A", "")
    expect(k, "get all -n kinds", "job.batch/once", "cronjob.batch/often")


@suite.case
def helm_installs_upgrades_and_uninstalls(k):
    helm = lambda *words: k([*words, "-n", "charts"], program=tool("helm"))
    k("create namespace charts")
    chart = str(ROOT / "tests/e2e/chart")
    contains(helm("install", "tiny", chart, "--server-side=false"), "STATUS: deployed")
    equal(k.json("get cm tiny-greeting -n charts")["data"], {"greeting": "hello"})
    contains(helm("list"), "tiny-0.1.0")
    contains(helm("upgrade", "tiny", chart, "--set", "greeting=bye", "--server-side=false"), "STATUS: deployed")
    equal(k.json("get cm tiny-greeting -n charts")["data"], {"greeting": "bye"})
    contains(helm("history", "tiny"), "superseded")
    helm("rollback", "tiny", "1", "--server-side=false")
    equal(k.json("get cm tiny-greeting -n charts")["data"], {"greeting": "hello"})
    contains(helm("uninstall", "tiny"), "uninstalled")
    for what in ("cm tiny-greeting", "deploy tiny", "service tiny"):
        k.gone(what + " -n charts")


with_server = Server()
suite.run(Kubectl(with_server), server=with_server)
