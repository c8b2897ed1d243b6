"""Capsules: packed from a real run, redacted, sealed, thought over again, and made into scenarios that run."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stratus.bench.capsules import sealing
from stratus.bench.capsules.hiding import HIDDEN, Hider
from stratus.bench.capsules.nouns import Capsule
from stratus.bench.capsules.packing import hidden, pack
from stratus.bench.capsules.replaying import replay
from stratus.bench.capsules.scenarios import bare, merge_patch, repaired, to_scenario
from stratus.bench.capsules.sealing import BrokenSeal
from stratus.diagnosis.rules import RulesReasoner
from stratus.errors import UnknownNameError, UsageError
from stratus.model.reports import IncidentState
from stratus.settings import Settings

APP = Path(__file__).parents[3] / "docs" / "reference" / "my-app.yaml"
INCIDENT = "inc-a-night"


def ran(folder: Path, reasoner: Any = None) -> Settings:
    """Let an incident on a small application be repaired, on a cluster that nobody knows to be an embedded one."""
    from stratus.knowledge.memory import InMemoryKnowledge
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.wiring.respond import respond

    settings = Settings(mode="auto", state_dir=folder, rehearsal="off")
    with EmbeddedCluster(app=str(APP), seed=3) as cluster:
        cluster.inject("any-scaled-to-zero", workload="orders")
        cluster.advance(150.0)
        report = respond(cluster=cluster, settings=settings, incident=INCIDENT, reasoner=reasoner,
                         knowledge=InMemoryKnowledge.shipped())  # fmt: skip
    assert report.state is IncidentState.RESOLVED
    return settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def capsule(settings):
    return pack(INCIDENT, settings)


def test_what_is_in_it(capsule):
    assert (capsule.incident, capsule.reasoner, capsule.turns) == (INCIDENT, "rules", ())
    (first,) = capsule.rounds
    assert first.case.detection.anomalous
    assert first.case.ledger == ()
    assert first.diagnosis.chosen == "H1"
    assert first.plan is not None
    assert "--replicas=1" in first.plan.steps[0].command
    assert capsule.report is not None
    assert capsule.report.state is IncidentState.RESOLVED
    assert [row.kind for row in capsule.journal][:1] == ["begun"]
    assert capsule.journal[-1].kind == "committed"
    assert capsule.chain == len(capsule.journal)
    assert capsule.versions["langgraph"]


def test_unknown_incidents_and_folders(settings, tmp_path):
    with pytest.raises(UnknownNameError):
        pack("inc-none", settings)
    with pytest.raises(UnknownNameError):
        pack(INCIDENT, Settings(state_dir=tmp_path))


def test_today_comes_to_the_same(capsule):
    (one,) = replay(capsule)
    assert one.same
    assert one.then == one.now == "scaled_to_zero my-shop/Deployment/orders"


def test_a_reasoner_that_thinks_otherwise_is_told_apart(capsule):
    class Other(RulesReasoner):
        def plan(self, case, hypothesis):
            return None

    (one,) = replay(capsule, Other())
    assert not one.same
    assert one.plan_then != one.plan_now == ()


# ── files ──


def test_a_capsule_goes_through_a_file(capsule, tmp_path):
    path, key = tmp_path / "a.capsule", tmp_path / "k" / "capsule.key"
    seal = sealing.write(capsule, path, key)
    assert key.stat().st_mode & 0o077 == 0
    again, told = sealing.read(path, by=seal.key)
    assert again == capsule
    assert told == seal
    first = path.read_bytes()
    assert sealing.write(capsule, path, key) == seal
    assert path.read_bytes() == first


def tampered(path: Path, name: str, change: Any) -> None:
    with zipfile.ZipFile(path) as file:
        parts = {n: file.read(n) for n in file.namelist()}
    parts[name] = change(parts[name])
    with zipfile.ZipFile(path, "w") as file:
        for part, content in parts.items():
            file.writestr(part, content)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (sealing.CONTENT, lambda c: c.replace(b"scaled_to_zero", b"scaled_to_four", 1)),
        (sealing.CONTENT, lambda c: c + b" "),
        (sealing.SEAL, lambda s: s.replace(b'"signature": "', b'"signature": "00')),
        (sealing.SEAL, lambda s: b"{}"),
    ],
)
def test_a_changed_capsule_is_refused(capsule, tmp_path, part, change):
    path = tmp_path / "a.capsule"
    sealing.write(capsule, path, tmp_path / "key")
    tampered(path, part, change)
    with pytest.raises(BrokenSeal, match="changed after it was sealed"):
        sealing.read(path)


def test_a_hash_that_does_not_fit_is_refused(capsule, tmp_path):
    path = tmp_path / "a.capsule"
    seal = sealing.write(capsule, path, tmp_path / "key")
    tampered(path, sealing.SEAL, lambda s: s.replace(seal.sha256.encode(), b"0" * 64))
    with pytest.raises(BrokenSeal):
        sealing.read(path)


def test_signed_by_somebody_else(capsule, tmp_path):
    path = tmp_path / "a.capsule"
    sealing.write(capsule, path, tmp_path / "one")
    other = sealing.write(capsule, tmp_path / "b.capsule", tmp_path / "other")
    with pytest.raises(BrokenSeal, match="not by"):
        sealing.read(path, by=other.key)


def test_bad_files(capsule, tmp_path):
    with pytest.raises(UsageError, match="there is no capsule"):
        sealing.read(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UsageError, match="is no capsule"):
        sealing.read(tmp_path / "text")
    (tmp_path / "key").write_text("hello")
    with pytest.raises(UsageError, match="no private key"):
        sealing.write(capsule, tmp_path / "a", tmp_path / "key")
    assert not (tmp_path / "a").exists()


# ── hiding ──


@pytest.mark.parametrize(
    ("value", "safe", "count"),
    [
        ({"password": "x"}, {"password": HIDDEN}, 1),
        ({"DB_PASSWORD": ["a", ""]}, {"DB_PASSWORD": [HIDDEN, ""]}, 1),
        ({"env": [{"name": "API_TOKEN", "value": "t0ken"}]}, {"env": [{"name": "API_TOKEN", "value": HIDDEN}]}, 1),
        ({"env": [{"name": "MODE", "value": "fast"}]}, {"env": [{"name": "MODE", "value": "fast"}]}, 0),
        ({"secretName": "tls", "tokens_in": 3, "secretKeyRef": {"name": "db", "key": "user"}}, None, 0),
        ({"text": "connect postgres://u:hunter2@db/x"}, {"text": "connect postgres://[redacted]@db/x"}, 1),
        ({"kind": "Secret", "data": {"a": "eA==", "b": ""}, "stringData": {"c": "x"}},
         {"kind": "Secret", "data": {"a": "", "b": ""}}, 1),
        ({"n": 1, "f": 1.5, "yes": True, "none": None, "empty": ""}, None, 0),
    ],
)  # fmt: skip
def test_what_is_hidden(value, safe, count):
    hider = Hider()
    found = hider.hide(value)
    if value.get("text"):
        assert "hunter2" not in found["text"]
    else:
        assert found == (value if safe is None else safe)
    assert hider.count == count


def test_a_capsule_has_no_secrets_and_says_so(capsule):
    (first,) = capsule.rounds
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n"},
           "spec": {"containers": [{"name": "c", "env": [{"name": "PASSWORD", "value": "hunter2"}]}]}}  # fmt: skip
    look = first.case.observation.model_copy(update={"objects": {"Pod": (pod,)}})
    dirty = capsule.model_copy(
        update={"rounds": (first.model_copy(update={"case": first.case.model_copy(update={"observation": look})}),)}
    )
    safe = hidden(dirty)
    assert "hunter2" in dirty.model_dump_json()
    assert "hunter2" not in safe.model_dump_json()
    assert safe.hidden >= 1


def test_packing_hides(settings, capsule, monkeypatch):
    (first,) = capsule.rounds
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"env": [{"name": "PASSWORD", "value": "hunter2"}]}}
    look = first.case.observation.model_copy(update={"objects": {"Pod": (pod,)}})
    dirty = first.model_copy(update={"case": first.case.model_copy(update={"observation": look})})
    monkeypatch.setattr("stratus.bench.capsules.packing.rounds_of", lambda *_: [dirty])
    assert "hunter2" not in pack(INCIDENT, settings).model_dump_json()


def test_redaction_leaves_what_is_thought(capsule):
    assert replay(hidden(capsule))[0].same


# ── models ──


def test_turns_of_a_model_are_kept_and_replayed(tmp_path, capsule):
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    from stratus.bench.capsules.replaying import prompts
    from stratus.wiring.compose import think

    def model(best):
        answers = [json.dumps({"reason": "so it is", "best": best}), json.dumps({"choice": "A1"})]
        return GenericFakeChatModel(messages=iter(AIMessage(a) for a in answers * 9))

    (first,) = capsule.rounds
    alive = [h for h in first.diagnosis.hypotheses if h.status == "open"]
    other = alive[1]
    settings = Settings(state_dir=tmp_path)
    path = tmp_path / "turns.jsonl"
    said = think(settings, model(other.id)).diagnose(first.case)
    assert said.chosen == other.id
    lines = path.read_text().splitlines()
    assert len(lines) == 1
    silent = settings.model_copy(update={"model": settings.model.model_copy(update={"record": False})})
    think(silent, model(other.id)).diagnose(first.case)
    assert path.read_text().splitlines() == lines
    # Thought over by those turns alone, the same cause is chosen again; by rules it would be another one.
    (one,) = replay(capsule.model_copy(update={"turns": tuple(json.loads(text) for text in lines)}))
    assert one.now == f"{other.fault} {other.object}" != replay(capsule)[0].now
    path.write_text("\n".join([*lines, json.dumps({**json.loads(lines[0]), "prompt": "0" * 32})]) + "\n")
    assert prompts(path, settings, [first]) == {json.loads(lines[0])["prompt"]}


def test_turns_that_are_missing_are_told(capsule):
    turn = {"prompt": "0" * 32, "messages": [], "answer": "x", "tokens_in": 1, "tokens_out": 1}
    (one,) = replay(capsule.model_copy(update={"turns": (turn,)}))
    assert "no recorded turn" in one.error
    assert not one.same


# ── scenarios ──


def test_of_an_embedded_incident_it_is_the_fault(capsule, tmp_path):
    from stratus.bench.suites.loading import load_suite

    told = capsule.model_copy(update={"app": "hotel-reservation", "fault": "scaled-to-zero"})
    to_scenario(told, tmp_path / "s", suite="nights")
    suite = load_suite(tmp_path / "s")
    (scenario,) = suite.scenarios
    assert (scenario.app, [f.fault for f in scenario.faults]) == ("hotel-reservation", ["scaled-to-zero"])


def test_of_a_foreign_incident_it_is_what_the_repair_took_back(capsule, tmp_path):
    """The scenario is broken as the incident was, and whole again when the fault is healed."""
    from stratus.bench.arena import Arena
    from stratus.bench.suites.loading import load_suite

    ((key, (before, after)),) = repaired(capsule).items()
    assert key == ("Deployment", "my-shop", "orders")
    assert (before["spec"]["replicas"], after["spec"]["replicas"]) == (0, 1)
    to_scenario(capsule, tmp_path / "s")
    suite = load_suite(tmp_path / "s")
    (scenario,) = suite.scenarios
    with Arena.open(scenario, suite=suite) as arena:
        ready = {d["metadata"]["name"] for d in arena.cluster.store.list("deployments.apps")
                 if (d.get("status") or {}).get("readyReplicas")}  # fmt: skip
        assert {"web", "orders"} <= ready
        arena.inject()
        broken = arena.cluster.store.get("deployments.apps", "my-shop", "orders")
        assert broken["spec"]["replicas"] == 0
        arena.cluster.heal(scenario.faults[0].fault)
        arena.cluster.advance(60.0)
        assert arena.cluster.store.get("deployments.apps", "my-shop", "orders")["status"]["readyReplicas"] == 1


def test_several_incidents_share_a_folder(capsule, tmp_path):
    from stratus.bench.suites.loading import load_suite

    to_scenario(capsule, tmp_path / "s")
    to_scenario(capsule.model_copy(update={"incident": "inc-b"}), tmp_path / "s")
    to_scenario(capsule, tmp_path / "s")
    assert sorted(s.id for s in load_suite(tmp_path / "s").scenarios) == [INCIDENT, "inc-b"]


def test_without_a_verified_repair_there_is_none(capsule, tmp_path):
    kept = tuple(row for row in capsule.journal if row.kind != "committed")
    with pytest.raises(UsageError, match="no verified repair"):
        to_scenario(capsule.model_copy(update={"journal": kept}), tmp_path / "s")


@pytest.mark.parametrize(
    ("old", "new"),
    [({"a": 1}, {"a": 2}), ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), ({"a": [1]}, {"a": [1, 2], "b": {}}), ({}, {})],
)
def test_merge_patches_lead_there(old, new):
    def apply(doc, patch):
        if not isinstance(patch, dict):
            return patch
        doc = dict(doc) if isinstance(doc, dict) else {}
        for key, value in patch.items():
            if value is None:
                doc.pop(key, None)
            else:
                doc[key] = apply(doc.get(key), value)
        return doc

    assert apply(old, merge_patch(old, new)) == new
    assert merge_patch(old, old) == {}


def test_what_a_server_adds_is_left_out():
    obj = {"kind": "Service", "metadata": {"name": "s", "uid": "u", "resourceVersion": "1", "finalizers": ["x"],
           "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}},
           "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": []}, "status": {}}  # fmt: skip
    assert bare(obj) == {
        "kind": "Service",
        "metadata": {"name": "s", "annotations": {"mine": "1"}},
        "spec": {"ports": []},
    }
    headless = {**obj, "spec": {"clusterIP": "None"}}
    assert bare(headless)["spec"] == {"clusterIP": "None"}


# ── commands ──


def test_commands(settings, tmp_path, monkeypatch):
    from stratus.cli.main import app

    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    saved = run(app, ["capsule", "save", INCIDENT, "--state-dir", str(settings.state_dir), "--json"])
    told = json.loads(saved.stdout)
    assert (told["rounds"], told["file"]) == (1, f"{INCIDENT}.capsule")
    assert Capsule.model_validate(sealing.read(tmp_path / told["file"])[0]).incident == INCIDENT
    again = run(app, ["capsule", "replay", told["file"], "--by", told["key"], "--json"])
    assert json.loads(again.stdout)[0]["same"] is True
    made = run(app, ["capsule", "to-scenario", told["file"], "--into", "mine"])
    assert (made.exit_code, (tmp_path / "mine" / f"{INCIDENT}.yaml").is_file()) == (0, True)
