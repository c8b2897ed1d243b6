"""The page about datastores names commands and kinds that there are."""

from __future__ import annotations

import re
from pathlib import Path

from stratus.sim.apps.schema import Datastore
from stratus.sim.apps.stores import hosting
from stratus.sim.shellcommands import known_programs

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "datastores.md"


def test_every_kind_and_every_client_is_there() -> None:
    text = PAGE.read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    kinds = {kind for row in rows for kind in re.findall(r"`([a-z]+)`", row[0])}
    assert kinds == set(Datastore.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]
    clients = {name for row in rows for name in re.findall(r"`([\w.-]+)`", row[1])}
    assert clients <= known_programs()
    section = text.split("## Commands in containers")[1].split("##")[0]
    named = set(re.findall(r"`([a-z]+)`", section))
    assert named <= known_programs()
    assert all(hosting.create(Datastore(kind=k)) is not None for k in kinds - {"kafka"})  # type: ignore[arg-type]
