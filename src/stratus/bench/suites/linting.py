"""Finds what is wrong with a suite before anybody runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from stratus.bench.suites.checks import Endpoints, Reaches, Served
from stratus.bench.suites.loading import (
    FAULTS,
    HEAD,
    app_of,
    assemble,
    engine_for,
    explain_plainly,
    faults_of,
    scenarios_of,
)
from stratus.bench.suites.schema import Scenario, SuiteHead
from stratus.errors import StratusError
from stratus.model.base import Noun
from stratus.sim.apps.loader import load_application, read_yaml
from stratus.sim.faults.engine import makes


class Finding(Noun):
    """Something about a suite: an `error` keeps it from being run, a `warning` is likely a mistake."""

    where: str
    message: str
    level: Literal["error", "warning"] = "error"


def lint_suite(path: str | Path) -> tuple[Finding, ...]:
    """Return what is wrong with a suite, all of it at once.

    Args:
        path: of the suite's folder.
    """
    folder = Path(path)
    if not (folder / HEAD).is_file():
        return (Finding(where=str(folder), message=f"there is no {HEAD} in it, which says at least `name`"),)
    findings: list[Finding] = []
    head = _head(folder, findings)
    name = head.name if head is not None else ""
    scenarios: list[Scenario] = []
    for file in sorted(folder.glob("*.yaml")):
        if file.name in (HEAD, FAULTS):
            continue
        try:
            found = scenarios_of(file, name)
        except StratusError as error:
            findings += [Finding(where=str(file), message=line) for line in str(error).splitlines()]
            continue
        if not found:
            findings.append(Finding(where=str(file), message="it holds no scenario", level="warning"))
        scenarios += found
    if not scenarios and not findings:
        findings.append(Finding(where=str(folder), message="the suite has no scenarios", level="warning"))
    usable: list[Scenario] = []
    for scenario in scenarios:
        wrong = list(_faults(scenario, folder))
        findings += wrong
        if not wrong:
            usable.append(scenario)
    findings += _twice(scenarios, folder)
    if head is not None and usable and not any("two scenarios" in f.message for f in findings):
        for scenario in assemble(head, usable, folder).scenarios:
            findings += _names(scenario, folder)
    return tuple(findings)


def _head(folder: Path, findings: list[Finding]) -> SuiteHead | None:
    where = str(folder / HEAD)
    try:
        documents = read_yaml((folder / HEAD).read_text(encoding="utf-8"), where)
        return SuiteHead.model_validate(documents[0] if documents else {})
    except ValidationError as error:
        findings += [Finding(where=where, message=line) for line in explain_plainly(error, where).splitlines()]
    except (StratusError, OSError, UnicodeDecodeError) as error:
        findings.append(Finding(where=where, message=str(error)))
    return None


def _twice(scenarios: list[Scenario], folder: Path) -> Iterator[Finding]:
    seen: set[str] = set()
    for one in scenarios:
        if one.id in seen:
            yield Finding(where=_where(one, folder), message="two scenarios have this id")
        seen.add(one.id)


def _where(scenario: Scenario, folder: Path) -> str:
    return f"{folder}: {scenario.id}"


def _faults(scenario: Scenario, folder: Path) -> Iterator[Finding]:
    where = _where(scenario, folder)
    try:
        engine = engine_for(app_of(scenario, str(folder)), faults_of(str(folder)))
    except StratusError as error:
        yield Finding(where=where, message=str(error))
        return
    names: set[str] = set()
    for use in scenario.faults:
        spec = engine.specs.get(use.fault)
        if spec is None:
            yield Finding(where=where, message=f"{scenario.app} has no fault {use.fault!r}")
            continue
        if (use.name or use.fault) in names:
            yield Finding(where=where, message=f"{use.fault} occurs twice; give each a `name` of its own")
        names.add(use.name or use.fault)
        try:
            spec.resolve(use.arguments)
        except ValueError as error:
            yield Finding(where=where, message=f"{use.fault}: {error}")


def _names(scenario: Scenario, folder: Path) -> Iterator[Finding]:
    """Tell of names that neither the application nor a fault brings into being."""
    where = _where(scenario, folder)
    loaded = load_application(app_of(scenario, str(folder)))
    engine = engine_for(app_of(scenario, str(folder)), faults_of(str(folder)))
    there = {f"{o['kind']}/{o['metadata']['name']}" for o in loaded.objects}
    for use in scenario.faults:
        for step in engine.specs[use.fault].resolve(use.arguments):
            made = makes(step)
            # A Schedule makes objects of the kind it names, called after it.
            there |= made | {f"{getattr(step, 'kind', '')}/{m.partition('/')[2]}" for m in made}
    system = {"ConfigMap/coredns", "Deployment/coredns"}
    bare = {t.partition("/")[2] for t in there | system}
    for said in scenario.truth.objects:
        kind = said.partition("/")[0]
        if said not in there | system and kind != "Node":
            yield Finding(where=where, message=f"truth.objects: there is no {said}", level="warning")
    for name in scenario.truth.localization:
        if name not in bare and not any(name.startswith(b) for b in bare) and not name.startswith("node"):
            yield Finding(where=where, message=f"truth.localization: nothing is called {name}", level="warning")
    for check in (*scenario.original, *scenario.strict.must):
        said = getattr(check, "object", "") or (check.source if isinstance(check, Reaches) else "")
        if said and said.count("/") == 1 and said not in there:
            yield Finding(where=where, message=f"{check.check}: there is no {said}", level="warning")
        if isinstance(check, Endpoints | Served) and check.service and check.service not in bare:
            yield Finding(where=where, message=f"{check.check}: there is no service {check.service}", level="warning")


def shown(findings: tuple[Finding, ...]) -> str:
    """Return findings as lines of text."""
    return "\n".join(f"{f.level}: {f.where}: {f.message}" for f in findings)
