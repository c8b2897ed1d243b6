"""Programs that look names up: nslookup, dig, host, getent."""

from __future__ import annotations

import ipaddress

from stratus.sim.shell import Shell
from stratus.sim.shellcommands.base import program

#: (rcode, name answered or asked for last, server, records as (name, type, value, ttl)).
Found = tuple[str, str, str, list[tuple[str, str, str, int]]]
_TYPES = frozenset({"A", "AAAA", "SRV", "CNAME", "PTR", "TXT", "NS", "SOA", "MX", "ANY"})
_NUMBERS = {"NXDOMAIN": 3, "SERVFAIL": 2, "REFUSED": 5}
NO_SERVER = ";; connection timed out; no servers could be reached\n"
#: Seconds a client waits for a server, all its tries together.
PATIENCE = 10.0


def _asked(shell: Shell, name: str, kind: str, server: str, *, plain: bool) -> Found:
    if server:
        # The server may be given by name.
        try:
            ipaddress.ip_address(server)
        except ValueError:
            named = shell.ask("lookup", server, "A", "", False)
            server = next((value for _, type_, value, _ in named[3] if type_ == "A"), server)
    try:
        pointer = ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        pointer = ""
    if pointer:
        name, kind, plain = pointer, "PTR", True
    found: Found = shell.ask("lookup", name, kind, server, plain)
    if found[0] == "TIMEOUT":
        shell.sleep(PATIENCE)
    return found


def _line(record: tuple[str, str, str, int]) -> str:
    name, kind, value, _ = record
    if kind == "SRV":
        return f"{name}\tservice = {value}\n"
    if kind == "CNAME":
        return f"{name}\tcanonical name = {value}\n"
    if kind == "PTR":
        return f"{name}\tname = {value}\n"
    if kind == "TXT":
        return f"{name}\ttext = {value}\n"
    return f"Name:\t{name}\nAddress: {value}\n"


@program("nslookup")
def _nslookup(shell: Shell, argv: list[str]) -> int:
    kind, words = "A", []
    for word in argv[1:]:
        name, _, value = word.lstrip("-").partition("=")
        if word.startswith("-"):
            kind = value.upper() if name in ("type", "querytype", "query", "q") and value else kind
        else:
            words.append(word)
    if not words:
        shell.err("nslookup: no name given\n")
        return 1
    found = _asked(shell, words[0], kind, words[1] if len(words) > 1 else "", plain=False)
    rcode, name, server, records = found
    if rcode in ("TIMEOUT", "UNREACHABLE"):
        if rcode == "UNREACHABLE":
            shell.err("nslookup: read: Connection refused\n")
        shell.err(NO_SERVER)
        return 1
    server = server or shell.ask("nameserver") or "127.0.0.1"
    shell.out(f"Server:\t\t{server}\nAddress:\t{server}:53\n\n")
    if rcode != "NOERROR":
        shown = words[0] if rcode == "NXDOMAIN" else name
        shell.out(f"** server can't find {shown}: {rcode}\n\n")
        return 1
    if not records:
        shell.out(f"*** Can't find {words[0]}: No answer\n\n")
        return 0
    shell.out("".join(_line(r) for r in records) + "\n")
    return 0


@program("dig")
def _dig(shell: Shell, argv: list[str]) -> int:
    kind, server, name, flags = "A", "", "", set()
    words = argv[1:]
    position = 0
    while position < len(words):
        word = words[position]
        if word.startswith("@"):
            server = word[1:]
        elif word.startswith("+"):
            flags.add(word[1:])
        elif word in ("-t", "-x", "-q", "-p"):
            position += 1
            value = words[position] if position < len(words) else ""
            if word == "-t":
                kind = value.upper()
            elif word in ("-x", "-q"):
                name = value
        elif word.upper() in _TYPES and (name or word.upper() != word.lower()) and "." not in word and name:
            kind = word.upper()
        elif not word.startswith("-"):
            kind, name = (word.upper(), name) if word.upper() in _TYPES else (kind, word)
        position += 1
    if not name:
        name = "."
    rcode, full, told, records = _asked(shell, name, kind, server, plain="search" not in flags)
    if rcode in ("TIMEOUT", "UNREACHABLE"):
        why = "timed out" if rcode == "TIMEOUT" else "connection refused"
        shell.out(f";; communications error to {told}#53: {why}\n" * 3)
        if "short" not in flags:
            shell.out(f"\n; <<>> DiG 9.18.28 <<>> {' '.join(argv[1:])}\n;; global options: +cmd\n")
        shell.out(";; no servers could be reached\n")
        return 9
    if "short" in flags:
        shell.out("".join(f"{v}{'' if k in ('A', 'AAAA', 'TXT') else '.'}\n" for _, k, v, _ in records))
        return 0
    number = sum(ord(c) * (i + 7) for i, c in enumerate(full)) % 65536
    kind = "PTR" if full.endswith(".arpa") else kind
    lines = [
        "",
        f"; <<>> DiG 9.18.28 <<>> {' '.join(argv[1:])}",
        ";; global options: +cmd",
        ";; Got answer:",
        f";; ->>HEADER<<- opcode: QUERY, status: {rcode}, id: {number}",
        f";; flags: qr aa rd; QUERY: 1, ANSWER: {len(records)}, AUTHORITY: {0 if records else 1}, ADDITIONAL: 1",
        "",
        ";; QUESTION SECTION:",
        f";{full}.\t\tIN\t{kind}",
        "",
    ]
    if records:
        lines.append(";; ANSWER SECTION:")
        for owner, type_, value, ttl in records:
            lines.append(f"{owner}.\t{ttl}\tIN\t{type_}\t{value}{'' if type_ in ('A', 'AAAA', 'TXT') else '.'}")
        lines.append("")
    lines += [";; Query time: 1 msec", f";; SERVER: {told}#53({told}) (UDP)", ""]
    shell.out("\n".join(lines) + "\n")
    return 0


@program("host")
def _host(shell: Shell, argv: list[str]) -> int:
    kind, words, position = "A", [], 1
    while position < len(argv):
        if argv[position] == "-t":
            position += 1
            kind = argv[position].upper() if position < len(argv) else kind
        elif not argv[position].startswith("-"):
            words.append(argv[position])
        position += 1
    if not words:
        shell.err("Usage: host [-t type] hostname [server]\n")
        return 1
    rcode, name, _, records = _asked(shell, words[0], kind, words[1] if len(words) > 1 else "", plain=False)
    if rcode in ("TIMEOUT", "UNREACHABLE"):
        shell.out(NO_SERVER)
        return 1
    if rcode != "NOERROR":
        shell.out(f"Host {words[0]} not found: {_NUMBERS.get(rcode, 2)}({rcode})\n")
        return 1
    says = {"A": "has address", "AAAA": "has IPv6 address", "CNAME": "is an alias for", "SRV": "has SRV record",
            "PTR": "domain name pointer", "TXT": "descriptive text"}  # fmt: skip
    if not records:
        shell.out(f"{name} has no {kind} record\n")
    for owner, type_, value, _ in records:
        shell.out(f"{owner} {says.get(type_, type_)} {value}{'' if type_ in ('A', 'AAAA', 'TXT') else '.'}\n")
    return 0


@program("getent")
def _getent(shell: Shell, argv: list[str]) -> int:
    rcode, name, _, records = _asked(shell, argv[-1], "A", "", plain=False)
    addresses = [value for _, kind, value, _ in records if kind == "A"]
    if rcode != "NOERROR" or not addresses:
        return 2
    if "ahosts" in argv[1:2]:
        for address in addresses:
            shell.out("".join(f"{address:<15} {what:<6}\n" for what in ("STREAM", "DGRAM", "RAW")))
        return 0
    shell.out(f"{addresses[0]:<15} {name}\n")
    return 0
