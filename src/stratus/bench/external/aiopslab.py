"""An agent for AIOpsLab's orchestrator: `register_agent`, `init_problem`, `start_problem`.

The orchestrator asks for one action at a time, as text. Stratus reaches the cluster itself, by the kubeconfig that the
orchestrator uses too, and answers with the one action that ends the task: `submit`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Literal

from stratus.bench.external.solving import Bench, Mode, anomalous, blamed, category
from stratus.errors import UsageError
from stratus.model.reports import Report

Task = Literal["detection", "localization", "analysis", "mitigation"]

_NAMESPACE = re.compile(r"^\s*Namespace:\s*(?P<name>[a-z0-9][a-z0-9-]*)\s*$", re.MULTILINE)
_SAYS: dict[Task, re.Pattern[str]] = {
    "analysis": re.compile(r"root cause analysis|system_level", re.IGNORECASE),
    "mitigation": re.compile(r"\bto mitigate\b|mitigates any", re.IGNORECASE),
    "localization": re.compile(
        r"\bto localize\b|faulty components|locali[sz]e the (?:root )?(?:cause|fault)", re.IGNORECASE
    ),
    "detection": re.compile(r"\bto detect\b|whether there are anomalies", re.IGNORECASE),
}


class AIOpsLabAgent:
    """Stratus as an agent of AIOpsLab.

    Args:
        bench: how to reach the cluster; see `Bench`.
        task: the task's type; None: read off the description.

    Attributes:
        report: what was found out and done, after the first action.
    """

    def __init__(self, bench: Bench, task: Task | None = None) -> None:
        self._bench, self._told = bench, task
        self.task: Task | None = task
        self.namespaces: tuple[str, ...] = ()
        self.report: Report | None = None

    def init_context(self, problem_desc: str, instructions: str, apis: dict[str, str]) -> None:
        """Take in what `init_problem` returned.

        Raises:
            UsageError: the description does not tell what is asked for.
        """
        self.report = None
        self.task = self._told or task_of(problem_desc, f"{instructions}\n{apis.get('submit', '')}")
        found = _NAMESPACE.search(problem_desc)
        self.namespaces = (found["name"],) if found else ()

    async def get_action(self, state: str) -> str:
        """Return the next action for an observation: the work is done in it, and `submit` is what it comes to.

        Raises:
            UsageError: `init_context` was not called.
            StratusError: the cluster cannot be reached.
        """
        del state  # what the last action returned; there is none that Stratus waits for
        if self.task is None:
            raise UsageError("call init_context(problem_desc, instructions, apis) with what init_problem returned")
        report = self.report
        if report is None:
            mode: Mode = "auto" if self.task == "mitigation" else "observe"
            report = self.report = await asyncio.to_thread(self._bench.solve, mode, self.namespaces)
        return action("submit", *solution(self.task, report))


def task_of(description: str, more: str = "") -> Task:
    """Read the type of a task off its description, else off what else is said about it.

    Raises:
        UsageError: nothing there tells.
    """
    for text in (description, more):
        for task, words in _SAYS.items():
            if words.search(text):
                return task
    raise UsageError("the problem's description does not say what is asked for: give task=...")


def solution(task: Task, report: Report) -> tuple[object, ...]:
    """Return the arguments of `submit` for a task."""
    if task == "detection":
        return ("Yes" if anomalous(report) else "No",)
    if task == "localization":
        name = blamed(report) if anomalous(report) else ""
        return ([name] if name else [],)
    if task == "analysis":
        found = category(report) if anomalous(report) else None
        return ({"system_level": found[0], "fault_type": found[1]},) if found else ()
    return ()


def action(name: str, *args: object) -> str:
    """Spell an action as the orchestrator's parser reads it: one fenced block without a language."""
    return f"```\n{name}({', '.join(_literal(a) for a in args)})\n```"


def _literal(value: object) -> str:
    """Spell an argument; strings in double quotes, as the instructions show them."""
    import json

    return json.dumps(value) if isinstance(value, str | list | dict) else repr(value)
