"""Tokens of service accounts: signed, with an end, and void once their account or pod is gone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from stratus.kit.clock import Clock
from stratus.sim.api.messages import User
from stratus.sim.store import Store

Obj = dict[str, Any]
AUDIENCE = "https://kubernetes.default.svc.cluster.local"
_BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups every account of a namespace is in."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")


class Issuer:
    """Makes and checks tokens.

    The key lives as long as the process: like the throw-away certificates, tokens do not outlive the server, and no
    seed gives them away.

    Args:
        store: where accounts are.
        clock: the cluster's time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._key = b""
        self._made = 0

    def _sign(self, text: str) -> str:
        if not self._key:
            self._key = secrets.token_bytes(32)
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))

    def issue(self, account: Obj, audiences: list[str], seconds: int, bound: Obj | None) -> str:
        """Return a token of an account for `seconds`; `bound` ({kind, name, uid}) ends it earlier."""
        meta, now = account["metadata"], int(self._clock.now())
        self._made += 1
        digest = hashlib.sha256(f"{meta['uid']}/{now}/{self._made}".encode()).hexdigest()
        about: Obj = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound:
            about[bound["kind"].lower()] = {"name": bound["name"], "uid": bound["uid"]}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": AUDIENCE,
            "jti": f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}",
            "kubernetes.io": about,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        head = {"alg": "HS256", "typ": "JWT"}
        text = ".".join(_encode(json.dumps(p, separators=(",", ":")).encode()) for p in (head, claims))
        return f"{text}.{self._sign(text)}"

    def check(self, token: str, audiences: list[str] | None = None) -> tuple[User | None, list[str], str]:
        """Return who a token stands for, the audiences it is good for, and why it is not (then nobody)."""
        bad = "invalid bearer token"
        kept = self._kept(token)
        if kept is not None:
            return kept, audiences or [AUDIENCE], ""
        text, _, signature = token.rpartition(".")
        if not text or not self._key or not hmac.compare_digest(self._sign(text).encode(), signature.encode()):
            return None, [], bad
        try:
            claims = json.loads(_decode(text.partition(".")[2]))
        except ValueError:
            return None, [], bad
        if claims["exp"] <= self._clock.now():
            return None, [], f"[{bad}, service account token has expired]"
        wanted = audiences or [AUDIENCE]
        good = [a for a in wanted if a in claims["aud"]]
        if not good:
            return None, [], f"[{bad}, token audiences {json.dumps(claims['aud'])} is invalid for the target audiences]"
        about = claims["kubernetes.io"]
        account = about["serviceaccount"]
        if not self._alive("serviceaccounts", about["namespace"], account):
            return None, [], f"[{bad}, service account token has been invalidated]"
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
        for kind, resource in _BOUND.items():
            found = about.get(kind.lower())
            if found is None:
                continue
            if not self._alive(resource, "" if kind == "Node" else about["namespace"], found):
                return None, [], f"[{bad}, service account token has been invalidated]"
            extra[f"authentication.kubernetes.io/{kind.lower()}-name"] = (found["name"],)
            extra[f"authentication.kubernetes.io/{kind.lower()}-uid"] = (found["uid"],)
        return User(claims["sub"], account_groups(about["namespace"]), account["uid"], extra), good, ""

    def _kept(self, token: str) -> User | None:
        """Return the account of a token that a Secret holds; such a token has no end but the Secret's."""
        try:
            claims = json.loads(_decode(token.split(".")[1]))
            space, name = (claims[f"kubernetes.io/serviceaccount/{k}"] for k in ("namespace", "secret.name"))
            who, uid = (claims[f"kubernetes.io/serviceaccount/service-account.{k}"] for k in ("name", "uid"))
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        secret = self._store.get("secrets", space, name)
        held = base64.b64decode(((secret or {}).get("data") or {}).get("token", "")).decode("utf-8", "replace")
        if not hmac.compare_digest(held.encode(), token.encode()):
            return None
        if not self._alive("serviceaccounts", space, {"name": who, "uid": uid}):
            return None
        return User(claims["sub"], account_groups(space), uid, {})

    def _alive(self, resource: str, namespace: str, who: Obj) -> bool:
        found = self._store.get(resource, namespace, who["name"])
        return found is not None and found["metadata"]["uid"] == who["uid"]
