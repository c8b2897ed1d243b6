"""The small shell: language, time, and what it says about a script before the script has happened."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.sim.filesystem import Node
from stratus.sim.shell import Outcome, Shell, ShellSyntaxError, parse


class World:
    """A world of a few files and answers that a test sets."""

    def __init__(self, **answers: Any) -> None:
        self.files: dict[str, str] = {}
        self.dirs = {"/", "/tmp", "/bin"}
        self.answers = answers
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def ask(self, question: str, *details: Any) -> Any:
        self.asked.append((question, details))
        if question == "is_mounted":
            return False
        answer = self.answers.get(question)
        return answer(*details) if callable(answer) else answer

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def write(self, path: str, text: str, append: bool) -> str:
        if path.rpartition("/")[0] not in ("", *self.dirs):
            return "nonexistent directory"
        self.files[path] = self.files.get(path, "") + text if append else text
        return ""

    def remove(self, path: str) -> bool:
        return self.files.pop(path, None) is not None

    def mkdir(self, path: str, mode: int = 0o755) -> str:
        while path:
            self.dirs.add(path)
            path = path.rpartition("/")[0]
        return ""

    def lookup(self, path: str) -> Node | None:
        if path in self.files:
            return Node("file", self.files[path])
        return Node("dir", mode=0o755) if path in self.dirs else None

    stat = lookup

    def put(self, path: str, node: Node) -> str:
        return self.write(path, node.text, False)

    def follow(self, path: str) -> str:
        return path

    def shown_mode(self, path: str, node: Node) -> Node:
        return node

    def birth(self) -> float:
        return self.now()

    def usage(self) -> list[tuple[str, str, float, float]]:
        return [("overlay", "/", 1e9, 2e8)]

    def is_dir(self, path: str) -> bool:
        return path in self.dirs

    def list_dir(self, path: str) -> list[str]:
        top = path.rstrip("/") + "/"
        return sorted(p[len(top) :] for p in self.files if p.startswith(top) and "/" not in p[len(top) :])

    def has_program(self, name: str) -> bool:
        from stratus.sim.shellcommands import known_programs

        return name.rpartition("/")[2] in known_programs() or name == "server"

    def serves(self, argv: list[str]) -> frozenset[int] | None:
        return frozenset({9000}) if argv[0] == "server" else None

    def now(self) -> float:
        return 1767603600.0


def run(script: str, world: World | None = None, **env: str) -> Outcome:
    return Shell(world or World(), env).run_script(script)


def out(script: str, **env: str) -> str:
    return run(script, **env).stdout()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo hello world", "hello world\n"),
        ("echo -n a; echo b", "ab\n"),
        ("echo 'a  b'  c", "a  b c\n"),
        ('X="a  b"; echo $X; echo "$X"', "a b\na  b\n"),
        ("echo ${X:-none} ${X-none}", "none none\n"),
        ("X=; echo [${X:-none}] [${X-none}]", "[none] []\n"),
        ("X=v; echo ${X:+set} ${Y:+set}", "set\n"),
        ("echo ${X:=given}; echo $X", "given\ngiven\n"),
        ("F=/a/b/c.txt; echo ${F##*/} ${F%.txt} ${F#/a} ${F%%/*}", "c.txt /a/b/c /b/c.txt\n"),
        ("X=hello; echo ${#X}", "5\n"),
        ("echo $((2 + 3 * 4)) $(( (2+3)*4 ))", "14 20\n"),
        ("i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done", "0\n1\n2\n"),
        ("i=0; until [ $i -ge 2 ]; do i=$((i+1)); done; echo $i", "2\n"),
        ("for x in a b c; do [ $x = b ] && continue; echo $x; done", "a\nc\n"),
        ("for x in 1 2 3; do [ $x = 2 ] && break; echo $x; done", "1\n"),
        ("case abc in x) echo no;; a*|b) echo yes;; *) echo other;; esac", "yes\n"),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n"),
        ("false || echo or; true && echo and", "or\nand\n"),
        ("! false && echo negated", "negated\n"),
        ("echo $(echo inner) `echo ticks`", "inner ticks\n"),
        ("printf '%s-%s\\n' a b", "a-b\n"),
        ("echo abc | tr a-z A-Z | cut -c1-2", "AB\n"),
        ("f() { echo got $1; return 4; }; f x; echo $?", "got x\n4\n"),
        ("(cd /tmp; pwd); pwd", "/tmp\n/\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("echo one > /tmp/f; echo two >> /tmp/f; cat /tmp/f", "one\ntwo\n"),
        ("cat <<EOF\nhi $USER\nEOF", "hi me\n"),
        ("cat <<'EOF'\nhi $USER\nEOF", "hi $USER\n"),
        ("mkdir -p /tmp/a/b && echo x > /tmp/a/b/c && ls /tmp/a/b", "c\n"),
        ("echo 'k=v' | grep -q k= && echo found", "found\n"),
        ("echo a-b | sed 's/-/_/'", "a_b\n"),
        ("echo one two three | awk '{print $2}'", "two\n"),
        ("set -- p q; echo $# $2", "2 q\n"),
        ("A=1 env | grep '^A='", "A=1\n"),
        ("# comment only\necho x # trailing", "x\n"),
        ("echo a \\\n b", "a b\n"),
        ("read X <<EOF\nline\nEOF\necho got:$X", "got:line\n"),
        ('[ "a" = "a" -a -n "b" ] && echo both', "both\n"),
        ("[ -f /tmp/none ] || echo absent", "absent\n"),
        ("sh -c 'echo $0 $1' name arg", "name arg\n"),
        ("echo hi | base64", "aGkK\n"),
        ("echo aGkK | base64 -d", "hi\n"),
        ("printf hi | md5sum", "49f68a5c8493ec2c0bf489821c21fc3b  -\n"),
        ("printf 'b\na\nb\n' | sort -u", "a\nb\n"),
        ("seq 3 | tail -n 1", "3\n"),
        ("echo a b | xargs echo x", "x a b\n"),
    ],
)
def test_language(script: str, expected: str) -> None:
    assert out(script, USER="me") == expected


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 3", 3),
        ("true", 0),
        ("false", 1),
        ("nosuchprogram", 127),
        ("false; true", 0),
        ("set -e; false; echo never", 1),
        ("set -e; false || true; exit 5", 5),
        ("set -e; if false; then :; fi; exit 6", 6),
        ("(exit 4)", 4),
        ("exec sh -c 'exit 9'", 9),
        ("test 1 -gt 2", 1),
        ("[ 1 -eq one ]", 2),
        ("cat /nowhere", 1),
        (": ${MUST:?is required}", 2),
    ],
)
def test_exit_codes(script: str, code: int) -> None:
    assert run(script).exit_code == code


def test_guards_of_typical_workloads() -> None:
    script = (
        'if [ "$MODE" != "production" ]; then echo "bad MODE: $MODE" >&2; exit 1; fi; exec httpd -f -p 8080 -h /tmp'
    )
    bad = run(script, MODE="staging")
    assert (bad.exit_code, bad.stderr(), bad.stdout()) == (1, "bad MODE: staging\n", "")
    good = run(script, MODE="production")
    assert (good.exit_code, good.ports, good.root) == (None, frozenset({8080}), "/tmp")
    need = '[ -n "$DB" ] || { echo "DB is required" >&2; exit 3; }; sleep infinity'
    assert (run(need).exit_code, run(need).stderr()) == (3, "DB is required\n")
    assert run(need, DB="x").exit_code is None


def test_time_passes_only_in_sleeps() -> None:
    outcome = run("echo a; sleep 2; echo b; sleep 0.5; exit 1")
    assert outcome.elapsed == 2.5
    assert [(at, text) for at, _, text in outcome.lines] == [(0.0, "a\n"), (2.0, "b\n")]


@pytest.mark.parametrize("script", ["sleep infinity", "tail -f /dev/null", "while true; do sleep 3600; done", "server"])
def test_runs_forever(script: str) -> None:
    assert run(script).exit_code is None


def test_an_endless_loop_repeats_its_lines() -> None:
    outcome = run("echo start; while true; do echo tick; sleep 5; done")
    assert outcome.repeat is not None
    begin, period, lines = outcome.repeat
    assert (begin, period, [text for _, _, text in lines]) == (0.0, 5.0, ["tick\n"])


def test_a_loop_that_can_end_waits_for_its_surroundings() -> None:
    world = World(lookup=("NXDOMAIN", "db", "10.96.0.10", []), nameserver="10.96.0.10")
    script = "until nslookup db >/dev/null; do echo waiting; sleep 2; done; echo up"
    journal: list[Any] = []
    first = Shell(world, {}, horizon=0.0, journal=journal).run_script(script)
    assert (first.waits, first.elapsed, first.stdout()) == (True, 2.0, "waiting\n")
    second = Shell(world, {}, horizon=2.0, journal=journal).run_script(script)
    assert (second.waits, second.elapsed, second.stdout()) == (True, 4.0, "waiting\nwaiting\n")
    full = "db.default.svc.cluster.local"
    world.answers["lookup"] = ("NOERROR", full, "10.96.0.10", [(full, "A", "10.96.0.20", 30)])
    third = Shell(world, {}, horizon=4.0, journal=journal).run_script(script)
    assert (third.exit_code, third.stdout()) == (0, "waiting\nwaiting\nup\n")


def test_the_journal_keeps_old_answers() -> None:
    world = World(connect=lambda host, port: ("refused", "10.0.0.1", None))
    script = "nc -z db 5432 && echo open; sleep 5; nc -z db 5432 || echo still closed"
    journal: list[Any] = []
    Shell(world, {}, horizon=0.0, journal=journal).run_script(script)
    world.answers["connect"] = lambda host, port: ("reached", "10.0.0.1", None)
    later = Shell(world, {}, horizon=5.0, journal=journal).run_script(script)
    assert later.stdout() == ""


def test_traps() -> None:
    assert run("trap '' TERM; sleep 9999").ignores_term
    assert run("trap 'exit 7' TERM; sleep 9999").term_code == 7


def test_servers() -> None:
    assert run("nc -lk -p 8080").ports == {8080}
    assert run("nc -l 9090").ports == {9090}
    assert run("python3 -m http.server 8080").ports == {8080}
    assert run("python -u -m http.server --directory /tmp").ports == {8000}
    assert run("httpd -f -p 0.0.0.0:81").ports == {81}
    assert run("httpd -f -h /nowhere").exit_code == 1


def test_background_jobs() -> None:
    outcome = run("sleep 100 & echo on; server & wait")
    assert outcome.stdout() == "on\n"


def test_memory() -> None:
    assert run("sleep 1; exec tail /dev/zero").oom
    world = World(memory_limit=64 * 1024**2)
    assert run("stress --vm 1 --vm-bytes 150M", world).oom
    assert not run("stress --vm 1 --vm-bytes 32M", world).oom


def test_curl_tells_what_it_does() -> None:
    world = World(http=("reached", "10.0.0.1", (200, "body\n")))
    told = run("curl -v -H 'X-A: b' http://web:8080/p", world)
    assert told.stdout() == "body\n"
    lines = told.stderr().splitlines()
    for line in ("* Connected to web (10.0.0.1) port 8080", "> GET /p HTTP/1.1", "> Host: web:8080", "> X-A: b",
                 "< HTTP/1.1 200 OK", "< Content-Length: 5"):  # fmt: skip
        assert line in lines
    world.answers["http"] = ("refused", "10.0.0.1", None)
    assert "Connection refused" in run("curl -sv http://web/", world).stderr()


def test_requests() -> None:
    world = World(
        http=lambda host, port, path, *rest: ("reached", "10.0.0.1", (404 if path == "/x" else 200, "body\n"))
    )
    assert run("wget -qO- http://web:8080/", world).stdout() == "body\n"
    assert run("curl -s -o /dev/null -w '%{http_code}' http://web/x", world).stdout() == "404"
    failed = run("curl -f http://web/x", world)
    assert (failed.exit_code, failed.stderr()) == (22, "curl: (22) The requested URL returned error: 404\n")
    world.answers["http"] = lambda *details: ("no-host", "", None)
    gone = run("curl http://nohost/", world)
    assert (gone.exit_code, gone.stderr()) == (6, "curl: (6) Could not resolve host: nohost\n")
    world.answers["http"] = lambda *details: ("timeout", "10.0.0.9", None)
    slow = run("curl -m 3 http://slow/", world)
    assert (slow.exit_code, slow.elapsed) == (28, 3.0)


@pytest.mark.parametrize(
    "script", ["if true; then echo", "echo 'open", "while true; do", "a )", "case x in", "${", "fi"]
)
def test_syntax_errors_are_code_two(script: str) -> None:
    with pytest.raises(ShellSyntaxError):
        parse(script)
    assert run(script).exit_code == 2


def test_a_runaway_script_counts_as_one_that_runs_forever() -> None:
    assert run("i=0; while [ $i -ge 0 ]; do i=$((i+1)); done").exit_code is None
