"""An embedded world served to a real kubectl, with a kubeconfig for each user of the recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from stratus.conformance.kubectl import Kubectl, Ran
from stratus.conformance.suites.base import Json
from stratus.conformance.world import ADMIN, NOBODY, VIEWER, EmbeddedWorld, users

#: Bearer tokens of the recordings' users on a served world.
TOKENS = {ADMIN: "conformance-admin", VIEWER: "conformance-viewer", NOBODY: "conformance-nobody"}


class Desk:
    """Somebody with a kubectl in front of a served world.

    Attributes:
        server: address of the API.
    """

    def __init__(self, kubectl: Kubectl, server: str, config: Json) -> None:
        self._kubectl = kubectl
        self.server = server
        self._config = config

    def run(self, record: Json) -> Ran:
        """Run the recorded command line as the recorded user."""
        config = json.loads(json.dumps(self._config))
        config["users"][0]["user"] = {"token": TOKENS[record.get("user") or ADMIN]}
        return self._kubectl.run(
            record["argv"],
            json.dumps(config),
            stdin=record.get("stdin"),
            files=record.get("files"),
            env=record.get("env"),
            seconds=float(record.get("seconds") or 0.0),
            endless=record.get("exit_code") is None,
        )


@contextmanager
def served(world: EmbeddedWorld, kubectl: Kubectl, *, port: int = 0) -> Iterator[tuple[Desk, int]]:
    """Serve a world; gives the desk and the port (serving on the same port again keeps kubectl's caches useful)."""
    for name, token in TOKENS.items():
        found = users()[name]
        assert found is not None
        world.api.tokens[token] = found
    with world.cluster.serve(port=port, follow_wall_clock=world.running) as front:
        config = json.loads(front.kubeconfig(token=True))
        config["clusters"][0]["name"] = "lab"
        config["users"][0]["name"] = "admin"
        config["contexts"] = [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}]
        config["current-context"] = "lab"
        yield Desk(kubectl, front.url, config), front.port
