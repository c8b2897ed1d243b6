"""Let Stratus work on one problem of AIOpsLab; to be run where AIOpsLab is installed."""

from __future__ import annotations

import argparse
import asyncio

from stratus.bench.external.aiopslab import AIOpsLabAgent
from stratus.bench.external.solving import Bench
from stratus.settings import Settings


def main() -> None:
    """Start a problem and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem", help="id, such as k8s_target_port-misconfig-mitigation-1")
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--prometheus", default="")
    parser.add_argument("--reasoner", default="rules")
    parser.add_argument("--max-steps", type=int, default=10)
    told = parser.parse_args()

    from aiopslab.orchestrator import Orchestrator  # the harness, installed by its own instructions

    changes = {"prometheus": told.prometheus, "reasoner": told.reasoner}
    if told.kubeconfig:
        changes["kubeconfig"] = told.kubeconfig
    agent = AIOpsLabAgent(Bench(Settings.model_validate(changes)))
    orchestrator = Orchestrator()
    orchestrator.register_agent(agent, name="stratus")
    agent.init_context(*orchestrator.init_problem(told.problem))
    print(asyncio.run(orchestrator.start_problem(max_steps=told.max_steps)))


if __name__ == "__main__":
    main()
