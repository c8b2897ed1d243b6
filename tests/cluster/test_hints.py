"""Every refusal says what to do instead, and what it says works: the command repaired as it says compiles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_reads import NS, Desk
from twins import EXCERPT

import stratus.cluster.kubectl as package
from stratus.cluster.kubectl import compile_command, parse_command
from stratus.cluster.kubectl.grammar import grammar
from stratus.conformance.golden import Golden
from stratus.conformance.world import EmbeddedSide
from stratus.errors import CommandRefused

ROOT = Path(package.__file__).parent
REPAIRS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "data" / "repairs.yaml").read_text())
MANIFESTS = {"cm": "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: b}}"}
PLACEHOLDERS = {"KIND": "configmap", "NAME": "web", "VERB": "get", "RESOURCE": "pods"}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    world = EmbeddedSide(Golden(EXCERPT)).world()
    desk = Desk(world)
    world.namespace("elsewhere")
    yield desk
    world.close()


def compiled(desk: Desk, line: str, manifest: str) -> Any:
    text = MANIFESTS.get(manifest, manifest)
    return compile_command(line.replace("NS", NS), namespace=NS, reader=desk.cluster.reader, manifest=text)


@pytest.mark.parametrize("row", REPAIRS, ids=[f"{r['code']}:{r['wrong']}" for r in REPAIRS])
def test_a_command_repaired_as_the_hint_says_compiles(desk: Desk, row: dict[str, Any]) -> None:
    with pytest.raises(CommandRefused) as refused:
        compiled(desk, row["wrong"], row.get("stdin", ""))
    assert refused.value.code == row["code"], refused.value
    hint = refused.value.hint
    assert hint
    for words in row["hint"]:
        assert words in hint, hint
    found = compiled(desk, row["right"], row.get("then", row.get("stdin", "")))
    assert found.writes or found.reads
    written = set(re.findall(r"--[a-z-]+", row["right"]))
    for said, flag in re.findall(r"(add|leave) (--[a-z-]+)", hint):
        assert (flag in written) is (said == "add"), f"the repair does not follow the hint: {hint}"


def test_every_code_of_the_compiler_has_a_repair() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    codes = set(re.findall(r"refuse\(\s*\"([a-z_]+)\"", text)) | set(re.findall(r"code=\"([a-z_]+)\"", text))
    codes |= set(grammar().refused) | {"interactive"}
    codes -= {"not_a_read"}  # of those who run reads: tests/cluster/test_reads.py
    assert codes - {row["code"] for row in REPAIRS} == set()


def test_no_refusal_goes_without_a_hint() -> None:
    for verbs in grammar().refused.values():
        assert all(verbs.values()), verbs
    declined = [flag for flag, group in grammar().forbidden.items() if group == "declined"]
    assert all(grammar().instead.get(flag) for flag in declined)
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "refuse":
                assert len(node.args) == 3, f"{path.name}:{node.lineno}: a refusal without a hint"


def said_commands() -> list[str]:
    """Return every `kubectl ...` that a hint spells out."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")]
    texts += [hint for verbs in grammar().refused.values() for hint in verbs.values()] + list(
        grammar().instead.values()
    )
    found = {c for text in texts for c in re.findall(r"`(kubectl [a-z][^`{}]*)`", text)}
    return sorted(c for c in found if "..." not in c and "|" not in c)


def test_commands_in_hints_are_commands_of_the_grammar() -> None:
    commands = said_commands()
    assert len(commands) > 15
    families = {v.partition(" ")[0] for v in grammar().verbs}
    for command in commands:
        if command.removeprefix("kubectl ") not in families:  # `kubectl set` stands for its members
            parse_command(re.sub(r"\b[A-Z]{3,}\b", lambda m: PLACEHOLDERS.get(m[0], "x"), command))
