"""What may be changed, decided on typed writes and on the objects before and after them, never on command text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from stratus.mitigation import podspec
from stratus.mitigation.ownership import guard_facts, keeper
from stratus.model.actions import ApiWrite, Refusal
from stratus.model.base import Json
from stratus.model.diagnosis import Hypothesis
from stratus.model.refs import ObjectRef
from stratus.settings import PolicySettings

Author = Literal["agent", "person"]
_SCALED = ("Deployment", "StatefulSet", "ReplicaSet")


@dataclass(frozen=True)
class Policy:
    """The rules of one incident.

    Attributes:
        settings: what the operator allows.
        namespaces: namespaces in which writes are allowed; nothing is allowed elsewhere.
        hypothesis: the cause being treated: protections may only be changed on the object it blames.
        repositories: image repositories that are known to run here.
        author: `agent`: what a model could be talked into is refused; `person`: somebody who may do so by hand asks
            for it, and what is left are the operator's own limits (namespaces, kinds, labels, replicas, owners).
    """

    settings: PolicySettings
    namespaces: tuple[str, ...]
    hypothesis: Hypothesis | None = None
    repositories: frozenset[str] = field(default_factory=frozenset)
    author: Author = "agent"

    def blames(self, ref: ObjectRef) -> bool:
        """Whether the diagnosis is about this very object: it blames it, or a fact of the finding names it.

        A cause that only a model believes in does not count: text from the cluster could have talked it into blaming
        just the object that protects. What unlocks a protection was found by an analyzer.
        """
        if self.author == "person":
            return True
        if self.hypothesis is None or self.hypothesis.analyzer == "model":
            return False
        if self.hypothesis.object.key == ref.key:
            return True
        if ref.namespace not in ("", self.hypothesis.object.namespace):
            return False
        names = {ref.name, f"{ref.kind.lower()}/{ref.name}"}
        facts = guard_facts()["named_by"].get(ref.kind, ())
        return any(self.hypothesis.facts.get(fact) in names for fact in facts)


def effective_namespaces(settings: PolicySettings, incident: tuple[str, ...]) -> tuple[str, ...]:
    """Return where writes are allowed: what the operator listed, else the incident's, never the protected ones."""
    wanted = settings.namespaces or incident
    return tuple(n for n in wanted if n not in settings.protected_namespaces)


def check_target(write: ApiWrite, before: Json | None, policy: Policy, command: str) -> list[Refusal]:
    """Return the objections to touching this object at all."""
    ref, settings = write.target, policy.settings

    def no(code: str, message: str, hint: str = "") -> list[Refusal]:
        return [Refusal(command=command, code=code, message=message, hint=hint)]

    if ref.type_name not in settings.kinds:
        return no("kind", f"{ref.type_name} objects may not be changed", f"allowed kinds: {', '.join(settings.kinds)}")
    if write.namespaced and ref.namespace in settings.protected_namespaces:
        hint = "change something in the incident's own namespaces, or leave it to a person"
        return no("protected_namespace", f"namespace {ref.namespace} is protected", hint)
    if write.namespaced and ref.namespace not in policy.namespaces:
        allowed = ", ".join(policy.namespaces) or "none"
        return no("namespace", f"{ref} lies outside the namespaces of the incident", f"allowed namespaces: {allowed}")
    if not ref.name:
        return no("generate_name", "an object whose name the server makes up cannot be undone", "give it a name")
    meta = (before or {}).get("metadata") or {}
    if mark := _protected(meta.get("labels") or {}, settings):
        return no("protected_object", f"{ref} carries the label {mark}")
    if meta.get("deletionTimestamp"):
        return no("terminating", f"{ref} is being deleted already", "wait until it is gone")
    if ref.kind in guard_facts()["protective_kinds"] and write.method != "POST" and not policy.blames(ref):
        return no(
            "protective",
            f"{ref} protects others and the diagnosis does not blame it",
            _treat(policy),
        )
    if write.subresource == "exec":
        return []  # the object stays as its keeper wants it
    return _check_owner(write, before, policy, command)


def check_change(
    write: ApiWrite, before: Json | None, after: Json | None, policy: Policy, command: str
) -> Iterator[Refusal]:
    """Yield the objections to what the write would make of the object, as the dry run shows it."""
    ref = write.target

    def no(code: str, message: str, hint: str = "") -> Refusal:
        return Refusal(command=command, code=code, message=message, hint=hint)

    if after is None:
        if before is not None and _alert_rules(before) and not policy.blames(ref):
            yield no("protective", f"{ref} holds alert rules and the diagnosis does not blame it", _treat(policy))
        return
    most, count = policy.settings.scale_max, _replicas(after)
    if count > most and count > _replicas(before):
        yield no("scale", f"{ref} would have {count} replicas, at most {most} are allowed", f"ask for {most} or fewer")
    old, new = (((obj or {}).get("metadata") or {}).get("labels") or {} for obj in (before, after))
    marks = {policy.settings.protected_label, *policy.settings.protected_labels}
    if before is not None and (moved := sorted(k for k in marks if old.get(k) != new.get(k))):
        yield no("protected_label", f"{', '.join(moved)} may not be set or removed by a repair")
    rules, brought = policy.settings.images, podspec.images(after) - podspec.images(before)
    if denied := sorted(i for i in brought if _matches(i, rules.deny)):
        yield no("denied_image", f"policy denies {', '.join(denied)}", f"not allowed: {', '.join(rules.deny)}")
    if rules.allow and (others := sorted(i for i in brought if not _matches(i, rules.allow))):
        yield no("denied_image", f"policy does not allow {', '.join(others)}", f"allowed: {', '.join(rules.allow)}")
    if policy.author == "person":
        return
    gained = podspec.privileges(after) - podspec.privileges(before)
    if added := sorted(p for p in gained if p not in policy.settings.privileges):
        yield no("privilege", f"{ref} would gain {', '.join(added)}", "leave security settings as they are")
    unknown = sorted(i for i in brought if not rules.allow and podspec.repository(i) not in policy.repositories)
    if unknown:
        known = ", ".join(sorted(policy.repositories)[:8]) or "none"
        yield no("unknown_image", f"nothing here ever ran {', '.join(unknown)}", f"repositories known here: {known}")
    yield from _check_protections(ref, before, after, policy, command)
    if ref.kind == "Service" and (opened := _opened(before, after)):
        yield no("exposure", f"{ref} would be opened to the outside: {', '.join(opened)}", "keep the type ClusterIP")
    if ref.kind in ("Role", "RoleBinding") and (raised := _raised(before, after)):
        yield no("rbac_escalation", f"{ref} would grant {', '.join(raised)}", "grant only the verbs that are missing")


def unavailable_pods(write: ApiWrite, before: Json | None, after: Json | None) -> int:
    """Return how many pods the write may take down at once, for the blast radius."""
    kind = write.target.kind
    if kind == "Pod" and (write.method == "DELETE" or write.subresource == "eviction"):
        return 1
    if before is None:
        return 0
    held = _replicas(before)
    if after is None:
        orphan = isinstance(write.body, dict) and write.body.get("propagationPolicy") == "Orphan"
        return 0 if orphan else held
    fewer = max(0, held - _replicas(after))
    if podspec.pod_spec(before) == podspec.pod_spec(after) or kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        return fewer
    spec = after.get("spec") or {}
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    if strategy.get("type") == "Recreate":
        return max(fewer, held)
    most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
    if isinstance(most, str):
        most = int(held * int(most.rstrip("%") or 0) / 100) if most.endswith("%") else 1
    return max(fewer, int(most))


def _check_owner(write: ApiWrite, before: Json | None, policy: Policy, command: str) -> list[Refusal]:
    owner = keeper(before, policy.settings.owners) if before is not None else None
    if owner is None:
        return []
    removal = write.method == "DELETE" or write.subresource == "eviction"
    replaced = write.target.kind == "Pod" and owner.who.split(" ", 1)[0] in guard_facts()["pod_controllers"]
    if owner.controller and removal and replaced:
        return []
    code = "owned" if owner.controller else "gitops"
    message = f"{write.target} is kept by {owner.who}, which would take the change back"
    return [Refusal(command=command, code=code, message=message, hint=owner.instead)]


def _check_protections(
    ref: ObjectRef, before: Json | None, after: Json, policy: Policy, command: str
) -> Iterator[Refusal]:
    if before is None or policy.blames(ref):
        return

    def no(message: str) -> Refusal:
        return Refusal(command=command, code="protective", message=message, hint=_treat(policy))

    if lost := sorted(podspec.protections(before) - podspec.protections(after)):
        yield no(f"{ref} would lose {', '.join(lost)} and the diagnosis does not blame it")
    old, new = podspec.code(before), podspec.code(after)
    if changed := sorted(place for place, text in new.items() if old.get(place) != text):
        yield no(f"{ref} would run something else ({', '.join(changed)}) and the diagnosis does not blame it")
    if podspec.pod_spec(after) and podspec.service_account(before) != podspec.service_account(after):
        yield no(f"{ref} would run as another service account and the diagnosis does not blame it")
    if rules := sorted(
        name for name in _alert_rules(before) if (after.get("data") or {}).get(name) != before["data"][name]
    ):
        yield no(f"{ref} holds alert rules ({', '.join(rules)}) and the diagnosis does not blame it")


def _protected(labels: Json, settings: PolicySettings) -> str:
    """Return the label that protects an object, or nothing."""
    marks = {settings.protected_label: "true", **settings.protected_labels}
    for key, pattern in marks.items():
        if key in labels and fnmatchcase(str(labels[key]).lower(), pattern.lower()):
            return f"{key}={labels[key]}"
    return ""


def _matches(image: str, patterns: Sequence[str]) -> bool:
    """Tell whether an image fits a pattern; one without a tag is `latest`, as the runtime reads it."""
    whole = image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
    return any(fnmatchcase(whole, pattern) or fnmatchcase(podspec.repository(image), pattern) for pattern in patterns)


def _treat(policy: Policy) -> str:
    return f"change {policy.hypothesis.object} instead" if policy.hypothesis is not None else "change the blamed object"


def _replicas(obj: Json | None) -> int:
    if obj is None:
        return 0
    spec, kind = obj.get("spec") or {}, obj.get("kind", "")
    if kind == "HorizontalPodAutoscaler":
        return int(spec.get("maxReplicas") or 0)
    if kind == "DaemonSet":
        return int((obj.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(spec.get("replicas", 1) if spec.get("replicas") is not None else 1) if kind in _SCALED else 0


def _alert_rules(obj: Json) -> list[str]:
    if obj.get("kind") != "ConfigMap":
        return []
    return [k for k, v in (obj.get("data") or {}).items() if isinstance(v, str) and "groups:" in v and "alert:" in v]


def _opened(before: Json | None, after: Json) -> list[str]:
    facts = guard_facts()
    old, new = (before or {}).get("spec") or {}, after.get("spec") or {}
    found = [f"{name}={new[name]}" for name in facts["exposing_fields"] if new.get(name) and new[name] != old.get(name)]
    if new.get("type") in facts["exposing_types"] and new.get("type") != old.get("type"):
        found.append(f"type {new['type']}")
    return found


def _raised(before: Json | None, after: Json) -> list[str]:
    facts = guard_facts()
    held = _grants(before)
    risky = []
    for grant in sorted(_grants(after) - held):
        verb, _, resource = grant.partition(" on ")
        if verb in facts["rbac_verbs"] or resource in facts["rbac_resources"]:
            risky.append(grant)
    role: dict[str, Any] = after.get("roleRef") or {}
    if role.get("name") in facts["rbac_roles"] and after.get("subjects") != (before or {}).get("subjects"):
        risky.append(f"the role {role['name']}")
    return risky


def _grants(obj: Json | None) -> set[str]:
    return {
        f"{verb} on {resource}"
        for rule in (obj or {}).get("rules") or []
        for verb in rule.get("verbs") or []
        for resource in rule.get("resources") or []
    }
