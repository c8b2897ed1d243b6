"""Small servers and the Python interpreter as far as containers use it."""

from __future__ import annotations

import re

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.values import _content


@program("httpd")
def _httpd(shell: Shell, argv: list[str]) -> int:
    options, _ = _options(argv, "phcru")
    number = options.get("p", "80").rpartition(":")[2]
    port = int(number) if number.isdigit() else 80
    root = shell.path(options.get("h") or shell.cwd)
    if not shell.world.is_dir(root):
        shell.err(f"httpd: can't change directory to '{options.get('h')}': No such file or directory\n")
        return 1
    if "f" not in options and "DFOREGROUND" not in "".join(argv):
        # It goes to the background; the script goes on.
        shell.outcome.ports |= {port}
        shell.outcome.root = root
        return 0
    return shell.serve(shell.outcome.ports | {port}, "httpd", root)


@program("python", "python3")
def _python(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    while words and words[0] in ("-u", "-B", "-O", "-W", "-X"):
        words = words[1:]
    if words[:2] == ["-m", "http.server"]:
        options, operands = _options(words[1:], "bd")
        port = int(operands[0]) if operands and operands[0].isdigit() else 8000
        shell.out(f"Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...\n")
        root = options.get("d") or options.get("directory") or shell.cwd
        return shell.serve(frozenset({port}), "python", shell.path(root))
    if words[:1] in (["--version"], ["-V"]):
        shell.out("Python 3.12.5\n")
        return 0
    if words[:1] == ["-c"]:
        return _python_code(shell, words[1] if len(words) > 1 else "")
    if words and not words[0].startswith("-"):
        if _content(shell, shell.path(words[0])) is None and shell.ask("is_base_image"):
            shell.err(f"{argv[0]}: can't open file '{shell.path(words[0])}': [Errno 2] No such file or directory\n")
            return 2
        return shell.serve(shell.ask("declared_ports"), "python")
    return 0


def _python_code(shell: Shell, code: str) -> int:
    found = re.search(r"(?:sys\.)?exit\((\d*)\)", code)
    for text in re.findall(r"print\((['\"])(.*?)\1\)", code):
        shell.out(f"{text[1]}\n")
    if "while True" in code or "serve_forever" in code:
        ports = frozenset(int(p) for p in re.findall(r"\(\s*['\"][^'\"]*['\"]\s*,\s*(\d{2,5})\s*\)", code))
        return shell.serve(ports, "python")
    for text in re.findall(r"sleep\((\d+(?:\.\d+)?)\)", code):
        shell.sleep(float(text))
    if "raise " in code:
        shell.err("Traceback (most recent call last):\n")
        return 1
    return int(found.group(1) or 0) if found else 0
