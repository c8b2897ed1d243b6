"""The page about faults, made from the mechanisms, the catalogues, and the table of what benchmarks inject."""

from __future__ import annotations

import inspect
import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml
from pydantic_core import PydanticUndefined

from stratus.sim.apps import loader
from stratus.sim.apps.schema import Part
from stratus.sim.faults.engine import shipped
from stratus.sim.faults.scenario import Entry, Scenario
from stratus.sim.faults.schema import FaultSpec
from stratus.sim.faults.steps import MECHANISMS, Step
from stratus.sim.faults.timing import Ramp, Timing


class Family(Part):
    """What stands for one family of faults of SRE benchmarks, or why nothing does."""

    faults: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    why: str = ""


class Coverage(Part):
    """All families."""

    families: dict[str, Family]


@lru_cache(maxsize=1)
def coverage() -> Coverage:
    """Return the shipped table."""
    text = resources.files("stratus.sim.faults").joinpath("data", "coverage.yaml").read_text(encoding="utf-8")
    return Coverage.model_validate(yaml.safe_load(text))


_HEAD = """# Faults of the embedded cluster

A fault is data: an id, a description, arguments, and steps. Each step is one of the mechanisms below; it changes
objects as an operator with kubectl would, or what no object shows (the state of a datastore, the load, a kubelet).
Symptoms, alerts and repairs follow from that by themselves. `truth` says what an honest diagnosis would blame; it is
for scoring, and nothing that diagnoses reads it.

```yaml
faults:
  - id: slow-and-small
    description: The way to a workload gets longer while its CPU limit is cut.
    arguments: {workload: null, delay: 300ms}       # null: must be given
    steps:
      - {do: set-resources, name: "${workload}", limits: {cpu: 50m}}
      - {do: network-chaos, name: slow, labels: {app: "${workload}"}, delay: "${delay}", after: 30}
    truth: {object: "Deployment/${workload}", fault: resource_saturation}
    alerts: [HighRequestLatency]
```

`stratus cluster up --faults my-faults.yaml` (or `EmbeddedCluster(faults=...)`) adds a file of your own to the shipped
ones; `stratus cluster faults --app NAME` lists what there is.

**Several at once.** Any number of faults can be there, the same one twice under two names (`--name`). Healing takes
back exactly what a fault changed, field by field: a field that somebody else has set meanwhile stays as it is, objects
that others have made anew stay, and the order of healing does not matter. When two faults changed the same field, the
value from before both comes back with the second.

**In time.** A fault can begin later (`--at`), end by itself (`--for`), come again (`--every`, `--times`), and a
numeric argument can grow to its value (`--ramp factor=1:120`). All of it happens on the cluster's clock, is kept in
the state file, and goes on in forks.

**Noise.** `on` and `heavy` add what else goes on in a cluster: warnings that mean nothing, labels and annotations that
change, harmless rollouts, workloads of the namespace `back-office` whose pods come and go. It stays away from what
injected faults are about, is the same for the same seed, ends after `--noise-budget` pieces, and `off` takes its
changes back.
"""

_SCENARIO = """## Scenarios

Several faults with their times, and noise, in one file for `stratus cluster up --scenario` and `stratus cluster inject
--scenario`; it is played whole or not at all.

```yaml
name: a bad evening
app: hotel-reservation
noise: "on"
faults:
  - {fault: cpu-limit-cut, arguments: {limit: 40m}}
  - {fault: traffic-surge, onset: 120, duration: 300, ramp: {argument: factor, start: 1, over: 60}}
  - {fault: any-scaled-to-zero, name: no-geo, arguments: {workload: geo}, onset: 200, duration: 30, every: 90, times: 3}
```
"""


_COMMON = "Every step has `after` (seconds after the fault's beginning) and `namespace` (else the application's)."
_TABLE = ("| id | what happens | arguments | blamed | alerts |", "|---|---|---|---|---|")


def page() -> str:
    """Return the page."""
    lines = [_HEAD, _SCENARIO]
    for kind, title in ((Scenario, "A scenario"), (Entry, "A fault of a scenario"), (Ramp, "`ramp`")):
        lines += [f"{title}:", "", *_fields(kind, frozenset()), ""]
    lines += ["## Mechanisms", "", _COMMON, ""]
    for name, step in sorted(MECHANISMS.items()):
        lines += [f"### {name}", "", _summary(step), "", *_fields(step, frozenset({"do", *Step.model_fields})), ""]
    lines += _families()
    for name, title in (("generic", "For any workload"), *((n, n) for n in loader.shipped())):
        faults = shipped(name)
        if faults:
            lines += [f"## Faults: {title}", "", *_TABLE]
            lines += [_row(f) for f in sorted(faults, key=lambda f: f.id)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _families() -> list[str]:
    lines = [
        "## What benchmarks inject", "",
        "The families of faults in AIOpsLab, ITBench and SREGym, and what stands for each. `-`: not represented, with",
        "the reason.", "",
        "| family | | mechanisms | faults | remark |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, family in sorted(coverage().families.items()):
        mark = "-" if not family.mechanisms else "partly" if family.why else "yes"
        mechanisms = ", ".join(f"`{m}`" for m in family.mechanisms)
        faults = ", ".join(f"`{f.removeprefix('generic:')}`" for f in family.faults)
        lines.append(f"| {name} | {mark} | {mechanisms} | {faults} | {family.why} |")
    return [*lines, ""]


def _row(fault: FaultSpec) -> str:
    given = ", ".join(k if v is None else f"{k}={v}" for k, v in fault.arguments.items())
    blamed = f"`{fault.truth.object}` {fault.truth.fault}" if fault.truth is not None else "nothing"
    text = " ".join(fault.description.split())
    return f"| `{fault.id}` | {text} | {given} | {blamed} | {', '.join(fault.alerts)} |"


def _summary(kind: type[Part]) -> str:
    return " ".join((inspect.getdoc(kind) or "").partition("Attributes:")[0].split())


def _fields(kind: type[Part], without: frozenset[str]) -> list[str]:
    rows = [(n, f) for n, f in kind.model_fields.items() if n not in without]
    if not rows:
        return []
    meanings: dict[str, str] = _meanings(Timing) if kind is Entry else {}
    for parent in reversed(kind.__mro__):
        if isinstance(parent, type) and issubclass(parent, Part) and parent is not Part:
            meanings.update(_meanings(parent))
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for name, info in rows:
        default = info.get_default(call_default_factory=True)
        shown = "required" if default is PydanticUndefined else f"`{_json(default)}`"
        lines.append(f"| `{name}` | {shown} | {meanings.get(name, '')} |")
    return lines


def _json(value: Any) -> str:
    return json.dumps(value, default=lambda v: list(v) if isinstance(v, tuple) else str(v))


def _meanings(kind: type[Part]) -> dict[str, str]:
    """Return what the docstring says of fields: `name: text`, or `name, other: text`, or `text; `name`: text`."""
    text = " ".join((kind.__doc__ or "").partition("Attributes:")[2].split())
    name = "|".join(sorted(kind.model_fields, key=len, reverse=True))
    if not name or not text:
        return {}
    found: dict[str, str] = {}
    places = list(re.finditer(rf"(?:^|[.;:)?] |[.;] `)((?:{name})(?:, (?:{name}))*)`?: ", text))
    for place, match in enumerate(places):
        end = places[place + 1].start() + 1 if place + 1 < len(places) else len(text)
        for one in match[1].split(", "):
            found[one] = text[match.end() : end].strip().rstrip(".;")
    return found
