"""A chat model that answers from a file: turns in order, or rules on the prompt; deterministic, needs no network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, field_validator

from stratus.errors import ModelUnreachable, ReasoningError, UsageError

_CHARS_PER_TOKEN = 4


class ScriptedTurn(BaseModel):
    """One answer.

    Attributes:
        when: regular expression searched in the whole prompt; None matches everything.
        answer: text, or a JSON value that is written out.
        times: how often it may be used; None without end (rules), turns are used once.
        error: raise instead of answering: `unreachable`, `timeout` or `declined`.
        tokens_in, tokens_out: usage to report; None estimates it from the lengths.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str | None = None
    answer: Any = ""
    times: int | None = None
    error: Literal["", "unreachable", "timeout", "declined"] = ""
    tokens_in: int | None = None
    tokens_out: int | None = None

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            re.compile(value)
        return value

    @property
    def text(self) -> str:
        """The answer as the model would write it."""
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


class Script(BaseModel):
    """What a scripted model says: `turns` first, in order; then the first of the `rules` that matches; then `default`.

    A turn with `when` must match when its time comes: otherwise the script and the program have drifted apart, and
    that is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: tuple[ScriptedTurn, ...] = ()
    rules: tuple[ScriptedTurn, ...] = ()
    default: Any = None


class ScriptedChatModel(BaseChatModel):
    """A real LangChain chat model whose answers come from a `Script`."""

    script: Script
    name: str | None = "scripted"

    _turn: int = PrivateAttr(default=0)
    _uses: dict[int, int] = PrivateAttr(default_factory=dict)
    _prompts: list[str] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "stratus-scripted"

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts it was shown, for tests."""
        return tuple(self._prompts)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = "\n\n".join(str(message.content) for message in messages)
        self._prompts.append(prompt)
        turn = self._next(prompt)
        if turn.error in ("unreachable", "timeout"):
            raise ModelUnreachable(f"the script lets the model fail here ({turn.error})")
        if turn.error == "declined":
            raise ReasoningError("the script lets the model decline here")
        text = turn.text
        tokens_in = turn.tokens_in if turn.tokens_in is not None else -(-len(prompt) // _CHARS_PER_TOKEN)
        tokens_out = turn.tokens_out if turn.tokens_out is not None else -(-len(text) // _CHARS_PER_TOKEN)
        message = AIMessage(
            text,
            usage_metadata={
                "input_tokens": tokens_in,
                "output_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _next(self, prompt: str) -> ScriptedTurn:
        if self._turn < len(self.script.turns):
            turn = self.script.turns[self._turn]
            if turn.when is not None and not re.search(turn.when, prompt, re.DOTALL):
                raise ReasoningError(
                    f"turn {self._turn + 1} of the script expects a prompt matching {turn.when!r}: "
                    "the script and the program have drifted apart, write the script anew"
                )
            self._turn += 1
            return turn
        for index, rule in enumerate(self.script.rules):
            used = self._uses.get(index, 0)
            if rule.times is not None and used >= rule.times:
                continue
            if rule.when is None or re.search(rule.when, prompt, re.DOTALL):
                self._uses[index] = used + 1
                return rule
        if self.script.default is not None:
            return ScriptedTurn(answer=self.script.default)
        raise ReasoningError("the script has no answer to this prompt: add a rule that matches it, or a default")


def load_script(path: Path) -> ScriptedChatModel:
    """Read a script from a JSON or YAML file.

    Raises:
        UsageError: the file cannot be read or is no script; the message says where.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the script {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"the script {path} is not YAML or JSON: {str(error).splitlines()[0]}") from error
    try:
        script = Script.model_validate(raw if isinstance(raw, dict) else {"turns": raw})
    except (ValidationError, re.error) as error:
        raise UsageError(f"the script {path} is malformed: {_first_problem(error)}") from error
    return ScriptedChatModel(script=script)


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        item = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
    return str(error)
