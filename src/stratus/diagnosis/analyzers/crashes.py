"""Containers that do not stay up: bad command, bad environment, memory, or something their log tells."""

from __future__ import annotations

import json
import re

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import Difference, Revision, container_of, differences
from stratus.diagnosis.resources import more_memory
from stratus.diagnosis.world import Workload, World, live_pods, note
from stratus.kit.kube import START_REASONS, ContainerView, containers_of, event_message, event_time, moment, name_of
from stratus.kit.text import line, secretive
from stratus.model.base import Json
from stratus.model.evidence import LogLine

_EXEC = re.compile(r"(?i)exec(?:utable)?:? .*(?:not found|no such file|permission denied)|executable file not found|"
                   r"no such file or directory|exec format error|not found in \$PATH")  # fmt: skip
_ENV_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b")
_COMPLAINT = re.compile(
    r"(?i)invalid|missing|required|not set|unset|undefined|must be|must set|empty|cannot parse|could not parse"
    r"|failed to parse|unknown|unsupported|environment|env var|config|bad value|not found in env"
)
_ERROR = re.compile(
    r"(?i)\b(?:error|fatal|panic|exception|fail(?:ed|ure)?|cannot|could not|unable|refused|denied|invalid|missing"
    r"|traceback)\b"
)
RECENT = 900.0


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload and crashing container."""
    found = []
    for w in world.workloads:
        if w.kind == "Job":
            continue
        done: set[str] = set()
        for pod in live_pods(w.pods):
            for c in containers_of(pod):
                if c.name not in done and _crashes(world, c) and not killed_by_probe(world, pod, c):
                    done.add(c.name)
                    found.append(_finding(world, w, pod, c))
    return found


def _crashes(world: World, c: ContainerView) -> bool:
    if c.waiting == "CrashLoopBackOff" or c.waiting in START_REASONS:
        return True
    code, finished = c.ended.get("exitCode"), moment(c.ended.get("finishedAt"))
    if "terminated" in (c.status.get("state") or {}) and code:
        return True
    return bool(c.restarts and code and world.now - finished < RECENT)


def killed_by_probe(world: World, pod: Json, c: ContainerView) -> bool:
    """Whether the kubelet restarts the container because a probe fails."""
    if c.ended.get("reason") == "OOMKilled":
        return False
    finished = moment(c.ended.get("finishedAt"))
    for event in world.events(pod, "Killing"):
        text = event_message(event)
        if "probe" in text and f" {c.name} " in f" {text} " and event_time(event) >= finished - 120.0:
            return True
    return False


def _finding(world: World, w: Workload, pod: Json, c: ContainerView) -> Finding:
    code = c.ended.get("exitCode")
    good = _good(w, pod)
    diffs = differences(good.template, w.template) if good else []
    mine = [d for d in diffs if d.container in ("", c.name)]
    lines = [e for e in world.logs([pod]) if e.container == c.name]
    telling = _telling(lines)
    state = c.waiting or c.ended.get("reason", "")
    seen = note("object", f"pod {name_of(pod)}: container {c.name} {state}, exit code {code}, "
                f"{c.restarts} restarts: {c.ended.get('message') or c.message}", pod, service=w.service,
                at=moment(c.ended.get("finishedAt")), exit_code=code, restarts=c.restarts)  # fmt: skip
    if c.ended.get("reason") == "OOMKilled":
        finding = _memory(w, c, good, mine)
    elif c.waiting in START_REASONS or c.ended.get("reason") in START_REASONS or code in (126, 127, 128):
        finding = _start(world, w, c, good, mine)
    else:
        finding = _exit(world, w, c, good, mine, telling)
    finding.facts.setdefault("container", c.name)
    finding.facts.setdefault("pod", name_of(pod))
    finding.pro.insert(0, seen)
    finding.pro += [note("log", f"{c.name}: {text}", pod, service=w.service) for text in telling[:2]]
    went_back(finding, w, good, diffs)
    return finding


def _good(w: Workload, pod: Json) -> Revision | None:
    """Return the revision to go back to, unless the crashing pod belongs to it."""
    if not w.back:
        return None
    if w.kind == "Deployment" and pod not in w.newest_pods:
        return None
    return w.back[0]


def _telling(lines: list[LogLine]) -> list[str]:
    """Return the last complaining lines of a log, newest first; else its last line."""
    texts = [e.text for e in lines]
    bad = [t for t in texts if _ERROR.search(t)]
    chosen = bad[-3:] or texts[-1:]
    return list(dict.fromkeys(line(t, 200) for t in reversed(chosen)))


def _memory(w: Workload, c: ContainerView, good: Revision | None, mine: list[Difference]) -> Finding:
    limit = (c.spec.get("resources") or {}).get("limits", {}).get("memory")
    was = (container_of(good.template, c.name).get("resources") or {}).get("limits", {}).get("memory") if good else None
    suggested = more_memory(limit, was)
    changed = next((d for d in mine if d.area == "resources"), None)
    text = f"{w.title}: container {c.name} is killed at its memory limit" + (f" of {limit}" if limit else "")
    if changed and was:
        text += f" (it was {was} before)"
    finding = about(w, "oom_killed", text, 0.93 if changed else 0.88, settled=True, container=c.name,
                    memory_limit=suggested)  # fmt: skip
    if limit is None:
        finding.con.append(note("object", f"container {c.name} has no memory limit: the node itself ran short", w.obj))
    return finding


def _start(world: World, w: Workload, c: ContainerView, good: Revision | None, mine: list[Difference]) -> Finding:
    message = str(c.ended.get("message") or c.message)
    if not _EXEC.search(message) and c.waiting in ("CreateContainerError",):
        return about(w, "crash_loop", f"{w.title}: container {c.name} cannot be created: {line(message, 120)}", 0.7,
                     container=c.name)  # fmt: skip
    changed = [d for d in mine if d.area == "command"]
    image = [d for d in mine if d.area == "image"]
    if image and not changed:
        return about(w, "bad_change", f"{w.title}: the new image {image[0].new} has no such command", 0.9, settled=True,
                     container=c.name, image=image[0].new, good_image=image[0].old)  # fmt: skip
    command = [*(c.spec.get("command") or ()), *(c.spec.get("args") or ())]
    text = f"{w.title}: the command of container {c.name} cannot be run: {line(' '.join(map(str, command)), 80)}"
    finding = about(w, "bad_command", text, 0.95 if changed or message else 0.88, settled=True, container=c.name)
    finding.facts.update(_right_command(world, w, c, good))
    return finding


def _right_command(world: World, w: Workload, c: ContainerView, good: Revision | None) -> Json:
    """Return command and args as they were in the good revision, else as a sibling with the same image has them."""
    source: Json | None = None
    if c.init:
        return {}
    if good is not None:
        source = container_of(good.template, c.name) or None
    if source is None:
        for other in world.workloads:
            same = [o for o in other.spec.get("containers") or () if o.get("image") == c.spec.get("image")]
            if other is not w and same and other.ready:
                source = same[0]
                break
    if source is None:
        return {"command_json": "null", "args_json": "null"} if c.spec.get("command") or c.spec.get("args") else {}
    return {f"{field}_json": json.dumps(source.get(field)) for field in ("command", "args")}


def _exit(
    world: World, w: Workload, c: ContainerView, good: Revision | None, mine: list[Difference], telling: list[str]
) -> Finding:
    by_area = {
        area: [d for d in mine if d.area == area] for area in ("command", "env", "image", "resources", "volumes")
    }
    named = {n for text in telling for n in _ENV_NAME.findall(text)}
    code = c.ended.get("exitCode")
    proof = 0.04 if good is not None and good.ready else 0.0
    if by_area["command"]:
        finding = about(w, "bad_command", f"{w.title}: container {c.name} ends with exit code {code} since its "
                        f"command was changed ({by_area['command'][0]})", 0.9 + proof, settled=True)  # fmt: skip
        finding.facts.update(_right_command(world, w, c, good))
        return finding
    if by_area["env"] and not by_area["image"]:
        return bad_env(w, c.name, by_area["env"], named, 0.88 + proof,
                       f"container {c.name} ends with exit code {code} since its environment was changed")  # fmt: skip
    if by_area["image"]:
        diff = by_area["image"][0]
        text = f"{w.title}: container {c.name} crashes since its image was changed to {diff.new}"
        return about(w, "bad_change", text, 0.88 + proof, settled=True,
                     container=c.name, image=diff.new, good_image=diff.old)  # fmt: skip
    if mine:
        return about(
            w, "bad_change", f"{w.title}: container {c.name} crashes since {mine[0]}", 0.82 + proof, settled=True
        )
    declared = {e["name"] for e in c.spec.get("env") or ()}
    complaint = next((t for t in telling if _COMPLAINT.search(t)), "")
    wrong = [n for n in _ENV_NAME.findall(complaint) if n in declared] if complaint else []
    lacking = [n for n in _ENV_NAME.findall(complaint) if n not in declared and "_" in n] if complaint else []
    if wrong or lacking:
        name = (wrong or lacking)[0]
        what = "a value it does not accept" if wrong else "no value"
        return about(w, "bad_env", f"{w.title}: container {c.name} ends because {name} has {what}", 0.72, env=name,
                     **_sibling_env(world, w, name))  # fmt: skip
    if c.spec.get("command") or c.spec.get("args"):
        run = moment(c.ended.get("finishedAt")) - moment(c.ended.get("startedAt"))
        if run <= 2.0 and not telling and not good:
            finding = about(w, "bad_command", f"{w.title}: container {c.name} ends at once and without a word "
                            f"(exit code {code}); its command overrides the image's", 0.6)  # fmt: skip
            finding.facts.update(_right_command(world, w, c, good))
            return finding
    told = f": {telling[0]}" if telling else ""
    return about(w, "crash_loop", f"{w.title}: container {c.name} ends with exit code {code}{told}", 0.5)


def bad_env(
    w: Workload, container: str, diffs: list[Difference], named: set[str], confidence: float, text: str
) -> Finding:
    """Blame a changed variable: the one that the log names, else the first that differs."""
    diffs = sorted(diffs, key=lambda d: d.path.partition(" ")[2] not in named)
    diff = diffs[0]
    name = diff.path.partition(" ")[2]
    finding = about(w, "bad_env", f"{w.title}: {text} ({'; '.join(str(d) for d in diffs[:3])})", confidence,
                    settled=True, container=container, env=name)  # fmt: skip
    if diff.old is None:
        finding.facts["extra_env"] = name
    elif isinstance(diff.old, str) and not secretive(name):
        finding.facts["env_value"] = diff.old
    if name in named:
        finding.pro.append(note("log", f"the log of container {container} names {name}", w.obj, service=w.service))
    return finding


def _sibling_env(world: World, w: Workload, name: str) -> Json:
    """Return the value that other workloads give the same variable, when all of them agree."""
    if secretive(name):
        return {}
    values = {
        str(e["value"])
        for other in world.workloads
        if other is not w and other.namespace == w.namespace
        for c in other.spec.get("containers") or ()
        for e in c.get("env") or ()
        if e["name"] == name and e.get("value")
    }
    return {"env_value": values.pop()} if len(values) == 1 else {}
