"""Signs the certificates that users ask for and somebody approved, as the controller of certificates does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.kit.clock import iso
from stratus.sim.api.messages import Request, User
from stratus.sim.store import Change, Store
from stratus.sim.tls import SIGNERS, Authority, CannotSign

if TYPE_CHECKING:
    from stratus.sim.api.server import ApiServer

Obj = dict[str, Any]
REQUESTS = "certificatesigningrequests.certificates.k8s.io"
_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CONTROLLER = User(
    "system:serviceaccount:kube-system:certificate-controller",
    ("system:masters", "system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
)


class Signer:
    """Notices approved requests and answers them by a write to their status.

    That write is an input of the cluster like any client's: a certificate is made once, by a key nobody can guess,
    and a cluster that is rebuilt from its inputs finds it among them.

    Args:
        store: where the requests are.
        authority: gives who signs.
    """

    def __init__(self, store: Store, authority: Callable[[], Authority]) -> None:
        self._store = store
        self._authority = authority
        self._waiting: dict[str, None] = {}
        self._end = store.subscribe(self._on_change, REQUESTS)

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def _on_change(self, change: Change) -> None:
        if change.resource == REQUESTS and change.type != "DELETED" and _is_due(change.object):
            self._waiting[change.object["metadata"]["name"]] = None

    def forget(self) -> None:
        """Leave what waits to an earlier life, whose answer is among the inputs."""
        self._waiting.clear()

    def work(self, api: ApiServer) -> None:
        """Answer the requests that wait."""
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]
            found = self._store.get(REQUESTS, "", name)
            if found is None or not _is_due(found):
                continue
            body = {**found, "kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1"}
            body["status"] = self._status(found)
            headers = {"content-type": "application/json", "user-agent": "kube-controller-manager"}
            api.handle(Request("PUT", f"{_PATH}/{name}/status", headers, json.dumps(body).encode(), CONTROLLER))

    def _status(self, request: Obj) -> Obj:
        spec, status = request["spec"], request.get("status") or {}
        try:
            signed = self._authority().sign(
                base64.b64decode(spec["request"]), spec["signerName"], list(spec.get("usages") or ()),
                spec.get("expirationSeconds"),
            )  # fmt: skip
        except CannotSign as error:
            now = iso(self._store.clock.now())
            failed = {
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": str(error),
                "lastUpdateTime": now, "lastTransitionTime": now,
            }  # fmt: skip
            return {**status, "conditions": [*status["conditions"], failed]}
        return {**status, "certificate": base64.b64encode(signed).decode()}


def _is_due(request: Obj) -> bool:
    status = request.get("status") or {}
    kinds = {c["type"] for c in status.get("conditions") or () if c.get("status", "True") == "True"}
    if status.get("certificate") or request["spec"].get("signerName") not in SIGNERS:
        return False
    return "Approved" in kinds and not kinds & {"Denied", "Failed"}
