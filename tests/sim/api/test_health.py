"""Health checks, and the list of everything that answers."""

from typing import Any

import pytest

from stratus.sim.api import health
from stratus.sim.api.routing import Query


@pytest.mark.parametrize("endpoint", ["healthz", "livez", "readyz"])
def test_each_endpoint_is_well_as_a_whole_and_in_parts(call: Any, endpoint: str) -> None:
    assert call("GET", f"/{endpoint}") == (200, "ok")
    for check in health.checks(endpoint):
        assert call("GET", f"/{endpoint}/{check}") == (200, "ok"), check
    assert call("GET", f"/{endpoint}/nothing")[0] == 404


def test_details_name_every_check(call: Any) -> None:
    _, text = call("GET", "/readyz?verbose")
    lines = text.splitlines()
    assert lines[-1] == "readyz check passed"
    assert lines[0] == "[+]ping ok"
    assert [line.removeprefix("[+]").removesuffix(" ok") for line in lines[:-1]] == list(health.checks("readyz"))
    assert "[+]etcd ok" not in lines
    assert "[+]etcd ok" in call("GET", "/livez?verbose=1")[1].splitlines()


def test_checks_can_be_left_out(call: Any) -> None:
    assert "[+]ping excluded: ok" in call("GET", "/healthz?verbose&exclude=ping")[1].splitlines()


def test_other_paths_are_not_about_health() -> None:
    assert health.answer("/healthy", Query("")) is None
    assert health.answer("/", Query("")) is None


def test_the_root_lists_every_path(call: Any) -> None:
    _, root = call("GET", "/")
    paths = root["paths"]
    assert paths == sorted(paths)
    assert {"/api/v1", "/apis/apps/v1", "/readyz/shutdown", "/livez/etcd", "/openapi/v3", "/version"} <= set(paths)
    assert "/readyz/etcd" not in paths
