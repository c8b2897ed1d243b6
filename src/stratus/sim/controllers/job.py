"""Runs Jobs to completion: makes pods, counts how they end, backs off, gives up, suspends, and cleans up by TTL."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    AdmissionDenied,
    begin_deletion,
    controller_ref,
    is_true,
    key_of,
    pod_active,
    pod_from_template,
    suffix,
    with_meta,
    with_status,
)
from stratus.sim.store import Change, Obj

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
#: Seconds by which the controller gathers changes of pods, and the first and longest wait after failures.
GATHER, BACKOFF_FIRST, BACKOFF_MOST = 1.0, 10.0, 600.0


def finished(job: Obj) -> Obj | None:
    """Return the condition (Complete or Failed) that ended a Job, or None."""
    for found in (job.get("status") or {}).get("conditions") or ():
        if found["type"] in ("Complete", "Failed") and found["status"] == "True":
            return found  # type: ignore[no-any-return]
    return None


class JobController(Controller):
    """Jobs and their pods; `state` holds per Job (failures in a row, moment of the last one)."""

    name: ClassVar[str] = "job"
    component: ClassVar[str] = "job-controller"
    resources: ClassVar[tuple[str, ...]] = ("jobs.batch", "pods")

    def on_change(self, change: Change) -> None:
        """A Job at once; changes of its pods are gathered for a second."""
        if change.resource == "jobs.batch":
            if (
                change.previous is None
                or change.previous["spec"] != change.object["spec"]
                or (
                    change.previous["metadata"].get("deletionTimestamp")
                    != change.object["metadata"].get("deletionTimestamp")
                )
            ):
                self.enqueue(key_of(change.object))
            return
        owner = controller_ref(change.object)
        if owner is None or owner["kind"] != "Job":
            if change.type == "DELETED":
                self._release(change.object)
            return
        if change.type == "DELETED":
            self.enqueue((change.object["metadata"]["namespace"], owner["name"]))
        else:
            key = (change.object["metadata"]["namespace"], owner["name"])
            if self.store.get("jobs.batch", *key) is None:
                self._release(change.object)
                return
            self.wake(key, self.clock.now() + GATHER, "pods")

    def _release(self, pod: Obj) -> None:
        """Take the tracking finalizer off a pod whose Job is gone."""
        current = self.store.get("pods", *key_of(pod))
        if current is not None and TRACKING in (current["metadata"].get("finalizers") or ()):
            self._untrack(current)

    def _untrack(self, pod: Obj) -> None:
        left = [f for f in pod["metadata"].get("finalizers") or () if f != TRACKING]
        self.store.update("pods", with_meta(pod, finalizers=left or None))

    def sync(self, key: Key) -> None:
        """One pass over one Job."""
        job = self.store.get("jobs.batch", *key)
        if job is None:
            self.state.pop(key, None)
            return
        pods = [
            p
            for r, p in self.store.owned_by(job["metadata"]["uid"])
            if r == "pods" and (controller_ref(p) or {}).get("uid") == job["metadata"]["uid"]
        ]
        if "deletionTimestamp" in job["metadata"]:
            for pod in pods:
                self._release(pod)
            return
        if finished(job) is not None:
            for pod in pods:
                self._release(pod)
            self._expire(job, key)
            return
        _Pass(self, job, key, pods).run()

    def _expire(self, job: Obj, key: Key) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        ended = finished(job)
        if ttl is None or ended is None:
            return
        due = parse_iso(ended["lastTransitionTime"]) + ttl
        if self.clock.now() >= due:
            for resource, pod in self.store.owned_by(job["metadata"]["uid"]):
                if resource == "pods":
                    self._release(pod)
            begin_deletion(self.store, "jobs.batch", job, self.clock.now())
        else:
            self.wake(key, due, "ttl")


class _Pass:
    """The reckoning of one pass over a Job that is not finished."""

    def __init__(self, controller: JobController, job: Obj, key: Key, pods: list[Obj]) -> None:
        self.c = controller
        self.job = job
        self.key = key
        self.pods = pods
        self.spec = job["spec"]
        self.now = controller.clock.now()
        self.status: dict[str, Any] = dict((job.get("status") or {}).items())
        self.conditions: list[Obj] = list(self.status.get("conditions") or ())

    def run(self) -> None:
        self._suspension()
        if self._suspended() and not any(pod_active(p) for p in self.pods) and "startTime" not in self.status:
            self._write(active=0, ready=0, terminating=0)
            return
        if "startTime" not in self.status and not self._suspended():
            self.status["startTime"] = iso(self.now)
            self._deadline_timer()
        succeeded, failed = self._count()
        active = [p for p in self.pods if pod_active(p)]
        verdict = self._verdict(succeeded, failed, active)
        target = next((c for c in self.conditions if c["type"] in ("FailureTarget", "SuccessCriteriaMet")), None)
        if verdict is not None and target is None:
            kind = "SuccessCriteriaMet" if verdict[0] == "Complete" else "FailureTarget"
            target = self._set(kind, "True", verdict[1], verdict[2])
        if target is not None:
            self._stop(active)
            pods = [p for _, p in self.c.store.owned_by(self.job["metadata"]["uid"]) if _ == "pods"]
            going = [p for p in pods if "deletionTimestamp" in p["metadata"] and not _ended(p)]
            if not going:
                self._finish(target)
            self._write(active=0, ready=0, terminating=len(going))
            return
        if self._suspended():
            self._stop(active)
            active = []
        else:
            active = self._top_up(active, succeeded, failed)
        ready = sum(1 for p in active if is_true(p, "Ready"))
        terminating = sum(1 for p in self.pods if "deletionTimestamp" in p["metadata"] and not _ended(p))
        self._write(active=len(active), ready=ready, terminating=terminating)

    # reading

    def _suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    def _count(self) -> tuple[int, int]:
        """Count ended pods once each: the tracking finalizer is taken off when one has been counted."""
        succeeded, failed = self.status.get("succeeded", 0), self.status.get("failed", 0)
        streak, last = self.c.state.get(self.key, (0, 0.0))
        for pod in self.pods:
            if TRACKING not in (pod["metadata"].get("finalizers") or ()):
                continue
            phase = pod.get("status", {}).get("phase")
            gone = "deletionTimestamp" in pod["metadata"] and phase not in ("Succeeded", "Failed")
            if phase == "Succeeded":
                succeeded += 1
                streak = 0
                self._note_index(pod)
            elif phase == "Failed" or (gone and self.spec.get("podReplacementPolicy") != "Failed"):
                failed += 1
                streak += 1
                last = max(last, _end_time(pod, self.now))
            else:
                continue
            self.c._untrack(pod)
        self.pods = [p for r, p in self.c.store.owned_by(self.job["metadata"]["uid"]) if r == "pods"]
        self.c.state[self.key] = (streak, last)
        for field, count in (("succeeded", succeeded), ("failed", failed)):
            if count:
                self.status[field] = count
        return succeeded, failed

    def _note_index(self, pod: Obj) -> None:
        index = (pod["metadata"].get("annotations") or {}).get(INDEX)
        if index is None:
            return
        done = {int(n) for n in (self.status.get("completedIndexes") or "").split(",") if n.isdigit()}
        done.add(int(index))
        self.status["completedIndexes"] = ",".join(map(str, sorted(done)))

    def _restarts(self) -> int:
        total = 0
        if self.spec["template"]["spec"].get("restartPolicy") == "OnFailure":
            for pod in self.pods:
                if pod_active(pod):
                    for found in (pod.get("status") or {}).get("containerStatuses") or ():
                        total += found.get("restartCount", 0)
        return total

    def _verdict(self, succeeded: int, failed: int, active: list[Obj]) -> tuple[str, str, str] | None:
        limit = self.spec.get("backoffLimit", 6)
        if failed > limit or (limit >= 0 and self._restarts() > 0 and self._restarts() >= max(limit, 1)):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        seconds = self.spec.get("activeDeadlineSeconds")
        began = self.status.get("startTime")
        if seconds is not None and began and not self._suspended() and self.now - parse_iso(began) >= seconds:
            return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
        completions = self.spec.get("completions")
        if completions is None:
            if succeeded > 0 and not active:
                return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        elif succeeded >= completions:
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        return None

    # acting

    def _suspension(self) -> None:
        noted = next((c for c in self.conditions if c["type"] == "Suspended"), None)
        on = noted is not None and noted["status"] == "True"
        if self._suspended() and not on:
            self._set("Suspended", "True", "JobSuspended", "Job suspended")
            self.status.pop("startTime", None)
            self.c.event(self.job, "Normal", "Suspended", "Job suspended")
        elif not self._suspended() and on:
            self._set("Suspended", "False", "JobResumed", "Job resumed")
            self.status["startTime"] = iso(self.now)
            self._deadline_timer()
            self._resumed = True

    _resumed = False

    def _deadline_timer(self) -> None:
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is not None:
            self.c.wake(self.key, self.now + seconds, "deadline")

    def _stop(self, active: list[Obj]) -> None:
        for pod in active:
            begin_deletion(self.c.store, "pods", pod, self.now)
            self.c.event(self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        for pod in active:
            current = self.c.store.get("pods", *key_of(pod))
            if current is not None and TRACKING in (current["metadata"].get("finalizers") or ()):
                self.status["failed"] = self.status.get("failed", 0) + 1
                self.c._untrack(current)

    def _top_up(self, active: list[Obj], succeeded: int, failed: int) -> list[Obj]:
        parallelism = self.spec.get("parallelism", 1)
        completions = self.spec.get("completions")
        if completions is None:
            wanted = len(active) if succeeded else parallelism
        else:
            wanted = min(parallelism, completions - succeeded)
        if len(active) > wanted:
            for pod in sorted(active, key=lambda p: (is_true(p, "Ready"), p["metadata"]["name"]))[
                : len(active) - wanted
            ]:
                begin_deletion(self.c.store, "pods", pod, self.now)
                self.c.event(self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
            return active[: max(0, wanted)]
        if len(active) == wanted:
            return active
        streak, last = self.c.state.get(self.key, (0, 0.0))
        if streak:
            due = last + min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (streak - 1))
            if self.now < due:
                self.c.wake(self.key, due, "backoff")
                return active
        taken = self._indexes(active)
        made = list(active)
        for _ in range(wanted - len(active)):
            pod = self._new_pod(taken)
            try:
                made.append(self.c.store.create("pods", self.c.control.admit_pod(pod)))
            except AdmissionDenied as denied:
                self.c.event(self.job, "Warning", "FailedCreate", f"Error creating: {denied}")
                self.c.wake(self.key, self.now + BACKOFF_FIRST, "backoff")
                break
            self.c.event(self.job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        if self._resumed:
            self.c.event(self.job, "Normal", "Resumed", "Job resumed")
        return made

    def _indexes(self, active: list[Obj]) -> set[int]:
        taken = {int(n) for n in (self.status.get("completedIndexes") or "").split(",") if n.isdigit()}
        for pod in active:
            index = (pod["metadata"].get("annotations") or {}).get(INDEX)
            if index is not None:
                taken.add(int(index))
        return taken

    def _new_pod(self, taken: set[int]) -> Obj:
        name = self.job["metadata"]["name"]
        indexed = self.spec.get("completionMode") == "Indexed"
        base = f"{name}-"
        if indexed:
            index = next(n for n in range(len(taken) + 1) if n not in taken)
            taken.add(index)
            base = f"{name}-{index}-"
        pod = pod_from_template(self.spec["template"], self.job, base + suffix(self.c.control.rng), generate=base)
        meta = pod["metadata"]
        meta["finalizers"] = [*(meta.get("finalizers") or ()), TRACKING]
        if indexed:
            meta["annotations"] = {**(meta.get("annotations") or {}), INDEX: str(index)}
            meta["labels"] = {**(meta.get("labels") or {}), INDEX: str(index)}
            pod["spec"]["hostname"] = f"{name}-{index}"
            extra = {"name": "JOB_COMPLETION_INDEX", "value": str(index)}
            pod["spec"]["containers"] = [
                {**c, "env": [*(c.get("env") or ()), extra]} for c in pod["spec"]["containers"]
            ]
        return pod

    # writing

    def _set(self, type_: str, status: str, reason: str, message: str) -> Obj:
        entry = {
            "type": type_,
            "status": status,
            "lastProbeTime": iso(self.now),
            "lastTransitionTime": iso(self.now),
            "reason": reason,
            "message": message,
        }
        self.conditions = [*(c for c in self.conditions if c["type"] != type_), entry]
        return entry

    def _finish(self, target: Obj) -> None:
        good = target["type"] == "SuccessCriteriaMet"
        self._set("Complete" if good else "Failed", "True", target["reason"], target["message"])
        if good:
            self.status["completionTime"] = iso(self.now)
            self.c.event(self.job, "Normal", "Completed", "Job completed")
        else:
            self.c.event(self.job, "Warning", target["reason"], target["message"])
        self.c.state.pop(self.key, None)
        if self.spec.get("ttlSecondsAfterFinished") is not None:
            self.c.wake(self.key, self.now + self.spec["ttlSecondsAfterFinished"], "ttl")

    def _write(self, *, active: int, ready: int, terminating: int) -> None:
        status: dict[str, Any] = {}
        if self.conditions:
            status["conditions"] = self.conditions
        for field in ("startTime", "completionTime"):
            if field in self.status:
                status[field] = self.status[field]
        if active:
            status["active"] = active
        for field in ("succeeded", "failed", "completedIndexes"):
            if self.status.get(field):
                status[field] = self.status[field]
        status["terminating"] = terminating
        status["uncountedTerminatedPods"] = {}
        status["ready"] = ready
        current = self.c.store.get("jobs.batch", *self.key)
        if current is not None and current.get("status") != status:
            self.c.store.update("jobs.batch", with_status(current, status))


def _ended(pod: Obj) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _end_time(pod: Obj, now: float) -> float:
    found = [
        parse_iso(c["state"]["terminated"]["finishedAt"])
        for c in (pod.get("status") or {}).get("containerStatuses") or ()
        if (c.get("state", {}).get("terminated") or {}).get("finishedAt")
    ]
    return max(found, default=now)
