"""How property tests run: no time limit for one example, and the same examples each time unless asked otherwise."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "stratus", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# Examples that nobody has seen yet are for a person who looks for errors, not for a build that has to mean something.
settings.load_profile(os.environ.get("STRATUS_HYPOTHESIS", "stratus"))
