#!/usr/bin/env python3
"""What a client is warned of: the table tests/warnings.json sent to a server, and when warnings are sent at all.

Each row of the table is an object that is created, and merge patches of it, with the warnings of every step in upstream's words and order.
"""

import json

from harness import ROOT, Failed, Server, Suite, check, contains, equal

suite = Suite("warnings")
TABLE = json.loads((ROOT / "tests" / "warnings.json").read_text())
PODS = "/api/v1/namespaces/default/pods"
# What is warned of beside what the table says: an API that is deprecated as a whole.
DEPRECATED_API = "v1 Endpoints is deprecated"
# What is stored and not acted on, upstream acts on.
NOT_ACTED_ON = "and does not act on it yet"


def warnings(answer):
    """The texts of an answer's Warning headers."""
    found = []
    for name, value in answer.headers:
        if name.lower() == "warning":
            code, agent, text = value.split(" ", 2)
            equal((code, agent), ("299", "-"), value)
            found.append(text[1:-1].replace('\\"', '"').replace("\\\\", "\\"))
    return [text for text in found if not text.startswith(DEPRECATED_API)]


def pod(name, **metadata):
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    return {"metadata": {"name": name, **metadata}, "spec": {"containers": [{"name": "c", "image": "i", "env": env}]}}


HIDDEN = 'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'


@suite.case
def every_kind_warns_as_the_table_says(server):
    client, wrong = server.admin(), []
    for row in TABLE:
        steps = [(client.post(row["path"], row["object"]).ok(201), row["warnings"])]
        name = row["object"]["metadata"]["name"]
        for step in row.get("then", []):
            path = "/".join(filter(None, (row["path"], name, step.get("subresource"))))
            steps.append((client.patch(path, step["patch"]).ok(200), step["warnings"]))
        for number, (answer, wanted) in enumerate(steps):
            found = [text for text in warnings(answer) if NOT_ACTED_ON not in text]
            if found != wanted:
                wrong.append(f"{row['name']}, step {number}: found {found}, wanted {wanted}")
        client.delete(f"{row['path']}/{name}", {"propagationPolicy": "Background", "gracePeriodSeconds": 0}).ok()
    if wrong:
        raise Failed("\n".join(wrong))


@suite.case
def a_dry_run_warns_too(server):
    equal(warnings(server.admin().post(f"{PODS}?dryRun=All", pod("dry")).ok(201)), [HIDDEN])


@suite.case
def an_object_that_is_not_valid_is_not_warned_of(server):
    bad = pod("bad")
    bad["spec"]["containers"][0]["name"] = "No Name"
    equal(warnings(server.admin().post(PODS, bad).ok(422)), [])


@suite.case
def what_preparation_puts_right_is_warned_of_even_then(server):
    bad = pod("bad", annotations={"container.apparmor.security.beta.kubernetes.io/No Name": "unconfined"})
    bad["spec"]["containers"][0]["name"] = "No Name"
    contains("\n".join(warnings(server.admin().post(PODS, bad).ok(422))), "deprecated since v1.30")


@suite.case
def a_name_that_is_taken_is_warned_of_all_the_same(server):
    client = server.admin()
    client.post(PODS, pod("taken")).ok(201)
    equal(warnings(client.post(PODS, pod("taken")).refused(409, "AlreadyExists")), [HIDDEN])
    client.delete(f"{PODS}/taken").ok()


@suite.case
def owners_twice_are_warned_of_before_and_behind_admission(server):
    client = server.admin()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "11111111-1111-1111-1111-111111111111"}
    rest = "API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate "
    uids = "UID(s) observed: 11111111-1111-1111-1111-111111111111, 11111111-1111-1111-1111-111111111111"
    maps = "/api/v1/namespaces/default/configmaps"
    made = client.post(maps, {"metadata": {"name": "owned", "ownerReferences": [owner] * 3}}).ok(201)
    equal(warnings(made), [f".metadata.ownerReferences contains duplicate entries; {rest}{uids}"])
    equal(made.json["metadata"]["ownerReferences"], [owner])
    patched = client.patch(f"{maps}/owned", {"metadata": {"ownerReferences": [owner] * 3}}).ok(200)
    behind = ".metadata.ownerReferences contains duplicate entries after mutating admission happens; "
    equal(warnings(patched), [f"{behind}{rest}{uids}"])
    client.delete(f"{maps}/owned").ok()


@suite.case
def a_deletion_of_a_job_says_what_becomes_of_its_pods(server):
    client = server.admin()
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    text = ("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
            "propagationPolicy=Orphan to suppress this warning")
    job = lambda name: {"metadata": {"name": name}, "spec": {"suspend": True, "template": {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
    for body, wanted in [(None, [text]), ({"propagationPolicy": "Orphan"}, []), ({"orphanDependents": False}, [])]:
        client.post(jobs, job("j")).ok(201)
        equal(warnings(client.delete(f"{jobs}/j", body).ok()), wanted, body)
        client.patch(f"{jobs}/j", {"metadata": {"finalizers": None}})
    equal(warnings(client.delete(f"{jobs}/nobody").ok(404)), [text])
    equal(warnings(client.delete(jobs).ok()), [text])
    check(not warnings(client.delete(f"{jobs}?propagationPolicy=Background").ok()))


server = Server("--controllers=none")
server.admin().post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}).ok(201)
suite.run(server, server=server)
