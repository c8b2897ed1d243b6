"""What the grammar understands, in every spelling; and what it refuses, with which code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.cluster.kubectl import parse_command
from stratus.cluster.kubectl.words import split_words
from stratus.errors import CommandRefused

SHELL = [
    "kubectl get pods | grep web",
    "kubectl get pods; rm -rf /",
    "kubectl scale deploy/web --replicas=0 && echo ok",
    "kubectl scale deploy/web --replicas=0 & ",
    "kubectl get pods > out",
    "kubectl apply -f - <<EOF",
    "kubectl apply -f <(cat x)",
    "kubectl delete pod $(kubectl get pods -o name)",
    "kubectl delete pod `kubectl get pods -o name`",
    "kubectl delete pod $POD",
    "kubectl delete pod ${POD}",
    'kubectl label pod x "a=$(id)"',
    'kubectl label pod x "a=`id`"',
    'kubectl label pod x "a=$HOME"',
    "kubectl scale deploy/web --replicas=0 --dry-run=server # --replicas=3",
    "kubectl get pods\nkubectl delete ns x",
    "kubectl get pods\rkubectl delete ns x",
    "kubectl scale deploy/web \\\n --replicas=0",
    "kubectl get pods \x00",
    "kubectl get pods\u2028kubectl delete ns x",
    "kubectl label pod x a=$'b'",
    "(kubectl get pods)",
    "kubectl get pods \\",
]


@pytest.mark.parametrize("line", SHELL)
def test_shell_syntax_is_refused(line: str) -> None:
    with pytest.raises(CommandRefused) as found:
        parse_command(line)
    assert found.value.code == "shell_syntax"
    assert "one line" in found.value.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", ("a", "b", "c")),
        ("a 'b c' \"d e\"", ("a", "b c", "d e")),
        ("a''b \"\"", ("ab", "")),
        (r"a\ b \#c", ("a b", "#c")),
        ("x=#y a#b", ("x=#y", "a#b")),
        ("""-p '{"a": "$(x) | `y`"}'""", ("-p", '{"a": "$(x) | `y`"}')),
        (r'"a\"b\\c\d"', ('a"b\\c\\d',)),
        ("*.txt [a-z]? {a,b} ~", ("*.txt", "[a-z]?", "{a,b}", "~")),
        ("cost=5$ '$'", ("cost=5$", "$")),
        ("-p 'spec:\n  replicas: 2\n'", ("-p", "spec:\n  replicas: 2\n")),
        ("", ()),
    ],
)
def test_words_are_split_as_a_shell_would(line: str, words: tuple[str, ...]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ["kubectl get 'pods", 'kubectl get "pods', "a 'b' 'c"])
def test_open_quotes_are_refused(line: str) -> None:
    with pytest.raises(CommandRefused) as found:
        parse_command(line)
    assert found.value.code == "unbalanced_quote"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="'"))))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    assert split_words(" ".join(f"'{w}'" for w in words)) == tuple(words)


@given(st.text())
def test_any_text_is_understood_or_refused_with_a_code(line: str) -> None:
    refusal: CommandRefused | None = None
    try:
        parse_command(line)
    except CommandRefused as refused:
        refusal = refused
    assert refusal is None or (refusal.code and str(refusal))


@pytest.mark.parametrize(
    "line",
    [
        "kubectl -n shop scale deploy web --replicas=2",
        "kubectl -nshop scale deploy web --replicas=2",
        "kubectl -n=shop scale deploy web --replicas=2",
        "kubectl --namespace shop scale deploy web --replicas 2",
        "kubectl --namespace=shop scale --replicas 2 deploy web",
        "scale deploy web --replicas=2 -nshop",
        "scale -n shop --replicas=2 deploy web",
        "scale deploy -n=shop web --replicas=2 --namespace shop",
        "/usr/bin/kubectl scale deploy web -n shop --replicas=2",
    ],
)
def test_the_namespace_in_every_spelling(line: str) -> None:
    found = parse_command(line)
    assert (found.verb, found.words, found.namespace) == ("scale", ("deploy", "web"), "shop")
    assert found.one("replicas") == "2"


def test_words_instead_of_a_line_are_never_split() -> None:
    found = parse_command(["kubectl", "label", "pod", "x", "note=a; b | c $(d)"])
    assert found.words == ("pod", "x", "note=a; b | c $(d)")


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("set image deploy/web web=i", "set image"),
        ("set sa deploy web robot", "set serviceaccount"),
        ("rollout -n x undo deploy/web", "rollout undo"),
        ("create svc clusterip a --tcp=80", "create service clusterip"),
        ("create cm a", "create configmap"),
        ("create secret generic a", "create secret generic"),
        ("auth can-i get pods", "auth can-i"),
        ("top pods", "top pod"),
        ("create -f -", "create"),
        ("get po -A -o wide --show-labels", "get"),
    ],
)
def test_verbs_of_several_words(line: str, verb: str) -> None:
    assert parse_command(line).verb == verb


def test_flags_in_their_forms() -> None:
    found = parse_command("delete pods -l a=b,c=d --now --wait=false --cascade --grace-period 1 -ojson")
    assert found.one("selector") == "a=b,c=d"
    assert found.on("now")
    assert not found.on("wait", True)
    assert (found.one("cascade"), found.one("grace-period"), found.one("output")) == ("", "1", "json")
    tail = parse_command("create job j --image=i -- sh -c 'a -n b'")
    assert tail.tail == ("sh", "-c", "a -n b")
    assert tail.namespace == ""
    assert parse_command("set env deploy/a -e A=1 -e=B=2 --env C=3").many("env") == ("A=1", "B=2", "C=3")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "empty"),
        ("kubectl", "empty"),
        ("kubectl -n x", "empty"),
        ("nonsense", "unknown_verb"),
        ("sudo kubectl get pods", "unknown_verb"),
        ("KUBECONFIG=x kubectl get pods", "unknown_verb"),
        ("set", "unknown_verb"),
        ("set nothing deploy/web", "unknown_verb"),
        ("create token default", "unknown_verb"),
        ("edit deploy/web", "interactive"),
        ("exec -it web -- sh", "interactive"),
        ("exec web -- rm -rf /data", "interactive"),
        ("attach web", "interactive"),
        ("port-forward svc/web 80", "interactive"),
        ("proxy", "interactive"),
        ("debug web", "interactive"),
        ("cp a web:/b", "interactive"),
        ("get pods -w", "interactive"),
        ("get pods --watch", "interactive"),
        ("logs web --follow", "interactive"),
        ("config view", "unsupported_verb"),
        ("config use-context other", "unsupported_verb"),
        ("get pods --kubeconfig=/x", "forbidden_flag"),
        ("--kubeconfig /x get pods", "forbidden_flag"),
        ("--kubeconfig=/x get pods", "forbidden_flag"),
        ("get pods --server=https://x", "forbidden_flag"),
        ("get pods -s https://x", "forbidden_flag"),
        ("get pods --token=x", "forbidden_flag"),
        ("get pods --as=root", "forbidden_flag"),
        ("get pods --as root --as-group=system:masters", "forbidden_flag"),
        ("get pods --context=other", "forbidden_flag"),
        ("get pods --cluster=other", "forbidden_flag"),
        ("get pods --user=other", "forbidden_flag"),
        ("get pods --insecure-skip-tls-verify", "forbidden_flag"),
        ("apply -k dir", "forbidden_flag"),
        ("apply -R -f -", "forbidden_flag"),
        ("apply --prune -f -", "forbidden_flag"),
        ("delete --raw /api/v1/x", "forbidden_flag"),
        ("patch deploy/web --patch-file=x", "forbidden_flag"),
        ("create cm a --from-file=/etc/passwd", "forbidden_flag"),
        ("scale deploy/web --replicas=2 --bogus", "unknown_flag"),
        ("scale deploy/web -x --replicas=2", "unknown_flag"),
        ("get pods -n", "missing_value"),
        ("get pods --namespace=", "missing_value"),
        ("scale deploy/web --replicas", "missing_value"),
        ("scale deploy/web --replicas=1 --replicas=2", "contradictory_flags"),
        ("get pods -n a -n b", "contradictory_flags"),
        ("kubectl -n a get pods --namespace b", "contradictory_flags"),
        ("delete pod x --now=perhaps", "bad_value"),
        ("scale deploy/web --replicas=2 --dry-run=server", "dry_run"),
        ("scale deploy/web --replicas=2 --dry-run", "dry_run"),
        ("scale deploy/web --replicas=2 --dry-run=client", "dry_run"),
        ("apply -f - --validate=false", "bad_value"),
    ],
)
def test_refusals_have_stable_codes(line: str, code: str) -> None:
    with pytest.raises(CommandRefused) as found:
        parse_command(line)
    assert found.value.code == code
    assert len(str(found.value).splitlines()) == 1


def test_saying_no_dry_run_is_allowed() -> None:
    assert parse_command("scale deploy/web --replicas=2 --dry-run=none").verb == "scale"
