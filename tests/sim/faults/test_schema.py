"""Faults are data: arguments go into steps, and mistakes are named."""

from __future__ import annotations

import pytest

from stratus.errors import UsageError
from stratus.sim.apps.loader import load_application
from stratus.sim.faults.engine import FaultEngine, parse_faults
from stratus.sim.faults.schema import FaultSpec, Scale, SetImage

EXAMPLES = {"kind": "PodChaos", "spec": {"action": "pod-kill"}}
GOOD = """
faults:
  - id: one
    description: x
    arguments: {workload: null, n: 0}
    steps:
      - {do: scale, name: "${workload}", replicas: "${n}"}
      - {do: set-image, name: web, image: "acme/${workload}:${n}", after: 5}
"""


def spec() -> FaultSpec:
    return parse_faults(GOOD, "x")[0]


def test_arguments_take_their_places_whole_or_within_text() -> None:
    scale, image = spec().resolve({"workload": "rate", "n": 3})
    assert isinstance(scale, Scale)
    assert (scale.name, scale.replicas) == ("rate", 3)
    assert isinstance(image, SetImage)
    assert (image.image, image.after) == ("acme/rate:3", 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give a value for workload"),
        ({"workload": "a", "size": 1}, "unknown argument size; this fault takes: n, workload"),
        ({"workload": "a", "n": -1}, "greater than or equal to 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec().resolve(arguments)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("do: scale", "do: explode"), "explode"),
        (
            (
                "workload: null, ",
                "workload: rate, size: 1, ",
            ),
            "",
        ),
        (("id: one", "id: One!"), "faults.0.id"),
        (("    steps:\n", "    steps: []\n    stepz:\n"), "stepz: unknown field"),
        (("after: 5", "afterwards: 5"), "afterwards"),
    ],
)
def test_mistakes_in_a_file_are_named(change: tuple[str, str], said: str) -> None:
    text = GOOD.replace("workload: null", "workload: rate") if "workload: null" not in change[0] else GOOD
    if not said:
        assert parse_faults(text.replace(*change), "f.yaml")
        return
    assert change[0] in text
    with pytest.raises(UsageError) as caught:
        parse_faults(text.replace(*change), "f.yaml")
    assert "f.yaml" in str(caught.value)
    assert said in str(caught.value)


def test_the_shipped_faults_are_whole() -> None:
    known = FaultEngine.load(load_application("hotel-reservation")).known()
    assert len({f.id for f in known}) == len(known) >= 40
    for fault in known:
        assert fault.description.strip().endswith(".")
        fault.resolve({k: EXAMPLES.get(k, "x") for k, v in fault.arguments.items() if v is None})
