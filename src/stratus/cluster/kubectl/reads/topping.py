"""`kubectl top`: the use of CPU and memory, from telemetry; unknown when nothing measures it."""

from __future__ import annotations

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, not_found
from stratus.cluster.kubectl.reads.columns import table
from stratus.kit.kube import dig, quantity
from stratus.model.base import Json
from stratus.model.evidence import Usage

Amounts = tuple[float, float]
_NONE = "error: Metrics API not available"


def run(look: Look) -> ReadAnswer:
    """Run `top pod` and `top node`."""
    if look.usage is None:
        raise Failed(f"{_NONE} (no source of metrics is configured)")
    return _nodes(look) if look.read.targets[0].kind == "Node" else _pods(look)


def _measured(look: Look, spaces: tuple[str, ...]) -> dict[tuple[str, str], list[Usage]]:
    assert look.usage is not None
    found = look.usage(spaces)
    if not found:
        raise Failed(f"{_NONE} (the source has no values for {', '.join(spaces) or 'any namespace'})")
    by_pod: dict[tuple[str, str], list[Usage]] = {}
    for usage in found:
        by_pod.setdefault((usage.namespace, usage.pod), []).append(usage)
    return by_pod


def _pods(look: Look) -> ReadAnswer:
    named = [t for t in look.read.targets if t.name]
    pods = [p for t in look.read.targets for p in look.objects(t)]
    spaces = tuple(sorted({str(p["metadata"]["namespace"]) for p in pods})) or (look.read.namespace,)
    if not pods and not named:
        return ReadAnswer(complaint=f"No resources found in {look.read.namespace} namespace.")
    measured = _measured(look, spaces)
    rows: list[tuple[list[str], Amounts]] = []
    unmeasured = []
    for pod in pods:
        meta = pod["metadata"]
        used = measured.get((meta["namespace"], meta["name"]))
        if used is None:
            unmeasured.append(meta["name"])
            continue
        front = [meta["namespace"]] if look.everywhere else []
        if look.on("containers"):
            rows += [([*front, meta["name"], u.container], _of([u])) for u in sorted(used, key=lambda u: u.container)]
        else:
            rows.append(([*front, meta["name"]], _of(used)))
    header = [*(["NAMESPACE"] if look.everywhere else []), *(["POD"] if look.on("containers") else [])]
    header += ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    rows = _sorted(look, rows)
    body = [[*front, _cpu(a[0]), _memory(a[1])] for front, a in rows]
    if look.on("sum") and rows:
        gap = [""] * (len(header) - 3)
        total = (sum(a[0] for _, a in rows), sum(a[1] for _, a in rows))
        body += [[*gap, "", "________", "________"], [*gap, "", _cpu(total[0]), _memory(total[1])]]
    said = f"not measured: {', '.join(sorted(unmeasured))}" if unmeasured else ""
    return ReadAnswer(text=table(header, body, headers=not look.on("no-headers")), complaint=said)


def _nodes(look: Look) -> ReadAnswer:
    """Sum up the pods of each node, since a source of metrics knows containers."""
    named = {t.name for t in look.read.targets if t.name}
    nodes = [n for t in look.read.targets for n in look.objects(t)]
    if named - {n["metadata"]["name"] for n in nodes}:
        raise Failed(not_found(look.resource(look.read.targets[0]), sorted(named)[0]))
    pods = look.reader.list("v1/Pod", None)
    where = {(p["metadata"]["namespace"], p["metadata"]["name"]): dig(p, "spec", "nodeName") for p in pods}
    measured = _measured(look, tuple(sorted({space for space, _ in where})))
    rows: list[tuple[list[str], Amounts]] = []
    capacity: dict[str, Json] = {}
    for node in nodes:
        name = node["metadata"]["name"]
        capacity[name] = dig(node, "status", "allocatable", default={})
        used = [u for key, many in measured.items() if where.get(key) == name for u in many]
        rows.append(([name], _of(used)))
    body = []
    for (name,), (cpu, memory) in _sorted(look, rows):
        shares = [_share(cpu, capacity[name].get("cpu")), _share(memory, capacity[name].get("memory"))]
        body.append([name, _cpu(cpu), shares[0], _memory(memory), shares[1]])
    header = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    return ReadAnswer(
        text=table(header, body, headers=not look.on("no-headers")),
        complaint="(summed over the containers of each node)",
    )


def _of(used: list[Usage]) -> Amounts:
    return (sum(u.cpu_cores or 0.0 for u in used), sum(u.memory_bytes or 0.0 for u in used))


def _sorted(look: Look, rows: list[tuple[list[str], Amounts]]) -> list[tuple[list[str], Amounts]]:
    by = {"cpu": 0, "memory": 1}.get(look.option("sort-by"))
    return sorted(rows, key=lambda row: (-row[1][by], row[0]) if by is not None else (0.0, row[0]))


def _cpu(cores: float) -> str:
    return f"{round(cores * 1000)}m"


def _memory(size: float) -> str:
    return f"{round(size / 2**20)}Mi"


def _share(used: float, of: object) -> str:
    whole = quantity(of)
    return f"{int(used * 100 / whole)}%" if whole else "<unknown>"
