"""One module per file of the recordings, and the order in which they are replayed."""

from __future__ import annotations

from stratus.conformance.suites.base import Suite


def all_suites() -> tuple[Suite, ...]:
    """Return every suite, in the order of the recordings' README."""
    from stratus.conformance.suites import (
        concurrency,
        defaulting,
        discovery,
        jsononly,
        lifecycles,
        patches,
        reads,
        sessions,
        tables,
        validation,
    )

    return (
        discovery.Discovery(),
        defaulting.Defaulting(),
        validation.Validation(),
        patches.Patches(),
        sessions.Sessions(),
        reads.Reads(),
        tables.Tables(),
        concurrency.Concurrency(),
        jsononly.JsonOnly(),
        jsononly.JsonOnly132(),
        lifecycles.Lifecycles(),
    )


__all__ = ["Suite", "all_suites"]
