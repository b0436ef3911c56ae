#!/usr/bin/env python3
"""The official Python client. `cargo xtask test` runs this suite in the virtual environment that has it."""

import threading
import time

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


@suite.case
def reviews(server):
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace="default")))
    equal(client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed, True)
    equal(client.VersionApi().get_code().minor, "36")


with_server = Server()
config.load_kube_config(str(with_server.kubeconfig))
suite.run(with_server, server=with_server)
