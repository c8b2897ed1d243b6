"""Alert rules as data, and how they are read."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from stratus.errors import UsageError
from stratus.model.alerts import Severity
from stratus.sim.apps.loader import explain, read_yaml
from stratus.sim.apps.schema import Part

Condition = Literal[
    "failed", "pending", "unschedulable", "not-ready", "waiting", "crash-looping", "oom-killed", "throttled",
    "replicas-mismatch", "none-available", "node-not-ready",
]  # fmt: skip
_CONDITIONS = {
    "pods": {"failed", "pending", "unschedulable", "not-ready"},
    "containers": {"waiting", "crash-looping", "oom-killed", "throttled"},
    "deployments": {"replicas-mismatch", "none-available"},
    "nodes": {"node-not-ready"},
}


class Rule(Part):
    """One alert rule; the comments of data/rules.yaml explain the fields."""

    alert: str
    over: Literal["requests", "pods", "containers", "deployments", "nodes"]
    figure: Literal["error_rate", "p95", "p99", "rate"] | None = None
    condition: Condition | None = None
    window: float = Field(default=60.0, gt=0)
    above: float | None = None
    below: float | None = None
    min_rate: float = 0.0
    wait: float = Field(default=0.0, ge=0, alias="for")
    severity: Severity = "warning"
    summary: str = ""
    description: str = ""
    namespaces: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if self.over == "requests":
            if self.figure is None or (self.above is None) == (self.below is None):
                raise ValueError("a rule over requests needs `figure` and one of `above` and `below`")
        elif self.condition not in _CONDITIONS[self.over]:
            raise ValueError(
                f"a rule over {self.over} needs `condition`: one of {', '.join(sorted(_CONDITIONS[self.over]))}"
            )
        return self


class Rules(Part):
    """All rules, evaluated every `interval` seconds."""

    interval: float = Field(default=15.0, gt=0)
    rules: tuple[Rule, ...] = ()


def parse_rules(text: str, where: str) -> Rules:
    """Read rules.

    Raises:
        UsageError: with the path of the field that is wrong.
    """
    documents = read_yaml(text, where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{where}: alert rules are one YAML mapping with `interval` and `rules`")
    try:
        return Rules.model_validate(documents[0])
    except ValidationError as error:
        raise UsageError(explain(error, where)) from None


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
def shipped_rules() -> Rules:
    """Return the rules that come with the package."""
    file = resources.files("stratus.sim.telemetry").joinpath("data", "rules.yaml")
    return parse_rules(file.read_text(encoding="utf-8"), "rules.yaml")
