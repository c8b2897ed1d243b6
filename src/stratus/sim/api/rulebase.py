"""What the rules of several kinds share: selectors, percentages, the shape of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stratus.sim.api.names import check_labels, qualified_problems, value_problems
from stratus.sim.api.selectors import from_selector, labels_match
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
Rule = Callable[[Obj, Problems], None]
Change = Callable[[Obj, Obj, Problems], None]
IMMUTABLE = "field is immutable"
_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)


def label_selector(path: str, selector: Obj, problems: Problems) -> bool:
    """Check a LabelSelector; tell whether it is well formed."""
    before = len(problems.causes)
    check_labels(selector.get("matchLabels"), f"{path}.matchLabels", problems)
    for index, e in enumerate(selector.get("matchExpressions") or ()):
        here, operator = f"{path}.matchExpressions[{index}]", e.get("operator")
        if operator in ("In", "NotIn"):
            if not e.get("values"):
                problems.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if e.get("values"):
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                problems.forbidden(f"{here}.values", text)
        else:
            problems.invalid(f"{here}.operator", operator, "not a valid selector operator")
        for problem in qualified_problems(e.get("key", "")):
            problems.invalid(f"{here}.key", e.get("key", ""), problem)
        for at, value in enumerate(e.get("values") or ()):
            for problem in value_problems(value):
                problems.invalid(f"{here}.values[{at}]", value, problem)
    return len(problems.causes) == before


def usable(selector: Obj) -> bool:
    """Tell whether a label selector can be evaluated at all."""
    found = Problems()
    label_selector("", selector, found)
    return not found


def selects(selector: Obj | None, labels: Obj | None) -> bool:
    """Tell whether a (usable) selector matches labels; None matches nothing, an empty one everything."""
    requirements = from_selector(selector)
    return requirements is not None and labels_match(requirements, labels)


def int_or_percent(path: str, value: Any, problems: Problems) -> int | None:
    """Check a number or percentage; return it as a number where that is possible."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+%", value):
            problems.invalid(path, value, _PERCENT)
            return None
        return int(value[:-1])
    if value is not None and value < 0:
        problems.invalid(path, value, "must be greater than or equal to 0")
    return value  # type: ignore[no-any-return]


def over_hundred(path: str, value: Any, problems: Problems) -> None:
    """Refuse a percentage above 100."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+%", value) and int(value[:-1]) > 100:
        problems.invalid(path, value, "must not be greater than 100%")
