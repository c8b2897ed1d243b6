"""The thinker over a fake OpenAI-compatible server: schema, text, repair, retry, budgets, failures."""

from __future__ import annotations

import json
import socket
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from stratus.errors import BudgetSpent, ModelUnreachable, ReasoningError
from stratus.kit.clock import VirtualClock
from stratus.llm.failures import Retry, classify
from stratus.llm.providers import chat_model
from stratus.llm.thinker import ChatThinker
from stratus.model.reports import ModelUsage
from stratus.settings import LimitSettings, ModelSettings


class Choice(BaseModel):
    reason: str = ""
    best: Literal["H1", "H2"]


GOOD = json.dumps({"reason": "r", "best": "H2"})


def thinker(url: str, clock: VirtualClock | None = None, **more: Any) -> ChatThinker:
    settings = more.pop("settings", ModelSettings(timeout=5.0))
    return ChatThinker(
        chat_model("openai:fake", settings, {"OPENAI_BASE_URL": url}),
        name="openai:fake",
        settings=settings,
        limits=more.pop("limits", LimitSettings()),
        clock=clock or VirtualClock(),
        **more,
    )


def ask(thinker: ChatThinker) -> Choice:
    return thinker.ask(Choice, system="You choose.", prompt="Which one?")


def test_a_schema_bound_answer_counts_the_servers_tokens(fake_openai: Any) -> None:
    fake_openai.answers = [(200, GOOD)]
    brain = thinker(fake_openai.url, settings=ModelSettings(timeout=5.0, price_in=10.0, price_out=50.0))
    assert ask(brain).best == "H2"
    sent = fake_openai.requests[0]
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["best"]["enum"] == ["H1", "H2"]
    assert schema["required"] == ["reason", "best"]
    assert schema["additionalProperties"] is False
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert '"best": "H1" | "H2"' in sent["messages"][1]["content"]
    assert brain.usage() == ModelUsage(reasoner="openai:fake", model_calls=1, tokens_in=100, tokens_out=20, cost=0.002)
    assert not brain.estimated


def test_no_counts_from_the_server_are_estimated_and_said(fake_openai: Any) -> None:
    fake_openai.answers = [(200, GOOD)]
    fake_openai.usage = False
    brain = thinker(fake_openai.url)
    ask(brain)
    length = sum(len(m["content"]) for m in fake_openai.requests[0]["messages"])
    assert brain.estimated
    assert brain.usage().tokens_in == -(-length // 4)
    assert brain.usage().tokens_out == -(-len(GOOD) // 4)


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_without_json_schema_is_asked_in_text_from_then_on(fake_openai: Any, status: int) -> None:
    fake_openai.answers = [(status, {"message": "response_format must be text"}), (200, f"```json\n{GOOD}\n```")]
    clock = VirtualClock()
    brain = thinker(fake_openai.url, clock)
    assert ask(brain).best == "H2"
    assert ask(brain).best == "H2"
    assert ["response_format" in r for r in fake_openai.requests] == [True, False, False]
    assert clock.now() == 0.0, "changing the way of asking is no reason to wait"


def test_a_wrong_answer_is_handed_back_with_what_is_wrong(fake_openai: Any) -> None:
    fake_openai.answers = [(200, '{"best": "H9"}'), (200, "no idea"), (200, GOOD)]
    brain = thinker(fake_openai.url)
    assert ask(brain).best == "H2"
    second, third = fake_openai.requests[1]["messages"], fake_openai.requests[2]["messages"]
    assert second[2] == {"role": "assistant", "content": '{"best": "H9"}'}
    assert "best: Input should be 'H1' or 'H2'" in second[3]["content"]
    assert len(third) == 4, "the prompt must not grow with each failure"
    assert "no JSON object" in third[3]["content"]
    assert brain.usage().model_calls == 3


def test_repair_is_bounded(fake_openai: Any) -> None:
    fake_openai.answers = [(200, "hm")]
    with pytest.raises(ReasoningError, match="no usable answer after 3 tries"):
        ask(thinker(fake_openai.url))
    assert len(fake_openai.requests) == 3


def test_a_refusal_is_not_argued_with(fake_openai: Any) -> None:
    fake_openai.answers = [(200, {"refusal": "I cannot help with that."})]
    with pytest.raises(ReasoningError, match="declined"):
        ask(thinker(fake_openai.url))
    assert len(fake_openai.requests) == 1


def test_a_cut_off_answer_is_read_as_far_as_it_goes(fake_openai: Any) -> None:
    fake_openai.answers = [(200, {"content": '{"best": "H1", "reason": "because the', "finish_reason": "length"})]
    assert ask(thinker(fake_openai.url)).best == "H1"


def test_server_errors_are_retried_on_the_clock(fake_openai: Any) -> None:
    fake_openai.answers = [(500, {"message": "boom"}), (429, {"message": "slow down"}), (200, GOOD)]
    clock = VirtualClock()
    assert ask(thinker(fake_openai.url, clock, retry=Retry(attempts=3, first_wait=2.0))).best == "H2"
    assert clock.now() == 6.0


@pytest.mark.parametrize(
    ("status", "error", "says", "calls"),
    [
        (401, ModelUnreachable, "refused the key", 1),
        (403, ModelUnreachable, "refused the key", 1),
        (404, ModelUnreachable, "knows no such model", 1),
        (429, ModelUnreachable, "429", 3),
        (500, ModelUnreachable, "server failed", 3),
        (503, ModelUnreachable, "server failed", 3),
        (400, ReasoningError, "did not accept", 1),
    ],
)
def test_each_status_has_one_clear_line(
    fake_openai: Any, status: int, error: type[Exception], says: str, calls: int
) -> None:
    fake_openai.answers = [(status, {"message": "what the server said"})]
    with pytest.raises(error, match=says) as caught:
        ask(thinker(fake_openai.url))
    assert "\n" not in str(caught.value)
    assert "openai:fake" in str(caught.value)
    assert len(fake_openai.requests) == calls


def test_a_too_long_prompt_is_named(fake_openai: Any) -> None:
    fake_openai.answers = [(400, {"message": "This model's maximum context length is 2048 tokens."})]
    with pytest.raises(ReasoningError, match="larger context"):
        ask(thinker(fake_openai.url))


def test_a_model_that_takes_no_temperature_is_asked_without(fake_openai: Any) -> None:
    fake_openai.answers = [(400, {"message": "Unsupported value: 'temperature' does not support 0.0"}), (200, GOOD)]
    assert ask(thinker(fake_openai.url)).best == "H2"
    assert ["temperature" in r for r in fake_openai.requests] == [True, False]


def test_silence_is_a_timeout(fake_openai: Any) -> None:
    fake_openai.answers = [(200, "HANG")]
    brain = thinker(fake_openai.url, settings=ModelSettings(timeout=0.2), retry=Retry(attempts=1))
    with pytest.raises(ModelUnreachable, match="did not answer in time"):
        ask(brain)
    fake_openai.release.set()


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clock = VirtualClock()
    brain = thinker(f"http://127.0.0.1:{port}/v1", clock)
    with pytest.raises(ModelUnreachable, match="OPENAI_BASE_URL") as caught:
        ask(brain)
    assert "\n" not in str(caught.value)
    assert clock.now() == 3.0
    assert brain.usage().model_calls == 0


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (LimitSettings(model_calls=2), "model_calls"),
        (LimitSettings(tokens=270), "tokens"),
        (LimitSettings(cost=0.0042), "cost"),
    ],
)
def test_budgets_stop_before_the_call(fake_openai: Any, limits: LimitSettings, limit: str) -> None:
    fake_openai.answers = [(200, GOOD)]
    settings = ModelSettings(timeout=5.0, price_in=10.0, price_out=50.0)
    brain = thinker(fake_openai.url, limits=limits, settings=settings)
    ask(brain)
    ask(brain)
    with pytest.raises(BudgetSpent) as caught:
        ask(brain)
    assert caught.value.limit == limit
    assert len(fake_openai.requests) == 2


def test_what_was_spent_before_a_restart_counts(fake_openai: Any) -> None:
    spent = ModelUsage(reasoner="rules", model_calls=60, tokens_in=1)
    with pytest.raises(BudgetSpent):
        ask(thinker(fake_openai.url, spent=spent))
    assert not fake_openai.requests


def test_repairs_and_retries_cannot_outrun_the_budget(fake_openai: Any) -> None:
    fake_openai.answers = [(200, "nonsense")]
    with pytest.raises(BudgetSpent):
        ask(thinker(fake_openai.url, limits=LimitSettings(model_calls=2)))
    assert len(fake_openai.requests) == 2


def test_retries_grow_up_to_a_longest_wait() -> None:
    assert list(Retry(attempts=6, first_wait=1, factor=3, longest_wait=10).waits()) == [1, 3, 9, 10, 10]
    assert list(Retry(attempts=1).waits()) == []


class Wrapped(Exception):
    """A provider's own exception around a cause."""


def test_causes_are_looked_through() -> None:
    try:
        try:
            raise ConnectionRefusedError("no")
        except OSError as error:
            raise Wrapped("the client failed\nwith a long story") from error
    except Wrapped as error:
        failure = classify(error)
    assert failure.kind == "unreachable"
    assert failure.detail == "the client failed"
    assert classify(ValueError("odd")).kind == "other"
