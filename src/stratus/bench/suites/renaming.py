"""A copy of a suite under other names: same faults, other applications to look at."""

from __future__ import annotations

import hashlib
import random
import tempfile
from functools import lru_cache
from pathlib import Path

import yaml

from stratus.bench.suites.loading import app_of, engine_for, faults_of
from stratus.bench.suites.naming import Naming, label_keys_of
from stratus.bench.suites.schema import Scenario, Suite
from stratus.model.base import Json
from stratus.sim.apps.loader import Loaded, load_application, read_yaml
from stratus.sim.apps.schema import TRACED
from stratus.sim.faults.steps import SetFlag

_DEFAULTS = {"config_map": SetFlag.model_fields["config_map"].default, "key": SetFlag.model_fields["key"].default}
#: Names that belong to the cluster, or mean the same everywhere.
_KEPT = frozenset(("default", "standard"))
#: Owners of images of tools that anybody uses.
_PUBLIC = frozenset(
    ("library", "jaegertracing", "grafana", "prom", "envoyproxy", "otel", "opensearchproject", "hashicorp")
)


def renamed(suite: Suite, seed: int, folder: Path | None = None) -> Suite:
    """Return a copy of a suite in which applications and scenarios go by other names.

    Services, workloads, namespaces, labels, own images and ports get others, consistently in objects, behaviour,
    faults, truth and oracles; some workloads that no scenario is about get more replicas; neighbours that have nothing
    to do with anything move in. The files of the copy are written to a folder that is the same for the same suite and
    seed.

    Args:
        suite: as loaded.
        seed: decides all of it.
        folder: where the files go; None: a folder for temporary files.
    """
    text = hashlib.sha256(f"{seed} {suite.model_dump_json()}".encode()).hexdigest()[:16]
    place = folder if folder is not None else Path(tempfile.gettempdir()) / f"stratus-renamed-{text}"
    place.mkdir(parents=True, exist_ok=True)
    namings: dict[str, tuple[str, Naming, Loaded]] = {}
    faults: dict[str, Json] = {}
    scenarios = []
    for number, app in enumerate(sorted({app_of(s, suite.folder) for s in suite.scenarios})):
        loaded = load_application(app)
        rng = random.Random(f"{seed}/{Path(app).stem}")
        naming = naming_of(loaded, rng)
        touched = {n for s in suite.scenarios if app_of(s, suite.folder) == app for n in _touched(s, suite)}
        file = f"app-{number}.yaml"
        _write(place / file, _application(loaded, naming, touched, rng))
        namings[app] = (file, naming, loaded)
    for one in suite.scenarios:
        app = app_of(one, suite.folder)
        file, naming, loaded = namings[app]
        scenarios.append(_scenario(one, suite, naming, file, faults, place))
    _write(place / "faults.yaml", {"faults": [faults[k] for k in sorted(faults)]})
    return suite.model_copy(update={"folder": str(place), "scenarios": tuple(scenarios)})


@lru_cache(maxsize=16)
def _documents(app: str) -> Json:
    """Return the text of an application file as data."""
    from importlib import resources

    path = Path(app)
    if path.suffix in (".yaml", ".yml"):
        text = path.read_text(encoding="utf-8")
    else:
        text = resources.files("stratus.sim.apps").joinpath("data", f"{app}.yaml").read_text(encoding="utf-8")
    found: Json = read_yaml(text, app)[0]
    return found


def naming_of(loaded: Loaded, rng: random.Random) -> Naming:
    """Return other names for an application."""
    names = {loaded.app.name, loaded.app.namespace}
    for obj in loaded.objects:
        names.add(obj["metadata"]["name"])
        for container in _containers(obj):
            names.add(container["name"])
        names |= {str(v) for k, v in (obj["metadata"].get("labels") or {}).items() if not k.endswith("version")}
    keys = label_keys_of(loaded.objects)
    own = [p for p in loaded.app.programs.values() if p.datastore is None and p.protocol in TRACED]
    images = {c["image"] for o in loaded.objects for c in _containers(o)}
    images |= {b.image for b in loaded.app.builds}
    owners = _own_owners(loaded)
    repositories = {r for i in images if (r := _repository(i)).partition("/")[0] in owners}
    fixed = {p for program in loaded.app.programs.values() if program not in own for p in program.ports}
    ports = {p for program in own for p in program.ports} - fixed - {80, 443}
    tools = {
        (c.get("command") or [""])[0]
        for o in loaded.objects
        for c in _containers(o)
        if _repository(c["image"]) not in repositories
    }
    wanted = {n for n in names if n not in _KEPT and not n.isdigit()}
    return Naming(wanted, repositories, ports, keys, rng, binaries=tools)


def _containers(obj: Json) -> list[Json]:
    spec = obj.get("spec") or {}
    pod = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template", {}).get("spec") or {}
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


def _repository(image: str) -> str:
    place = image.partition("@")[0]
    parts = place.split("/")
    if "." in parts[0] or ":" in parts[0]:
        parts = parts[1:]
    if len(parts) != 2 or "*" in parts[-1].partition(":")[0]:
        return ""
    return f"{parts[0]}/{parts[1].partition(':')[0]}"


def _own_owners(loaded: Loaded) -> set[str]:
    """Return whose images are the application's own: those of the programs that serve its requests."""
    own = [p for p in loaded.app.programs.values() if p.datastore is None and p.protocol in TRACED]
    found = {p.image.partition("/")[2].partition("/")[0] for p in own}
    return {o for o in found if o and "*" not in o} - _PUBLIC


def _touched(scenario: Scenario, suite: Suite) -> set[str]:
    """Return names that a scenario is about."""
    engine = engine_for(app_of(scenario, suite.folder), faults_of(suite.folder))
    said = {o.rsplit("/", 1)[-1] for o in scenario.truth.objects} | set(scenario.truth.localization)
    for use in scenario.faults:
        text = yaml.safe_dump([s.model_dump(mode="json") for s in engine.specs[use.fault].resolve(use.arguments)])
        said |= set(text.replace("\n", " ").replace("'", " ").replace('"', " ").split())
    for check in (*scenario.original, *scenario.strict.must):
        said |= {str(v).rsplit("/", 1)[-1] for v in check.model_dump().values()}
    return said


def _application(loaded: Loaded, naming: Naming, touched: set[str], rng: random.Random) -> Json:
    raw = dict(_documents(_source(loaded)))
    raw.pop("manifests", None)
    raw.pop("objects", None)
    objects = []
    for obj in loaded.objects:
        one = naming.data(obj)
        one = {**one, "apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        spec, name = one.get("spec") or {}, obj["metadata"]["name"]
        if obj["kind"] == "Deployment" and name not in touched and not _has_volume(obj) and spec.get("replicas") == 1:
            one = {**one, "spec": {**spec, "replicas": rng.choice((1, 2, 3))}}
        objects.append(one)
    return {**naming.data(raw), "objects": [*objects, *_neighbours(naming, rng)]}


def _source(loaded: Loaded) -> str:
    folder = loaded.folder
    if isinstance(folder, Path):
        for file in sorted(folder.glob("*.yaml")):
            if _documents(str(file)).get("name") == loaded.app.name:
                return str(file)
    return loaded.app.name


def _has_volume(obj: Json) -> bool:
    volumes = ((obj["spec"].get("template") or {}).get("spec") or {}).get("volumes") or ()
    return any("persistentVolumeClaim" in v for v in volumes)


def _neighbours(naming: Naming, rng: random.Random) -> list[Json]:
    """Return what lives in another namespace, and has nothing to do with the application."""
    space = naming.word(rng)
    made: list[Json] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}]
    for _ in range(3):
        name = naming.word(rng)
        labels = {"app": name}
        pod = {"containers": [{"name": name, "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]}
        meta = {"name": name, "namespace": space, "labels": labels}
        spec: Json = {
            "replicas": rng.choice((1, 2)),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        made.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        ports = [{"port": 80, "targetPort": 80}]
        made.append(
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}}
        )
    return made


def _scenario(
    scenario: Scenario, suite: Suite, naming: Naming, file: str, faults: dict[str, Json], place: Path
) -> Scenario:
    engine = engine_for(app_of(scenario, suite.folder), faults_of(suite.folder))
    data = scenario.model_dump(mode="json")
    uses = []
    for use in scenario.faults:
        name = f"{file.removesuffix('.yaml')}-{use.fault}"
        if name not in faults:
            spec = engine.specs[use.fault].model_dump(mode="json", exclude_defaults=True)
            spec["steps"] = [{**_DEFAULTS, **s} if s.get("do") == "set-flag" else s for s in spec["steps"]]
            faults[name] = {**naming.data(spec), "id": name}
        own = use.model_dump(mode="json")
        uses.append({**own, "fault": name, "arguments": naming.data(own["arguments"])})
    data["faults"] = uses
    data["app"] = str(place / file)
    for part in ("truth", "original", "strict"):
        data[part] = naming.data(data[part])
    for key in ("fault", "level", "type"):
        data["truth"][key] = getattr(scenario.truth, key)
    return Scenario.model_validate(data)


def _write(file: Path, data: Json) -> None:
    text = yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, width=10**6)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        part = file.with_suffix(f".{random.SystemRandom().randrange(1 << 32):08x}")
        part.write_text(text, encoding="utf-8")
        part.replace(file)
