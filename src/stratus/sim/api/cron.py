"""Cron schedules: what is wrong with one, if anything."""

from __future__ import annotations

import re

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {name: index + 1 for index, name in enumerate(_MONTHS)},
    {name: index for index, name in enumerate(_DAYS)},
)
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


def schedule_problem(text: str) -> str:
    """Return why a schedule is not valid, in the words of the server's parser; empty when it is."""
    if re.search(r"(CRON_)?TZ=", text):
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if text.startswith("@"):
        if text in _DESCRIPTORS or re.fullmatch(r"@every [0-9hms.]+", text):
            return ""
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != 5:
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, (low, high), names in zip(fields, _BOUNDS, _NAMES, strict=True):
        for part in field.split(","):
            if problem := _part_problem(part, low, high, names):
                return problem
    return ""


def _part_problem(part: str, low: int, high: int, names: dict[str, int]) -> str:
    span, slash, step = part.partition("/")
    if slash and (not step.isdigit() or "/" in step):
        return f"failed to parse int from {step}: strconv.Atoi: parsing {step!r}: invalid syntax".replace("'", '"')
    if slash and int(step) == 0:
        return f"step of range should be a positive number: {part}"
    if span in ("*", "?"):
        return ""
    numbers = []
    for bound in span.split("-"):
        if bound.lower() in names:
            numbers.append(names[bound.lower()])
        elif bound.isdigit():
            numbers.append(int(bound))
        else:
            return f"failed to parse int from {bound}: strconv.Atoi: parsing {bound!r}: invalid syntax".replace(
                "'", '"'
            )
    if len(numbers) > 2:
        return f"too many hyphens: {part}"
    start, end = numbers[0], numbers[-1]
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {part}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {part}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {part}"
    return ""
