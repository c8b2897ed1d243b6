"""The programs that people use on a command line: filters, sed, awk, sort, and what shows how things are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.shell import Outcome, Shell

from .test_shell import World

LOG = """10:01 INFO start pid=7
10:02 ERROR cannot reach db:5432
10:02 WARN slow 120ms
10:03 ERROR cannot reach db:5432
10:04 INFO done
"""


def run(script: str, stdin: str = LOG) -> Outcome:
    world = World(identity=(0, 0), processes=[(1, "mongod --auth")], ports=[27017], address="10.244.1.5", cpu=0.25)
    world.files = {
        "/tmp/log": LOG, "/tmp/b": "b\n", "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
        "/etc/hostname": "web-1\n", "/proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 2000000 kB\nCached: 3000000 kB\n",
        "/proc/loadavg": "0.20 0.18 0.15 1/300 9\n", "/proc/uptime": "1036800.5 9.9\n",
    }  # fmt: skip
    return Shell(world, {"HOSTNAME": "web-1"}, stdin=stdin).run_script(script)


def out(script: str, stdin: str = LOG) -> str:
    return run(script, stdin).stdout()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("grep -c ERROR", "2\n"),
        ("grep -n WARN", "3:10:02 WARN slow 120ms\n"),
        ("grep -v -E 'INFO|ERROR'", "10:02 WARN slow 120ms\n"),
        ("grep -o 'pid=[0-9]*'", "pid=7\n"),
        ("grep -A1 slow", "10:02 WARN slow 120ms\n10:03 ERROR cannot reach db:5432\n"),
        ("grep -i -w error | wc -l", "2\n"),
        ("grep -rl done /tmp", "/tmp/log\n"),
        ("grep -h b /tmp/b /tmp/log | head -n 1", "b\n"),
        ("grep 'db\\|slow' | head -1", "10:02 ERROR cannot reach db:5432\n"),
        ("head -n 1; tail -n 1 /tmp/log", "10:01 INFO start pid=7\n10:04 INFO done\n"),
        ("tail -n +5", "10:04 INFO done\n"),
        ("head -c 5", "10:01"),
        ("wc -l", "5\n"),
        ("awk '{print $2}' | sort | uniq -c | sort -rn | head -2", "      2 INFO\n      2 ERROR\n"),
        ("printf '10\\n9\\n100\\n' | sort -n", "9\n10\n100\n"),
        ("printf 'a 2\\nb 10\\nc 1\\n' | sort -k2 -n -r", "b 10\na 2\nc 1\n"),
        ("printf '1K\\n2M\\n3\\n' | sort -h", "3\n1K\n2M\n"),
        ("printf 'a:b:c\\n' | cut -d: -f1,3", "a:c\n"),
        ("printf 'a:b:c\\n' | cut -d: -f2-", "b:c\n"),
        ("printf 'hello' | cut -c2-3", "el\n"),
        ("echo aabbcc | tr -s a-c | tr -d b", "ac\n"),
        ("echo 'a1 b2' | tr -cd '0-9\\n'", "12\n"),
        ("printf 'a\\nb\\n' | tac", "b\na\n"),
        ("printf 'x\\ny\\n' | paste -s -d,", "x,y\n"),
        ("echo abc | rev", "cba\n"),
        ("sed -n '2p'", "10:02 ERROR cannot reach db:5432\n"),
        ("sed '/INFO/d' | wc -l", "3\n"),
        ("sed -n '/WARN/,/done/p' | wc -l", "3\n"),
        ("sed -e 's/ERROR/E/' -e 's#db:\\([0-9]*\\)#\\1#' | sed -n 2p", "10:02 E cannot reach 5432\n"),
        ("sed -E 's/([0-9]+)ms/<&>/' | sed -n 3p", "10:02 WARN slow <120ms>\n"),
        ("sed '$!d'", "10:04 INFO done\n"),
        ("sed -i 's/b/c/' /tmp/b; cat /tmp/b", "c\n"),
        ("sed '1i top' | head -1", "top\n"),
        ("awk 'NR==2 {print $NF, NF}'", "db:5432 5\n"),
        ("awk '/ERROR/ {n++} END {print n, n/NR}'", "2 0.4\n"),
        ("awk -F: '{s+=$2} END {printf \"%.1f\\n\", s}'", "12.0\n"),
        ("awk '{c[$2]++} END {for (k in c) if (c[k] > 1) print k\"=\"c[k]}' | sort", "ERROR=2\nINFO=2\n"),
        ("awk -v min=3 'NF > min && $2 ~ /^W/ {print substr($0, 1, 5), toupper(\"x\")}'", "10:02 X\n"),
        ('awk \'BEGIN {for (i = 1; i <= 3; i++) printf "%d ", i * i; print ""}\'', "1 4 9 \n"),
        ("awk '{gsub(/0/, \"o\"); print; exit}'", "1o:o1 INFO start pid=7\n"),
        ('awk \'$2 == "WARN" {split($1, p, ":"); print p[1] + 1, length($3)}\'', "11 4\n"),
        ("awk 'END {print NR}'", "5\n"),
        ("printf 'a b\\n' | xargs -n1 echo x", "x a\nx b\n"),
        ("printf 'a\\nb\\n' | xargs -I{} echo '<{}>'", "<a>\n<b>\n"),
        ("echo hello | base64 | base64 -d", "hello\n"),
        ("printf hi | sha256sum | cut -c1-8", "8f434346\n"),
        ("basename /a/b.txt .txt; dirname /a/b.txt", "b\n/a\n"),
        ("diff /tmp/b /tmp/b && echo same", "same\n"),
        ("echo '{1..3}' $((7 % 4 ** 2)) $((1 ? 2 : 3)) $((0x1f & 7))", "{1..3} 7 2 7\n"),
        ("cat <<< here", "here\n"),
        ("X=a; echo ${X:-b}${Y:=c}$Y; set -u; echo ${Z:-ok}", "acc\nok\n"),
        ("echo out > /tmp/o 2>&1; echo more >> /tmp/o; wc -l < /tmp/o", "2\n"),
        ("A=1 sh -c 'echo $A'; env | grep -c '^A='", "1\n0\n"),
        (
            "while read a b; do echo $b:$a; done < /tmp/b; printf '1 2\\n' | while read a b; do echo $b:$a; done",
            ":b\n2:1\n",
        ),
        ("type cd; command -v ls; command -v nosuch || echo none", "cd is a shell builtin\n/bin/ls\nnone\n"),
        ("for i in 1 2; do for j in 1 2; do [ $j = 2 ] && continue 2; echo $i$j; done; done", "11\n21\n"),
        ("set -o pipefail; false | true || echo failed", "failed\n"),
    ],
)
def test_what_they_print(script: str, expected: str) -> None:
    assert out(script) == expected


def test_what_shows_how_things_are() -> None:
    assert (
        out("hostname; hostname -i; whoami; id; id -u")
        == "web-1\n10.244.1.5\nroot\nuid=0(root) gid=0(root) groups=0(root)\n0\n"
    )
    assert out("ps").splitlines()[1] == "    1 root     0:00 mongod --auth"
    assert out("uptime").split("up")[1].strip() == "12 days,  0:00,  load average: 0.20, 0.18, 0.15"
    assert out("free -m").splitlines()[1].split() == ["Mem:", "7812", "2929", "1953", "0", "2929", "0"]
    assert "Mem: 6000000K used, 2000000K free" in out("top -bn1")
    assert "mongod" in out("top -b -n 1")
    assert "0.0.0.0:27017" in out("netstat -tlnp")
    assert "1/mongod" in out("netstat -tlnp")
    assert '("mongod",pid=1' in out("ss -tlnp")
    assert out("uname -a").startswith("Linux web-1 6.1.0")
    assert run("systemctl status x").exit_code == 1


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("grep '[' /tmp/log", 2, "bad regex"),
        ("cat /tmp/none | grep x", 1, "can't open '/tmp/none'"),
        ("sed 'k' /tmp/log", 1, "unknown command"),
        ("awk '{print' /tmp/log", 2, "syntax error"),
        ("awk 'BEGIN {while (1) x++}'", 2, "does not end"),
        ("head -n x /tmp/log", 2, "invalid arguments"),
        ("echo $((1/0))", 2, "divide by zero"),
        ("set -u; echo $NOPE", 2, "NOPE: parameter not set"),
        ("shift 9", 2, "can't shift that many"),
        ("f() { f; }; f", 2, "nesting level"),
        ("rm /tmp", 1, "is a directory"),
        ("env -i sh -c 'nosuch'", 127, "nosuch: not found"),
    ],
)
def test_what_goes_wrong_is_said(script: str, code: int, said: str) -> None:
    outcome = run(script)
    assert outcome.exit_code == code
    assert said in outcome.stderr()


WORDS = [
    "echo", "cat", "grep", "sed", "awk", "sort", "-n", "-r", "-k", "|", "&&", "||", ";", ">", "<", "/tmp/log", "$X",
    "${X:-a}",
    "$(echo a)", "'s/a/b/'", '"', "'", "`", "(", ")", "{", "}", "if", "then", "fi", "while", "do", "done", "for", "in",
    "case", "esac",
    "[", "]", "!", "2>&1", "<<EOF", "\n", "EOF", "$((", "))", "1+1", "*", "~", "test", "-f", "cut", "-d", "tr", "a-z",
    "xargs", "&",
    "return", "exit", "shift", "read", "x", "find", "-name", "head", "-c", "${", "$",
    "\\", "#", "tail", "wc", "printf", "%d", "%s",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=16))
def test_no_script_breaks_the_shell(words: list[str]) -> None:
    outcome = run(" ".join(words))
    assert outcome.exit_code is None or 0 <= outcome.exit_code < 256


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abc $\"'`\\{}()<>|&;*?~#=!-+/\n", max_size=40))
def test_no_text_breaks_the_shell(text: str) -> None:
    outcome = run(text)
    assert outcome.exit_code is None or 0 <= outcome.exit_code < 256


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abz09 .,:-_/@%", max_size=20))
def test_quoting_keeps_words_whole(text: str) -> None:
    assert out(f"X='{text}'; printf '%s' \"$X\"") == text
    assert out(f"printf '%s' '{text}'") == text
    assert out(f"Y=$(printf '%s' '{text}'); printf '%s' \"$Y\"") == text.rstrip("\n")


@settings(max_examples=200, deadline=None)
@given(st.integers(-9999, 9999), st.integers(-9999, 9999), st.sampled_from(["+", "-", "*", "/", "%"]))
def test_arithmetic_is_that_of_integers(a: int, b: int, operator: str) -> None:
    if operator in "/%" and b == 0:
        return
    expected = (
        int(a / b)
        if operator == "/"
        else a - b * int(a / b)
        if operator == "%"
        else {"+": a + b, "-": a - b, "*": a * b}[operator]
    )
    assert out(f"echo $(( {a} {operator} ({b}) ))") == f"{expected}\n"
