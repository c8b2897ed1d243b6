"""What goes wrong when a chat model is called, told apart without knowing the provider's exception classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stratus.errors import ModelUnreachable, ReasoningError, StratusError

FailureKind = Literal[
    "unreachable", "timeout", "busy", "server", "key_refused", "unknown_model", "too_long", "no_schema_support",
    "no_temperature", "bad_request", "cut_off", "declined", "other",
]  # fmt: skip

_RETRIED: frozenset[FailureKind] = frozenset({"unreachable", "timeout", "busy", "server"})
_SERVICE: frozenset[FailureKind] = frozenset(
    {"unreachable", "timeout", "busy", "server", "key_refused", "unknown_model"}
)

_ADVICE: dict[FailureKind, str] = {
    "unreachable": "the model's server does not answer: check its address (OPENAI_BASE_URL) and that it runs",
    "timeout": "the model did not answer in time: raise model.timeout or use a faster model",
    "busy": "the model's service asks to slow down (429) and kept doing so: wait, or raise the account's limit",
    "server": "the model's server failed: look at its log",
    "key_refused": "the model's service refused the key: check the provider's API key variable",
    "unknown_model": "the service knows no such model or path: check the name after the colon and the base URL",
    "too_long": "the prompt is longer than the model's context: give the server a larger context",
    "no_schema_support": "the server does not take a JSON schema",
    "no_temperature": "the model does not take this temperature",
    "bad_request": "the service did not accept the request",
    "cut_off": "the answer was longer than model.max_tokens",
    "declined": "the model declined to answer",
    "other": "the call failed",
}


@dataclass(frozen=True)
class Retry:
    """How often and how long to wait before a call is repeated.

    Attributes:
        attempts: calls at most, the first included.
        first_wait: seconds before the second call.
        factor: each later wait is this many times the one before.
        longest_wait: seconds that no wait exceeds.
    """

    attempts: int = 3
    first_wait: float = 1.0
    factor: float = 2.0
    longest_wait: float = 15.0

    def waits(self) -> Iterator[float]:
        """Yield the waits between attempts, in seconds."""
        wait = self.first_wait
        for _ in range(self.attempts - 1):
            yield min(wait, self.longest_wait)
            wait *= self.factor


@dataclass(frozen=True)
class Failure:
    """One failed call.

    Attributes:
        kind: what sort of failure it was.
        detail: first line of what the client said.
        partial: text of an answer that was cut off, as far as it came.
    """

    kind: FailureKind
    detail: str
    partial: str = ""

    @property
    def retried(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.kind in _RETRIED

    def to_error(self, name: str) -> StratusError:
        """Return the exception for it: `ModelUnreachable` when the service is at fault, else `ReasoningError`."""
        message = f"{name}: {_ADVICE[self.kind]} ({self.detail})"
        return ModelUnreachable(message) if self.kind in _SERVICE else ReasoningError(message)


def classify(error: BaseException) -> Failure:
    """Tell what kind of failure an exception of a model client is, from status codes, names and texts."""
    chain = list(_chain(error))
    detail = _detail(error)
    text = " ".join(str(e) for e in chain).lower()
    names = " ".join(type(e).__name__ for e in chain)
    if "LengthFinishReason" in names:
        return Failure("cut_off", detail, _partial(chain))
    if "ContentFilter" in names:
        return Failure("declined", detail)
    status = next((s for e in chain if (s := _status(e))), 0)
    if status:
        return Failure(_kind_of_status(status, text), detail)
    if "Timeout" in names or any(isinstance(e, TimeoutError) for e in chain):
        return Failure("timeout", detail)
    if "Connect" in names or any(isinstance(e, OSError) for e in chain):
        return Failure("unreachable", detail)
    if any(words in text for words in ("context length", "context window", "context size", "too many tokens")):
        return Failure("too_long", detail)
    return Failure("other", detail)


def _kind_of_status(status: int, text: str) -> FailureKind:
    if status in (401, 403):
        return "key_refused"
    if status == 404:
        return "unknown_model"
    if status == 429:
        return "busy"
    if any(words in text for words in ("context length", "context window", "context size", "too many tokens")):
        return "too_long"
    # Some local servers answer 500 to a response_format they do not know.
    if any(words in text for words in ("response_format", "json_schema", "structured output", "grammar")):
        return "no_schema_support"
    if status < 500 and "temperature" in text:
        return "no_temperature"
    if status in (408, 504):
        return "timeout"
    return "server" if status >= 500 else "bad_request"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int:
    for holder in (error, getattr(error, "response", None)):
        for field in ("status_code", "code"):
            value = getattr(holder, field, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return 0


def _partial(chain: list[BaseException]) -> str:
    for error in chain:
        completion = getattr(error, "completion", None)
        try:
            return str(completion.choices[0].message.content or "")  # type: ignore[union-attr]
        except (AttributeError, IndexError):
            continue
    return ""


def _detail(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
