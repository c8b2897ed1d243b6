"""Laws of server-side apply, and what kubectl's change from client-side to server-side apply needs."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stratus.sim.api import ApiServer, Request, Response

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
MAPS = "/api/v1/namespaces/default/configmaps"
WORK = "/apis/apps/v1/namespaces/default/deployments"
LAWS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def send(api: ApiServer, method: str, target: str, obj: Any = None, media: str = APPLY) -> tuple[int, Any]:
    body = b"" if obj is None else json.dumps(obj).encode()
    answer = api.handle(Request(method, target, {"content-type": media, "user-agent": "tester/1.0"}, body))
    assert isinstance(answer, Response)
    return answer.status, answer.obj


def apply(api: ApiServer, target: str, obj: Any, manager: str, force: bool = False) -> tuple[int, Any]:
    return send(api, "PATCH", f"{target}?fieldManager={manager}&force={str(force).lower()}", obj)


def config(name: str, data: dict[str, str], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data}


def workload(containers: dict[str, dict[str, str]], **spec: Any) -> dict[str, Any]:
    listed = [
        {"name": name, "image": "nginx:1", "env": [{"name": k, "value": v} for k, v in env.items()]}
        for name, env in containers.items()
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "w"},
        "spec": {
            "selector": {"matchLabels": {"app": "w"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": listed}},
            **spec,
        },
    }


KEYS = st.sampled_from(list("abcdefgh"))
DATA = st.dictionaries(KEYS, st.sampled_from(["1", "2", "x"]), max_size=5)
CONTAINERS = st.dictionaries(
    st.sampled_from(["one", "two", "three"]), st.dictionaries(KEYS, st.sampled_from(["1", "2"]), max_size=3), min_size=1
)


@LAWS
@given(CONTAINERS, st.integers(0, 3))
def test_applying_twice_changes_nothing(make: Any, containers: Any, replicas: int) -> None:
    api = make.api()
    wanted = workload(containers, replicas=replicas)
    assert apply(api, f"{WORK}/w", wanted, "m")[0] == 201
    first = api.store.get("deployments.apps", "default", "w")
    version = api.store.rv
    api.clock.advance(10)
    status, second = apply(api, f"{WORK}/w", wanted, "m")
    assert status == 200
    assert second == first
    assert api.store.rv == version
    api.close()


@LAWS
@given(DATA, DATA)
def test_managers_without_common_fields_never_conflict(make: Any, a: Any, b: Any) -> None:
    api = make.api()
    mine, theirs = {"k" + k: v for k, v in a.items()} or {"k": "1"}, {"l" + k: v for k, v in b.items()} or {"l": "1"}
    for manager, data in (("a", mine), ("b", theirs), ("a", mine)):
        status, answer = apply(api, f"{MAPS}/m", config("m", data), manager)
        assert status in (200, 201), answer
    assert answer["data"] == {**mine, **theirs}
    # What one gives up goes, what the other has stays.
    status, answer = apply(api, f"{MAPS}/m", config("m", {"z": "1"}), "a")
    assert status == 200
    assert answer["data"] == {"z": "1", **theirs}
    api.close()


@LAWS
@given(DATA, DATA)
def test_a_conflict_is_exactly_a_field_with_another_value(make: Any, a: Any, b: Any) -> None:
    api = make.api()
    a, b = a or {"a": "1"}, b or {"a": "1"}
    apply(api, f"{MAPS}/m", config("m", a), "a")
    status, answer = apply(api, f"{MAPS}/m", config("m", b), "b")
    clash = sorted(k for k in a if k in b and a[k] != b[k])
    if clash:
        assert status == 409
        assert [c["field"] for c in answer["details"]["causes"]] == [f".data.{k}" for k in clash]
        status, answer = apply(api, f"{MAPS}/m", config("m", b), "b", force=True)
    assert status == 200
    assert answer["data"] == {**a, **b}
    owners = {e["manager"]: set(e["fieldsV1"].get("f:data", {})) for e in answer["metadata"]["managedFields"]}
    assert owners["b"] == {f"f:{k}" for k in b}
    assert owners.get("a", set()) == {f"f:{k}" for k in a if k not in clash}
    api.close()


@LAWS
@given(CONTAINERS, CONTAINERS)
def test_a_forced_apply_always_comes_to_what_it_says(make: Any, a: Any, b: Any) -> None:
    api = make.api()
    apply(api, f"{WORK}/w", workload(a), "a")
    status, answer = apply(api, f"{WORK}/w", workload(b), "b", force=True)
    assert status == 200
    got = {c["name"]: c for c in answer["spec"]["template"]["spec"]["containers"]}
    assert set(got) == set(a) | set(b)
    for name, env in b.items():
        have = {e["name"]: e.get("value") for e in got[name].get("env") or ()}
        assert env.items() <= have.items()
    api.close()


@LAWS
@given(st.lists(st.tuples(st.sampled_from("ab"), DATA, st.booleans()), max_size=6))
def test_a_dry_run_says_what_the_apply_does(make: Any, steps: Any) -> None:
    api = make.api()
    for manager, data, force in steps:
        before = (api.store.rv, api.store.get("configmaps", "default", "m"))
        target = f"{MAPS}/m?fieldManager={manager}&force={str(force).lower()}"
        dry = send(api, "PATCH", f"{target}&dryRun=All", config("m", data))
        assert (api.store.rv, api.store.get("configmaps", "default", "m")) == before
        real = send(api, "PATCH", target, config("m", data))
        assert dry[0] == real[0]
        assert without_identity(dry[1]) == without_identity(real[1])
    api.close()


def without_identity(answer: Any) -> Any:
    return {**answer, "metadata": {k: v for k, v in answer["metadata"].items() if k not in ("uid", "resourceVersion")}}


def test_an_empty_map_is_owned_as_such(call: Any) -> None:
    assert call("PATCH", f"{MAPS}/m?fieldManager=a", config("m", {}), APPLY)[0] == 201
    status, answer = call("PATCH", f"{MAPS}/m?fieldManager=b", config("m", {}), APPLY)
    # The server keeps no empty map, so laying one over the object changes it every time.
    assert status == 409
    assert answer["message"] == 'Apply failed with 1 conflict: conflict with "a": .data'
    assert call("PATCH", f"{MAPS}/m?fieldManager=a", config("m", {}), APPLY)[0] == 200


def times(answer: Any) -> dict[str, str | None]:
    return {e["manager"]: e.get("time") for e in answer["metadata"]["managedFields"]}


def test_the_time_of_a_manager_is_that_of_its_last_change(call: Any, api: Any) -> None:
    _, answer = call("POST", f"{MAPS}?fieldManager=m", config("m", {"a": "1"}))
    start = times(answer)["m"]
    api.clock.advance(60)
    _, answer = call("PATCH", f"{MAPS}/m?fieldManager=m", {"data": {"a": "2"}}, MERGE)
    changed = times(answer)["m"]
    assert changed is not None
    assert start is not None
    assert changed > start
    api.clock.advance(60)
    _, answer = call("PATCH", f"{MAPS}/m?fieldManager=m", {"data": {"a": "2"}}, MERGE)
    assert times(answer)["m"] == changed


def test_an_apply_that_changes_nothing_leaves_no_time(call: Any, api: Any) -> None:
    call("PATCH", f"{MAPS}/m?fieldManager=a", config("m", {"a": "1"}), APPLY)
    api.clock.advance(60)
    status, answer = call("PATCH", f"{MAPS}/m?fieldManager=b", config("m", {"a": "1"}), APPLY)
    assert status == 200
    assert times(answer)["b"] is None
    assert [e["manager"] for e in answer["metadata"]["managedFields"]] == ["b", "a"]


NOTE = "kubectl.kubernetes.io/last-applied-configuration"


def client_side(call: Any, data: dict[str, str]) -> None:
    last = json.dumps(config("m", data), separators=(",", ":")) + "\n"
    made = config("m", data, annotations={NOTE: last})
    assert call("POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", made)[0] == 201


def test_kubectl_takes_over_what_it_applied_client_side(call: Any) -> None:
    client_side(call, {"a": "1", "b": "2"})
    status, answer = call("PATCH", f"{MAPS}/m?fieldManager=kubectl", config("m", {"a": "9", "b": "2"}), APPLY)
    assert status == 200
    assert answer["data"] == {"a": "9", "b": "2"}
    note = json.loads(answer["metadata"]["annotations"][NOTE])
    assert note["data"] == {"a": "9", "b": "2"}, "the note keeps step"


def test_kubectl_does_not_take_what_somebody_else_changed_since(call: Any) -> None:
    client_side(call, {"a": "1", "b": "2"})
    call("PATCH", f"{MAPS}/m?fieldManager=hand", {"data": {"b": "7"}}, MERGE)
    status, answer = call("PATCH", f"{MAPS}/m?fieldManager=kubectl", config("m", {"a": "9", "b": "2"}), APPLY)
    assert status == 409
    assert [(c["message"], c["field"]) for c in answer["details"]["causes"]] == [
        ('conflict with "hand" using v1', ".data.b")
    ]


def test_other_managers_take_over_nothing_of_client_side_apply(call: Any) -> None:
    client_side(call, {"a": "1"})
    assert call("PATCH", f"{MAPS}/m?fieldManager=flux", config("m", {"a": "9"}), APPLY)[0] == 409


@pytest.mark.parametrize("note", ["", "{", "[]", '"x"', '{"metadata": 3}'])
def test_a_broken_note_is_no_leave(call: Any, note: str) -> None:
    made = config("m", {"a": "1"}, annotations={NOTE: note})
    call("POST", f"{MAPS}?fieldManager=other", made)
    assert call("PATCH", f"{MAPS}/m?fieldManager=kubectl", config("m", {"a": "9"}), APPLY)[0] == 409


def test_the_number_of_a_daemonsets_template_is_the_servers(call: Any, make: Any) -> None:
    sets = "/apis/apps/v1/namespaces/default/daemonsets"
    made = make.deployment()
    made["kind"] = "DaemonSet"
    call("POST", f"{sets}?fieldManager=first", made)
    patch = {"spec": {"template": {"metadata": {"annotations": {"x": "1"}}}}}
    status, answer = call("PATCH", f"{sets}/web?fieldManager=second", patch, MERGE)
    key = "deprecated.daemonset.template.generation"
    assert status == 200
    assert answer["metadata"]["annotations"][key] == "2"
    owners = [
        e["manager"]
        for e in answer["metadata"]["managedFields"]
        if f"f:{key}" in e["fieldsV1"].get("f:metadata", {}).get("f:annotations", {})
    ]
    assert owners == ["first"]
