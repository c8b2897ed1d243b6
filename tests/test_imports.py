"""Importing Stratus costs nothing and touches nothing; the rooms keep their doors."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stratus

SOURCE = Path(stratus.__file__).parent
HEAVY = ("torch", "sentence_transformers", "chromadb", "langgraph", "langchain_core", "langchain_openai", "kubernetes",
         "aiohttp", "numpy", "tokenizers", "onnxruntime", "typer", "rich")  # fmt: skip

CHECK = """
import builtins, socket, sys
def no(*a, **k): raise AssertionError("a socket was opened at import")
socket.socket.connect = no
opened = []
real = builtins.open
def watched(file, *a, **k):
    opened.append(str(file)); return real(file, *a, **k)
builtins.open = watched
import {module}
print(",".join(m for m in {heavy!r} if m in sys.modules))
assert not [f for f in opened if "kube" in f and "config" in f and not f.endswith((".py", ".pyc"))], opened
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_loads_nothing_heavy() -> None:
    assert run(CHECK.format(module="stratus", heavy=HEAVY)) == ""


@pytest.mark.parametrize("room", ["model", "settings", "errors", "kit", "cluster", "telemetry", "knowledge", "llm",
                                  "detection", "diagnosis", "mitigation", "transaction", "reporting"])  # fmt: skip
def test_no_room_loads_a_model_a_store_or_a_client_at_import(room: str) -> None:
    names = [f"stratus.{room}"]
    package = SOURCE / room
    if package.is_dir():
        names += [m.name for m in pkgutil.walk_packages([str(package)], f"stratus.{room}.") if "__main__" not in m.name]
    heavy = [m for m in HEAVY if m not in ("rich", "typer")]
    # langchain_core is what a chat model is, numpy what a vector is; only the rooms about them may load them
    allowed = {"llm": "langchain_core", "knowledge": "numpy"}.get(room, "")
    loaded = run(CHECK.format(module=", ".join(names), heavy=heavy)).split(",")
    assert [m for m in loaded if m and m != allowed] == []


def test_the_public_names_are_there_and_unknown_ones_are_errors() -> None:
    for name in stratus.__all__:
        assert getattr(stratus, name) is not None
    with pytest.raises(AttributeError, match="nope"):
        stratus.nope  # noqa: B018
    assert set(stratus.__all__) <= set(dir(stratus))


def test_telemetry_of_libraries_is_off() -> None:
    code = "import stratus, os; print(os.environ['ANONYMIZED_TELEMETRY'], os.environ['LANGCHAIN_TRACING_V2'])"
    assert run(code) == "False false"


def test_no_source_file_can_start_a_program() -> None:
    """But one: replaying recorded kubectl sessions runs the real kubectl, and nothing else imports that module."""
    pattern = re.compile(
        r"^\s*(import|from)\s+subprocess|os\.system\(|os\.popen\(|pty\.spawn|os\.exec[lv]", re.MULTILINE
    )
    guilty = [str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if pattern.search(p.read_text(encoding="utf-8"))]
    assert guilty == ["conformance/kubectl.py"]


def test_library_code_does_not_print() -> None:
    pattern = re.compile(r"^\s*print\(", re.MULTILINE)
    guilty = [str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if pattern.search(p.read_text(encoding="utf-8"))]
    assert guilty == []
