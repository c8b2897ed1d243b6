"""A database in a container for tests: what is run twice shows twice, and every command can go wrong as an API can."""

from __future__ import annotations

from typing import Any

from txn_fake import FakeCluster, obj, ref

from stratus.cluster.writer import CommandResult
from stratus.errors import ClusterError, ClusterUnreachable, Conflict, InDoubt, Throttled
from stratus.model.actions import Compensable, ContainerChange, PlannedWrite

LIMIT = ("timeout", "10")
ROLE = "write"


class Database:
    """Users and their roles behind a `ClusterExecutor`; deliberately not idempotent.

    Attributes:
        roles: of the one user `app`; granting a role twice gives it twice.
        ran: every command that changed something, in order.
        sent: every input, as it arrived.
        broken: commands that exit with 1 and do nothing.
        partly: commands that exit with 1 and do their work nevertheless.
        deaf: commands that exit with 0 and do nothing.
        look_faults: errors of the next commands that only look.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.roles: list[str] = ["read"]
        self.ran: list[str] = []
        self.sent: list[str] = []
        self.broken: set[str] = set()
        self.partly: set[str] = set()
        self.deaf: set[str] = set()
        self.look_faults: list[Exception] = []
        self.pods: list[str] = []
        labels = {"app": "db"}
        cluster.put(obj("Deployment", "db", labels=labels, spec={"selector": {"matchLabels": labels}, "replicas": 1}))
        self.start()

    def start(self, name: str = "db-0") -> None:
        """Let a pod of the database run."""
        running = {"containerStatuses": [{"name": "db", "state": {"running": {}}}], "phase": "Running"}
        self.cluster.put(obj("Pod", name, labels={"app": "db"}, status=running))

    def stop(self, name: str = "db-0") -> None:
        """Let it go."""
        self.cluster.objects.pop(ref("Pod", name).key, None)

    def run(self, namespace: str, pod: str, container: str, argv: tuple[str, ...], stdin: str = "") -> CommandResult:
        """Run a command."""
        assert argv[:2] == LIMIT, "what is not answered has to end by itself"
        verb, words = argv[2], argv[3:]
        self.sent.append(stdin)
        self.pods.append(pod)
        if verb == "show":
            if self.look_faults:
                raise self.look_faults.pop(0)
            return CommandResult("".join(f"role: {role}\n" for role in self.roles), "", 0)
        fault = self.cluster.faults.pop(0) if self.cluster.faults else ""
        refused: dict[str, Exception] = {
            "throttled": Throttled("too many requests", status=429, reason="TooManyRequests"),
            "unreachable": ClusterUnreachable("connection refused"),
            "invalid": ClusterError("may not be entered", status=422, reason="Invalid"),
            "conflict": Conflict("conflict", status=409, reason="Conflict"),
            "unavailable": ClusterError("the server is currently unable", status=503, reason="ServiceUnavailable"),
            "lost_before": InDoubt("no answer"),
        }
        if fault in refused:
            raise refused[fault]
        done = self._change(verb, words)
        if fault == "lost_after":
            raise InDoubt("no answer")
        if fault == "stored_500":
            raise ClusterError("error executing command in container", status=500, reason="InternalError")
        return done

    def _change(self, verb: str, words: tuple[str, ...]) -> CommandResult:
        if verb in self.deaf:
            return CommandResult("", "", 0)
        if verb in self.broken:
            return CommandResult("", f"cannot {verb}: secret word s3cr3t", 1)
        if verb == "both":
            self.roles = []
            return CommandResult("", "", 0)
        if verb == "revoke" and words[0] not in self.roles:
            return CommandResult("", "no such role", 1)
        (self.roles.append if verb == "grant" else self.roles.remove)(words[0])
        self.ran.append(f"{verb} {words[0]}")
        return CommandResult("", f"{verb}: half done" if verb in self.partly else "", 1 if verb in self.partly else 0)


def change(role: str = ROLE, **more: Any) -> Compensable:
    """Return the change that gives `app` a role; parts of it can be others."""
    look = {"argv": (*LIMIT, "show")}
    parts: dict[str, Any] = {
        "container": "db",
        "state": look,
        "check_before": {**look, "lacks": (f"role: {role}",)},
        "command": {"argv": (*LIMIT, "grant", role)},
        "check_after": {**look, "contains": (f"role: {role}",)},
        "compensation": {"argv": (*LIMIT, "revoke", role)},
        "check_undone": {**look, "lacks": (f"role: {role}",)},
        **more,
    }
    return Compensable(
        runbook="book", text=f"Grant {role}.", workload=ref("Deployment", "db"),
        change=ContainerChange.model_validate(parts),
    )  # fmt: skip


def granting(role: str = ROLE, **more: Any) -> PlannedWrite:
    """Plan it."""
    one = change(role, **more)
    return PlannedWrite(
        write=one.write(one.change.command), command=f"kubectl exec {role}", reversibility="compensable",
        compensable=one,
    )  # fmt: skip
