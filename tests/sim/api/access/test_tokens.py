"""Tokens of accounts: good for one account, for a time, and only as long as what they are bound to is there."""

from typing import Any

CORE = "/api/v1/namespaces/default"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def issue(call: Any, **spec: Any) -> str:
    status, review = call("POST", f"{CORE}/serviceaccounts/default/token", {"spec": spec})
    assert status == 201, review
    token: str = review["status"]["token"]
    return token


def state(call: Any, token: str, **spec: Any) -> Any:
    return call("POST", REVIEWS, {"spec": {"token": token, **spec}})[1]["status"]


def test_a_token_ends_with_its_time_and_its_account(call: Any, api: Any) -> None:
    token = issue(call, expirationSeconds=600)
    user = api.authenticate(token)
    assert (user.name, user.groups[1]) == ("system:serviceaccount:default:default", "system:serviceaccounts:default")
    assert user.uid == api.store.get("serviceaccounts", "default", "default")["metadata"]["uid"]
    api.clock.advance(601)
    assert api.authenticate(token) is None
    assert "expired" in state(call, token)["error"]
    token = issue(call)
    api.store.delete("serviceaccounts", "default", "default")
    api.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})
    assert api.authenticate(token) is None, "another account of the same name"


def test_forged_and_foreign_tokens_are_nobody(call: Any, api: Any, make: Any) -> None:
    token = issue(call)
    head, claims, signature = token.split(".")
    other = make.api()
    for bad in (
        f"{head}.{claims}.{'A' * len(signature)}", f"{head}.{claims[:-2]}AA.{signature}", "x", "", ".", "a.b.c",
        "é.é.é", f"{head}.{claims}.", "." * 5000,
    ):  # fmt: skip
        assert api.authenticate(bad) is None, bad
    assert other.authenticate(token) is None, "each server has its own key"
    assert state(call, "a.b.c") == {"user": {}, "error": "invalid bearer token"}
    other.close()


def test_audiences(call: Any, api: Any) -> None:
    token = issue(call, audiences=["vault"])
    assert api.authenticate(token) is None
    assert state(call, token, audiences=["vault", "x"])["audiences"] == ["vault"]
    assert not state(call, token).get("authenticated")


def test_a_token_bound_to_a_pod_goes_with_it(call: Any, api: Any, make: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod("p"))
    ref = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    token = issue(call, boundObjectRef=ref)
    assert api.authenticate(token).extra["authentication.kubernetes.io/pod-name"] == ("p",)
    path = f"{CORE}/serviceaccounts/default/token"
    assert call("POST", path, {"spec": {"boundObjectRef": {**ref, "uid": "other"}}})[0] == 409
    assert call("POST", path, {"spec": {"boundObjectRef": {**ref, "name": "q"}}})[0] == 404
    assert call("POST", path, {"spec": {"boundObjectRef": {"kind": "Service", "name": "q"}}})[0] == 400
    api.store.delete("pods", "default", "p")
    assert api.authenticate(token) is None
