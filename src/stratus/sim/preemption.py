"""Makes room for pods of higher priority: whom to remove from which node, and how that is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.common import begin_deletion, condition, key_of, matches, pod_finished, with_status
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import CURABLE
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.scheduler import Scheduler

NO_HELP = "Preemption is not helpful for scheduling"
NOBODY = "No preemption victims found for incoming pod"
#: Added to priorities before they are summed, so that fewer victims of low priority beat many.
SHIFT = 2_147_483_648


def priority(pod: Obj) -> int:
    """Return a pod's priority, 0 without one."""
    return int(pod["spec"].get("priority") or 0)


@dataclass(slots=True)
class Plan:
    """What preemption came to: a node and its victims, or the words that say why there are none."""

    node: str = ""
    victims: list[Obj] = field(default_factory=list)
    text: str = ""


class Preemptor:
    """The default preemption of the scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.store = scheduler.store

    def plan(self, pod: Obj, nodes: list[Obj], refused: dict[str, list[str]]) -> Plan:
        """Choose the node where making room for a pod hurts least.

        Args:
            pod: the pod that found no node.
            nodes: all nodes.
            refused: why each node refused it, by name.
        """
        if pod["spec"].get("preemptionPolicy") == "Never":
            return Plan(text="not eligible due to preemptionPolicy=Never.")
        nominated = (pod.get("status") or {}).get("nominatedNodeName")
        if nominated and self._leaving(pod, nominated):
            return Plan(text="not eligible due to a terminating pod on the nominated node.")
        words: Counter[str] = Counter()
        best: tuple[tuple[float, ...], str, list[Obj]] | None = None
        budgets = self.store.list("poddisruptionbudgets.policy") if any(refused.values()) else []
        for node in nodes:
            name = node["metadata"]["name"]
            if not self._curable(pod, node, refused.get(name) or [NO_HELP]):
                words[NO_HELP] += 1
                continue
            lower = [p for p in self._on(name) if priority(p) < priority(pod)]
            if not lower:
                words[NOBODY] += 1
                continue
            hidden = {key_of(p) for p in lower}
            still = self.scheduler.placement.without(hidden, pod, node, nodes)
            if still:
                words.update(still)
                continue
            victims, violations = self._spare(pod, node, nodes, lower, budgets)
            rank = self._rank(victims, violations)
            if best is None or (rank, name) < best[:2]:
                best = (rank, name, victims)
        if best is not None:
            return Plan(best[1], best[2])
        shown = ", ".join(sorted(f"{n} {reason}" for reason, n in words.items()))
        return Plan(text=f"0/{len(nodes)} nodes are available: {shown}.")

    def carry_out(self, pod: Obj, plan: Plan) -> None:
        """Mark and delete the victims, gracefully, and take back promises to pods that matter less."""
        control, now = self.scheduler.control, self.scheduler.clock.now()
        for victim in plan.victims:
            current = self.store.get("pods", *key_of(victim))
            if current is None or "deletionTimestamp" in current["metadata"]:
                continue
            target = {
                "type": "DisruptionTarget",
                "observedGeneration": current["metadata"].get("generation", 1),
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": iso(now),
                "reason": "PreemptionByScheduler",
                "message": "default-scheduler: preempting to accommodate a higher priority pod",
            }
            status = dict(current.get("status") or {})
            others = [c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"]
            status["conditions"] = [*others, target]
            current = self.store.update("pods", with_status(current, status))
            control.events.record_new(
                current,
                "Normal",
                "Preempted",
                f"Preempted by pod {pod['metadata']['uid']} on node {plan.node}",
                self.scheduler.component,
                "Preempting",
                "default-scheduler-sim",
                related=pod,
            )
            begin_deletion(self.store, "pods", current, now)
        for key, (node, rank, _) in list(self.scheduler.placement.nominated.items()):
            if node == plan.node and rank < priority(pod):
                other = self.store.get("pods", *key)
                if other is not None:
                    left = {k: v for k, v in other["status"].items() if k != "nominatedNodeName"}
                    self.store.update("pods", with_status(other, left))

    def _on(self, node: str) -> list[Obj]:
        return [p for p in self.scheduler.control.index.by_node.get(node, {}).values() if not pod_finished(p)]

    def _leaving(self, pod: Obj, node: str) -> bool:
        """Tell whether pods that were preempted on a node are still on their way out."""
        return any(
            "deletionTimestamp" in p["metadata"]
            and priority(p) < priority(pod)
            and (condition(p, "DisruptionTarget") or {}).get("reason") == "PreemptionByScheduler"
            for p in self._on(node)
        )

    def _curable(self, pod: Obj, node: Obj, refusals: list[str]) -> bool:
        if not all(r in CURABLE or r.startswith(("Insufficient", "Too many")) for r in refusals):
            return False
        room = (node.get("status") or {}).get("allocatable") or {}
        # A request that an empty node could not meet is not helped by evicting anybody.
        asked = self.scheduler.placement.asked(pod)
        return all(v <= parse_quantity(room.get(k)) + 1e-9 for k, v in asked.items() if v > 0)

    def _spare(
        self, pod: Obj, node: Obj, nodes: list[Obj], lower: list[Obj], budgets: list[Obj]
    ) -> tuple[list[Obj], int]:
        """Let stay whoever can: the most important first, those that a budget protects before the others."""
        lower = sorted(lower, key=lambda p: (-priority(p), self._since(p), p["metadata"]["name"]))
        protected, free = self._protected(lower, budgets)
        hidden = {key_of(p) for p in lower}
        victims: list[Obj] = []
        violations = 0
        for group, counts in ((protected, 1), (free, 0)):
            for candidate in group:
                key = key_of(candidate)
                hidden.discard(key)
                if self.scheduler.placement.without(hidden, pod, node, nodes):
                    hidden.add(key)
                    victims.append(candidate)
                    violations += counts
        return victims, violations

    @staticmethod
    def _protected(pods: list[Obj], budgets: list[Obj]) -> tuple[list[Obj], list[Obj]]:
        """Part pods into those whose removal would break a budget, counted in order, and the rest."""
        left = {key_of(b): int((b.get("status") or {}).get("disruptionsAllowed", 0)) for b in budgets}
        protected: list[Obj] = []
        free: list[Obj] = []
        for pod in pods:
            breaks = False
            for budget in budgets:
                if budget["metadata"]["namespace"] != pod["metadata"]["namespace"]:
                    continue
                labels = pod["metadata"].get("labels")
                if not labels or not matches(budget["spec"].get("selector"), labels):
                    continue
                if pod["metadata"]["name"] in ((budget.get("status") or {}).get("disruptedPods") or {}):
                    continue
                left[key_of(budget)] -= 1
                breaks = breaks or left[key_of(budget)] < 0
            (protected if breaks else free).append(pod)
        return protected, free

    @staticmethod
    def _since(pod: Obj) -> float:
        return parse_iso((pod.get("status") or {}).get("startTime") or pod["metadata"]["creationTimestamp"])

    def _rank(self, victims: list[Obj], violations: int) -> tuple[float, ...]:
        """Order candidates, best first: broken budgets, highest victim, sum of priorities, number, youngest."""
        if not victims:
            return (violations, -SHIFT, 0, 0, 0)
        highest = max(priority(v) for v in victims)
        earliest = min(self._since(v) for v in victims if priority(v) == highest)
        return (violations, highest, sum(priority(v) + SHIFT for v in victims), len(victims), -earliest)
