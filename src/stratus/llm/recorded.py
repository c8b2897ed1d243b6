"""Turns of a real model written to a file, and a model that replays them by prompt."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from stratus.errors import ReasoningError, UsageError

if TYPE_CHECKING:
    from stratus.llm.thinker import Turn


class TurnRecorder:
    """Appends each turn as one JSON line; hand it to `ChatThinker(recorder=...)`.

    Prompts are stored as they were sent, after redaction: a recording is as confidential as a report.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, turn: Turn) -> None:
        """Write one turn."""
        line = {
            "prompt": digest(turn.messages),
            "messages": [list(pair) for pair in turn.messages],
            "answer": turn.answer,
            "tokens_in": turn.tokens_in,
            "tokens_out": turn.tokens_out,
            "estimated": turn.estimated,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class RecordedChatModel(BaseChatModel):
    """Gives the recorded answer to a recorded prompt, in the order recorded where a prompt came more than once."""

    answers: dict[str, list[dict[str, Any]]]
    source: str

    _used: dict[str, int] = PrivateAttr(default_factory=dict)

    @property
    def used(self) -> frozenset[str]:
        """The prompts that were asked for and answered, by digest."""
        return frozenset(self._used)

    @property
    def _llm_type(self) -> str:
        return "stratus-recorded"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        key = digest(tuple((m.type, str(m.content)) for m in messages))
        turns = self.answers.get(key)
        if not turns:
            raise ReasoningError(f"{self.source} holds no answer to this prompt: record it again with the real model")
        used = self._used.get(key, 0)
        self._used[key] = used + 1
        turn = turns[min(used, len(turns) - 1)]
        usage = {"input_tokens": int(turn["tokens_in"]), "output_tokens": int(turn["tokens_out"])}
        message = AIMessage(
            str(turn["answer"]),
            usage_metadata=None
            if turn.get("estimated")
            else {
                "input_tokens": usage["input_tokens"],
                "output_tokens": usage["output_tokens"],
                "total_tokens": sum(usage.values()),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def digest(messages: tuple[tuple[str, str], ...]) -> str:
    """Return the identity of a prompt: 32 hex digits over roles and texts."""
    text = json.dumps([list(pair) for pair in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load_recording(path: Path) -> RecordedChatModel:
    """Read a recording written by `TurnRecorder`.

    Raises:
        UsageError: the file cannot be read or a line of it is no turn.
    """
    answers: dict[str, list[dict[str, Any]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recording {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            turn = json.loads(line)
            key, _ = str(turn["prompt"]), (turn["answer"], turn["tokens_in"], turn["tokens_out"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"line {number} of the recording {path} is not a turn: {error}") from error
        answers.setdefault(key, []).append(turn)
    return RecordedChatModel(answers=answers, source=str(path))
