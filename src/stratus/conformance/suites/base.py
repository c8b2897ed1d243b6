"""What a suite is: one file of recordings, and how its cases are replayed and compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.world import Side

Json = dict[str, Any]
Chosen = Callable[[str], bool]
#: (core version, group, version, namespace, plural, name) of a path.
RESOURCE = re.compile(r"(?:/api/(v1)|/apis/([^/]+)/([^/]+))(?:/namespaces/([^/]+))?/([^/?]+)(?:/([^/?]+))?")


class Suite(Protocol):
    """Replays one file.

    Attributes:
        name: the file or folder, as the recordings name it.
        about: what is compared, in a sentence.
        least: share of passed cases asked for, or None.
        measures: what is measured apart, and the share asked for.
        live: it can be replayed on a live cluster.
        slow: it starts programs or lets long times pass.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    least: ClassVar[float | None]
    measures: ClassVar[Mapping[str, float | None]]
    live: ClassVar[bool]
    slow: ClassVar[bool]

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Replay the cases whose id is chosen, in order."""
        ...


class OutOfScope(Exception):
    """A case that this right-hand side cannot be given; the text argues why."""


def attempt(case: str, kind: str, run: Callable[[], Outcome], measures: Iterable[str] = ()) -> Outcome:
    """Run one case; what it raises makes it fail, in all it would have been measured by, and the others go on."""
    try:
        return run()
    except OutOfScope as why:
        return Outcome(case=case, kind=kind, passed=False, reason=str(why), out_of_scope=True)
    except Exception as problem:
        reason = f"{type(problem).__name__}: {problem}"[:300]
        return Outcome(case=case, kind=kind, passed=False, reason=reason, measures=dict.fromkeys(measures, False))


def namespace_of(path: str) -> str:
    """Return the namespace in a request's path, empty without one."""
    found = re.search(r"/namespaces/([^/?]+)(?:/|\?|$)", path)
    return found[1] if found else ""
