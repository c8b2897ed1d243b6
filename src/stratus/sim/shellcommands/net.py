"""Programs that resolve names, open connections and make requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from stratus.sim.shell import Forever, Shell
from stratus.sim.shellcommands.base import CURL_VALUED, _options, program
from stratus.sim.shellcommands.values import _escape

#: What the C library says while no DNS server answers.
AGAIN = "Temporary failure in name resolution"


@program("ping")
def _ping(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "cwWi")
    found = shell.ask("resolve", operands[0]) if operands else None
    if found is None:
        shell.err(f"ping: bad address '{operands[0] if operands else ''}'\n")
        return 1
    if not options.get("c"):
        raise Forever
    count = int(options["c"])
    shell.sleep(float(count))
    shell.out(f"PING {operands[0]} ({found[1][0]}): 56 data bytes\n\n--- {operands[0]} ping statistics ---\n")
    shell.out(f"{count} packets transmitted, {count} packets received, 0% packet loss\n")
    return 0


@program("nc", "ncat", "netcat", "telnet")
def _nc(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "pwieqsX")
    if "l" in options:
        port = options.get("p") or (operands[-1] if operands else "0")
        number = int(port) if port.isdigit() else 0
        return shell.serve(frozenset({number}), "nc")
    if len(operands) < 2 or not operands[1].isdigit():
        shell.err(f"{argv[0]}: missing host or port\n")
        return 1
    wait = float(options.get("w") or 0) or 10.0
    kind, address, _ = shell.ask("connect", operands[0], int(operands[1]))
    if kind == "reached":
        if "v" in options:
            shell.err(f"{operands[0]} ({address}:{operands[1]}) open\n")
        return 0 if "z" in options else _converse(shell, argv[0], operands[0], int(operands[1]), address)
    if kind == "no-host":
        shell.err(f"{argv[0]}: bad address '{operands[0]}'\n")
    elif kind == "refused":
        if "v" in options or "z" not in options:
            shell.err(f"{argv[0]}: {operands[0]} ({address}:{operands[1]}): Connection refused\n")
    elif kind == "no-dns":
        shell.err(f'{argv[0]}: getaddrinfo for host "{operands[0]}" port {operands[1]}: {AGAIN}\n')
    else:
        shell.sleep(wait)
        if "v" in options or "z" not in options:
            shell.err(f"{argv[0]}: {operands[0]} ({address}:{operands[1]}): Connection timed out\n")
    return 1


def _converse(shell: Shell, program_: str, host: str, port: int, address: str) -> int:
    """Send what comes in to the other side, and print what it answers."""
    if program_.endswith("telnet"):
        shell.out(f"Trying {address}...\nConnected to {host}.\nEscape character is '^]'.\n")
    if shell.stdin:
        kind, _, answer = shell.ask("say", host, port, shell.stdin)
        if kind == "reached" and answer:
            shell.out(answer)
    if program_.endswith("telnet"):
        shell.out("Connection closed by foreign host.\n")
        return 1
    return 0


def _target(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname or "", port, path


def _limit(*texts: str | None) -> float:
    return next((float(t) for t in texts if t and t.replace(".", "", 1).isdigit()), 0.0)


@program("wget")
def _wget(shell: Shell, argv: list[str]) -> int:
    options, operands = _options(argv, "OTtUP")
    urls = [w for w in operands if w]
    if not urls:
        shell.err("wget: missing URL\n")
        return 1
    scheme, host, port, path = _target(urls[0])
    quiet = "q" in options
    kind, address, answer = shell.ask("http", host, port, path, "GET", "", scheme)
    if kind in ("no-host", "no-dns"):
        shell.err(f"wget: bad address '{host}'\n")
        return 1
    if kind == "certificate":
        shell.err(
            f"wget: {answer[1] if answer else ''}\nwget: TLS error from peer (alert code 46): certificate unknown\n"
        )
        return 1
    if not quiet:
        shell.err(f"Connecting to {host} ({address}:{port})\n")
    if kind == "refused":
        shell.err(f"wget: can't connect to remote host ({address}): Connection refused\n")
        return 1
    if kind == "timeout":
        shell.sleep(_limit(options.get("T"), options.get("timeout")) or 60.0)
        shell.err("wget: download timed out\n")
        return 1
    status, body = answer if answer is not None else (0, "")
    if not status:
        shell.err("wget: error getting response\n")
        return 1
    if status >= 400:
        shell.err(f"wget: server returned error: HTTP/1.1 {status} {_reason(status)}\n")
        return 1
    if "spider" in options:
        return 0
    target = options.get("O") or options.get("output-document")
    if target in ("-", None) and target is not None:
        shell.out(body)
    elif target != "/dev/null":
        name = target or path.rpartition("/")[2].partition("?")[0] or "index.html"
        shell.world.write(shell.path(name), body, False)
    return 0


def _reason(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _tell(
    shell: Shell, kind: str, address: str, asked: str, host: str, port: int, headers: list[str], answer: Any
) -> None:
    """Write what `-v` tells of a request."""
    if kind in ("no-host", "no-dns"):
        shell.err(f"* Could not resolve host: {host}\n* shutting down connection #0\n")
        return
    shell.err(f"* Host {host}:{port} was resolved.\n* IPv4: {address}\n*   Trying {address}:{port}...\n")
    if kind != "reached":
        why = "Connection refused" if kind == "refused" else "Connection timed out"
        shell.err(f"* connect to {address} port {port} failed: {why}\n* closing connection #0\n")
        return
    status, body = answer if answer is not None else (0, "")
    shown = host if port in (80, 443) else f"{host}:{port}"
    lines = [f"{asked} HTTP/1.1", f"Host: {shown}", "User-Agent: curl/8.9.1", "Accept: */*"]
    lines += [h for h in headers if not h.lower().startswith("host:")]
    shell.err(f"* Connected to {host} ({address}) port {port}\n" + "".join(f"> {line}\n" for line in lines) + "> \n")
    if not status:
        shell.err("* Empty reply from server\n* shutting down connection #0\n")
        return
    size = len(str(body).encode("utf-8", "surrogateescape"))
    shell.err(f"< HTTP/1.1 {status} {_reason(status)}\n< Content-Length: {size}\n< \n")
    shell.err(f"* Connection #0 to host {host} left intact\n")


@program("curl")
def _curl(shell: Shell, argv: list[str]) -> int:
    if "-V" in argv or "--version" in argv:
        shell.out("curl 8.9.1\n")
        return 0
    valued = CURL_VALUED
    headers = [argv[n + 1] for n, w in enumerate(argv[:-1]) if w in ("-H", "--header")]
    words: list[str] = [argv[0]]
    longs: dict[str, str] = {}
    i = 1
    while i < len(argv):
        if argv[i] in valued:
            longs[argv[i]] = argv[i + 1] if i + 1 < len(argv) else ""
            i += 2
            continue
        words.append(argv[i])
        i += 1
    options, operands = _options(words, "mXdHowAuDeTFr")
    if not operands:
        shell.err("curl: (2) no URL specified\n")
        return 2
    scheme, host, port, path = _target(operands[0])
    silent = "s" in options and "S" not in options
    method = options.get("X") or longs.get("--request") or "GET"
    data = options.get("d") or longs.get("--data") or longs.get("--data-raw") or longs.get("--json") or ""
    if data and method == "GET":
        method = "POST"
    if "I" in options:
        method = "HEAD"
    named = next((v.partition(":")[2].strip() for v in headers if v.partition(":")[0].lower() == "host"), "")
    insecure = "k" in options or "insecure" in options
    kind, address, answer = shell.ask("http", host, port, path, method, data, scheme, named, insecure)
    if set(options) & {"v", "verbose"}:
        _tell(shell, kind, address, f"{method} {path}", f"{named or host}", port, headers, answer)
    form = options.get("w") or longs.get("--write-out") or ""
    body, code, status = "", 0, 0
    if kind in ("no-host", "no-dns"):
        code, text = 6, f"Could not resolve host: {host}"
    elif kind == "certificate":
        code, text = 60, f"SSL: {answer[1] if answer else 'certificate problem'}"
    elif kind == "refused":
        code, text = 7, f"Failed to connect to {host} port {port} after 1 ms: Could not connect to server"
    elif kind == "timeout":
        limit = _limit(options.get("m"), longs.get("--max-time"), longs.get("--connect-timeout"))
        shell.sleep(limit or 130.0)
        milli = int((limit or 130.0) * 1000)
        code = 28
        text = (
            f"Connection timed out after {milli} milliseconds"
            if limit
            else f"Failed to connect to {host} port {port} after {milli} ms: Could not connect to server"
        )
    else:
        status, body = answer if answer is not None else (0, "")
        text = ""
        if not status:
            code, text = 52, "Empty reply from server"
        elif status >= 400 and ("f" in options or "fail" in options):
            code, text, body = 22, f"The requested URL returned error: {status}", ""
    if code and not silent:
        shell.err(f"curl: ({code}) {text}\n")
    target = options.get("o") or longs.get("--output")
    if "i" in options or "I" in options:
        body = f"HTTP/1.1 {status} {_reason(status)}\r\nContent-Length: {len(body)}\r\n\r\n" + (
            "" if "I" in options else body
        )
    if target and target != "-":
        if target != "/dev/null":
            shell.world.write(shell.path(target), body, False)
    else:
        shell.out(body)
    if form:
        shell.out(
            _escape(form)
            .replace("%{http_code}", f"{status:03d}")
            .replace("%{response_code}", f"{status:03d}")
            .replace("%{time_total}", "0.004")
        )
    return code
