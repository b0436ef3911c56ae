#!/usr/bin/env python3
"""What is refused, in upstream's words: the table tests/refusals.json sent to a server, and what is not refused although it looks so.

Each row of the table is a few requests, of which the last is refused with this message, as kube-apiserver 1.36 answered.
"""

import json

from harness import ROOT, Failed, Server, Suite, contains, equal

suite = Suite("refusals")
TABLE = json.loads((ROOT / "tests" / "refusals.json").read_text())
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@suite.case
def every_refusal_is_worded_as_the_table_says(server):
    client, wrong = server.admin(), []
    for row in TABLE:
        made = set()
        for number, (method, path, body, *kind) in enumerate(row["steps"]):
            answer = client.request(method, path, body, headers={"Content-Type": kind[0] if kind else "application/json"})
            if number + 1 < len(row["steps"]):
                answer.ok()
            if method == "POST" and answer.status == 201:
                made.add(f"{path}/{answer.json['metadata']['name']}")
        if (answer.status, answer.json.get("message")) != (row["code"], row["message"]):
            wrong.append(f"{row['name']}:\n  found  {answer.status} {answer.json.get('message')}\n  wanted {row['code']} {row['message']}")
        for path in made:
            client.patch(path, {"metadata": {"finalizers": None}})
            client.delete(path, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
    if wrong:
        raise Failed("\n".join(wrong))


@suite.case
def only_the_store_refuses_a_resource_version(server):
    client = server.admin()
    role = lambda version: {"metadata": {"name": "versioned", "resourceVersion": version}}
    equal(client.post(f"{ROLES}?dryRun=All", role("5")).ok(201).json["metadata"]["resourceVersion"], "5")
    answer = client.post(ROLES, role("5")).ok(500)
    equal(answer.json["message"], "resourceVersion should not be set on objects to be created")
    client.post(ROLES, {**role("5"), "rules": [{"verbs": []}]}).refused(422, "Invalid", "rules[0].verbs")
    client.post(ROLES, role("0")).ok(201)
    client.delete(f"{ROLES}/versioned").ok()
    client.post(ROLES, role("no number")).ok(201)
    client.delete(f"{ROLES}/versioned").ok()


@suite.case
def what_is_in_no_namespace_loses_one(server):
    client = server.admin()
    made = client.post(ROLES, {"metadata": {"name": "nowhere", "namespace": "other"}}).ok(201).json
    equal(made["metadata"].get("namespace"), None)
    changed = client.patch(f"{ROLES}/nowhere", {"metadata": {"namespace": "other", "labels": {"a": "b"}}}).ok(200).json
    equal((changed["metadata"].get("namespace"), changed["metadata"]["labels"]), (None, {"a": "b"}))
    client.post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x", "namespace": "other"}}).refused(
        400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request")
    client.delete(f"{ROLES}/nowhere").ok()


@suite.case
def a_limit_range_is_given_a_name(server):
    client = server.admin()
    made = client.post("/api/v1/namespaces/default/limitranges", {"spec": {"limits": []}}).ok(201).json
    equal(len(made["metadata"]["name"]), 36)
    client.post("/api/v1/namespaces/default/configmaps", {"data": {}}).refused(422, "Invalid", "metadata.name: Required value")


@suite.case
def finalizers_are_asked_for_as_each_group_does(server):
    client = server.admin()
    metadata = {"name": "f", "finalizers": ["plain"]}
    client.post(ROLES, {"metadata": metadata}).refused(422, "Invalid", "metadata.finalizers[0]: Invalid value: \"plain\": name is neither")
    client.post("/apis/node.k8s.io/v1/runtimeclasses?dryRun=All", {"metadata": metadata, "handler": "h"}).ok(201)


@suite.case
def fields_that_cannot_be_selected_by(server):
    answer = server.admin().get("/apis/batch/v1/jobs", query={"fieldSelector": "spec.x=1"}).refused(400, "BadRequest")
    contains(answer.text, 'field label \\"spec.x\\" not supported for Job')


server = Server("--controllers=none")
server.admin().post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}).ok(201)
suite.run(server, server=server)
