"""Runs Jobs to completion: makes pods, counts how they end, backs off, gives up, suspends, and cleans up by TTL."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers import jobrules as rules
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    AdmissionDenied,
    NamespaceTerminating,
    begin_deletion,
    controller_ref,
    is_true,
    key_of,
    pod_active,
    pod_finished,
    pod_from_template,
    suffix,
    with_meta,
    with_status,
)
from stratus.sim.store import Change, Obj

TRACKING = "batch.kubernetes.io/job-tracking"
#: Seconds by which the controller gathers changes of pods, counted from the first.
GATHER = 1.0


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

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Its own pods, and those that are gone."""
        return owner == "Job" or change == "DELETED"

    def on_change(self, change: Change) -> None:
        """A Job at once; changes of its pods are gathered for a second."""
        if change.resource == "jobs.batch":
            before, after = change.previous, change.object
            if (
                before is None
                or before["spec"] != after["spec"]
                or (before["metadata"].get("deletionTimestamp") != after["metadata"].get("deletionTimestamp"))
            ):
                self.enqueue(key_of(after))
            return
        owner = controller_ref(change.object)
        if owner is None or owner["kind"] != "Job":
            if change.type == "DELETED":
                self._release(change.object)
            return
        key = (change.object["metadata"]["namespace"], owner["name"])
        if change.type == "DELETED":
            self.enqueue(key)
        elif self.store.get("jobs.batch", *key) is None:
            self._release(change.object)
        elif (self.name, key, "pods") not in self.control.timers:
            self.wake(key, self.clock.now() + GATHER, "pods")

    def _release(self, pod: Obj) -> None:
        """Take the tracking finalizer off a pod whose Job is gone."""
        current = self.store.get("pods", *key_of(pod))
        if current is not None and TRACKING in (current["metadata"].get("finalizers") or ()):
            self.untrack(current)

    def untrack(self, pod: Obj) -> None:
        """Take the tracking finalizer off a pod that has been counted."""
        left = [f for f in pod["metadata"].get("finalizers") or () if f != TRACKING]
        self.store.update("pods", with_meta(pod, finalizers=left or None))

    def pods_of(self, job: Obj) -> list[Obj]:
        """Return the pods a Job controls."""
        uid = job["metadata"]["uid"]
        return [p for r, p in self.store.owned_by(uid) if r == "pods" and (controller_ref(p) or {}).get("uid") == uid]

    def sync(self, key: Key) -> None:
        """One pass over one Job."""
        job = self.store.get("jobs.batch", *key)
        if job is None:
            self.state.pop(key, None)
            return
        if "deletionTimestamp" in job["metadata"]:
            for pod in self.pods_of(job):
                self._release(pod)
        elif finished(job) is not None:
            for pod in self.pods_of(job):
                self._release(pod)
            self._expire(job, key)
        elif job["spec"].get("managedBy") in (None, "kubernetes.io/job-controller"):
            _Pass(self, job, key).run()

    def _expire(self, job: Obj, key: Key) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        ended = finished(job)
        if ttl is None or ended is None:
            return
        due = parse_iso(ended["lastTransitionTime"]) + ttl
        now = self.clock.now()
        if now < due:
            self.wake(key, due, "ttl")
            return
        # Its pods go first: the deletion is a foreground one.
        meta = job["metadata"]
        grown = {"generation": meta["generation"] + 1} if "generation" in meta else {}
        finalizers = [*(meta.get("finalizers") or ()), "foregroundDeletion"]
        self.store.update(
            "jobs.batch",
            with_meta(job, deletionTimestamp=iso(now), deletionGracePeriodSeconds=0, finalizers=finalizers, **grown),
        )


class _Pass:
    """The reckoning of one pass over a Job that is not finished."""

    def __init__(self, controller: JobController, job: Obj, key: Key) -> None:
        self.c = controller
        self.job = job
        self.key = key
        self.pods = controller.pods_of(job)
        self.spec = job["spec"]
        self.now = controller.clock.now()
        self.status: dict[str, Any] = dict(job.get("status") or {})
        self.conditions: list[Obj] = list(self.status.get("conditions") or ())
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.done = rules.indexes(self.status.get("completedIndexes"))
        self.lost = rules.indexes(self.status.get("failedIndexes"))
        self.resumed = False
        #: What a pod failure policy says of the whole Job.
        self.policy_failure = ""

    def run(self) -> None:
        self._suspension()
        if "startTime" not in self.status and not self._suspended():
            self.status["startTime"] = iso(self.now)
            self._deadline_timer()
        ended = self._ended()
        succeeded = self.status.get("succeeded", 0) + len(ended["succeeded"])
        failed = self.status.get("failed", 0) + len(ended["failed"])
        active = [p for p in self.pods if pod_active(p)]
        target = next((c for c in self.conditions if c["type"] in ("FailureTarget", "SuccessCriteriaMet")), None)
        if target is None:
            target = self._verdict(succeeded, failed, active)
        if target is not None:
            ended["failed"] += self._stop(active)
            active = []
        elif self._suspended():
            ended["failed"] += self._stop(active) if active else []
            active = []
        else:
            active = self._manage(active, succeeded)
        self._settle(ended, target, active)

    # reading

    def _suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    def _ended(self) -> dict[str, list[Obj]]:
        """Return the pods that have ended and are not counted yet; note what follows for indexes and back-off."""
        found: dict[str, list[Obj]] = {"succeeded": [], "failed": [], "ignored": []}
        streak, last = self.c.state.get(self.key, (0, 0.0))
        for pod in sorted(self.pods, key=lambda p: rules.end_time(p, self.now)):
            if TRACKING not in (pod["metadata"].get("finalizers") or ()):
                continue
            if (pod.get("status") or {}).get("phase") == "Succeeded":
                found["succeeded"].append(pod)
                streak = 0
                self._note_done(pod)
            elif rules.has_failed(pod, self.spec):
                said = rules.judge(pod, self.spec.get("podFailurePolicy"))
                if said.action == "FailJob" and not self.policy_failure:
                    self.policy_failure = said.message
                if said.action == "Ignore":
                    found["ignored"].append(pod)
                    continue
                if self._per_index() and self._keeps(pod, said):
                    continue
                found["failed"].append(pod)
                streak += 1
                last = max(last, rules.end_time(pod, self.now))
        self.c.state[self.key] = (streak, last)
        return found

    def _note_done(self, pod: Obj) -> None:
        index = rules.index_of(pod)
        if self.indexed and index is not None and index < self.spec.get("completions", 1):
            self.done.add(index)
            self.lost.discard(index)

    def _per_index(self) -> bool:
        return self.indexed and self.spec.get("backoffLimitPerIndex") is not None

    def _keeps(self, pod: Obj, said: rules.Judgement) -> bool:
        """Tell whether a failed pod stays uncounted until its index has a new one; note indexes that are lost."""
        index = rules.index_of(pod)
        if index is None or index in self.done:
            return False
        if said.action == "FailIndex" or rules.noted(pod, rules.FAILURES) >= self.spec["backoffLimitPerIndex"]:
            self.lost.add(index)
            return False
        newer = any(
            rules.index_of(p) == index and p["metadata"]["uid"] != pod["metadata"]["uid"] and self._newer(p, pod)
            for p in self.pods
        )
        return not newer and not self._suspended()

    @staticmethod
    def _newer(one: Obj, other: Obj) -> bool:
        def rank(pod: Obj) -> tuple[int, int, str]:
            counted = rules.noted(pod, rules.FAILURES) + rules.noted(pod, rules.IGNORED)
            return counted, 0 if pod_finished(pod) else 1, pod["metadata"]["creationTimestamp"]

        return rank(one) > rank(other)

    def _restarts(self) -> int:
        if self.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return 0
        return sum(
            found.get("restartCount", 0)
            for pod in self.pods
            if pod_active(pod)
            for group in ("containerStatuses", "initContainerStatuses")
            for found in (pod.get("status") or {}).get(group) or ()
        )

    def _verdict(self, succeeded: int, failed: int, active: list[Obj]) -> Obj | None:
        """Return the condition that says what the Job is coming to, set now, or None while it goes on."""
        limit, restarts = self.spec.get("backoffLimit", 6), self._restarts()
        seconds, began = self.spec.get("activeDeadlineSeconds"), self.status.get("startTime")
        completions = self.spec.get("completions")
        most = self.spec.get("maxFailedIndexes")
        if self.policy_failure:
            return self._set("FailureTarget", "PodFailurePolicy", self.policy_failure)
        if failed > limit or (restarts > 0 and restarts >= max(limit, 1)):
            return self._set("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        if seconds is not None and began and not self._suspended() and self.now - parse_iso(began) >= seconds:
            return self._set("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
        if self._per_index():
            if most is not None and len(self.lost) > most:
                text = "Job has exceeded the specified maximal number of failed indexes"
                return self._set("FailureTarget", "MaxFailedIndexesExceeded", text)
            if self.lost and len(self.lost) + len(self.done) >= (completions or 0):
                return self._set("FailureTarget", "FailedIndexes", "Job has failed indexes")
        if self.indexed and self.spec.get("successPolicy"):
            number = rules.success_rule(self.spec["successPolicy"], self.done, completions or 0)
            if number is not None:
                return self._set("SuccessCriteriaMet", "SuccessPolicy", f"Matched rules at index {number}")
        reached = "Reached expected number of succeeded pods"
        if completions is None:
            # Without a number, one success and nobody left is the end.
            if succeeded > 0 and not active:
                return self._set("SuccessCriteriaMet", "CompletionsReached", reached)
        elif (len(self.done) if self.indexed else succeeded) >= completions:
            return self._set("SuccessCriteriaMet", "CompletionsReached", reached)
        return None

    # acting

    def _suspension(self) -> None:
        known = next((c for c in self.conditions if c["type"] == "Suspended"), None)
        on = known is not None and known["status"] == "True"
        if self._suspended() and not on:
            self._set("Suspended", "JobSuspended", "Job suspended")
            self.status.pop("startTime", None)
            self.c.event(self.job, "Normal", "Suspended", "Job suspended")
        elif not self._suspended() and on:
            self._set("Suspended", "JobResumed", "Job resumed", status="False")
            self.status["startTime"] = iso(self.now)
            self._deadline_timer()
            self.resumed = True

    def _deadline_timer(self) -> None:
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is not None:
            self.c.wake(self.key, self.now + seconds, "deadline")

    def _delete(self, pod: Obj) -> None:
        begin_deletion(self.c.store, "pods", pod, self.now)
        self.c.event(self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    def _stop(self, active: list[Obj]) -> list[Obj]:
        """Delete pods that run; return those that count as failed by that alone."""
        counted = []
        for pod in active:
            self._delete(pod)
            current = self.c.store.get("pods", *key_of(pod))
            if current is None or TRACKING not in (current["metadata"].get("finalizers") or ()):
                continue
            if rules.has_failed(current, self.spec):
                counted.append(current)
        return counted

    def _manage(self, active: list[Obj], succeeded: int) -> list[Obj]:
        """Make the pods that are missing, delete those that are too many; return who is active then."""
        parallelism, completions = self.spec.get("parallelism", 1), self.spec.get("completions")
        if completions is None:
            wanted = len(active) if succeeded else parallelism
        else:
            over = len(self.done) + len(self.lost) if self.indexed else succeeded
            wanted = min(parallelism, max(0, completions - over))
        if len(active) > wanted:
            for pod in sorted(active, key=self._rank)[: len(active) - wanted]:
                self._delete(pod)
            return active[: max(0, wanted)]
        leaving = 0
        if waits := rules.waits_for_failed(self.spec):
            leaving = sum(1 for p in self.pods if "deletionTimestamp" in p["metadata"] and not pod_finished(p))
        missing = wanted - len(active) - leaving
        made = list(active)
        if missing > 0 and not self._backs_off():
            made += self._create(missing, active, waits)
        if self.resumed:
            self.c.event(self.job, "Normal", "Resumed", "Job resumed")
        return made

    @staticmethod
    def _rank(pod: Obj) -> tuple[bool, bool, str]:
        return bool(pod["spec"].get("nodeName")), is_true(pod, "Ready"), pod["metadata"]["name"]

    def _backs_off(self) -> bool:
        if self._per_index():
            return False
        streak, last = self.c.state.get(self.key, (0, 0.0))
        due = last + rules.backoff(streak)
        if self.now >= due:
            return False
        self.c.wake(self.key, due, "backoff")
        return True

    def _create(self, missing: int, active: list[Obj], waits: bool) -> list[Obj]:
        made: list[Obj] = []
        free = self._free_indexes(active, waits)[:missing] if self.indexed else [-1] * missing
        for index in free:
            before = self._last_failed(index) if self._per_index() else None
            if before is not None:
                due = rules.end_time(before, self.now) + rules.backoff(rules.noted(before, rules.FAILURES) + 1)
                if self.now < due:
                    self.c.wake(self.key, due, f"backoff {index}")
                    continue
            pod = self._new_pod(index, before)
            try:
                made.append(self.c.store.create("pods", self.c.control.admit_pod(pod)))
            except NamespaceTerminating:
                break
            except AdmissionDenied as denied:
                self.c.event(self.job, "Warning", "FailedCreate", f"Error creating: {denied}")
                self.c.wake(self.key, self.now + rules.BACKOFF_FIRST, "backoff")
                break
            self.c.event(self.job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return made

    def _free_indexes(self, active: list[Obj], waits: bool) -> list[int]:
        taken = self.done | self.lost
        for pod in self.pods if waits else active:
            index = rules.index_of(pod)
            if index is not None and not pod_finished(pod):
                taken.add(index)
        return [n for n in range(self.spec.get("completions") or 0) if n not in taken]

    def _last_failed(self, index: int) -> Obj | None:
        """Return the failed pod of an index that is waiting for its successor."""
        found = [
            p
            for p in self.pods
            if rules.index_of(p) == index
            and TRACKING in (p["metadata"].get("finalizers") or ())
            and rules.has_failed(p, self.spec)
        ]
        return max(found, key=lambda p: rules.noted(p, rules.FAILURES), default=None)

    def _new_pod(self, index: int, before: Obj | None) -> Obj:
        name = self.job["metadata"]["name"]
        base = f"{name}-{index}-" if self.indexed else f"{name}-"
        pod = pod_from_template(self.spec["template"], self.job, base + suffix(self.c.control.rng), generate=base)
        meta = pod["metadata"]
        meta["finalizers"] = [*(meta.get("finalizers") or ()), TRACKING]
        if self.indexed:
            meta["annotations"] = {**(meta.get("annotations") or {}), rules.INDEX: str(index)}
            if self._per_index():
                count = 0 if before is None else rules.noted(before, rules.FAILURES) + 1
                meta["annotations"][rules.FAILURES] = str(count)
            meta["labels"] = {**(meta.get("labels") or {}), rules.INDEX: str(index)}
            pod["spec"]["hostname"] = f"{name}-{index}"
            path = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{rules.INDEX}']"}}
            extra = {"name": "JOB_COMPLETION_INDEX", "valueFrom": path}
            for group in ("initContainers", "containers"):
                if pod["spec"].get(group):
                    pod["spec"][group] = [{**c, "env": [*(c.get("env") or ()), extra]} for c in pod["spec"][group]]
        return pod

    # writing

    def _set(self, type_: str, reason: str, message: str, *, status: str = "True") -> Obj:
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

    def _settle(self, ended: dict[str, list[Obj]], target: Obj | None, active: list[Obj]) -> None:
        """Write who has ended, take the finalizers off, then write the counts and, if nobody is left, the end."""
        ready = sum(1 for p in active if is_true(p, "Ready"))
        pods = self.c.pods_of(self.job)
        leaving = [p for p in pods if "deletionTimestamp" in p["metadata"] and not pod_finished(p)]
        if self.indexed:
            self.status["completedIndexes"] = rules.intervals(self.done)
        if self._per_index():
            self.status["failedIndexes"] = rules.intervals(self.lost)
        uncounted = {
            kind: [p["metadata"]["uid"] for p in ended[kind]] for kind in ("succeeded", "failed") if ended[kind]
        }
        if uncounted:
            self._write(len(active), ready, len(leaving), uncounted)
            for kind in uncounted:
                self.status[kind] = self.status.get(kind, 0) + len(ended[kind])
        for pod in [p for group in ended.values() for p in group]:
            current = self.c.store.get("pods", *key_of(pod))
            if current is not None and TRACKING in (current["metadata"].get("finalizers") or ()):
                self.c.untrack(current)
        if target is not None and not leaving and not active:
            self._finish(target)
        self._write(len(active), ready, len(leaving), {})
        if target is not None and not leaving and not active:
            self._tell(target)

    def _finish(self, target: Obj) -> None:
        good = target["type"] == "SuccessCriteriaMet"
        self._set("Complete" if good else "Failed", target["reason"], target["message"])
        if good:
            self.status["completionTime"] = iso(self.now)
        self.c.state.pop(self.key, None)
        if self.spec.get("ttlSecondsAfterFinished") is not None:
            self.c.wake(self.key, self.now + self.spec["ttlSecondsAfterFinished"], "ttl")

    def _tell(self, target: Obj) -> None:
        if target["type"] == "SuccessCriteriaMet":
            self.c.event(self.job, "Normal", "Completed", "Job completed")
        else:
            self.c.event(self.job, "Warning", target["reason"], target["message"])

    def _write(self, active: int, ready: int, terminating: int, uncounted: dict[str, list[str]]) -> None:
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
        if self._per_index():
            status["failedIndexes"] = self.status["failedIndexes"]
        status["uncountedTerminatedPods"] = uncounted
        status["ready"] = ready
        current = self.c.store.get("jobs.batch", *self.key)
        if current is not None and current.get("status") != status:
            self.c.store.update("jobs.batch", with_status(current, status))
