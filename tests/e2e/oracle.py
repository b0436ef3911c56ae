#!/usr/bin/env python3
"""Recorded answers of kube-apiserver 1.36.2, replayed where the recordings are present (WASMGATE_ORACLE, or ../shared/oracle).

    oracle.py [--diff] [--only PREFIX] [--set-floor]

What differs is printed with `--diff` and is no failure by itself: the recordings cover more than is served yet. But discovery must agree
in 95 % of its cases, and no topic may fall below what tests/oracle-floor.txt says. A topic is counted in cases, and in the steps of its
cases: a case agrees only where all of its steps do, so steps guard what stands beside a step that cannot agree yet.
`--set-floor` writes what was found, `--only` replays the cases whose name begins so, and holds nothing against the floor.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

from harness import ROOT, Server, cleanup, skip

FOLDER = Path(os.environ.get("WASMGATE_ORACLE", ROOT.parent / "shared" / "oracle"))
FLOOR = ROOT / "tests" / "oracle-floor.txt"
DISCOVERY_PERCENT_MIN = 95
REPLAY_SECONDS_MAX = 900
DIFFERENCES_SHOWN_MAX = 12
FLAGS = ("--controllers=none", "--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/16",
         "--service-account-issuer=https://kubernetes.default.svc", "--enable-admission-plugins=NodeRestriction")
# How many less than were found `--set-floor` writes: a case may hang on timing on a busy machine.
SLACK = 2
OWN_WARNING = "and does not act on it yet"
HEAD = f"""\
# What `cargo xtask test oracle` must not fall below: cases that agree in their core and word for word, then their steps likewise.
# {SLACK} less than were found: a case may hang on timing on a busy machine.
"""


@dataclasses.dataclass
class Count:
    """Of a topic: how many there are, agree in their core, and agree word for word."""
    total: int = 0
    core: int = 0
    exact: int = 0

    def add(self, core_differs, exact_differs):
        self.total += 1
        self.core += not core_differs
        self.exact += not exact_differs

    def __str__(self):
        return f"{self.core:4}/{self.total:<4} core {self.exact:4}/{self.total:<4} exact"


class Topic:
    def __init__(self):
        self.cases, self.steps = Count(), Count()

    def found(self):
        return self.cases.core, self.cases.exact, self.steps.core, self.steps.exact

    def is_below(self, floor):
        return any(found < least for found, least in zip(self.found(), floor))


def player():
    """The module that plays the recordings. It lies beside them."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("recordings", FOLDER / "oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.WITHOUT_MANAGED_FIELDS = True
    return module


def replay(recordings, kubeconfig, options):
    """Every topic's counts. A case is judged step by step."""
    # A kubeconfig is read with PyYAML or with kubectl.
    os.environ["PATH"] = f"{ROOT / 'target/tools/bin'}:{os.environ['PATH']}"
    client, topics, deadline = recordings.Client(str(kubeconfig)), {}, time.monotonic() + REPLAY_SECONDS_MAX
    for path in recordings.case_files([]):
        cases = [case for case in json.loads(Path(path).read_text())["cases"]
                 if case["name"].startswith(options.only) and case.get("answers")]
        workers = 1 if any(case.get("serial") for case in cases) else 4
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for case, answers in zip(cases, pool.map(lambda case: recordings.run_case(client, case), cases)):
                judge(recordings, case, answers, topics.setdefault(case["name"].split("/")[0], Topic()), options.diff)
        if time.monotonic() > deadline:
            raise SystemExit(f"the replay takes longer than {REPLAY_SECONDS_MAX} s")
    return topics


def judge(recordings, case, answers, topic, show):
    core, exact = [], []
    for number, (step, want, found) in enumerate(zip(case["steps"], case["answers"], answers)):
        if step.get("check") is False:
            continue
        of_core, of_exact = recordings.judge({"steps": [step], "answers": [want]}, [upstreams(found)])
        topic.steps.add(of_core, of_exact)
        renumbered = lambda lines: [line.replace("step 0 ", f"step {number} ", 1) for line in lines]
        core, exact = core + renumbered(of_core), exact + renumbered(of_exact)
    topic.cases.add(core, exact)
    if show and exact:
        print(("DIFFERS " if core else "WORDING ") + case["name"], *exact[:DIFFERENCES_SHOWN_MAX], sep="\n")


def upstreams(answer):
    """An answer without the warnings that only this server has: that it does not act on what it stores (`api/src/unenforced.rs`)."""
    warnings = [warning for warning in answer.get("warnings", []) if OWN_WARNING not in warning]
    answer = {name: value for name, value in answer.items() if name != "warnings"}
    return {**answer, "warnings": warnings} if warnings else answer


def floor():
    lines = FLOOR.read_text().splitlines() if FLOOR.exists() else []
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {topic: tuple(map(int, counts)) for topic, *counts in rows}


def compare(topics):
    """Holds what was found against the floor; how many topics hold and how many do not."""
    bad, least = 0, floor()
    for name, topic in sorted(topics.items()):
        below = topic.is_below(least.get(name, ()))
        below |= name == "discovery" and topic.cases.core * 100 < topic.cases.total * DISCOVERY_PERCENT_MIN
        bad += below
        note = f"  BELOW its floor of {least.get(name)}" if below else ""
        print(f"{name:16} cases {topic.cases}   steps {topic.steps}{note}")
    for name in sorted(set(least) - set(topics)):
        print(f"{name} is in {FLOOR.name} and not in the recordings")
        bad += 1
    return len(set(topics) | set(least)) - bad, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--diff", action="store_true", help="print what differs")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--set-floor", action="store_true", help="write what is found into tests/oracle-floor.txt")
    options = parser.parse_args()
    if not (FOLDER / "oracle.py").exists():
        skip(f"no recordings of kube-apiserver's answers in {FOLDER}; WASMGATE_ORACLE names their folder")
    server = Server(*FLAGS)
    topics = replay(player(), server.kubeconfig, options)
    lives = server.process.poll() is None
    log = server.log_tail()
    cleanup()
    if not lives or not topics:
        print(f"the server {'lives' if lives else 'has ended'}; {len(topics)} topics were replayed\n{log}\n0 passed, 1 failed")
        return 1
    if options.set_floor:
        rows = [f"{name:14}" + "".join(f" {max(0, count - SLACK):5}" for count in topic.found()) for name, topic in sorted(topics.items())]
        FLOOR.write_text(HEAD + "\n".join(rows) + "\n")
    if options.only:
        print(*(f"{name:16} cases {topic.cases}   steps {topic.steps}" for name, topic in sorted(topics.items())), sep="\n")
        return 0
    passed, failed = compare(topics)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


code = main()
sys.stdout.flush()
os._exit(code)
