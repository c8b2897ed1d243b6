"""Replay of recordings of a real cluster: defaulting, validation, patches, printing, protobuf bodies.

What is compared, and what is left out because a recording cannot fix it, is up to `stratus.conformance`. Each test
states how many of the recorded cases must agree, so that a change that loses one shows.
"""

import base64
import os
from pathlib import Path

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import FileResult
from stratus.conformance.runner import replay
from stratus.sim.schema import protobuf, types
from stratus.sim.schema.decode import Decoder

GOLDEN = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).resolve().parents[4] / "shared/data/golden")
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings in {GOLDEN} (set STRATUS_GOLDEN)")


def replayed(name: str) -> FileResult:
    (found,) = replay(Golden(GOLDEN), only=[name]).files
    return found


def agree(result: FileResult, least: int) -> None:
    """Insist on a number of agreeing cases, naming those that do not."""
    differ = [f"{o.case}: {o.reason}" for o in result.counted if not o.passed]
    assert result.score.passed >= least, (result.score.passed, result.score.total, differ)
    assert not result.left_out


def test_defaulting() -> None:
    agree(replayed("defaulting"), 107)


def test_validation() -> None:
    result = replayed("validation")
    agree(result, 334)
    measured = result.measured()
    assert measured["status_and_reason"].passed == 336
    assert measured["causes"].passed >= 294


def test_patches() -> None:
    agree(replayed("patches"), 214)


def test_tables() -> None:
    agree(replayed("tables"), 98)


def test_protobuf_bodies_of_kubectl() -> None:
    results = {}
    for record in Golden(GOLDEN).records("kubectl.jsonl.gz"):
        for request in record["requests"]:
            body, decoded = request.get("body_protobuf_base64"), request.get("body_decoded")
            if not body or not decoded:
                continue
            version, kind, raw = protobuf.envelope(base64.b64decode(body))
            group, _, bare = version.rpartition("/")
            found = types.of_kind(group, bare, kind)
            assert found is not None, kind
            both = []
            for source in (protobuf.decode(found, raw), decoded):
                obj = Decoder().decode(found, source)
                for field in ("apiVersion", "kind", "status"):
                    obj.pop(field, None)
                obj["metadata"].pop("creationTimestamp", None)
                obj["metadata"].pop("namespace", None)
                both.append(obj)
            results[" ".join(record["argv"])] = both[0] == both[1]
    assert all(results.values()), [name for name, ok in results.items() if not ok]
    assert len(results) > 20
