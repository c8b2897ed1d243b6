"""Secrets that hold the token of a service account."""

from __future__ import annotations

import base64
from typing import Any

from stratus.sim.api.access.tokens import Issuer

TYPE = "kubernetes.io/service-account-token"


def secret(name: str = "token", account: str = "robot") -> dict[str, Any]:
    meta = {"name": name, "annotations": {"kubernetes.io/service-account.name": account}}
    return {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": meta}


def robot(lab: Any) -> Any:
    lab.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    return lab.get("ServiceAccount", "robot")


def test_a_token_secret_is_filled_and_its_token_is_good(lab: Any) -> None:
    account = robot(lab)
    lab.apply(secret())
    found = lab.get("Secret", "token")
    data = {k: base64.b64decode(v).decode() for k, v in found["data"].items()}
    assert set(data) == {"ca.crt", "namespace", "token"}
    assert data["namespace"] == "default"
    assert data["ca.crt"] == lab.get("ConfigMap", "kube-root-ca.crt")["data"]["ca.crt"]
    assert found["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
    issuer = Issuer(lab.store, lab.clock)
    user, _, why = issuer.check(data["token"])
    assert user is not None
    assert (user.name, why) == ("system:serviceaccount:default:robot", "")
    assert issuer.check(data["token"][:-1] + "x")[0] is None
    lab.delete("Secret", "token")
    assert issuer.check(data["token"])[0] is None


def test_it_goes_with_its_account(lab: Any) -> None:
    robot(lab)
    lab.apply(secret())
    lab.delete("ServiceAccount", "robot")
    assert lab.get("Secret", "token") is None
    # Without an account there is no token, and a new account of that name is another one.
    lab.apply(secret("early"))
    assert lab.get("Secret", "early") is None
    robot(lab)
    stale = secret("stale")
    stale["metadata"]["annotations"]["kubernetes.io/service-account.uid"] = "another"
    lab.apply(stale)
    assert lab.get("Secret", "stale") is None


def test_the_same_seed_gives_the_same_token(make_lab: Any) -> None:
    texts = []
    for seed in (1, 1, 2):
        lab = make_lab(seed=seed)
        robot(lab)
        lab.apply(secret())
        texts.append(lab.get("Secret", "token")["data"]["token"])
    assert texts[0] == texts[1] != texts[2]
