"""The typed registry of what can be taken back: (verb, kind) to a class, default deny; the table is data."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field

from stratus.model.actions import ApiWrite, Reversibility
from stratus.model.base import Json, Noun

CUSTOM = "custom resource"
ANY = "any"
Condition = Literal["", "owned", "unowned", "orphan", "not_orphan", "token", "not_token"]


class ReversibilityRule(Noun):
    """One rule of `reversibility.yaml`; the fields are explained at the top of that file."""

    verbs: tuple[str, ...]
    kinds: tuple[str, ...]
    writes: tuple[str, ...]
    reversibility: Reversibility = Field(alias="class")
    when: Condition = ""
    undo: str = ""
    differs: str = ""
    reason: str = ""
    hint: str = ""
    rewrite: Json | None = None
    rewritten: str = ""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def allowed(self) -> bool:
        """Whether such a write may stand in an autonomous plan (a rewritable one in its other form)."""
        return self.reversibility in ("exact", "equivalent", "rewritable")


@cache
def reversibility_rules() -> tuple[ReversibilityRule, ...]:
    """Read the registry shipped beside this module."""
    raw: list[dict[str, Any]] = yaml.safe_load(
        files(__package__).joinpath("reversibility.yaml").read_text(encoding="utf-8")
    )
    return tuple(ReversibilityRule.model_validate(row) for row in raw)


def classify(verb: str, write: ApiWrite, before: Json | None) -> ReversibilityRule:
    """Return the rule for a write; a rule of class `irreversible` when none is registered.

    Args:
        verb: the command's verb, such as `set image`; a rule may name it whole or by its first word.
        write: the compiled write. Its method must be among those of the rule: a verb that compiles to something
            else than the registry expects is not covered by it.
        before: the object as it stands, None when it does not exist.
    """
    wanted = f"{write.method}/{write.subresource}" if write.subresource else write.method
    if write.method == "PATCH" and write.patch_type == "application/apply-patch+yaml" and before is None:
        wanted = "POST"  # a server-side apply creates what is not there
    kind = CUSTOM if write.target.custom else write.target.kind
    for word in dict.fromkeys((verb, verb.split(" ", 1)[0], ANY)):
        for rule in reversibility_rules():
            fits = word in rule.verbs and kind in rule.kinds and {wanted, ANY} & {*rule.writes}
            if fits and _holds(rule.when, write, before):
                return rule
    return ReversibilityRule(
        verbs=(verb,),
        kinds=(kind,),
        writes=(wanted,),
        reversibility="irreversible",
        reason=f"`{verb}` on a {write.target.type_name} ({wanted}) is not in the registry of reversible changes",
    )


def _holds(when: Condition, write: ApiWrite, before: Json | None) -> bool:
    if when in ("owned", "unowned"):
        owners = (before or {}).get("metadata", {}).get("ownerReferences") or []
        return any(owner.get("controller") for owner in owners) == (when == "owned")
    if when in ("orphan", "not_orphan"):
        options = write.body if isinstance(write.body, dict) else {}
        return (options.get("propagationPolicy") == "Orphan") == (when == "orphan")
    if when in ("token", "not_token"):
        # A Secret that cannot be read might hold one.
        holds = before is None or before.get("type") == "kubernetes.io/service-account-token"
        return holds == (when == "token")
    return True


_WHEN_IN_WORDS: dict[Condition, str] = {
    "": "",
    "owned": "owned by a controller",
    "unowned": "not owned by a controller",
    "orphan": "with `--cascade=orphan`",
    "not_orphan": "without `--cascade=orphan`",
    "token": "holding a service account token",
    "not_token": "not holding a service account token",
}

_PREFACE = """\
# What can be taken back

Every change that Stratus may make stands in this table; what does not is refused. The page is made from
`src/stratus/mitigation/reversibility.yaml` and `src/stratus/transaction/essence.json` by `python docs/generate.py`.

- **exact**: undo restores every field; only what the last column names differs.
- **equivalent**: a controller restores something of equal worth; the last column says what is not identical.
- **rewritable**: never done as asked; done in a form that can be taken back.
- **compensable**: needs a runbook that states the compensation and a check of both; refused otherwise.
- **irreversible**: refused, and no approval overrides that in autonomous mode. So is everything that is not listed.

Every kind of the built-in API has its rows. *Custom resources*, that is the kinds of all other API groups whatever they
are called, follow one rule: what is there may be changed where `policy.kinds` names the kind (such as
`Certificate.cert-manager.io`; by default only experiments of chaos engineering), because the fields can be set back
exactly and their operator then works towards the old ones again; creating and deleting them is refused, because that is
where operators make and delete what nobody can see.
"""


def reversibility_table() -> str:
    """Return the registry as a Markdown page."""
    rows = [_PREFACE, "| command | on | class | undo | not identical, or why not |", "|---|---|---|---|---|"]
    for rule in reversibility_rules():
        condition = f" ({_WHEN_IN_WORDS[rule.when]})" if rule.when else ""
        undo = (f"Is {rule.rewritten}. " if rule.rewritten else "") + (rule.undo or "none")
        instead = f" Instead: {rule.hint}." if rule.hint else ""
        why = rule.differs or (f"Refused: {rule.reason}.{instead}" if rule.reason else "")
        verbs = ", ".join("everything else" if verb == ANY else f"`{verb}`" for verb in rule.verbs)
        rows.append(f"| {verbs} | {', '.join(rule.kinds)}{condition} | {rule.reversibility} | {undo} | {why} |")
    return "\n".join(rows) + "\n"
