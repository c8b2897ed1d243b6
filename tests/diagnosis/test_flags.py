"""Documents of feature flags: which flag is on, whom it may hurt, and how it is put back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import NOW, app, case, change, container, meta, node, observation, said, series

from stratus.diagnosis.analyzers.flags import Toggle, is_flags, toggles
from stratus.diagnosis.rules import RulesReasoner
from stratus.model.diagnosis import Hypothesis
from stratus.model.reports import Attempt

BOOLEAN = {"on": True, "off": False}


def flag(now: str = "off", variants: dict[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": BOOLEAN if variants is None else variants, "defaultVariant": now, **extra}


def config(was: dict[str, Any] | None = None, **flags: Any) -> dict[str, Any]:
    """Return a ConfigMap with a document of flags; `was`: the flags it was last applied with."""
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("toggles"),
             "data": {"flags.json": json.dumps({"flags": flags}), "motd": "hello"}}  # fmt: skip
    if was is not None:
        applied = {**found, "data": {"flags.json": json.dumps({"flags": was})}}
        found["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    return found


def world(
    config_map: dict[str, Any], *more: Any, ill: tuple[str, ...] = ("pay",), logs: Any = (), **fields: Any
) -> Any:
    """Return a case: a flag server that mounts the ConfigMap, and services that name it in a variable."""
    asks = container(env=[{"name": "FLAG_HOST", "value": "switchboard"}])
    volume = [{"name": "flags", "configMap": {"name": "toggles"}}]
    look = observation(
        *app("switchboard", volumes=volume), *app("front", asks), *app("pay", asks), *app("lone"), node(), config_map,
        *more, series=tuple(series(n, errors=0.5) for n in ill), logs=logs,
    )  # fmt: skip
    return case(look, **fields)


def believed(one: Any) -> list[Hypothesis]:
    return [h for h in RulesReasoner().diagnose(one).hypotheses if h.fault == "feature_flag"]


def steps(one: Any) -> list[str]:
    (found,) = believed(one)
    plan = RulesReasoner().plan(one, found)
    assert plan is not None
    return [s.command for s in plan.steps]


def put_back(command: str) -> dict[str, Any]:
    """Return the flags that a patch of the ConfigMap writes."""
    from stratus.knowledge.templates import split

    words = split(command)
    patch = json.loads(words[words.index("-p") + 1])
    assert list(patch["data"]) == ["flags.json"]
    return json.loads(patch["data"]["flags.json"])["flags"]


def test_a_flag_that_was_switched_on_is_blamed_and_put_back():
    one = world(config(payFailure=flag("on"), other=flag()), change(config(), "data.flags.json"))
    (found,) = believed(one)
    assert (found.object.kind, found.object.name, found.service) == ("ConfigMap", "toggles", "pay")
    assert found.confidence > 0.75
    assert "payFailure" in found.summary
    first, second = steps(one)
    assert put_back(first) == {"payFailure": flag("off"), "other": flag()}
    assert "rollout restart deployment/switchboard" in second


def test_users_who_do_not_read_the_flags_are_not_told_about_them():
    assert believed(world(config(payFailure=flag("on")), change(config(), "data"), ill=("lone",))) == []


def test_nothing_on_nothing_said():
    assert believed(world(config(payFailure=flag()), change(config(), "data"))) == []


def test_a_flag_that_has_been_on_for_ever_is_believed_less():
    fresh = believed(world(config(checkout=flag("on")), change(config(), "data")))[0]
    old = believed(world(config(checkout=flag("on"))))[0]
    assert old.confidence < fresh.confidence - 0.2
    assert any("nobody has written" in e.summary for e in old.evidence_against)


def test_the_name_of_who_suffers_counts():
    named, other = (
        believed(world(config(**{n: flag("on")}), change(config(), "data")))[0] for n in ("paySlow", "zeal")
    )
    assert named.confidence > other.confidence
    assert named.service == "pay"


def test_a_log_that_speaks_of_the_flag_counts():
    silent = believed(world(config(zeal=flag("on"))))[0]
    spoken = believed(world(config(zeal=flag("on")), logs=said("pay", "evaluated flag zeal: on")))[0]
    assert spoken.confidence > silent.confidence + 0.1


def test_what_was_applied_is_what_is_put_back():
    many = {"low": 1, "high": 100, "off": 0}
    one = world(config({"pool": flag("low", many)}, pool=flag("high", many)))
    assert put_back(steps(one)[0])["pool"]["defaultVariant"] == "low"


@pytest.mark.parametrize(
    ("variants", "now", "off"),
    [
        (BOOLEAN, "on", "off"),
        ({"a": 0, "b": 5}, "b", "a"),
        ({"Off": "x", "slow": "y"}, "slow", "Off"),
        ({"disabled": None, "enabled": {}}, "enabled", "disabled"),
        ({"red": "r", "blue": "b"}, "red", None),
        ({"zero": 0, "nil": None, "b": 5}, "b", None),
        (BOOLEAN, "off", None),
        (BOOLEAN, "gone", None),
        ({"off": 1, "on": 1}, "on", None),
    ],
)
def test_the_neutral_variant(variants, now, off):
    found = list(toggles(config(x=flag(now, variants))))
    assert found == ([Toggle("flags.json", "x", now, off)] if off else [])


def test_disabled_flags_and_other_documents_are_left_alone():
    assert list(toggles(config(x=flag("on", state="DISABLED"), y="text", z=flag("on", {})))) == []
    for text in ('{"flags": 3}', '{"flags"', '["flags"]', "flags: {}", "", 3, "[" * 100_000 + '"flags"'):
        assert not is_flags(text)
    assert is_flags('{"flags": {}}')


@pytest.mark.parametrize(
    ("name", "service", "called"),
    [
        ("paymentFailure", "payment", True),
        ("productCatalogFailure", "product-catalog", True),
        ("product_catalog.failure", "catalog-service", True),
        ("failedReadinessProbe", "cart", False),
        ("cart2Failure", "cart", False),
        ("x", "service", False),
    ],
)
def test_whose_flag_it_is(name, service, called):
    assert Toggle("k", name, "on", "off").called_after(service) is called


def attempt(number: int, command: str) -> Attempt:
    return Attempt(
        number=number,
        hypothesis="H1",
        summary="switch it off",
        commands=(command,),
        executed=True,
        undone=True,
        verdict="UNCHANGED",
    )


def test_flags_are_tried_one_after_the_other_and_then_together():
    flags = {"alpha": flag("on"), "beta": flag("on"), "payFailure": flag("on")}
    attempts: tuple[Attempt, ...] = ()
    switched = []
    for number in range(1, 6):
        one = world(config(**flags), change(config(), "data"), attempts=attempts)
        if not believed(one):
            break
        command = steps(one)[0]
        after = put_back(command)
        switched.append(sorted(n for n, f in after.items() if f["defaultVariant"] == "off"))
        attempts = (*attempts, attempt(number, command))
    assert switched == [["payFailure"], ["alpha"], ["beta"], ["alpha", "beta", "payFailure"]]


def test_flags_of_several_services_that_suffer_go_together():
    flags = {"payFailure": flag("on"), "frontFailure": flag("on"), "zeal": flag("on")}
    after = put_back(steps(world(config(**flags), change(config(), "data"), ill=("pay", "front")))[0])
    assert sorted(n for n, f in after.items() if f["defaultVariant"] == "off") == ["frontFailure", "payFailure"]


def test_a_change_of_flags_is_told_once():
    one = world(config(payFailure=flag("on")), change(config(), "data"))
    kinds = [h.fault for h in RulesReasoner().diagnose(one).hypotheses if h.object.name == "toggles"]
    assert kinds == ["feature_flag"]
    assert one.observation.at == NOW
