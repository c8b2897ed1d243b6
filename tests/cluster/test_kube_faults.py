"""How a cluster that fails, lies or cannot be reached is told; and that a write is never sent twice."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_kube_api import FakeKubeApi
from kubernetes import client

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kube.answers import error_of
from stratus.cluster.kube.discovery import Catalogue, aggregated_rows
from stratus.cluster.kube.requests import request_of
from stratus.cluster.writer import WRITE_SECONDS
from stratus.errors import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    InDoubt,
    Invalid,
    NotFound,
    StratusError,
    Throttled,
    UnknownNameError,
    UsageError,
)
from stratus.model.actions import ApiWrite
from stratus.model.refs import ObjectRef
from stratus.settings import Settings

REF = ObjectRef(api_version="v1", kind="ConfigMap", name="a", namespace="n")
DELETE = ApiWrite(method="DELETE", target=REF, plural="configmaps")
PATCH = ApiWrite(
    method="PATCH",
    target=REF,
    plural="configmaps",
    patch_type="application/merge-patch+json",
    body={"data": {"k": "w"}},
)
POST = ApiWrite(method="POST", target=REF, plural="configmaps", body={"metadata": {"name": "a", "namespace": "n"}})
PUT = ApiWrite(method="PUT", target=REF, plural="configmaps", body={"metadata": {"name": "a", "namespace": "n"}})
POD = ObjectRef(api_version="v1", kind="Pod", name="p", namespace="n")


def cluster(api: FakeKubeApi, **more: Any) -> KubeCluster:
    return KubeCluster(client.ApiClient(client.Configuration(host=api.url)), **more)


@pytest.mark.parametrize("write", [DELETE, PATCH, POST, PUT], ids=lambda w: w.method)
@pytest.mark.parametrize("fault", ["reset", "after-reset"])
def test_a_write_without_an_answer_is_in_doubt_and_sent_once(api: FakeKubeApi, write: ApiWrite, fault: str) -> None:
    if write.method != "POST":
        api.create("v1", "configmaps", "n", {"metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}})
    api.fault = lambda method, path: fault if method == write.method else None
    with cluster(api) as c, pytest.raises(InDoubt, match="Read the object"):
        c.writer.write(write)
    assert [r[0] for r in api.writes()] == [write.method]


def test_a_write_that_is_never_answered_is_in_doubt_after_the_timeout(api: FakeKubeApi) -> None:
    api.fault = lambda method, path: "hang"
    with cluster(api, timeout=0.2) as c, pytest.raises(InDoubt):
        c.writer.write(DELETE)
    assert len(api.writes()) == 1


@pytest.mark.parametrize("code", [500, 502, 503, 504, 408])
def test_a_server_that_fails_while_writing_leaves_doubt(api: FakeKubeApi, code: int) -> None:
    api.fault = lambda method, path: (code, {"kind": "Status", "message": "etcdserver: request timed out"})
    with cluster(api) as c:
        with pytest.raises(InDoubt, match="etcdserver"):
            c.writer.write(PATCH)
        with pytest.raises(ClusterError) as rehearsed:
            c.rehearser.dry_run(PATCH)
    assert not isinstance(rehearsed.value, InDoubt), "a rehearsal stores nothing, whatever happens to it"
    assert len(api.writes()) == 2


def test_a_truncated_answer_to_a_write_is_in_doubt(api: FakeKubeApi) -> None:
    api.fault = lambda method, path: (200, '{"kind": "Conf')
    with cluster(api) as c, pytest.raises(InDoubt, match="not JSON"):
        c.writer.write(PATCH)


@pytest.mark.parametrize("write", [DELETE, PATCH], ids=lambda w: w.method)
def test_no_connection_means_nothing_was_changed(write: ApiWrite) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with KubeCluster(client.ApiClient(client.Configuration(host=url))) as c:
            for call in (c.reader.identity, lambda: c.writer.write(write), lambda: c.rehearser.dry_run(write)):
                with pytest.raises(ClusterUnreachable, match=r"http://127\.0\.0\.1.*refused"):
                    call()


def test_an_unknown_host_and_a_nonsense_address() -> None:
    for url in ("http://no-such-host.invalid:6443", "ftp://x"):
        with KubeCluster(client.ApiClient(client.Configuration(host=url))) as c, pytest.raises(ClusterUnreachable):
            c.writer.write(DELETE)


def test_a_read_survives_one_closed_connection_and_tells_of_two(api: FakeKubeApi) -> None:
    api.create("v1", "configmaps", "n", {"metadata": {"name": "a", "namespace": "n"}})
    faults = iter([None, None, "reset", None, "reset", "reset"])
    api.fault = lambda method, path: next(faults)
    with cluster(api) as c:
        c.reader.resources()
        assert c.reader.get(REF) is not None
        with pytest.raises(ClusterUnreachable, match="does not answer"):
            c.reader.get(REF)


def test_distrusted_certificates_are_unreachable_not_in_doubt(secure_api: FakeKubeApi) -> None:
    with KubeCluster(client.ApiClient(client.Configuration(host=secure_api.url))) as c:
        for call in (c.reader.identity, lambda: c.writer.write(DELETE)):
            with pytest.raises(ClusterUnreachable, match="certificate"):
                call()


def test_plain_http_spoken_to_https_is_not_silent(secure_api: FakeKubeApi) -> None:
    plain = client.ApiClient(client.Configuration(host=secure_api.url.replace("https", "http")))
    with KubeCluster(plain) as c, pytest.raises(ClusterUnreachable):
        c.reader.identity()


def test_wrong_and_missing_rights(secure_api: FakeKubeApi, tls: tuple[Path, Path], api: FakeKubeApi) -> None:
    configuration = client.Configuration(host=secure_api.url)
    configuration.ssl_ca_cert = str(tls[0])
    with KubeCluster(client.ApiClient(configuration)) as c, pytest.raises(Forbidden, match="credentials") as found:
        c.reader.identity()
    assert found.value.status == 401
    api.fault = lambda method, path: (403, {"message": 'configmaps "a" is forbidden', "reason": "Forbidden"})
    with cluster(api) as c, pytest.raises(Forbidden, match="is forbidden"):
        c.writer.write(DELETE)


def test_something_else_than_kubernetes_is_told(api: FakeKubeApi) -> None:
    api.fault = lambda method, path: (200, "<html>welcome</html>")
    with cluster(api) as c, pytest.raises(ClusterUnreachable, match="does not answer like a Kubernetes API"):
        c.reader.resources()


def test_the_callers_client_stays_as_it_was(api: FakeKubeApi) -> None:
    theirs = client.ApiClient(client.Configuration(host=api.url))
    before = dict(theirs.rest_client.pool_manager.connection_pool_kw)
    with KubeCluster(theirs) as c:
        c.reader.identity()
    assert theirs.rest_client.pool_manager.connection_pool_kw == before
    assert theirs.configuration.retries is None
    theirs.close()


def test_lists_are_read_page_by_page_and_start_over_when_expired(api: FakeKubeApi) -> None:
    for number in range(7):
        api.create("v1", "configmaps", "n", {"metadata": {"name": f"c{number}", "namespace": "n"}})
    api.page = 3
    with cluster(api) as c:
        assert len(c.reader.list("cm", "n")) == 7
        assert sum("continue=" in r[1] for r in api.requests) == 2
        api.page = 500
        api.fault = lambda method, path: (410, {"reason": "Expired", "message": "x"}) if "limit" in path else None
        assert len(c.reader.list("cm", "n")) == 7


def test_legacy_discovery_gives_the_same_resources(api: FakeKubeApi) -> None:
    with cluster(api) as new:
        want = {(r.full_name, r.api_version, r.namespaced) for r in new.reader.resources()}
    api.aggregated = False
    with cluster(api) as old:
        assert {(r.full_name, r.api_version, r.namespaced) for r in old.reader.resources()} == want
        assert old.reader.resource("autoscaling/v1/HorizontalPodAutoscaler").api_version == "autoscaling/v1"
    assert all("/" not in name for name, _, _ in want)


def test_discovery_is_asked_once_but_an_unknown_word_asks_again(api: FakeKubeApi) -> None:
    with cluster(api) as c:
        for word in ("po", "deploy", "cm"):
            c.reader.resource(word)
        assert [r[1] for r in api.requests] == ["/api", "/apis"]
        with pytest.raises(UnknownNameError):
            c.reader.resource("widget")
        assert [r[1] for r in api.requests] == ["/api", "/apis"] * 2


def test_a_real_servers_discovery_resolves(golden: Path) -> None:
    import json

    rows = []
    for name in ("api_aggregated_v2.json", "apis_aggregated_v2.json"):
        rows += aggregated_rows(json.loads((golden / "discovery" / name).read_text()))
    catalogue = Catalogue(rows)
    for word, full in {
        "deploy": "deployments.apps", "sts": "statefulsets.apps", "ing": "ingresses.networking.k8s.io",
        "netpol": "networkpolicies.networking.k8s.io", "pvc": "persistentvolumeclaims", "ev": "events",
        "events": "events", "widget": "widgets.shop.example.com", "quota": "resourcequotas", "ep": "endpoints",
        "cj": "cronjobs.batch", "sa": "serviceaccounts", "rolebinding": "rolebindings.rbac.authorization.k8s.io",
        "hpa": "horizontalpodautoscalers.autoscaling",
    }.items():  # fmt: skip
        assert catalogue.find(word).full_name == full
    assert catalogue.find("hpa").api_version == "autoscaling/v2"
    assert catalogue.find("hpa.v1.autoscaling").api_version == "autoscaling/v1"


def test_logs(api: FakeKubeApi) -> None:
    api.create("v1", "pods", "n", {"metadata": {"name": "p", "namespace": "n"}})
    api.logs["p", "main", False] = "one\ntwo\nthree\n"
    with cluster(api) as c:
        assert c.reader.logs("n", "p", container="main", tail_lines=2) == "two\nthree\n"
        assert c.reader.logs("n", "p", container="side") == "", "not started: nothing, no error"
        assert c.reader.logs("n", "p", container="main", previous=True) == "", "never restarted: nothing, no error"


def test_access_reviews(api: FakeKubeApi) -> None:
    api.denied = {"delete"}
    with cluster(api) as c:
        assert not c.reader.can_i("delete", "deployments.apps", "n", subresource="scale")
    assert api.requests[-1][2]["spec"]["resourceAttributes"] == {
        "verb": "delete", "group": "apps", "resource": "deployments", "namespace": "n", "subresource": "scale",
    }  # fmt: skip


def test_evictions_carry_preconditions_and_dry_run_in_their_options(api: FakeKubeApi) -> None:
    made = api.create("v1", "pods", "n", {"metadata": {"name": "p", "namespace": "n"}})
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "n"}}
    evict = ApiWrite(method="POST", target=POD, plural="pods", subresource="eviction", body=body, expect_uid="other")
    with cluster(api) as c:
        with pytest.raises(Conflict):
            c.writer.write(evict)
        known = evict.model_copy(update={"expect_uid": made["metadata"]["uid"]})
        c.rehearser.dry_run(known)
        assert c.reader.get(POD) is not None
        c.writer.write(known)
        assert c.reader.get(POD) is None


def test_a_write_carries_a_deadline_for_the_server_and_a_rehearsal_none(api: FakeKubeApi) -> None:
    """What is not stored within it never will be: whoever takes the Lease over can rely on what is there."""
    api.create("v1", "configmaps", "n", {"metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}})
    with cluster(api) as c:
        for write in (PATCH, DELETE):
            c.rehearser.dry_run(write)
            c.writer.write(write)
    paths = [path for method, path, _ in api.requests if method in ("PATCH", "DELETE")]
    assert ["timeout=10s" in path for path in paths] == [False, True, False, True]
    assert Settings().lease_seconds * 2 / 3 > WRITE_SECONDS


def test_a_rehearsed_delete_says_so_in_its_body_because_the_query_is_ignored() -> None:
    request = request_of(DELETE, dry_run=True)
    assert request.body == {"dryRun": ["All"]}
    assert request.query == {"dryRun": "All"}
    assert request_of(DELETE, dry_run=False).body == {}


def test_server_side_apply_says_manager_and_force() -> None:
    apply = PATCH.model_copy(update={"patch_type": "application/apply-patch+yaml", "force": True, "field_manager": "k"})
    assert request_of(apply, dry_run=False).query == {"fieldManager": "k", "fieldValidation": "Strict", "force": "true"}


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [(400, "BadRequest", Invalid), (404, "NotFound", NotFound), (409, "Conflict", Conflict), (422, "Invalid", Invalid),
     (429, "TooManyRequests", Throttled), (418, "", ClusterError)],
)  # fmt: skip
def test_error_answers(status: int, reason: str, kind: type[ClusterError]) -> None:
    found = error_of(status, {"reason": reason, "message": "said"}, doing="PATCH /x", changes=True)
    assert type(found) is kind
    assert (found.status, found.reason) == (status, reason)
    assert "said" in str(found)
    assert "PATCH /x" in str(found)


CONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u"}}],
    "users": [{"name": "u", "user": {}}],
    "current-context": "k",
}


@pytest.mark.parametrize(
    ("content", "context", "said"),
    [
        (None, "", "does not exist"),
        ("{", "", "not YAML"),
        ("[1]", "", "not a kubeconfig"),
        ("hello", "", "not a kubeconfig"),
        (yaml.safe_dump(CONFIG), "nope", "no context 'nope'. It has: k"),
        (yaml.safe_dump({**CONFIG, "current-context": ""}), "", "no current-context"),
        (yaml.safe_dump({**CONFIG, "clusters": [{"name": "z"}]}), "", "no server"),
        (b"\xff\xfe\x00", "", "cannot be read"),
    ],
)
def test_kubeconfigs_that_cannot_be_used(tmp_path: Path, content: str | bytes | None, context: str, said: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UsageError, match=said) as found:
        KubeCluster.from_kubeconfig(path, context)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_missing_certificate_file_is_told(tmp_path: Path) -> None:
    users = [{"name": "u", "user": {"client-certificate": "/nope.crt", "client-key": "/nope.key"}}]
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({**CONFIG, "users": users}))
    with pytest.raises(StratusError, match=r"nope\.crt") as found, KubeCluster.from_kubeconfig(path) as c:
        c.reader.identity()
    assert found.value.exit_code == 5


def test_settings_choose_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="--embedded"):
        KubeCluster.from_settings(Settings())
    with pytest.raises(UsageError, match="in-cluster"):
        KubeCluster.in_cluster()
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(UsageError, match="no context 'zz'"):
        KubeCluster.from_settings(Settings(kubeconfig=path, context="zz"))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with KubeCluster.from_settings(Settings()) as c, pytest.raises(ClusterUnreachable, match="refused"):
        c.reader.identity()
