"""Programs that show how the container and its node are doing: ps, top, free, uptime, netstat, ss, and who one is."""

from __future__ import annotations

from datetime import UTC, datetime

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import _options, program
from stratus.sim.shellcommands.looking import human

_SMALL = ("busybox", "alpine")


def _is_small(shell: Shell) -> bool:
    """Tell whether the image has Busybox's programs rather than the larger ones."""
    text = shell.world.read("/etc/os-release") or "alpine"
    return any(word in text.lower() for word in _SMALL)


def identity(shell: Shell) -> tuple[int, int, str]:
    """Return (user id, group id, user name) of who runs commands here."""
    found = shell.ask("identity") or (0, 0)
    uid, gid = int(found[0]), int(found[1])
    for line in (shell.world.read("/etc/passwd") or "root:x:0:0:root:/root:/bin/sh\n").splitlines():
        parts = line.split(":")
        if len(parts) > 2 and parts[2] == str(uid):
            return uid, gid, parts[0]
    return uid, gid, ""


@program("whoami")
def _whoami(shell: Shell, argv: list[str]) -> int:
    uid, _, name = identity(shell)
    if not name:
        shell.err(f"whoami: unknown uid {uid}\n")
        return 1
    shell.out(f"{name}\n")
    return 0


@program("id")
def _id(shell: Shell, argv: list[str]) -> int:
    uid, gid, name = identity(shell)
    words = [w for w in argv[1:] if w.startswith("-")]
    if words:
        flags = "".join(words)
        value = (name or str(uid)) if "u" in flags and "n" in flags else uid if "u" in flags else gid
        shell.out(f"{value}\n")
        return 0
    user = f"{uid}({name})" if name else str(uid)
    group = f"{gid}(root)" if gid == 0 else str(gid)
    shell.out(f"uid={user} gid={group} groups={group}\n")
    return 0


@program("groups", "logname")
def _groups(shell: Shell, argv: list[str]) -> int:
    uid, _, name = identity(shell)
    shell.out(f"{name or uid}\n")
    return 0


def _processes(shell: Shell, argv: list[str]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = list(shell.ask("processes") or [])
    last = max((n for n, _ in found), default=0)
    return [*found, (last + 6, " ".join(argv))]


def _kilobytes(shell: Shell) -> tuple[int, int]:
    """Return (kB in use by the container, kB of the node)."""
    current = (shell.world.read("/sys/fs/cgroup/memory.current") or "0").strip()
    total = _memory(shell).get("MemTotal", 8148364)
    return (int(current) // 1024 if current.isdigit() else 0), total


def _memory(shell: Shell) -> dict[str, int]:
    found = {}
    for line in (shell.world.read("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0])
    return found


@program("ps")
def _ps(shell: Shell, argv: list[str]) -> int:
    rows = _processes(shell, argv)
    used, total = _kilobytes(shell)
    _, _, user = identity(shell)
    begun = datetime.fromtimestamp(shell.world.birth(), UTC).strftime("%H:%M")
    words = "".join(argv[1:])
    if "o" in words and any(w in ("-o", "-eo") for w in argv):
        return _columns(shell, argv, rows, used)
    if _is_small(shell) or not argv[1:]:
        shell.out("PID   USER     TIME  COMMAND\n")
        for number, line in rows:
            shell.out(f"{number:>5} {user or '0':<8} 0:00 {line}\n")
    elif "u" in words:
        shell.out("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n")
        for number, line in rows:
            rss = used if number == 1 else 3300
            share = 100 * rss / total
            shell.out(
                f"{user or '0':<8} {number:>7}  0.0 {share:>4.1f} {rss * 2:>6} {rss:>5} ?        "
                f"{'Ss  ' if number == 1 else 'R+  '} {begun}   0:00 {line}\n"
            )
    else:
        shell.out("UID          PID    PPID  C STIME TTY          TIME CMD\n")
        for number, line in rows:
            shell.out(f"{user or '0':<8} {number:>7} {0:>7}  0 {begun} ?        00:00:00 {line}\n")
    return 0


def _columns(shell: Shell, argv: list[str], rows: list[tuple[int, str]], used: int) -> int:
    at = next(n for n, w in enumerate(argv) if w in ("-o", "-eo"))
    names = argv[at + 1].split(",") if at + 1 < len(argv) else ["pid"]
    shell.out(" ".join(f"{n.upper():>7}" if n in ("pid", "rss", "ppid") else n.upper() for n in names) + "\n")
    for number, line in rows:
        values = {"pid": number, "ppid": 0, "rss": used if number == 1 else 3300, "user": "root", "stat": "S"}
        values |= {
            "comm": line.split()[0].rpartition("/")[2] if line else "",
            "args": line,
            "cmd": line,
            "command": line,
        }
        shell.out(
            " ".join(
                f"{values.get(n, '-'):>7}" if n in ("pid", "rss", "ppid") else str(values.get(n, "-")) for n in names
            )
            + "\n"
        )
    return 0


@program("top", "htop")
def _top(shell: Shell, argv: list[str]) -> int:
    from stratus.sim.shell import Forever

    memory = _memory(shell)
    used, total = _kilobytes(shell)
    load = " ".join((shell.world.read("/proc/loadavg") or "0.00 0.00 0.00").split()[:3])
    rows = _processes(shell, argv)
    _, _, user = identity(shell)
    cores = shell.ask("cpu") or 0.0
    busy = int(100 * float(cores))
    taken = total - memory.get("MemFree", 0)
    if _is_small(shell):
        shell.out(
            f"Mem: {taken}K used, {memory.get('MemFree', 0)}K free, {memory.get('Shmem', 0)}K shrd, "
            f"{memory.get('Buffers', 0)}K buff, {memory.get('Cached', 0)}K cached\n"
            f"CPU:  {min(busy, 99):>2}% usr   1% sys   0% nic  {max(99 - busy, 0):>2}% idle   0% io   0% irq   "
            "0% sirq\n"
            f"Load average: {load} 1/312 42\n  PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND\n"
        )
        for number, line in rows:
            kb, share = (used * 2, busy) if number == 1 else (4400, 0)
            shell.out(
                f"{number:>5}     0 {user:<8} {'S' if number == 1 else 'R'}    {kb:>6} {100 * kb // total:>3}%   0 "
                f"{share:>3}% {line}\n"
            )
    else:
        moment = datetime.fromtimestamp(shell.world.now() + shell.elapsed, UTC)
        shell.out(
            f"top - {moment.strftime('%H:%M:%S')} up {_up(shell)},  0 users,  load average: {load.replace(' ', ', ')}\n"
            f"Tasks: {len(rows):>3} total,   1 running, {len(rows) - 1:>3} sleeping,   0 stopped,   0 zombie\n"
            f"%Cpu(s): {busy:>4.1f} us,  1.0 sy,  0.0 ni, {max(99 - busy, 0):>4.1f} id,  0.0 wa,  0.0 hi,  0.0 si,  "
            "0.0 st\n"
            f"MiB Mem : {total / 1024:>8.1f} total, {memory.get('MemFree', 0) / 1024:>8.1f} free, "
            f"{(taken - memory.get('Cached', 0)) / 1024:>8.1f} used, "
            f"{memory.get('Cached', 0) / 1024:>8.1f} buff/cache\n"
            "MiB Swap:      0.0 total,      0.0 free,      0.0 used. "
            f"{memory.get('MemAvailable', 0) / 1024:>8.1f} avail Mem\n\n"
            "    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n"
        )
        for number, line in rows:
            kb, share = (used, busy) if number == 1 else (3300, 0)
            name = line.split()[0].rpartition("/")[2] if line else ""
            shell.out(
                f"{number:>7} {user:<8}  20   0 {kb * 2:>7} {kb:>6} {kb // 3:>6} {'S' if number == 1 else 'R'} "
                f"{share:>5.1f} "
                f"{100 * kb / total:>5.1f}   0:00.10 {name}\n"
            )
    if not any("b" in w or "n" in w for w in argv[1:] if w.startswith("-")):
        raise Forever
    return 0


@program("free")
def _free(shell: Shell, argv: list[str]) -> int:
    memory = _memory(shell)
    flags = "".join(w.lstrip("-") for w in argv[1:])
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    cache = memory.get("Cached", 0) + memory.get("Buffers", 0)
    free = memory.get("MemFree", 0)
    figures = [total, max(total - free - cache, 0), free, memory.get("Shmem", 0), cache, available]

    def shown(kb: int) -> str:
        if "h" in flags:
            return human(kb * 1024.0)
        return str(kb // 1024 if "m" in flags else kb // 1048576 if "g" in flags else kb)

    shell.out("              total        used        free      shared  buff/cache   available\n")
    shell.out("Mem:     " + " ".join(f"{shown(v):>11}" for v in figures).lstrip(" ").rjust(70) + "\n")
    shell.out("Swap:    " + " ".join(f"{shown(0):>11}" for _ in range(3)).lstrip(" ").rjust(34) + "\n")
    return 0


def _up(shell: Shell) -> str:
    text = (shell.world.read("/proc/uptime") or "0").split()[0]
    seconds = int(float(text))
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:>2}:{rest % 3600 // 60:02d}"
    return f"{days} day{'s' if days != 1 else ''}, {clock}" if days else clock


@program("uptime")
def _uptime(shell: Shell, argv: list[str]) -> int:
    load = ", ".join((shell.world.read("/proc/loadavg") or "0.00 0.00 0.00").split()[:3])
    clock = datetime.fromtimestamp(shell.world.now() + shell.elapsed, UTC).strftime("%H:%M:%S")
    shell.out(f" {clock} up {_up(shell)},  load average: {load}\n")
    return 0


@program("nproc", "arch")
def _nproc(shell: Shell, argv: list[str]) -> int:
    if argv[0].endswith("arch"):
        shell.out("x86_64\n")
        return 0
    shell.out(f"{(shell.world.read('/proc/cpuinfo') or '').count('processor') or 2}\n")
    return 0


@program("netstat")
def _netstat(shell: Shell, argv: list[str]) -> int:
    flags = "".join(w.lstrip("-") for w in argv[1:])
    program_ = "1/" + _main(shell)
    with_programs = "p" in flags
    shell.out(
        "Active Internet connections (only servers)\n"
        if "l" in flags
        else "Active Internet connections (servers and established)\n"
    )
    heads = "Proto Recv-Q Send-Q Local Address           Foreign Address         State       "
    shell.out(heads + ("PID/Program name\n" if with_programs else "\n"))
    for port in sorted(shell.ask("ports") or ()):
        local = f"0.0.0.0:{port}"
        shell.out(
            f"tcp        0      0 {local:<23} 0.0.0.0:*               LISTEN      "
            + (f"{program_}\n" if with_programs else "\n")
        )
    return 0


def _main(shell: Shell) -> str:
    rows = shell.ask("processes") or []
    line = rows[0][1] if rows else ""
    return str(line.split()[0].rpartition("/")[2]) if line else "-"


@program("ss")
def _ss(shell: Shell, argv: list[str]) -> int:
    flags = "".join(w.lstrip("-") for w in argv[1:])
    shell.out("State    Recv-Q   Send-Q     Local Address:Port     Peer Address:Port  Process\n")
    for port in sorted(shell.ask("ports") or ()) if "l" in flags or "a" in flags else ():
        process = f'users:(("{_main(shell)}",pid=1,fd=7))' if "p" in flags else ""
        shell.out(f"LISTEN   0        4096             0.0.0.0:{port:<10}      0.0.0.0:*      {process}\n")
    return 0


@program("lsof", "dmesg", "last", "who", "w", "users", "journalctl", "systemctl", "service")
def _little(shell: Shell, argv: list[str]) -> int:
    base = argv[0].rpartition("/")[2]
    if base in ("systemctl", "journalctl", "service"):
        text = "System has not been booted with systemd as init system (PID 1). Can't operate."
        shell.err(
            f"{text}\nFailed to connect to bus: Host is down\n"
            if base != "service"
            else f"{base}: unrecognized service\n"
        )
        return 1
    if base == "dmesg":
        shell.err("dmesg: klogctl: Operation not permitted\n")
        return 1
    if base == "lsof":
        shell.out(f"1\t{_main(shell)}\t0\tpipe:[20001]\n")
    return 0


@program("hostname")
def _hostname(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv)
    if operands:
        shell.err("hostname: sethostname: Operation not permitted\n")
        return 1
    if set(options) & {"i", "I"}:
        shell.out(f"{shell.ask('address')}\n")
        return 0
    name = (shell.world.read("/etc/hostname") or "").strip() or shell.env.get("HOSTNAME", "localhost")
    shell.out(f"{name}\n")
    return 0


@program("uname")
def _uname(shell: Shell, argv: list[str]) -> int:
    node = (shell.world.read("/etc/hostname") or "").strip() or shell.env.get("HOSTNAME", "localhost")
    parts = {
        "s": "Linux",
        "n": node,
        "r": "6.1.0-25-amd64",
        "v": "#1 SMP PREEMPT_DYNAMIC",
        "m": "x86_64",
        "o": "GNU/Linux",
    }
    flags = "".join(w.lstrip("-") for w in argv[1:]) or "s"
    shell.out(" ".join(v for k, v in parts.items() if k in flags or "a" in flags) + "\n")
    return 0


@program("sysctl")
def _sysctl(shell: Shell, argv: list[str]) -> int:
    known = {
        "net.core.somaxconn": "4096",
        "vm.max_map_count": "65530",
        "fs.file-max": "9223372036854775807",
        "vm.swappiness": "60",
    }
    operands = [w for w in argv[1:] if not w.startswith("-")]
    code = 0
    for name in operands or sorted(known):
        if "=" in name:
            shell.err(f"sysctl: error setting key '{name.partition('=')[0]}': Read-only file system\n")
            code = 1
        elif name in known:
            shell.out(f"{name} = {known[name]}\n")
        else:
            shell.err(f"sysctl: error: '{name}' is an unknown key\n")
            code = 1
    return code


@program("vmstat", "iostat", "mpstat")
def _vmstat(shell: Shell, argv: list[str]) -> int:
    memory = _memory(shell)
    shell.out(
        "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----\n"
        " r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st\n"
        f" 1  0      0 {memory.get('MemFree', 0)} {memory.get('Buffers', 0)} {memory.get('Cached', 0)}    0    0"
        "     2    18"
        "  210  390  3  1 96  0  0\n"
    )
    return 0
