"""The API of Alertmanager, version 2: alerts that fire, their groups, and silences."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from stratus.kit.clock import iso, parse_iso
from stratus.sim.telemetry.alerting import Active
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.nodes import Matcher, Selector
from stratus.sim.telemetry.promql.parser import parse
from stratus.sim.telemetry.samples import LabelKey
from stratus.sim.telemetry.served.requests import Asked, BadRequest, Reply, told

RECEIVER = "default"
#: Labels by which alerts are grouped.
GROUPED = ("alertname", "namespace")
#: Seconds after which an alert that is not heard of any more counts as resolved.
KEPT = 240.0


@dataclass
class Silence:
    """A silence; times are epoch seconds."""

    id: str
    matchers: list[dict[str, Any]]
    starts: float
    ends: float
    author: str
    comment: str
    updated: float
    parsed: tuple[Matcher, ...] = field(default=(), repr=False)

    def state(self, now: float) -> str:
        """Return pending, active or expired."""
        return "expired" if self.ends <= now else "pending" if self.starts > now else "active"

    def hides(self, labels: dict[str, str], now: float) -> bool:
        """Tell whether an alert is silenced."""
        return self.state(now) == "active" and all(m.matches(labels.get(m.label, "")) for m in self.parsed)

    def told(self, now: float) -> dict[str, Any]:
        """Return it as Alertmanager does."""
        return {
            "id": self.id,
            "matchers": self.matchers,
            "startsAt": stamp(self.starts),
            "endsAt": stamp(self.ends),
            "updatedAt": stamp(self.updated),
            "createdBy": self.author,
            "comment": self.comment,
            "status": {"state": self.state(now)},
        }


class AlertmanagerApi:
    """Answers under `/api/v2`. Silences live as long as the front."""

    def __init__(self, observatory: Observatory) -> None:
        self._seen = observatory
        self._silences: dict[str, Silence] = {}

    def answer(self, asked: Asked) -> Reply | None:
        """Return the answer, None for a path of others."""
        if not asked.path.startswith("/api/v2/"):
            return None
        what = asked.path.removeprefix("/api/v2/")
        try:
            return self._v2(asked, what)
        except BadRequest as error:
            return told(str(error), error.status)

    def _v2(self, asked: Asked, what: str) -> Reply | None:
        if what == "silences" and asked.method == "POST":
            return self._silence(asked)
        if what.startswith("silence/"):
            return self._known(asked, what.partition("/")[2])
        if asked.method not in ("GET", "HEAD"):
            raise BadRequest(f"method {asked.method} is not allowed here; rules make the alerts", 405)
        if what == "alerts":
            return told(self._alerts(asked))
        if what == "alerts/groups":
            return told(self._groups(asked))
        if what == "silences":
            filters = _filters(asked)
            found = [s for s in self._silences.values() if _about(s, filters)]
            return told([s.told(self._seen.now()) for s in found])
        if what == "receivers":
            return told([{"name": RECEIVER}])
        if what == "status":
            return told(
                {
                    "cluster": {"status": "disabled", "peers": []},
                    "config": {"original": f"route:\n  receiver: {RECEIVER}\nreceivers:\n- name: {RECEIVER}\n"},
                    "uptime": stamp(self._seen.begun),
                    "versionInfo": dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
                    | {"version": "0.25.0"},
                }
            )
        return None

    def _alerts(self, asked: Asked) -> list[dict[str, Any]]:
        now = self._seen.now()
        filters = _filters(asked)
        active, silenced = asked.flag("active", True), asked.flag("silenced", True)
        found = []
        # Rules of the same name may give the same alert: it is told once, as of the one that fired first.
        firing = sorted(
            (a for a in self._seen.alerting.active(now) if a.fired is not None), key=lambda a: a.fired or 0.0
        )
        for one in {a.labels: a for a in reversed(firing)}.values():
            labels = dict(one.labels)
            if not all(m.matches(labels.get(m.label, "")) for m in filters):
                continue
            hidden = sorted(s.id for s in self._silences.values() if s.hides(labels, now))
            if silenced if hidden else active:
                found.append(_alert(one, hidden, now))
        return sorted(found, key=lambda a: str(a["fingerprint"]))

    def _groups(self, asked: Asked) -> list[dict[str, Any]]:
        groups: dict[LabelKey, list[dict[str, Any]]] = {}
        for one in self._alerts(asked):
            key = tuple((name, one["labels"][name]) for name in GROUPED if one["labels"].get(name))
            groups.setdefault(key, []).append(one)
        return [
            {"labels": dict(key), "receiver": {"name": RECEIVER}, "alerts": alerts}
            for key, alerts in sorted(groups.items())
        ]

    def _silence(self, asked: Asked) -> Reply:
        now = self._seen.now()
        try:
            data = json.loads(asked.body)
            matchers = [
                {"name": str(m["name"]), "value": str(m["value"]), "isRegex": bool(m["isRegex"]),
                 "isEqual": bool(m.get("isEqual", True))}
                for m in data["matchers"]
            ]  # fmt: skip
            starts, ends = parse_iso(data["startsAt"]), parse_iso(data["endsAt"])
            author, comment = str(data["createdBy"]), str(data["comment"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadRequest(f"the silence cannot be read: {error}; it has matchers, startsAt, endsAt, createdBy "
                             "and comment") from None  # fmt: skip
        if not matchers or ends <= max(starts, now):
            raise BadRequest("a silence has matchers and ends after its start and after now")
        known = str(data.get("id") or "")
        if known and known not in self._silences:
            raise BadRequest(f"silence {known} not found", 404)
        text = json.dumps([matchers, starts, ends, author, comment, len(self._silences)], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        made = known or "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        parsed = tuple(Matcher(str(m["name"]), _operator(m), str(m["value"])) for m in matchers)
        self._silences[made] = Silence(made, matchers, max(starts, now), ends, author, comment, now, parsed)
        return told({"silenceID": made})

    def _known(self, asked: Asked, name: str) -> Reply:
        now = self._seen.now()
        found = self._silences.get(name)
        if found is None:
            raise BadRequest(f"silence {name} not found", 404)
        if asked.method == "DELETE":
            found.ends, found.updated = min(found.ends, now), now
            return told({})
        return told(found.told(now))


def _operator(matcher: dict[str, Any]) -> str:
    if matcher["isRegex"]:
        return "=~" if matcher["isEqual"] else "!~"
    return "=" if matcher["isEqual"] else "!="


def _about(silence: Silence, filters: list[Matcher]) -> bool:
    values = {m["name"]: m["value"] for m in silence.matchers}
    return all(m.matches(values.get(m.label, "")) for m in filters)


def _filters(asked: Asked) -> list[Matcher]:
    found: list[Matcher] = []
    for raw in asked.many("filter"):
        inner = raw.strip().removeprefix("{").removesuffix("}")
        try:
            node = parse(f"x{{{inner}}}")
        except PromQLError as error:
            raise BadRequest(f"bad matcher format: {raw} ({error})") from None
        assert isinstance(node, Selector)
        found += [m for m in node.matchers if m.label != "__name__"]
    return found


def stamp(at: float) -> str:
    """Return a time as Alertmanager writes it."""
    return f"{iso(at)[:-1]}.{round(at % 1 * 1000):03d}Z"


def fingerprint(labels: dict[str, str]) -> str:
    """Return the hash by which Alertmanager knows an alert (FNV-1a over the sorted labels)."""
    total = 14695981039346656037
    for name, value in sorted(labels.items()):
        for byte in b"".join((name.encode(), b"\xff", value.encode(), b"\xff")):
            total = ((total ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"


def _alert(one: Active, hidden: list[str], now: float) -> dict[str, Any]:
    labels = dict(one.labels)
    return {
        "annotations": one.annotations(),
        "endsAt": stamp(now + KEPT),
        "fingerprint": fingerprint(labels),
        "receivers": [{"name": RECEIVER}],
        "startsAt": stamp(one.fired or one.since),
        "status": {"inhibitedBy": [], "silencedBy": hidden, "state": "suppressed" if hidden else "active"},
        "updatedAt": stamp(one.seen),
        "generatorURL": "",
        "labels": labels,
    }
