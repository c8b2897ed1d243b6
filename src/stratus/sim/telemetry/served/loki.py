"""The query API of Loki, answered from what the containers wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.promql.evaluator import Engine
from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.series import Database, Series, array
from stratus.sim.telemetry.served.logql import Counting, LogSelector, parse_logql
from stratus.sim.telemetry.served.prometheus import duration, instant_data, range_data
from stratus.sim.telemetry.served.requests import Asked, BadRequest, Reply, text, told

Labels = dict[str, str]
Line = tuple[float, str]


class Streams(Protocol):
    """Where log lines are."""

    def streams(self) -> Iterable[tuple[Labels, list[Line]]]:
        """Return the labels and the lines, oldest first, of every container there is."""
        ...


class LokiApi:
    """Answers under `/loki/api/v1`."""

    def __init__(self, observatory: Observatory, source: Streams) -> None:
        self._seen = observatory
        self._source = source

    def answer(self, asked: Asked) -> Reply | None:
        """Return the answer, None for a path of others."""
        if not asked.path.startswith("/loki/api/v1/"):
            return None
        what = asked.path.removeprefix("/loki/api/v1/")
        try:
            return self._v1(asked, what)
        except (PromQLError, BadRequest) as error:
            return text(f"{error}\n", 400)

    def _v1(self, asked: Asked, what: str) -> Reply | None:
        start, end = self._window(asked)
        if what in ("query", "query_range"):
            return self._query(asked, what == "query")
        if what in ("labels", "label"):
            return _success(sorted({name for labels, _ in self._within(start, end) for name in labels}))
        if what.startswith("label/") and what.endswith("/values"):
            name = what[6:-7]
            return _success(sorted({labels[name] for labels, _ in self._within(start, end) if labels.get(name)}))
        if what == "series":
            chosen = [parse_logql(m) for m in asked.many("match[]", "match") or ['{namespace=~".+"}']]
            if not all(isinstance(c, LogSelector) for c in chosen):
                raise BadRequest("match[] takes stream selectors")
            fits = [c for c in chosen if isinstance(c, LogSelector)]
            return _success([labels for labels, _ in self._within(start, end) if any(c.fits(labels) for c in fits)])
        if what == "status/buildinfo":
            return told({"version": "2.9.0", "revision": "", "branch": "", "buildDate": "", "goVersion": ""})
        return None

    def _window(self, asked: Asked) -> tuple[float, float]:
        end = _moment(asked, "end", self._seen.now())
        since = duration(asked, "since") if asked.one("since") else 3600.0
        return _moment(asked, "start", end - since), end

    def _within(self, start: float, end: float) -> Iterator[tuple[Labels, list[Line]]]:
        for labels, lines in self._source.streams():
            kept = [line for line in lines if start <= line[0] <= end]
            if kept:
                yield labels, kept

    def _query(self, asked: Asked, instant: bool) -> Reply:
        parsed = parse_logql(asked.one("query"))
        start, end = self._window(asked)
        if isinstance(parsed, Counting):
            return self._counted(parsed, asked, instant, start, end)
        if instant:
            end = _moment(asked, "time", self._seen.now())
            start = end - 3600.0
        backward = asked.one("direction", "backward").lower() != "forward"
        found: list[tuple[float, Labels, str]] = []
        for labels, lines in self._within(start, end):
            if not parsed.fits(labels):
                continue
            for at, line in lines:
                passed = parsed.through(line, labels)
                # The end is outside, as Loki has it.
                if passed is not None and (at < end or instant or not asked.one("end")):
                    found.append((at, passed[1], passed[0]))
        found.sort(key=lambda entry: entry[0], reverse=backward)
        grouped: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
        for at, labels, line in found[: max(asked.whole("limit", 100), 0)]:
            grouped.setdefault(tuple(sorted(labels.items())), []).append([str(round(at * 1e9)), line])
        result = [{"stream": dict(key), "values": values} for key, values in grouped.items()]
        return _success({"resultType": "streams", "result": result, "stats": {}})

    def _counted(self, parsed: Counting, asked: Asked, instant: bool, start: float, end: float) -> Reply:
        engine = Engine(Database(self._events(parsed)))
        if instant:
            at = _moment(asked, "time", self._seen.now())
            return _success({**instant_data(engine.instant(parsed.text, at), at), "stats": {}})
        step = duration(asked, "step") if asked.one("step") else max((end - start) / 250, 1.0)
        return _success({**range_data(engine.range(parsed.text, start, end, max(step, 0.001))), "stats": {}})

    def _events(self, parsed: Counting) -> Iterator[Series]:
        """Return one series per stream, with a sample per line: 1, or its length."""
        for name, selector, of_bytes in parsed.logs:
            kept: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
            for labels, lines in self._source.streams():
                if not selector.fits(labels):
                    continue
                for at, line in lines:
                    passed = selector.through(line, labels)
                    if passed is not None:
                        value = float(len(line.encode())) if of_bytes else 1.0
                        kept.setdefault(tuple(sorted(passed[1].items())), []).append((at, value))
            for key, events in kept.items():
                events.sort()
                yield Series(
                    {**dict(key), "__name__": name}, array([a for a, _ in events]), array([v for _, v in events])
                )


def _moment(asked: Asked, name: str, default: float) -> float:
    """Return a time given in nanoseconds, in seconds, or in RFC 3339."""
    raw = asked.one(name)
    if raw.isdigit() and len(raw) > 10:
        return int(raw) / 1e9
    return asked.moment(name, default)


def _success(data: Any) -> Reply:
    return told({"status": "success", "data": data})
