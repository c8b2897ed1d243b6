"""A user's own rules about images: which exist, what they cost, what pulling them answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stratus.errors import UsageError
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.registry import ImageRegistry

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "embedded-cluster.md"
RULES = """
hosts: {known: [registry.acme.io], restricted: [registry.acme.io], unknown: ["*.old.io"]}
tags: {missing: ["nightly-.*"]}
repositories: {missing: ["team/retired"]}
rules:
  - {match: "registry.acme.io/shop/*", exists: false}
  - {match: "registry.acme.io/shop/web:1.*", exists: true, size: 300Mi, seconds: 25}
  - {match: "registry.acme.io/shop/vault:*", exists: true, credentials: true}
  - {match: "registry.acme.io/shop/arm:*", exists: false, error: "no match for platform in manifest: not found"}
images:
  - match: "registry.acme.io/shop/web"
    command: [/web]
    ports: [8000]
    http: {paths: {/: 200}, default: 404}
    memory: 40
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "images.yaml"
    path.write_text(RULES)
    return path


def pod(image: str, name: str = "p") -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": image}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def waiting(cluster: EmbeddedCluster, name: str) -> tuple[str, str]:
    found = cluster.store.get("pods", "default", name)
    assert found is not None
    state = found["status"]["containerStatuses"][0]["state"]
    return next(iter(state)), (state.get("waiting") or {}).get("reason", "")


def test_every_rule_is_obeyed(rules: Path) -> None:
    registry = ImageRegistry.load(rules)
    assert registry.pull("registry.acme.io/shop/web:1.2").size == 300 * 1024 * 1024
    assert registry.pull("registry.acme.io/shop/web:1.2").seconds == 25
    for image, said in (
        ("registry.acme.io/shop/web:2.0", "registry.acme.io/shop/web:2.0: not found"),
        ("registry.acme.io/shop/vault:1", "401 Unauthorized"),
        ("registry.acme.io/shop/arm:1", "no match for platform in manifest: not found"),
        ("registry.acme.io/other:1", "401 Unauthorized"),
        ("hub.old.io/x:1", "no such host"),
        ("nowhere.acme.net/x:1", "no such host"),
        ("nginx:nightly-3", "not found"),
        ("team/retired:1", "pull access denied"),
    ):
        assert said in registry.pull(image).error, image
    assert registry.pull("registry.acme.io/shop/vault:1", credentials=["registry.acme.io"]).error == ""
    assert registry.pull("registry.acme.io/other:1", credentials=["registry.acme.io"]).error == ""
    assert registry.pull("nginx:1.27").error == ""


def test_pods_of_a_cluster_follow_them(rules: Path, tmp_path: Path) -> None:
    with EmbeddedCluster(app=None, images=rules, state_file=tmp_path / "state") as cluster:
        hands = cluster.faulting.hands
        for name, image in (
            ("good", "registry.acme.io/shop/web:1.0"),
            ("old", "registry.acme.io/shop/web:0.9"),
            ("gone", "nope/x:missing"),
        ):
            hands.send("POST", "/api/v1/namespaces/default/pods", pod(image, name))
        cluster.advance(20)
        assert waiting(cluster, "good") == ("waiting", "ContainerCreating")
        assert waiting(cluster, "old")[1] in ("ErrImagePull", "ImagePullBackOff")
        assert waiting(cluster, "gone")[1] in ("ErrImagePull", "ImagePullBackOff")
        cluster.advance(10)
        assert waiting(cluster, "good") == ("running", "")
    changed = tmp_path / "others.yaml"
    changed.write_text(RULES.replace("seconds: 25", "seconds: 5"))
    with pytest.raises(UsageError, match="made differently"):
        EmbeddedCluster(app=None, images=changed, state_file=tmp_path / "state")


def test_what_the_user_says_counts_more_than_what_the_application_says(tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    path.write_text("rules: [{match: 'docker.io/yinfangchen/geo:*', exists: false}]")
    with EmbeddedCluster(images=path, warmup=0) as cluster:
        assert not cluster.registry.exists("yinfangchen/geo:app3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{match: x, exists: perhaps}]", "a rule is {match: GLOB"),
        ("rules: [{match: x, exists: true, sise: 3}]", "unknown rule fields sise"),
        ("rules: [{match: x, exists: true, size: big}]", "the size of x"),
        ("rules: [{match: x, exists: true, seconds: -1}]", "the seconds of x"),
        ("tags: {missing: ['(']}", "tags.missing '('"),
        ("host: {}", "unknown sections host"),
        ("images: [{match: x, prots: [1]}]", "unknown image fields prots"),
        ("- x", "a mapping"),
        ("{", "cannot read the image rules"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        EmbeddedCluster(app=None, images=path)
    assert said in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_the_file_of_the_page_is_a_good_one(tmp_path: Path) -> None:
    found = [b for b in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S) if "exists:" in b]
    assert found
    for block in found:
        path = tmp_path / "page.yaml"
        path.write_text(block)
        ImageRegistry.load(path)
        assert "rules" in yaml.safe_load(block)


def test_a_removed_rule_lets_the_image_be_again() -> None:
    registry = ImageRegistry()
    registry.add_rule("docker.io/library/nginx:*", exists=False)
    registry.add_rule("docker.io/library/nginx:1.27", exists=False, error="away")
    assert registry.pull("nginx:1.27").error == "away"
    registry.remove_rule("docker.io/library/nginx:*")
    assert (registry.exists("nginx:1.26"), registry.exists("nginx:1.27")) == (True, False)
    registry.remove_rule("docker.io/library/nginx:1.27", error="away")
    registry.remove_rule("docker.io/library/nginx:1.27", error="away")
    assert registry.exists("nginx:1.27")
