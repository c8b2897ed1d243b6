"""Which servers there are, and how a process of one begins and is talked to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stratus.sim.apps.schema import Account, Datastore
from stratus.sim.apps.stores.base import Boot, State
from stratus.sim.store import Obj

#: Kinds of datastores by the program that serves them.
PROGRAMS = {
    "redis-server": "redis", "valkey-server": "valkey", "memcached": "memcached", "postgres": "postgresql",
    "mongod": "mongodb",
}  # fmt: skip
#: What each kind's clients speak.
SPOKEN = {
    "redis": "redis",
    "valkey": "redis",
    "memcached": "memcached",
    "postgresql": "postgresql",
    "mongodb": "mongodb",
}
_PORTS = {"redis": 6379, "valkey": 6379, "memcached": 11211, "postgresql": 5432, "mongodb": 27017}


def create(datastore: Datastore) -> State | None:
    """Return the state that a datastore has at first, None for kinds that are kept otherwise."""
    kind = datastore.kind
    if kind == "redis":
        from stratus.sim.apps.stores.redis.state import RedisState

        return RedisState.fresh(datastore)
    if kind == "valkey":
        from stratus.sim.apps.stores.redis.state import Valkey

        return Valkey.fresh(datastore)
    if kind == "memcached":
        from stratus.sim.apps.stores.memcached import Memcached

        return Memcached.fresh(datastore)
    if kind == "postgresql":
        from stratus.sim.apps.stores.postgres.state import PostgresState

        return PostgresState.fresh(datastore)
    if kind == "mongodb":
        from stratus.sim.apps.stores.mongodb.state import Database

        return Database.fresh(datastore)
    return None


def generic(argv: list[str], env: Mapping[str, str]) -> Datastore | None:
    """Return what a server is that nobody described, going by its command line and environment."""
    words = [w.rpartition("/")[2] for w in argv[:3]]
    kind: Any = next((PROGRAMS[w] for w in words if w in PROGRAMS), None)
    if kind is None:
        return None
    if kind == "postgresql":
        user = env.get("POSTGRES_USER") or "postgres"
        account = Account(name=user, password=env.get("POSTGRES_PASSWORD", ""), roles=("superuser",))
        return Datastore(kind=kind, auth=True, accounts=(account,), names=(env.get("POSTGRES_DB") or user,))
    if kind == "mongodb":
        root = env.get("MONGO_INITDB_ROOT_USERNAME", "")
        accounts = (Account(name=root, password=env.get("MONGO_INITDB_ROOT_PASSWORD", ""), roles=("root@admin",)),)
        auth = bool(root) or "--auth" in argv
        return Datastore(kind=kind, auth=auth, accounts=accounts if root else ())
    return Datastore(kind=kind)


def implied(protocol: str) -> Datastore | None:
    """Return the datastore that a program is by what it speaks, when its description says nothing of one."""
    return Datastore(kind=protocol) if protocol in ("redis", "memcached") else None


def port_of(datastore: Datastore) -> int:
    """Return where a datastore usually listens."""
    return _PORTS.get(datastore.kind, 0)


def keeps(pod: Obj, container: Obj) -> bool:
    """Tell whether a container's server writes to a disk that outlives its pod."""
    volumes = {v["name"]: v for v in pod["spec"].get("volumes") or ()}
    mounted = (volumes.get(m["name"], {}) for m in container.get("volumeMounts") or () if not m.get("readOnly"))
    return any(v.get("persistentVolumeClaim") or v.get("hostPath") for v in mounted)


def boot_of(pod: Obj, container: Obj, argv: list[str], env: Mapping[str, str], at: float) -> Boot:
    """Return what a server's process is started with."""
    return Boot(at, tuple(argv), dict(env), keeps(pod, container), pod["metadata"]["name"])
