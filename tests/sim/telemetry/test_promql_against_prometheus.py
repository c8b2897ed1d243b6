"""Our evaluator and a real Prometheus over the same series: the same answers."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from realprometheus import Asked, backfill, families, needed, prometheus, rows_of

from stratus.sim.telemetry.promql.evaluator import Engine, Query
from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.nodes import quoted
from stratus.sim.telemetry.promql.series import Database, Series

START, STEP, COUNT = 1_700_000_100, 15, 121
END = START + STEP * (COUNT - 1)


def corpus() -> list[Series]:
    """Counters with resets, gauges, gaps, a histogram, and constant series with various labels."""
    rng = random.Random(7)
    found: list[Series] = []

    def add(name: str, values: list[float], *, keep: list[int] | None = None, **labels: str) -> None:
        places = list(range(COUNT)) if keep is None else keep
        times = np.array([START + STEP * n for n in places], dtype=float)
        found.append(Series({"__name__": name, **labels}, times, np.array([values[n] for n in places], dtype=float)))

    for job in ("api", "web"):
        for instance in ("0", "1", "2"):
            total, values = rng.uniform(0, 50), []
            for _ in range(COUNT):
                total += rng.uniform(0, 30)
                if rng.random() < 0.03:
                    total = rng.uniform(0, 5)
                values.append(round(total, 3))
            for code, part in (("200", 1.0), ("500", 0.25)):
                scaled = [round(v * part, 3) for v in values]
                add("http_requests_total", scaled, job=job, instance=instance, code=code, path=f"/{job}/{instance}")
            gauge = [round(rng.gauss(100, 40), 2) for _ in range(COUNT)]
            holes = [n for n in range(COUNT) if not (instance == "1" and 20 <= n < 60)]
            add("memory_bytes", gauge, job=job, instance=instance, keep=holes)
        add("up", [1.0 if n % 7 else 0.0 for n in range(COUNT)], job=job, instance="0")
        add("info", [1.0] * COUNT, job=job, version="1.2" if job == "api" else "2.0", team="blue")
        counts = [0.0] * 5
        history: list[list[float]] = []
        for _ in range(COUNT):
            for n in range(5):
                counts[n] += rng.randint(0, 4)
            history.append(list(np.cumsum(counts)))
        for n, bound in enumerate(("10.0", "50.0", "100.0", "500.0", "+Inf")):
            add("latency_bucket", [row[n] for row in history], job=job, le=bound)
    add("limits", [150.0] * COUNT, job="api")
    add("steps", [float(n // 10) for n in range(COUNT)], kind="steps")
    add("negative", [math.sin(n / 5) * 10 for n in range(COUNT)], kind="wave")
    return found


def open_metrics(series: list[Series]) -> str:
    lines, typed = [], ""
    for one in sorted(series, key=lambda s: s.labels["__name__"]):
        name = one.labels["__name__"]
        if name != typed:
            typed = name
            lines.append(f"# TYPE {name} unknown")
        labels = ",".join(f"{k}={quoted(v)}" for k, v in one.labels.items() if k != "__name__")
        lines += [
            f"{name}{{{labels}}} {v!r} {t:.3f}" for t, v in zip(one.times.tolist(), one.values.tolist(), strict=True)
        ]
    return families(lines)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    needed("prometheus", "promtool")
    folder = tmp_path_factory.mktemp("promql")
    backfill(folder, open_metrics(corpus()))
    with prometheus(folder) as url:
        client = Asked(url)
        yield client
        client.close()


@pytest.fixture(scope="module")
def ours() -> Engine:
    return Engine(Database(corpus()))


def told(answer: Query) -> dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]:
    if answer.kind == "matrix":
        rows = [(s.labels, zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in answer.samples]
        return {tuple(sorted(labels.items())): list(values) for labels, values in rows}
    found = {}
    for labels, values, mask in zip(answer.rows.labels, answer.rows.values, answer.rows.present, strict=True):
        points = [(float(t), float(v)) for t, v, m in zip(answer.times, values, mask, strict=True) if m]
        if points:
            found[tuple(sorted(labels.items()))] = points
    return found


def same(ours: Engine, real: Asked, query: str) -> None:
    """Compare an instant query at an odd moment, and a range query."""
    at = START + 1300.5
    _equal(query, lambda: told(ours.instant(query, at)), real.get("/api/v1/query", query=query, time=f"{at:.3f}"))
    start, end, step = START + 97, END + 400, 61
    wanted = real.get("/api/v1/query_range", query=query, start=start, end=end, step=step)
    _equal(query, lambda: told(ours.range(query, start, end, step)), wanted)


def _equal(query, mine, answer) -> None:  # type: ignore[no-untyped-def]
    if answer["status"] == "error":
        with pytest.raises(PromQLError):
            mine()
        return
    wanted, found = rows_of(answer), mine()
    assert set(found) == set(wanted), query
    for key, points in wanted.items():
        assert [t for t, _ in found[key]] == pytest.approx([t for t, _ in points], abs=1e-3), (query, key)
        values, expected = [v for _, v in found[key]], [v for _, v in points]
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), (query, key)


QUERIES = """
http_requests_total
http_requests_total{job="api",code!="200"}
http_requests_total{instance=~"0|2",path!~"/web.*"}
{__name__=~"up|info"}
memory_bytes
memory_bytes{instance="1"} offset 5m
memory_bytes offset -2m
memory_bytes @ 1700000500
memory_bytes @ start()
memory_bytes @ end() offset 1m
http_requests_total[2m]
rate(http_requests_total[2m])
rate(http_requests_total[1m:10s])
irate(http_requests_total[2m])
increase(http_requests_total[5m])
increase(http_requests_total[5m] offset 3m)
delta(memory_bytes[3m])
idelta(memory_bytes[3m])
deriv(memory_bytes[5m])
predict_linear(memory_bytes[5m], 600)
predict_linear(memory_bytes[5m] offset 1m, 600)
holt_winters(memory_bytes[5m], 0.5, 0.3)
changes(up[5m])
resets(http_requests_total[20m])
sum_over_time(memory_bytes[5m])
avg_over_time(memory_bytes[5m])
min_over_time(memory_bytes[5m])
max_over_time(memory_bytes[5m])
count_over_time(memory_bytes[5m])
last_over_time(memory_bytes[12m])
present_over_time(memory_bytes[2m])
stddev_over_time(memory_bytes[5m])
stdvar_over_time(memory_bytes[5m])
quantile_over_time(0.9, memory_bytes[5m])
absent_over_time(nothing{a="b"}[5m])
absent(nothing{a="b",c=~"d"})
absent(up)
absent(sum(nothing))
sum(http_requests_total)
sum by (job) (rate(http_requests_total[2m]))
sum without (instance, path) (rate(http_requests_total[2m]))
avg by (job, code) (http_requests_total)
min(memory_bytes) by (instance)
max(memory_bytes) without (instance)
count by (code) (http_requests_total)
group by (job) (up)
stddev(memory_bytes)
stdvar by (job) (memory_bytes)
topk(2, memory_bytes)
topk by (job) (1, memory_bytes)
bottomk(3, http_requests_total)
quantile(0.25, memory_bytes)
quantile by (job) (1.5, memory_bytes)
count_values("value", up)
count_values by (job) ("steps", steps)
histogram_quantile(0.95, latency_bucket)
histogram_quantile(0.5, sum by (le) (rate(latency_bucket[5m])))
histogram_quantile(0.99, sum by (le, job) (rate(latency_bucket[2m])))
histogram_quantile(-1, latency_bucket)
memory_bytes + 1
1 - memory_bytes
memory_bytes % 7
memory_bytes ^ 0.5
-memory_bytes ^ 2
2 ^ 3 ^ 2
memory_bytes / on (job, instance) up
memory_bytes / ignoring (x) memory_bytes
memory_bytes * on (job) group_left (version, team) info
info * on (job) group_right (version) memory_bytes
http_requests_total{code="500"} / ignoring (code) http_requests_total{code="200"}
sum by (job) (http_requests_total) / on (job) group_left () limits
memory_bytes > 100
100 < memory_bytes
memory_bytes > bool 100
memory_bytes != on (job) group_left limits
memory_bytes > on (job, instance) memory_bytes{instance="0"} offset 1m
up == 0
up == bool on (job) info
1 == bool 2
http_requests_total{code="500"} / http_requests_total{code="200"}
memory_bytes / on (job) limits
memory_bytes and on (job) limits
memory_bytes unless on (job, instance) up
up or memory_bytes
memory_bytes{instance="0"} or on (job) up
up and memory_bytes > 50 or info
abs(negative)
ceil(negative) + floor(negative)
round(memory_bytes, 10)
round(negative)
clamp(memory_bytes, 80, 120)
clamp(memory_bytes, 120, 80)
clamp_min(memory_bytes, 90)
clamp_max(memory_bytes, 90)
ln(memory_bytes) + log2(memory_bytes) - log10(memory_bytes)
sqrt(negative)
sgn(negative)
exp(negative / 10)
sin(negative) + cos(negative)
atan(negative)
negative atan2 ignoring (kind) negative
deg(negative)
scalar(steps) + memory_bytes
scalar(memory_bytes)
vector(scalar(steps))
vector(1) or up
time()
time() - timestamp(up)
timestamp(up + 0)
pi()
minute()
hour(vector(1700000000))
day_of_week() + day_of_month() + day_of_year() + days_in_month() + month() + year()
sort(memory_bytes)
sort_desc(memory_bytes)
label_replace(up, "host", "$1-x", "job", "(.).*")
label_replace(up, "host", "${1}x$2", "job", "(a)(.*)")
label_replace(up, "job", "", "instance", ".*")
label_replace(up, "job", "same", "instance", ".*")
label_join(up, "all", "-", "job", "instance", "none")
max_over_time(rate(http_requests_total[1m])[5m:30s])
avg_over_time(sum by (job) (memory_bytes)[5m:])
sum_over_time((time() > bool 0)[2m:17s])
min_over_time(memory_bytes[5m:20s] offset 1m)
max_over_time(deriv(memory_bytes[2m])[3m:1m] @ 1700001000)
rate(http_requests_total[5m] @ end())
sum(rate(http_requests_total{code="500"}[2m])) / sum(rate(http_requests_total[2m])) > 0.1
(sum by (job) (up) > 0) and on (job) (count by (job) (memory_bytes) > 1)
rate(http_requests_total[10s])
http_requests_total{code="200"} - ignoring (code) group_left http_requests_total
"text"
0x1F + 1e2 - .5
Inf - NaN
""".strip().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_what_prometheus_gives(ours: Engine, real: Asked, query: str) -> None:
    if query == '"text"':
        assert ours.instant(query, END).text == real.get("/api/v1/query", query=query)["data"]["result"][1]
        return
    same(ours, real, query)


NAMES = ["http_requests_total", "memory_bytes", "up", "info", "limits", "latency_bucket"]
GROUPS = ["job", "instance", "code", "job, instance", "le"]


@st.composite
def selectors(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    matcher = draw(st.sampled_from(["", '{job="api"}', '{instance!="1"}', '{code=~"2.*|"}', '{job!~"w.*"}']))
    return name + matcher


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        offset = draw(st.sampled_from(["", "", " offset 1m", " @ 1700001000"]))
        return draw(selectors()) + offset
    inner = draw(expressions(depth=depth - 1))
    kind = draw(st.integers(0, 6))
    if kind == 0:
        op = draw(st.sampled_from(["sum", "avg", "min", "max", "count", "stddev", "group", "topk", "quantile"]))
        how = draw(st.sampled_from(["by", "without"]))
        first = {"topk": "2, ", "quantile": "0.3, "}.get(op, "")
        return f"{op} {how} ({draw(st.sampled_from(GROUPS))}) ({first}{inner})"
    if kind == 1:
        function = draw(st.sampled_from(["rate", "increase", "delta", "irate", "avg_over_time", "changes", "deriv"]))
        window = draw(st.sampled_from(["30s", "2m", "5m"]))
        return f"{function}({draw(selectors())}[{window}])"
    if kind == 2:
        function = draw(
            st.sampled_from(["sum_over_time", "max_over_time", "count_over_time", "rate", "last_over_time"])
        )
        return f"{function}(({inner})[3m:{draw(st.sampled_from(['20s', '1m', '']))}])"
    if kind == 3:
        function = draw(st.sampled_from(["abs", "ceil", "sqrt", "sgn", "absent", "ln"]))
        return f"{function}({inner})"
    if kind == 4:
        op = draw(st.sampled_from(["+", "-", "*", "/", "%", ">", "<=", "== bool", "!="]))
        return f"({inner}) {op} {draw(st.sampled_from(['0', '1', '100', '0.5']))}"
    if kind == 5:
        op = draw(st.sampled_from(["+", "/", ">", "and", "or", "unless", "== bool"]))
        pairing = draw(st.sampled_from(["", " on (job)", " on (job, instance)", " ignoring (code, le)"]))
        many = draw(st.sampled_from(["", " group_left ()", " group_left (team)"])) if pairing and op[0] in "+/>" else ""
        return f"({inner}) {op}{pairing}{many} ({draw(expressions(depth=depth - 1))})"
    return f'label_replace({inner}, "team", "$1", "job", "(.).*")'


@pytest.mark.slow
@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(query=expressions())
def test_generated_queries_give_what_prometheus_gives(ours: Engine, real: Asked, query: str) -> None:
    same(ours, real, query)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "", "sum(", "up{", 'up{job="}', "up[5m", "up[5m] offset", "rate(up)", "sum(up[5m])", "up + ", "foo(up)", "up)",
        'up{job=~"("}', "up{}[0s]", "{}", '{job=~".*"}', "up and 1", "1 > 2", "topk(up)", "up offset 5", "up bool up",
        "count_values(1, up)", "label_replace(up)", "up group_left up", "up on (job) 1", "'a' + 1", "up[5m:1m", "-'a'",
        "up and on (job) group_left up", "up{job='a'}{x='y'}", "sum by (job up)", "rate(up[5m:])[", "up @ foo",
    ],
)  # fmt: skip
def test_what_prometheus_refuses_is_refused(ours: Engine, real: Asked, query: str) -> None:
    assert real.get("/api/v1/query", query=query, time=START + 300)["status"] == "error"
    with pytest.raises(PromQLError):
        ours.instant(query, START + 300)
