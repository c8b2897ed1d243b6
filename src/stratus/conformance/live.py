"""A live cluster on the right-hand side: the same requests, in namespaces of its own, taken away afterwards."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from stratus.conformance.suites.base import OutOfScope
from stratus.conformance.world import (
    ADMIN,
    AGENT,
    ANONYMOUS,
    NOBODY,
    STRANGER,
    VIEWER,
    Answer,
    Json,
    raw,
    viewer_binding,
)
from stratus.errors import ClusterUnreachable, UsageError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

#: Namespaces that exist on every cluster and keep their names.
STANDING = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
#: Annotations that controllers write.
_CONTROLLERS = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")
_PLAIN = re.compile(r"[A-Za-z0-9._:~-]+")
PAUSE, PATIENCE = 0.2, 60.0
#: Fields that the server sets itself.
_SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def may_send(method: str, path: str, ours: Container[str]) -> bool:
    """Tell whether a recorded request may go to somebody's cluster: it reads, or stays in a namespace of our own.

    Outside of those an object of the whole cluster may be tried with `dryRun=All`, but never deleted: a DELETE with a
    body does not look at its query. Recordings may come from anywhere, so a path that is not plainly what it says is
    not sent, whoever it is sent as.

    Args:
        path: as recorded, with its query.
        ours: recorded names of namespaces that were made for the replay.
    """
    if method in ("GET", "HEAD"):
        return True
    bare, _, query = path.partition("?")
    parts = bare.split("/")
    if parts[0] or any(part in ("", ".", "..") or not _PLAIN.fullmatch(part) for part in parts[1:]):
        return False
    place = {"api": parts[3:], "apis": parts[4:]}.get(parts[1], [])
    if place[:1] == ["namespaces"] and len(place) > 1 and place[1] in ours:
        return True
    whole = len(place) == (1 if method == "POST" else 2)
    return method in ("POST", "PUT", "PATCH") and whole and parse_qs(query).get("dryRun") == ["All"]


class LiveSide:
    """A cluster that a kubeconfig names.

    Args:
        kubeconfig: its user must be allowed to make namespaces, bind roles and impersonate.

    Raises:
        UsageError: the file is not there or is no kubeconfig.
        ClusterUnreachable: nobody answers.
    """

    live = True

    def __init__(self, kubeconfig: Path) -> None:
        from kubernetes import client, config

        if not kubeconfig.is_file():
            raise UsageError(f"the kubeconfig {kubeconfig} does not exist: name one with --against")
        configuration = client.Configuration()
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
            )
        except Exception as problem:
            raise UsageError(f"{kubeconfig} cannot be used: {' '.join(str(problem).split())}") from problem
        configuration.retries = 0
        self.kubeconfig = kubeconfig
        self.client = client.ApiClient(configuration)
        self.prefix = f"conformance-{secrets.token_hex(3)}-"
        #: Recorded namespaces and what ours are called.
        self.names: dict[str, str] = {}
        self.bound = False
        self.host = str(configuration.host).rstrip("/")
        self.server_version()

    def __enter__(self) -> LiveSide:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the namespaces that were made, and the viewer's binding."""
        world = LiveWorld(self)
        for name in self.names:
            world.ask("DELETE", f"/api/v1/namespaces/{name}")
        self.names.clear()
        if self.bound:
            self.bound = False
            world.ask("DELETE", f"{_BINDINGS}/{self.prefix}viewer")

    def server_version(self) -> str:
        """Return the version the server names."""
        answer = LiveWorld(self).ask("GET", "/version")
        if answer.status != 200 or not isinstance(answer.obj, dict):
            raise ClusterUnreachable(f"{self.host} answers /version with {answer.status}: is it a Kubernetes API?")
        return str(answer.obj.get("gitVersion", ""))

    def world(self, *namespaces: str, running: bool = False, moment: float | None = None) -> LiveWorld:
        """Return a world whose namespaces are made on the cluster; moments and stillness cannot be had."""
        world = LiveWorld(self)
        try:
            world.namespace(*namespaces)
        except BaseException:
            world.close()
            raise
        return world


class LiveWorld:
    """Requests to a live cluster; recorded namespaces are called by names of our own, and back in answers."""

    live = True

    def __init__(self, side: LiveSide) -> None:
        self._side = side
        self._made: list[str] = []
        #: What ours are called and numbered for recorded uids and versions.
        self._ours_for: dict[str, str] = {}

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str | None = None,
        accept: str | None = None,
        user: str = ADMIN,
    ) -> Answer:
        """Send one request of a case.

        Raises:
            OutOfScope: it would write what does not live in one of our namespaces.
        """
        bare = path.partition("?")[0]
        if not may_send(method, path, self._side.names):
            raise OutOfScope("writes an object of the whole cluster, which a live cluster is not asked to")
        answer = self.ask(method, path, body, media=media, accept=accept, user=user)
        if answer.status == 201 and "dryRun=All" not in path and isinstance(answer.obj, dict):
            name = (answer.obj.get("metadata") or {}).get("name")
            if name and answer.obj.get("kind") != "Status":
                self._made.append(f"{bare}/{name}" if method == "POST" else bare)
        return answer

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str | None = None,
        accept: str | None = None,
        user: str = ADMIN,
    ) -> Answer:
        """Send one request over HTTPS."""
        import urllib3

        headers = {"user-agent": AGENT, "accept": accept or "application/json"}
        if media:
            headers["content-type"] = media
        headers |= self._identity(user)
        data = raw(body)
        with contextlib.suppress(UnicodeDecodeError):
            data = self._theirs(data.decode()).encode()
        client: ApiClient = self._side.client
        try:
            answer = client.rest_client.pool_manager.request(
                method,
                self._side.host + self._theirs(path),
                headers=headers,
                body=data or None,
                timeout=30.0,
                redirect=False,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as problem:
            raise ClusterUnreachable(f"{self._side.host}: {problem}") from problem
        text = self._ours(answer.data.decode("utf-8", "replace"))
        kind = answer.headers.get("content-type", "")
        obj = json.loads(text) if kind.startswith("application/json") and text else None
        named = {k.lower(): ", ".join(answer.headers.getlist(k)) for k in answer.headers}
        return Answer(answer.status, text, obj, kind, named)

    def _identity(self, user: str) -> dict[str, str]:
        if user == ADMIN:
            client = self._side.client
            token = client.configuration.get_api_key_with_prefix("authorization")
            return {"authorization": token} if token else {}
        if user in (ANONYMOUS, STRANGER):
            raise OutOfScope("asks without credentials, and those of the kubeconfig belong to its connection")
        self._bind()
        names = {VIEWER: ("viewer", ""), NOBODY: ("nobody-user", "nogroup")}
        name, group = names[user]
        found = self._identity(ADMIN) | {"impersonate-user": name}
        return found | ({"impersonate-group": group} if group else {})

    def _bind(self) -> None:
        if not self._side.bound:
            self._side.bound = True
            self.ask("POST", _BINDINGS, viewer_binding(f"{self._side.prefix}viewer"), media="application/json")

    def _theirs(self, text: str) -> str:
        names = self._side.names
        if not names:
            return text
        longest_first = sorted(names, key=len, reverse=True)
        known = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?!\w)" for name in longest_first))
        text = known.sub(lambda found: names[found[0]], text)
        for theirs, ours in self._ours_for.items():
            text = text.replace(theirs, ours)
        return text

    def _ours(self, text: str) -> str:
        return text.replace(self._side.prefix, "")

    def namespace(self, *names: str) -> None:
        """Make namespaces of our own for the recorded ones, and wait until accounts are in them."""
        from stratus.kit.clock import SystemClock

        clock = SystemClock()
        for name in names:
            if name in STANDING or name in self._side.names:
                continue
            self._side.names[name] = f"{self._side.prefix}{name}"
            made = self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}}, media="application/json")
            if made.status != 201:
                raise ClusterUnreachable(f"no namespace could be made: {(made.obj or {}).get('message', made.status)}")
            deadline = clock.now() + PATIENCE
            while self.ask("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").status != 200:
                if clock.now() > deadline:
                    raise ClusterUnreachable(f"the namespace {self._side.names[name]} got no service account")
                clock.sleep(PAUSE)

    def place(self, obj: Json) -> None:
        """Create an object through the API; what only a server sets is lost."""
        group, _, version = obj["apiVersion"].rpartition("/")
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        meta = {k: v for k, v in obj["metadata"].items() if k not in _SERVERS}
        notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in _CONTROLLERS}
        meta = {k: v for k, v in meta.items() if k != "annotations"} | ({"annotations": notes} if notes else {})
        space = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
        plural = self._plural(prefix, obj["kind"])
        body = {k: v for k, v in obj.items() if k != "status"} | {"metadata": meta}
        path = f"{prefix}{space}/{plural}"
        made = self.send("POST", path, body, media="application/json")
        if made.status == 409:
            self.send("DELETE", f"{path}/{meta['name']}")
            made = self.send("POST", path, body, media="application/json")
        if made.status != 201:
            why = (made.obj or {}).get("message", "")
            raise OutOfScope(f"{obj['kind']} {meta['name']} as recorded cannot be made through the API: {why}"[:200])
        ours = made.obj["metadata"]
        for field, form in (("uid", "{}"), ("resourceVersion", '"resourceVersion": "{}"')):
            if obj["metadata"].get(field):
                self._ours_for[form.format(obj["metadata"][field])] = form.format(ours[field])

    def _plural(self, prefix: str, kind: str) -> str:
        listed = self.ask("GET", prefix).obj or {}
        for resource in listed.get("resources") or ():
            if resource["kind"] == kind and "/" not in resource["name"]:
                return str(resource["name"])
        raise OutOfScope(f"no {kind} is served under {prefix}")

    def reach(self, moment: float) -> None:
        """A live cluster's clock goes its own way."""

    def close(self) -> None:
        """Delete the objects that this case made."""
        freed = {"metadata": {"finalizers": None}}
        for path in reversed(self._made):
            self.ask("PATCH", path, freed, media="application/merge-patch+json")
            self.ask(
                "DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}, media="application/json"
            )
        self._made.clear()
