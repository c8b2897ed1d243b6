"""Alert rules as Prometheus rule files, and how they are read."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from stratus.errors import UsageError
from stratus.sim.apps.loader import explain, read_yaml
from stratus.sim.apps.schema import Part

#: Seconds between two evaluations of a group that names no interval.
INTERVAL = 15.0


class Rule(Part):
    """One rule: an alert, or a record of what an expression gives."""

    alert: str = ""
    record: str = ""
    expr: str
    wait: float = Field(default=0.0, alias="for")
    keep_firing_for: float = 0.0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @field_validator("wait", "keep_firing_for", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> float:
        return _seconds(value)

    @field_validator("expr", mode="before")
    @classmethod
    def _text(cls, value: Any) -> str:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        from stratus.sim.telemetry.promql.parser import PromQLError, parse

        if bool(self.alert) == bool(self.record):
            raise ValueError("a rule has one of `alert` and `record`")
        if self.record and (self.wait or self.keep_firing_for or self.annotations):
            raise ValueError("a recording rule has no `for`, `keep_firing_for` or `annotations`")
        try:
            parse(self.expr)
        except PromQLError as error:
            raise ValueError(f"expr: {error}") from None
        return self


class Group(Part):
    """Rules evaluated one after the other, every `interval` seconds."""

    name: str
    interval: float = INTERVAL
    limit: int = 0
    rules: tuple[Rule, ...] = ()

    @field_validator("interval", mode="before")
    @classmethod
    def _duration(cls, value: Any) -> float:
        found = _seconds(value)
        if found <= 0:
            raise ValueError("an interval is longer than 0")
        return found


class Rules(Part):
    """All groups; `source` is the file they come from."""

    groups: tuple[Group, ...] = ()
    source: str = ""

    @property
    def alerts(self) -> tuple[Rule, ...]:
        """Return the alerting rules of all groups."""
        return tuple(rule for group in self.groups for rule in group.rules if rule.alert)


def _seconds(value: Any) -> float:
    from stratus.sim.telemetry.promql.lexer import PromQLError, seconds_of

    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"a duration is not negative: {value}")
        return float(value)
    if value == "0":
        return 0.0
    try:
        return seconds_of(str(value))
    except PromQLError as error:
        raise ValueError(str(error)) from None


def parse_rules(text: str, where: str) -> Rules:
    """Read rules: a Prometheus rule file, PrometheusRule objects, or chart values with such files inside.

    Raises:
        UsageError: with the path of the field that is wrong.
    """
    found: list[Any] = []
    for document in read_yaml(text, where):
        found += _groups(document)
    if not found:
        raise UsageError(f"{where}: no `groups` of alert rules; write a Prometheus rule file")
    try:
        rules = Rules.model_validate({"groups": found, "source": where})
    except ValidationError as error:
        raise UsageError(explain(error, where)) from None
    names = [group.name for group in rules.groups]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: the group {twice!r} is there twice")
    return rules


def _groups(document: Any) -> list[Any]:
    """Return the groups of a document, wherever its kind keeps them."""
    if not isinstance(document, dict):
        return []
    if isinstance(document.get("groups"), list):
        return list(document["groups"])
    if isinstance(document.get("spec"), dict):
        return _groups(document["spec"])
    files = document.get("serverFiles")
    found: list[Any] = []
    if isinstance(files, dict):
        for name in sorted(files):
            found += _groups(files[name])
    return found


def load_rules(path: Path) -> Rules:
    """Read rules from a file.

    Raises:
        UsageError: it cannot be read or understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the alert rules {path} cannot be read ({error})") from None
    return parse_rules(text, str(path))


@lru_cache(maxsize=1)
def shipped_text() -> str:
    """Return the file of rules that comes with the package."""
    file = resources.files("stratus.sim.telemetry").joinpath("data", "rules.yaml")
    return file.read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def shipped_rules() -> Rules:
    """Return the rules that come with the package."""
    return parse_rules(shipped_text(), "rules.yaml")


def rule_file(rules: Rules) -> str:
    """Return the rules as a plain Prometheus rule file, for programs that take nothing else."""
    import yaml

    groups = []
    for group in rules.groups:
        told: list[dict[str, Any]] = []
        for rule in group.rules:
            one: dict[str, Any] = {"alert": rule.alert} if rule.alert else {"record": rule.record}
            one["expr"] = rule.expr
            if rule.wait:
                one["for"] = f"{round(rule.wait * 1000)}ms"
            if rule.keep_firing_for:
                one["keep_firing_for"] = f"{round(rule.keep_firing_for * 1000)}ms"
            one |= {"labels": dict(rule.labels)} if rule.labels else {}
            one |= {"annotations": dict(rule.annotations)} if rule.annotations else {}
            told.append(one)
        groups.append({"name": group.name, "interval": f"{round(group.interval * 1000)}ms", "rules": told})
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=1000)
