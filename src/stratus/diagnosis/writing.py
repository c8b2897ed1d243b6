"""From an English step to a kubectl command line: a small controlled grammar, for steps without a command.

Scale Deployment web in namespace shop to 3 replicas.
Set the image of container web of Deployment web in namespace shop to nginx:1.27.
Roll back Deployment web in namespace shop to revision 3.
"""

from __future__ import annotations

import json
import re
import shlex

from stratus.model.actions import ActionStep

_NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_KIND = (
    r"(?P<kind>Deployment|StatefulSet|DaemonSet|ReplicaSet|Service|ConfigMap|Secret|NetworkPolicy|Pod|Node|Job|CronJob"
    r"|HorizontalPodAutoscaler|Ingress|ResourceQuota|PodDisruptionBudget)"
)
_OBJECT = rf"(?:the )?{_KIND} (?P<name>{_NAME})(?: in namespace (?P<namespace>{_NAME}))?"
_VALUE = r"(?P<value>\S+)"
_CONTAINER = rf"container (?P<container>{_NAME})"

_Rule = tuple[re.Pattern[str], tuple[str, ...]]


def _rule(sentence: str, *argv: str) -> _Rule:
    return re.compile(rf"^{sentence}\.?$", re.IGNORECASE), argv


_RULES: tuple[_Rule, ...] = (
    _rule(rf"Scale {_OBJECT} (?:up |down |back )?to (?P<value>\d+)(?: replicas?)?", "scale", "@", "--replicas={value}"),
    _rule(rf"(?:Restart|Roll out again|Do a rollout restart of) {_OBJECT}", "rollout", "restart", "@"),
    _rule(rf"(?:Roll back|Rollback|Undo the rollout of) {_OBJECT} to revision (?P<value>\d+)",
          "rollout", "undo", "@", "--to-revision={value}"),
    _rule(rf"(?:Roll back|Rollback|Undo the (?:last )?rollout of) {_OBJECT}(?: to the previous revision)?",
          "rollout", "undo", "@"),
    _rule(rf"Resume (?:the rollout of )?{_OBJECT}", "rollout", "resume", "@"),
    _rule(rf"Pause (?:the rollout of )?{_OBJECT}", "rollout", "pause", "@"),
    _rule(rf"Set the image of {_CONTAINER} (?:of|in) {_OBJECT} (?:back )?to {_VALUE}",
          "set", "image", "@", "{container}={value}"),
    _rule(rf"Set (?:the )?(?:environment variable )?(?P<env>[A-Za-z_]\w*) of {_CONTAINER} (?:of|in) {_OBJECT} to "
          r"(?P<value>.+?)", "set", "env", "@", "-c", "{container}", "{env}={value}"),
    _rule(rf"Set (?:the )?environment variable (?P<env>[A-Za-z_]\w*) (?:of|in) {_OBJECT} to (?P<value>.+?)",
          "set", "env", "@", "{env}={value}"),
    _rule(rf"Remove (?:the )?(?:environment variable )?(?P<env>[A-Za-z_]\w*) from {_CONTAINER} (?:of|in) {_OBJECT}",
          "set", "env", "@", "-c", "{container}", "{env}-"),
    _rule(rf"Remove (?:the )?environment variable (?P<env>[A-Za-z_]\w*) from {_OBJECT}", "set", "env", "@", "{env}-"),
    _rule(rf"Set the (?P<what>cpu|memory) (?P<bound>limit|request) of {_CONTAINER} (?:of|in) {_OBJECT} to {_VALUE}",
          "set", "resources", "@", "-c", "{container}", "--{bound}s={what}={value}"),
    _rule(rf"Uncordon (?:the )?node (?P<node>{_NAME})", "uncordon", "{node}"),
    _rule(rf"Cordon (?:the )?node (?P<node>{_NAME})", "cordon", "{node}"),
    _rule(rf"Delete {_OBJECT}", "delete", "@"),
    _rule(rf"Let {_OBJECT} run as ServiceAccount (?P<value>{_NAME})", "set", "serviceaccount", "@", "{value}"),
    _rule(rf"Create ServiceAccount (?P<value>{_NAME})(?: in namespace (?P<namespace>{_NAME}))?",
          "create", "serviceaccount", "{value}"),
)  # fmt: skip

_SELECTOR = re.compile(rf"^Set the selector of {_OBJECT} to (?P<value>[\w./-]+=[\w.-]*(?:,[\w./-]+=[\w.-]*)*)\.?$",
                       re.IGNORECASE)  # fmt: skip
_KEY = re.compile(rf"^Set key (?P<key>[\w.-]+) of {_OBJECT} to (?P<value>.+?)\.?$", re.IGNORECASE)


def command_for(step: ActionStep) -> str:
    """Return the command line a step says, or empty when it is not a sentence of the grammar.

    A namespace that the sentence leaves out is the one of the step's target.
    """
    text = " ".join(step.text.split()).removesuffix(".")
    home = step.target.namespace if step.target is not None else ""
    for pattern, argv in _RULES:
        if match := pattern.match(text):
            found = {k: v for k, v in match.groupdict().items() if v is not None}
            words = [_word(w, found) for w in argv]
            return _line(words, found.get("namespace", home))
    if match := _SELECTOR.match(text):
        selector = dict(pair.split("=", 1) for pair in match["value"].split(","))
        patch = json.dumps([{"op": "replace", "path": "/spec/selector", "value": selector}])
        return _line(["patch", _target(match), "--type=json", "-p", patch], match["namespace"] or home)
    if (match := _KEY.match(text)) and match["kind"].lower() == "configmap":
        patch = json.dumps({"data": {match["key"]: match["value"]}})
        return _line(["patch", _target(match), "--type=merge", "-p", patch], match["namespace"] or home)
    return ""


def _target(match: re.Match[str]) -> str:
    return f"{match['kind'].lower()}/{match['name']}"


def _word(word: str, found: dict[str, str]) -> str:
    if word == "@":
        return f"{found['kind'].lower()}/{found['name']}"
    return word.format(**{**found, "what": found.get("what", "").lower(), "bound": found.get("bound", "").lower()})


def _line(words: list[str], namespace: str) -> str:
    space = ["-n", namespace] if namespace else []
    return shlex.join(["kubectl", *words, *space])
