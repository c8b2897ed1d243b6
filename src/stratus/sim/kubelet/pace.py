"""How fast the machinery of a node is: at its own pace nothing waits, another pace may hold a step back."""

from __future__ import annotations

from stratus.sim.store import Obj


class Pace:
    """When the steps of a pod take place that could take place at a moment: then, at this pace.

    A pace says when something happens, never what. Another one lengthens what a busy machine takes long for, as a
    recording of such a machine shows it.
    """

    def sandbox(self, pod: Obj, at: float, least: float) -> float:
        """Return when the sandbox is up: at `at`, or at another moment from `least` on."""
        return at

    def start(self, pod: Obj, container: str, at: float) -> float:
        """Return when a container runs that would at `at`."""
        return at

    def stop(self, pod: Obj, at: float) -> float:
        """Return when a kubelet begins to stop a pod that is marked for deletion."""
        return at

    def retry(self, pod: Obj, at: float, least: float, most: float) -> float:
        """Return when a pass is repeated: somewhere from `least` to `most`, at `at` if nothing is known better."""
        return at

    def notice(self, pod: Obj, at: float, least: float, waiting: int = 0) -> float:
        """Return when an end is noticed, and told in the next status behind those that wait: from `least` on."""
        return at

    def write(self, pod: Obj, at: float) -> float:
        """Return when a status that was worked out at `at` reaches the API server."""
        return at

    def passed_over(self, pod: Obj, status: Obj) -> None:
        """A status of a pod was replaced before its turn; the pod is as it was last written."""

    def wrote(self, pod: Obj, at: float) -> int:
        """A status has been written: count it, and return how many more follow in the same moment."""
        return 0
