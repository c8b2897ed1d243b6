"""The scripted and the recorded chat model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from stratus.errors import ModelUnreachable, ReasoningError, UsageError
from stratus.kit.clock import VirtualClock
from stratus.llm.providers import chat_model
from stratus.llm.recorded import TurnRecorder, load_recording
from stratus.llm.scripted import Script, ScriptedChatModel, load_script
from stratus.llm.thinker import ChatThinker
from stratus.settings import LimitSettings, ModelSettings


class Answer(BaseModel):
    value: int


def brain(model: Any, **more: Any) -> ChatThinker:
    return ChatThinker(
        model, name="scripted:x", settings=ModelSettings(), limits=LimitSettings(), clock=VirtualClock(), **more
    )


def script(**parts: Any) -> ScriptedChatModel:
    return ScriptedChatModel(script=Script.model_validate(parts))


def test_turns_come_in_order_then_rules_then_the_default() -> None:
    model = script(
        turns=[{"answer": "one"}, {"when": "b", "answer": {"two": 2}}],
        rules=[{"when": "x.y", "answer": "rule", "times": 1}, {"when": "x", "answer": "later"}],
        default="default",
    )
    said = [model.invoke(p).content for p in ("a", "b", "x\ny", "x\ny", "q")]
    assert said == ["one", '{"two": 2}', "rule", "later", "default"]
    assert model.prompts == ("a", "b", "x\ny", "x\ny", "q")


def test_usage_is_given_or_estimated() -> None:
    model = script(turns=[{"answer": "12345", "tokens_in": 7, "tokens_out": 3}, {"answer": "12345"}])
    first, second = model.invoke("hello"), model.invoke("hello")
    assert first.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert second.usage_metadata == {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4}


def test_a_script_that_drifted_is_an_error_that_says_so() -> None:
    with pytest.raises(ReasoningError, match="drifted apart"):
        script(turns=[{"when": "selector", "answer": "x"}]).invoke("image")
    with pytest.raises(ReasoningError, match="add a rule"):
        script().invoke("anything")


def test_it_can_fail_like_a_real_one() -> None:
    model = script(turns=[{"error": "unreachable"}, {"error": "timeout"}, {"error": "declined"}])
    thinker = brain(model)
    for error in (ModelUnreachable, ModelUnreachable, ReasoningError):
        with pytest.raises(error):
            thinker.ask(Answer, system="s", prompt="p")
    assert thinker.usage().model_calls == 0


def test_a_thinker_uses_it_in_plain_text() -> None:
    thinker = brain(script(turns=[{"answer": "it is 3"}, {"answer": {"value": 3}}]))
    assert thinker.ask(Answer, system="s", prompt="p").value == 3
    assert thinker.usage().model_calls == 2
    assert not thinker.estimated


@pytest.mark.parametrize("text", ['{"turns": [{"answer": "a"}]}', "- answer: a\n", "turns:\n  - answer: a\n"])
def test_scripts_are_json_or_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    assert chat_model(f"scripted:{path}", ModelSettings()).invoke("p").content == "a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("turns: [", "not YAML or JSON"),
        ("turns:\n  - anwser: a\n", "turns.0.anwser"),
        ("rules:\n  - when: '('\n", "malformed"),
        ("just words", "malformed"),
    ],
)
def test_a_malformed_script_is_a_usage_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        load_script(path)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    for name in ("scripted", "recorded"):
        with pytest.raises(UsageError, match=r"nowhere\.yaml"):
            chat_model(f"{name}:{tmp_path / 'nowhere.yaml'}", ModelSettings())


def test_what_was_recorded_replays_turn_for_turn(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    model = script(turns=[{"answer": "bad"}, {"answer": {"value": 1}, "tokens_in": 50}, {"answer": {"value": 2}}])
    first = brain(model, recorder=TurnRecorder(path))
    said = [first.ask(Answer, system="s", prompt=p).value for p in ("p", "q")]

    again = brain(chat_model(f"recorded:{path}", ModelSettings()))
    assert [again.ask(Answer, system="s", prompt=p).value for p in ("p", "q")] == said == [1, 2]
    assert again.usage() == first.usage()
    assert len(path.read_text().splitlines()) == 3


def test_the_same_prompt_twice_replays_in_order(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    first = brain(script(turns=[{"answer": {"value": 1}}, {"answer": {"value": 2}}]), recorder=TurnRecorder(path))
    for _ in range(2):
        first.ask(Answer, system="s", prompt="p")
    again = brain(load_recording(path))
    assert [again.ask(Answer, system="s", prompt="p").value for _ in range(3)] == [1, 2, 2]


def test_an_unrecorded_prompt_and_a_broken_line_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text("")
    with pytest.raises(ReasoningError, match="record it again"):
        load_recording(path).invoke([HumanMessage("new")])
    path.write_text(json.dumps({"prompt": "x"}) + "\n")
    with pytest.raises(UsageError, match="line 1"):
        load_recording(path)
