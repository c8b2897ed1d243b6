"""Write the reference pages that come from the code; a test checks that they are up to date.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

from pydantic import BaseModel
from typer.main import get_command

from stratus import settings as settings_module
from stratus.bench.suites.pages import coverage_page, schema_page
from stratus.cli.main import app
from stratus.mitigation.reversibility import reversibility_table
from stratus.model.reports import Report
from stratus.settings import Settings
from stratus.sim.apps.reference import page as applications_page
from stratus.sim.faults.reference import page as faults_page
from stratus.transaction.essence import managed_table

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Return every generated page by its file name."""
    return {
        "report.schema.json": json.dumps(Report.model_json_schema(by_alias=True), indent=1) + "\n",
        "settings.md": settings_page(),
        "cli.md": cli_page(),
        "applications.md": applications_page(),
        "faults.md": faults_page(),
        "benchmark-coverage.md": coverage_page(),
        "suites.md": schema_page(),
        "reversibility.md": f"{reversibility_table()}\n{managed_table()}",
    }


def settings_page() -> str:
    """Return all settings with meaning, default and environment variable."""
    lines = [
        "# Settings",
        "",
        "From lowest to highest precedence: defaults, a TOML file (`--config`, `$STRATUS_CONFIG`, `./stratus.toml`),",
        "the environment, the command line. Lists are separated by commas in the environment. This page is made by",
        "`python docs/generate.py`.",
        "",
    ]
    lines += _group("", Settings, "STRATUS_")
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, settings_module.Group):
            lines += _group(f"[{name}]", kind, f"STRATUS_{name.upper()}__")
    return "\n".join(lines).rstrip() + "\n"


def _group(title: str, group: type[BaseModel], prefix: str) -> list[str]:
    meanings = _attributes(group)
    lines = [f"## {title or 'Top level'}", "", "| setting | default | environment | meaning |", "|---|---|---|---|"]
    for name, field in group.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            continue
        shown = json.dumps(list(default) if isinstance(default, tuple) else default, default=str)
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | `{shown}` | `{prefix}{name.upper()}` | {meaning} |")
    return [*lines, ""]


def _attributes(group: type[BaseModel]) -> dict[str, str]:
    text = inspect.getdoc(group) or ""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.partition("Attributes:")[2].splitlines():
        match = re.match(r"\s{4}(\w[\w, ]*): (.*)", line)
        if match:
            names = [n.strip() for n in match[1].split(",")]
            found.update(dict.fromkeys(names, match[2]))
        elif line.strip():
            found.update({n: f"{found[n]} {line.strip()}" for n in names})
    return found


def cli_page() -> str:
    """Return the command tree with options."""
    lines = [
        "# Command line",
        "",
        "Made by `python docs/generate.py`.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | resolved, or nothing was wrong |",
        "| 2 | usage: something given cannot be used |",
        "| 3 | unresolved and restored: no cure found, or a mode that does not write |",
        "| 4 | needs a human: the reason is in the report's last timeline line |",
        "| 5 | the cluster or a needed service could not be reached |",
        "| 130 | interrupted; what was under way was taken back |",
        "",
        "Errors are one line on stderr, `stratus: what happened: what to do next`. With `--json`, stdout holds one",
        "JSON object ([schema of `Report`](report.schema.json)) and progress goes to stderr.",
        "",
    ]
    root = get_command(app)
    for name, command in sorted(root.commands.items()):  # type: ignore[attr-defined]
        for path, leaf in _leaves(name, command):
            lines += _command(path, leaf)
    return "\n".join(lines).rstrip() + "\n"


def _leaves(path: str, command: object) -> list[tuple[str, object]]:
    children = getattr(command, "commands", None)
    if not children:
        return [(path, command)]
    return [leaf for name, child in sorted(children.items()) for leaf in _leaves(f"{path} {name}", child)]


def _command(path: str, command: object) -> list[str]:
    lines = [f"## stratus {path}", "", (getattr(command, "help", "") or "").strip(), ""]
    rows = []
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.name in ("install_completion", "show_completion", "help"):
            continue
        names = ", ".join(f"`{o}`" for o in getattr(parameter, "opts", [])) or f"`{parameter.name}`"
        if getattr(parameter, "param_type_name", "") == "argument":
            names = f"`{parameter.name.upper()}`"
        rows.append(f"| {names} | {(getattr(parameter, 'help', '') or '').replace('|', chr(92) + '|')} |")
    return [*lines, *(["| option | meaning |", "|---|---|", *rows, ""] if rows else [])]


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
