"""Fills Secrets that ask for a token of a service account, and removes those whose account is gone."""

from __future__ import annotations

import base64
import json
from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, with_meta
from stratus.sim.controllers.namespaces import CERTIFICATE
from stratus.sim.store import Change, Obj

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def legacy_token(namespace: str, secret: str, account: Obj, signature: str) -> str:
    """Return the text of a token that a Secret holds; it is good as long as the Secret holds it."""
    meta = account["metadata"]
    claims = {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": meta["name"],
        "kubernetes.io/serviceaccount/service-account.uid": meta["uid"],
        "sub": f"system:serviceaccount:{namespace}:{meta['name']}",
    }
    head = {"alg": "HS256", "typ": "JWT"}
    parts = [json.dumps(p, separators=(",", ":")).encode() for p in (head, claims)]
    return ".".join([*(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts), signature])


class AccountController(Controller):
    """Secrets of type service-account-token; keys are theirs."""

    name: ClassVar[str] = "tokens"
    component: ClassVar[str] = "serviceaccount-tokens-controller"
    resources: ClassVar[tuple[str, ...]] = ("secrets", "serviceaccounts")

    def on_change(self, change: Change) -> None:
        """A token Secret, or the account of some."""
        obj = change.object
        if change.resource == "secrets":
            if obj.get("type") == TYPE and change.type != "DELETED":
                self.enqueue(key_of(obj))
            return
        if change.type == "MODIFIED":
            return
        for secret in self.store.list("secrets", obj["metadata"]["namespace"]):
            of = (secret["metadata"].get("annotations") or {}).get(NAME)
            if secret.get("type") == TYPE and of == obj["metadata"]["name"]:
                self.enqueue(key_of(secret))

    def sync(self, key: Key) -> None:
        """Fill or remove one Secret."""
        secret = self.store.get("secrets", *key)
        if secret is None or "deletionTimestamp" in secret["metadata"]:
            return
        annotations = secret["metadata"].get("annotations") or {}
        account = self.store.get("serviceaccounts", key[0], annotations.get(NAME, ""))
        if account is None or annotations.get(UID, account["metadata"]["uid"]) != account["metadata"]["uid"]:
            self.store.delete("secrets", *key)
            return
        data = dict(secret.get("data") or {})
        wanted = {"ca.crt": CERTIFICATE, "namespace": key[0]}
        for name, text in wanted.items():
            data[name] = base64.b64encode(text.encode()).decode()
        if not data.get("token"):
            signature = f"{self.control.rng.getrandbits(256):064x}"
            token = legacy_token(key[0], key[1], account, signature)
            data["token"] = base64.b64encode(token.encode()).decode()
        marked = with_meta(secret, annotations={**annotations, UID: account["metadata"]["uid"]})
        changed = {**marked, "data": data}
        if changed != secret:
            self.store.update("secrets", changed)
