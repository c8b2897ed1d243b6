"""The manifests give the writer what the policy enables and nothing more; the reader cannot get into a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from stratus.cli.main import main
from stratus.cluster.kube import KubeCluster
from stratus.errors import Forbidden
from stratus.knowledge.runbooks import shipped_runbooks
from stratus.model.base import Json
from stratus.settings import PolicySettings, Settings
from stratus.sim.api import User
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.rbac import manifests, runs_commands

BOOKS = shipped_runbooks()


def made(**policy: Any) -> list[Json]:
    return manifests(Settings(policy=PolicySettings(**policy)), BOOKS, ("hotel-reservation",), home="stratus")


def rules(objects: list[Json], name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for role in (o for o in objects if o["metadata"]["name"] == name and "rules" in o):
        for rule in role["rules"]:
            for resource in rule["resources"]:
                found.setdefault(resource, set()).update(rule["verbs"])
    return found


def test_commands_in_containers_only_as_long_as_a_runbook_needs_them() -> None:
    assert rules(made(), "stratus-writer")["pods/exec"] == {"create", "get"}
    assert "pods/exec" in rules(made(exec_runbooks=("mongodb-*",)), "stratus-writer")
    for none in ((), ("crash-loop",), ("nothing-*",)):
        assert "pods/exec" not in rules(made(exec_runbooks=none), "stratus-writer"), none
    assert not runs_commands(Settings(), ())


def test_the_writer_writes_the_kinds_of_the_policy() -> None:
    few = rules(made(kinds=("Deployment", "Pod")), "stratus-writer")
    assert set(few) == {"deployments", "deployments/scale", "pods", "pods/eviction", "pods/exec", "leases"}
    assert "delete" not in few["leases"]
    assert "nodes" not in rules(made(), "stratus-writer")
    assert rules(made(), "stratus-writer-nodes") == {"nodes": {"get", "patch", "update"}}


def test_the_reader_changes_nothing_and_enters_nothing() -> None:
    reader = rules(made(), "stratus-reader")
    assert set().union(*reader.values()) == {"get", "list", "watch"}
    assert not [r for r in reader if "*" in r or (r.startswith("pods/") and r != "pods/log")]


def test_the_writer_is_bound_in_the_named_namespaces_only() -> None:
    bound = [o for o in made() if o["kind"] == "RoleBinding"]
    assert [o["metadata"]["namespace"] for o in bound] == ["hotel-reservation"]
    assert bound[0]["subjects"] == [{"kind": "ServiceAccount", "name": "stratus-writer", "namespace": "stratus"}]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app="hotel-reservation", seed=0, warmup=5.0) as found:
        yield found


def entered(cluster: EmbeddedCluster, account: str, **policy: Any) -> str:
    """Apply the manifests on a fork and run a command as an account."""
    with cluster.fork() as fork:
        client = fork.api_client()
        from kubernetes import utils

        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stratus"}}
        for obj in (space, *made(**policy)):
            utils.create_from_dict(client, obj)
        groups = ("system:serviceaccounts", "system:serviceaccounts:stratus", "system:authenticated")
        user = User(f"system:serviceaccount:stratus:{account}", groups)
        admin, kube = KubeCluster(client), KubeCluster(fork.api_client(user=user))
        pods = admin.reader.list("pods", "hotel-reservation", label_selector="io.kompose.service=mongodb-rate")
        where = ("hotel-reservation", pods[0]["metadata"]["name"], "hotel-reserv-rate-mongo")
        assert kube.reader.list("pods", "hotel-reservation")
        return kube.executor.run(*where, ("echo", "inside")).stdout


def test_an_api_server_agrees(cluster: EmbeddedCluster) -> None:
    assert entered(cluster, "stratus-writer") == "inside\n"
    with pytest.raises(Forbidden):
        entered(cluster, "stratus-writer", exec_runbooks=())
    with pytest.raises(Forbidden):
        entered(cluster, "stratus-reader")


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rbac", "-n", "shop", "-n", "bank"]) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [o["metadata"].get("namespace") for o in objects if o["kind"] == "Role"] == ["shop", "bank"]
