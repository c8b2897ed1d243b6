"""Which images exist, what a pull answers, and what a user can add."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.errors import UsageError
from stratus.sim.registry import ImageRegistry, InvalidReference, parse_reference


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("quay.io/org/team/app", "quay.io/org/team/app:latest"),
        ("nginx@sha256:" + "a" * 64, "docker.io/library/nginx@sha256:" + "a" * 64),
    ],
)
def test_references(image: str, full: str) -> None:
    assert parse_reference(image).full == full


@pytest.mark.parametrize(
    "image", ["Registry.local/UPPER::x", "UPPER", "a b", "nginx:", ":tag", "nginx@sha256:12", "-x"]
)
def test_bad_references(image: str) -> None:
    with pytest.raises(InvalidReference):
        parse_reference(image)


@pytest.mark.parametrize(
    "image",
    [
        "nginx:1.25", "busybox:1.36", "registry.k8s.io/e2e-test-images/agnhost:2.53",
        "quay.io/prometheus/prometheus:v3",
        "ghcr.io/acme/shop:2024.11.1", "nginx:latest", "nginx", "python:3.12-slim",
        "gcr.io/google-samples/hello-app:1.0",
        "public.ecr.aws/docker/library/redis:7", "us-docker.pkg.dev/project/repo/image:sha-0a1b2c", "redis:7.4-alpine",
        "acme/badge-service:1.0", "postgres:16.9", "node:22", "registry.local/demo/app:v2",
    ],
)  # fmt: skip
def test_ordinary_images_exist(image: str) -> None:
    assert ImageRegistry().exists(image)


@pytest.mark.parametrize(
    "image",
    [
        "nginx:does-not-exist", "nginx:doesnotexist", "nginx:nonexistent", "nginx:missing-tag", "nginx:invalid",
        "nginx:nope", "nginx:bad", "nginx:bad-tag", "nginx:1.25-broken", "nginx:typo", "nginx:wrong", "nginx:v999",
        "nginx:999", "nginx:99.99.99", "nginx:1.0.9999", "nginx:v9.99.999", "acme/does-not-exist:1.0",
        "registry.invalid/app:1", "registry.local/shop/app:1", "my-registry.corp/app:1", "nowhere.example.com/a:1",
        "registry.local/demo/none:v9",
    ],
)  # fmt: skip
def test_absent_images(image: str) -> None:
    assert not ImageRegistry().exists(image)


def test_error_texts() -> None:
    registry = ImageRegistry()
    whole = "docker.io/library/nginx:nope"
    lead = f'failed to pull and unpack image "{whole}": failed to resolve reference "{whole}": '
    assert registry.pull("nginx:nope").error == f"rpc error: code = NotFound desc = {lead}{whole}: not found"
    assert "no such host" in registry.pull("registry.invalid/app:1").error
    assert "dial tcp: lookup registry.invalid" in registry.pull("registry.invalid/app:1").error
    assert "pull access denied, repository does not exist" in registry.pull("acme/does-not-exist:1").error


def test_credentials() -> None:
    registry = ImageRegistry()
    assert "401 Unauthorized" in registry.pull("secure.local/team/app:1").error
    assert not registry.pull("secure.local/team/app:1", credentials=["secure.local"]).error


def test_a_pull_costs_the_same_every_time() -> None:
    one, two = ImageRegistry().pull("nginx:1.25"), ImageRegistry().pull("nginx:1.25")
    assert one == two
    assert one.size > 0
    assert one.seconds > 0


def test_rules_of_ones_own(tmp_path: Path) -> None:
    rules = tmp_path / "images.yaml"
    rules.write_text(
        "hosts: {known: ['*.corp']}\n"
        "tags: {missing: ['.*-rc.*']}\n"
        "rules:\n- {match: 'my.corp/secret/*', exists: false, error: 'closed today'}\n"
        "images:\n- {match: 'my.corp/*', ports: [7000], command: [/run]}\n"
    )
    registry = ImageRegistry.load(rules)
    assert registry.exists("my.corp/app:1")
    assert not registry.exists("my.corp/app:1-rc1")
    assert registry.pull("my.corp/secret/app:1").error == "closed today"
    assert registry.behaviour("my.corp/app:1").ports == (7000,)
    registry.add_rule("my.corp/secret/*", True)
    assert registry.exists("my.corp/secret/app:1")
    registry.add_rule("*:1.2.3", False)
    assert not registry.exists("nginx:1.2.3")


@pytest.mark.parametrize(
    "text", ["- a", "surprise: 1", "rules: [{match: x}]", "images: [{match: x, colour: red}]", "tags: {missing: ['(']}"]
)
def test_bad_rule_files(tmp_path: Path, text: str) -> None:
    rules = tmp_path / "images.yaml"
    rules.write_text(text)
    with pytest.raises(UsageError):
        ImageRegistry.load(rules)
    with pytest.raises(UsageError):
        ImageRegistry.load(tmp_path / "absent.yaml")


def test_base_images() -> None:
    registry = ImageRegistry()
    assert registry.behaviour("nginx:1").ports == (80,)
    assert registry.behaviour("redis").ports == (6379,)
    assert registry.behaviour("mongo:7").ports == (27017,)
    assert registry.behaviour("memcached").ports == (11211,)
    assert registry.behaviour("postgres:16").ports == (5432,)
    assert registry.behaviour("busybox").runs == "exits"
    assert registry.behaviour("registry.k8s.io/pause:3.9").runs == "forever"
    assert not registry.is_described("ghcr.io/acme/shop:1")
