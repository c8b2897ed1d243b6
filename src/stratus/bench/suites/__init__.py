"""Suites of scenarios as data: reading, checking and renaming them."""

from stratus.bench.suites.loading import load_suite, suite_names, suites_folder
from stratus.bench.suites.schema import NotCovered, Scenario, StrictSpec, Suite, Task, Truth

__all__ = [
    "NotCovered", "Scenario", "StrictSpec", "Suite", "Task", "Truth", "load_suite", "suite_names", "suites_folder",
]  # fmt: skip
