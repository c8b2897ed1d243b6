"""Runs the postStart and preStop hooks of containers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.kubelet.kubelet import Kubelet


def takes(handler: Obj) -> float:
    """Return the seconds a hook sleeps, as far as its text says so."""
    if handler.get("sleep"):
        return float(handler["sleep"].get("seconds") or 0)
    words = " ".join((handler.get("exec") or {}).get("command") or ()).replace(";", " ; ").replace("&", " & ").split()
    total = 0.0
    for first, second in itertools.pairwise(words):
        if first.rpartition("/")[2] == "sleep" and second.rstrip("s").replace(".", "", 1).isdigit():
            total += float(second.rstrip("s"))
    return total


def run(kubelet: Kubelet, pod: Obj, spec: Obj, handler: Obj) -> str:
    """Run a hook inside a container; return what went wrong, in the kubelet's words, or nothing."""
    meta = pod["metadata"]
    whole = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
    if handler.get("exec") is not None:
        argv = list(handler["exec"].get("command") or ())
        done = kubelet.control.runtime.exec(pod, spec, argv, "")
        if done.exit_code == 0:
            return ""
        if "exec failed" in done.stderr or (done.exit_code in (126, 127) and not done.stdout and not done.stderr):
            why = f"rpc error: code = Unknown desc = failed to exec in container: {done.stderr.strip()}"
        else:
            why = f"command '{' '.join(argv)}' exited with {done.exit_code}: {done.stderr}"
        output = (done.stdout + done.stderr).replace("\n", "\\n")
        return (
            f'Exec lifecycle hook ([{" ".join(argv)}]) for Container "{spec["name"]}" in Pod "{whole}" failed - '
            f'error: {why}, message: "{output}"'
        )
    if handler.get("httpGet") is not None:
        got = kubelet.control.runtime.probe(pod, spec, {"httpGet": handler["httpGet"], "timeoutSeconds": 1})
        # An answer of any status will do; what matters is that there is one.
        if got.ok or "statuscode" in got.message:
            return ""
        path = handler["httpGet"].get("path") or ""
        return (
            f'HTTP lifecycle hook ({path}) for Container "{spec["name"]}" in Pod "{whole}" failed - '
            f'error: {got.message}, message: ""'
        )
    return ""
