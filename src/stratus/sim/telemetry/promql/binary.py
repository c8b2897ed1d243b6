"""Binary operations: arithmetic, comparison and set operations, with the pairing of labels."""

from __future__ import annotations

import numpy as np

from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.nodes import Matching
from stratus.sim.telemetry.promql.series import Bools, Floats
from stratus.sim.telemetry.promql.vectors import (
    LabelKey,
    Labels,
    Vector,
    empty,
    grouped,
    joined,
    stacked,
    without_name,
)

COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})
#: Operations after which a row still has its metric's name; the last is so in Prometheus 2, too.
NAMED = COMPARISONS | {"atan2"}


def arithmetic(op: str, left: Floats, right: Floats) -> Floats:
    """Return the result of an operator, by IEEE rules."""
    with np.errstate(all="ignore"):
        if op == "+":
            return left + right
        if op == "-":
            return left - right
        if op == "*":
            return left * right
        if op == "/":
            return np.divide(left, right)
        if op == "%":
            return np.fmod(left, right)
        if op == "^":
            return np.power(left, right)
        return np.arctan2(left, right)


def compared(op: str, left: Floats, right: Floats) -> Bools:
    """Return where a comparison holds."""
    table = {
        "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater, "<=": np.less_equal,
        ">=": np.greater_equal,
    }  # fmt: skip
    found: Bools = table[op](left, right)
    return found


def scalars(op: str, left: Floats, right: Floats) -> Floats:
    """Return the result for two scalars."""
    if op in COMPARISONS:
        return compared(op, left, right).astype(np.float64)
    return arithmetic(op, left, right)


def with_scalar(op: str, vector: Vector, scalar: Floats, *, swapped: bool, boolean: bool) -> Vector:
    """Return the result for a vector and a scalar (`swapped`: the scalar stands on the left)."""
    other = np.broadcast_to(scalar, vector.values.shape)
    left, right = (other, vector.values) if swapped else (vector.values, other)
    if op not in COMPARISONS:
        values = arithmetic(op, left, right)
        return Vector(vector.labels, values, vector.present) if op in NAMED else vector.mapped(values)
    holds = compared(op, left, right)
    if boolean:
        return vector.mapped(holds.astype(np.float64))
    return Vector(vector.labels, vector.values, vector.present & holds)


def signature(labels: Labels, matching: Matching) -> LabelKey:
    """Return what decides which rows belong together."""
    if matching.on:
        return tuple((name, labels[name]) for name in sorted(set(matching.labels)) if labels.get(name))
    return tuple(sorted((k, v) for k, v in labels.items() if k != "__name__" and k not in matching.labels))


def _sets(vector: Vector, matching: Matching) -> dict[LabelKey, list[int]]:
    return grouped(signature(labels, matching) for labels in vector.labels)


def set_operation(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    """Return and, or, unless."""
    moments = left.values.shape[1]
    there = {key: right.present[places].any(axis=0) for key, places in _sets(right, matching).items()}
    if op == "or":
        here = {key: left.present[places].any(axis=0) for key, places in _sets(left, matching).items()}
        none = np.zeros(moments, dtype=bool)
        masks = [
            mask & ~here.get(signature(labels, matching), none)
            for labels, mask in zip(right.labels, right.present, strict=True)
        ]
        kept = [n for n, mask in enumerate(masks) if mask.any()]
        if not kept:
            return left
        return joined(
            left.labels + [right.labels[n] for n in kept],
            np.concatenate([left.values, right.values[kept]]),
            np.concatenate([left.present, np.stack([masks[n] for n in kept])]),
        )
    none = np.zeros(moments, dtype=bool)
    present = [
        mask & (seen if op == "and" else ~seen)
        for labels, mask in zip(left.labels, left.present, strict=True)
        for seen in [there.get(signature(labels, matching), none)]
    ]
    return Vector(left.labels, left.values, np.stack(present)) if present else left


def vectors(op: str, left: Vector, right: Vector, matching: Matching, *, boolean: bool) -> Vector:
    """Return the result for two vectors.

    Raises:
        PromQLError: rows cannot be paired one to one, or many to one as the query says.
    """
    moments = left.values.shape[1]
    many, one = (right, left) if matching.side == "right" else (left, right)
    partners: dict[LabelKey, tuple[Labels, Floats, Bools, list[int]]] = {}
    # Where the many have nothing, nothing is paired, and nothing is wrong with the one side.
    asked = many.present.any(axis=0)
    for key, places in _sets(one, matching).items():
        mask = one.present[places] & asked
        if (mask.sum(axis=0) > 1).any():
            side = "left" if matching.side == "right" else "right"
            raise PromQLError(
                f"found duplicate series for the match group {_shown(key)} on the {side} hand-side of the operation: "
                f"[{_shown(tuple(sorted(one.labels[places[1]].items())))}, "
                f"{_shown(tuple(sorted(one.labels[places[0]].items())))}];many-to-many matching not allowed: matching "
                "labels must be unique on one side"
            )
        values = np.where(mask, one.values[places], 0.0).sum(axis=0)
        partners[key] = (one.labels[places[0]], values, np.asarray(mask.any(axis=0)), places)
    labels, rows, masks = [], [], []
    for place, own in enumerate(many.labels):
        found = partners.get(signature(own, matching))
        if found is None:
            continue
        for other, values, there in _split(one, found, matching):
            mine = many.values[place]
            lhs, rhs = (values, mine) if matching.side == "right" else (mine, values)
            mask = many.present[place] & there
            if op in COMPARISONS:
                holds = compared(op, lhs, rhs)
                if boolean:
                    row = holds.astype(np.float64)
                else:
                    row, mask = lhs, mask & holds
            else:
                row = arithmetic(op, lhs, rhs)
            if mask.any():
                labels.append(_result(own, other, op, matching, boolean))
                rows.append(row)
                masks.append(mask)
    if not labels:
        return empty(moments)
    made = stacked(labels, rows, masks, moments)
    try:
        return joined(made.labels, made.values, made.present)
    except PromQLError:
        if matching.side == "one":
            raise PromQLError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            ) from None
        raise PromQLError("multiple matches for labels: grouping labels must ensure unique matches") from None


def _split(
    one: Vector, found: tuple[Labels, Floats, Bools, list[int]], matching: Matching
) -> list[tuple[Labels, Floats, Bools]]:
    """Return a partner row by row when its labels are asked for, as they may differ over time."""
    other, values, there, places = found
    if not matching.include or len(places) == 1:
        return [(other, values, there)]
    return [(one.labels[n], one.values[n], one.present[n]) for n in places]


def _result(own: Labels, other: Labels, op: str, matching: Matching, boolean: bool) -> Labels:
    labels = dict(own if op in NAMED and not boolean else without_name(own))
    if matching.side == "one":
        if matching.on:
            labels = {k: v for k, v in labels.items() if k in matching.labels}
        else:
            labels = {k: v for k, v in labels.items() if k not in matching.labels}
    for name in matching.include:
        if other.get(name):
            labels[name] = other[name]
        else:
            labels.pop(name, None)
    return labels


def _shown(key: LabelKey) -> str:
    return "{" + ", ".join(f'{k}="{v}"' for k, v in key) + "}"
