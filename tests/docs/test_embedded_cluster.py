"""What the page about the embedded cluster shows works: its workloads, its Python, its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from stratus.cli.main import app
from stratus.sim.cluster import EmbeddedCluster

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "embedded-cluster.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_annotated_workloads_take_traffic() -> None:
    text = next(b for b in blocks("yaml") if "sim.stratus.dev/program" in b)
    with EmbeddedCluster(app=None) as cluster:
        for obj in yaml.safe_load_all(text):
            cluster.faulting.hands.create(obj, "default")
        cluster.advance(60)
        tick = cluster.history.last(cluster.clock.now())
        assert tick is not None
        found = tick.services["default", "shop"]
        assert found.rate == pytest.approx(20, rel=0.2)
        # The share of errors wavers from tick to tick, about the one that is said.
        ticks = [cluster.history.last(cluster.clock.now() - 5 * n) for n in range(8)]
        shares = [t.services["default", "shop"].error_rate for t in ticks if t is not None]
        assert sum(shares) / len(shares) == pytest.approx(0.01, abs=0.005)
        cluster.inject("any-scaled-to-zero", workload="store")
        cluster.advance(30)
        tick = cluster.history.last(cluster.clock.now())
        assert tick is not None
        assert tick.services["default", "shop"].error_rate > 0.9


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(first, "page", "exec"), names)
    assert "HighRequestErrorRate" in capsys.readouterr().out
    exec(compile(second, "page", "exec"), names)
    with EmbeddedCluster(app="hotel-reservation") as base, base.fork() as cluster:
        names["test_my_tool_sees_the_outage"](cluster)


def test_the_commands_of_the_page_exist() -> None:
    tree: Any = get_command(app)
    seen = set()
    for line in "\n".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] != ["stratus", "cluster"]:
            continue
        command = tree.commands["cluster"].commands[words[2]]
        known = {name for p in command.params for name in p.opts}
        assert {w.partition("=")[0] for w in words[3:] if w.startswith("--")} <= known, line
        seen.add(words[2])
    assert seen >= {"up", "down", "status", "apps", "faults", "inject", "heal", "advance", "noise"}
    table = re.search(r"\| option of `up` .*?\n\n", PAGE, re.S)
    assert table is not None
    options = {name for p in tree.commands["cluster"].commands["up"].params for name in p.opts}
    assert set(re.findall(r"(--[a-z][a-z-]+)", table[0])) <= options
