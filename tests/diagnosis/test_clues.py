"""What logs say in so many words is understood, and nothing is read into timestamps and source lines."""

from __future__ import annotations

import pytest
from builders import app, case, node, observation, pod, said, series, template

from stratus.diagnosis.rules import RulesReasoner
from stratus.model.diagnosis import Hypothesis


def read(*texts: str, again: int = 3) -> list[Hypothesis]:
    look = observation(
        *app("front"), *app("back"), node(), series=(series("front", errors=0.5),), logs=said("front", *texts * again)
    )
    return [h for h in RulesReasoner().diagnose(case(look)).hypotheses if h.analyzer == "logs"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T09:06:01Z ERR cmd/main.go:43 > something unavailable",
        "2026/01/05 09:06:01 panic: unable to start: timed out after 10s",
        "goroutine 1 [running]: main.go:110 error timeout",
        "ERROR GET https://api.example.com:443/x timed out",
        "E0105 09:06:01.123 reflector.go:150] unreachable",
    ],
)
def test_timestamps_source_lines_and_the_outside_world_are_no_addresses(text: str) -> None:
    assert [h for h in read(text) if h.fault in ("dependency_address", "dependency_failure", "no_endpoints")] == []


@pytest.mark.parametrize(
    ("text", "fault", "blamed"),
    [
        ("error: dial tcp: lookup gone on 10.96.0.10:53: no such host", "dependency_address", "front"),
        ("ERR 2026-01-05T09:06:01Z dial tcp gone:9090: connect: connection refused", "dependency_address", "front"),
        ("error: dial tcp back:9999: connect: connection refused", "dependency_address", "front"),
        ("failed to connect to back:80 within 1s", "dependency_failure", "back"),
        (f"error: connection to 10.96.0.{sum(map(ord, 'back')) % 250}:80 i/o timeout", "dependency_failure", "back"),
        ("lookup back.shop.svc.cluster.local: no such host: error", "dns_failure", "front"),
        ("mongo: error: authentication failed for user admin at back", "auth_failure", "back"),
        ("ERROR password authentication failed for user app", "auth_failure", "front"),
    ],
)
def test_words_that_name_a_cause(text: str, fault: str, blamed: str) -> None:
    assert (fault, blamed) in {(h.fault, h.object.name) for h in read(text)}


def test_a_single_hiccup_is_no_clue() -> None:
    assert read("error: dial tcp gone:9090: connect: connection refused", again=1) == []


def test_no_cluster_dns_by_policy() -> None:
    tpl = template("front", dnsPolicy="Default")
    objects = [*app("front", dnsPolicy="Default")[:2], pod("front", 1, tpl), app("front")[3]]
    look = observation(
        *objects, *app("back"), node(), series=(series("front", errors=0.5),),
        logs=said("front", *["error lookup back on 8.8.8.8:53: no such host"] * 3),
    )  # fmt: skip
    one = case(look)
    found = RulesReasoner().diagnose(one).hypotheses[0]
    assert (found.fault, found.object.name) == ("dns_failure", "front")
    plan = RulesReasoner().plan(one, found)
    assert plan is not None
    assert '"dnsPolicy":"ClusterFirst"' in plan.steps[0].command
