"""Images that cannot be pulled: wrong name or tag, no credentials, or an unreachable registry."""

from __future__ import annotations

import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import container_of, differences
from stratus.diagnosis.world import Workload, World, event_note, live_pods, note
from stratus.kit.kube import (
    PULL_REASONS,
    ContainerView,
    containers_of,
    created,
    dig,
    name_of,
    pod_ready,
    spec_containers,
)
from stratus.kit.text import line
from stratus.model.base import Json

_DENIED = re.compile(
    r"(?i)unauthorized|authentication required|pull access denied|denied|forbidden|\b40[13]\b|no basic auth"
)
_UNREACHABLE = re.compile(
    r"(?i)no such host|i/o timeout|connection refused|dial tcp|tls|x509|timeout|too ?many ?requests|\b429\b|\b5\d\d\b"
)
_PLATFORM = re.compile(r"(?i)no match for platform|no matching manifest|exec format error")
_ABSENT = re.compile(r"(?i)not found|manifest unknown|does not exist|repository .* not exist|\b404\b")


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload and image."""
    found = []
    for w in world.workloads:
        seen: set[str] = set()
        for pod in live_pods(w.pods):
            for c in containers_of(pod):
                if c.waiting in PULL_REASONS and c.name not in seen:
                    seen.add(c.name)
                    found.append(_finding(world, w, pod, c))
    return found


def _finding(world: World, w: Workload, pod: Json, c: ContainerView) -> Finding:
    image = str(c.spec.get("image", ""))
    events = world.events(pod, "Failed", "InspectFailed", "ErrImageNeverPull")
    text = " ".join([c.message, *(str(e.get("message", "")) for e in events)])
    reason, why = _reason(c.waiting, text)
    now = w.container(c.name).get("image")
    if w.kind != "Pod" and now and now != image:
        return _left_behind(w, pod, c, str(now))
    good = next((r for r in w.back if container_of(r.template, c.name).get("image") not in (None, image)), None)
    good_image = container_of(good.template, c.name).get("image") if good else None
    finding = about(
        w,
        "image_pull",
        f"{w.title}: container {c.name} cannot pull {image}: {why}",
        0.95 if reason != "registry" else 0.8,
        settled=True,
        container=c.name,
        image=image,
        pod=name_of(pod),
        reason=reason,
    )
    finding.pro.append(note("object", f"pod {name_of(pod)}: {c.waiting}: {c.message}", pod, service=w.service,
                            at=created(pod)))  # fmt: skip
    finding.pro += [event_note(e, pod, w.service) for e in events[-1:]]
    if good is not None:
        went_back(finding, w, good, differences(good.template, w.template))
        finding.pro.append(note("object", f"revision {good.number} used {good_image}", w.obj, service=w.service))
    else:
        good_image = _sibling_image(world, w, image)
        if good_image:
            finding.pro.append(note("object", f"{good_image} runs elsewhere and has the same repository name", w.obj))
    if good_image:
        finding.facts["good_image"] = good_image
    if reason == "credentials":
        secret = _pull_secret(world, w)
        if secret:
            finding.facts["secret"] = secret
    return finding


def _left_behind(w: Workload, pod: Json, c: ContainerView, now: str) -> Finding:
    """The workload has another image by now; a pod of the earlier revision stands in the way of the update."""
    finding = about(
        w,
        "image_pull",
        f"{w.title}: pod {name_of(pod)} still waits for {c.spec.get('image')}, the workload has {now} by now",
        0.9,
        settled=True,
        container=c.name,
        image=c.spec.get("image"),
        pod=name_of(pod),
        stale_pod=name_of(pod) if w.kind == "StatefulSet" else None,
    )
    finding.pro.append(note("object", f"pod {name_of(pod)}: {c.waiting}: {c.message}", pod, service=w.service,
                            at=created(pod)))  # fmt: skip
    return finding


def _reason(waiting: str, text: str) -> tuple[str, str]:
    """Sort the runtime's words into what is wrong: name, platform, credentials, policy, registry or absent."""
    if waiting == "InvalidImageName":
        return "name", "this is not a valid image name"
    if waiting == "ErrImageNeverPull":
        return "policy", "it is not on the node and the pull policy is Never"
    if _PLATFORM.search(text):
        return "platform", "there is no such image for the node's platform"
    if _ABSENT.search(text):
        return "absent", "the registry does not have it"
    if _DENIED.search(text):
        return "credentials", "the registry refuses access (or does not have it)"
    if _UNREACHABLE.search(text):
        return "registry", "the registry cannot be reached"
    return "unknown", line(text, 100) or waiting


def repository(image: str) -> str:
    """Return the last part of an image's repository, without registry, tag and digest: `web` of `r.io/team/web:1`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _sibling_image(world: World, w: Workload, image: str) -> str | None:
    """Return an image of the same repository name that runs somewhere, one of the same workload first."""
    candidates = []
    for other in world.workloads:
        for pod in other.pods:
            if not pod_ready(pod):
                continue
            for c in spec_containers(pod.get("spec") or {}):
                if c.get("image") != image and repository(c.get("image", "")) == repository(image):
                    candidates.append((other is not w, other.namespace != w.namespace, str(c["image"])))
    return min(candidates)[2] if candidates else None


def _pull_secret(world: World, w: Workload) -> str | None:
    """Return a pull secret that exists and that the pods do not use."""
    used = {s.get("name") for s in w.spec.get("imagePullSecrets") or ()}
    for secret in world.observation.of("Secret", w.namespace):
        if dig(secret, "type") == "kubernetes.io/dockerconfigjson" and name_of(secret) not in used:
            return name_of(secret)
    return None
