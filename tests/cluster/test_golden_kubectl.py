"""Compiled commands against what the real kubectl v1.37 sent to a real Kubernetes v1.36.

Every recorded command that changes something is compiled against the objects as they were, and the compiled writes are
compared with the recorded requests: method, path and the meaning of the body.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from golden_world import RecordedReader, Timeline, recorded_catalogue, recorded_sessions

from stratus.cluster.kubectl import compile_command
from stratus.errors import CommandRefused, Forbidden
from stratus.model.actions import ApiWrite

Json = dict[str, Any]

OUT_OF_SCOPE = frozenset(
    {
        "file_not_allowed", "forbidden_flag", "interactive", "unsupported_verb", "unknown_verb", "unknown_flag",
        "dry_run", "contradictory_flags",
    }
)  # fmt: skip
"""Refusals by design: the command asks for something that is not offered, whatever the objects."""

STRICTER = {
    38: "fails for one of its objects: refused as a whole, where kubectl changes the others",
    50: "fails for one of its objects: refused as a whole, where kubectl changes the others",
    289: "validation cannot be weakened",
    290: "validation cannot be weakened",
    345: "changing an object over from client-side to server-side apply takes several steps",
    445: "two of the four objects do not exist: refused as a whole",
}

NOT_KNOWN = {
    213: "the body is binary, and the answer holds the defaults of the server",
    155: "pods that came and went between two recorded commands",
    180: "drain: pods of all namespaces at that moment",
    181: "drain: pods of all namespaces at that moment, and without a controller (never evicted here)",
    183: "drain: pods of all namespaces at that moment",
    324: "the Deployment was made anew between two recorded commands",
    328: "the Deployment was made anew between two recorded commands",
    394: "a third revision came between two recorded commands",
    430: "pods that came and went between two recorded commands",
    451: "a ConfigMap that never changes",
    458: "everything in a namespace at that moment",
    468: "pods that came and went between two recorded commands",
}
"""The recordings hold what changes, so the objects of these moments cannot be pieced together."""


@dataclass
class Result:
    id: int
    argv: str
    kind: str
    """same, same-refusal, same-nothing, stricter, out-of-scope, not-known, DIFFERENT."""
    detail: str = ""


def expected_writes(session: Json) -> list[Json]:
    """Return the requests that could change something; not those that say nothing or ask for what is gone."""
    missing_ok = "--ignore-not-found" in session["argv"]
    return [
        r
        for r in session["requests"]
        if r["method"] != "GET"
        and "selfsubject" not in r["path"]
        and "/attach" not in r["path"]
        and not (r["method"] == "PATCH" and r.get("body") == {} and "patch" not in session["argv"])
        and not (r["method"] == "DELETE" and r["status"] == 404 and missing_ok)
    ]


def _without_empty(value: Any) -> Any:
    """Drop what the typed encoder of kubectl adds and the server ignores: empty objects, nulls, status."""
    if isinstance(value, dict):
        cleaned = {k: _without_empty(v) for k, v in value.items() if k != "status"}
        return {k: v for k, v in cleaned.items() if v is not None and v != {}}
    if isinstance(value, list):
        return [_without_empty(v) for v in value]
    return value


def _meaning(method: str, content_type: str, body: Any) -> Any:
    body = json.loads(json.dumps(body))
    if isinstance(body, list | str):
        return body
    meta = (body or {}).get("metadata")
    if isinstance(meta, dict):
        meta.pop("namespace", None)
        meta.pop("resourceVersion", None)
        annotations = meta.get("annotations")
        for key, text in (annotations or {}).items():
            if key.endswith("last-applied-configuration") and text:
                annotations[key] = json.loads(text)
    template = ((body or {}).get("spec") or {}).get("template") or {}
    stamps = (template.get("metadata") or {}).get("annotations") or {}
    if "kubectl.kubernetes.io/restartedAt" in stamps and method == "PATCH" and "$patch" not in template:
        stamps["kubectl.kubernetes.io/restartedAt"] = "the moment of the command"
    if method in ("POST", "PUT"):
        return _without_empty(body)
    if method == "DELETE":
        return {k: v for k, v in (body or {}).items() if k not in ("kind", "apiVersion", "dryRun")}
    return body


def wanted_of(request: Json) -> tuple[str, str, Any]:
    body = request.get("body", request.get("body_decoded", request.get("body_raw")))
    if body is None and request.get("body_protobuf_base64"):
        body = request.get("response")
        if body and body.get("kind") == "HorizontalPodAutoscaler":  # what the server made of the binary body
            body = {k: body[k] for k in ("apiVersion", "kind", "spec")} | {
                "metadata": {"name": body["metadata"]["name"]}
            }
    kind = (request.get("content_type") or "").partition(";")[0] if request["method"] == "PATCH" else ""
    version = ((body or {}).get("metadata") or {}).get("resourceVersion") if isinstance(body, dict) else None
    meaning = _meaning(request["method"], kind, body)
    if request["method"] == "PATCH" and version:
        meaning = {"version": version, **meaning}
    return request["method"], urlsplit(request["path"]).path, (kind, meaning)


def compiled_of(write: ApiWrite) -> tuple[str, str, Any]:
    kind = (write.patch_type or "") if write.method == "PATCH" else ""
    meaning = _meaning(write.method, kind, write.body)
    if write.method == "PATCH" and write.expect_version and isinstance(meaning, dict):
        meaning = {"version": write.expect_version, **meaning}
        if not meaning.get("metadata", True):
            del meaning["metadata"]
    return write.method, write.path, (kind, meaning)


def _drop_empty_metadata(item: tuple[str, str, Any]) -> tuple[str, str, Any]:
    method, path, (kind, meaning) = item
    if isinstance(meaning, dict) and meaning.get("metadata") == {}:
        meaning = {k: v for k, v in meaning.items() if k != "metadata"}
    return method, path, (kind, meaning)


def adapted(session: Json) -> tuple[list[str], str]:
    """Return the command with a server dry run made real and its one file given as standard input."""
    argv = [w for w in session["argv"] if w != "--dry-run=server"]
    manifest = session["stdin"] or ""
    files = session.get("files") or {}
    for at, word in enumerate(argv):
        if word == "-f" and argv.count("-f") == 1 and argv[at + 1] in files:
            manifest, argv[at + 1] = files[argv[at + 1]], "-"
    return argv, manifest


def evaluate(golden: Path) -> list[Result]:
    sessions = recorded_sessions(golden)
    timeline = Timeline(sessions)
    catalogue = recorded_catalogue(golden)
    results = []
    for at, session in enumerate(sessions):
        unreadable = any(r["method"] == "GET" and r["status"] == 403 for r in session["requests"])
        reader = RecordedReader(catalogue, timeline.at(at), unreadable=unreadable)
        argv, manifest = adapted(session)
        wanted = [_drop_empty_metadata(wanted_of(r)) for r in expected_writes(session)]
        failed = session["exit_code"] != 0
        refused_by_server = any(r["status"] >= 400 for r in expected_writes(session))
        kind, detail = "DIFFERENT", ""
        try:
            command = compile_command(argv, namespace="default", reader=reader, manifest=manifest)
            got = [_drop_empty_metadata(compiled_of(w)) for w in command.writes]
            if command.reads:
                kind = "same-nothing" if not wanted else "DIFFERENT"
            elif got == wanted and got:
                kind = "same"
            elif got == wanted and not failed:
                kind = "same-nothing"
            elif got == wanted:
                detail = f"kubectl failed ({session['stderr'][:160]!r}), ours finds nothing to do"
            else:
                detail = f"\n  want {json.dumps(wanted)}\n  got  {json.dumps(got)}"
        except CommandRefused as refused:
            detail = f"{refused.code}: {refused} | kubectl: {session['stderr'][:160]!r}"
            if refused.code in OUT_OF_SCOPE:
                kind = "out-of-scope"
            elif session["id"] in STRICTER:
                kind = "stricter"
            elif failed and (refused_by_server or not wanted):
                kind = "same-refusal"
        except Forbidden:
            kind = "same-refusal" if failed and not wanted else "DIFFERENT"
        if "--dry-run=client" in argv:
            kind = "out-of-scope"
        if session["id"] in NOT_KNOWN:
            kind = "not-known"
        results.append(Result(session["id"], " ".join(session["argv"]), kind, detail))
    return results


@pytest.fixture(scope="module")
def results(golden: Path) -> list[Result]:
    return evaluate(golden)


def test_every_command_in_scope_compiles_to_what_kubectl_sends(results: list[Result]) -> None:
    different = [r for r in results if r.kind == "DIFFERENT"]
    assert not different, "\n".join(f"{r.id}: {r.argv}{r.detail}" for r in different)


def test_the_scope_is_wide(results: list[Result]) -> None:
    counts = Counter(r.kind for r in results)
    assert counts["same"] >= 150
    assert counts["out-of-scope"] <= 110


def test_nothing_is_called_stricter_or_unknown_that_is_not_listed(results: list[Result]) -> None:
    assert {r.id for r in results if r.kind == "stricter"} == set(STRICTER)
    assert {r.id for r in results if r.kind == "not-known"} == set(NOT_KNOWN)


def test_every_refusal_carries_a_hint_or_needs_none(results: list[Result]) -> None:
    assert all(": " in r.detail for r in results if r.kind in ("same-refusal", "stricter") and r.id != 32)
