"""Actions: a step in words, a command, and the typed writes it compiles to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from stratus.model.base import Json, Noun
from stratus.model.refs import ObjectRef

PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]
Reversibility = Literal["exact", "equivalent", "compensable", "rewritable", "irreversible"]


class ApiWrite(Noun):
    """One write to the Kubernetes API, complete and inert.

    Attributes:
        method: HTTP method.
        target: the object (its name is empty for a POST with generateName).
        plural: resource name in the path, such as `deployments`.
        namespaced: whether the path carries a namespace.
        subresource: such as `scale`, `eviction`, `status`; empty for the object itself.
        body: request body (DeleteOptions for DELETE); a list for a JSON patch.
        field_manager: manager recorded in managedFields.
        force: force conflicts of a server-side apply.
        expect_uid, expect_version: preconditions; empty: none.
    """

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    target: ObjectRef
    plural: str
    namespaced: bool = True
    subresource: str = ""
    patch_type: PatchType | None = None
    body: Any = None
    field_manager: str = "stratus"
    force: bool = False
    expect_uid: str = ""
    expect_version: str = ""

    @property
    def path(self) -> str:
        """The request path below the server's address."""
        group = "apis" if "/" in self.target.api_version else "api"
        parts = [group, self.target.api_version]
        if self.namespaced and self.target.namespace:
            parts += ["namespaces", self.target.namespace]
        parts.append(self.plural)
        if self.method != "POST" or self.subresource:
            parts.append(self.target.name)
        if self.subresource:
            parts.append(self.subresource)
        return "/" + "/".join(parts)


class ContainerCommand(Noun):
    """A program to be run in a container, with what it reads.

    Attributes:
        argv: its words. They stand in the request's address, and so in audit logs: never a secret.
        stdin: what it is sent. A secret stands here as a reference, `${{ Secret/name#key | js }}`, which is resolved
            when the command is sent and never written down.
    """

    argv: tuple[str, ...]
    stdin: str = ""


class ContainerCheck(ContainerCommand):
    """A command that only looks, and what its output has to be like; it holds when it exits with 0 and all is so.

    Attributes:
        contains, lacks: texts that stand in its output, or do not.
        changed: what `state` prints is not what it printed before.
    """

    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    changed: bool = False


class ContainerChange(Noun):
    """A change of application state from inside a container, with everything that lets it be taken back.

    Attributes:
        container: its name in the pod.
        state: prints what will change, one fact a line; kept as the pre-image.
        check_before: shows the fault; what does not show it is not run.
        command: the change.
        check_after: shows that the change is there; also tells whether an unanswered one has happened.
        compensation: takes it back.
        check_undone: shows that it is taken back.
        hidden: what `state` prints (such as a password's hash) is kept in the journal and shown nowhere.
    """

    container: str
    hidden: bool = False
    state: ContainerCommand
    check_before: ContainerCheck
    command: ContainerCommand
    check_after: ContainerCheck
    compensation: ContainerCommand
    check_undone: ContainerCheck


class Compensable(Noun):
    """A runbook's change, filled in: the only way in which a command gets into a container.

    Attributes:
        runbook: id of the runbook that states it.
        text: what it does, in words.
        workload: whose pod it runs in; the pod is chosen when it runs.
    """

    runbook: str
    text: str
    workload: ObjectRef
    change: ContainerChange

    def write(self, command: ContainerCommand, key: str = "stratus") -> ApiWrite:
        """Return one of its commands in the form of a write, so that it is journalled and shown like one.

        Its target is the workload: which pod the command runs in is decided when it does.
        """
        body = {"container": self.change.container, "command": list(command.argv), "stdin": command.stdin}
        return ApiWrite(
            method="POST",
            target=self.workload,
            plural=f"{self.workload.kind.lower()}s",
            subresource="exec",
            body=body,
            field_manager=key,
        )


class ApiRead(Noun):
    """One read a command compiles to: what to show, not how."""

    verb: str
    """get, describe, logs, top, events, explain, can-i, rollout-status, rollout-history, diff."""
    targets: tuple[ObjectRef, ...] = ()
    namespace: str = ""
    options: dict[str, str] = Field(default_factory=dict)


class CompiledCommand(Noun):
    """A command line understood: its writes or its read."""

    command: str
    verb: str
    """`scale`, `set image`, `rollout undo` ..."""
    writes: tuple[ApiWrite, ...] = ()
    reads: tuple[ApiRead, ...] = ()

    @property
    def mutating(self) -> bool:
        """Whether running it would change anything."""
        return bool(self.writes)


class ActionStep(Noun):
    """One step of a plan in words, with the command when the reasoner already knows it.

    Attributes:
        text: imperative sentence, such as `Set the image of container web of Deployment web to nginx:1.27`.
        command: kubectl command line (without shell syntax), or empty: NL2Kubectl writes it.
        target: the object the step is about.
        runbook: id of the runbook the step comes from, or empty.
    """

    text: str
    command: str = ""
    target: ObjectRef | None = None
    runbook: str = ""


class ActionPlan(Noun):
    """What to do about one hypothesis."""

    hypothesis: str
    """Id of the hypothesis it tests."""
    summary: str
    steps: tuple[ActionStep, ...]
    expected: str = ""
    """What should be seen if the hypothesis is right."""
    risk: Literal["low", "medium", "high"] = "low"


class Refusal(Noun):
    """Why a command was not let through, so that it can be repaired."""

    command: str
    code: str
    message: str
    hint: str = ""


class PlannedWrite(Noun):
    """A compiled write that has passed lint, with what is known before it runs."""

    write: ApiWrite
    command: str
    reversibility: Reversibility
    pre_image: Json | None = None
    dry_run: Json | None = None
    diff: tuple[str, ...] = ()
    """Readable lines such as `spec.replicas: 0 -> 1`."""
    note: str = ""
    """What undo will not give back, for `equivalent`; what was rewritten, for `rewritable`."""
    compensable: Compensable | None = None
    """For `compensable`: the change, its compensation and their checks; the write is then its command."""


class MitigationPlan(Noun):
    """A linted, dry-run plan ready to execute as one transaction."""

    plan: ActionPlan
    commands: tuple[CompiledCommand, ...] = ()
    writes: tuple[PlannedWrite, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def executable(self) -> bool:
        """Whether there is something to execute and nothing was refused."""
        return bool(self.writes) and not self.refusals
