"""Log templates: alike lines together, errors and new ones first, secrets gone."""

from __future__ import annotations

import time

import pytest
from builders import NOW, app, observation, said

from stratus.diagnosis.logs import level, masked, mine
from stratus.model.evidence import LogLine


def test_lines_that_differ_in_parameters_become_one_template() -> None:
    look = observation(
        *app("web"), logs=said("web", *[f"GET /cart/{i} took {i * 3} ms from 10.0.0.{i}" for i in range(9)])
    )
    (template,) = mine(look, 0.0)
    assert template.count == 9
    assert template.template == "GET /cart/<n> took <n> ms from <ip>"
    assert template.services == ("web",)
    assert not template.new


def test_errors_come_first_and_new_ones_before_old() -> None:
    old = said("web", "ERROR old trouble here", age=800.0)
    new = said("web", "all is fine", "ERROR disk is full now", "warning: slow reply")
    found = mine(observation(*app("web"), logs=(*old, *new)), NOW - 100)
    assert [(t.severity, t.new) for t in found] == [
        ("error", True),
        ("error", False),
        ("warning", True),
        ("info", True),
    ]


def test_a_template_seen_before_the_onset_is_not_new() -> None:
    both = (*said("web", "ERROR x failed 1 time", age=800.0), *said("web", "ERROR x failed 2 time"))
    (template,) = mine(observation(*app("web"), logs=both), NOW - 100)
    assert template.count == 2
    assert not template.new


def test_secrets_do_not_reach_templates() -> None:
    look = observation(*app("web"), logs=said("web", "login failed with password=hunter2 for jane@example.org"))
    (template,) = mine(look, 0.0)
    assert "hunter2" not in template.template + template.example
    assert "jane" not in template.template + template.example


@pytest.mark.parametrize(
    ("text", "grave"),
    [
        ("E0301 12:00:00 controller.go: x", "error"),
        ('{"level":"error","msg":"x"}', "error"),
        ("level=warn msg=x", "warning"),
        ("0 errors found", "info"),
        ("request done error=null", "info"),
        ("connection refused", "error"),
        ("listening on :8080", "info"),
    ],
)
def test_levels(text: str, grave: str) -> None:
    assert level(text) == grave


def test_masks() -> None:
    text = (
        "2026-03-01T12:00:00.5Z id=6f1c1b7e-8d0e-4b7e-9c0a-000000000001 at 0xdeadbeef n=42 3.5s 10.1.2.3:80 a1b2c3d4e5"
    )
    assert masked(text) == "<time> id=<uuid> at <hex> n=<n> <n> <ip> <hex>"


def test_many_lines_are_mined_in_reasonable_time() -> None:
    rows = tuple(
        LogLine(at=NOW - 5000 + i, namespace="shop", pod="web-1-0", container="app",
                text=f"word{i % 50} " + " ".join(f"w{(i * k) % 7}" for k in range(12)))
        for i in range(5000)
    )  # fmt: skip
    began = time.process_time()
    found = mine(observation(*app("web"), logs=rows), 0.0)
    assert found
    assert time.process_time() - began < 10
