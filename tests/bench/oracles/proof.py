"""Proves an oracle on a scenario: what each of several ways to answer is judged to be."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from stratus.bench.arena import LEAST, Aftermath, Arena
from stratus.bench.oracles import Judgement, judge, judge_records
from stratus.bench.suites import Scenario, Suite

REPAIRS = Path(__file__).parent.parent / "repairs"
KUBECTL = Path(sys.executable).parent / "kubectl"


def injected(arena: Arena) -> Judgement:
    """The state in which the symptoms show, judged at once."""
    return judge_records(arena.scenario, arena.healthy, arena.broken, arena.broken, arena.broken)


def noop(arena: Arena) -> tuple[Aftermath, Judgement]:
    """Nobody does anything."""
    with arena.branch() as copy:
        aftermath = copy.finish(most=LEAST)
        return aftermath, judge(copy, aftermath)


def healed(arena: Arena) -> tuple[Aftermath, Judgement]:
    """What was injected is taken back, last first."""
    with arena.branch() as copy:
        for name in reversed(copy.cluster.injected()):
            copy.cluster.heal(name)
        aftermath = copy.finish()
        return aftermath, judge(copy, aftermath)


def silenced(arena: Arena) -> tuple[str, Aftermath, Judgement]:
    """The workload that is blamed, or near to what is blamed, is scaled to zero."""
    from kubernetes.client import AppsV1Api

    name = victim(arena)
    with arena.branch() as copy:
        api = AppsV1Api(copy.cluster.api_client())
        api.patch_namespaced_deployment(name, copy.cluster.namespace, {"spec": {"replicas": 0}})
        aftermath = copy.finish(most=LEAST)
        return name, aftermath, judge(copy, aftermath)


def victim(arena: Arena) -> str:
    """Return the Deployment that a silencer would scale to zero."""
    space = arena.healthy.namespace
    truth = arena.scenario.truth
    names = [o.rsplit("/", 1)[-1] for o in truth.objects if o.startswith("Deployment/")]
    names += [*truth.localization, *(o.rsplit("/", 1)[-1] for o in truth.objects)]
    names += [w for n in names for w in sorted(_deployments(arena)) if w in n]
    names += sorted(_deployments(arena))
    return next(n for n in names if f"Deployment/{space}/{n}" in arena.healthy.workloads)


def _deployments(arena: Arena) -> set[str]:
    head = f"Deployment/{arena.healthy.namespace}/"
    return {k.removeprefix(head) for k in arena.healthy.workloads if k.startswith(head)}


def repairs(suite: str) -> dict[str, list[str]]:
    """Return the commands that repair scenarios of a suite, by scenario."""
    found: dict[str, Any] = yaml.safe_load((REPAIRS / f"{suite}.yaml").read_text(encoding="utf-8"))
    return found


def repaired(arena: Arena, commands: list[str]) -> tuple[Aftermath, Judgement]:
    """Somebody who knows what is wrong types it: the real kubectl, over HTTPS."""
    with arena.branch() as copy, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        with copy.cluster.serve(follow_wall_clock=False) as front:
            config.write_text(front.kubeconfig())
            for command in commands:
                words = shlex.split(command) if " exec " in command else command.split(" ")
                if words[0] == "advance":
                    copy.cluster.advance(float(words[1]))
                else:
                    _kubectl(words[1:], config, copy.cluster.namespace)
        aftermath = copy.finish()
        return aftermath, judge(copy, aftermath)


def _kubectl(words: list[str], config: Path, namespace: str) -> None:
    where = {**os.environ, "KUBECONFIG": str(config), "HOME": str(config.parent)}
    done = subprocess.run(
        [str(KUBECTL), "--namespace", namespace, *words], env=where, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"


def openings(suite: Suite, scenario: Scenario, seed: int = 0) -> Arena:
    """Return an arena with the scenario injected."""
    arena = Arena.open(scenario, seed, suite=suite)
    arena.inject()
    return arena
