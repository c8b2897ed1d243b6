"""The exception tree.

    StratusError
    ├── UsageError               what the user gave cannot be used            (exit code 2)
    │   ├── SettingsError        a setting is unknown or malformed
    │   ├── AlertError           an alert document cannot be read
    │   └── UnknownNameError     a name is not in a registry (reasoner, application, fault, runbook ...)
    ├── UnreachableError         a needed service does not answer             (exit code 5)
    │   ├── ClusterUnreachable   the Kubernetes API
    │   ├── TelemetryUnreachable Prometheus, Alertmanager, Loki, Jaeger
    │   └── ModelUnreachable     the chat model
    ├── ClusterError             the API server answered with an error Status
    │   ├── NotFound             404
    │   ├── AlreadyExists        409 AlreadyExists
    │   ├── Conflict             409: the object has changed since it was read
    │   ├── Forbidden            401 or 403
    │   ├── Invalid              400 or 422
    │   ├── Throttled            429
    │   └── InDoubt              the write was sent and no answer came back
    ├── CommandRefused           a command is not in the grammar, or policy forbids it
    ├── TransactionError         the engine cannot go on
    │   ├── LeaseLost            another writer holds the lock
    │   ├── JournalError         the journal cannot be written or is damaged
    │   └── BudgetSpent          a limit of the transaction was reached
    ├── KnowledgeError           a runbook, ticket or store cannot be read
    └── ReasoningError           the reasoner gave no usable answer

Every message says what happened and what to do next.
"""

from __future__ import annotations


class StratusError(Exception):
    """Root of everything Stratus raises on purpose."""

    exit_code = 4


class UsageError(StratusError):
    """What the user gave cannot be used."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is unknown or malformed."""


class AlertError(UsageError):
    """An alert document cannot be read."""


class UnknownNameError(UsageError):
    """A name is not registered; the message lists those that are."""


class UnreachableError(StratusError):
    """A needed service does not answer."""

    exit_code = 5


class ClusterUnreachable(UnreachableError):
    """The Kubernetes API does not answer, or its address or credentials cannot be used."""


class TelemetryUnreachable(UnreachableError):
    """A telemetry service does not answer."""


class ModelUnreachable(UnreachableError):
    """The chat model does not answer."""


class ClusterError(StratusError):
    """The API server answered with an error.

    Attributes:
        status: HTTP status code.
        reason: the Status object's reason, such as `NotFound`.
        body: the Status object, when there was one.
    """

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", body: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body or {}


class NotFound(ClusterError):
    """404: the object or resource does not exist."""


class AlreadyExists(ClusterError):
    """409 AlreadyExists: an object of that name is there."""


class Conflict(ClusterError):
    """409: the object has changed since it was read, or a precondition failed."""


class Forbidden(ClusterError):
    """401 or 403: the identity may not do this, or admission refused it."""


class Invalid(ClusterError):
    """400 or 422: the request or the object is not valid."""


class Throttled(ClusterError):
    """429: the server, or a disruption budget, asks to wait."""


class InDoubt(ClusterError):
    """The write was sent and no answer came back: read the object to know."""


class CommandRefused(StratusError):
    """A command is not in the grammar, or policy forbids it.

    Attributes:
        code: stable word for the kind of refusal, such as `shell_syntax`, `unknown_flag`, `irreversible`.
        hint: how to say it so that it would be accepted; empty when nothing would be.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class TransactionError(StratusError):
    """The transaction engine cannot go on."""


class LeaseLost(TransactionError):
    """Another writer holds the lock of this scope."""


class JournalError(TransactionError):
    """The journal cannot be written or is damaged."""


class BudgetSpent(TransactionError):
    """A limit of the transaction was reached.

    Attributes:
        limit: the name of the limit, such as `commands` or `wall_seconds`.
    """

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class KnowledgeError(StratusError):
    """A runbook, a ticket or the knowledge store cannot be read."""

    exit_code = 2


class ReasoningError(StratusError):
    """The reasoner gave no usable answer after repair."""
