"""Corefiles: what they mean, and what CoreDNS refuses, in its words."""

from __future__ import annotations

import pytest

from stratus.sim.corefile import COREFILE, PATH, CorefileError, denial, parse


def test_the_shipped_one() -> None:
    config = parse(COREFILE)
    (server,) = config.servers
    assert (server.zones, server.port) == ((".",), 53)
    assert [p.name for p in server.plugins] == [
        *("errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop", "reload", "loadbalance"),
    ]
    assert config.ports() == {53, 8080, 8181, 9153}
    assert config.reload_seconds() == 30.0
    (kubernetes,) = server.all("kubernetes")
    assert kubernetes.words == ("kubernetes", "cluster.local", "in-addr.arpa", "ip6.arpa")
    assert [e.words for e in kubernetes.block or ()] == [
        ("pods", "insecure"), ("fallthrough", "in-addr.arpa", "ip6.arpa"), ("ttl", "30"),
    ]  # fmt: skip


def test_the_longest_zone_answers() -> None:
    config = parse(
        ".:53 {\n forward . 8.8.8.8\n}\ncorp.example:53 a.corp.example {\n forward . 10.0.0.53\n}\n.:5353 {\n}\n"
    )
    assert config.server("www.google.com").zones == (".",)  # type: ignore[union-attr]
    assert config.server("x.corp.example").zones == ("corp.example", "a.corp.example")  # type: ignore[union-attr]
    assert config.server("notcorp.example").zones == (".",)  # type: ignore[union-attr]
    assert parse("cluster.local {\n}\n").server("example.org") is None


def test_comments_quotes_and_snippets() -> None:
    text = """
(logging) {
    log
    errors
}
.:53 { # all of it
    import logging
    # forward . 1.1.1.1
    template ANY ANY a.b {
        match "^a\\.b\\.$"
        rcode NXDOMAIN
    }
}
"""
    (server,) = parse(text).servers
    assert [p.name for p in server.plugins] == ["log", "errors", "template"]
    assert (server.plugins[2].block or ())[0].words == ("match", "^a\\.b\\.$")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".:53 {\n errors\n forwrd . 8.8.8.8\n}\n", f"{PATH}:3 - Error during parsing: Unknown directive 'forwrd'"),
        (".:53 {\n    errors\n", f"{PATH}:2 - Error during parsing: Unexpected EOF"),
        (".:53 {\n    forward . not-an-address\n}\n", 'plugin/forward: not an IP address or file: "not-an-address"'),
        (".:53 {\n    kubernetes cluster.local {\n        pods maybe\n    }\n}\n", "wrong value for pods: maybe"),
        (".:53 {\n    kubernetes cluster.local {\n        podz insecure\n    }\n}\n", "unknown property 'podz'"),
        (".:53 {\n    template ANY ANY {\n        rcode NOPE\n    }\n}\n", "plugin/template: unknown rcode NOPE"),
        (".:53 {\n    template ANY ANY {\n        match (\n    }\n}\n", "plugin/template: could not parse regex: ("),
        (".:53 {\n}\n.:53 {\n}\n", "cannot serve dns://.:53 - it is already defined"),
        (".:5x {\n}\n", "invalid port"),
        (".:53 {\n    import missing.conf\n}\n", "File to import not found: missing.conf"),
        (".:53 {\n    hosts {\n        10.0.0 a\n    }\n}\n", "plugin/hosts"),
        (".:53 {\n    reload often\n}\n", 'invalid duration "often"'),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(CorefileError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_a_denial_denies_one_name_only() -> None:
    (server,) = parse(".:53 {\n" + denial("a.b", "NXDOMAIN") + "    whoami\n}\n").servers
    (template,) = server.all("template")
    assert template.words == ("template", "ANY", "ANY", "a.b")
    assert [e.words for e in template.block or ()] == [("match", "^a\\.b\\.$"), ("rcode", "NXDOMAIN"), ("fallthrough",)]
