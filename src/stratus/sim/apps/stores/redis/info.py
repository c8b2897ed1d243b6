"""What INFO says."""

from __future__ import annotations

import hashlib

from stratus.sim.apps.stores.redis.state import STARTUP, RedisState
from stratus.sim.apps.stores.redis.tables import information

_SYSTEM = 8_344_000_000
_TITLES = {"cpu": "CPU"}
#: Sections that INFO shows without being asked.
_USUAL = (
    "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster",
    "keyspace",
)  # fmt: skip


def human(size: float) -> str:
    """Return a size as the server writes it: 919.55K, 1.50M, 200B."""
    for unit in "BKMGT":
        if size < 1024 or unit == "T":
            return f"{size:.0f}B" if unit == "B" else f"{size:.2f}{unit}"
        size /= 1024
    return ""


def information_text(state: RedisState, wanted: list[str], now: float) -> str:
    """Return the text of INFO, with all sections or those that are wanted."""
    sections = information()
    names = [s for s in sections if s in (wanted or _USUAL) or {"all", "everything", "default"} & set(wanted)]
    values = _values(state, now)
    parts = []
    for name in names:
        rows = [(f, v.format_map(values) if "{" in v else v) for f, v in sections[name]]
        if name == "server" and state.kind == "valkey":
            rows = [("redis_version", "7.2.4"), ("server_name", "valkey"), ("valkey_version", state.version), *rows[1:]]
        if name == "keyspace":
            rows = _keyspace(state, now)
        title = _TITLES.get(name, name.capitalize())
        parts.append(f"# {title}\r\n" + "".join(f"{f}:{v}\r\n" for f, v in rows))
    return "\r\n".join(parts)


def _keyspace(state: RedisState, now: float) -> list[tuple[str, str]]:
    rows = []
    for number in sorted(state.databases):
        keys = state.keys(number, now)
        ageing = [e.expires - now for e in keys.values() if e.expires]
        average = int(sum(ageing) / len(ageing) * 1000) if ageing else 0
        if keys:
            rows.append((f"db{number}", f"keys={len(keys)},expires={len(ageing)},avg_ttl={average}"))
    return rows


def _values(state: RedisState, now: float) -> dict[str, str]:
    used, limit, up = state.used(), state.limit(), max(now - state.started, 0.0)
    clients = sum(p.connections for p in state.callers.values())
    run_id = hashlib.sha1(f"{state.name} {state.started}".encode(), usedforsecurity=False).hexdigest()
    peak = max(state.peak, used)
    rss = int(used * 1.3) + 4_600_000
    return {
        "version": state.version, "run": run_id[:15], "run_id": run_id, "port": state.setting("port"),
        "usec": str(int(now * 1e6)), "uptime": str(int(up)), "days": str(int(up // 86400)),
        "lru": str(int(now) & 0xFFFFFF), "clients": str(int(clients + 0.999) + 1),
        "maxclients": state.setting("maxclients"), "used": str(used), "used_human": human(used), "rss": str(rss),
        "rss_human": human(rss), "peak": str(peak), "peak_human": human(peak),
        "peak_share": f"{100 * used / peak:.2f}", "dataset": str(used - STARTUP),
        "dataset_share": f"{100 * (used - STARTUP) / max(used, 1):.2f}", "system": str(_SYSTEM),
        "system_human": human(_SYSTEM), "maxmemory": str(limit), "maxmemory_human": human(limit),
        "policy": state.setting("maxmemory-policy"), "fragmentation": f"{rss / used:.2f}", "dirty": str(state.dirty),
        "saved": str(int(state.saved)), "aof": str(int(state.setting("appendonly") == "yes")),
        "connections": str(state.connections), "commands": str(state.commands + int(state.work)),
        "ops": str(int(clients)),
        "rejected": "0", "expired": str(state.expired), "evicted": str(state.evicted), "hits": str(state.hits),
        "misses": str(state.misses), "errors": str(state.errors), "net_in": str(state.commands * 28),
        "net_out": str(state.commands * 40), "role": "master", "cpu_sys": f"{up * 0.0011:.6f}",
        "cpu_user": f"{up * 0.0017:.6f}", "client_memory": str(int(clients) * 22272),
    }  # fmt: skip
