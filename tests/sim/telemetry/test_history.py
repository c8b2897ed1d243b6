"""The history of ticks, and sums over stretches of it."""

from __future__ import annotations

import pytest

from stratus.sim.apps.figures import EdgeFigures, ServiceFigures, Tick
from stratus.sim.telemetry.history import KEPT, History, edge_sums, service_point, weighted

LABEL = ("ns", "web")
EDGE = ("ns", "web", "store", "get")


def tick(at: float, rate: float = 10.0, errors: float = 0.0, p99: float = 0.1, message: str = "") -> Tick:
    services = {LABEL: ServiceFigures(rate, errors, p99 / 2, p99)} if rate else {}
    edges = {EDGE: EdgeFigures(rate, rate * errors, p99, p99 / 2, message)} if rate else {}
    return Tick(at, 5.0, services, edges, ())


def test_a_stretch_is_open_at_its_start_and_closed_at_its_end() -> None:
    history = History(tick(at) for at in (5.0, 10.0, 15.0))
    assert [t.at for t in history.between(5.0, 15.0)] == [10.0, 15.0]
    assert history.last(14.9).at == 10.0  # type: ignore[union-attr]
    assert history.last(4.0) is None


def test_old_ticks_are_dropped_and_copies_are_independent() -> None:
    history = History()
    for number in range(1, 2001):
        history.add(tick(5.0 * number))
    assert KEPT / 5 <= len(history) <= 1.2 * KEPT / 5
    other = history.copy()
    other.add(tick(10_005.0))
    assert len(other) == len(history) + 1


def test_a_point_weighs_ticks_by_their_requests() -> None:
    ticks = [tick(5, rate=30, errors=0.0), tick(10, rate=10, errors=0.4)]
    rate, errors, latency = service_point(ticks, LABEL)
    assert rate == 20
    assert errors == pytest.approx(0.1)
    assert latency == 0.1


def test_no_requests_is_a_rate_of_zero_and_nothing_else_known() -> None:
    assert service_point([tick(5, rate=0)], LABEL) == (0.0, None, None)
    assert service_point([], LABEL) == (0.0, None, None)
    assert service_point([tick(5)], LABEL, "p95")[2] == 0.05


def test_edges_count_calls_and_keep_the_commonest_message() -> None:
    ticks = [tick(5, errors=0.1, message="refused"), tick(10, errors=0.5, message="timed out", p99=2.0), tick(15)]
    calls, errors, p99, own, message = edge_sums(ticks, ("ns",))[EDGE]
    assert calls == 150
    assert errors == pytest.approx(30)
    assert p99 == 2.0
    assert own == 1.0
    assert message == "timed out"
    assert edge_sums(ticks, ("other",)) == {}
    assert set(edge_sums(ticks, ())) == {EDGE}


def test_a_weighted_level_is_a_value_that_occurs() -> None:
    assert weighted([(1, 5.0), (8, 1.0), (1, 9.0)], 0.8) == 1.0
    assert weighted([(1, 5.0), (8, 1.0), (1, 9.0)], 0.9) == 5.0
    assert weighted([], 0.9) == 0.0
