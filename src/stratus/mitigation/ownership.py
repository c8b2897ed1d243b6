"""Who keeps an object as it is: GitOps tools, package managers, controllers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from stratus.model.base import Json
from stratus.rules import OwnerRule


@cache
def guard_facts() -> dict[str, Any]:
    """Read `guard.yaml`, the facts that policy checks rest on."""
    facts: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("guard.yaml").read_text(encoding="utf-8"))
    return facts


@dataclass(frozen=True)
class Keeper:
    """Somebody who would take a change back.

    Attributes:
        who: such as `Argo CD` or `ReplicaSet web-7d4f`.
        instead: where the change belongs.
        controller: whether it is a controller in the cluster rather than a delivery tool.
    """

    who: str
    instead: str
    controller: bool


def keeper(obj: Json, told: Sequence[OwnerRule] = ()) -> Keeper | None:
    """Return who keeps an object, or None when it is free to be changed.

    Args:
        obj: the object, with its managedFields.
        told: owners that the operator has named, besides those that are known.
    """
    meta = obj.get("metadata") or {}
    for owner in meta.get("ownerReferences") or []:
        if owner.get("controller"):
            kind, name = owner.get("kind", ""), owner.get("name", "")
            return Keeper(f"{kind} {name}", f"change {kind}/{name}", controller=True)
    managers = _managers(meta)
    marks = [*(meta.get("labels") or {}), *(meta.get("annotations") or {})]
    for row in guard_facts()["owners"]:
        if managers & set(row["managers"]) or set(marks) & {*row["labels"], *row["annotations"]}:
            return Keeper(row["name"], f"change {row['source']}", controller=False)
    for rule in told:
        writes = any(fnmatchcase(name, pattern) for name in managers for pattern in rule.managers)
        if writes or set(marks) & {*rule.labels, *rule.annotations}:
            return Keeper(rule.name, f"change {rule.source}", controller=False)
    return None


def installer_note(obj: Json) -> str:
    """Return a remark about the tool that installed an object, or nothing."""
    meta = obj.get("metadata") or {}
    labels = meta.get("labels") or {}
    for row in guard_facts()["installers"]:
        if _managers(meta) & set(row["managers"]) or any(labels.get(k) == v for k, v in row["labels"].items()):
            return f"installed by {row['name']}: {row['note']}"
    return ""


def _managers(meta: Json) -> set[str]:
    """Return the field managers of the object itself; writers of its status do not own it."""
    return {
        str(entry.get("manager", ""))
        for entry in meta.get("managedFields") or []
        if entry.get("subresource", "") in ("", "scale")
    }
