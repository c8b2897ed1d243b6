"""A chat model at a shell: one line a turn, kubectl with the small filters that people pipe it through."""

from __future__ import annotations

import re
import shlex

from pydantic import BaseModel, Field

from stratus.bench.agents.chat import TASK, Talk
from stratus.bench.outcome import Budget, Doors, Outcome

SYSTEM = (
    f"{TASK} You work at a shell: each turn you write one command line and are shown its output. When you are done, "
    "write `submit resolved|unresolved|healthy [Kind/name of the root cause]`."
)
TOOLS = "The shell has kubectl, and after a pipe grep [-v] [-i], head -N, tail -N, wc -l; `sleep N`; `submit ...`."
LONGEST_SLEEP = 120.0


class Typed(BaseModel):
    """What the model types."""

    command: str = Field(description="one command line")


class Shell:
    """Types until it submits."""

    name = "shell"
    about = "a chat model at a shell with kubectl and small filters; needs a model"

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Talk until the model submits or the budget is spent."""
        talk = Talk(doors, budget)
        while talk.hand.steps < budget.commands:
            typed = talk.ask(Typed, SYSTEM, TOOLS)
            if typed is None:
                break
            line = typed.command.strip().strip("`").removeprefix("$").strip()
            if line.split(" ", 1)[0] == "submit":
                words = line.split()
                state = words[1] if len(words) > 1 and words[1] in ("resolved", "healthy") else "unresolved"
                return talk.outcome(state, words[2] if len(words) > 2 else "")
            talk.said.append(f"$ {line}\n{typed_in(talk, line)[:1500]}")
        return talk.outcome("unresolved")


def typed_in(talk: Talk, line: str) -> str:
    """Run one line of this small shell and return its output."""
    first, *filters = _parts(line)
    if match := re.fullmatch(r"sleep\s+(\d+)s?", first):
        talk.hand.steps += 1
        talk.clock.sleep(min(float(match[1]), LONGEST_SLEEP))
        return ""
    if first.split(" ", 1)[0] != "kubectl":
        talk.hand.steps += 1
        return f"{first.split(' ', 1)[0]}: command not found"
    text = talk.kubectl(first)
    for part in filters:
        text = filtered(text, part)
    return text


def filtered(text: str, part: str) -> str:
    """Pass text through grep, head, tail or wc."""
    try:
        words = shlex.split(part)
    except ValueError as error:
        return f"error: {error}"
    lines = text.splitlines()
    count = next((int(n) for w in words[1:] if (n := w.lstrip("-n").strip()) and n.isdigit()), 10)
    if words[:1] == ["head"]:
        return "\n".join(lines[:count])
    if words[:1] == ["tail"]:
        return "\n".join(lines[-count:])
    if words[:1] == ["wc"]:
        return str(len(lines))
    if words[:1] == ["grep"] and len(words) > 1:
        flags = "".join(w for w in words[1:-1] if w.startswith("-"))
        try:
            pattern = re.compile(words[-1].replace(r"\|", "|"), re.IGNORECASE if "i" in flags else 0)
        except re.error as error:
            return f"grep: {error}"
        return "\n".join(x for x in lines if bool(pattern.search(x)) != ("v" in flags))
    return f"{part.split(' ', 1)[0]}: command not found"


def _parts(line: str) -> list[str]:
    """Split at pipes outside of quotes."""
    parts, quote = [""], ""
    for char in line:
        if char == "|" and not quote:
            parts.append("")
            continue
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        parts[-1] += char
    return [part.strip() for part in parts]
