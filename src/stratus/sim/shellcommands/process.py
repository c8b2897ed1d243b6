"""Programs about the process, its environment and its limits."""

from __future__ import annotations

import re

from stratus.sim.shell import Exit, Forever, OutOfMemory, Shell
from stratus.sim.shell.builtins import program_dir
from stratus.sim.shellcommands.base import _DURATION, _UNITS, COMMANDS, program
from stratus.sim.shellcommands.values import _content


@program("env", "printenv")
def _env(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0].endswith("printenv") and words:
        if words[0] not in shell.env:
            return 1
        shell.out(f"{shell.env[words[0]]}\n")
        return 0
    saved, exported = dict(shell.env), set(shell.exported)
    try:
        while words and (words[0].startswith("-") or "=" in words[0]):
            name, equals, value = words[0].partition("=")
            if equals:
                shell.env[name] = value
                shell.exported.add(name)
            elif name in ("-i", "-"):
                shell.env, shell.exported = {}, set()
            words = words[1:]
        if words:
            return shell.command(words)
        shell.out("".join(f"{k}={v}\n" for k, v in shell.env.items() if k in shell.exported))
    finally:
        shell.env, shell.exported = saved, exported
    return 0


@program("pidof", "pgrep")
def _pidof(shell: Shell, argv: list[str]) -> int:
    wanted = argv[-1]
    found = [str(n) for n, line in shell.ask("processes") if wanted in line]
    shell.out(" ".join(found) + "\n" if found else "")
    return int(not found)


@program("kill", "killall", "pkill")
def _kill(shell: Shell, argv: list[str]) -> int:
    if "0" in argv[1:2] or "-0" in argv[1:2]:
        return 0
    if argv[-1] == "1":
        shell.ask("signal", next((w.lstrip("-") for w in argv[1:-1]), "TERM"))
    return 0


@program("which")
def _which(shell: Shell, argv: list[str]) -> int:
    code = 0
    for name in argv[1:]:
        if name in COMMANDS and shell.world.has_program(name):
            shell.out(f"{program_dir(name)}/{name}\n")
        else:
            code = 1
    return code


@program("timeout")
def _timeout(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-s", "-k", "--signal", "--kill-after") else words[1:]
    found = _DURATION.fullmatch(words[0]) if words else None
    limit = float(found.group(1)) * _UNITS[found.group(2)] if found else 0.0
    before = shell.elapsed
    try:
        code = shell.command(words[1:])
    except Forever:
        shell.elapsed = before + limit
        shell.outcome.ports = frozenset()
        return 143
    if shell.elapsed - before > limit > 0:
        shell.elapsed = before + limit
        return 143
    return code


@program("nohup", "nice", "time", "tini", "dumb-init", "setsid", "stdbuf", "catatonit", "su-exec", "gosu")
def _wrapper(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    if argv[0].rpartition("/")[2] in ("su-exec", "gosu"):
        words = words[1:]
    while words and words[0].startswith("-"):
        words = words[1:]
    return shell.command(words)


@program("sh", "ash", "bash", "dash", "zsh")
def _sh(shell: Shell, argv: list[str]) -> int:
    words = argv[1:]
    script: str | None = None
    while words and words[0].startswith(("-", "+")) and words[0] != "--":
        flags = words.pop(0)
        if "e" in flags and not flags.startswith("--"):
            shell.errexit = True
        if flags == "-o" and words:
            words.pop(0)
        if "c" in flags and not flags.startswith("--"):
            script = words.pop(0) if words else ""
            break
    if script is None:
        if words:
            script = _content(shell, shell.path(words[0]))
            if script is None:
                shell.err(f"{argv[0]}: can't open '{words[0]}': No such file or directory\n")
                return 2
        else:
            script = shell.stdin
    saved = (shell.name, shell.args, dict(shell.env), shell.errexit)
    shell.name = words[0] if words else argv[0].rpartition("/")[2]
    shell.args = words[1:]
    from stratus.sim.shell import ShellSyntaxError, parse

    try:
        return shell.node(parse(script))
    except ShellSyntaxError as error:
        shell.err(f"{error}\n")
        return 2
    except Exit as ended:
        return ended.code
    finally:
        shell.name, shell.args, shell.env, shell.errexit = saved


@program("stress", "stress-ng")
def _stress(shell: Shell, argv: list[str]) -> int:
    options = {argv[i]: argv[i + 1] for i in range(len(argv) - 1)}
    amount = options.get("--vm-bytes")
    workers = int(options.get("--vm") or options.get("-m") or 1)
    limit = shell.ask("memory_limit")
    if amount and limit and _bytes(amount) * workers > limit:
        shell.out(f"stress: info: [1] dispatching hogs: 0 cpu, 0 io, {workers} vm, 0 hdd\n")
        shell.sleep(1.0)
        raise OutOfMemory
    seconds = options.get("--timeout") or options.get("-t")
    found = _DURATION.fullmatch(seconds or "")
    if found:
        shell.sleep(float(found.group(1)) * _UNITS[found.group(2)])
        return 0
    raise Forever


def _bytes(text: str) -> float:
    found = re.fullmatch(r"(\d+)\s*([kKmMgG]?)[iI]?[bB]?", text)
    if not found:
        return 0.0
    return float(found.group(1)) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[found.group(2).lower()]
