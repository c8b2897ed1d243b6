"""Validation: is an object allowed as it stands, and may it become what an update makes of it."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import custom
from stratus.sim.api.names import check_metadata
from stratus.sim.api.podupdates import validate_ephemeral, validate_pod_resize
from stratus.sim.api.resources import Resource
from stratus.sim.api.rules import CREATE, UPDATE
from stratus.sim.api.status import Problems
from stratus.sim.api.statusrules import STATUS

Obj = dict[str, Any]
#: How many layers of the real server look at the metadata of a change; each tells what it finds.
_LAYERS = {"Pod": 4, "Namespace": 2}
#: Kinds whose rules for a change are not those for a new object and some more.
_APART = ("Pod", "StatefulSet")


def validate_create(resource: Resource, obj: Obj, problems: Problems) -> None:
    """Collect everything wrong with a new object."""
    check_metadata(resource, obj["metadata"], problems)
    if resource.custom:
        custom.validate(resource.schema, obj, problems)
        return
    rule = CREATE.get(resource.kind)
    if rule is not None:
        rule(obj, problems)


def validate_update(resource: Resource, obj: Obj, old: Obj, subresource: str, problems: Problems) -> None:
    """Collect everything wrong with a change."""
    for _ in range(_LAYERS.get(resource.kind, 3)):
        check_metadata(resource, obj["metadata"], problems, update=True)
    if resource.custom:
        custom.validate(resource.schema, obj, problems, old)
        return
    if subresource == "status":
        reported = STATUS.get(resource.kind)
        if reported is not None:
            reported(obj, old, problems)
        return
    own = CREATE.get(resource.kind)
    if own is not None and resource.kind not in _APART:
        own(obj, problems)
    rule = UPDATE.get(resource.kind)
    if resource.kind == "Pod" and subresource == "resize":
        validate_pod_resize(obj["spec"], old["spec"], problems)
    elif resource.kind == "Pod" and subresource == "ephemeralcontainers":
        validate_ephemeral(obj["spec"], old["spec"], problems)
    elif rule is not None:
        rule(obj, old, problems)
