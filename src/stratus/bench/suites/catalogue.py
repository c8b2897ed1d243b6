"""The suite that is made of the catalogue of faults: every fault that needs no arguments, on every application."""

from __future__ import annotations

from functools import lru_cache

from stratus.bench.suites.checks import AlertsCleared, Served
from stratus.bench.suites.loading import CATALOGUE, engine_for
from stratus.bench.suites.schema import Scenario, Suite, Truth
from stratus.sim.faults.scenario import Entry

APPS = ("hotel-reservation", "social-network", "astronomy-shop")


@lru_cache(maxsize=1)
def catalogue() -> Suite:
    """Return the suite; ids are `APP.FAULT`."""
    found = []
    for app in APPS:
        for spec in engine_for(app, None).known():
            if any(v is None for v in spec.arguments.values()) or spec.id.startswith("any-"):
                continue
            told = spec.expected()
            objects = (told.object, *told.also) if told is not None else ()
            name = f"{app}.{spec.id}"
            tasks = {"detection": name, "localization": name, "mitigation": name} if told else {"detection": name}
            found.append(
                Scenario(
                    id=name,
                    suite=CATALOGUE,
                    title=spec.description,
                    app=app,
                    family=told.fault if told is not None else "noop",
                    faults=(Entry(fault=spec.id),),
                    tasks=tasks,
                    truth=Truth(
                        detection=told is not None,
                        objects=objects,
                        localization=tuple(o.rsplit("/", 1)[-1] for o in objects),
                        fault=told.fault if told is not None else "unknown",
                    ),
                    original=(AlertsCleared(), Served()) if told is not None else (),
                )
            )
    return Suite(name=CATALOGUE, title="Faults of the embedded cluster", scenarios=tuple(found))
