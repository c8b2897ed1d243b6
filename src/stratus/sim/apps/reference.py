"""The page about application files, made from the schema: every part, its fields, what they mean and their defaults."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from stratus.sim.apps import schema as s

#: The parts in the order of the page; a part stands after the one that uses it.
PARTS: tuple[type[s.Part], ...] = (
    s.Application, s.Load, s.Mix, s.Program, s.Operation, s.Call, s.Target, s.Value, s.Login, s.Startup, s.Check,
    s.Effect, s.Consumer, s.Work, s.Datastore, s.Table, s.Account, s.LogStyle, s.Build, s.Crash, s.External, s.Registry,
)  # fmt: skip

_HEAD = """# Applications of the embedded cluster

An application is a YAML file: Kubernetes objects, and what the programs in their containers do. Three come with the
package (`stratus cluster up --app hotel-reservation`, `social-network`, `astronomy-shop`); a file of your own starts
with `stratus cluster up --app my-app.yaml`. [my-app.yaml](my-app.yaml) beside this page is a small complete one; the
large ones are in `src/stratus/sim/apps/data`: copy one and change it. The Astronomy Shop shows most of what there is:
a load generator, feature flags, a message queue, connection strings, clients in many languages.

A container whose image and command match a program behaves as that program. It listens on `ports`, serves
`operations`, and while serving calls `targets`, whose addresses it takes from its own environment and files, so that a
wrong address breaks the call. Every call goes the way a real one goes: name, Service, ready endpoints, target port,
listening process, network policies, chaos objects. Rates, errors, latencies, logs, CPU and memory follow from that,
from limits and replicas, and from the load; nothing is written down in advance.

Words used below: a name ending in `_ms` is in milliseconds, other times in seconds; CPU is in milliseconds of one core
or in cores; memory is in MiB; shares are from 0 to 1. Unknown fields are errors that name file, line, field and what
may have been meant.

## What follows from what

- **Overload.** A program has the cores of its CPU limit (without one: 4). Work beyond piles up, up to `queue` seconds
  of it; callers whose `timeout` passes give up, but the work is done all the same. With `retries` every call that fails
  becomes several, so a short surge may leave a system overloaded for good: it stays so until load is shed, capacity is
  added, or `retry_budget` bounds the retries. Throttling shows in the container's figures.
- **Waiting for others.** With `workers`, a request holds a worker for as long as it takes, calls included; with
  `pool`, a call holds a connection. When all are taken, requests wait (`waiting`, `pool_wait`), then are turned away.
- **Memory.** `memory`, `memory_per_rps`, `memory_per_waiting` and `leak` add up; above the container's limit the
  kubelet kills it (OOMKilled) and starts it again.
- **Starts and ends.** `startup`, `cold` and (caches) `warm` make new pods slow at first. A process that dies takes
  the requests under way with it; one whose pod is deleted finishes them first, unless `graceful` is false.
- **Feature flags.** A program with `flag_file` serves flags from a document like flagd's (`flags.NAME.state`,
  `variants`, `defaultVariant`), usually mounted from a ConfigMap. Programs that name it in `flags` have
  `effects` turned on by it, at once when the ConfigMap changes. When it cannot be reached, all flags count as off.
- **Messages.** A call with a `topic` writes to a broker; programs that `consume` the topic take messages up at their
  own pace. What is not yet taken is the group's lag.
- **Settings.** What a program takes from its environment and files it reads when it starts: addresses, logins, the
  port it listens on (`listens`), parts of a connection string (`pattern`). Without a setting that has no `default` it
  does not start, with a wrong one it calls, listens or logs in elsewhere.
- **Load generators.** With `load.program` the users are a program in a pod: they go where it is told (`target`), are as
  many as it is told (`users`), and are gone when it is. `works` are requests that any program makes of its own accord.
- **Words.** A program tells of failed calls in the words of its `client` (Go, Node.js, Java, ...), around them those of
  its `logs`.
- **Outside.** Names in `externals` resolve and answer as described there; other public names answer quickly.
- **Chaos.** Objects of chaos-mesh.org (PodChaos, NetworkChaos, StressChaos, HTTPChaos, JVMChaos, IOChaos, DNSChaos and
  Schedule) act from their creation until their `duration` or their deletion ends them, on the pods chosen at the start.
  TimeChaos and KernelChaos are taken and say that they are not covered.

## Workloads that no file describes

Any image runs: it listens on its declared ports and answers its probes. Two annotations say more.

On a pod template, `sim.stratus.dev/program` holds the fields of a [program](#program) (without `image`); the pod's
first container behaves as that:

```yaml
metadata:
  annotations:
    sim.stratus.dev/program: |
      ports: [8080]
      protocol: http
      targets: {store: {address: {env: STORE_ADDR, default: "store:6379"}, protocol: redis}}
      operations:
        get: {cpu_ms: 2, wait_ms: 5, error_rate: 0.001, calls: [{to: store, operation: get}]}
```

On a Service, `sim.stratus.dev/load` sends requests to its first port (fields of [load](#load), without `host`
and `port`):

```yaml
metadata:
  annotations:
    sim.stratus.dev/load: "{rate: 20, mix: [{operation: get, share: 1}]}"
```

What cannot be read there is told in the container's log, and the container behaves as if nothing had been said.

This page is made by `python docs/generate.py`.
"""


def page() -> str:
    """Return the page in Markdown."""
    lines = [_HEAD]
    for part in PARTS:
        lines += _part(part)
    return "\n".join(lines).rstrip() + "\n"


def _part(part: type[s.Part]) -> list[str]:
    text, meanings = _documentation(part)
    lines = [f"## {part.__name__}", "", text, "", "| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in part.model_fields.items():
        default = _default(field)
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field.annotation)} | {default} | {meaning} |")
    return [*lines, ""]


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see there"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`".replace("|", "\\|")


def _type(annotation: Any) -> str:
    arguments = [a for a in get_args(annotation) if a not in (Ellipsis, type(None))]
    origin = getattr(annotation, "__origin__", None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__.lower()}](#{annotation.__name__.lower()})"
    if origin is dict:
        return f"mapping of {_type(arguments[1])}"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if arguments and all(isinstance(a, str) for a in arguments):
        return ", ".join(f"`{a}`" for a in arguments)
    if arguments:
        return " or ".join(_type(a) for a in arguments)
    plain = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    return plain.get(annotation, "anything")


def _documentation(part: type[s.Part]) -> tuple[str, dict[str, str]]:
    """Return a part's sentence, and the meaning of each field, from its docstring."""
    text = inspect.getdoc(part) or ""
    head, _, rest = text.partition("Attributes:")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(rest).splitlines():
        found = re.match(r"([a-z_, ]+): (.*)", line)
        if found and all(n.strip() in part.model_fields for n in found.group(1).split(",")):
            names = [n.strip() for n in found.group(1).split(",")]
            meanings.update(dict.fromkeys(names, found.group(2)))
        else:
            for name in names:
                meanings[name] += " " + line.strip()
    for name in list(meanings):
        # A later clause may speak of another field: "; `errors`: what fails" tells it there, too.
        for other in re.finditer(r"[;,] `([a-z_]+)`:? ([^;]*)", meanings[name]):
            if other.group(1) in part.model_fields and other.group(1) not in meanings:
                meanings[other.group(1)] = other.group(2).strip().rstrip(".,") + "."
    return " ".join(head.split()), meanings
