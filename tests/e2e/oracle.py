#!/usr/bin/env python3
"""Recorded answers of kube-apiserver 1.36.2, replayed where the recordings are present (WASMGATE_ORACLE, or ../shared/oracle).

What differs is printed and is no failure by itself: the recordings cover more than is served yet. But discovery must agree in
95 % of its cases, and no topic may fall below what tests/oracle-floor.txt says: `topic core exact`, in cases. `--set-floor` writes it.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from harness import ROOT, Server, cleanup

ORACLE = Path(os.environ.get("WASMGATE_ORACLE", ROOT.parent / "shared" / "oracle")) / "oracle.py"
FLOOR = ROOT / "tests" / "oracle-floor.txt"
DISCOVERY_PERCENT_MIN = 95
REPLAY_SECONDS_MAX = 900
FLAGS = ("--controllers=none", "--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/16",
         "--service-account-issuer=https://kubernetes.default.svc", "--enable-admission-plugins=NodeRestriction")
TOPIC = re.compile(r"^(\S+) +(\d+)/(\d+) +core +(\d+)/\d+ +exact$")


def floor():
    lines = FLOOR.read_text().splitlines() if FLOOR.exists() else []
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {topic: (int(core), int(exact)) for topic, core, exact in rows}


def main():
    if not ORACLE.exists():
        print(f"skipped: no recordings at {ORACLE.parent}\n0 passed, 0 failed")
        return 0
    server = Server(*FLAGS)
    words = [sys.executable, "-B", str(ORACLE), "replay", "--kubeconfig", str(server.kubeconfig), "--without-managed-fields"]
    # The replay reads a kubeconfig with PyYAML or with kubectl.
    env = {**os.environ, "PATH": f"{ROOT / 'target/tools/bin'}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=REPLAY_SECONDS_MAX, env=env)
    served = server.process.poll() is None
    found = {match[1]: tuple(int(match[n]) for n in (2, 3, 4)) for match in map(TOPIC.match, done.stdout.splitlines()) if match}
    cleanup()
    if not found or not served:
        print(done.stdout[-2000:], done.stderr[-2000:], f"the server {'lives' if served else 'has ended'}", sep="\n")
        print("0 passed, 1 failed")
        return 1
    if "--set-floor" in sys.argv:
        rows = "".join(f"{topic:32} {core:4} {exact:4}\n" for topic, (core, _, exact) in sorted(found.items()))
        FLOOR.write_text("# What `cargo xtask test oracle` must not fall below: cases that agree in their core, and word for word.\n" + rows)
    passed, failed, least = 0, 0, floor()
    for topic, (core, total, exact) in sorted(found.items()):
        floor_core, floor_exact = least.get(topic, (0, 0))
        bad = core < floor_core or exact < floor_exact or (topic == "discovery" and core * 100 < total * DISCOVERY_PERCENT_MIN)
        passed, failed = passed + (not bad), failed + bad
        note = f"  BELOW its floor of {floor_core} core, {floor_exact} exact" if bad else ""
        print(f"{topic:32} {core:4}/{total:<4} core  {exact:4}/{total:<4} exact{note}")
    for topic in sorted(set(least) - set(found)):
        print(f"{topic:32} is in {FLOOR.name} and not in the recordings")
    sums = [sum(row[index] for row in found.values()) for index in range(3)]
    print(f"all: {sums[0]} core and {sums[2]} exact of {sums[1]}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


code = main()
sys.stdout.flush()
os._exit(code)
