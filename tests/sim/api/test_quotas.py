"""ResourceQuotas: what counts for what, scopes, updates, and sums that go along with every change."""

import random
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim.api.quotas import Ledger, pod_amounts, sees, usage, written
from stratus.sim.schema.quantity import parse, render
from stratus.sim.store import Store

CORE = "/api/v1/namespaces/default"


def quota(hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard, **spec}}


def pod(name: str = "p", *, resources: Any = None, phase: str = "Running", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "x", **({"resources": resources} if resources else {})}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
        "status": {"phase": phase},
    }


def shown(amounts: Any) -> dict[str, str]:
    return {name: render(value) for name, value in amounts.items()}


# what counts


def test_a_pod_counts_for_its_requests_and_limits_until_it_ends() -> None:
    resources = {
        "requests": {"cpu": "500m", "memory": "1k", "ephemeral-storage": "2", "example.com/gpu": "1"},
        "limits": {"cpu": "1", "example.com/gpu": "1"},
    }
    counted = shown(usage("pods", pod(resources=resources)))
    assert counted == {
        "count/pods": "1", "pods": "1", "cpu": "500m", "requests.cpu": "500m", "memory": "1k", "requests.memory": "1k",
        "ephemeral-storage": "2", "requests.ephemeral-storage": "2", "requests.example.com/gpu": "1",
        "limits.cpu": "1", "limits.example.com/gpu": "1",
    }  # fmt: skip
    assert shown(usage("pods", pod(resources=resources, phase="Succeeded"))) == {"count/pods": "1"}


def test_init_containers_sidecars_and_overhead() -> None:
    def one(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    spec: dict[str, Any] = {
        "containers": [one("1"), one("1")],
        "initContainers": [one("500m", restartPolicy="Always"), one("3")],
        "overhead": {"cpu": "100m"},
    }
    # The last init container runs beside the sidecar that was started before it.
    assert shown(pod_amounts(spec)["requests"]) == {"cpu": "3600m"}
    spec["initContainers"].reverse()
    assert shown(pod_amounts(spec)["requests"]) == {"cpu": "3100m"}
    spec["initContainers"] = spec["initContainers"][1:]
    assert shown(pod_amounts(spec)["requests"]) == {"cpu": "2600m"}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"type": "ClusterIP", "ports": [{}]}, {}),
        ({"type": "NodePort", "ports": [{}, {}]}, {"services.nodeports": "2"}),
        ({"type": "LoadBalancer", "ports": [{}]}, {"services.nodeports": "1", "services.loadbalancers": "1"}),
        (
            {"type": "LoadBalancer", "ports": [{"nodePort": 1}, {}], "allocateLoadBalancerNodePorts": False},
            {"services.nodeports": "1", "services.loadbalancers": "1"},
        ),
    ],
)
def test_services(spec: dict, want: dict) -> None:
    found = shown(usage("services", {"metadata": {}, "spec": spec}))
    assert found == {"count/services": "1", "services": "1", **want}


def test_claims_count_for_their_class() -> None:
    claim = {"metadata": {}, "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "2"}}}}
    assert shown(usage("persistentvolumeclaims", claim)) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "requests.storage": "2",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "2",
    }
    assert shown(usage("deployments.apps", {"metadata": {}})) == {"count/deployments.apps": "1"}


# scopes

AFFINE = {
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "x", "namespaceSelector": {}}}
        ]
    }
}


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("BestEffort", pod(), pod(resources={"requests": {"cpu": "1"}})),
        ("NotBestEffort", pod(resources={"limits": {"memory": "1"}}), pod()),
        ("Terminating", pod(activeDeadlineSeconds=5), pod()),
        ("NotTerminating", pod(), pod(activeDeadlineSeconds=5)),
        ("PriorityClass", pod(priorityClassName="vip"), pod()),
        ("CrossNamespacePodAffinity", pod(affinity=AFFINE), pod()),
    ],
)
def test_scopes(scope: str, inside: dict, outside: dict) -> None:
    for form in (
        {"scopes": [scope]},
        {"scopeSelector": {"matchExpressions": [{"scopeName": scope, "operator": "Exists"}]}},
    ):
        limited = quota({"pods": "1"}, **form)
        assert sees(limited, "pods", inside)
        assert not sees(limited, "pods", outside)
        assert not sees(limited, "services", {"metadata": {}, "spec": {}})


@pytest.mark.parametrize(
    ("operator", "values", "vip", "none"),
    [("In", ["vip"], True, False), ("NotIn", ["vip"], False, True), ("Exists", [], True, False),
     ("DoesNotExist", [], False, True)],
)  # fmt: skip
def test_priority_classes(operator: str, values: list[str], vip: bool, none: bool) -> None:
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    limited = quota({"pods": "1"}, scopeSelector={"matchExpressions": [expression]})
    assert sees(limited, "pods", pod(priorityClassName="vip")) is vip
    assert sees(limited, "pods", pod()) is none


def test_all_scopes_have_to_fit() -> None:
    limited = quota({"pods": "1"}, scopes=["Terminating", "BestEffort"])
    assert sees(limited, "pods", pod(activeDeadlineSeconds=1))
    assert not sees(limited, "pods", pod())


# the ledger


def test_sums_go_along_with_every_change() -> None:
    clock, rng = VirtualClock(0.0), random.Random(3)
    store = Store(clock, rng)
    ledger = Ledger(store)
    limited = store.create("resourcequotas", quota({"pods": "9", "requests.cpu": "9", "count/configmaps": "9"}))
    assert written(limited, ledger.used(limited)) == {"pods": "0", "requests.cpu": "0", "count/configmaps": "0"}

    def recount() -> dict[str, str]:
        fresh = Ledger(store)
        try:
            return written(limited, fresh.used(limited))
        finally:
            fresh.close()

    for step in range(200):
        name = f"p{rng.randrange(8)}"
        old = store.get("pods", "default", name)
        kind = rng.choice(("make", "grow", "end", "drop", "map"))
        if kind == "make" and old is None:
            store.create("pods", pod(name, resources={"requests": {"cpu": f"{rng.randrange(900)}m"}}))
        elif kind == "grow" and old is not None:
            cpu = {"requests": {"cpu": f"{rng.randrange(900)}m"}}
            store.update("pods", {**old, "spec": pod(name, resources=cpu)["spec"]})
        elif kind == "end" and old is not None:
            store.update("pods", {**old, "status": {"phase": "Failed"}})
        elif kind == "drop" and old is not None:
            store.delete("pods", "default", name)
        elif kind == "map":
            made = {"metadata": {"name": f"m{step}", "namespace": rng.choice(("default", "other"))}}
            store.create("configmaps", made)
        assert written(limited, ledger.used(limited)) == recount()
    changed = store.update("resourcequotas", {**limited, "spec": {"hard": {"count/pods": "5"}}})
    assert written(changed, ledger.used(changed)) == {"count/pods": str(len(store.list("pods")))}
    store.delete("resourcequotas", "default", "q")
    assert ledger._busy == {}
    ledger.close()


def test_asking_costs_the_same_however_many_pods_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(VirtualClock(0.0), random.Random(3))
    limited = store.create("resourcequotas", quota({"pods": "900"}))
    ledger = Ledger(store)
    ledger.used(limited)
    for number in range(300):
        store.create("pods", pod(f"p{number}"))
    monkeypatch.setattr(store, "list", lambda *_: pytest.fail("it counts from the start"))
    assert ledger.used(limited)["pods"] == 300


# over the API


def test_scoped_quotas_hold_for_their_pods_only(call: Any, make: Any) -> None:
    call("POST", f"{CORE}/resourcequotas", quota({"pods": "0"}, scopes=["BestEffort"]))
    answer = call("POST", f"{CORE}/pods", make.pod("a"))
    assert answer[0] == 403
    assert (
        answer[1]["message"]
        == 'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0'
    )
    body = make.pod("b")
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    assert call("POST", f"{CORE}/pods", body)[0] == 201


def test_updates_are_held_against_quotas(call: Any) -> None:
    hard = {"services.nodeports": "1", "services.loadbalancers": "0", "requests.storage": "5Gi"}
    call("POST", f"{CORE}/resourcequotas", quota(hard))
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    assert call("POST", f"{CORE}/services", service)[0] == 201
    merge = "application/merge-patch+json"
    status, told = call("PATCH", f"{CORE}/services/s", {"spec": {"type": "LoadBalancer"}}, merge)
    assert status == 403
    assert told["message"].endswith(
        "requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0"
    )
    assert call("PATCH", f"{CORE}/services/s?dryRun=All", {"spec": {"type": "NodePort"}}, merge)[0] == 200
    assert call("PATCH", f"{CORE}/services/s", {"spec": {"type": "NodePort"}}, merge)[0] == 200
    assert call("GET", f"{CORE}/resourcequotas/q")[1]["status"]["used"]["services.nodeports"] == "1"
    # What does not grow is not held up by a quota that is full.
    assert call("PATCH", f"{CORE}/services/s", {"metadata": {"labels": {"a": "b"}}}, merge)[0] == 200
    claim = {
        "metadata": {"name": "v"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "6Gi"}}},
    }
    told = call("POST", f"{CORE}/persistentvolumeclaims", claim)[1]["message"]
    assert told.endswith("requested: requests.storage=6Gi, used: requests.storage=0, limited: requests.storage=5Gi")
    assert parse("6Gi") > parse("5Gi")
