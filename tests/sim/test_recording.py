"""Requests as data: what is written down, what is not, and that it comes back the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.sim.api import Request, User
from stratus.sim.recording import may_change, request_data, request_of

HEADERS = {"content-type": "application/json", "authorization": "Bearer hidden", "cookie": "c", "user-agent": "kubectl"}


@given(st.binary(max_size=200), st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]), st.text(max_size=20))
def test_a_request_comes_back_as_it_was(body: bytes, method: str, name: str) -> None:
    request = Request(method, f"/api/v1/namespaces/x/pods/{name}?a=b", HEADERS, body, User("me", ("a", "b")))
    data = json.loads(json.dumps(request_data(request)))
    again = request_of(data)
    assert (again.method, again.target, again.body) == (request.method, request.target, request.body)
    assert again.user is not None
    assert (again.user.name, again.user.groups) == ("me", ("a", "b"))
    assert again.headers == {"content-type": "application/json", "user-agent": "kubectl"}


def test_credentials_are_not_written_down() -> None:
    text = json.dumps(request_data(Request("POST", "/api/v1/namespaces", HEADERS, b"{}")))
    assert "hidden" not in text
    assert "cookie" not in text


def test_objects_handed_over_in_process_come_back_too() -> None:
    request = Request("POST", "/api/v1/namespaces", {}, obj={"kind": "Namespace", "metadata": {"name": "x"}})
    again = request_of(json.loads(json.dumps(request_data(request))))
    assert again.obj == request.obj
    assert again.body == b""


@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        (Request("GET", "/api/v1/pods"), False),
        (Request("HEAD", "/api/v1/pods"), False),
        (Request("POST", "/api/v1/pods?dryRun=All"), False),
        (Request("POST", "/api/v1/pods", user=None), False),
        (Request("POST", "/api/v1/pods"), True),
        (Request("DELETE", "/api/v1/pods"), True),
    ],
)
def test_only_what_may_change_something_counts(request_: Request, changes: bool) -> None:
    assert may_change(request_) is changes
