"""The reference pages say what the code says, links lead somewhere, and nothing private is named."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["report.schema.json", "settings.md", "cli.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    made = generator().pages()[name]
    found = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert found == made, "run: python docs/generate.py"


def test_every_setting_is_explained() -> None:
    page = generator().settings_page()
    unexplained = [line for line in page.splitlines() if line.startswith("| `") and line.rstrip().endswith("|  |")]
    assert unexplained == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_no_machine_path_is_in_a_tracked_file() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wrong = []
    forbidden = re.compile("/" + "work/(main|shared|plan)" + "|/" + r"root/\.pyenv")
    for name in names:
        path = ROOT / name
        if path.suffix in (".gz", ".npz", ".png") or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if forbidden.search(line):
                wrong.append(f"{name}:{number}: {line.strip()[:100]}")
    assert wrong == []
