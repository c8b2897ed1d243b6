"""Bounds of one transaction, checked before its first write: commands, objects, pods that may become unavailable."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stratus.errors import BudgetSpent, CommandRefused
from stratus.model.actions import PlannedWrite
from stratus.model.base import Json
from stratus.settings import LimitSettings
from stratus.transaction.inverse import refusal, removes


def admit(writes: Sequence[PlannedWrite], limits: LimitSettings, *, inside: bool = False) -> None:
    """Let a transaction begin, or say why not.

    Args:
        inside: whether commands can be run in containers.

    Raises:
        CommandRefused: a write has no known inverse; nothing was sent.
        BudgetSpent: a limit would be exceeded; nothing was sent.
    """
    if not writes:
        raise CommandRefused("a transaction needs at least one write", code="empty")
    for planned in writes:
        if why := refusal(planned):
            raise CommandRefused(
                f"{planned.write.target}: {why}; only what can be taken back is executed",
                code="irreversible",
                hint="choose a change of the object (scale, set, patch) instead",
            )
        if planned.compensable is not None and not inside:
            raise CommandRefused(
                f"{planned.write.target}: this engine may not run commands in containers",
                code="no_exec",
                hint="choose a change of the object (scale, set, patch) instead",
            )
    _bound("commands", len(writes), limits.commands, "mutating commands")
    _bound("objects", len({p.write.target.key for p in writes}), limits.objects, "objects")
    pods = sum(unavailable(p) for p in writes)
    _bound("unavailable_pods", pods, limits.unavailable_pods, "pods made unavailable at once")


def unavailable(planned: PlannedWrite) -> int:
    """Estimate how many pods a write may make unavailable at once, from its pre-image and rehearsal."""
    write, before, after = planned.write, planned.pre_image or {}, planned.dry_run or {}
    if write.target.kind == "Pod" and removes(write):
        return 1
    spec, then = before.get("spec") or {}, after.get("spec") or {}
    replicas = _number(spec.get("replicas"), 1 if write.target.kind in ("Deployment", "StatefulSet") else 0)
    if write.subresource == "scale":
        wanted = then.get("replicas")
        if wanted is None and isinstance(write.body, dict):
            wanted = (write.body.get("spec") or {}).get("replicas")
        return max(0, replicas - _number(wanted, replicas))
    if write.method in ("PUT", "PATCH") and then:
        fewer = max(0, replicas - _number(then.get("replicas"), replicas))
        rolled = _rolled(spec, replicas) if then.get("template") != spec.get("template") else 0
        return max(fewer, rolled)
    return 0


def _rolled(spec: Json, replicas: int) -> int:
    """Return how many pods a rollout takes down at once."""
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    if strategy.get("type") == "Recreate":
        return replicas
    share = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    if isinstance(share, str) and share.endswith("%"):
        return math.floor(replicas * float(share[:-1]) / 100)
    return min(replicas, _number(share, 1))


def _number(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float | str) and str(value).lstrip("-").isdigit() else otherwise


def _bound(limit: str, wanted: int, most: int, what: str) -> None:
    if wanted > most:
        raise BudgetSpent(
            f"the transaction asks for {wanted} {what}, at most {most} are allowed; split it or raise limits.{limit}",
            limit=limit,
        )
