"""What the end-to-end suites share: a server of one's own, a client, and cases that are counted.

A suite is a script: it starts servers on free ports with data in a temporary folder, runs its cases, and ends with
`N passed, N failed`. Only Python's standard library. Waiting has a deadline, and nothing is asserted about time. What cannot run because
something is missing on this machine says `SKIPPED: …`, which the summary of `cargo xtask test` shows.

Environment: WASMGATE_BIN is the server (default target/release/wasmgate).
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "target"
BINARY = Path(os.environ.get("WASMGATE_BIN", TARGET / "release" / "wasmgate"))
START_SECONDS_MAX = 60
WAIT_SECONDS_MAX = 60
LOG_LINES_SHOWN = 30


class Failed(Exception):
    """A case that does not hold."""


def check(condition, message="does not hold", *shown):
    """Fails the case with what was found."""
    if not condition:
        raise Failed(" ".join([message, *(repr(value) for value in shown)]))


def equal(found, wanted, what=""):
    if found != wanted:
        raise Failed(f"{what}: found {found!r}, wanted {wanted!r}")


def contains(text, part, what=""):
    if part not in text:
        raise Failed(f"{what}: {part!r} is not in {text[:2000]!r}")


def wait_for(what, probe, seconds=WAIT_SECONDS_MAX):
    """The first true thing that `probe` gives. A probe that fails is asked again."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = probe()
            if last:
                return last
        except (Failed, OSError, http.client.HTTPException, KeyError, IndexError) as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"waited {seconds} s for {what}; last: {last!r}")


class Answer:
    """A response, read whole."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def ok(self, *statuses):
        """Fails the case where the status is not among these; without any, where it is not 2xx."""
        if (self.status not in statuses) if statuses else not 200 <= self.status < 300:
            raise Failed(f"status {self.status}: {self.text[:1000]}")
        return self

    def refused(self, status, reason, part=""):
        """Fails the case where it is not this Status."""
        equal(self.status, status, self.text[:500])
        equal((self.json.get("kind"), self.json.get("status"), self.json.get("reason")), ("Status", "Failure", reason), self.text[:500])
        contains(self.json.get("message", ""), part, "message")
        return self


class Client:
    """One HTTP/1.1 connection, opened again where it was closed. Not for several threads."""

    def __init__(self, server, certificate=None, token=None, headers=None, timeout=60):
        self.server, self.timeout = server, timeout
        self.headers = {"Accept": "application/json", **(headers or {})}
        if token:
            self.headers["Authorization"] = "Bearer " + token
        self.tls = server.tls(certificate)
        self.connection = None

    def open(self):
        return http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=self.timeout, context=self.tls)

    def request(self, method, path, body=None, headers=None, query=None):
        """`body`: an object sent as JSON, or bytes as they are."""
        data, sent = encode(body, {**self.headers, **(headers or {})})
        if query:
            path += "?" + urlencode(query, doseq=True)
        if self.connection is None:
            self.connection = self.open()
        try:
            self.connection.request(method, path, data, sent)
            response = self.connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def put(self, path, body, **more):
        return self.request("PUT", path, body, **more)

    def patch(self, path, body, kind="merge", **more):
        suffix = "json-patch" if kind == "json" else f"{kind}-patch"
        return self.request("PATCH", path, body, headers={"Content-Type": f"application/{suffix}+json"}, **more)

    def delete(self, path, body=None, **more):
        return self.request("DELETE", path, body, **more)

    def watch(self, path, query=None):
        return Watch(self, path, {**(query or {}), "watch": "1"})

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def encode(body, headers):
    if body is None or isinstance(body, bytes):
        return body, headers
    return json.dumps(body).encode(), {"Content-Type": "application/json", **headers}


class Watch:
    """A watch, read by a thread of its own."""

    def __init__(self, client, path, query):
        self.connection = client.open()
        self.connection.request("GET", path + "?" + urlencode(query), headers=client.headers)
        self.response = self.connection.getresponse()
        self.status, self.events, self.ended, self.error = self.response.status, [], threading.Event(), None
        self.changed = threading.Condition()
        if self.status != 200:
            raise Failed(f"watch {path}: status {self.status}: {self.response.read()[:500]}")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for line in self.response:
                with self.changed:
                    self.events.append(json.loads(line))
                    self.changed.notify_all()
        except (OSError, ValueError, http.client.HTTPException, AttributeError) as error:
            self.error = error
        self.ended.set()
        with self.changed:
            self.changed.notify_all()

    def wait(self, matches, seconds=WAIT_SECONDS_MAX):
        """The first event that matches."""
        deadline, at = time.monotonic() + seconds, 0
        with self.changed:
            while True:
                while at < len(self.events):
                    if matches(self.events[at]):
                        return self.events[at]
                    at += 1
                if self.ended.is_set() or time.monotonic() > deadline:
                    seen = [(e["type"], e["object"].get("metadata", {}).get("name")) for e in self.events[-20:]]
                    raise Failed(f"no such event; ended: {self.ended.is_set()}; seen: {seen}")
                self.changed.wait(0.2)

    def named(self, kind, name):
        return self.wait(lambda event: event["type"] == kind and event["object"]["metadata"].get("name") == name)

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class Server:
    """A running server. Its data outlives it, until the suite ends."""

    def __init__(self, *flags, folder=None, env=None, port=0, preexec=None, wait=True, data=None):
        self.folder = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="wasmgate-e2e-", dir=scratch()))
        self.data = Path(data) if data else self.folder / "data"
        self.log_path = self.folder / "log"
        self.kubeconfig = self.data / "admin.kubeconfig"
        self.flags, self.env, self.preexec = [str(flag) for flag in flags], env, preexec
        self.port, self.process = port, None
        self.start(wait)

    def command(self):
        return [str(BINARY), f"--data-dir={self.data}", f"--secure-port={self.port}", *self.flags]

    def start(self, wait=True):
        # A file of the last start would tell of another port.
        with contextlib.suppress(FileNotFoundError):
            self.kubeconfig.unlink()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **(self.env or {})}, preexec_fn=self.preexec,
            )
        RUNNING.add(self)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
            if not self.kubeconfig.exists():
                return False
            self.read_kubeconfig()
            # 401: with --anonymous-auth=false a stranger may not ask; it serves.
            return self.client().get("/readyz").status in (200, 401)
        wait_for("the server to be ready", ready, START_SECONDS_MAX)
        return self

    def read_kubeconfig(self):
        text = self.kubeconfig.read_text()
        field = lambda name: re.search(rf"^ *{name}: (\S+)$", text, re.M).group(1)
        self.port_in_use = int(field("server").rsplit(":", 1)[1])
        self.port_asked, self.port = self.port, self.port_in_use
        self.ca = self.folder / "ca.crt"
        self.ca.write_bytes(base64.b64decode(field("certificate-authority-data")))
        self.admin_certificate = self.folder / "admin.pem"
        pem = base64.b64decode(field("client-certificate-data")) + base64.b64decode(field("client-key-data"))
        self.admin_certificate.write_bytes(pem)

    def tls(self, certificate):
        context = ssl.create_default_context(cafile=self.ca)
        # Data from the kubeconfig: the certificate names 127.0.0.1 and is checked.
        if certificate:
            context.load_cert_chain(certificate)
        return context

    def client(self, certificate=None, token=None, **more):
        return Client(self, certificate, token, **more)

    def admin(self, **more):
        return Client(self, self.admin_certificate, **more)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_tail(self):
        return "\n".join("    | " + line[:300] for line in self.log().splitlines()[-LOG_LINES_SHOWN:])

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=WAIT_SECONDS_MAX):
        """As an operator does; gives the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"SIGTERM, and not ended after {seconds} s") from None
        RUNNING.discard(self)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        RUNNING.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


RUNNING = set()
SCRATCH = None


def scratch():
    """A folder for the whole suite, removed at its end. Beside the build: a place with a real disk."""
    global SCRATCH
    if SCRATCH is None:
        parent = Path(os.environ.get("WASMGATE_E2E_SCRATCH", TARGET / "e2e"))
        parent.mkdir(parents=True, exist_ok=True)
        SCRATCH = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    return SCRATCH


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Etcd:
    """An etcd of one member: WASMGATE_ETCD, or the PATH's."""

    def __init__(self, folder=None):
        self.folder = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="etcd-", dir=scratch()))
        self.binary = self.find()
        check(self.binary, "no etcd: install etcd-server, or set WASMGATE_ETCD")
        self.url, self.peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        self.start()

    @staticmethod
    def find():
        return os.environ.get("WASMGATE_ETCD") or shutil.which("etcd")

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--data-dir", self.folder / "data", "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                 "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer, "--initial-cluster", f"default={self.peer}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        RUNNING.add(self)
        wait_for("etcd", lambda: socket.create_connection(("127.0.0.1", int(self.url.rsplit(":", 1)[1]))).close() or True)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        RUNNING.discard(self)


class Suite:
    """Cases in order. One that fails does not keep the others from running."""

    def __init__(self, about):
        self.about, self.cases, self.results = about, [], []
        self.wanted = sys.argv[1:]

    def case(self, function):
        """The docstring, or the name in words, is what is printed."""
        self.cases.append((function.__name__.replace("_", " "), function))
        return function

    def run(self, *arguments, server=None):
        """Runs the cases with these arguments, prints the count, and ends the process."""
        for name, function in self.cases:
            if self.wanted and not any(word in name for word in self.wanted):
                continue
            self.one(name, lambda function=function: function(*arguments), server)
        self.finish()

    def one(self, name, run, server=None):
        start = time.monotonic()
        try:
            run()
            self.report(name, None, start)
        except Failed as error:
            self.report(name, str(error), start)
        except Exception:  # a case's own mistake counts as its failure
            self.report(name, traceback.format_exc(limit=-4), start)
        if server is not None and self.results[-1] is False:
            print(f"  the server's log:\n{server.log_tail()}", flush=True)

    def report(self, name, error, start):
        self.results.append(error is None)
        mark = "ok    " if error is None else "FAILED"
        print(f"{mark} {name} ({time.monotonic() - start:.1f} s)", flush=True)
        if error is not None:
            print("       " + error.replace("\n", "\n       "), flush=True)

    def finish(self):
        cleanup()
        passed = sum(self.results)
        print(f"{passed} passed, {len(self.results) - passed} failed", flush=True)
        sys.stdout.flush()
        os._exit(0 if passed == len(self.results) and self.results else 1)


def cleanup():
    for running in list(RUNNING):
        with contextlib.suppress(Exception):
            running.kill()
    if SCRATCH is not None and "WASMGATE_E2E_KEEP" not in os.environ:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def skip(why):
    """Ends the suite: it cannot run here."""
    cleanup()
    print(f"SKIPPED: {why}\n0 passed, 0 failed", flush=True)
    os._exit(0)


def tool(name):
    """A program that `cargo xtask test` has put into target/tools."""
    path = TARGET / "tools" / "bin" / name
    if path.exists():
        return str(path)
    raise SystemExit(f"{path} is missing: run `cargo xtask test clients`")


def uncaught(kind, value, trace):
    traceback.print_exception(kind, value, trace)
    cleanup()
    print("0 passed, 1 failed", flush=True)
    os._exit(1)


def terminated(*_):
    cleanup()
    os._exit(1)


sys.excepthook = uncaught
signal.signal(signal.SIGTERM, terminated)
