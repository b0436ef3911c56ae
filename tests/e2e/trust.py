#!/usr/bin/env python3
"""Whom and what the server trusts: certificate authorities, files and their owners, and the objects that it keeps as they must be."""

import datetime
import os
import re
import ssl
import stat
import subprocess

from harness import BINARY, TARGET, Server, Suite, check, contains, equal, scratch, wait_for

suite = Suite("trust")
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
MAPS = "/api/v1/namespaces/kube-system/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
CA = "basicConstraints=critical,CA:TRUE"


class Certificates:
    """Made by openssl, in a folder of their own."""

    def __init__(self):
        self.folder = scratch() / "certificates"
        self.folder.mkdir()

    def openssl(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, "openssl", done.stderr[-500:])

    def make(self, name, subject, by=None, extensions="", days=30):
        """`name`.crt, signed by another one's key or its own; with extensions it is of version 3, without of version 1."""
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(extensions + "\n")
        signer = ["-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial"] if by else ["-signkey", f"{name}.key"]
        more = ["-extfile", f"{name}.ext"] if extensions else []
        self.openssl("x509", "-req", "-in", f"{name}.csr", *signer, *more, "-days", days, "-out", f"{name}.crt")
        return self

    def text(self, *names):
        return "".join((self.folder / name).read_text() for name in names)

    def file(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def client(self, name, *chain):
        """What a client shows: its certificate, others, and its key."""
        return self.file(f"{name}.pem", self.text(f"{name}.crt", *(f"{other}.crt" for other in chain), f"{name}.key"))


def who(server, pem):
    """The user of a client certificate; None for somebody who is not let in."""
    answer = server.client(certificate=pem).post(SELF, REVIEW)
    if answer.status == 401:
        return None
    return answer.ok(201).json["status"]["userInfo"]["username"]


@suite.case
def authorities_that_may_not_sign_let_nobody_in():
    made = Certificates()
    masters = "/O=system:masters/CN=forged"
    made.make("good", "/CN=good", extensions=CA)
    made.make("expired", "/CN=expired", extensions=CA, days=-1)
    made.make("leaf", "/O=team/CN=leaf", by="good", extensions="basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth")
    made.make("plain", "/CN=plain", extensions="subjectKeyIdentifier=hash")
    made.make("no-sign", "/CN=no-sign", extensions=CA + "\nkeyUsage=digitalSignature")
    made.make("serving", "/CN=serving", extensions=CA + "\nextendedKeyUsage=serverAuth")
    made.make("named", "/CN=named", extensions=CA + "\nnameConstraints=critical,permitted;DNS:example.com")
    made.make("short", "/CN=short", extensions="basicConstraints=critical,CA:TRUE,pathlen:0")
    made.make("old", "/CN=old")
    bad = ["expired", "leaf", "plain", "no-sign", "serving"]
    names = ["good", *bad, "named", "short", "old"]
    bundle = made.file("all.pem", made.text(*(f"{name}.crt" for name in names)))
    server = Server(f"--client-ca-file={bundle}")
    for name in bad:
        made.make(f"of-{name}", masters, by=name)
        equal(who(server, made.client(f"of-{name}")), None, f"a client of the authority {name}")
    equal(server.log().count("no client certificate that it has signed is believed"), len(bad), "each is named in the log")
    for name in ["good", "old", "named", "short"]:
        made.make(f"of-{name}", f"/O=team/CN=of-{name}", by=name)
        equal(who(server, made.client(f"of-{name}")), f"of-{name}", f"a client of the authority {name}")
    # What is in the file is believed as it stands, if it is a client's.
    equal(who(server, made.client("leaf")), "leaf", "a leaf in the file")
    made.make("elsewhere", masters, by="named", extensions="subjectAltName=DNS:example.org")
    equal(who(server, made.client("elsewhere")), None, "a name that the authority may not sign for")
    made.make("middle", "/CN=middle", by="good", extensions=CA)
    made.make("below", "/CN=below", by="middle")
    equal(who(server, made.client("below", "middle")), "below", "an intermediate that the client sends")
    made.make("too-many", "/CN=too-many", by="short", extensions=CA)
    made.make("below-short", masters, by="too-many")
    equal(who(server, made.client("below-short", "too-many")), None, "one intermediate more than allowed")
    made.make("no-middle", "/CN=no-middle", by="good", extensions="basicConstraints=CA:FALSE")
    made.make("below-leaf", masters, by="no-middle")
    equal(who(server, made.client("below-leaf", "no-middle")), None, "an intermediate that is none")
    # openssl makes certificates of version 1 where nothing is said; both of TLS's versions take them.
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = server.client(certificate=made.client("of-good"))
        client.tls = server.tls(made.client("of-good"))
        client.tls.minimum_version = client.tls.maximum_version = version
        equal(client.post(SELF, REVIEW).ok(201).json["status"]["userInfo"]["username"], "of-good", version.name)
    server.kill()


def modes(server):
    """Everything in the data directory, and the directory, by mode."""
    paths = [server.data, *server.data.rglob("*")]
    return {str(path.relative_to(server.data)): stat.S_IMODE(path.lstat().st_mode) for path in paths}


@suite.case
def files_are_their_owners_alone():
    for umask in (0, 0o077):
        server = Server(preexec=lambda umask=umask: os.umask(umask))
        server.admin().get("/api/v1/namespaces").ok(200)
        server.stop()
        for name, mode in modes(server).items():
            equal(mode, 0o700 if (server.data / name).is_dir() else 0o600, f"{name} with umask {umask:o}")
    # As older versions left them: closed, and said so.
    opened = {"": 0o755, "pki": 0o755, "store.redb": 0o644, "pki/ca.key": 0o640}
    for name, mode in opened.items():
        (server.data / name).chmod(mode)
    server.start()
    for name in opened:
        equal(modes(server)[name or "."] & 0o077, 0, name)
    contains(server.log(), "could be read by other users (mode 0755); it is closed to them now")
    contains(server.log(), "store.redb was open to other users (mode 0644); it is closed to them now")
    server.stop()
    # In a directory that others could enter, keys that they could write may be theirs.
    server.data.chmod(0o755)
    (server.data / "pki" / "ca.key").chmod(0o666)
    contains(refused(f"--data-dir={server.data}"), "pki/ca.key in it can be written to by other users (mode 0666)")


def refused(*flags, code=1):
    """What a server says that does not start."""
    done = subprocess.run([str(BINARY), "--secure-port=0", *map(str, flags)], capture_output=True, text=True, timeout=60, cwd=scratch())
    equal(done.returncode, code, done.stderr[-1000:])
    last = done.stderr.strip().splitlines()[-1]
    check(last.startswith("Error: "), "one line that says what is wrong", done.stderr)
    return last


@suite.case
def a_data_directory_that_is_not_ours_is_refused():
    folder = scratch() / "open"
    folder.mkdir()
    for mode in (0o777, 0o1777, 0o775, 0o722):
        folder.chmod(mode)
        line = refused(f"--data-dir={folder}")
        contains(line, f"can be written to by other users (mode {mode:04o})")
        contains(line, f"chmod 0700 {folder}", "what to do")
        equal(list(folder.iterdir()), [], "nothing was written there")
    file = scratch() / "file"
    file.write_text("")
    contains(refused(f"--data-dir={file}"), "is not a directory")
    contains(refused(f"--data-dir={file}/data"), "Not a directory")
    contains(refused("--data-dir=/proc/data"), "can not be made")
    if os.geteuid() != 0:
        print("       NOT RUN: only root can give a directory to somebody else", flush=True)
        return
    folder.chmod(0o700)
    os.chown(folder, 4242, -1)
    line = refused(f"--data-dir={folder}")
    contains(line, "belongs to uid 4242, and this server runs as root (uid 0)")
    contains(line, f"chown -R root {folder}", "what to do")


@suite.case
def a_plugin_directory_open_to_everybody_is_refused():
    folder = scratch() / "plugins"
    folder.mkdir()
    folder.chmod(0o777)
    contains(refused(f"--plugin-dir={folder}", code=2), "everybody may write to it (mode 0777)")
    folder.chmod(0o755)
    manifest = folder / "open.yaml"
    manifest.write_text("apiVersion: plugins.wasmgate.dev/v1alpha1\nkind: Plugin\nmetadata: {name: open}\nspec: {roles: [authorizer]}\n")
    manifest.chmod(0o666)
    server = Server(f"--plugin-dir={folder}", wait=False)
    wait_for("the log to say so", lambda: "open.yaml: everybody may write to it" in server.log())
    server.kill()


@suite.case
def a_plugin_of_a_stranger_decides_nothing():
    """The folder's owner decides what lies in it; who else owns a file there, or what a link leads to, does not."""
    if os.geteuid() != 0:
        print("       NOT RUN: only root can give a file to somebody else", flush=True)
        return
    folder, elsewhere = scratch() / "strangers-plugins", scratch() / "elsewhere.yaml"
    folder.mkdir()
    elsewhere.write_text("apiVersion: plugins.wasmgate.dev/v1alpha1\nkind: Plugin\nmetadata: {name: open}\nspec: {roles: [authorizer]}\n")
    os.chown(elsewhere, 4242, -1)
    (folder / "link.yaml").symlink_to(elsewhere)
    server = Server(f"--plugin-dir={folder}", wait=False)
    wait_for("the log to say so", lambda: "link.yaml: it belongs to uid 4242" in server.log())
    server.kill()


def make_authority(folder, curve):
    """`ca.crt` and `ca.key` of an authority whose key is on this curve."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-nodes", "-keyout",
                    folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=given", "-days", "30"], check=True, capture_output=True)


@suite.case
def a_client_ca_that_cannot_be_read_is_named():
    folder = scratch() / "odd-ca"
    folder.mkdir()
    make_authority(folder, "secp256k1")
    line = refused(f"--client-ca-file={folder / 'ca.crt'}", code=2)
    contains(line, f"--client-ca-file {folder / 'ca.crt'}: client CA: x509: unsupported elliptic curve")


@suite.case
def compiled_code_that_was_changed_is_not_run():
    component = TARGET / "plugins" / "always-allow.wasm"
    check(component.exists(), f"{component} is missing: run `cargo xtask build`")
    folder = scratch() / "cached"
    folder.mkdir()
    (folder / "let-all.wasm").write_bytes(component.read_bytes())
    (folder / "let-all.yaml").write_text(
        "apiVersion: plugins.wasmgate.dev/v1alpha1\nkind: Plugin\nmetadata: {name: LetAll}\nspec: {roles: [authorizer], instances: Reused}\n")
    server = Server(f"--plugin-dir={folder}")
    # It lets everybody do everything, and is in force only if its code was found good.
    in_force = lambda: server.client().get("/api/v1/namespaces").status == 200
    wait_for("the plugin to be in force", in_force)
    kept = list((server.data / "plugin-cache").iterdir())
    equal(len(kept), 1, "compiled code")
    whole = kept[0].read_bytes()
    said = "was not made by this server or has been changed"
    server.stop()
    server.start()
    wait_for("the plugin to be in force", in_force)
    check(said not in server.log(), "what was kept is used")
    for change in (whole[:-1] + bytes([whole[-1] ^ 1]), b"", whole[32:]):
        server.stop()
        kept[0].write_bytes(change)
        before = len(server.log())
        server.start()
        wait_for("the plugin to be in force", in_force)
        contains(server.log()[before:], said)
        equal(kept[0].read_bytes()[32:], whole[32:], "compiled again")
    server.kill()


@suite.case
def defaults_are_healed_at_the_start():
    server = Server()
    admin = server.admin()
    role, binding = f"{RBAC}/clusterroles/system:discovery", f"{RBAC}/clusterrolebindings/cluster-admin"
    kept, other = f"{RBAC}/clusterroles/system:basic-user", f"{RBAC}/clusterrolebindings/system:discovery"
    named = f"{RBAC}/namespaces/kube-system/rolebindings/system:controller:token-cleaner"
    auto = "rbac.authorization.kubernetes.io/autoupdate"
    before = {path: admin.get(path).ok(200).json for path in (role, binding, kept, other, named)}
    change = lambda path, body: admin.patch(path, body).ok(200)
    change(role, {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/mine"]}], "metadata": {"labels": None}})
    change(binding, {"subjects": None})
    change(named, {"subjects": []})
    change(kept, {"rules": [], "metadata": {"annotations": {auto: "false"}}})
    # A role reference cannot be changed: the binding is made anew with another one.
    admin.delete(other).ok(200)
    foreign = {**before[other], "metadata": {"name": "system:discovery"}, "roleRef": {**before[other]["roleRef"], "name": "view"}}
    admin.post(f"{RBAC}/clusterrolebindings", foreign).ok(201)
    admin.delete(f"{FLOWS}/flowschemas/probes").ok(200)
    change(f"{FLOWS}/prioritylevelconfigurations/workload-low", {"spec": {"limited": {"nominalConcurrencyShares": 1}}})
    change(f"{FLOWS}/prioritylevelconfigurations/workload-high", {
        "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}, "spec": {"limited": {"nominalConcurrencyShares": 2}},
    })
    server.stop()
    server.start()
    admin = server.admin()
    got = lambda path: admin.get(path).ok(200).json
    urls = {url for rule in got(role)["rules"] for url in rule["nonResourceURLs"]}
    equal(urls, {"/mine", *before[role]["rules"][0]["nonResourceURLs"]}, "what is missing is added, what is there stays")
    equal(got(role)["metadata"]["labels"], before[role]["metadata"]["labels"])
    equal(got(binding)["subjects"], before[binding]["subjects"])
    equal(got(named)["subjects"], before[named]["subjects"])
    check(not got(kept).get("rules"), "what is to be left alone is left alone", got(kept))
    equal(got(other)["roleRef"], before[other]["roleRef"])
    got(f"{FLOWS}/flowschemas/probes")
    shares = lambda name: got(f"{FLOWS}/prioritylevelconfigurations/{name}")["spec"]["limited"]["nominalConcurrencyShares"]
    equal((shares("workload-low"), shares("workload-high")), (100, 2), "seats, healed and the operator's")
    # Who was taken out of system:discovery does not come back by the binding that was once a part of it.
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}
    change(other, {"subjects": [group], "metadata": {"annotations": {auto: "false"}}})
    public = f"{RBAC}/clusterrolebindings/system:public-info-viewer"
    admin.delete(public).ok(200)
    server.stop()
    server.start()
    admin = server.admin()
    equal(got(public)["subjects"], [group])
    # One more start finds nothing to do.
    version = got(role)["metadata"]["resourceVersion"]
    server.stop()
    server.start()
    equal(server.admin().get(role).ok(200).json["metadata"]["resourceVersion"], version)
    server.kill()


@suite.case
def config_maps_of_authentication():
    made = scratch() / "client-ca"
    made.mkdir()
    make_authority(made, "P-256")
    server = Server(f"--client-ca-file={made / 'ca.crt'}")
    admin = server.admin()
    certificates = lambda text: set(re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END", text.replace("\n", ""), re.S))
    wanted = certificates((made / "ca.crt").read_text()) | certificates((server.data / "pki" / "ca.crt").read_text())
    name = f"{MAPS}/extension-apiserver-authentication"
    found = admin.get(name).ok(200).json
    equal(certificates(found["data"]["client-ca-file"]), wanted)
    check("requestheader-client-ca-file" not in found["data"], "nothing is said of front proxies", found["data"])
    since = admin.get(f"{MAPS}/kube-apiserver-legacy-service-account-token-tracking").ok(200).json["data"]["since"]
    datetime.date.fromisoformat(since)
    # Removed or spoilt, they come back while the server runs.
    admin.delete(name).ok(200)
    wait_for("the config map", lambda: admin.get(name).status == 200)
    admin.patch(name, {"data": {"client-ca-file": None, "mine": "x"}}).ok(200)
    back = wait_for("its content", lambda: admin.get(name).json.get("data", {}).get("client-ca-file"))
    equal(certificates(back), wanted)
    server.kill()


def lease(holder, seconds):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"metadata": {"name": "kube-controller-manager"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": now, "renewTime": now}}


@suite.case
def controllers_stand_back_for_a_controller_manager():
    server = Server()
    admin = server.admin()
    stands_back, takes_over = "the controllers inside of it stand back", "the controllers inside of this server take over"
    said = lambda words, times: wait_for(words, lambda: server.log().count(words) == times)
    account = lambda namespace: admin.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
    made = lambda namespace: wait_for("the default service account", lambda: account(namespace).status == 200)
    namespace = lambda name: admin.post("/api/v1/namespaces", {"metadata": {"name": name}}).ok(201)
    namespace("before")
    made("before")
    admin.post(LEASES, lease("upstream", 3600)).ok(201)
    said(stands_back, 1)
    namespace("managed")
    equal(account("managed").status, 404, "left to the other one")
    # It is still held when the server starts again.
    server.stop()
    server.start()
    admin = server.admin()
    said(stands_back, 2)
    equal(account("managed").status, 404, "left to the other one")
    admin.patch(f"{LEASES}/kube-controller-manager", {"spec": {"holderIdentity": ""}}).ok(200)
    said(takes_over, 1)
    made("managed")
    # One that is not renewed runs out.
    admin.patch(f"{LEASES}/kube-controller-manager", lease("upstream", 1)).ok(200)
    said(stands_back, 3)
    said(takes_over, 2)
    namespace("after")
    made("after")
    server.kill()


suite.run()
