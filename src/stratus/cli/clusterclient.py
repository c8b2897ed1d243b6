"""How `stratus cluster` finds a running cluster, reads arguments, and shows answers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stratus.cli.output import console
from stratus.errors import UsageError

if TYPE_CHECKING:
    from stratus.sim.remote import RemoteCommands


def commands(control: Path | None) -> RemoteCommands:
    """Return the commands of the running cluster that is meant.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    from stratus.sim.remote import SUFFIX, RemoteCommands

    if control is not None:
        return RemoteCommands(control)
    for part in os.environ.get("KUBECONFIG", "").split(os.pathsep):
        beside = Path(part + SUFFIX)
        if part and beside.is_file():
            return RemoteCommands(beside)
    here = sorted(Path.cwd().glob(f"*{SUFFIX}"))
    if len(here) > 1:
        names = ", ".join(p.name for p in here)
        raise UsageError(f"several control files are here ({names}): choose one with --control, or set KUBECONFIG")
    if not here:
        raise UsageError(
            "no running cluster was found: start one with `stratus cluster up`, set KUBECONFIG to its kubeconfig, "
            "or give --control FILE (or --state FILE for one that is not running)"
        )
    return RemoteCommands(here[0])


def read_arguments(given: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` pairs; values that are numbers or JSON are that, everything else is text.

    Raises:
        UsageError: one is no such pair.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"an argument is `name=value`, not {text!r}")
        if name in found:
            raise UsageError(f"the argument {name} is given twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    if text[:1] in ("{", "["):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


def show(data: dict[str, Any], as_json: bool, *lines: str | Iterable[str]) -> None:
    """Print an answer: as JSON on stdout, or as lines for people (problems are lists of lines)."""
    if as_json:
        sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    for line in lines:
        if isinstance(line, str):
            console().print(line, markup=False)
        else:
            for problem in line:
                console().print(f"  not done: {problem}", markup=False, style="yellow")


def show_status(found: dict[str, Any], as_json: bool) -> None:
    """Print the state of a cluster."""
    if as_json:
        show(found, True)
        return
    nodes, pods, noise = found["nodes"], found["pods"], found["noise"]
    lines = [
        f"{found['application'] or 'no application'} in {found['namespace']}, {found['now']}",
        f"nodes {nodes['ready']}/{nodes['all']} ready, pods {pods['ready']}/{pods['all']} ready",
        f"alerts: {', '.join(found['alerts']) or 'none'}",
    ]
    worst = sorted(found["services"], key=lambda s: -s["error_rate"])
    for service in worst[:8]:
        lines.append(
            f"  {service['service']:<26} {service['requests_per_second']:>8.1f}/s "
            f"{service['error_rate'] * 100:>5.1f} % errors  p99 {service['p99_ms']:.0f} ms"
        )
    for fault in found["faults"]:
        coming = f", next at {fault['next']}" if fault["next"] else ""
        lines.append(f"fault {fault['name']} ({fault['fault']}): {fault['state']}{coming}")
        lines += [f"  not done: {p}" for p in fault["problems"]]
    lines.append(f"noise: {noise['level']}, {noise['made']} pieces so far")
    show(found, False, *lines)
