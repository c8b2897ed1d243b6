"""`stratus rbac`: the rights that a reader and a writer need, as manifests."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stratus.cli.options import Config
from stratus.wiring.config import load_settings


def rbac(
    namespace: Annotated[list[str], typer.Option("--namespace", "-n", help="Where may be written; repeatable.")],
    home: Annotated[str, typer.Option("--home", help="Namespace of the two service accounts.")] = "stratus",
    config: Config = None,
) -> int:
    """Print service accounts, roles and bindings for a reader and a writer, made from what the policy enables."""
    import yaml

    from stratus.knowledge.runbooks import load_runbooks
    from stratus.wiring.rbac import manifests

    settings = load_settings({}, config)
    made = manifests(settings, load_runbooks(settings), tuple(namespace), home=home)
    sys.stdout.write(yaml.safe_dump_all(made, sort_keys=False))
    return 0
