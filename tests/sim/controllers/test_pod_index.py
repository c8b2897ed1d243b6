"""The index of pods: whatever changes, it says what the store says."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stratus.kit.clock import VirtualClock
from stratus.sim.controllers.base import PodIndex
from stratus.sim.store import Store

ANTI = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "x"}]}}
NAMES, NODES, TEAMS, ADDRESSES = ("a", "b", "c"), (None, "n1", "n2"), ("red", "blue"), (None, "10.0.0.1", "10.0.0.2")
PHASES = ("Pending", "Running", "Succeeded")

steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("put", "status", "delete")),
        st.sampled_from(NODES),
        st.sampled_from(TEAMS),
        st.sampled_from(ADDRESSES),
        st.sampled_from(PHASES),
        st.booleans(),
    ),
    max_size=25,
)


@given(steps)
def test_it_says_what_the_store_says(moves: list[tuple[Any, ...]]) -> None:
    store = Store(VirtualClock(0.0), random.Random(0))
    index = PodIndex()
    store.subscribe(index.apply, "pods")
    for name, what, node, team, address, phase, repels in moves:
        known = store.get("pods", "d", name)
        status = {"phase": phase, **({"podIP": address} if address else {})}
        if what == "delete":
            store.delete("pods", "d", name)
        elif what == "status" and known is not None:  # the spec stays the same object, as controllers leave it
            store.update("pods", {**known, "status": {**known["status"], "note": team}})
        else:
            spec = {"nodeName": node, "affinity": ANTI if repels else {}}
            meta = {"name": name, "namespace": "d", "labels": {"team": team}}
            body = {"metadata": meta, "spec": spec, "status": status}
            if known is None:
                store.create("pods", body)
            else:
                store.update("pods", {**body, "metadata": {**known["metadata"], "labels": {"team": team}}})
    pods = store.list("pods")
    assert index.in_namespace("d") == pods
    for team in TEAMS:
        assert index.select_labels("d", {"team": team}) == [p for p in pods if p["metadata"]["labels"]["team"] == team]
    for node in ("n1", "n2"):
        here = [p for p in pods if p["spec"]["nodeName"] == node]
        assert sorted(index.by_node.get(node, {}).values(), key=lambda p: p["metadata"]["name"]) == here
    anti = [p for p in pods if p["spec"]["nodeName"] and p["spec"]["affinity"]]
    assert sorted(index.repelling.values(), key=lambda p: p["metadata"]["name"]) == anti


@given(steps)
def test_every_change_on_a_node_is_a_new_version_of_its_sum(moves: list[tuple[Any, ...]]) -> None:
    """Sums over a node are kept as long as its version stands: a change without a new one would be lost."""
    index = PodIndex()
    before: dict[str, dict[str, Any]] = {}
    for name, what, node, team, address, phase, _ in moves:
        old = before.get(name)
        spec = old["spec"] if old and what == "status" else {"nodeName": node}
        new = {
            "metadata": {"name": name, "namespace": "d", "labels": {"team": team}},
            "spec": spec,
            "status": {"phase": phase, "podIP": address},
        }
        seen = dict(index.versions)
        from stratus.sim.store import Change

        if what == "delete":
            if old is None:
                continue
            index.apply(Change("DELETED", "pods", old, old, 1))
            del before[name]
        else:
            index.apply(Change("MODIFIED" if old else "ADDED", "pods", new, old, 1))
            before[name] = new
        touched = {p["spec"]["nodeName"] for p in (old, None if what == "delete" else new) if p} - {None}
        assert all(index.versions[n] > seen.get(n, 0) for n in touched)
