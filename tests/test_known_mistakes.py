"""Each of the seventeen known mistakes of earlier systems has a regression test that names its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_known_mistake_has_a_test() -> None:
    found: dict[int, list[str]] = {number: [] for number in range(1, 18)}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"def (test_(\d\d)_\w+)", text):
            found[int(match[2])].append(match[1])
        for match in re.finditer(r"def (test_\w+)\([^)]*\)(?: -> None)?:\s+\"\"\"Known mistakes? ([\d, and]+)", text):
            for number in re.findall(r"\d+", match[2]):
                found[int(number)].append(match[1])
    assert [number for number, tests in found.items() if not tests] == []
