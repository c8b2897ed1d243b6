"""Webhooks about subresources and connections, webhooks that ask the API themselves, and ones that lead astray."""

import base64
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import ApiServer, Request, Response, Upgrade, User
from stratus.sim.api.access.calling import Called, RecordedCalls
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.turnstile import Turnstile

BASE = "/apis/admissionregistration.k8s.io/v1"
CORE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default/deployments"
Judge = Callable[[dict[str, Any]], dict[str, Any]]


def config(kind: str, *resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    rules = [{"operations": ["*"], "apiGroups": [group], "apiVersions": ["v1"], "resources": list(resources)}]
    hook = {
        "name": "h.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"}, "rules": rules, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], **more,
    }  # fmt: skip
    return {"metadata": {"name": "h"}, "kind": f"{kind}WebhookConfiguration", "webhooks": [hook]}


def caller_of(judge: Judge) -> Callable[..., Called]:
    def call(url: str, server_name: str, ca: str, body: bytes, timeout: float) -> Called:
        asked = json.loads(body)["request"]
        answer = {"uid": asked["uid"], **judge(asked)}
        return Called(200, json.dumps({"kind": "AdmissionReview", "response": answer}).encode())

    return call


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(operations).encode()).decode(),
    }


def send(api: ApiServer, method: str, path: str, obj: Any = None, media: str = "application/json") -> tuple[int, Any]:
    body = b"" if obj is None else json.dumps(obj).encode()
    answer = api.handle(Request(method, path, {"content-type": media}, body))
    if isinstance(answer, Upgrade):
        return 101, None
    assert isinstance(answer, Response)
    return answer.status, answer.obj


def register(api: ApiServer, kind: str, *resources: str, group: str = "", **more: Any) -> None:
    path = f"{BASE}/{kind.lower()}webhookconfigurations"
    assert send(api, "POST", path, config(kind, *resources, group=group, **more))[0] == 201


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=None, warmup=0.0) as made:
        spec = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
        assert send(made.api, "POST", f"{CORE}/pods", {"metadata": {"name": "p"}, "spec": spec})[0] == 201
        made.advance(10)
        yield made


def hear(cluster: EmbeddedCluster, judge: Judge = lambda r: {"allowed": True}) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []

    def both(asked: dict[str, Any]) -> dict[str, Any]:
        heard.append(asked)
        return judge(asked)

    cluster.api.gate.webhooks.caller = caller_of(both)
    return heard


def test_what_lies_under_a_pod_is_told_in_its_own_kind(cluster: EmbeddedCluster) -> None:
    api = cluster.api
    heard = hear(cluster)
    register(api, "Validating", "pods/*", "serviceaccounts/token")
    assert send(api, "GET", f"{CORE}/pods/p/exec?command=ls&stdout=true&container=c")[0] == 101
    assert send(api, "GET", f"{CORE}/pods/p/attach?stdout=true")[0] == 101
    assert send(api, "GET", f"{CORE}/pods/p/portforward?ports=80")[0] == 101
    assert send(api, "POST", f"{CORE}/serviceaccounts/default/token", {})[0] == 201
    assert send(api, "POST", f"{CORE}/pods/p/eviction", {"metadata": {"name": "p"}})[0] == 201
    told = [(a["operation"], a["subResource"], a["kind"]["kind"]) for a in heard]
    assert told == [
        ("CONNECT", "exec", "PodExecOptions"),
        ("CONNECT", "attach", "PodAttachOptions"),
        ("CONNECT", "portforward", "PodPortForwardOptions"),
        ("CREATE", "token", "TokenRequest"),
        ("CREATE", "eviction", "Eviction"),
    ]
    assert heard[0]["object"] == {
        "kind": "PodExecOptions", "apiVersion": "v1", "stdout": True, "container": "c", "command": ["ls"],
    }  # fmt: skip
    assert heard[0]["name"] == "p"
    assert heard[0]["options"] is None
    assert heard[2]["object"]["ports"] == [80]


def test_a_refused_connection_and_a_refused_eviction(cluster: EmbeddedCluster) -> None:
    hear(cluster, lambda r: {"allowed": False, "status": {"message": "no shells here", "code": 403}})
    register(cluster.api, "Validating", "pods/exec", "pods/eviction")
    status, told = send(cluster.api, "GET", f"{CORE}/pods/p/exec?command=sh&stdout=true")
    assert (status, told["message"]) == (403, 'admission webhook "h.example.com" denied the request: no shells here')
    assert send(cluster.api, "POST", f"{CORE}/pods/p/eviction", {"metadata": {"name": "p"}})[0] == 403
    assert "deletionTimestamp" not in cluster.store.get("pods", "default", "p")["metadata"]
    # A rule about pods is none about what lies under them.
    assert send(cluster.api, "DELETE", f"{CORE}/pods/p")[0] == 200


def test_a_scale_is_judged_and_changed_as_a_scale(cluster: EmbeddedCluster) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
    body = {"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    assert send(cluster.api, "POST", APPS, body)[0] == 201
    heard = hear(cluster, lambda r: patch({"op": "replace", "path": "/spec/replicas", "value": 3}))
    register(cluster.api, "Mutating", "deployments/scale", group="apps")
    merge = "application/merge-patch+json"
    status, told = send(cluster.api, "PATCH", f"{APPS}/w/scale", {"spec": {"replicas": 9}}, merge)
    assert (status, told["spec"]["replicas"]) == (200, 3)
    asked = heard[0]
    assert (asked["kind"]["kind"], asked["operation"]) == ("Scale", "UPDATE")
    assert (asked["object"]["spec"]["replicas"], asked["oldObject"]["spec"]["replicas"]) == (9, 1)
    assert len(heard) == 1, "the Deployment itself is not told as updated"


def test_an_object_without_labels_is_not_chosen_by_labels(cluster: EmbeddedCluster) -> None:
    heard = hear(cluster)
    chosen = {"matchExpressions": [{"key": "run", "operator": "DoesNotExist"}]}
    register(cluster.api, "Validating", "pods/exec", objectSelector=chosen)
    assert send(cluster.api, "GET", f"{CORE}/pods/p/exec?command=ls&stdout=true")[0] == 101
    assert heard == []


# asking back


def configmap(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def asking_back(cluster: EmbeddedCluster, act: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the webhook act on the cluster from a thread of its own, as a program would, before it answers."""

    def judge(asked: dict[str, Any]) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        worker = threading.Thread(target=lambda: found.append(act(asked)))
        worker.start()
        worker.join(20)
        assert not worker.is_alive(), "it waits for a lock that is held"
        return found[0]

    calls = cluster.api.gate.webhooks.caller
    assert isinstance(calls, RecordedCalls)
    calls._caller = caller_of(judge)


def test_a_webhook_may_ask_the_api_and_write_to_it(cluster: EmbeddedCluster) -> None:
    jane = User("jane", ("system:masters",))

    def act(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"].startswith("made-by-"):
            return {"allowed": True}
        made = cluster.api.handle(
            Request("POST", f"{CORE}/configmaps", {}, json.dumps(configmap(f"made-by-{asked['name']}")).encode(), jane)
        )
        assert isinstance(made, Response)
        assert made.status == 201
        return {"allowed": asked["userInfo"]["username"] == "kubernetes-admin"}

    asking_back(cluster, act)
    register(cluster.api, "Validating", "configmaps")
    register_owner = send(cluster.api, "POST", f"{CORE}/configmaps", configmap("x"))
    assert register_owner[0] == 201
    assert send(cluster.api, "GET", f"{CORE}/configmaps/made-by-x")[0] == 200


def meddle(cluster: EmbeddedCluster, value: str) -> None:
    """Change the ConfigMap as somebody else."""
    body = json.dumps({"data": {"theirs": value}}).encode()
    media = {"content-type": "application/merge-patch+json"}
    answer = cluster.api.handle(
        Request("PATCH", f"{CORE}/configmaps/x", media, body, User("other", ("system:masters",)))
    )
    assert isinstance(answer, Response)
    assert answer.status == 200


def test_what_changes_while_it_is_judged_is_tried_again(cluster: EmbeddedCluster) -> None:
    assert send(cluster.api, "POST", f"{CORE}/configmaps", configmap("x"))[0] == 201
    judged: list[Any] = []

    def act(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["userInfo"]["username"] != "other":
            judged.append(asked["object"]["data"])
            if len(judged) in (1, 3):
                meddle(cluster, str(len(judged)))
        return {"allowed": True}

    asking_back(cluster, act)
    register(cluster.api, "Validating", "configmaps")
    merge = "application/merge-patch+json"
    status, found = send(cluster.api, "PATCH", f"{CORE}/configmaps/x", {"data": {"mine": "1"}}, merge)
    assert (status, found["data"]) == (200, {"theirs": "1", "mine": "1"})
    assert judged == [{"mine": "1"}, {"theirs": "1", "mine": "1"}]
    # Whoever names a version is told that it is an old one.
    status, told = send(cluster.api, "PUT", f"{CORE}/configmaps/x", {**found, "data": {"mine": "2"}})
    assert (status, told["reason"]) == (409, "Conflict")
    assert cluster.store.get("configmaps", "default", "x")["data"] == {"theirs": "3", "mine": "1"}


def test_an_object_that_never_stands_still_is_a_conflict_in_the_end(cluster: EmbeddedCluster) -> None:
    assert send(cluster.api, "POST", f"{CORE}/configmaps", configmap("x"))[0] == 201
    tries: list[Any] = []

    def act(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["userInfo"]["username"] != "other":
            tries.append(asked)
            meddle(cluster, str(len(tries)))
        return {"allowed": True}

    asking_back(cluster, act)
    register(cluster.api, "Validating", "configmaps")
    merge = "application/merge-patch+json"
    status, told = send(cluster.api, "PATCH", f"{CORE}/configmaps/x", {"data": {"mine": "1"}}, merge)
    assert (status, told["reason"]) == (409, "Conflict")
    assert len(tries) == 5
    # A deletion names no version: it is tried again as well.
    assert send(cluster.api, "DELETE", f"{CORE}/configmaps/x")[0] == 409


def test_time_waits_for_the_answer(cluster: EmbeddedCluster) -> None:
    advanced = threading.Event()

    def act(asked: dict[str, Any]) -> dict[str, Any]:
        worker = threading.Thread(target=lambda: (cluster.advance(100), advanced.set()))
        worker.start()
        workers.append(worker)
        cluster._follow(cluster.clock.now() + 50)
        moments.append(cluster.clock.now())
        return {"allowed": True}

    workers: list[threading.Thread] = []
    moments: list[float] = [cluster.clock.now()]
    asking_back(cluster, act)
    register(cluster.api, "Validating", "configmaps")
    assert send(cluster.api, "POST", f"{CORE}/configmaps", configmap("x"))[0] == 201
    for worker in workers:
        worker.join(20)
    assert moments[0] == moments[1]
    assert cluster.clock.now() == moments[0] + 100


def test_what_came_in_between_is_replayed_in_between(tmp_path: Path) -> None:
    state = tmp_path / "cluster.db"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
    body = {
        "metadata": {"name": "w"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as cluster:

        def act(asked: dict[str, Any]) -> dict[str, Any]:
            name = f"seen-{len(cluster.store.list('configmaps', 'default'))}"
            assert send(cluster.api, "POST", f"{CORE}/configmaps", configmap(name))[0] == 201
            return patch({"op": "add", "path": "/metadata/annotations", "value": {"seen": name}})

        asking_back(cluster, act)
        register(cluster.api, "Mutating", "pods")
        assert send(cluster.api, "POST", APPS, body)[0] == 201
        cluster.advance(10)
        assert send(cluster.api, "DELETE", f"{CORE}/pods/none")[0] == 404
        seen = {p["metadata"]["annotations"]["seen"] for p in cluster.store.list("pods", "default")}
        assert len(seen) == 2
        before = dump(cluster)
    with EmbeddedCluster(app=None, warmup=0.0, state_file=state) as again:
        assert dump(again) == before


def test_over_the_network_too(cluster: EmbeddedCluster) -> None:
    with cluster.serve(tls=False, follow_wall_clock=False) as front:

        def act(asked: dict[str, Any]) -> dict[str, Any]:
            with urllib.request.urlopen(f"{front.url}{CORE}/pods/p", timeout=20) as answer:
                return {"allowed": json.load(answer)["metadata"]["name"] == "p"}

        asking_back(cluster, act)
        register(cluster.api, "Validating", "configmaps")
        data = json.dumps(configmap("x")).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{front.url}{CORE}/configmaps", data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 201


def test_last_out_is_first_back() -> None:
    lock = threading.RLock()
    gate = Turnstile(lock)
    order: list[str] = []
    inner_out, outer_may = threading.Event(), threading.Event()

    def inner() -> None:
        with lock:
            with gate.out():
                inner_out.set()
                outer_may.wait(20)
            order.append("inner")

    worker = threading.Thread(target=inner)
    with lock:
        with gate.out():
            worker.start()
            assert inner_out.wait(20)
            outer_may.set()
        order.append("outer")
        gate.settle()
    worker.join(20)
    assert order == ["inner", "outer"]
    assert not gate.busy


def test_a_webhook_that_takes_labels_away_does_not_stop_the_cluster(cluster: EmbeddedCluster) -> None:
    hear(cluster, lambda r: patch({"op": "replace", "path": "/metadata/labels", "value": {"x": "y"}}))
    register(cluster.api, "Mutating", "pods", objectSelector={"matchLabels": {"a": "b"}})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
    body = {
        "metadata": {"name": "w"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    before = len(cluster.store.list("pods", "default"))
    assert send(cluster.api, "POST", APPS, body)[0] == 201
    burst = len(cluster.store.list("pods", "default")) - before
    assert 30 <= burst <= 32, "as many as the controller's client lets through at once"
    cluster.advance(10)
    made = len(cluster.store.list("pods", "default")) - before
    assert 200 <= made - burst <= 210, "and then so many a second"
    assert send(cluster.api, "DELETE", f"{APPS}/w")[0] == 200
    cluster.advance(60)
    stays = len(cluster.store.list("pods", "default"))
    cluster.advance(60)
    assert len(cluster.store.list("pods", "default")) == stays
