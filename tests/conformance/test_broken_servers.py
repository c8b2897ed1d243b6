"""A server that is wrong in one place is found out: every comparer can fail, and says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import FileResult
from stratus.conformance.runner import replay
from stratus.conformance.world import Answer, EmbeddedSide, EmbeddedWorld

Spoil = Callable[[str, str, Answer], Answer]


class BrokenWorld(EmbeddedWorld):
    """Answers pass through something that spoils them."""

    spoil: Spoil

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return self.spoil(method, path, super().send(method, path, body, **options))


class BrokenSide(EmbeddedSide):
    def __init__(self, golden: Golden, spoil: Spoil) -> None:
        super().__init__(golden)
        self._spoil = spoil
        self._crds = golden.custom_resources

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> EmbeddedWorld:
        kind = type("Spoiled", (BrokenWorld,), {"spoil": staticmethod(lambda m, p, a: a)})
        world: EmbeddedWorld = kind(self._crds, running=running, moment=moment)
        world.namespace(*namespaces)
        kind.spoil = staticmethod(self._spoil)  # type: ignore[attr-defined]
        return world


def spoiled(golden: Golden, name: str, change: Callable[[Any], Any], status: int = 0) -> FileResult:
    def spoil(method: str, path: str, answer: Answer) -> Answer:
        obj = change(json.loads(json.dumps(answer.obj)))
        return Answer(status or answer.status, json.dumps(obj), obj, answer.content_type, answer.headers)

    (found,) = replay(golden, BrokenSide(golden, spoil), only=[name]).files
    return found


def more_metadata(obj: Any) -> Any:
    if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
        obj["metadata"]["labels"] = {"wrong": "yes"}
    return obj


def other_owner(obj: Any) -> Any:
    for entry in (obj.get("metadata") or {}).get("managedFields") or () if isinstance(obj, dict) else ():
        entry["manager"] = "somebody-else"
    return obj


def shorter_message(obj: Any) -> Any:
    if isinstance(obj, dict) and obj.get("kind") == "Status":
        obj["message"] = obj["message"][:-1]
    return obj


@pytest.mark.parametrize("name", ["defaulting", "patches", "concurrency"])
@pytest.mark.parametrize("change", [more_metadata, other_owner])
def test_a_wrong_object_fails(name: str, change: Callable[[Any], Any], excerpts: Golden) -> None:
    result = spoiled(excerpts, name, change)
    whole = replay(excerpts, only=[name]).files[0]
    assert result.score.total == whole.score.total
    assert result.score.passed < whole.score.passed
    assert any("metadata" in o.reason for o in result.counted)


@pytest.mark.parametrize("name", ["defaulting", "validation", "patches", "discovery", "tables"])
def test_a_wrong_status_fails_every_case(name: str, excerpts: Golden) -> None:
    result = spoiled(excerpts, name, lambda obj: obj, status=418)
    assert result.score.passed == 0
    assert all("418" in o.reason for o in result.counted)
    assert result.met is (name == "tables")  # no share is asked for of tables


def test_a_message_that_lacks_a_letter_is_no_longer_the_same_refusal(excerpts: Golden) -> None:
    result = spoiled(excerpts, "validation", shorter_message)
    measured = result.measured()
    assert measured["status_and_reason"].rate == 1.0
    assert measured["causes"].passed == 0
    assert all("message" in o.reason for o in result.counted if "causes" in o.measures)


def test_a_cell_of_a_table_counts(excerpts: Golden) -> None:
    def change(obj: Any) -> Any:
        for row in obj.get("rows") or ():
            row["cells"][0] = "other"
        return obj

    result = spoiled(excerpts, "tables", change)
    assert result.score.passed < result.score.total
    assert any("cells" in o.reason for o in result.counted)


def test_a_column_too_few_counts(excerpts: Golden) -> None:
    def change(obj: Any) -> Any:
        if obj.get("columnDefinitions"):
            obj["columnDefinitions"].pop()
        return obj

    assert spoiled(excerpts, "tables", change).score.passed < 3


def test_a_missing_verb_of_a_resource_counts(excerpts: Golden) -> None:
    def change(obj: Any) -> Any:
        for resource in obj.get("resources") or () if isinstance(obj, dict) else ():
            resource["verbs"] = resource["verbs"][:-1]
        return obj

    result = spoiled(excerpts, "discovery", change)
    assert [o.case for o in result.counted if not o.passed and "verbs" in o.reason]
    assert not result.met


def test_an_older_version_after_a_conflicting_write_counts(excerpts: Golden) -> None:
    def spoil(method: str, path: str, answer: Answer) -> Answer:
        return Answer(200, answer.text, answer.obj, answer.content_type) if answer.status == 409 else answer

    (result,) = replay(excerpts, BrokenSide(excerpts, spoil), only=["concurrency"]).files
    first = result.outcomes[0]
    assert not first.passed
    assert first.measures == {"statuses": False}
    assert "409" in first.reason


class ForgetfulSide(EmbeddedSide):
    """Its cluster loses the data of every object it creates."""

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> EmbeddedWorld:
        world = super().world(*namespaces, running=running, moment=moment)
        create = world.store.create

        def forget(resource: str, obj: Any) -> Any:
            return create(resource, {k: v for k, v in obj.items() if k not in ("data", "type")})

        world.store.__dict__["create"] = forget
        return world


def test_objects_that_a_command_leaves_are_compared_whole(excerpts: Golden, kubectl: Path) -> None:
    (result,) = replay(excerpts, ForgetfulSide(excerpts), only=["kubectl"], case="252").files
    (outcome,) = result.outcomes
    assert not outcome.passed
    assert outcome.measures["objects"] is False
    assert outcome.measures["exit_code"] is True
    assert "Secret s2" in outcome.reason
    assert not result.met


class ChattySide(EmbeddedSide):
    """Its cluster makes something of its own whenever a ConfigMap is created."""

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> EmbeddedWorld:
        world = super().world(*namespaces, running=running, moment=moment)
        create = world.store.create

        def too_much(resource: str, obj: Any) -> Any:
            made = create(resource, obj)
            if resource == "configmaps" and obj["metadata"]["name"] == "cm7":
                extra = {**obj, "metadata": {"name": "surplus", "namespace": obj["metadata"]["namespace"]}}
                create("configmaps", extra)
            return made

        world.store.__dict__["create"] = too_much
        return world


def test_what_appears_besides_is_found(excerpts: Golden, kubectl: Path) -> None:
    (result,) = replay(excerpts, ChattySide(excerpts), only=["kubectl"], case="250").files
    (outcome,) = result.outcomes
    assert outcome.measures["objects"] is False
    assert "surplus: made, and not in the recording" in outcome.reason


def test_a_suite_that_raises_fails_that_case_and_goes_on(excerpts: Golden) -> None:
    def spoil(method: str, path: str, answer: Answer) -> Answer:
        if "deployments" in path:
            raise OSError("the wire was cut")
        return answer

    (result,) = replay(excerpts, BrokenSide(excerpts, spoil), only=["defaulting"]).files
    failed = [o for o in result.outcomes if not o.passed]
    assert [o.reason for o in failed] == ["OSError: the wire was cut"]
    assert result.score.passed == result.score.total - 1
