"""Every kind of client tells of the same trouble in its own words."""

from __future__ import annotations

import pytest

from stratus.sim.apps.dialects import spoken
from stratus.sim.apps.process import Proc, stamped
from stratus.sim.apps.schema import LogStyle
from stratus.sim.apps.wire import cut_off, failure, too_late
from stratus.sim.network import NoSuchHost, Refused, TimedOut

CLIENTS = ("node", "java", "dotnet", "rust", "envoy", "core")
HOST, PORT = "cart", 8080
TROUBLE = {
    "unknown": NoSuchHost(HOST),
    "refused": Refused("10.96.1.2", PORT),
    "late": TimedOut("10.96.1.2", PORT),
}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_go_says_it_as_it_is(protocol: str) -> None:
    for connection in TROUBLE.values():
        text = failure(connection, protocol, HOST, PORT)
        assert spoken("go", text, HOST, PORT) == text


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_tells_troubles_apart_and_fills_every_place(client: str, protocol: str) -> None:
    texts = [failure(c, protocol, HOST, PORT) for c in TROUBLE.values()]
    texts += [too_late(protocol, HOST, PORT), cut_off(protocol, HOST, PORT)]
    told = [spoken(client, text, HOST, PORT) for text in texts]
    assert len(set(told)) == 5
    for text, words in zip(texts, told, strict=True):
        assert words != text
        assert "rpc error" not in words
        assert not any(place in words for place in ("{host}", "{port}", "{address}", "{text}"))


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ("node", "9 FAILED_PRECONDITION: no store"),
        ("java", "io.grpc.StatusRuntimeException: FAILED_PRECONDITION: no store"),
        ("dotnet", 'Status(StatusCode="FailedPrecondition", Detail="no store")'),
        ("core", "FAILED_PRECONDITION: no store"),
    ],
)
def test_a_status_keeps_its_code_and_text(client: str, said: str) -> None:
    assert spoken(client, "rpc error: code = FailedPrecondition desc = no store") == said


def test_addresses_come_from_where_the_call_went() -> None:
    node = spoken("node", failure(TROUBLE["refused"], "grpc", HOST, PORT), HOST, PORT)
    assert node.endswith("connect ECONNREFUSED 10.96.1.2:8080")
    assert "dns:cart:8080" in spoken("node", failure(TROUBLE["unknown"], "grpc", HOST, PORT), HOST, PORT)


@pytest.mark.parametrize("text", ["NOAUTH Authentication required.", "503 Service Unavailable", "", "rpc error: odd"])
def test_what_is_no_trouble_of_grpc_or_http_stays_as_it_is(text: str) -> None:
    assert spoken("java", text) == text


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("{time}", "2026-01-05T09:00:00Z"),
        ("{date}", "2026-01-05T09:00:00.250+00:00"),
        ("{utc}", "2026-01-05T09:00:00.250Z"),
        ("{comma}", "2026-01-05 09:00:00,250"),
        ("{dotted}", "2026-01-05 09:00:00.250"),
        ("{clf}", "05/Jan/2026:09:00:00 +0000"),
        ("{dayfirst}", "05 Jan 2026 09:00:00.250"),
        ("{slashed}", "2026/01/05 09:00:00"),
        ("{millis}", "1767603600250"),
    ],
)
def test_a_moment_is_written_as_the_program_writes_it(place: str, shown: str) -> None:
    assert stamped(LogStyle(prefix="<"), f"{place}|{{other}}", 1767603600.25) == f"<{shown}|{{other}}"


def test_a_clone_of_a_process_keeps_where_it_listens() -> None:
    from stratus.sim.apps.schema import Program

    proc = Proc("a", Program(image="x"), None, ("n", "p"), "u", "c", "w", 0.0, 0, ports=frozenset({1}), users=3.0)
    assert (proc.clone().ports, proc.clone().users) == (frozenset({1}), 3.0)
