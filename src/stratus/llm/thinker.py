"""A chat model behind typed answers: schema where the server can, text where it cannot, repair, retry and budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from stratus.errors import BudgetSpent, ReasoningError, StratusError
from stratus.kit.clock import Clock
from stratus.llm.answers import describe, read_answer
from stratus.llm.base import Answer
from stratus.llm.failures import Failure, Retry, classify
from stratus.model.reports import ModelUsage
from stratus.settings import LimitSettings, ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

CHARS_PER_TOKEN = 4
"""Rough size of a token, used where the server gives no counts and for budgets before a call."""


@dataclass(frozen=True)
class Turn:
    """One call of a model as it went, for recording.

    Attributes:
        messages: (role, text) in order, roles `system`, `human`, `ai`.
        answer: the model's text.
        tokens_in, tokens_out: counted by the server, or estimated.
        estimated: whether they are estimates.
    """

    messages: tuple[tuple[str, str], ...]
    answer: str
    tokens_in: int
    tokens_out: int
    estimated: bool


class ChatThinker:
    """Any LangChain chat model as a `Thinker`.

    The JSON schema is sent along as structured output where the model takes one; the first refusal of it switches to
    plain text for good. Either way the shape stands in the prompt and the answer is read leniently and validated, so
    a small local model without tool calls is enough.

    Args:
        model: a LangChain chat model.
        name: as the user named it, for messages and reports.
        settings: prices and the longest answer.
        limits: calls, tokens and money that may be spent in all.
        clock: waits between retries.
        retry: how often a failing call is repeated.
        repairs: times that a malformed answer is handed back with what is wrong with it.
        recorder: is shown every turn.
        spent: usage carried over, when an incident goes on after a restart.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str,
        settings: ModelSettings,
        limits: LimitSettings,
        clock: Clock,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        repairs: int = 2,
        recorder: Callable[[Turn], None] | None = None,
        spent: ModelUsage | None = None,
    ) -> None:
        self.name = name
        self.estimated = False
        """Whether any token count is an estimate of about four characters a token."""
        self._model = model
        self._settings = settings
        self._limits = limits
        self._clock = clock
        self._retry = retry
        self._repairs = repairs
        self._recorder = recorder
        self._structured = True
        self._usage = (spent or ModelUsage()).model_copy(update={"reasoner": name})

    def usage(self) -> ModelUsage:
        """Return calls answered, tokens and US dollars so far; `estimated` says whether tokens are estimates."""
        return self._usage

    def ask(self, schema: type[Answer], *, system: str, prompt: str) -> Answer:
        """Return an answer that validates against the schema, repairing malformed answers a bounded number of times.

        Raises:
            ReasoningError: no valid answer after repair, or the model declined.
            ModelUnreachable: the model does not answer, the key is refused, or the model is not known.
            BudgetSpent: the call, token or money budget is used up.
        """
        from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

        shape = f"Answer with one JSON object and nothing else, of this shape:\n{describe(schema)}"
        opening: list[BaseMessage] = [SystemMessage(system), HumanMessage(f"{prompt}\n\n{shape}")]
        messages = opening
        complaint = ""
        for _ in range(self._repairs + 1):
            text = self._call(schema, messages)
            try:
                return read_answer(text, schema)
            except ReasoningError as error:
                complaint = str(error)
            wrong = f"That answer cannot be used: {complaint}. Answer again with one JSON object of the shape given."
            # Only the last attempt is shown: a small context must not fill up with failures.
            messages = [*opening, AIMessage(text[:1000] or "(empty)"), HumanMessage(wrong)]
        raise ReasoningError(
            f"{self.name}: no usable answer after {self._repairs + 1} tries: {complaint}. "
            "Use a stronger model, or --reasoner rules"
        )

    def _call(self, schema: type[BaseModel], messages: Sequence[BaseMessage]) -> str:
        waits = self._retry.waits()
        while True:
            self._check_budget(messages)
            try:
                reply = self._invoke(schema, messages)
            except StratusError:
                raise
            except Exception as error:  # every provider has its own tree of exceptions
                failure = classify(error)
                if self._adapt(failure):
                    continue
                if failure.kind == "cut_off":
                    self._count(messages, failure.partial, None)
                    return failure.partial
                wait = next(waits, None) if failure.retried else None
                if wait is None:
                    raise failure.to_error(self.name) from error
                self._clock.sleep(wait)
                continue
            text = _text(reply)
            self._count(messages, text, reply.usage_metadata)
            declined = reply.additional_kwargs.get("refusal")
            if declined:
                raise Failure("declined", str(declined)[:200]).to_error(self.name)
            return text

    def _invoke(self, schema: type[BaseModel], messages: Sequence[BaseMessage]) -> AIMessage:
        if self._structured:
            document = {"title": "answer", **_strict(schema.model_json_schema())}
            document["description"] = "The answer."
            try:
                runnable = self._model.with_structured_output(document, method="json_schema", include_raw=True)
            except (NotImplementedError, TypeError, ValueError, AttributeError, ImportError):
                self._structured = False
            else:
                raw: AIMessage = runnable.invoke(list(messages))["raw"]  # type: ignore[index]
                return raw
        return self._model.invoke(list(messages))

    def _adapt(self, failure: Failure) -> bool:
        """Change how the model is called when the failure says how; return whether to call again."""
        if failure.kind == "no_schema_support" and self._structured:
            self._structured = False
            return True
        temperature = getattr(self._model, "temperature", None)
        if failure.kind == "no_temperature" and temperature is not None:
            self._model = self._model.model_copy(update={"temperature": None})
            return True
        return False

    def _check_budget(self, messages: Sequence[BaseMessage]) -> None:
        usage, limits = self._usage, self._limits
        if usage.model_calls >= limits.model_calls:
            raise BudgetSpent(
                f"{usage.model_calls} model calls are spent: raise limits.model_calls to allow more",
                limit="model_calls",
            )
        coming = _estimate(_length(messages))
        if usage.tokens_in + usage.tokens_out + coming > limits.tokens:
            raise BudgetSpent(
                f"the next call needs about {coming} tokens and {usage.tokens_in + usage.tokens_out} of "
                f"{limits.tokens} are spent: raise limits.tokens to allow more",
                limit="tokens",
            )
        price = coming * self._settings.price_in / 1_000_000
        if usage.cost + price > limits.cost:
            raise BudgetSpent(
                f"{usage.cost:.4f} of {limits.cost} US dollars are spent: raise limits.cost to allow more",
                limit="cost",
            )

    def _count(self, messages: Sequence[BaseMessage], text: str, counted: Any) -> None:
        tokens_in = int((counted or {}).get("input_tokens", 0))
        tokens_out = int((counted or {}).get("output_tokens", 0))
        estimated = not tokens_in
        if estimated:
            tokens_in, tokens_out = _estimate(_length(messages)), _estimate(len(text))
            self.estimated = True
        settings, usage = self._settings, self._usage
        cost = (tokens_in * settings.price_in + tokens_out * settings.price_out) / 1_000_000
        self._usage = usage.model_copy(
            update={
                "model_calls": usage.model_calls + 1,
                "tokens_in": usage.tokens_in + tokens_in,
                "tokens_out": usage.tokens_out + tokens_out,
                "cost": round(usage.cost + cost, 8),
            }
        )
        if self._recorder is not None:
            said = tuple((m.type, str(m.content)) for m in messages)
            self._recorder(Turn(said, text, tokens_in, tokens_out, estimated))


def _text(reply: AIMessage) -> str:
    content = reply.content
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else str(part.get("text", "")) for part in content]
    return "".join(parts)


def _length(messages: Sequence[BaseMessage]) -> int:
    return sum(len(str(m.content)) for m in messages)


def _estimate(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    """Forbid further keys and require all: what schema-bound decoding wants; defaults are ours to fill in."""
    if node.get("type") == "object" and "properties" in node:
        node = {**node, "additionalProperties": False, "required": list(node["properties"])}
        node["properties"] = {name: _strict(part) for name, part in node["properties"].items()}
    if "items" in node:
        node = {**node, "items": _strict(node["items"])}
    if "$defs" in node:
        node = {**node, "$defs": {name: _strict(part) for name, part in node["$defs"].items()}}
    return {key: value for key, value in node.items() if key != "default"}
