"""Which endpoints go into which EndpointSlice: at most a hundred each, and none is moved without need."""

from __future__ import annotations

from typing import Any

from stratus.sim.store import Obj

#: Most endpoints of one slice, and addresses of one Endpoints object.
MOST, MOST_ADDRESSES = 100, 1000
#: What becomes of a slice: (the old one or None, its endpoints, its ports).
Plan = tuple[Obj | None, list[Obj] | None, list[Obj] | None]


def plan(groups: list[tuple[list[Obj], list[Obj]]], mine: list[Obj]) -> tuple[list[Plan], list[Obj]]:
    """Return what each slice shall hold, and the slices that are needed no more.

    Args:
        groups: (endpoints, ports) of each set of ports there is.
        mine: the Service's slices as they are, sorted by name.
    """
    free = list(mine)
    open_: list[Plan] = []
    fresh: list[tuple[list[Obj], list[Obj]]] = []
    for endpoints, ports in groups:
        fitting = [s for s in free if (s.get("ports") or []) == ports]
        if len(endpoints) <= MOST and len(fitting) <= 1:
            if fitting:
                free.remove(fitting[0])
                open_.append((fitting[0], endpoints, ports))
            else:
                fresh.append((endpoints, ports))
            continue
        wanted = {_identity(e): e for e in endpoints}
        rooms: list[tuple[Obj, list[Obj]]] = []
        for piece in fitting:
            kept = [wanted.pop(k) for e in piece.get("endpoints") or () if (k := _identity(e)) in wanted]
            if kept:
                rooms.append((piece, kept))
                free.remove(piece)
        rest = list(wanted.values())
        for piece, kept in rooms:
            room = MOST - len(kept)
            open_.append((piece, kept + rest[:room], ports))
            rest = rest[room:]
        fresh += [(rest[at : at + MOST], ports) for at in range(0, len(rest), MOST)]
    for endpoints, ports in fresh:
        # A slice that nobody needs any more is used again.
        open_.append((free.pop(0) if free else None, endpoints, ports))
    if not open_:
        open_.append((free.pop(0) if free else None, None, None))
    return open_, free


def _identity(endpoint: Obj) -> Any:
    ref = endpoint.get("targetRef") or {}
    return ref.get("uid") or tuple(endpoint.get("addresses") or ())


def truncated(subsets: list[Obj]) -> tuple[list[Obj], bool]:
    """Return subsets with at most a thousand addresses, ready ones first, and whether any were left out."""
    total = sum(len(s.get(f) or ()) for s in subsets for f in ("addresses", "notReadyAddresses"))
    if total <= MOST_ADDRESSES:
        return subsets, False
    left = MOST_ADDRESSES
    kept: list[Obj] = [{"ports": s.get("ports")} for s in subsets]
    for field in ("addresses", "notReadyAddresses"):
        for old, new in zip(subsets, kept, strict=True):
            part = (old.get(field) or [])[:left]
            left -= len(part)
            if part:
                new[field] = part
    return [s for s in kept if len(s) > 1], True


def mirrored(endpoints: Obj) -> list[tuple[list[Obj], list[Obj]]]:
    """Return (endpoints, ports) of the slices that mirror an Endpoints object somebody wrote by hand."""
    groups = []
    for subset in endpoints.get("subsets") or ():
        ports = [
            {"name": p.get("name", ""), "port": p["port"], "protocol": p.get("protocol", "TCP")}
            | ({"appProtocol": p["appProtocol"]} if p.get("appProtocol") else {})
            for p in subset.get("ports") or ()
        ]
        found = []
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in (subset.get(field) or [])[:MOST_ADDRESSES]:
                entry: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
                for name in ("hostname", "nodeName", "targetRef"):
                    if address.get(name):
                        entry[name] = address[name]
                found.append(entry)
        if found:
            groups.append((found, ports))
    return groups
