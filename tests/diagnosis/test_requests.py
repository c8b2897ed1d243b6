"""Errors and latency on the call graph, with telemetry: where they are born, and what is suspected first."""

from __future__ import annotations

import pytest
from builders import (
    NOW,
    app,
    case,
    change,
    container,
    deployment,
    edge,
    node,
    observation,
    pod,
    replica_set,
    said,
    series,
    service,
    template,
    usage,
)

from stratus.diagnosis.rules import RulesReasoner
from stratus.model.alerts import Alert
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.reports import Attempt


def diagnosed(look: Observation, **fields: object) -> tuple[Case, Diagnosis]:
    one = case(look, **fields)
    return one, RulesReasoner().diagnose(one)


def top(look: Observation, **fields: object) -> Hypothesis:
    return diagnosed(look, **fields)[1].hypotheses[0]


CHAIN = [*app("front"), *app("middle"), *app("back"), node()]
BEFORE = (edge("", "front"), edge("front", "middle"), edge("middle", "back"))


def test_errors_are_blamed_on_the_deepest_failing_service() -> None:
    look = observation(
        *CHAIN,
        edges=(edge("", "front", errors=500), edge("front", "middle", errors=500),
               edge("middle", "back", errors=500, message="boom")),
        baseline_edges=BEFORE,
        series=(series("front", errors=0.5), series("middle", errors=0.5), series("back", errors=0.5)),
    )  # fmt: skip
    found = top(look)
    assert found.object.name == "back"
    assert found.fault == "dependency_failure"


def test_errors_that_were_always_there_are_no_news() -> None:
    usual = edge("middle", "back", errors=100)
    look = observation(
        *CHAIN,
        edges=(edge("", "front", errors=500), edge("front", "middle", errors=500), usual),
        baseline_edges=(*BEFORE[:2], usual),
        series=(series("front", errors=0.5), series("middle", errors=0.5)),
    )
    assert top(look).object.name == "middle"


def test_refused_credentials_are_told_apart_from_plain_failure() -> None:
    look = observation(
        *CHAIN,
        edges=(edge("", "front", errors=500), edge("front", "middle", errors=500),
               edge("middle", "back", errors=500, message="authentication failed: bad credentials")),
        baseline_edges=BEFORE,
        series=(series("front", errors=0.5),),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.object.name) == ("auth_failure", "back")


SLOW = {
    "edges": (edge("", "front", own=0.01), edge("front", "middle", own=0.01), edge("middle", "back", own=0.9)),
    "baseline_edges": BEFORE,
    "series": (series("front", latency=1.5), series("middle", latency=1.2), series("back", latency=0.9)),
}


def test_latency_is_blamed_on_the_service_whose_own_time_has_grown() -> None:
    found = top(observation(*CHAIN, **SLOW))
    assert found.object.name == "back"


def test_throttling_explains_latency_and_suggests_a_limit() -> None:
    limited = container(resources={"limits": {"cpu": "500m"}})
    look = observation(
        *app("front"), *app("middle"), *app("back", limited), node(),
        **SLOW, usage=(usage("back", cpu=0.5, limit=0.5, throttled=0.7),),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.object.name) == ("resource_saturation", "back")
    assert found.facts["cpu_limit"] == "1"
    plan = RulesReasoner().plan(case(look), found)
    assert plan is not None
    assert plan.steps[0].command == "kubectl set resources deployment/back -c app -n shop --limits=cpu=1"


def changed(name: str, **fields: object) -> list[dict[str, object]]:
    """Return a service rolled out three minutes before now, fifty seconds before it began."""
    old, new = template(name, container()), template(name, container(**fields))
    return [
        deployment(name, new),
        replica_set(name, 1, old),
        replica_set(name, 2, new, replicas=1, ready=1, age=170.0),
        pod(name, 2, new, age=165.0),
        service(name),
    ]


THROTTLED = usage("back", cpu=0.5, limit=0.5, throttled=0.7)


def test_a_coinciding_change_is_suspected_before_saturation_further_down() -> None:
    limited = container(resources={"limits": {"cpu": "500m"}})
    look = observation(
        *changed("front", image="registry.example/app:2"), *app("middle"), *app("back", limited), node(),
        **SLOW, usage=(THROTTLED,),
    )  # fmt: skip
    _, diagnosis = diagnosed(look)
    first, second = diagnosis.hypotheses[:2]
    assert (first.fault, first.object.name, first.facts["revision"]) == ("bad_change", "front", 1)
    assert (second.fault, second.object.name) == ("resource_saturation", "back")


def test_after_the_change_was_rolled_back_in_vain_saturation_is_next() -> None:
    limited = container(resources={"limits": {"cpu": "500m"}})
    look = observation(
        *changed("front", image="registry.example/app:2"), *app("middle"), *app("back", limited), node(),
        **SLOW, usage=(THROTTLED,),
    )  # fmt: skip
    one, diagnosis = diagnosed(look)
    first = diagnosis.hypotheses[0]
    plan = RulesReasoner().plan(one, first)
    assert plan is not None
    attempt = Attempt(number=1, hypothesis=first.id, summary=plan.summary, executed=True, undone=True,
                      commands=tuple(s.command for s in plan.steps), verdict="UNCHANGED")  # fmt: skip
    ledger = tuple(h.model_copy(update={"status": "tried"}) if h.id == first.id else h for h in diagnosis.hypotheses)
    again = RulesReasoner().diagnose(case(look, attempts=(attempt,), ledger=ledger, round=2))
    chosen = again.hypothesis(again.chosen)
    assert chosen is not None
    assert (chosen.fault, chosen.object.name) == ("resource_saturation", "back")
    same = again.hypothesis(first.id)
    assert same is not None
    assert (same.fault, same.object.name, same.status) == ("bad_change", "front", "tried")
    assert chosen.id == diagnosis.hypotheses[1].id


def test_a_lowered_limit_that_throttles_is_decisive() -> None:
    old = template("back", container(resources={"limits": {"cpu": "1"}}))
    new = template("back", container(resources={"limits": {"cpu": "100m"}}))
    back = [
        deployment("back", new), replica_set("back", 1, old),
        replica_set("back", 2, new, replicas=1, ready=1, age=170.0),
        pod("back", 2, new, age=165.0), service("back"),
    ]  # fmt: skip
    squeezed = usage("back", cpu=0.1, limit=0.1, throttled=0.9).model_copy(update={"pod": "back-2-0"})
    look = observation(
        *changed("front", image="registry.example/app:2"), *app("middle"), *back, node(), **SLOW, usage=(squeezed,)
    )
    found = top(look)
    assert (found.fault, found.object.name) == ("resource_saturation", "back")
    assert found.facts["revision"] == 1
    assert found.facts["cpu_limit"] == "1"


def test_a_change_long_before_is_no_suspect() -> None:
    old, new = template("front", container()), template("front", container(image="registry.example/app:2"))
    front = [
        deployment("front", new), replica_set("front", 1, old, age=90000.0),
        replica_set("front", 2, new, replicas=1, ready=1, age=7000.0), pod("front", 2, new), service("front"),
    ]  # fmt: skip
    _, diagnosis = diagnosed(observation(*front, *app("middle"), *app("back"), node(), **SLOW))
    assert all(h.fault != "bad_change" for h in diagnosis.hypotheses)


def test_a_change_off_the_failing_path_counts_little() -> None:
    look = observation(
        *app("front"),
        *app("middle"),
        *app("back"),
        *changed("bystander", image="registry.example/app:2"),
        node(),
        **SLOW,
    )
    _, diagnosis = diagnosed(look)
    assert diagnosis.hypotheses[0].object.name == "back"
    assert all(h.confidence <= 0.25 for h in diagnosis.hypotheses if h.object.name == "bystander")


def test_a_changed_variable_is_named_as_such() -> None:
    look = observation(
        *changed("front", env=[{"name": "MODE", "value": "x"}]), *app("middle"), *app("back"), node(),
        edges=(edge("", "front", errors=500), *BEFORE[1:]), baseline_edges=BEFORE,
        series=(series("front", errors=0.5),),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.facts["env"], found.facts["revision"]) == ("bad_env", "MODE", 1)


def test_a_configmap_changed_at_the_onset_is_suspected() -> None:
    settings = {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"pool": "1"},
        "metadata": {"name": "settings", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"pool":"50"}}'}},
    }  # fmt: skip
    front = app("front", container(envFrom=[{"configMapRef": {"name": "settings"}}]))
    look = observation(*front, *app("middle"), *app("back"), node(), settings, change(settings, "data.pool", age=140.0),
                       edges=(edge("", "front", errors=500), *BEFORE[1:]), baseline_edges=BEFORE,
                       series=(series("front", errors=0.5),))  # fmt: skip
    found = top(look)
    assert (found.fault, str(found.object)) == ("bad_change", "shop/ConfigMap/settings")
    assert (found.facts["key"], found.facts["value"]) == ("pool", "50")
    plan = RulesReasoner().plan(case(look), found)
    assert plan is not None
    assert [s.command for s in plan.steps] == [
        'kubectl patch configmap/settings -n shop --type=merge -p \'{"data":{"pool":"50"}}\'',
        "kubectl rollout restart deployment/front -n shop",
    ]


def test_more_requests_than_before_are_overload() -> None:
    fields = {**SLOW, "series": (series("front", latency=1.5, rate=40), series("back", latency=0.9, rate=40))}
    found = top(observation(*CHAIN, **fields))
    assert (found.fault, found.object.name) == ("overload", "back")
    assert found.facts["replicas"] == 4


def test_memory_near_its_limit() -> None:
    look = observation(*CHAIN, **SLOW, usage=(usage("back", memory=4.9e8, memory_limit=5e8),))
    found = top(look)
    assert (found.fault, found.object.name) == ("memory_pressure", "back")


def test_logs_name_a_service_that_does_not_exist() -> None:
    front = app("front", container(env=[{"name": "DB", "value": "storage:5432"}]))
    look = observation(
        *front, node(), series=(series("front", errors=0.5),),
        logs=said("front", *["error: dial tcp: lookup storage on 10.96.0.10:53: no such host"] * 3),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.object.name, found.facts["env"]) == ("dependency_address", "front", "DB")


def test_logs_name_a_port_that_the_service_does_not_have() -> None:
    front = app("front", container(env=[{"name": "BACK", "value": "back:81"}]))
    look = observation(
        *front, *app("back"), node(), series=(series("front", errors=0.5),),
        logs=said("front", *["ERROR dial tcp back:81: connect: connection refused"] * 3),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.object.name, found.facts["env_value"]) == ("dependency_address", "front", "back:80")


def test_logs_of_missing_rights() -> None:
    text = (
        'configmaps is forbidden: User "system:serviceaccount:shop:reader" cannot list resource "configmaps" in API '
        'group "" in the namespace "shop"'
    )
    look = observation(
        *app("front"), node(), series=(series("front", errors=0.5),), logs=said("front", f"error: {text}")
    )
    found = top(look)
    assert (found.fault, found.facts["service_account"]) == ("rbac_denied", "reader")


def test_without_traces_the_failing_service_that_calls_no_failing_one_is_blamed() -> None:
    front = app("front", container(env=[{"name": "BACK", "value": "back:80"}]))
    look = observation(*front, *app("back"), node(), series=(series("front", errors=0.5), series("back", errors=0.5)))
    assert top(look).object.name == "back"


def test_an_object_fault_on_the_path_beats_what_only_looks_bad() -> None:
    """The back's Service leads to a port nobody listens on: that, and not the change of the front, explains errors."""
    wrong = service("back", None, {"port": 80, "targetPort": 9999})
    back = [*app("back")[:3], wrong]
    look = observation(
        *changed("front", image="registry.example/app:2"), *back, node(), change(wrong, "spec.ports", age=125.0),
        edges=(edge("", "front", errors=900), edge("front", "back", errors=900, message="connection refused")),
        baseline_edges=(edge("", "front"), edge("front", "back")),
        series=(series("front", errors=0.9), series("back", errors=0.9, rate=0.0)),
    )  # fmt: skip
    found = top(look)
    assert (found.fault, found.object.kind, found.object.name) == ("wrong_target_port", "Service", "back")
    assert found.confidence > 0.9


def test_an_alert_pulls_its_service_to_the_front() -> None:
    broken = [*app("left")[:3], service("left", {"app": "nothing"})]
    other = [*app("right")[:3], service("right", {"app": "nowhere"})]
    alert = Alert(name="HighErrorRate", severity="critical", labels={"namespace": "shop", "service": "right"})
    look = observation(*broken, *other, node())
    found = top(look, alerts=(alert,))
    assert found.object.name == "right"
    _, diagnosis = diagnosed(look, alerts=(alert,))
    assert {h.object.name for h in diagnosis.hypotheses} == {"left", "right"}


@pytest.mark.parametrize("seed", range(3))
def test_thinking_is_deterministic(seed: int) -> None:
    del seed
    look = observation(*changed("front", image="registry.example/app:2"), *app("middle"), *app("back"), node(), **SLOW)
    assert diagnosed(look)[1] == diagnosed(look)[1]
    assert look.at == NOW
