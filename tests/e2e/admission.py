#!/usr/bin/env python3
"""What plugins see of a request, what becomes of what they change, and of what they say."""

import json
import os

from harness import TARGET, Server, Suite, check, contains, equal, scratch, wait_for

suite = Suite("admission")
GUEST = TARGET / "test-guests" / "puppet.wasm"
CORE = "/api/v1/namespaces/default"
PODS = CORE + "/pods"
MAPS = CORE + "/configmaps"
MUTATING, VALIDATING = "mutating-admission", "validating-admission"
HPA = "autoscaling", "horizontalpodautoscalers"
ACCOUNT = CORE + "/serviceaccounts/default"


class Puppets:
    """A server with a plugin directory, and plugins that do what the case says."""

    def __init__(self, name):
        self.path = scratch() / name
        self.path.mkdir()
        (self.path / "puppet.wasm").write_bytes(GUEST.read_bytes())
        self.server = Server(f"--plugin-dir={self.path}")
        self.admin = self.server.admin()
        wait_for("the default service account", lambda: self.admin.get(ACCOUNT).status == 200)

    def put(self, name, config, rules, roles=(MUTATING,), **spec):
        """Puts one into force, in place of an older one of its name."""
        text = json.dumps({"apiVersion": "plugins.wasmgate.dev/v1alpha1", "kind": "Plugin", "metadata": {"name": name},
                           "spec": {"component": "puppet.wasm", "roles": list(roles), "match": rules, "config": config, **spec}})
        loaded = self.server.log().count("is in force")
        partial = self.path / f".{name}"
        partial.write_text(text)
        os.replace(partial, self.path / f"{name}.yaml")
        wait_for(f"{name} to be in force", lambda: self.server.log().count("is in force") > loaded)

    def patch(self, operations, rules, **spec):
        self.put("puppet", {"do": "patch", "patch": operations, "warnings": []}, rules, **spec)


def rule(group, *resources, versions=("*",), operations=("*",)):
    return [{"operations": list(operations), "apiGroups": [group], "apiVersions": list(versions), "resources": list(resources)}]


def warnings(answer):
    return [value.removeprefix('299 - "').removesuffix('"') for key, value in answer.headers if key.lower() == "warning"]


def pod(name, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def fault(answer, why):
    """It is the plugin's fault, and not the client's."""
    answer.refused(500, "InternalError", 'failed calling admission plugin "puppet": ')
    contains(answer.json["message"], why)


@suite.case
def what_a_patch_leaves_is_typed_and_defaulted():
    puppets = Puppets("typed")
    admin = puppets.admin
    add = lambda path, value: [{"op": "add", "path": path, "value": value}]
    for operations, why in [
        (add("/spec/priority", "high"), "its patch leaves no Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32"),
        (add("/spec/containers/0/image", 5), "cannot unmarshal number"),
        (add("/spec/containers/0/resources", {"limits": {"cpu": "much"}}), "quantities must match the regular expression"),
        (add("/spec/activeDeadlineSeconds", 1.5), "cannot unmarshal number 1.5"),
        (add("/spec/containers", {}), "cannot unmarshal object"),
        (add("/metadata/labels", {"a": 1}), "cannot unmarshal number"),
        (add("/metadata/creationTimestamp", "yesterday"), "parsing time"),
        (add("/metadata", None), "its patch leaves no object with metadata"),
        ([{"op": "remove", "path": "/metadata"}], "its patch changes /metadata/name"),
        ([{"op": "replace", "path": "", "value": []}], "its patch leaves no object"),
        (add("/kind", "Node"), "its patch changes /kind"),
        (add("/apiVersion", "v2"), "its patch changes /apiVersion"),
        (add("/kind", 5), "its patch changes /kind"),
        (add("/metadata/namespace", "kube-system"), "its patch changes /metadata/namespace"),
    ]:
        puppets.patch(operations, rule("", "pods"))
        fault(admin.post(PODS, pod("typed")), why)
        equal(admin.get(PODS + "/typed").status, 404, "nothing is stored")
        puppets.patch(operations, rule("", "pods"), failurePolicy="Ignore")
        answer = admin.post(PODS + "?dryRun=All", pod("typed")).ok(201)
        equal(answer.json["spec"]["containers"][0]["image"], "nginx", "it is as if nobody had been asked")
    sidecar = {"name": "sidecar", "image": "proxy:1", "ports": [{"containerPort": 80}], "colour": "red",
               "livenessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}
    puppets.patch(add("/spec/containers/-", sidecar) + add("/spec/volumes/0", {"name": "v", "secret": {"secretName": "s"}})
                  + add("/spec/colour", "red") + add("/colour", {"a": {}}), rule("", "pods"))
    # It may have a volume already: the service account's token comes first.
    stored = admin.post(PODS, pod("injected", volumes=[{"name": "w", "emptyDir": {}}])).ok(201).json
    found = next(container for container in stored["spec"]["containers"] if container["name"] == "sidecar")
    equal((found["imagePullPolicy"], found["terminationMessagePath"], found["terminationMessagePolicy"]),
          ("IfNotPresent", "/dev/termination-log", "File"))
    equal((found["ports"], found["resources"]), ([{"containerPort": 80, "protocol": "TCP"}],
                                                 {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}))
    equal((found["livenessProbe"]["httpGet"], found["livenessProbe"]["periodSeconds"]), ({"path": "/", "port": 80, "scheme": "HTTP"}, 10))
    check("colour" not in json.dumps(stored), "unknown fields go")
    volume = next(volume for volume in stored["spec"]["volumes"] if volume["name"] == "v")
    equal(volume["secret"], {"secretName": "s", "defaultMode": 420})
    equal(admin.get(PODS + "/injected").ok(200).json["spec"], stored["spec"], "what is stored")
    puppets.server.kill()


@suite.case
def so_are_subresources_and_updates():
    puppets = Puppets("subresources")
    admin = puppets.admin
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    deployment = {"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}}
    created = admin.post(deployments, deployment).ok(201).json
    admin.post(PODS, pod("p")).ok(201)
    admin.post(MAPS, config_map("m")).ok(201)
    add = lambda path, value: [{"op": "add", "path": path, "value": value}]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    for operations, rules, why, request in [
        (add("/status/replicas", "x"), rule("apps", "deployments/status"), "no Deployment: json: cannot unmarshal string",
         lambda: admin.patch(deployments + "/web/status", {"status": {"observedGeneration": 1}})),
        (add("/spec/replicas", "x"), rule("apps", "deployments/scale"), "no Scale: json: cannot unmarshal string",
         lambda: admin.patch(deployments + "/web/scale", {"spec": {"replicas": 2}})),
        (add("/deleteOptions", "x"), rule("", "pods/eviction"), "no Eviction: json: cannot unmarshal string", lambda: admin.post(PODS + "/p/eviction", eviction)),
        (add("/target", "x"), rule("", "pods/binding"), "no Binding: json: cannot unmarshal string", lambda: admin.post(PODS + "/p/binding", binding)),
        (add("/data", {"a": 1}), rule("", "configmaps"), "no ConfigMap: json: cannot unmarshal number", lambda: admin.patch(MAPS + "/m", {"data": {"b": "c"}})),
        (add("/data", {"a": 1}), rule("", "configmaps"), "no ConfigMap: json: cannot unmarshal number", lambda: admin.put(MAPS + "/m", config_map("m", b="c"))),
        (add("/spec/replicas", 2), rule("apps", "deployments", operations=("DELETE",)), "the request has no object", lambda: admin.delete(deployments + "/web")),
    ]:
        puppets.patch(operations, rules)
        fault(request(), why)
        puppets.patch(operations, rules, failurePolicy="Ignore")
    equal(admin.get(MAPS + "/m").json.get("data"), None)
    # What is the server's stays the server's.
    puppets.patch(add("/metadata/uid", "u") + add("/metadata/creationTimestamp", "2001-01-01T00:00:00Z")
                  + add("/metadata/generation", 7) + add("/metadata/managedFields", [{"manager": "m"}]), rule("apps", "deployments", operations=("CREATE",)))
    made = admin.post(deployments, {**deployment, "metadata": {"name": "second"}}).ok(201).json["metadata"]
    check(made["uid"] != "u" and made["creationTimestamp"] > "2020" and made["generation"] == 1, "metadata", made)
    puppets.patch(add("/metadata/resourceVersion", "1"), rule("apps", "deployments", operations=("CREATE",)))
    contains(admin.post(deployments, {**deployment, "metadata": {"name": "third"}}).ok(500).text, "resourceVersion should not be set on objects to be created")
    puppets.patch(add("/metadata/resourceVersion", "1") + add("/metadata/creationTimestamp", "2001-01-01T00:00:00Z") + add("/metadata/generation", 7),
                  rule("apps", "deployments", operations=("UPDATE",)))
    changed = admin.patch(deployments + "/web", {"metadata": {"labels": {"x": "y"}}}).ok(200).json["metadata"]
    equal((changed["creationTimestamp"], changed["generation"], changed["uid"]), tuple(created["metadata"][f] for f in ("creationTimestamp", "generation", "uid")))
    puppets.server.kill()


def autoscaler(version, name, percent):
    target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3}
    if version == "v1":
        spec = {**target, "targetCPUUtilizationPercentage": percent}
    else:
        resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}
        spec = {**target, "metrics": [{"type": "Resource", "resource": resource}]}
    return {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def event(group, name, reason):
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    if group:
        return {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name}, "regarding": about, "reason": reason, "type": "Normal",
                "note": "words", "action": "Act", "reportingController": "example.com/c", "reportingInstance": "i", "eventTime": "2020-01-01T00:00:00.000000Z"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": about, "reason": reason, "type": "Normal", "message": "words"}


# group, version, resource; a field that only this view has, and its JSON value; an object.
VIEWS = {
    "autoscalers": [
        ("autoscaling", "v1", "horizontalpodautoscalers", "/spec/targetCPUUtilizationPercentage", "50", lambda name: autoscaler("v1", name, 50)),
        ("autoscaling", "v2", "horizontalpodautoscalers", "/spec/metrics/0/resource/target/averageUtilization", "50", lambda name: autoscaler("v2", name, 50)),
    ],
    "events": [
        ("", "v1", "events", "/message", '"words"', lambda name: event("", name, "R")),
        ("events.k8s.io", "v1", "events", "/note", '"words"', lambda name: event("events.k8s.io", name, "R")),
    ],
}


def path(group, version, resource):
    return f"/api/{version}/namespaces/default/{resource}" if not group else f"/apis/{group}/{version}/namespaces/default/{resource}"


@suite.case
def a_plugin_is_shown_the_version_that_it_asks_for():
    puppets = Puppets("versions")
    admin = puppets.admin
    show = lambda pointer: {"do": "show", "show": [pointer]}
    for views in VIEWS.values():
        for sent in views:
            for wanted in views:
                group, version, resource, pointer, value, _ = wanted
                kind = sent[5]("x")["kind"]
                asked = "/".join(sent[:3])
                name = f"{sent[0]}{sent[1]}-{group}{version}".replace(".", "-").strip("-")
                for role in (MUTATING, VALIDATING):
                    puppets.put("puppet", show(pointer), rule(group, resource, versions=[version]), roles=[role])
                    expected = f"{group}/{version}/{resource} {kind} for {asked} {sent[1]}: {{}} was {{}}"
                    answer = admin.post(path(*sent[:3]) + "?dryRun=All", sent[5](name)).ok(201)
                    equal(warnings(answer), [quoted(expected.format(value, "-"))])
                    admin.post(path(*sent[:3]), sent[5](name)).ok(201)
                    answer = admin.patch(f"{path(*sent[:3])}/{name}", {"metadata": {"labels": {"a": role}}}).ok(200)
                    equal(warnings(answer), [quoted(expected.format(value, value))])
                    answer = admin.delete(f"{path(*sent[:3])}/{name}").ok(200)
                    equal(warnings(answer), [quoted(expected.format("-", value))])
                # Exactly this version, or not at all.
                puppets.put("puppet", show(pointer), rule(group, resource, versions=[version]), matchPolicy="Exact")
                answer = admin.post(path(*sent[:3]) + "?dryRun=All", sent[5](name)).ok(201)
                equal(len(warnings(answer)), int(sent is wanted), "Exact")
            # Whatever is asked for, as it is asked for.
            group, version, resource, pointer, value, make = sent
            puppets.put("puppet", show(pointer), rule("*", resource))
            answer = admin.post(path(group, version, resource) + "?dryRun=All", make("any")).ok(201)
            equal(warnings(answer), [quoted(f"{group}/{version}/{resource} {make('x')['kind']} for {group}/{version}/{resource} {version}: {value} was -")])
    puppets.server.kill()


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


@suite.case
def a_subresource_is_shown_in_the_version_that_is_asked_for():
    puppets = Puppets("statuses")
    admin = puppets.admin
    v1, v2 = (path("autoscaling", version, "horizontalpodautoscalers") for version in ("v1", "v2"))
    admin.post(v2, autoscaler("v2", "a", 50)).ok(201)
    seen = lambda version, pointer: puppets.put("puppet", {"do": "show", "show": [pointer]},
                                                rule("autoscaling", "horizontalpodautoscalers/status", versions=[version]))
    metric = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 70, "averageValue": "1"}}}
    seen("v1", "/status/currentCPUUtilizationPercentage")
    answer = admin.patch(v2 + "/a/status", {"status": {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [metric]}}).ok(200)
    contains(warnings(answer)[0], "autoscaling/v1/horizontalpodautoscalers HorizontalPodAutoscaler for autoscaling/v2/horizontalpodautoscalers v2: 70 was none")
    seen("v2", "/status/currentMetrics/0/resource/current/averageUtilization")
    answer = admin.patch(v1 + "/a/status", {"status": {"currentReplicas": 2}}).ok(200)
    contains(warnings(answer)[0], "autoscaling/v2/horizontalpodautoscalers HorizontalPodAutoscaler for autoscaling/v1/horizontalpodautoscalers v1: 70 was 70")
    puppets.server.kill()


@suite.case
def a_patch_is_of_the_version_that_the_plugin_was_shown():
    puppets = Puppets("patches")
    admin = puppets.admin
    change = lambda pointer, value: [{"op": "replace", "path": pointer, "value": value}]
    v1, v2 = (path("autoscaling", version, "horizontalpodautoscalers") for version in ("v1", "v2"))
    utilization = lambda answer: answer.json["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"]
    # A plugin for v1 changes what is sent as v2, and what the next plugin sees.
    puppets.patch(change("/spec/targetCPUUtilizationPercentage", 60), rule("autoscaling", "horizontalpodautoscalers", versions=["v1"]))
    puppets.put("second", {"do": "show", "show": ["/spec/metrics/0/resource/target/averageUtilization"]},
                rule("autoscaling", "horizontalpodautoscalers", versions=["v2"]), order=500)
    answer = admin.post(v2, autoscaler("v2", "a", 50)).ok(201)
    equal((utilization(answer), warnings(answer)), (60, ["autoscaling/v2/horizontalpodautoscalers HorizontalPodAutoscaler for "
                                                          "autoscaling/v2/horizontalpodautoscalers v2: 60 was -"]))
    equal(admin.get(f"{v1}/a").json["spec"]["targetCPUUtilizationPercentage"], 60)
    answer = admin.post(v1, autoscaler("v1", "b", 50)).ok(201)
    equal((answer.json["spec"]["targetCPUUtilizationPercentage"], utilization(admin.get(f"{v2}/b"))), (60, 60))
    puppets.patch(change("/spec/targetCPUUtilizationPercentage", "x"), rule("autoscaling", "horizontalpodautoscalers", versions=["v1"]))
    fault(admin.post(v2, autoscaler("v2", "c", 50)), "no HorizontalPodAutoscaler: json: cannot unmarshal string into Go struct field "
          "HorizontalPodAutoscalerSpec.spec.targetCPUUtilizationPercentage of type int32")
    puppets.patch(change("/apiVersion", "autoscaling/v2"), rule("autoscaling", "horizontalpodautoscalers", versions=["v1"]))
    fault(admin.post(v2, autoscaler("v2", "c", 50)), "its patch changes /apiVersion")
    puppets.patch(change("/note", "other words"), rule("events.k8s.io", "events"))
    answer = admin.post(CORE + "/events", event("", "e", "R")).ok(201)
    equal((answer.json["message"], "note" in answer.json), ("other words", False))
    puppets.server.kill()


@suite.case
def what_was_said_reaches_the_client_with_a_refusal():
    puppets = Puppets("said")
    admin = puppets.admin
    said = {"warnings": ["first", 'with "quotes" \\', "non-ASCII é", "two\nlines", "first", ""]}
    expected = ["first", quoted('with "quotes" \\'), "non-ASCII é".encode().decode("latin-1")]
    said_now = lambda answer: equal(warnings(answer), expected, answer.text[:300])
    puppets.put("puppet", said, rule("", "pods", "pods/*", "configmaps"), roles=[MUTATING, VALIDATING])
    admin.post(MAPS, config_map("m")).ok(201)
    said_now(admin.post(MAPS, config_map("m")).ok(409))
    said_now(admin.post(MAPS, config_map("not_a_name")).ok(422))
    said_now(admin.post(MAPS + "?dryRun=All", config_map("not_a_name")).ok(422))
    said_now(admin.put(MAPS + "/m", {**config_map("m"), "immutable": True}).ok(200))
    said_now(admin.put(MAPS + "/m", config_map("m", a="b")).ok(422))
    said_now(admin.post(PODS, pod("x", nodeName="not/a/name")).ok(422))
    said_now(admin.request("POST", PODS, pod("x", nodeName="not/a/name"), headers={"Impersonate-User": "a", "Impersonate-Group": "system:masters"}).ok(422))
    for name in ("p", "q"):
        said_now(admin.post(PODS, pod(name)).ok(201))
    said_now(admin.post(PODS + "/p/eviction", {"metadata": {"name": "other"}}).ok(400))
    said_now(admin.post(PODS + "/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Tree", "name": "n"}}).ok(500))
    said_now(admin.post(MAPS, {**config_map(""), "metadata": {"generateName": "g-"}}).ok(201))
    # What goes on to a pod is not built yet; admission is asked first all the same.
    said_now(admin.post(PODS + "/p/exec?command=ls", b"").ok(400))
    said_now(admin.get(PODS + "/p/proxy/metrics").ok(400))
    for name in ("x", "y"):
        admin.post(MAPS, {**config_map(name), "metadata": {"name": name, "labels": {"gone": "soon"}}}).ok(201)
    said_now(admin.delete(MAPS + "?labelSelector=gone%3Dsoon").ok(200))
    # A later plugin refuses.
    puppets.put("second", {"do": "refuse", "warnings": ["second"]}, rule("", "pods", "configmaps"), roles=[VALIDATING], order=500)
    expected += ["second"]
    said_now(admin.post(PODS, pod("x")).ok(403))
    said_now(admin.post(PODS + "?dryRun=All", pod("x")).ok(403))
    said_now(admin.put(MAPS + "/m", {**config_map("m"), "immutable": True, "metadata": {"name": "m", "labels": {"a": "b"}}}).ok(403))
    said_now(admin.delete(MAPS + "/m").ok(403))
    said_now(admin.delete(PODS).ok(403))
    # One that faults has said nothing; those before it have.
    puppets.put("second", {"do": "trap"}, rule("", "configmaps"), roles=[VALIDATING], order=500)
    expected.remove("second")
    said_now(admin.delete(MAPS + "/m").ok(500))
    puppets.server.kill()


@suite.case
def a_connection_is_admitted_by_its_options():
    puppets = Puppets("connections")
    admin = puppets.admin
    admin.post(PODS, pod("p")).ok(201)
    puppets.put("puppet", {"do": "show", "show": ["/command", "/tty", "/path"]}, rule("", "pods/exec", "pods/proxy", operations=["CONNECT"]), roles=[VALIDATING])
    equal(warnings(admin.post(PODS + "/p/exec?command=ls&command=-l&tty=1", b"").ok(400)),
          [quoted('/v1/pods PodExecOptions for /v1/pods v1: ["ls","-l"],true,none was -')])
    equal(warnings(admin.get(PODS + "/p/proxy/metrics/").ok(400)), [quoted('/v1/pods PodProxyOptions for /v1/pods v1: none,none,"/metrics/" was -')])
    puppets.patch([{"op": "add", "path": "/container", "value": 5}], rule("", "pods/exec"))
    fault(admin.get(PODS + "/p/exec?command=ls"), "its patch leaves no PodExecOptions: json: cannot unmarshal number")
    puppets.patch([{"op": "add", "path": "/container", "value": "none"}], rule("", "pods/exec"))
    contains(admin.get(PODS + "/p/exec?command=ls").ok(400).text, "container none is not valid for pod p")
    puppets.put("puppet", {"do": "refuse"}, rule("", "pods/exec"), roles=[VALIDATING])
    admin.get(PODS + "/p/exec?command=ls").refused(403, "Forbidden", 'pods "p" is forbidden: as told')
    puppets.server.kill()


@suite.case
def warnings_are_bounded_as_upstreams():
    puppets = Puppets("bounded")
    admin = puppets.admin
    for sent, expected in [
        (["x" * 4096], ["x" * 4096]),
        (["x" * 4097], ["x" * 256]),
        (["a" * 3000, "b" * 3000, "c"], ["a" * 256, "b" * 256, "c"]),
        ([f"{i:03}" + "x" * 97 for i in range(41)], [f"{i:03}" + "x" * 97 for i in range(41)]),
        ([f"{i:03}" + "x" * 297 for i in range(100)], [f"{i:03}" + "x" * 253 for i in range(16)]),
        (["é" * 5000], [("é" * 256).encode().decode("latin-1")]),
    ]:
        puppets.put("puppet", {"warnings": sent}, rule("", "configmaps"))
        equal(warnings(admin.post(MAPS + "?dryRun=All", config_map("m")).ok(201)), expected)
        equal(warnings(admin.post(MAPS, config_map("not_a_name")).ok(422)), expected)
    puppets.server.kill()


suite.run()
