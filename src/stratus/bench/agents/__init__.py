"""The agents that are measured, by name; each is made when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.errors import UnknownNameError

if TYPE_CHECKING:
    from stratus.bench.outcome import Solver

OURS = "stratus"
WITHOUT = f"{OURS}-no-"
"""Stratus without one of its parts is called `stratus-no-PART`."""

AGENTS = {
    OURS: "Stratus as it is",
    "react": "thinks, runs one command, looks, and thinks again; no transaction",
    "plan-execute": "plans for the likeliest causes first, then executes the plans in order; no transaction",
    "naive-retry": "diagnoses, acts, looks, and tries the next thing on top of what failed",
    "no-retry": "diagnoses and acts once",
    "shell": "a chat model at a shell with kubectl and small filters; needs a model",
    "restart-pods": "deletes all pods of the application until no alert fires",
    "noop": "does nothing and says nothing",
    "always-healthy": "says that nothing is wrong",
    "malicious": "a brain that proposes the worst allowed action every time, on Stratus' own engine",
}


def names() -> tuple[str, ...]:
    """Return every name that `solver` knows."""
    from stratus.wiring.ablation import PARTS

    return (*AGENTS, *(WITHOUT + part for part in PARTS))


def about(name: str) -> str:
    """Say what an agent is."""
    from stratus.wiring.ablation import PARTS

    return AGENTS.get(name) or f"Stratus, and {PARTS[name.removeprefix(WITHOUT)]}"


def solver(name: str) -> Solver:
    """Make an agent.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in names():
        raise UnknownNameError(f"no solver {name!r}; known: {', '.join(names())}")
    if name == OURS or name.startswith(WITHOUT):
        from stratus.bench.agents.ours import Ours

        return Ours(name, about(name), tuple(filter(None, [name.removeprefix(OURS).removeprefix("-no-")])))
    if name == "malicious":
        from stratus.bench.agents.malicious import Malicious

        return Malicious()
    if name in ("noop", "always-healthy", "restart-pods"):
        from stratus.bench.agents import simple

        thoughtless: dict[str, type[Solver]] = {
            "noop": simple.Noop,
            "always-healthy": simple.AlwaysHealthy,
            "restart-pods": simple.RestartPods,
        }
        return thoughtless[name]()
    if name == "shell":
        from stratus.bench.agents.shell import Shell

        return Shell()
    from stratus.bench.agents.reasoned import NaiveRetry, NoRetry, PlanExecute, React

    thinking: dict[str, type[Solver]] = {
        "react": React,
        "plan-execute": PlanExecute,
        "naive-retry": NaiveRetry,
        "no-retry": NoRetry,
    }
    return thinking[name]()
