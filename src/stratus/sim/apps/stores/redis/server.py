"""Commands about the server itself: settings, clients, memory, logs."""

from __future__ import annotations

from fnmatch import fnmatchcase

from stratus.sim.apps.stores.redis.info import human, information_text
from stratus.sim.apps.stores.redis.replies import NIL, OK, RedisError, Reply, bulk, many, number, status
from stratus.sim.apps.stores.redis.session import SYNTAX, Session, command, integer
from stratus.sim.apps.stores.redis.tables import Setting, commands, memory_value, settings


@command("ping")
def _ping(session: Session, words: list[str]) -> Reply:
    if len(words) > 2:
        raise RedisError("ERR wrong number of arguments for 'ping' command")
    return bulk(words[1]) if len(words) > 1 else status("PONG")


@command("echo")
def _echo(session: Session, words: list[str]) -> Reply:
    return bulk(words[1])


@command("time")
def _time(session: Session, words: list[str]) -> Reply:
    return many([str(int(session.moment)), str(int(session.moment % 1 * 1e6))])


@command("info")
def _info(session: Session, words: list[str]) -> Reply:
    return ["text", information_text(session.state, [w.lower() for w in words[1:]], session.moment)]


@command("role")
def _role(session: Session, words: list[str]) -> Reply:
    return many(["master", 0, ()])


@command("command")
def _command(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower() if len(words) > 1 else ""
    known = commands()
    if sub == "count":
        return number(len(known))
    if sub == "list":
        return many(sorted(known))
    if sub == "docs":
        return many([])
    wanted = words[2:] if sub == "info" else sorted(known)
    found = [known.get(name.lower()) for name in wanted]
    return many(
        [None if c is None else (c.name, c.arity, tuple(sorted(c.flags)), c.first, c.last, c.step) for c in found]
    )


# settings


@command("config")
def _config(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    if sub == "get":
        if len(words) < 3:
            raise RedisError("ERR wrong number of arguments for 'config|get' command")
        found = [n for n in settings() if any(fnmatchcase(n, p.lower()) for p in words[2:])]
        return many([part for name in found for part in (name, session.state.setting(name))])
    if sub == "set":
        return _set(session, words[2:])
    if sub == "rewrite":
        raise RedisError("ERR The server is running without a config file")
    if sub == "resetstat":
        state = session.state
        state.commands = state.connections = state.hits = state.misses = state.expired = state.evicted = 0
        state.errors = 0
        return OK
    return many(
        ["CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", "GET <pattern>", "SET <directive> <value>"]
    )


def _set(session: Session, words: list[str]) -> Reply:
    if len(words) < 2 or len(words) % 2:
        raise RedisError("ERR wrong number of arguments for 'config|set' command")
    pairs = [(n.lower(), v) for n, v in zip(words[::2], words[1::2], strict=True)]
    for name, value in pairs:
        known = settings().get(name)
        if known is None:
            raise RedisError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        problem = _problem(known, value)
        if problem:
            raise RedisError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}")
    for name, value in pairs:
        session.state.set(name, value)
    session.state.evict(session.moment)
    return OK


def _problem(known: Setting, value: str) -> str:
    if known.fixed:
        return "can't set immutable config"
    if known.type == "bool" and value.lower() not in ("yes", "no"):
        return "argument must be 'yes' or 'no'"
    if known.type == "memory" and memory_value(value) is None:
        return "argument must be a memory value"
    if known.type == "number" and not value.lstrip("-").isdigit():
        return "argument couldn't be parsed into an integer"
    if known.type == "enum" and value not in known.choices:
        return f"argument(s) must be one of the following: {', '.join(known.choices)}"
    return ""


# clients


def _clients(session: Session) -> list[tuple[int, str, int]]:
    """Return (id, line, connections) of everybody who is connected, the session itself last."""
    rows = []
    number_ = 5
    for address, peer in sorted(session.state.callers.items()):
        for at in range(min(int(peer.connections + 0.999), 32)):
            rows.append((number_, _client_line(number_, f"{address}:{38000 + at}", 60, "NULL", "N"), 1))
            number_ += 1
    rows.append((session.number, _client_line(session.number, session.peer, 0, "client|list", "N", session), 1))
    return rows


def _client_line(ident: int, address: str, age: int, command_: str, flags: str, session: Session | None = None) -> str:
    name, database = (session.name, session.database) if session is not None else ("", 0)
    user = session.user if session is not None else "default"
    return (
        f"id={ident} addr={address} laddr=127.0.0.1:6379 fd={ident + 3} name={name} age={age} idle=0 flags={flags} "
        f"db={database} sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=16384 "
        f"rbp=16384 obl=0 oll=0 omem=0 tot-mem=37658 events=r cmd={command_} user={user} redir=-1 resp=2"
    )


@command("client")
def _client(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    if sub == "list":
        return ["text", "".join(f"{line}\n" for _, line, _ in _clients(session))]
    if sub == "info":
        return ["text", _clients(session)[-1][1] + "\n"]
    if sub == "id":
        return number(session.number)
    if sub == "getname":
        return bulk(session.name or None)
    if sub == "setname":
        if len(words) != 3 or any(not 33 <= ord(c) <= 126 for c in words[2]):
            raise RedisError("ERR Client names cannot contain spaces, newlines or special characters.")
        session.name = words[2]
        return OK
    if sub == "kill":
        return _kill(session, words[2:])
    if sub in ("no-evict", "setinfo", "reply", "no-touch", "unpause"):
        return OK
    if sub == "pause":
        seconds = integer(words[2]) / 1000 if len(words) > 2 else 0.0
        session.state.stalled = max(session.state.stalled, session.moment + seconds)
        return OK
    return number(0)


def _kill(session: Session, words: list[str]) -> Reply:
    addresses = [line.split(" ")[1].removeprefix("addr=") for _, line, _ in _clients(session)[:-1]]
    if len(words) == 1:
        if words[0] not in addresses:
            raise RedisError("ERR No such client")
        # Programs connect again at once: nothing stays changed.
        return OK
    if len(words) % 2 or not words:
        raise RedisError(SYNTAX)
    wanted = {n.upper(): v for n, v in zip(words[::2], words[1::2], strict=True)}
    if set(wanted) - {"ID", "ADDR", "LADDR", "TYPE", "USER", "SKIPME", "MAXAGE"}:
        raise RedisError(SYNTAX)
    rows = _clients(session)[:-1]
    kind = wanted.get("TYPE", "normal").lower()
    hit = [
        1 for ident, line, _ in rows
        if kind == "normal" and wanted.get("ADDR", "") in ("", line.split(" ")[1].removeprefix("addr="))
        and wanted.get("ID", str(ident)) == str(ident) and f" user={wanted.get('USER', '')}" in line
    ]  # fmt: skip
    return number(len(hit))


# memory, logs, latency


@command("memory")
def _memory(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    if sub == "usage":
        found = session.find(words[2]) if len(words) > 2 else None
        return NIL if found is None else number(found.weight() + 48 + len(words[2]))
    if sub == "stats":
        used = session.state.used()
        return many(["peak.allocated", max(session.state.peak, used), "total.allocated", used, "keys.count",
                     sum(len(k) for k in session.state.databases.values())])  # fmt: skip
    if sub == "doctor":
        limit, used = session.state.limit(), session.state.used()
        text = "The emulated allocator has no fragmentation to report.\n"
        if limit and used > 0.95 * limit:
            text = f"{human(used)} of {human(limit)} are used: writes fail, or keys are evicted, when it is full.\n"
        return ["text", text]
    if sub == "purge":
        return OK
    return ["text", "MEMORY <subcommand>\n"]


@command("slowlog")
def _slowlog(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    if sub == "len":
        return number(len(session.state.slow))
    if sub == "reset":
        session.state.slow.clear()
        return OK
    count = integer(words[2]) if len(words) > 2 else 10
    newest = list(reversed(session.state.slow))[: count if count >= 0 else None]
    return many([(n, int(at), micro, tuple(args), session.peer, "") for n, at, micro, args in newest])


@command("latency")
def _latency(session: Session, words: list[str]) -> Reply:
    sub = words[1].lower()
    if sub == "reset":
        return number(0)
    if sub == "doctor":
        return ["text", "No latency events were recorded: latency-monitor-threshold is 0.\n"]
    return many([])


_NO_DEBUG = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    "connection, otherwise you need to set this option in the configuration file, and then restart the server."
)


@command("debug")
def _debug(session: Session, words: list[str]) -> Reply:
    if session.state.setting("enable-debug-command") == "no" and not session.state.version.startswith(("4", "5", "6")):
        raise RedisError(_NO_DEBUG)
    sub = words[1].lower()
    if sub == "sleep":
        try:
            seconds = float(words[2])
        except (IndexError, ValueError):
            raise RedisError(SYNTAX) from None
        state = session.state
        # Nobody else is served meanwhile.
        state.stalled = max(state.stalled, session.moment + seconds)
        if seconds * 1e6 > float(state.setting("slowlog-log-slower-than")) >= 0:
            state.slow.append((len(state.slow), session.moment, int(seconds * 1e6), list(words)))
        session.waited += seconds
        return OK
    if sub == "jmap":
        return OK
    raise RedisError(SYNTAX)


@command("monitor")
def _monitor(session: Session, words: list[str]) -> Reply:
    session.ended = True
    return OK


@command("save", "bgsave", "bgrewriteaof")
def _save(session: Session, words: list[str]) -> Reply:
    session.state.saved, session.state.dirty = session.moment, 0
    name = words[0].lower()
    if name == "save":
        return OK
    return status("Background saving started" if name == "bgsave" else "Background append only file rewriting started")


@command("lastsave")
def _lastsave(session: Session, words: list[str]) -> Reply:
    return number(int(session.state.saved))


@command("replicaof", "slaveof")
def _replicaof(session: Session, words: list[str]) -> Reply:
    if [w.lower() for w in words[1:]] != ["no", "one"]:
        raise RedisError("ERR replication is not part of this emulation")
    return OK


@command("wait")
def _wait(session: Session, words: list[str]) -> Reply:
    return number(0)


@command("cluster")
def _cluster(session: Session, words: list[str]) -> Reply:
    raise RedisError("ERR This instance has cluster support disabled")


@command("publish")
def _publish(session: Session, words: list[str]) -> Reply:
    return number(0)


@command("pubsub")
def _pubsub(session: Session, words: list[str]) -> Reply:
    return number(0) if words[1].lower() == "numpat" else many([])


@command("shutdown")
def _shutdown(session: Session, words: list[str]) -> Reply:
    if any(w.upper() not in ("NOSAVE", "SAVE", "NOW", "FORCE", "ABORT") for w in words[1:]):
        raise RedisError(SYNTAX)
    session.laid["signal"] = "TERM"
    session.ended = True
    return ["nil", None]


@command("module")
def _module(session: Session, words: list[str]) -> Reply:
    return many([])
