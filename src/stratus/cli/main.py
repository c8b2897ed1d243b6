"""The command tree and the one place where errors become a line and an exit code.

Exit codes: 0 resolved or nothing wrong, 2 usage, 3 unresolved and restored, 4 needs a human, 5 the cluster or a needed
service could not be reached, 130 interrupted (and taken back).
"""

from __future__ import annotations

import os
import sys

import typer

from stratus.cli import (
    bench,
    capsule,
    cluster,
    conformance,
    demo,
    doctor,
    graph,
    knowledge,
    policy,
    rbac,
    respond,
    serve,
    txn,
)
from stratus.errors import StratusError

app = typer.Typer(
    name="stratus",
    help="Takes a Kubernetes incident from alert to verified repair, and never leaves the system worse.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("respond")(respond.respond)
app.command("resume")(respond.resume)
app.command("approve")(respond.approve)
app.command("reject")(respond.reject)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("rbac")(rbac.rbac)
app.command("graph")(graph.graph)
app.command("conformance")(conformance.conformance)
app.command("version")(doctor.version)
app.add_typer(txn.app, name="txn")
app.add_typer(policy.app, name="policy")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(cluster.app, name="cluster")
app.add_typer(bench.app, name="bench")
app.add_typer(capsule.app, name="capsule")


INTERRUPTED = "interrupted; what was under way has been taken back"


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command line and return its exit code; never a traceback for what a user can cause."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    try:
        result = app(args=arguments, standalone_mode=False)
        if result == 130:  # what a KeyboardInterrupt has become on its way through the command tree
            return _fail(INTERRUPTED, 130)
        return result if isinstance(result, int) else 0
    except typer.Exit as ended:
        return ended.exit_code
    except StratusError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if type(error).__name__ == "Abort":  # as when a question is answered with Ctrl-C
            return _fail(INTERRUPTED, 130)
        if type(error).__module__.split(".")[0] in ("click", "typer"):
            return _usage(error)
        if os.environ.get("STRATUS_DEBUG"):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error} (set STRATUS_DEBUG=1 for the traceback)", 4)


def _usage(error: Exception) -> int:
    code = getattr(error, "exit_code", 2)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if message:
        _fail(message, code)
    return int(code)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"stratus: {line}\n")
    return code


if __name__ == "__main__":
    run()
