"""Starts Jobs on a schedule, honours the concurrency policy and keeps a bounded history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, controller_ref, key_of, owner_reference, with_status
from stratus.sim.controllers.job import finished
from stratus.sim.store import Change, Obj

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NAMES = {
    name: str(n)
    for names, start in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for n, name in enumerate(names.split(), start)
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Schedule:
    """A cron expression of five fields.

    Raises:
        ValueError: it cannot be read.
    """

    def __init__(self, text: str) -> None:
        fields = _MACROS.get(text.strip().lower(), text).split()
        if len(fields) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text}")
        self.sets = [_field(field, *limits) for field, limits in zip(fields, _RANGES, strict=True)]
        self.any_day = fields[2].startswith(("*", "?"))
        self.any_weekday = fields[4].startswith(("*", "?"))
        if 7 in self.sets[4]:
            self.sets[4].add(0)

    def _day(self, moment: datetime) -> bool:
        day = moment.day in self.sets[2]
        weekday = (moment.weekday() + 1) % 7 in self.sets[4]
        if self.any_day or self.any_weekday:
            return day and weekday
        return day or weekday

    def after(self, moment: datetime) -> datetime | None:
        """Return the first scheduled minute after a moment, None when there is none within five years."""
        found = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        limit = found + timedelta(days=366 * 5)
        while found < limit:
            if found.month not in self.sets[3] or not self._day(found):
                found = found.replace(hour=0, minute=0) + timedelta(days=1)
            elif found.hour not in self.sets[1]:
                found = found.replace(minute=0) + timedelta(hours=1)
            elif found.minute not in self.sets[0]:
                found += timedelta(minutes=1)
            else:
                return found
        return None


def _field(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        body, _, step = part.partition("/")
        body = _NAMES.get(body, body)
        if body in ("*", "?"):
            first, last = low, high
        elif "-" in body:
            a, _, b = body.partition("-")
            first, last = int(_NAMES.get(a, a)), int(_NAMES.get(b, b))
        else:
            first = int(body)
            last = high if step else first
        if not low <= first <= last <= high:
            raise ValueError(f"{part} is out of range {low}-{high}")
        values |= set(range(first, last + 1, int(step or 1)))
    return values


class CronJobController(Controller):
    """CronJobs and their Jobs; `state` holds the last minute looked at per CronJob."""

    name: ClassVar[str] = "cronjob"
    component: ClassVar[str] = "cronjob-controller"
    resources: ClassVar[tuple[str, ...]] = ("cronjobs.batch", "jobs.batch")

    def on_change(self, change: Change) -> None:
        """A CronJob, or one of its Jobs."""
        if change.resource == "cronjobs.batch":
            self.enqueue(key_of(change.object))
            return
        owner = controller_ref(change.object)
        if owner is not None and owner["kind"] == "CronJob":
            self.enqueue((change.object["metadata"]["namespace"], owner["name"]))

    def sync(self, key: Key) -> None:
        """Start what is due, note what has ended, drop old history, and wait for the next minute."""
        cron = self.store.get("cronjobs.batch", *key)
        if cron is None or "deletionTimestamp" in cron["metadata"]:
            return
        spec = cron["spec"]
        owned = [j for r, j in self.store.owned_by(cron["metadata"]["uid"]) if r == "jobs.batch"]
        jobs = [j for j in owned if "deletionTimestamp" not in j["metadata"]]
        status: dict[str, Any] = dict(cron.get("status") or {})
        active = list(status.get("active") or ())
        known = {ref["uid"] for ref in active}
        there = {j["metadata"]["uid"] for j in owned}
        for ref in active:
            if ref["uid"] not in there:
                self.event(cron, "Normal", "MissingJob", f"Active job went missing: {ref['name']}")
        for job in jobs:
            if job["metadata"]["uid"] not in known and finished(job) is None:
                text = f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}"
                self.event(cron, "Warning", "UnexpectedJob", text)
        status["active"] = [ref for ref in active if ref["uid"] in there]
        self._history(cron, jobs)
        for job in jobs:
            ended = finished(job)
            if ended is None or job["metadata"]["uid"] not in known:
                continue
            text = f"Saw completed job: {job['metadata']['name']}, condition: {ended['type']}"
            self.event(cron, "Normal", "SawCompletedJob", text)
            status["active"] = [ref for ref in status["active"] if ref["uid"] != job["metadata"]["uid"]]
            if ended["type"] == "Complete":
                status["lastSuccessfulTime"] = (job.get("status") or {}).get("completionTime", iso(self.clock.now()))
        if not spec.get("suspend"):
            self._due(cron, key, jobs, status)
        if not status["active"]:
            del status["active"]
        status = {k: status[k] for k in ("active", "lastScheduleTime", "lastSuccessfulTime") if k in status}
        current = self.store.get("cronjobs.batch", *key)
        if current is not None and (current.get("status") or {}) != status:
            self.store.update("cronjobs.batch", with_status(current, status))

    def _due(self, cron: Obj, key: Key, jobs: list[Obj], status: dict[str, Any]) -> None:
        spec = cron["spec"]
        try:
            schedule = Schedule(spec["schedule"])
            zone: Any = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else UTC
        except (ValueError, ZoneInfoNotFoundError) as error:
            if self.state.get(key) != "bad":
                self.event(
                    cron, "Warning", "UnparseableSchedule", f"unparseable schedule: {spec['schedule']!r} : {error}"
                )
                self.state[key] = "bad"
            return
        now = datetime.fromtimestamp(self.clock.now(), zone)
        since = parse_iso(status.get("lastScheduleTime") or cron["metadata"]["creationTimestamp"])
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None:
            since = max(since, self.clock.now() - deadline)
        due: datetime | None = None
        upcoming = schedule.after(datetime.fromtimestamp(since, zone))
        count = 0
        while upcoming is not None and upcoming <= now:
            due = upcoming
            count += 1
            if count > 100:
                self.event(cron, "Warning", "TooManyMissedTimes", "too many missed start times. Set or decrease "
                           ".spec.startingDeadlineSeconds or check clock skew")  # fmt: skip
                due = now.replace(second=0, microsecond=0)
                break
            upcoming = schedule.after(upcoming)
        if due is not None:
            self._start(cron, jobs, status, due)
        following = schedule.after(now)
        if following is not None:
            self.wake(key, following.timestamp() + 0.1, "schedule")

    def _start(self, cron: Obj, jobs: list[Obj], status: dict[str, Any], due: datetime) -> None:
        spec = cron["spec"]
        running = [j for j in jobs if finished(j) is None]
        if running and spec.get("concurrencyPolicy") == "Forbid":
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.event(cron, "Normal", "JobAlreadyActive", text)
            return
        if running and spec.get("concurrencyPolicy") == "Replace":
            for job in running:
                self._delete(cron, job)
            status["active"] = []
        name = f"{cron['metadata']['name']}-{int(due.timestamp()) // 60}"
        moment = iso(due.timestamp())
        status["lastScheduleTime"] = moment
        if self.store.get("jobs.batch", cron["metadata"]["namespace"], name) is not None:
            return
        job = self.store.create("jobs.batch", self._job(cron, name, moment))
        self.event(cron, "Normal", "SuccessfulCreate", f"Created job {name}")
        reference = {
            "kind": "Job",
            "namespace": job["metadata"]["namespace"],
            "name": name,
            "uid": job["metadata"]["uid"],
            "apiVersion": "batch/v1",
            "resourceVersion": job["metadata"]["resourceVersion"],
        }
        status["active"] = [*status.get("active", ()), reference]

    def _job(self, cron: Obj, name: str, moment: str) -> Obj:
        template = cron["spec"]["jobTemplate"]
        source = template.get("metadata") or {}
        uid = self.store.new_uid()
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
        spec = dict(template["spec"])
        pod = dict(spec["template"])
        meta = dict(pod.get("metadata") or {})
        pod["metadata"] = {**meta, "labels": {**(meta.get("labels") or {}), **labels}}
        defaults = {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "manualSelector": False,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        }
        spec = {**defaults, **spec, "template": pod}
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        annotations = {
            **(source.get("annotations") or {}),
            "batch.kubernetes.io/cronjob-scheduled-timestamp": moment,
        }
        return {
            "kind": "Job",
            "apiVersion": "batch/v1",
            "metadata": {
                "name": name,
                "namespace": cron["metadata"]["namespace"],
                "uid": uid,
                "labels": {**(source.get("labels") or {}), **labels},
                "annotations": annotations,
                "ownerReferences": [owner_reference(cron)],
            },
            "spec": spec,
            "status": {},
        }

    def _delete(self, cron: Obj, job: Obj) -> None:
        begin_deletion(self.store, "jobs.batch", job, self.clock.now())
        self.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {job['metadata']['name']}")

    def _history(self, cron: Obj, jobs: list[Obj]) -> None:
        for type_, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            ended = [j for j in jobs if (finished(j) or {}).get("type") == type_]
            ended.sort(key=lambda j: (j["metadata"]["creationTimestamp"], j["metadata"]["name"]))
            for job in ended[: max(0, len(ended) - cron["spec"].get(field, default))]:
                self._delete(cron, job)
