"""Application files: what is accepted, and how plainly the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.errors import UnknownNameError, UsageError
from stratus.sim.apps.loader import load_application, shipped

SMALL = """
name: shop
namespace: shop
manifests: [shop.manifests.yaml]
load: {host: web, port: 80, rate: 5, mix: [{operation: home, share: 1}]}
programs:
  web:
    image: "docker.io/acme/web"
    ports: [80]
    protocol: http
    targets: {store: {address: {env: STORE, default: "store:6379"}, protocol: redis}}
    operations:
      home: {cpu_ms: 2, calls: [{to: store, operation: get}]}
"""
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def write(folder: Path, text: str, objects: str = OBJECT) -> Path:
    (folder / "shop.manifests.yaml").write_text(objects)
    path = folder / "shop.yaml"
    path.write_text(text)
    return path


def test_every_shipped_application_loads_and_names_the_hotel() -> None:
    assert "hotel-reservation" in shipped()
    for name in shipped():
        assert load_application(name).objects


def test_hotel_reservation_has_every_service_of_the_benchmark_with_its_port() -> None:
    loaded = load_application("hotel-reservation")
    services = {o["metadata"]["name"]: o for o in loaded.objects if o["kind"] == "Service"}
    wanted = {"frontend": 5000, "search": 8082, "geo": 8083, "profile": 8081, "rate": 8084, "recommendation": 8085,
              "reservation": 8087, "user": 8086, "consul": 8300, "jaeger": 6831}  # fmt: skip
    wanted |= {f"mongodb-{n}": 27017 for n in ("geo", "profile", "rate", "recommendation", "reservation", "user")}
    wanted |= {f"memcached-{n}": 11211 for n in ("profile", "rate", "reserve")}
    assert {n: o["spec"]["ports"][0]["port"] for n, o in services.items()} == wanted
    deployments = {o["metadata"]["name"] for o in loaded.objects if o["kind"] == "Deployment"}
    assert deployments == set(wanted)


def test_a_file_of_ones_own_loads_with_its_objects(tmp_path: Path) -> None:
    loaded = load_application(write(tmp_path, SMALL))
    assert loaded.app.programs["web"].ports == (80,)
    assert loaded.objects[0]["metadata"]["name"] == "settings"


def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    first = load_application(write(tmp_path, SMALL)).digest
    assert load_application(write(tmp_path, SMALL)).digest == first
    assert load_application(write(tmp_path, SMALL, OBJECT.replace("settings", "other"))).digest != first
    assert load_application(write(tmp_path, SMALL + "description: x\n")).digest != first


def test_an_unknown_name_lists_what_is_shipped() -> None:
    with pytest.raises(UnknownNameError, match="hotel-reservation"):
        load_application("hotel-reservations")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("ports: [80]", "port: 80"), "shop.yaml, line 9: programs.web.port: unknown field; did you mean 'ports'?"),
        (
            ("ports: [80]", "zzz: 80"),
            "programs.web.zzz: unknown field; fields here are: client, cold, cold_seconds, command",
        ),
        (("{cpu_ms: 2,", "{cpu_mss: 2,"), "line 13: programs.web.operations.home.cpu_mss: unknown field; did you mean"),
        (
            ("to: store", "to: store, tpic: x"),
            "programs.web.operations.home.calls.0.tpic: unknown field; did you mean 'topic'",
        ),
        (("    protocol: http\n", "    flags: flagd\n"), "flags: no target 'flagd'; targets are: store"),
        (("    protocol: http\n", "    effects: [{error_rate: 1}]\n"), "either a `flag` or a `setting`"),
        (("    protocol: http\n", "    effects: [{flag: x, calls: {y: 2}}]\n"), "say in `flags` which of the targets"),
        (("    protocol: http\n", "    consumes: [{broker: b, topic: t, group: g, operation: o}]\n"), "no target 'b'"),
        (("operation: get}", "operation: get, together: true}"), "there is none before it"),
        (("rate: 5", "rate: 5, program: bots"), "load.program: no program 'bots'"),
        (("cpu_ms: 2", "cpu_ms: fast"), "programs.web.operations.home.cpu_ms"),
        (("to: store", "to: stock"), "no target 'stock'; targets are: store"),
        (("rate: 5", "rate: 0"), "load.rate"),
        (("share: 1", "share: -1"), "load.mix.0.share"),
        (('env: STORE, default: "store:6379"', "key: a"), "`file` and `key` belong together"),
        (("namespace: shop", ""), "namespace: Field required"),
        (("operation: get}", "operation: get, missed: store}"), "no earlier call of this operation goes to 'store'"),
    ],
)
def test_a_mistake_is_named_with_its_path(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in SMALL
    path = write(tmp_path, SMALL.replace(*change))
    with pytest.raises(UsageError) as caught:
        load_application(path)
    assert said in str(caught.value)
    assert "shop.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ("kind: ConfigMap\nmetadata: {name: x}\n", "object 1: a Kubernetes object has apiVersion, kind"),
        ("apiVersion: v1\nkind: ConfigMap\n", "ConfigMap has no metadata.name"),
        ("a: [\n", "line 2: this is not YAML"),
        ("- 1\n", "object 1"),
    ],
)
def test_a_bad_object_is_named(tmp_path: Path, objects: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_application(write(tmp_path, SMALL, objects))
    assert said in str(caught.value)


def test_missing_and_unreadable_files_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_application(tmp_path / "nothing.yaml")
    path = write(tmp_path, SMALL)
    (tmp_path / "shop.manifests.yaml").unlink()
    with pytest.raises(UsageError, match=r"manifests shop\.manifests\.yaml cannot be read"):
        load_application(path)
    path.write_text("- just\n- a list\n")
    with pytest.raises(UsageError, match="one YAML mapping"):
        load_application(path)


@pytest.mark.parametrize(
    ("name", "port", "said"),
    [
        ("web", 80, ""),
        ("wbe", 80, "line 5: load.host: no Service 'web'; Services are: wbe"),
        ("web", 8080, "line 5: load.port: Service 'web' has the ports: 8080"),
    ],
)
def test_a_load_must_knock_at_a_service_of_the_application(tmp_path: Path, name: str, port: int, said: str) -> None:
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    path = write(tmp_path, SMALL, service)
    if not said:
        assert load_application(path).app.load is not None
        return
    with pytest.raises(UsageError) as caught:
        load_application(path)
    assert said in str(caught.value)
