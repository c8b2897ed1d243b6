"""`stratus policy`: look at a policy file without touching any cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stratus.cli.options import Config, Json
from stratus.errors import UsageError
from stratus.wiring.config import load_settings

app = typer.Typer(help="What may be changed, when, and what counts as worse.", no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="Policy file; else that of the settings.")] = None,
    namespace: Annotated[list[str] | None, typer.Option("--namespace", "-n", help="Whose windows to look at.")] = None,
    at: Annotated[str, typer.Option("--at", help="Moment as 2026-12-24T18:00Z; else now.")] = "",
    as_json: Json = False,
    config: Config = None,
) -> int:
    """Read a policy file, say what is wrong with it, and whether a change would be let through now.

    Exit codes: 0 the file is valid and a change may be made, 2 the file is wrong, 3 no change may be made now.
    """
    from stratus.kit.clock import SystemClock, parse_iso
    from stratus.mitigation.calendar import closed

    settings = load_settings({"policy_file": file}, config)
    if settings.policy_file is None:
        raise UsageError("no policy file is set: name one, or set policy_file")
    try:
        moment = parse_iso(at) if at else SystemClock().now()
    except ValueError as error:
        raise UsageError(f"--at {at}: {error}; write it as 2026-12-24T18:00:00Z") from error
    why, again = closed(settings.policy, namespace or settings.policy.namespaces, moment)
    if as_json:
        import json

        found = {
            "file": str(settings.policy_file),
            "open": not why,
            "reason": why,
            "opens": again,
            "changes": settings.policy.model_dump(mode="json", by_alias=True),
            "verdict": settings.health.model_dump(mode="json", by_alias=True),
        }
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        lines = [f"{settings.policy_file}: valid", f"verdict: {settings.health.preset}"]
        lines += [f"closed: {why}; {again}"] if why else ["open: changes may be made now"]
        sys.stdout.write("\n".join(lines) + "\n")
    return 3 if why else 0
