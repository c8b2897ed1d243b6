"""Admission webhooks asked for real over HTTPS: matching, patches, refusals, failures, and the record of answers."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.api.access.calling import Called, CallFailed, RecordedCalls
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.tls import Identity, make_identity, server_context

BASE = "/apis/admissionregistration.k8s.io/v1"
CMS = "/api/v1/namespaces/default/configmaps"
Judge = Callable[[dict[str, Any]], dict[str, Any]]


class Hook:
    """A webhook server whose judgement a test sets; it keeps what it was asked."""

    def __init__(self, identity: Identity) -> None:
        self.judge: Judge = lambda request: {"allowed": True}
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.asked.append(review["request"])
                hook.paths.append(self.path)
                answer = {"uid": review["request"]["uid"], **hook.judge(review["request"])}
                body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
                self.send_response(hook.status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.socket = server_context(identity).wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.ca = base64.b64encode(identity.ca).decode()
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def config(self, kind: str, name: str = "h.example.com", /, **more: Any) -> dict[str, Any]:
        rules = [{"operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
                  "resources": ["configmaps", "pods"]}]  # fmt: skip
        client = {"url": f"https://127.0.0.1:{self.port}/judge", "caBundle": self.ca}
        hook = {"name": name, "clientConfig": client, "rules": rules, "sideEffects": "None",
                "admissionReviewVersions": ["v1"], **more}  # fmt: skip
        return {"metadata": {"name": name}, "kind": f"{kind}WebhookConfiguration", "webhooks": [hook]}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def identity() -> Identity:
    return make_identity(("127.0.0.1", "judge.default.svc"), user="x", groups=())


@pytest.fixture
def hook(identity: Identity) -> Iterator[Hook]:
    made = Hook(identity)
    yield made
    made.close()


def register(call: Any, config: dict[str, Any]) -> None:
    kind = "mutating" if config["kind"].startswith("Mutating") else "validating"
    status, obj = call("POST", f"{BASE}/{kind}webhookconfigurations", config)
    assert status == 201, obj


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def cm(name: str = "x", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}, "data": {"a": "1"}}


def test_a_refusal_is_told_in_its_words(call: Any, hook: Hook) -> None:
    register(call, hook.config("Validating"))
    assert call("POST", CMS, cm())[0] == 201
    asked = hook.asked[0]
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "x", "default")
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert asked["object"]["data"] == {"a": "1"}
    assert asked["oldObject"] is None
    assert asked["userInfo"]["username"] == "kubernetes-admin"
    assert hook.paths == ["/judge?timeout=10s"]
    hook.judge = lambda r: {"allowed": False, "status": {"code": 403, "message": "not today", "reason": "Forbidden"}}
    status, obj = call("POST", CMS, cm("y"))
    assert (status, obj["message"]) == (403, 'admission webhook "h.example.com" denied the request: not today')
    assert call("GET", f"{CMS}/y")[0] == 404
    assert call("DELETE", f"{CMS}/x")[0] == 403
    assert hook.asked[-1]["object"] is None
    assert hook.asked[-1]["oldObject"]["data"] == {"a": "1"}
    hook.judge = lambda r: {"allowed": False}
    status, obj = call("PUT", f"{CMS}/x", cm())
    assert (status, obj["message"]) == (400, 'admission webhook "h.example.com" denied the request without explanation')


def test_patches_change_the_object_and_others_see_it(call: Any, hook: Hook, identity: Identity) -> None:
    register(call, hook.config("Mutating", "a.example.com", reinvocationPolicy="IfNeeded"))
    second = Hook(identity)
    try:
        register(call, second.config("Mutating", "b.example.com"))
        hook.judge = lambda r: patch({"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}})
        second.judge = lambda r: patch({"op": "add", "path": "/data/b", "value": "2"})
        status, obj = call("POST", CMS, cm())
    finally:
        second.close()
    assert (status, obj["data"], obj["metadata"]["labels"]) == (201, {"a": "1", "b": "2"}, {"seen": "yes"})
    assert second.asked[0]["object"]["metadata"]["labels"] == {"seen": "yes"}
    assert len(hook.asked) == 2, "asked again, as another one has changed the object since"
    assert hook.asked[1]["object"]["data"] == {"a": "1", "b": "2"}


def test_a_patch_that_breaks_the_object_is_refused_and_unknown_patches_fail(call: Any, hook: Hook) -> None:
    register(call, hook.config("Mutating"))
    hook.judge = lambda r: patch({"op": "remove", "path": "/data/none"})
    assert call("POST", CMS, cm())[0] == 500
    hook.judge = lambda r: patch({"op": "add", "path": "/data/bad key!", "value": "x"})
    assert call("POST", CMS, cm())[0] == 422
    hook.judge = lambda r: {"allowed": True, "patchType": "Merge", "patch": "e30="}
    assert call("POST", CMS, cm())[0] == 500


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, 0),
        ({"objectSelector": {"matchLabels": {"app": "x"}}}, 1),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, 1),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, 0),
        ({"rules": [{"operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}, 0),
        ({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"],
                     "scope": "Cluster"}]}, 0),
        ({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]}, 1),
        ({"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}, 0),
    ],
)  # fmt: skip
def test_who_is_asked(call: Any, api: ApiServer, hook: Hook, more: Any, asked: int) -> None:
    space = api.store.get("namespaces", "", "default")
    assert space is not None
    labels = {"kubernetes.io/metadata.name": "default"}
    api.store.update("namespaces", {**space, "metadata": {**space["metadata"], "labels": labels}})
    if any(r["resources"] == ["*/*"] for r in more.get("rules", ())):
        more["rules"][0]["resources"] = ["*/*", "*"]
    register(call, hook.config("Validating", **more))
    hook.asked.clear()
    assert call("POST", CMS, cm(labels={"app": "x"}))[0] == 201
    assert len(hook.asked) == asked


def test_dry_runs_reach_only_those_without_side_effects(call: Any, api: ApiServer, hook: Hook) -> None:
    register(call, hook.config("Validating"))
    assert call("POST", f"{CMS}?dryRun=All", cm())[0] == 201
    assert hook.asked[-1]["dryRun"] is True
    # One with effects can no longer be made; those made long ago are still there.
    old = hook.config("Validating", "some.example.com", sideEffects="Some")
    refused, why = call("POST", f"{BASE}/validatingwebhookconfigurations", old)
    assert (refused, why["details"]["causes"][0]["reason"]) == (422, "FieldValueNotSupported")
    api.store.create("validatingwebhookconfigurations.admissionregistration.k8s.io", old)
    status, obj = call("POST", f"{CMS}?dryRun=All", cm())
    assert (status, obj["message"]) == (400, 'admission webhook "some.example.com" does not support dry run')


def test_failures_follow_the_policy(call: Any, api: ApiServer, hook: Hook, identity: Identity) -> None:
    register(call, hook.config("Validating", failurePolicy="Fail"))
    hook.status = 503
    status, obj = call("POST", CMS, cm())
    assert (status, obj["reason"]) == (500, "InternalError")
    failing = 'Internal error occurred: failed calling webhook "h.example.com": failed to call webhook: '
    assert obj["message"].startswith(failing)
    hook.status = 200
    hook.judge = lambda r: {"allowed": True, "uid": "another"}
    assert "expected response.uid=" in call("POST", CMS, cm())[1]["message"]
    # Who is not signed by the authority named is not believed.
    hook.judge = lambda r: {"allowed": True}
    other = base64.b64encode(make_identity(("127.0.0.1",), user="x", groups=()).ca).decode()
    path = f"{BASE}/validatingwebhookconfigurations/h.example.com"
    change = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": other}]
    assert call("PATCH", path, change, "application/json-patch+json")[0] == 200
    assert "tls: failed to verify certificate" in call("POST", CMS, cm())[1]["message"]
    ignore = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
    assert call("PATCH", path, ignore, "application/json-patch+json")[0] == 200
    assert call("POST", CMS, cm())[0] == 201
    # Conditions need CEL, which is not there: as if the call had failed.
    register(call, hook.config("Validating", "cel.example.com", matchConditions=[{"name": "c", "expression": "true"}]))
    assert "CEL" in call("POST", CMS, cm("z"))[1]["message"]


def test_services_are_asked_where_they_are_served(call: Any, api: ApiServer, hook: Hook) -> None:
    ref = {"name": "judge", "namespace": "default", "path": "/v", "port": 8443}
    register(call, hook.config("Validating", clientConfig={"service": ref, "caBundle": hook.ca}))
    assert 'service "judge" not found' in call("POST", CMS, cm())[1]["message"]
    service = {"metadata": {"name": "judge"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 8443}]}}
    call("POST", "/api/v1/namespaces/default/services", service)
    assert 'no endpoints available for service "judge"' in call("POST", CMS, cm())[1]["message"]
    note = {"metadata": {"annotations": {"stratus.dev/served-at": f"127.0.0.1:{hook.port}"}}}
    call("PATCH", "/api/v1/namespaces/default/services/judge", note, "application/merge-patch+json")
    assert call("POST", CMS, cm())[0] == 201
    assert hook.paths == ["/v?timeout=10s"]


def test_the_registration_itself_is_never_judged(call: Any, hook: Hook) -> None:
    everything = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    register(call, hook.config("Validating", rules=everything))
    hook.judge = lambda r: {"allowed": False}
    assert call("DELETE", f"{BASE}/validatingwebhookconfigurations/h.example.com")[0] == 200
    assert call("POST", CMS, cm())[0] == 201


def test_answers_are_noted_and_given_again_without_a_call() -> None:
    noted: list[Any] = []
    made: list[bytes] = []

    def caller(url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called:
        made.append(body)
        if body == b"down":
            raise CallFailed("nobody there")
        return Called(200, body.upper())

    first = RecordedCalls(noted.append, caller)
    assert first("u", "", "", b"a", 1).body == b"A"
    with pytest.raises(CallFailed):
        first("u", "", "", b"down", 1)
    again = RecordedCalls(noted.append, caller)
    for data in list(noted):
        again.remember(json.loads(json.dumps(data)))
    assert again("u", "", "", b"a", 1) == Called(200, b"A")
    with pytest.raises(CallFailed, match="nobody there"):
        again("u", "", "", b"down", 1)
    assert made == [b"a", b"down"], "no second call"
    assert again("u", "", "", b"a", 1).body == b"A"
    assert len(made) == 3, "each answer is good once"


def send(cluster: EmbeddedCluster, path: str, obj: Any) -> int:
    answer = cluster.api.handle(Request("POST", path, obj=obj))
    assert isinstance(answer, Response)
    return answer.status


def test_a_replayed_cluster_asks_nobody_and_comes_to_the_same(hook: Hook, tmp_path: Path) -> None:
    file = tmp_path / "state"
    count = iter(range(100))
    hook.judge = lambda r: patch({"op": "add", "path": "/metadata/annotations", "value": {"n": str(next(count))}})
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
    with EmbeddedCluster(app=None, state_file=file) as cluster:
        assert send(cluster, f"{BASE}/mutatingwebhookconfigurations", hook.config("Mutating")) == 201
        assert send(cluster, CMS, cm()) == 201
        replicas = {"selector": template["metadata"] | {}, "replicas": 2}
        replicas["selector"] = {"matchLabels": {"app": "w"}}
        deployment = {"metadata": {"name": "w"}, "spec": {**replicas, "template": template}}
        assert send(cluster, "/apis/apps/v1/namespaces/default/deployments", deployment) == 201
        cluster.advance(5)
        asked = len(hook.asked)
        assert {a["userInfo"]["username"] for a in hook.asked} == {
            "kubernetes-admin", "system:serviceaccount:kube-system:replicaset-controller",
        }  # fmt: skip
        twin = cluster.fork()
        assert send(twin, CMS, cm("rehearsed")) == 201
        assert hook.asked[-1]["dryRun"] is True, "what is only rehearsed has no effects outside"
        twin.close()
        before = dump(cluster)
    hook.judge = lambda r: {"allowed": False}
    with EmbeddedCluster(app=None, state_file=file) as cluster:
        assert dump(cluster) == before
        assert len(hook.asked) == asked + 1
        assert send(cluster, CMS, cm("later")) == 400, "from now on it is asked again"
