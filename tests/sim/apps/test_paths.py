"""Hops and flows: retries multiply calls, failures keep their text, sums come out."""

from __future__ import annotations

import pytest

from stratus.sim.apps.flow import Flow, edge_figures, service_figures
from stratus.sim.apps.paths import Answer, Fail, Outcome, capped, hop_of, merged, worded
from stratus.sim.apps.process import Proc, fill, stamped
from stratus.sim.apps.schema import LogStyle, Operation, Program, Target, Value

FAST = (0.01, 1e-6)
LABEL = ("ns", "store")


def target(protocol: str = "grpc", retries: int = 0) -> Target:
    return Target.model_validate({"address": Value(default="store:1"), "protocol": protocol, "retries": retries})


def proc(name: str) -> Proc:
    program = Program(image="x", operations={"get": Operation()})
    return Proc(name, program, None, ("ns", f"{name}-1"), f"uid-{name}", name, name, 0.0, 0)


def answer(broken: float, *, here: bool = True, branches: list[tuple[float, Proc]] | None = None) -> Answer:
    fails = [Fail(broken, FAST, "refused", here)] if broken else []
    return Answer(1 - broken, FAST, fails, [(1.0, FAST)], branches or [], LABEL)


def test_retries_multiply_the_calls_but_not_the_share_that_fails() -> None:
    once, more = hop_of("s", target(), "get", answer(0.5), 2.0), hop_of("s", target(), "get", answer(0.5), 2.0, 2)
    assert once.calls == 2.0
    assert more.calls == pytest.approx(2.0 * 1.75)
    assert more.errors / more.calls == pytest.approx(once.errors / once.calls) == pytest.approx(0.5)


def test_only_errors_born_here_are_an_edges_own_but_the_caller_reads_all() -> None:
    own, deeper = (
        hop_of("s", target(), "get", answer(0.5), 1.0),
        hop_of("s", target(), "get", answer(0.5, here=False), 1.0),
    )
    assert (own.message, own.text) == ("refused", "refused")
    assert (deeper.message, deeper.text) == ("", "refused")


def test_failures_of_one_text_are_one_and_few_are_kept() -> None:
    fails = [Fail(0.1, FAST, "a"), Fail(0.2, (0.3, 0.0), "a"), Fail(0.05, FAST, "a", here=False), Fail(0.0, FAST, "z")]
    found = merged(fails)
    assert [(f.message, f.here, pytest.approx(f.weight)) for f in found] == [
        ("a", True, pytest.approx(0.3)),
        ("a", False, pytest.approx(0.05)),
    ]
    assert found[0].span[0] == pytest.approx((0.1 * 0.01 + 0.2 * 0.3) / 0.3)
    many = merged([Fail(0.01 * n, FAST, str(n)) for n in range(1, 9)])
    assert len(many) == 4
    assert sum(f.weight for f in many) == pytest.approx(0.36)


def test_waiting_ends_with_the_timeout_and_errors_are_worded_once() -> None:
    assert capped((5.0, 1.0), 2.0) == (2.0, 0.0)
    assert capped(FAST, 2.0) == FAST
    assert worded("grpc", "no") == "rpc error: code = Unknown desc = no"
    assert worded("grpc", "rpc error: code = Internal desc = no") == "rpc error: code = Internal desc = no"
    assert worded("http", "no") == "no"


def test_a_flow_reaches_every_branch_in_proportion_and_counts_once() -> None:
    front, a, b = proc("front"), proc("a"), proc("b")
    good = Outcome(1.0, FAST, [], FAST, 0.002)
    bad = Outcome(0.5, FAST, [Fail(0.5, FAST, "no")], FAST, 0.002)
    flow = Flow({(id(a), "get"): good, (id(b), "get"): bad})
    hop = hop_of("s", target(), "get", answer(0.125, branches=[(0.75, a), (0.25, b)]), 2.0)
    flow.follow(front, ("ns", "front"), hop, 10.0, 0)
    assert flow.served == {id(a): 15.0, id(b): 5.0}
    assert flow.demand[id(a)] == pytest.approx(0.03)
    service = service_figures(flow.services()[LABEL])
    assert service.rate == 20.0
    assert service.error_rate == pytest.approx(0.125)
    edge = edge_figures(flow.edges["ns", "front", "store", "get"])
    assert edge.calls == 20.0
    assert edge.errors == pytest.approx(2.5)
    assert edge.message == "refused"
    assert flow.lines[id(front), "s", "get", "refused"] == pytest.approx(2.5)


def test_calls_to_what_writes_no_spans_leave_no_edge_but_use_cpu() -> None:
    front, a = proc("front"), proc("a")
    flow = Flow({(id(a), "get"): Outcome(1.0, FAST, [], FAST, 0.002)})
    flow.follow(
        front, ("ns", "front"), hop_of("s", target("mongodb"), "get", answer(0.0, branches=[(1.0, a)]), 1.0), 10, 0
    )
    assert flow.edges == {}
    assert flow.services() == {}
    assert flow.demand[id(a)] == pytest.approx(0.02)


def test_a_loop_of_calls_comes_to_an_end() -> None:
    a = proc("a")
    outcomes: dict[tuple[int, str], Outcome] = {}
    loop = hop_of("s", target(), "get", answer(0.0, branches=[(1.0, a)]), 1.0)
    outcomes[id(a), "get"] = Outcome(1.0, FAST, [], FAST, 0.001, [loop])
    flow = Flow(outcomes)
    flow.follow(None, ("", ""), loop, 10.0, 0)
    assert 10 < flow.served[id(a)] < 500


def test_log_lines_take_values_and_stamps_and_keep_other_braces() -> None:
    assert fill('{"a":{"b":"{x}"}} {y}', x="1") == '{"a":{"b":"1"}} {y}'
    at = 1767603600.25
    assert stamped(LogStyle(), "up", at) == "2026-01-05T09:00:00Z up"
    assert stamped(LogStyle(prefix=""), '{"t":"{date}"}', at) == '{"t":"2026-01-05T09:00:00.250+00:00"}'


def test_a_process_and_its_copy_do_not_share_lines() -> None:
    one = proc("a")
    twin = one.clone()
    one.write(1.0, "hello {who}", who="you")
    assert [text for _, text in one.lines] == ["1970-01-01T00:00:01Z hello you"]
    assert not twin.lines
