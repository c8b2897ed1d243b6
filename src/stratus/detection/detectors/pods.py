"""Pods that do not run, do not stay up, or run and do not become ready."""

from __future__ import annotations

from stratus.detection.detectors.scene import RECENT, Scene, anomaly
from stratus.kit.kube import (
    CONFIG_REASONS,
    PULL_REASONS,
    START_REASONS,
    ContainerView,
    condition,
    containers_of,
    created,
    dig,
    event_count,
    event_message,
    event_time,
    moment,
    name_of,
    pod_finished,
    pod_ready,
    terminating,
)
from stratus.model.base import Json
from stratus.model.diagnosis import Anomaly

STUCK = 60.0
"""Seconds for which a pod may be on its way without being news."""
UNSCHEDULED = 5.0
STEADY = 300.0
"""Seconds of running after which a container that used to restart counts as recovered."""
STUCK_TERMINATING = 300.0


def find(scene: Scene) -> list[Anomaly]:
    """Return an anomaly a troubled pod, at most one each."""
    found = []
    for pod in scene.observation.of("Pod"):
        trouble = _trouble(scene, pod)
        if trouble is not None:
            detector, summary, since, severity = trouble
            kind, name = scene.workload_of(pod)
            text = f"{kind} {name}: pod {name_of(pod)} {summary}" if kind != "Pod" else f"pod {name} {summary}"
            found.append(
                anomaly(
                    detector,
                    text,
                    pod,
                    service=scene.pod_service(pod),
                    severity="critical" if severity else "warning",
                    since=since,
                )
            )
    return found


def _trouble(scene: Scene, pod: Json) -> tuple[str, str, float, bool] | None:
    """Return (detector, text, since, whether critical), or None for a pod that is well or on its way."""
    now, age = scene.now, scene.now - created(pod)
    owner = scene.workload_of(pod)[0]
    if terminating(pod):
        since = moment(dig(pod, "metadata", "deletionTimestamp"))
        late = now - since
        if late > STUCK_TERMINATING:
            return ("pod-terminating", f"has been terminating for {late:.0f} s", since, False)
        return None
    if pod_finished(pod):
        reason = dig(pod, "status", "reason", default="")
        if reason in ("Evicted", "NodeLost") and age < 3600:
            return ("pod-evicted", f"was {reason}: {dig(pod, 'status', 'message', default='')}", created(pod), False)
        if dig(pod, "status", "phase") == "Failed" and owner not in ("Job", "CronJob") and not reason and age < 3600:
            return ("pod-failed", "failed and is not restarted", created(pod), True)
        return None
    for c in containers_of(pod):
        broken = _broken(c, now, created(pod), owner)
        if broken is not None:
            return broken
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and age >= UNSCHEDULED:
        since = moment(scheduled.get("lastTransitionTime")) or created(pod)
        return ("pod-unschedulable", f"cannot be scheduled: {scheduled.get('message', '')}", since, True)
    mounts = scene.events(pod, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
    if dig(pod, "status", "phase") == "Pending" and mounts and age >= UNSCHEDULED:
        return ("pod-mount", f"cannot start: {event_message(mounts[-1])}", created(pod), True)
    if dig(pod, "status", "phase") == "Pending" and age > 2 * STUCK:
        init = next((c for c in containers_of(pod) if c.init and c.running), None)
        if init is not None:
            return ("init-hanging", f"waits for init container {init.name} for {now - init.started:.0f} s",
                    init.started, False)  # fmt: skip
        return ("pod-pending", f"has been pending for {age:.0f} s", created(pod), False)
    if dig(pod, "status", "phase") == "Running" and not pod_ready(pod):
        return _unready(scene, pod)
    return None


def _broken(c: ContainerView, now: float, born: float, owner: str) -> tuple[str, str, float, bool] | None:
    ended, finished = c.ended, moment(c.ended.get("finishedAt"))
    if c.waiting in PULL_REASONS:
        return ("image-pull", f"cannot pull its image {c.spec.get('image')}: {c.waiting}: {c.message}", born, True)
    if c.waiting in CONFIG_REASONS:
        return ("container-config", f"cannot start container {c.name}: {c.message}", born, True)
    if c.waiting in START_REASONS:
        return ("container-start", f"cannot start container {c.name}: {c.waiting}: {c.message}", born, True)
    code = ended.get("exitCode")
    why = f"{ended.get('reason', 'Error')}, exit code {code}"
    if c.waiting == "CrashLoopBackOff":
        return ("crash-loop", f"restarts again and again: container {c.name} {why}, {c.restarts} restarts", born, True)
    if owner == "Job":
        return None
    down = "terminated" in (c.status.get("state") or {}) and bool(code)
    if down and (c.restarts or now - finished > 10.0):
        return ("crash-loop", f"is down: container {c.name} {why}, {c.restarts} restarts", finished, True)
    if c.running and c.restarts and now - c.started > max(STEADY, (now - born) / c.restarts):
        return None  # it has been up for longer than it used to last: it is over
    if ended.get("reason") == "OOMKilled" and now - finished < RECENT:
        return ("oom-killed", f"was killed for memory: container {c.name}, {c.restarts} restarts", finished, True)
    if c.restarts >= 2 and code and now - finished < RECENT and (now - born) / c.restarts < RECENT:
        return ("restarting", f"restarts often: container {c.name} {why}, {c.restarts} restarts", finished, False)
    if c.restarts >= 2 and not c.init and now - finished < 300 and (now - born) / c.restarts < 300:
        return ("restarting", f"restarts often: container {c.name} {why}, {c.restarts} restarts", finished, False)
    return None


def _unready(scene: Scene, pod: Json) -> tuple[str, str, float, bool] | None:
    """Judge a pod that runs and is not ready: on its way within what its probes allow, else an anomaly."""
    running = [c for c in containers_of(pod) if not c.init and c.running and not c.ready]
    if not running:
        return None
    c = min(running, key=lambda one: one.started)
    up = scene.now - c.started
    startup = c.spec.get("startupProbe")
    allowed = _budget(startup) if startup and not c.status.get("started") else 0.0
    allowed += _budget(c.spec.get("readinessProbe"))
    was_ready = moment(condition(pod, "Ready").get("lastTransitionTime"))
    since = max(was_ready, c.started)
    unhealthy = [e for e in scene.events(pod, "Unhealthy") if event_time(e) >= c.started - 1]
    told = f": {event_message(unhealthy[-1])}" if unhealthy else ""
    often = sum(event_count(e) for e in unhealthy)
    if up >= allowed and (often >= 3 or up >= max(allowed, STUCK) + 30.0):
        return ("not-ready", f"runs but is not ready (container {c.name}){told}", since, True)
    if c.restarts >= 2 and any("iveness" in event_message(e) or "tartup" in event_message(e) for e in unhealthy):
        return ("not-ready", f"is restarted by a failing probe (container {c.name}){told}", since, True)
    return None


def _budget(probe: Json | None) -> float:
    """Return the seconds after which a probe has had its say."""
    if not probe:
        return 0.0
    delay, period = probe.get("initialDelaySeconds") or 0, probe.get("periodSeconds") or 10
    return float(delay + period * (probe.get("failureThreshold") or 3))
