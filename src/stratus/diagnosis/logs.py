"""Log analysis: lines that differ only in their parameters become one template, errors and new ones first."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from stratus.kit.kube import controller, labels_of, name_of, namespace_of, selects
from stratus.kit.text import line as shown
from stratus.kit.text import redact
from stratus.model.evidence import LogTemplate, Observation

Level = Literal["error", "warning", "info"]

WILD = "<*>"
SIMILAR = 0.6
"""Share of equal tokens from which on two lines are of one template."""
LONGEST = 40
"""Tokens of a line that are looked at."""
MOST = 200
"""Templates returned at most."""

_MASKS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|%|[KMG]i?B?|B)?(?![\w.])"), "<n>"),
)
_ERROR = re.compile(
    r"(?i)\b(?:error|fatal|panic|exception|critical|crit|emerg|fail(?:ed|ure|s)?|traceback|refused|denied|unable to"
    r"|cannot|can't|could not|no such host|timed? ?out|deadline exceeded|unauthorized|not authorized|oom)\b"
    r"|^E\d{4} |\blevel=(?:error|fatal)|\"level\":\"(?:error|fatal)"
)
_WARNING = re.compile(r"(?i)\b(?:warn(?:ing)?|deprecated|retry(?:ing)?|slow|backoff)\b|^W\d{4} |\blevel=warn")
_CALM = re.compile(r"(?i)\b(?:0|no) (?:errors?|fail(?:ures|ed)?)\b|errors?[=:]\s*(?:0|null|none|nil)\b")


@dataclass
class _Group:
    """Lines of one template so far."""

    tokens: list[str]
    example: str
    first: float
    severity: Level
    count: int = 0
    services: set[str] = field(default_factory=set)


def mine(observation: Observation, onset: float) -> tuple[LogTemplate, ...]:
    """Return the templates of all collected lines: errors before warnings before the rest, new before old, many first.

    Args:
        onset: epoch seconds of the first sign of the incident; a template whose first line is not older counts as
            new. 0.0: unknown, then nothing does.

    Method: a small relative of Drain (He, Zhu, Zheng, Lyu 2017): lines are masked (numbers, times, addresses), split
    by number of tokens and first token, and joined with the most similar template of their leaf.
    """
    services = _pod_services(observation)
    leaves: dict[tuple[int, str], list[_Group]] = defaultdict(list)
    for entry in observation.logs:
        text = redact(entry.text).strip()
        if not text:
            continue
        tokens = masked(text).split()[:LONGEST]
        if not tokens:
            continue
        head = tokens[0] if not tokens[0].startswith("<") else "<>"
        leaf = leaves[(len(tokens), head)]
        group = _closest(leaf, tokens)
        if group is None:
            group = _Group(tokens, shown(text, 300), entry.at, level(text))
            leaf.append(group)
        else:
            group.tokens = [a if a == b else WILD for a, b in zip(group.tokens, tokens, strict=True)]
            group.first = min(group.first, entry.at)
        group.count += 1
        service = services.get((entry.namespace, entry.pod)) or entry.container
        if service:
            group.services.add(service)
    found = [
        LogTemplate(
            template=" ".join(g.tokens),
            count=g.count,
            services=tuple(sorted(g.services)),
            example=g.example,
            severity=g.severity,
            first_at=g.first,
            new=bool(onset and g.first >= onset),
        )
        for leaf in leaves.values()
        for g in leaf
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    found.sort(key=lambda t: (order[t.severity], not t.new, -t.count, t.first_at, t.template))
    return tuple(found[:MOST])


def masked(text: str) -> str:
    """Replace what differs from line to line: times, ids, addresses, numbers."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text


def level(text: str) -> Level:
    """Say how grave a line is, by its own words."""
    calmed = _CALM.sub("", text)
    if _ERROR.search(calmed):
        return "error"
    return "warning" if _WARNING.search(calmed) else "info"


def _closest(leaf: list[_Group], tokens: list[str]) -> _Group | None:
    best, score = None, SIMILAR
    for group in leaf:
        same = sum(a in (b, WILD) for a, b in zip(group.tokens, tokens, strict=True)) / len(tokens)
        if same >= score:
            best, score = group, same
    return best


def _pod_services(observation: Observation) -> dict[tuple[str, str], str]:
    found = {}
    for pod in observation.of("Pod"):
        namespace, name = namespace_of(pod), name_of(pod)
        service = next(
            (
                name_of(s)
                for s in observation.of("Service", namespace)
                if selects((s.get("spec") or {}).get("selector"), labels_of(pod))
            ),
            "",
        )
        owner = controller(pod)
        found[(namespace, name)] = service or (owner[1] if owner else name)
    return found
