#!/usr/bin/env python3
"""The end of a server: killed under load, nothing acknowledged is lost; asked to end, it drains."""

import http.client
import signal
import threading
import time

from harness import Failed, Server, Suite, check, contains, equal, wait_for

suite = Suite("crash and drain")
MAPS = "/api/v1/namespaces/default/configmaps"
KILLS = 5
WRITERS = 8
SECONDS_BEFORE_KILL = 1.0


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class Writer(threading.Thread):
    """Creates, updates and deletes until the server is gone; remembers what was acknowledged, and what is in doubt."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        self.client, self.prefix = server.admin(timeout=30), name
        self.acknowledged, self.doubtful, self.deleted, self.refused = {}, set(), set(), []

    def run(self):
        count = 0
        while True:
            name = f"{self.prefix}-{count}"
            self.doubtful.add(name)
            try:
                made = self.client.post(MAPS, config_map(name, v="0"))
                if made.status != 201:
                    self.refused.append((made.status, made.text))
                    return
                self.acknowledged[name] = (made.json["metadata"]["resourceVersion"], "0")
                if count % 3 == 1:
                    updated = self.client.patch(f"{MAPS}/{name}", {"data": {"v": "1"}}).ok(200).json
                    self.acknowledged[name] = (updated["metadata"]["resourceVersion"], "1")
                if count % 3 == 2:
                    self.client.delete(f"{MAPS}/{name}").ok(200)
                    del self.acknowledged[name]
                    self.deleted.add(name)
            except (OSError, http.client.HTTPException):
                return
            except Failed as error:
                self.refused.append(str(error))
                return
            self.doubtful.discard(name)
            count += 1


@suite.case
def killed_under_load_nothing_acknowledged_is_lost():
    server = Server()
    for round in range(KILLS):
        writers = [Writer(server, f"r{round}-w{index}") for index in range(WRITERS)]
        [writer.start() for writer in writers]
        time.sleep(SECONDS_BEFORE_KILL)
        server.kill()
        [writer.join(60) for writer in writers]
        equal([writer.refused for writer in writers if writer.refused], [], "no write was refused")
        server.start()
        found = {item["metadata"]["name"]: item for item in server.admin().get(MAPS).ok(200).json["items"]}
        total = 0
        for writer in writers:
            total += len(writer.acknowledged) + len(writer.deleted)
            for name, (version, value) in writer.acknowledged.items():
                if name in writer.doubtful:
                    continue
                item = found.get(name)
                check(item is not None, "an acknowledged create is lost", round, name)
                equal((item["metadata"]["resourceVersion"], item["data"]["v"]), (version, value), f"an acknowledged write of {name} is lost")
            for name in writer.deleted:
                check(name not in found, "an acknowledged delete is lost", round, name)
            known = set(writer.acknowledged) | writer.doubtful
            strangers = [name for name in found if name.startswith(writer.prefix + "-") and name not in known]
            equal(strangers, [], "objects that nobody made")
        check(total > WRITERS, "there was a load", total)
        for name, item in found.items():
            check(set(item["metadata"]) >= {"uid", "creationTimestamp", "resourceVersion"}, "half an object", item)
        print(f"       round {round}: {total} acknowledged writes are there", flush=True)
    server.kill()


@suite.case
def killed_at_its_first_start_it_starts_again():
    server = Server(wait=False)
    for delay in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1):
        time.sleep(delay)
        server.kill()
        server.start(wait=False)
    server.wait_ready()
    equal(server.admin().get("/api/v1/namespaces/kube-system").status, 200)
    server.kill()


@suite.case
def sigterm_drains():
    server = Server("--shutdown-delay-duration=2s")
    admin = server.admin()
    admin.post(MAPS, config_map("there")).ok(201)
    watch = admin.watch(MAPS, {"resourceVersion": "0"})
    watch.named("ADDED", "there")
    # A request in flight: its head is there, its body is not yet.
    slow = admin.open()
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"slow"}}'
    slow.putrequest("POST", MAPS)
    slow.putheader("Content-Type", "application/json")
    slow.putheader("Content-Length", str(len(body)))
    slow.endheaders()
    slow.send(body[:10])
    server.signal(signal.SIGTERM)
    probe = server.client()
    wait_for("readyz to fail first", lambda: probe.get("/readyz").status == 500)
    contains(probe.get("/readyz?verbose").text, "[-]shutdown failed")
    probe.get("/livez").ok(200)
    probe.get("/healthz").ok(200)
    admin.post(MAPS, config_map("late")).ok(201)  # it still serves: load balancers have not noticed yet
    equal(watch.ended.is_set(), False, "the watch has ended before the delay was over")
    check(watch.ended.wait(30), "the watch does not end")
    equal(watch.error, None, "the watch is cut off in mid-air")
    slow.send(body[10:])
    answer = slow.getresponse()
    equal((answer.status, b'"name":"slow"' in answer.read().replace(b": ", b":")), (201, True), "the request in flight")
    slow.close()
    equal(server.process.wait(60), 0, "exit code")
    server.start()
    equal(server.admin().get(f"{MAPS}/slow").status, 200)
    server.kill()


@suite.case
def sigint_ends_it_too():
    server = Server()
    server.signal(signal.SIGINT)
    equal(server.process.wait(60), 0, "exit code")
    contains(server.log(), "shutting down")


@suite.case
def a_second_signal_does_not_wait():
    server = Server("--shutdown-delay-duration=1h")
    server.signal(signal.SIGTERM)
    wait_for("the first to be noticed", lambda: "shutting down" in server.log())
    check(server.process.poll() is None, "it waits")
    server.signal(signal.SIGTERM)
    server.process.wait(60)


@suite.case
def two_servers_do_not_share_an_embedded_store():
    server = Server()
    other = Server(data=server.data, wait=False)
    code = other.process.wait(60)
    check(code not in (0, None), "the second one must end", code)
    last = other.log().strip().splitlines()[-1]
    contains(last, "Error:")
    server.start(wait=False) if server.process.poll() is not None else None
    equal(server.client(certificate=server.admin_certificate).get("/api/v1/namespaces/default").status, 200, "the first one goes on")
    server.kill()


suite.run()
