"""A Service that strayed from its manifest is told only where the pods themselves say that it did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stratus.kit.drift import LAST_APPLIED, strayed

PROBED = {"containers": [{"name": "a", "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}]}


def service(target: object, was: object = 80, **port: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    before = {"spec": {"ports": [{"port": 8080, "targetPort": was, **port}]}}
    now = {"port": 8080, "targetPort": target, **port}
    return {"metadata": {"annotations": {LAST_APPLIED: json.dumps(before)}}, "spec": {"ports": [now]}}, now


@pytest.mark.parametrize("port", [{}, {"name": "http"}])
def test_it_leads_where_no_probe_asks(port: dict[str, Any]) -> None:
    assert strayed(*service(9191, **port), PROBED)


def test_what_nobody_can_tell_is_not_told() -> None:
    assert not strayed(*service(80), PROBED)
    assert not strayed(*service(9191, was=9191), PROBED), "it never led elsewhere"
    assert not strayed(*service(9191, was=81), PROBED), "nobody asks there either"
    assert not strayed(*service(9191), {"containers": [{"name": "a"}]}), "nothing is probed"
    declared = {"containers": [{**PROBED["containers"][0], "ports": [{"containerPort": 9191}]}]}
    assert not strayed(*service(9191), declared), "the pod declares it"
    bare, port = service(9191)
    for text in ("", "no json"):
        bare["metadata"]["annotations"] = {LAST_APPLIED: text}
        assert not strayed(bare, port, PROBED)
    assert not strayed({"metadata": {}}, port, PROBED)
    assert not strayed(*service(9191), {}), "no pod, no word"
