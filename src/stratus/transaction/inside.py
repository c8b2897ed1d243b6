"""Looking into containers and changing what is in them: which pod, which secrets, what was written, what it means."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from stratus.cluster.base import ClusterReader
from stratus.cluster.writer import ClusterExecutor, CommandResult
from stratus.errors import ClusterError, ClusterUnreachable, InDoubt, StratusError, Throttled
from stratus.kit.references import REFERENCE, Source, connection_part, written
from stratus.model.actions import Compensable, ContainerCheck, ContainerCommand
from stratus.model.base import Json
from stratus.model.refs import ObjectRef
from stratus.transaction.essence import terminating

KIND = "ContainerState"
RAW = "raw"
"""How a secret that was found in an output is written down: as a reference to be put back as it is."""
SHORTEST = 3
"""Characters of a secret that is looked for in outputs; shorter ones stand everywhere by chance."""
LOOKS = 3
"""Times that an unanswered look is repeated: looking does no harm."""
_API = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}
T = TypeVar("T")


class Unable(StratusError):
    """What is in a container cannot be looked at, or a command for it cannot be made up; nothing was sent."""


class Inside:
    """The containers of one cluster.

    Args:
        executor: runs commands; None: nobody may.
        guard: called before every command; raises when this engine may not act any more.
        patiently: repeats a read while the API is busy or away.
        wait: waits a moment for a pod to run; False when it has been long enough.
    """

    def __init__(
        self,
        reader: ClusterReader,
        executor: ClusterExecutor | None,
        *,
        guard: Callable[[], None],
        patiently: Callable[[Callable[[], Json | None]], Json | None],
        wait: Callable[[float], bool],
    ) -> None:
        self._reader, self._executor = reader, executor
        self._guard, self._patiently, self._wait = guard, patiently, wait

    def state(self, one: Compensable) -> Json:
        """Return what the change's `state` prints now, as a document to be journalled.

        Raises:
            Unable: it cannot be looked at.
            ClusterUnreachable: the API is away.
        """
        done = self._look(one, one.change.state, None)
        if done.exit_code:
            raise Unable(f"{one.workload}: looking at its state fails: {_said(done)}")
        meta = {"namespace": one.workload.namespace, "name": one.workload.name}
        hidden = {"hidden": True} if one.change.hidden else {}
        return {"kind": KIND, "metadata": meta, "output": done.stdout, **hidden}

    def holds(self, one: Compensable, check: ContainerCheck, before: Json | None) -> tuple[bool, str]:
        """Tell whether a check holds, and what it said; one that fails to run does not hold.

        Raises:
            Unable: it cannot be run.
        """
        done = self._look(one, check, before)
        fine = (
            done.exit_code == 0
            and all(text in done.stdout for text in check.contains)
            and not any(text in done.stdout for text in check.lacks)
        )
        if fine and check.changed:
            fine = before is None or not same(self.state(one), before)
        return fine, "what it prints is kept back" if one.change.hidden else _said(done)

    def send(self, one: Compensable, command: ContainerCommand, before: Json | None) -> CommandResult:
        """Run a command once; secrets are put in on the way and taken out of what comes back.

        Raises:
            Unable: no pod runs, or a secret cannot be found; nothing was sent.
            ClusterUnreachable, InDoubt, ClusterError: as the executor.
        """
        if self._executor is None:
            raise Unable("this engine has no way to run commands in containers")
        pod = self._pod(one)
        text, secrets = self._resolved(one.workload.namespace, command.stdin, before)
        self._guard()
        done = self._executor.run(one.workload.namespace, pod, one.change.container, command.argv, text)
        return CommandResult(redacted(done.stdout, secrets), redacted(done.stderr, secrets), done.exit_code)

    def _look(self, one: Compensable, command: ContainerCommand, before: Json | None) -> CommandResult:
        why: StratusError = Unable("")
        for _ in range(LOOKS):
            try:
                return self.send(one, command, before)
            except (ClusterUnreachable, InDoubt, Throttled) as error:
                why = error
            except ClusterError as error:
                why = error
                if error.status < 500:
                    break
            if not self._wait(1.0):
                break
        if isinstance(why, ClusterUnreachable):
            raise why  # that says nothing about the container: later, or another engine, looks again
        raise Unable(f"{one.workload}: what is in container {one.change.container} cannot be looked at: {why}")

    def _pod(self, one: Compensable) -> str:
        while True:
            name = self._found(one)
            if name:
                return name
            if not self._wait(2.0):
                raise Unable(f"{one.workload} has no pod whose container {one.change.container} runs")

    def _found(self, one: Compensable) -> str:
        workload = self._patiently(lambda: self._reader.get(one.workload))
        labels = ((workload or {}).get("spec") or {}).get("selector", {}).get("matchLabels") or {}
        if not labels:
            return ""
        chosen = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
        listed = self._patiently(
            lambda: {"items": self._reader.list("Pod", one.workload.namespace, label_selector=chosen)}
        )
        fit = [p for p in (listed or {}).get("items", ()) if not terminating(p) and _runs(p, one.change.container)]
        return min((p["metadata"]["name"] for p in fit), default="")

    def _resolved(self, namespace: str, text: str, before: Json | None) -> tuple[str, dict[str, str]]:
        """Put values in the place of references; returns the text and the secrets in it with their references."""
        secrets: dict[str, str] = {}

        def value(match: re.Match[str]) -> str:
            what, filter_ = match["what"], match["filter"]
            if what.partition(":")[0] == "state":
                found = self._of_state(namespace, what, before, secrets)
            else:
                found = self._secret(namespace, what)
                secrets[found] = f"${{{{ {what} | {RAW} }}}}"
            try:
                return found if filter_ == RAW else written(found, filter_)
            except ValueError as error:
                raise Unable(f"the value of {what} cannot be written into a command: {error}") from None

        return REFERENCE.sub(value, text), secrets

    def _of_state(self, namespace: str, what: str, before: Json | None, secrets: dict[str, str]) -> str:
        if before is None:
            raise Unable("nothing is known of the state before")
        output = str(before.get("output", "")).rstrip("\n")
        _, _, line = what.partition(":")
        if line:
            lines = output.split("\n")
            if not line.isdigit() or not 0 < int(line) <= len(lines):
                raise Unable(f"the state before has no line {line}")
            output = lines[int(line) - 1]
        plain, more = self._resolved(namespace, output, None) if REFERENCE.search(output) else (output, {})
        secrets.update(more)
        return plain

    def _secret(self, namespace: str, what: str) -> str:
        source = Source.read(what)
        if source is None:
            raise Unable(f"`{what}` does not say where a value is to be found")
        ref = ObjectRef(
            api_version=_API.get(source.kind, "v1"), kind=source.kind, name=source.name, namespace=namespace
        )
        obj = self._patiently(lambda: self._reader.get(ref))
        found = _value(obj or {}, source)
        if not found:
            raise Unable(f"{what} names nothing that is there; it is needed to make up a command")
        return found


def same(one: Json | None, other: Json | None) -> bool:
    """Tell whether two states have the same lines, in whatever order."""
    return _lines(one) == _lines(other)


def left_over(before: Json | None, after: Json | None, now: Json | None) -> tuple[str, ...]:
    """Say what a change made of a state and is not as before: lines that are still there, or not back.

    What others have added or removed since does not count. Without `after` every difference does.
    """
    was, became, found = _lines(before), _lines(after if after is not None else now), _lines(now)
    hidden = bool((before or {}).get("hidden"))
    left = [f"still there: {line}" for line in became - was if found[line] > was[line]]
    left += [f"not back: {line}" for line in was - became if found[line] < was[line]]
    return ("what is kept back differs",) if left and hidden else tuple(left)


def beside(before: Json | None, after: Json | None, was: Json, now: Json) -> tuple[str, ...]:
    """Say in what a state after a compensation is not the state just before it without the change."""
    old, new, found = _lines(before), _lines(after), _lines(now)
    wanted = _lines(was) - (new - old) + (old - new)
    odd = [f"lacks {line}" for line in (wanted - found)] + [f"has {line}" for line in (found - wanted)]
    return ("is not what it should be",) if odd and (before or {}).get("hidden") else tuple(odd)


def output_changes(before: Json | None, after: Json | None) -> list[str]:
    """Return the lines of a state that came (`+`) and went (`-`), for people; what is hidden is not shown."""
    if (before or after or {}).get("hidden"):
        return [] if same(before, after) else ["what is kept back has changed"]
    was, became = _lines(before), _lines(after)
    return [f"- {line}" for line in (was - became).elements()] + [f"+ {line}" for line in (became - was).elements()]


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """Put references in the place of secrets, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, secrets[secret])
    return text


def _lines(state: Json | None) -> Counter[str]:
    return Counter(line.strip() for line in str((state or {}).get("output", "")).splitlines() if line.strip())


def _said(done: CommandResult) -> str:
    text = " ".join((done.stderr.strip() or done.stdout.strip()).split())[:300]
    return (f"exit code {done.exit_code}: " if done.exit_code else "") + (text or "it prints nothing")


def _runs(pod: Json, container: str) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(s.get("name") == container and "running" in (s.get("state") or {}) for s in statuses)


def _value(obj: Json, source: Source) -> str:
    if source.kind in _API:
        container, _, variable = source.key.partition("/")
        spec = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
        env = [e for c in spec.get("containers") or () if c.get("name") == container for e in c.get("env") or ()]
        text = next((str(e.get("value") or "") for e in env if e.get("name") == variable), "")
    else:
        text = str((obj.get("data") or {}).get(source.key) or "")
        if source.kind == "Secret" and text:
            text = b64decode(text).decode("utf-8", "replace")
    return connection_part(text, source.part) if source.part else text
