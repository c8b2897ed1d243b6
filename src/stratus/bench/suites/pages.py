"""The reference pages about suites: what is covered of which benchmark, and what a suite's files may say."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stratus.bench.suites.checks import Check
from stratus.bench.suites.loading import CATALOGUE, load_suite, suite_names
from stratus.bench.suites.schema import TASKS, NotCovered, Scenario, StrictSpec, Suite, SuiteHead, Truth
from stratus.model.base import Noun

_COVERAGE = """# What is covered of published benchmarks

Made by `python docs/generate.py` from the suites in `benchmarks/suites`. Everything runs on the embedded cluster: the
applications, their traffic and their figures are **emulated**. The ids are the originals'; what a scenario does, and
what is right, is told in our own words and data. Where an original's files disagree about the truth, it is what is
injected.

*Lenient*: the original's oracle, kept as it is, lets a state pass in which the fault is still there. The strict oracle
stands beside each and does not.
"""

_SCHEMA = """# Files of a benchmark suite

Made by `python docs/generate.py`. How to write a suite of your own: [own-suite](../how-to/own-suite.md).

A suite is a folder with a `suite.yaml`, further YAML files with scenarios (each file one scenario, or a mapping with a
list of `scenarios`), and, if it needs faults of its own, a `faults.yaml` ([faults](faults.md)).

```yaml
scenarios:
  - id: wrong-port
    title: The Service of geo sends to a port where nothing listens
    app: hotel-reservation
    family: service-port
    faults: [{fault: any-wrong-target-port, arguments: {service: geo}}]
    tasks: {detection: wrong-port, localization: wrong-port, mitigation: wrong-port}
    original: [{check: field, object: Service/geo, path: spec.ports.0.targetPort, equals: 8083}]
```
"""


#: What fields mean that several checks have.
_MEANINGS = {
    "object": "`Kind/name`, or `Kind/namespace/name` outside the application's namespace",
    "path": "of the field: steps with dots between, or a list of steps",
    "kind": "of the objects",
    "replicas": "number of pods",
    "service": "name of a Service in the application's namespace",
    "part": "of the name",
    "gone": "the object must not be there",
    "share": "least part of the healthy rate",
    "errors": "greatest part of the requests that may fail",
    "source": "workload (`Kind/name`) from one of whose pods it is tried",
    "host": "name to look up",
    "port": "to connect to",
    "command": "to run in the first container of a pod",
    "output": "what it has to print, blanks around it cut; none: anything",
    "bare": "without resources",
}


def coverage_page() -> str:
    """Return the page about coverage."""
    suites = [load_suite(name) for name in suite_names() if name != CATALOGUE]
    lines = [_COVERAGE, "| suite | scenarios of the original | covered | | tasks | lenient | translated |"]
    lines.append("|---|---|---|---|---|---|---|")
    for suite in suites:
        whole = len(suite.scenarios) + len(suite.not_covered)
        tasks = Counter(t for s in suite.scenarios for t in s.tasks)
        told = ", ".join(f"{t} {tasks[t]}" for t in TASKS if tasks[t])
        lenient, translated = (sum(bool(getattr(s, f)) for s in suite.scenarios) for f in ("lenient", "translated"))
        part = f"{suite.coverage:.1%}"
        lines.append(
            f"| {suite.title} | {whole} | {len(suite.scenarios)} | {part} | {told} | {lenient} | {translated} |"
        )
    for suite in suites:
        lines += ["", f"## {suite.title}", "", f"After {suite.source}.", "", *_scenarios(suite)]
        if suite.not_covered:
            lines += ["", "Not covered, and counted as missing:", "", "| id | tasks | reason |", "|---|---|---|"]
            lines += [f"| `{n.id}` | {', '.join(n.tasks)} | {n.reason} |" for n in suite.not_covered]
    return "\n".join(lines) + "\n"


def _scenarios(suite: Suite) -> list[str]:
    lines = ["| id | what happens | application | family | tasks | remarks |", "|---|---|---|---|---|---|"]
    for one in suite.scenarios:
        app = one.app.rsplit("/", 1)[-1].removesuffix(".yaml")
        said = [one.translated] if one.translated else []
        said += [f"truth: {one.truth.text}"] if one.truth.text else []
        said += [f"*lenient*: {one.lenient}"] if one.lenient else []
        tasks = ", ".join(t for t in TASKS if t in one.tasks)
        lines.append(f"| `{one.id}` | {one.title} | {app} | {one.family} | {tasks} | {'; '.join(said)} |")
    return lines


def schema_page() -> str:
    """Return the page about the files."""
    lines = [_SCHEMA]
    kinds: tuple[tuple[type[Noun], str], ...] = (
        (SuiteHead, "`suite.yaml`"),
        (NotCovered, "An entry of `not_covered`"),
        (Scenario, "A scenario"),
        (Truth, "`truth`"),
        (StrictSpec, "`strict`"),
    )
    for kind, title in kinds:
        lines += [f"## {title}", "", _summary(kind), "", *_fields(kind, frozenset({"suite"})), ""]
    lines += ["## Checks of `original` and `strict.must`", ""]
    for kind in get_args(get_args(Check)[0]):
        name = kind.model_fields["check"].default
        lines += [f"### {name}", "", _summary(kind), "", *_fields(kind, frozenset({"check"})), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(kind: type[Noun]) -> str:
    return " ".join((inspect.getdoc(kind) or "").partition("Attributes:")[0].split())


def _fields(kind: type[Noun], without: frozenset[str]) -> list[str]:
    meanings = {**_MEANINGS, **_meanings(kind)}
    rows = [
        f"| `{name}` | {_default(field)} | {meanings.get(name, '')} |"
        for name, field in kind.model_fields.items()
        if name not in without
    ]
    return ["| field | default | meaning |", "|---|---|---|", *rows] if rows else []


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return "`{}`" if isinstance(value, Noun) else f"`{json.dumps(value, default=list)}`"


def _meanings(kind: type[Noun]) -> dict[str, str]:
    """Return what the docstring says of fields: `name: text` or `name, other: text`, each from a line of its own."""
    found: dict[str, str] = {}
    text = (inspect.getdoc(kind) or "").partition("Attributes:")[2]
    for entry in re.split(r"\n    (?=\w)", text):
        names, _, said = " ".join(entry.split()).partition(": ")
        for name in names.split(", "):
            found[name] = said
    return found
