"""What a database refuses, and what a repair inside it needs: the user, the right, and where the password is declared.

Nothing is guessed: users and databases are those that the logs name, passwords are named by the Secret or the variable
that holds them, rights only when a script that the database mounts grants them, settings as they are declared.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Any

from stratus.diagnosis.finding import Finding, about
from stratus.diagnosis.world import Workload, World, note
from stratus.kit.kube import dig
from stratus.kit.references import Source, connection_part
from stratus.model.base import Json
from stratus.model.evidence import LogLine

FAULTS = ("auth_failure", "memory_pressure")
MANY = 3
"""Refusals that are no accident."""
WORDS = re.compile(r"(?i)\b(select|insert|update|delete)\b")
_PASSWORD = re.compile(r"(?i)(?:^|_)(?:password|passwd|pass|pwd)$")
_USER = re.compile(r"(?i)(?:^|_)(?:user|username|user_name|login)$")
_VALUE = re.compile(r"[\w.-]+")


@functools.cache
def servers() -> dict[str, Any]:
    """Return the table of servers; read once."""
    import yaml

    text = resources.files("stratus.diagnosis").joinpath("databases.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def enrich(world: World, finding: Finding) -> None:
    """Add to a finding about a database what a repair inside it needs to know."""
    w = world.workload(*finding.object.key) if finding.fault in FAULTS else None
    if w is None:
        return
    for server in servers().values():
        container = next((c for c in w.spec.get("containers") or () if _runs(c, server["image"])), None)
        if container is not None:
            _complete(world, w, container, server, finding)
            return


def analyze(world: World) -> list[Finding]:
    """Return a finding for each server whose clients are refused because of a setting that it was given."""
    found = []
    for w in world.workloads:
        for server in servers().values():
            container = next((c for c in w.spec.get("containers") or () if _runs(c, server["image"])), None)
            patterns = [r["pattern"] for r in server["refusals"] if r["fact"].endswith("_setting")]
            if container is None or not patterns:
                continue
            hits = [e for e in _complaints(world, w) if any(re.search(p, e.text) for p in patterns)]
            if len(hits) >= MANY:
                text = f"{w.title} refuses commands because of its own settings"
                finding = about(w, "memory_pressure", text, 0.7)
                finding.impact = 0.8
                found.append(finding)
    return found


def _complete(world: World, w: Workload, container: Json, server: Json, finding: Finding) -> None:
    own, theirs = world.logs(w.pods), _complaints(world, w)
    lines = sorted((*own, *theirs), key=lambda entry: entry.at)
    for row in server["refusals"]:
        pattern = re.compile(row["pattern"])
        hits = [(entry, match) for entry in lines if (match := pattern.search(entry.text))]
        if not hits:
            continue
        entry, match = hits[-1]
        facts: Json = {row["fact"]: True, "container": container["name"], **_named(match)}
        facts.pop("table", None)
        known = _credentials(world, w, server)
        user = match.groupdict().get("user") or _user(own, server) or _only({u for u, _ in known})
        if user:
            facts["db_user"] = user
        if facts.get("database") in server.get("never", ()):
            return
        if server.get("role"):
            facts["db_role"] = server["role"]
        if row["fact"].endswith("_login") and user:
            facts["db_password_from"] = _password(world, w, known, user)
        if table := match.groupdict().get("table"):
            facts |= _right(world, w, table, user, hits)
        if setting := match.groupdict().get("setting"):
            facts["db_setting"] = setting
            facts["db_setting_value"] = _declared_setting(container, setting) or server["defaults"].get(setting, "")
        finding.facts.update({k: v for k, v in facts.items() if v not in (None, "")})
        finding.pro.append(note("log", entry.text, w.obj, service=w.service, at=entry.at, lines=len(hits)))
        return


def _named(match: re.Match[str]) -> Json:
    return {name: text for name, text in match.groupdict().items() if name in ("database", "table")}


def _runs(container: Json, pattern: str) -> bool:
    image = str(container.get("image", "")).rpartition("@")[0] or str(container.get("image", ""))
    return re.search(pattern, image.rpartition("/")[2].partition(":")[0]) is not None


def _clients(world: World, w: Workload) -> list[Workload]:
    """Return the workloads that call a database, by traces or by the addresses that they are given."""
    names = {w.service, w.name, *(str(s["metadata"]["name"]) for s in w.services)}
    callers = set().union(*(world.callers.get(name, set()) for name in names))
    mentioned = {s for s, known in world.mentions.items() if known & names}
    return [
        c
        for c in world.workloads
        if c.namespace == w.namespace and c is not w and (c.service in callers | mentioned or _connects(c, w))
    ]


def _connects(client: Workload, w: Workload) -> bool:
    """Tell whether a workload is given a connection string to a database."""
    envs = [e for c in client.spec.get("containers") or () for e in c.get("env") or ()]
    hosts = {connection_part(str(e.get("value") or ""), "host").partition(":")[0] for e in envs}
    return bool(hosts & _hosts(w))


def _complaints(world: World, w: Workload) -> list[LogLine]:
    """Return what clients log about this database: lines that name it, or all of a client of no other server."""
    found = []
    for client in _clients(world, w):
        lines = world.logs(client.pods)
        found += [entry for entry in lines if re.search(rf"(?<![\w-]){re.escape(w.service)}(?![\w-])", entry.text)]
    return found


def _user(lines: list[LogLine], server: Json) -> str:
    """Return the user whom the server last refused, as its own log says."""
    for entry in reversed(lines):
        for pattern in server["user"]:
            if match := re.search(pattern, entry.text):
                return match["user"]
    return ""


def _only(names: set[str]) -> str:
    return names.pop() if len(names) == 1 else ""


def _credentials(world: World, w: Workload, server: Json) -> set[tuple[str, Source]]:
    """Return what clients log in with: (user, or where its name stands; where the password stands)."""
    found = set()
    for client in _clients(world, w):
        for container in client.spec.get("containers") or ():
            for name, env in {str(e.get("name")): e for e in container.get("env") or ()}.items():
                text = str(env.get("value") or "")
                if connection_part(text, "host").partition(":")[0] in _hosts(w) and connection_part(text, "password"):
                    place = f"{container['name']}/{name}"
                    source = Source(client.kind, client.name, place, "password")
                    found.add((connection_part(text, "user"), source))
                elif pair := _pair(client, container, name, server):
                    found.add(pair)
    return found


def _pair(client: Workload, container: Json, name: str, server: Json) -> tuple[str, Source] | None:
    """Return the user and the password that a container is given in two variables of like names."""
    prefix = _PASSWORD.sub("", name)
    if prefix == name or not re.fullmatch(rf"(?i)(?:\w*_)?(?:{server['variable']})\w*", prefix or "-"):
        return None
    envs = {str(e.get("name")): e for e in container.get("env") or ()}
    user = next((n for n in envs if n.startswith(prefix) and _USER.search(n)), "")
    password = _place(client, container, envs[name])
    if not user or password is None:
        return None
    text = str(envs[user].get("value") or "")
    where = _place(client, container, envs[user])
    return (text or str(where), password) if text or where is not None else None


def _place(client: Workload, container: Json, env: Json) -> Source | None:
    """Return where the value of a variable stands."""
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        ref = dig(env, "valueFrom", field, default={})
        if ref.get("name") and ref.get("key"):
            return Source(kind, str(ref["name"]), str(ref["key"]))
    if not env.get("value"):
        return None
    return Source(client.kind, client.name, f"{container['name']}/{env['name']}")


def _password(world: World, w: Workload, known: set[tuple[str, Source]], user: str) -> str:
    """Return where the password of a user stands: the one that its clients are given, else nothing."""
    fit = {source for name, source in known if name == user or Source.read(name) is not None}
    values = {_known(world, w.namespace, source) for source in fit}
    # Two services with two passwords for one user: nobody can tell which is right.
    return str(min(fit, key=str)) if len(values) == 1 and values != {""} else ""


def _known(world: World, namespace: str, source: Source) -> str:
    """Return a value only to compare it with another: the same reference, or the same text of a variable."""
    if source.kind in ("Secret", "ConfigMap"):
        return str(source)
    w = world.workload(source.kind, namespace, source.name)
    container, _, variable = source.key.partition("/")
    envs = (w.container(container).get("env") or ()) if w is not None else ()
    text = next((str(e.get("value") or "") for e in envs if e.get("name") == variable), "")
    return connection_part(text, source.part) if source.part else text


def _hosts(w: Workload) -> set[str]:
    names = {w.name, w.service, *(str(s["metadata"]["name"]) for s in w.services)}
    suffixes = ("", f".{w.namespace}", f".{w.namespace}.svc", f".{w.namespace}.svc.cluster.local")
    return {name + suffix for name in names for suffix in suffixes}


def _right(world: World, w: Workload, table: str, user: str, hits: list[tuple[LogLine, re.Match[str]]]) -> Json:
    """Return the right that is missing on a table, when a mounted script grants it to the user; else nothing."""
    words = [m[1].upper() for entry, _ in reversed(hits) if (m := WORDS.search(entry.text))]
    right = words[0] if words else "SELECT"
    for script in _scripts(world, w):
        schema = re.search(rf'(?i)create table (?:if not exists )?"?(\w+)"?\."?{re.escape(table)}"?\s*\(', script)
        for grant in re.finditer(r"(?is)\bgrant\s+([^;]+?)\s+on\s+([^;]+?)\s+to\s+([^;]+);", script):
            rights = {word.strip().upper() for word in grant[1].split(",")}
            users = {word.strip().strip('"') for word in grant[3].split(",")}
            where = {word.strip('", ') for word in re.split(r"[\s,]+", grant[2])}
            on = {table, *((f"{schema[1]}.{table}", schema[1]) if schema else ())}
            if user in users and rights & {right, "ALL", "ALL PRIVILEGES"} and where & on:
                return {"db_table": f"{schema[1]}.{table}" if schema else f"public.{table}", "db_right": right}
    return {}


def _scripts(world: World, w: Workload) -> list[str]:
    """Return the texts of the ConfigMaps that a workload mounts."""
    names = [dig(v, "configMap", "name", default="") for v in w.spec.get("volumes") or ()]
    objects = [world.observation.find("ConfigMap", w.namespace, str(name)) for name in names if name]
    return [str(text) for obj in objects if obj for text in (obj.get("data") or {}).values()]


def _declared_setting(container: Json, setting: str) -> str:
    """Return what a container's command line says of a setting."""
    words = [str(x) for x in (*(container.get("command") or ()), *(container.get("args") or ()))]
    for i, word in enumerate(words[:-1]):
        if word == f"--{setting}" and _VALUE.fullmatch(words[i + 1]):
            return words[i + 1]
    return ""
