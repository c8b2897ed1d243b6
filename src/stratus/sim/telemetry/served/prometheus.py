"""The HTTP API of Prometheus 2, answered from the cluster's series."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from stratus.kit.clock import iso
from stratus.sim.telemetry.alerting import Active
from stratus.sim.telemetry.catalogue import help_of, type_of
from stratus.sim.telemetry.exposition import federated
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.promql.evaluator import Query
from stratus.sim.telemetry.promql.lexer import PromQLError, seconds_of
from stratus.sim.telemetry.promql.nodes import Selector
from stratus.sim.telemetry.promql.parser import parse
from stratus.sim.telemetry.promql.series import Series
from stratus.sim.telemetry.promql.text import scientific, shown, timestamp
from stratus.sim.telemetry.rules import Group, Rule
from stratus.sim.telemetry.served.requests import Asked, BadRequest, Reply, text, told

VERSION = "2.42.0"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class PrometheusApi:
    """Answers under `/api/v1`, `/metrics`, `/federate` and `/-/`."""

    def __init__(self, observatory: Observatory) -> None:
        self._seen = observatory

    def answer(self, asked: Asked) -> Reply | None:
        """Return the answer, None for a path of others."""
        path = asked.path
        if path == "/metrics":
            return text(self._seen.scrape(), content=_EXPOSITION)
        if path == "/federate":
            return self._federate(asked)
        if path in ("/-/ready", "/-/healthy"):
            return text(f"Prometheus Server is {'Ready' if path.endswith('ready') else 'Healthy'}.\n")
        if not path.startswith("/api/v1/"):
            return None
        try:
            found = self._v1(asked, path.removeprefix("/api/v1/"))
        except PromQLError as error:
            return _failed("bad_data" if "parse error" in str(error) else "execution", str(error))
        except BadRequest as error:
            return _failed(error.kind, str(error), error.status)
        return found

    def _v1(self, asked: Asked, what: str) -> Reply | None:
        simple: dict[str, Callable[[Asked], Any]] = {
            "query": self._query,
            "query_range": self._range,
            "series": self._series,
            "labels": self._labels,
            "metadata": self._metadata,
            "rules": self._rules,
            "alerts": self._alerts,
            "targets": self._targets,
            "alertmanagers": lambda _: {"activeAlertmanagers": [], "droppedAlertmanagers": []},
            "query_exemplars": lambda _: [],
            "format_query": lambda a: a.one("query"),
            "status/buildinfo": lambda _: {
                "version": VERSION, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
            },
            "status/runtimeinfo": lambda _: {
                "startTime": iso(self._seen.begun), "reloadConfigSuccess": True, "storageRetention": "65m",
            },
            "status/config": lambda _: {"yaml": "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n"},
            "status/flags": lambda _: {"query.lookback-delta": "5m"},
        }  # fmt: skip
        if what in simple:
            return _success(simple[what](asked))
        if what.startswith("label/") and what.endswith("/values"):
            return _success(self._values(asked, what[6:-7]))
        return None

    # queries

    def _parsed(self, query: str) -> None:
        try:
            parse(query)
        except PromQLError as error:
            raise BadRequest(f'invalid parameter "query": {error}') from None

    def _query(self, asked: Asked) -> Any:
        at = asked.moment("time", self._seen.now())
        self._parsed(asked.one("query"))
        self._seen.catch_up()
        return instant_data(self._seen.engine.instant(asked.one("query"), at), at)

    def _range(self, asked: Asked) -> Any:
        for name in ("start", "end", "step"):
            if not asked.one(name):
                raise BadRequest(f'invalid parameter "{name}": cannot parse "" to a valid {_KINDS[name]}')
        start, end = asked.moment("start", 0.0), asked.moment("end", 0.0)
        if end < start:
            raise BadRequest('invalid parameter "end": end timestamp must not be before start time')
        step = duration(asked, "step")
        if step <= 0:
            raise BadRequest(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a '
                "positive integer"
            )
        if (end - start) / step > 11_000:
            raise BadRequest(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution "
                "(?step=XX)"
            )
        self._parsed(asked.one("query"))
        self._seen.catch_up()
        try:
            found = self._seen.engine.range(asked.one("query"), start, end, step)
        except PromQLError as error:
            if "range query" in str(error):
                raise BadRequest(f'invalid parameter "query": {error}') from None
            raise
        return range_data(found)

    def _selected(self, asked: Asked, *, needed: bool) -> Iterable[Series]:
        """Return the series that any selector of `match[]` finds within the time asked for."""
        matches = asked.many("match[]")
        if needed and not matches:
            raise BadRequest("no match[] parameter provided")
        start, end = asked.moment("start", 0.0), asked.moment("end", 1e12)
        self._seen.catch_up()
        seen: set[tuple[tuple[str, str], ...]] = set()
        for match in matches or ['{__name__=~".+"}']:
            try:
                node = parse(match)
            except PromQLError as error:
                raise BadRequest(f'invalid parameter "match[]": {error}') from None
            if not isinstance(node, Selector):
                raise BadRequest(f'invalid parameter "match[]": {match} is not a selector')
            for series in self._seen.recorder.select(node.matchers):
                key = tuple(sorted(series.labels.items()))
                times = series.samples[0]
                if key not in seen and ((times >= start) & (times <= end)).any():
                    seen.add(key)
                    yield series

    def _series(self, asked: Asked) -> Any:
        found = [dict(sorted(s.labels.items())) for s in self._selected(asked, needed=True)]
        return sorted(found, key=lambda labels: sorted(labels.items()))

    def _labels(self, asked: Asked) -> Any:
        return sorted({name for s in self._selected(asked, needed=False) for name in s.labels})

    def _values(self, asked: Asked, label: str) -> Any:
        if label == "__name__" and not asked.many("match[]", "start", "end"):
            self._seen.catch_up()
            return self._seen.recorder.names()
        return sorted({s.labels[label] for s in self._selected(asked, needed=False) if s.labels.get(label)})

    def _metadata(self, asked: Asked) -> Any:
        wanted, limit = asked.one("metric"), asked.whole("limit", -1)
        scraped = [name for name in self._seen.recorder.names() if not name.startswith("ALERTS")]
        names = dict.fromkeys(family for family, _ in map(type_of, scraped))
        found = {
            name: [{"type": kind, "help": help_of(name), "unit": ""}]
            for name in names
            for kind in [_family_kind(name, scraped)]
            if not wanted or name == wanted
        }
        return dict(list(found.items())[:limit]) if limit >= 0 else found

    def _federate(self, asked: Asked) -> Reply:
        try:
            found = list(self._selected(asked, needed=True))
        except BadRequest as error:
            return text(f"{error}\n", 400)
        return text(federated(found, self._seen.now()), content=_EXPOSITION)

    # rules

    def _alerts(self, asked: Asked) -> Any:
        return {"alerts": [alert_data(a) for a in self._seen.alerting.active(self._seen.now())]}

    def _rules(self, asked: Asked) -> Any:
        wanted = asked.one("type")
        if wanted not in ("", "alert", "record"):
            raise BadRequest(f'invalid parameter "type": not supported value "{wanted}"')
        self._seen.catch_up()
        groups = [self._group(g, wanted) for g in self._seen.rules.groups]
        return {"groups": [g for g in groups if g["rules"] or not wanted]}

    def _group(self, group: Group, wanted: str) -> dict[str, Any]:
        at = iso(self._seen.alerting.evaluated(group))
        return {
            "name": group.name,
            "file": self._seen.rules.source,
            "rules": [
                self._rule(group, number, rule, at)
                for number, rule in enumerate(group.rules)
                if wanted in ("", "alert" if rule.alert else "record")
            ],
            "interval": group.interval,
            "limit": group.limit,
            "evaluationTime": 0,
            "lastEvaluation": at,
        }

    def _rule(self, group: Group, number: int, rule: Rule, at: str) -> dict[str, Any]:
        error = self._seen.alerting.errors.get((group.name, number), "")
        told_of: dict[str, Any] = {
            "query": rule.expr.strip(), "labels": rule.labels, "health": "err" if error else "ok", "evaluationTime": 0,
            "lastEvaluation": at, **({"lastError": error} if error else {}),
        }  # fmt: skip
        if rule.record:
            return {"name": rule.record, **told_of, "type": "recording"}
        active = self._seen.alerting.of_rule(group.name, number)
        states = {a.state for a in active}
        return {
            "state": "firing" if "firing" in states else "pending" if states else "inactive",
            "name": rule.alert,
            **told_of,
            "duration": rule.wait,
            "keepFiringFor": rule.keep_firing_for,
            "annotations": rule.annotations,
            "alerts": [alert_data(a) for a in active],
            "type": "alerting",
        }

    def _targets(self, asked: Asked) -> Any:
        found = []
        for labels, value in self._seen.engine.instant("up", self._seen.now()).values():
            job, instance = labels.get("job", ""), labels.get("instance", "")
            found.append(
                {
                    "discoveredLabels": {"__address__": instance, "job": job},
                    "labels": {"instance": instance, "job": job},
                    "scrapePool": job,
                    "scrapeUrl": f"http://{instance}/metrics",
                    "globalUrl": f"http://{instance}/metrics",
                    "lastError": "" if value else "connection refused",
                    "lastScrape": iso(self._seen.now()),
                    "lastScrapeDuration": 0.0,
                    "health": "up" if value else "down",
                    "scrapeInterval": "15s",
                    "scrapeTimeout": "10s",
                }
            )
        return {"activeTargets": found, "droppedTargets": []}


_KINDS = {"start": "timestamp", "end": "timestamp", "step": "duration"}


def _family_kind(family: str, names: list[str]) -> str:
    return next((kind for name in names for owner, kind in [type_of(name)] if owner == family), "gauge")


def duration(asked: Asked, name: str) -> float:
    """Return a duration, in seconds or such as `15s`.

    Raises:
        BadRequest: it is neither.
    """
    raw = asked.one(name)
    try:
        return float(raw)
    except ValueError:
        try:
            return seconds_of(raw)
        except PromQLError:
            raise BadRequest(f'invalid parameter "{name}": cannot parse "{raw}" to a valid duration') from None


def instant_data(found: Query, at: float) -> dict[str, Any]:
    """Return the data of an instant query."""
    if found.kind == "string":
        return {"resultType": "string", "result": [timestamp(at), found.text]}
    if found.kind == "matrix":
        rows = [{"metric": s.labels, "values": _points(s.times.tolist(), s.values.tolist())} for s in found.samples]
        return {"resultType": "matrix", "result": rows}
    if found.kind == "scalar":
        return {"resultType": "scalar", "result": [timestamp(at), shown(float(found.rows.values[0, 0]))]}
    result = [{"metric": labels, "value": [timestamp(at), shown(value)]} for labels, value in found.values()]
    return {"resultType": "vector", "result": result}


def range_data(found: Query) -> dict[str, Any]:
    """Return the data of a range query."""
    rows = []
    for labels, values, present in zip(found.rows.labels, found.rows.values, found.rows.present, strict=True):
        mask = np.asarray(present)
        if mask.any():
            rows.append({"metric": labels, "values": _points(found.times[mask].tolist(), values[mask].tolist())})
    return {"resultType": "matrix", "result": rows}


def _points(times: list[float], values: list[float]) -> list[list[Any]]:
    return [[timestamp(at), shown(value)] for at, value in zip(times, values, strict=True)]


def alert_data(active: Active) -> dict[str, Any]:
    """Return an alert as Prometheus tells it."""
    return {
        "labels": dict(active.labels),
        "annotations": active.annotations(),
        "state": active.state,
        "activeAt": iso(active.since),
        "value": scientific(active.value),
    }


def _success(data: Any) -> Reply:
    return told({"status": "success", "data": data})


def _failed(kind: str, message: str, status: int = 0) -> Reply:
    code = status or (400 if kind == "bad_data" else 422)
    return told({"status": "error", "errorType": kind, "error": message}, code)


__all__ = ["PrometheusApi", "alert_data", "duration", "instant_data", "range_data"]
