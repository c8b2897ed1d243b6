"""Reads suites: shipped ones by name, others by the path of their folder."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stratus.bench.suites.schema import Scenario, Suite, SuiteHead, Truth
from stratus.errors import UnknownNameError, UsageError
from stratus.sim.apps.loader import load_application, read_yaml
from stratus.sim.faults.engine import FaultEngine

HEAD = "suite.yaml"
FAULTS = "faults.yaml"
VARIABLE = "STRATUS_BENCH_SUITES"
CATALOGUE = "catalogue"


def suites_folder() -> Path:
    """Return where the shipped suites are: what the environment says, else `benchmarks/suites` of the repository."""
    said = os.environ.get(VARIABLE)
    if said:
        return Path(said)
    here = Path(__file__).resolve()
    for parent in (*here.parents, Path.cwd()):
        if (parent / "benchmarks" / "suites").is_dir():
            return parent / "benchmarks" / "suites"
    return Path.cwd() / "benchmarks" / "suites"


def suite_names() -> tuple[str, ...]:
    """Return the names of the shipped suites, and of the one that is made of the catalogue of faults."""
    folder = suites_folder()
    found = [p.parent.name for p in folder.glob(f"*/{HEAD}")] if folder.is_dir() else []
    return (*sorted(found), CATALOGUE)


def load_suite(name: str | Path) -> Suite:
    """Read a suite.

    Args:
        name: of a shipped suite, `catalogue`, or the path of a folder with a `suite.yaml`.

    Raises:
        UnknownNameError: there is none of that name.
        UsageError: it cannot be understood; with the file and the path of the field.
    """
    if str(name) == CATALOGUE:
        from stratus.bench.suites.catalogue import catalogue

        return catalogue()
    folder = suites_folder() / str(name)
    if not (folder / HEAD).is_file():
        folder = Path(name)
    if not (folder / HEAD).is_file():
        raise UnknownNameError(
            f"no suite {str(name)!r}: known are {', '.join(suite_names())}; "
            f"a suite of your own is a folder with a {HEAD}"
        )
    return _read(folder.resolve(), _stamp(folder))


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    return tuple((p.name, (s := p.stat()).st_mtime_ns, s.st_size) for p in sorted(folder.glob("*.yaml")))


@lru_cache(maxsize=16)
def _read(folder: Path, _stamped: tuple[tuple[str, int, int], ...]) -> Suite:
    head = _head(folder)
    scenarios: list[Scenario] = []
    for file in sorted(folder.glob("*.yaml")):
        if file.name not in (HEAD, FAULTS):
            scenarios += scenarios_of(file, head.name)
    return assemble(head, scenarios, folder)


def assemble(head: SuiteHead, scenarios: list[Scenario], folder: Path) -> Suite:
    """Put a suite together, its truths filled in from the faults.

    Raises:
        UsageError: two scenarios of the same id, or an application or fault that is not there.
    """
    seen: set[str] = set()
    for one in scenarios:
        if one.id in seen:
            raise UsageError(f"{folder}: two scenarios are called {one.id}")
        seen.add(one.id)
    filled = tuple(_filled(one, folder) for one in scenarios)
    return Suite(
        name=head.name,
        title=head.title,
        source=head.source,
        folder=str(folder),
        scenarios=filled,
        not_covered=head.not_covered,
    )


def _head(folder: Path) -> SuiteHead:
    text = (folder / HEAD).read_text(encoding="utf-8")
    documents = read_yaml(text, str(folder / HEAD))
    try:
        return SuiteHead.model_validate(documents[0] if documents else {})
    except ValidationError as error:
        raise UsageError(explain_plainly(error, str(folder / HEAD))) from None


def scenarios_of(file: Path, suite: str) -> list[Scenario]:
    """Return the scenarios of one file: a mapping with a list of `scenarios`, or one scenario.

    Raises:
        UsageError: with the scenario and the path of the field that is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the suite file {file} cannot be read ({error})") from None
    found: list[Scenario] = []
    for document in read_yaml(text, str(file)):
        if not isinstance(document, dict):
            raise UsageError(f"{file}: a suite file holds a scenario, or a mapping with a list of `scenarios`")
        entries = document.get("scenarios") if set(document) <= {"scenarios", "anchors"} else [document]
        for number, entry in enumerate(entries or []):
            name = entry.get("id", number) if isinstance(entry, dict) else number
            try:
                found.append(Scenario.model_validate({**entry, "suite": suite} if isinstance(entry, dict) else entry))
            except ValidationError as error:
                raise UsageError(explain_plainly(error, f"{file}, scenario {name}")) from None
    return found


def explain_plainly(error: ValidationError, where: str) -> str:
    """Say what is wrong with a document, one line per problem."""
    lines = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        said = "unknown field" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {path + ': ' if path else ''}{said}")
    return "\n".join(lines)


def app_of(scenario: Scenario, folder: str) -> str:
    """Return what the embedded cluster is to be given as the application: a name, or a path."""
    if scenario.app.endswith((".yaml", ".yml")):
        return str((Path(folder) / scenario.app).resolve())
    return scenario.app


def faults_of(folder: str) -> Path | None:
    """Return the suite's own fault file, None when it has none."""
    file = Path(folder) / FAULTS if folder else None
    return file if file is not None and file.is_file() else None


@lru_cache(maxsize=64)
def engine_for(app: str, faults: Path | None) -> FaultEngine:
    """Return the faults that an application can have.

    Raises:
        UnknownNameError, UsageError: the application or the fault file cannot be used.
    """
    return FaultEngine.load(load_application(app), faults)


def _filled(scenario: Scenario, folder: Path) -> Scenario:
    """Return the scenario with the objects, components and class of its truth taken from its faults."""
    engine = engine_for(app_of(scenario, str(folder)), faults_of(str(folder)))
    objects: list[str] = []
    classes: list[Any] = []
    for use in scenario.faults:
        spec = engine.specs.get(use.fault)
        if spec is None:
            raise UsageError(
                f"{folder}, scenario {scenario.id}: {scenario.app} has no fault {use.fault!r}; "
                f"`stratus cluster faults --app {scenario.app}` lists them"
            )
        told = spec.expected(use.arguments)
        if told is not None:
            objects += [told.object, *told.also]
            classes.append(told.fault)
    truth = scenario.truth
    objects = list(dict.fromkeys(truth.objects or objects))
    names = truth.localization or tuple(dict.fromkeys(o.rsplit("/", 1)[-1] for o in objects))
    known = next((c for c in classes if c != "unknown"), "unknown")
    fault = truth.fault if truth.fault != "unknown" else known
    data = {**truth.model_dump(), "objects": tuple(objects), "localization": names, "fault": fault}
    return scenario.model_copy(update={"truth": Truth.model_validate(data)})
