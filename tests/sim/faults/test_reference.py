"""The page about faults says what there is; every family that benchmarks inject is ticked, or named with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stratus.sim.apps import loader
from stratus.sim.faults.engine import shipped
from stratus.sim.faults.reference import coverage, page
from stratus.sim.faults.steps import MECHANISMS

ROOT = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    found = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
    assert found == page(), "run: python docs/generate.py"


def test_everything_named_in_the_table_exists() -> None:
    known = {f"{name}:{f.id}": f for name in ("generic", *loader.shipped()) for f in shipped(name)}
    for name, family in coverage().families.items():
        assert family.mechanisms or family.why, f"{name}: neither represented nor explained"
        assert family.faults or family.why, f"{name}: no fault of it"
        assert not set(family.mechanisms) - set(MECHANISMS), name
        assert not set(family.faults) - set(known), name
        used = {step["do"] for fault in family.faults for step in known[fault].steps}
        assert not family.faults or used & set(family.mechanisms), f"{name}: its faults use none of its mechanisms"


def test_every_mechanism_is_used_by_a_fault() -> None:
    used = {s["do"] for name in ("generic", *loader.shipped()) for f in shipped(name) for s in f.steps}
    assert set(MECHANISMS) == used


def test_every_mechanism_and_fault_is_on_the_page() -> None:
    text = page()
    for name in MECHANISMS:
        assert f"### {name}\n" in text
    for name in ("generic", *loader.shipped()):
        for fault in shipped(name):
            assert f"| `{fault.id}` |" in text


def test_every_family_of_the_catalogue_of_problems_is_there() -> None:
    folder = Path(os.environ.get("STRATUS_GOLDEN") or ROOT.parent / "shared" / "data" / "golden").parent
    path = folder / "problems.yaml"
    if not path.is_file():
        pytest.skip(f"the catalogue of benchmark problems is not here ({path})")
    text = path.read_text(encoding="utf-8")
    found = {line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("  family:")}
    assert len(found) > 40
    assert found == set(coverage().families)
