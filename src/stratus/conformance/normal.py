"""Makes alike what differs from run to run: uids, versions, times, generated names, allocated addresses and ports."""

from __future__ import annotations

import json
import re
from typing import Any

UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: A resourceVersion or a record number inside a text.
VERSIONED = re.compile(r"(record \(|current: |resourceVersion\W+)\d+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_TOKEN_VOLUME = re.compile(r"kube-api-access-\w{5}")
#: Managers whose entries come from controllers at work beside the request.
_AT_WORK = re.compile("controller|scheduler")


def neutral(obj: Any, *, managed: bool = True) -> Any:
    """Return an object without what differs from run to run; `managed` keeps who owns which field."""
    out = json.loads(_TOKEN_VOLUME.sub("kube-api-access-xxxxx", UID.sub("UID", json.dumps(obj))))
    meta = out.get("metadata", {})
    for field in ("resourceVersion", "creationTimestamp"):
        meta.pop(field, None)
    (meta.get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    if meta.get("annotations") == {}:
        del meta["annotations"]
    entries = [e for e in meta.pop("managedFields", None) or [] if not _AT_WORK.search(e["manager"])]
    for entry in entries:
        entry.pop("time", None)
    if managed:
        meta["managedFields"] = entries
    if isinstance(out.get("status"), dict) and out["status"].get("lastPhaseTransitionTime"):
        out["status"]["lastPhaseTransitionTime"] = "T"
    if "deletionTimestamp" in meta:
        meta["deletionTimestamp"] = "T"
    return out


def without_allocation(obj: Any, asked: dict[str, Any]) -> Any:
    """Return a Service without the addresses and ports that the server chose itself; everything else unchanged."""
    spec = obj.get("spec") or {}
    if obj.get("kind") != "Service":
        return obj
    if spec.get("clusterIP") != "None" and not asked.get("clusterIP"):
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    for port in spec.get("ports") or ():
        port.pop("nodePort", None)
    spec.pop("healthCheckNodePort", None)
    return obj


def plain(value: Any) -> str:
    """Return an answer as text with uids, times and versions made alike, for comparing errors whole."""
    return TIME.sub("T", VERSIONED.sub(r"\1N", UID.sub("U", json.dumps(value, sort_keys=True))))


def difference(got: Any, want: Any, path: str = "") -> str:
    """Return the first few places where two JSON values differ, shortened; empty when they are the same."""
    return "; ".join(_differences(got, want, path)[:4])


def _differences(got: Any, want: Any, path: str) -> list[str]:
    if got == want:
        return []
    if isinstance(got, dict) and isinstance(want, dict):
        found = []
        for key in sorted(got.keys() | want.keys(), key=str):
            here = f"{path}.{key}" if path else str(key)
            if key not in got:
                found.append(f"{here}: missing, recorded {_short(want[key])}")
            elif key not in want:
                found.append(f"{here}: {_short(got[key])}, not in the recording")
            else:
                found += _differences(got[key], want[key], here)
        return found
    if isinstance(got, list) and isinstance(want, list):
        if len(got) != len(want):
            return [f"{path}: {len(got)} entries {_short(got)}, recorded {len(want)} {_short(want)}"]
        return [d for i, (a, b) in enumerate(zip(got, want, strict=True)) for d in _differences(a, b, f"{path}[{i}]")]
    if isinstance(got, str) and isinstance(want, str) and len(got) > 160 < len(want):
        begin = max(next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), 0) - 40, 0)
        return [f"{path or 'value'}, from character {begin}: {_short(got[begin:])}, recorded {_short(want[begin:])}"]
    return [f"{path or 'value'}: {_short(got)}, recorded {_short(want)}"]


def _short(value: Any, limit: int = 160) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def text_difference(got: str, want: str) -> str:
    """Return the first lines where two texts differ; empty when they are the same."""
    mine, real = got.splitlines(), want.splitlines()
    found = []
    for number in range(max(len(mine), len(real))):
        a = mine[number] if number < len(mine) else None
        b = real[number] if number < len(real) else None
        if a != b:
            shown = "nothing" if a is None else repr(_short(a))
            meant = "nothing" if b is None else repr(_short(b))
            found.append(f"line {number + 1}: {shown}, recorded {meant}")
        if len(found) == 3:
            break
    if not found and got != want:
        found.append("line ends differ")
    return "; ".join(found)
