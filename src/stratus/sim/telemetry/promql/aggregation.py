"""Aggregations over rows."""

from __future__ import annotations

import math

import numpy as np

from stratus.sim.telemetry.promql.nodes import Aggregate
from stratus.sim.telemetry.promql.series import Bools, Floats
from stratus.sim.telemetry.promql.text import shown
from stratus.sim.telemetry.promql.vectors import Labels, Vector, empty, grouped, key_of, stacked
from stratus.sim.telemetry.promql.windows import quantile_of


def group_of(labels: Labels, node: Aggregate) -> Labels:
    """Return the labels that a row's group has."""
    if node.without:
        return {k: v for k, v in labels.items() if k != "__name__" and k not in node.grouping}
    return {name: labels[name] for name in node.grouping if labels.get(name)}


def aggregate(node: Aggregate, vector: Vector, parameter: Floats | str | None) -> Vector:
    """Return what an aggregation gives."""
    moments = vector.values.shape[1]
    if not len(vector):
        return vector
    wanted = [group_of(labels, node) for labels in vector.labels]
    groups = grouped(key_of(labels) for labels in wanted)
    if node.op in ("topk", "bottomk"):
        assert isinstance(parameter, np.ndarray)
        return _ranked(node.op, vector, list(groups.values()), parameter)
    if node.op == "count_values":
        assert isinstance(parameter, str)
        return _by_value(vector, wanted, groups.values(), parameter)
    labels, rows, masks = [], [], []
    for places in groups.values():
        values, mask = vector.values[places], vector.present[places]
        labels.append(wanted[places[0]])
        rows.append(_one(node.op, values, mask, parameter))
        masks.append(mask.any(axis=0))
    return stacked(labels, rows, masks, moments)


def _one(op: str, values: Floats, mask: Bools, parameter: Floats | str | None) -> Floats:
    number = mask.sum(axis=0)
    safe = np.maximum(number, 1)
    total: Floats = np.where(mask, values, 0.0).sum(axis=0)
    with np.errstate(all="ignore"):
        if op == "sum":
            return total
        if op == "avg":
            mean: Floats = total / safe
            return mean
        if op == "count":
            return np.asarray(number, dtype=np.float64)
        if op == "group":
            return np.ones(values.shape[1])
        if op == "min":
            found: Floats = np.fmin.reduce(np.where(mask, values, np.nan), axis=0)
            return found
        if op == "max":
            largest: Floats = np.fmax.reduce(np.where(mask, values, np.nan), axis=0)
            return largest
        if op in ("stddev", "stdvar"):
            middle = total / safe
            spread: Floats = np.where(mask, (values - middle) ** 2, 0.0).sum(axis=0) / safe
            return np.asarray(np.sqrt(spread)) if op == "stddev" else spread
    assert isinstance(parameter, np.ndarray)
    return np.array([quantile_of(values[mask[:, t], t], float(parameter[t])) for t in range(values.shape[1])])


def _ranked(op: str, vector: Vector, groups: list[list[int]], parameter: Floats) -> Vector:
    """Return the k largest or smallest rows of each group, moment by moment; the best first at the first moment."""
    moments = vector.values.shape[1]
    kept = np.zeros(vector.present.shape, dtype=bool)
    sign = -1.0 if op == "topk" else 1.0
    order: list[int] = []
    for places in groups:
        for t in range(moments):
            if math.isnan(parameter[t]) or parameter[t] < 1:
                continue
            there = [n for n in places if vector.present[n, t]]
            there.sort(key=lambda n: (math.isnan(vector.values[n, t]), sign * vector.values[n, t]))
            best = there[: int(parameter[t])]
            kept[best, t] = True
            order += [n for n in best if n not in order]
    if not order:
        return empty(moments)
    return Vector([vector.labels[n] for n in order], vector.values[order], kept[order])


def _by_value(vector: Vector, wanted: list[Labels], groups: object, label: str) -> Vector:
    moments = vector.values.shape[1]
    counts: dict[tuple[tuple[str, str], ...], tuple[Labels, Floats]] = {}
    for place, base in enumerate(wanted):
        for t in np.flatnonzero(vector.present[place]):
            labels = {**base, label: shown(float(vector.values[place, t]))}
            entry = counts.setdefault(key_of(labels), (labels, np.zeros(moments)))
            entry[1][t] += 1
    rows = [row for _, row in counts.values()]
    return stacked([labels for labels, _ in counts.values()], rows, [row > 0 for row in rows], moments)
