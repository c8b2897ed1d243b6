"""Suites of scenarios as data: reading, checking and renaming them."""

from stratus.bench.suites.linting import Finding, lint_suite
from stratus.bench.suites.loading import load_suite, suite_names, suites_folder
from stratus.bench.suites.renaming import renamed
from stratus.bench.suites.schema import NotCovered, Scenario, StrictSpec, Suite, Task, Truth

__all__ = [
    "Finding", "NotCovered", "Scenario", "StrictSpec", "Suite", "Task", "Truth", "lint_suite", "load_suite", "renamed",
    "suite_names", "suites_folder",
]  # fmt: skip
