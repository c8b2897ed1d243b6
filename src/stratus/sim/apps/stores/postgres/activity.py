"""Who is connected, what they do, and who keeps whom waiting."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.base import Peer
from stratus.sim.apps.stores.postgres.locks import conflicts, mode_of
from stratus.sim.apps.stores.postgres.objects import Backend, Relation

if TYPE_CHECKING:
    from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.readers import moment_of, reader


# sessions
def peer_pid(session: Session, address: str, number: int) -> int:
    """Return the pid of a connection that a program keeps open."""
    return 100 + zlib.crc32(f"{session.state.started} {address} {number}".encode()) % 30000


def _peers(session: Session) -> list[tuple[int, str, int, Peer]]:
    """Return (pid, address, port, program) of the connections that programs keep open."""
    found = []
    for address, peer in sorted(session.state.callers.items()):
        for number in range(min(int(peer.connections + 0.999), 120)):
            pid = peer_pid(session, address, number)
            found.append((pid, address, 32768 + zlib.crc32(f"{address} {number}".encode()) % 28000, peer))
    return found


def query_of(peer: Peer, relation: Relation | None) -> str:
    verb = peer.operation.split(" ")[0].lower() or "select"
    table = f"{relation.schema}.{relation.name}" if relation is not None else ""
    if not table:
        return "SELECT 1"
    if verb == "insert":
        return f"INSERT INTO {table} VALUES ($1, $2)"  # noqa: S608 (only shown)
    if verb in ("update", "delete"):
        start = "UPDATE {} SET id = $1" if verb == "update" else "DELETE FROM {} WHERE id = $1"
        return start.format(table)
    columns = ", ".join(relation.names()[:4]) if relation is not None else "*"
    return f"SELECT {columns} FROM {table}"  # noqa: S608 (only shown)


def table_of(session: Session, peer: Peer) -> Relation | None:
    catalog = session.state.catalogs.get(peer.database or peer.user)
    tables = [r for r in catalog.relations.values() if r.kind == "r"] if catalog is not None else []
    wanted = [r for r in tables if f"{r.schema}.{r.name}" in peer.tables or r.name in peer.tables]
    return next(iter(wanted or tables), None)


def _holder(session: Session, peer: Peer) -> tuple[Backend, Relation, str] | None:
    """Return who keeps a program's requests waiting, with the table and the lock it wants."""
    verb = peer.operation.split(" ")[0].lower()
    mode = mode_of("r" if verb in ("", "select", "find", "get") else "w")
    catalog = session.state.catalogs.get(peer.database or peer.user)
    for backend in session.state.live(session.moment):
        for relation in catalog.relations.values() if catalog is not None else ():
            if peer.tables and not ({relation.name, f"{relation.schema}.{relation.name}"} & set(peer.tables)):
                continue
            held = any(oid == relation.oid and conflicts(m, mode) for oid, m in backend.locks)
            if held or (relation.oid in backend.rows and verb in ("update", "delete")):
                return backend, relation, mode
    return None


def _activity(
    session: Session, pid: int, database: str, user: str, application: str, address: str, port: int | None,
    begun: float,
    transaction: float, query_at: float, state: str, wait: tuple[str, str], query: str, kind: str = "client backend",
) -> dict[str, Any]:  # fmt: skip
    catalog, role = session.state.catalogs.get(database), session.state.roles.get(user)
    mine = session.state.is_super(session.user) or session.state.reaches(session.user, user)
    full = (
        mine
        or session.state.reaches(session.user, "pg_monitor")
        or session.state.reaches(session.user, "pg_read_all_stats")
    )
    return {
        "datid": catalog.oid if catalog is not None else None, "datname": database or None, "pid": pid,
        "leader_pid": None,
        "usesysid": role.oid if role is not None else None, "usename": user or None, "application_name": application,
        "client_addr": (address or None) if full else None, "client_hostname": None,
        "client_port": (port if address else -1) if full and kind == "client backend" else None,
        "backend_start": moment_of(begun), "xact_start": moment_of(transaction) if full else None,
        "query_start": moment_of(query_at) if full else None, "state_change": moment_of(query_at) if full else None,
        "wait_event_type": (wait[0] or None) if full else None, "wait_event": (wait[1] or None) if full else None,
        "state": (state or None) if full else None, "backend_xid": None, "backend_xmin": None, "query_id": None,
        "query": query if full else "<insufficient privilege>", "backend_type": kind,
    }  # fmt: skip


@reader("pg_stat_activity")
def activity_rows(session: Session) -> list[dict[str, Any]]:
    """Return the rows of pg_stat_activity."""
    state, now = session.state, session.moment
    rows = []
    for number, kind in enumerate(
        ("checkpointer", "background writer", "walwriter", "autovacuum launcher", "logical replication launcher")
    ):
        event = {
            "checkpointer": "CheckpointerMain",
            "background writer": "BgWriterHibernate",
            "walwriter": "WalWriterMain",
        }
        wait = ("Activity", event.get(kind, "AutoVacuumMain" if "auto" in kind else "LogicalLauncherMain"))
        user = next(iter(state.roles)) if kind.startswith("logical") else ""
        rows.append(_activity(session, 27 + number, "", user, "", "", None, state.started, 0, 0, "", wait, "", kind))
    for pid, address, port, peer in _peers(session):
        holder = _holder(session, peer)
        table = table_of(session, peer)
        begun = state.started + (pid % 400)
        begun = min(begun, now)
        if holder is None:
            at = now - (pid % 40) / 10
            rows.append(
                _activity(session, pid, peer.database, peer.user, peer.name, address, port, begun, 0, at, "idle",
                          ("Client", "ClientRead"), query_of(peer, table))
            )  # fmt: skip
        else:
            at = max(now - 5.0, holder[0].query_at)
            rows.append(
                _activity(session, pid, peer.database, peer.user, peer.name, address, port, begun, at, at, "active",
                          ("Lock", "relation"), query_of(peer, holder[1]))
            )  # fmt: skip
    for b in state.live(now):
        rows.append(
            _activity(session, b.pid, b.database, b.user, b.application, b.address, 40000 + b.pid, b.begun,
            b.transaction,
                      b.query_at, b.state, b.wait, b.query)
        )  # fmt: skip
    rows.append(
        _activity(session, session.pid, session.database, session.session_user, session.application, session.address,
                  40000 + session.pid, session.now, session.begun or now, now, "active", ("", ""), session.query)
    )  # fmt: skip
    return rows


def blockers(session: Session, pid: int) -> list[int]:
    """Return the pids of those who keep a session waiting."""
    for found, _, _, peer in _peers(session):
        if found == pid:
            holder = _holder(session, peer)
            return [holder[0].pid] if holder is not None else []
    return []


@reader("pg_locks")
def _locks(session: Session) -> list[dict[str, Any]]:
    state, rows = session.state, []

    def row(
        pid: int, database: str, oid: int | None, mode: str, granted: bool, kind: str = "relation"
    ) -> dict[str, Any]:
        catalog = state.catalogs.get(database)
        return {
            "locktype": kind, "database": catalog.oid if catalog is not None and oid else None, "relation": oid,
            "page": None,
            "tuple": None, "virtualxid": f"3/{pid}" if kind == "virtualxid" else None, "transactionid": None,
            "classid": None,
            "objid": None, "objsubid": None, "virtualtransaction": f"3/{pid}", "pid": pid, "mode": mode,
            "granted": granted,
            "fastpath": granted and mode in ("AccessShareLock", "ExclusiveLock"),
            "waitstart": None if granted else session.time(max(session.moment - 5.0, state.started)),
        }  # fmt: skip

    for b in state.live(session.moment):
        rows.append(row(b.pid, b.database, None, "ExclusiveLock", True, "virtualxid"))
        rows += [row(b.pid, b.database, oid, mode, True) for oid, mode in b.locks]
    for pid, _, _, peer in _peers(session):
        holder = _holder(session, peer)
        if holder is not None:
            rows.append(row(pid, peer.database, None, "ExclusiveLock", True, "virtualxid"))
            rows.append(row(pid, peer.database, holder[1].oid, holder[2], False))
    rows += [row(session.pid, session.database, oid, mode, True) for oid, mode in session.locks]
    rows.append(row(session.pid, session.database, 12073, "AccessShareLock", True))
    rows.append(row(session.pid, session.database, None, "ExclusiveLock", True, "virtualxid"))
    return rows
