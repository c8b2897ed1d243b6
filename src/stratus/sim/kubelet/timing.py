"""How long a node takes for what it does: delays read off a real cluster, with noise that depends on names alone."""

from __future__ import annotations

import math

from stratus.sim.controllers.common import spread

#: Seconds from binding to a running sandbox, and from a container's start to the pass that sees it run.
SANDBOX, STARTED = 0.5, 0.06
#: A sandbox is never up sooner than this, and no end is noticed sooner.
SANDBOX_LEAST, NOTICE_LEAST = 0.4, 0.05
#: A process that ends is noticed by the next look at the runtime, at most this many seconds later.
RELIST = 1.0
#: A pass that failed is repeated after RETRY seconds or when a crashed container may start again, if that is sooner;
#: either is lengthened by up to a half, and looked at on the next beat of the node's second.
RETRY = 10.0
LONGEST = 1.5
#: A pod whose pass went well is looked at again after as many seconds (`syncFrequency`), lengthened alike.
RESYNC = 10.0
#: A volume that cannot be set up is tried again after 0.5 s, doubled up to this many seconds.
MOUNT_MOST = 122.0
#: A container always gets this long between SIGTERM and SIGKILL, whatever its grace period says.
LEAST_GRACE = 2.0
#: Seconds from a process's end to the pass that reports it, when the kubelet itself has stopped it: at least, and more.
REAP, REAP_MORE = 0.12, 0.15
#: Seconds that it takes to remove a pod's sandbox and its network after its last container, and without a sandbox.
TEARDOWN, NOTHING = 0.08, 0.03


def lengthened(seconds: float, node: str, *parts: object) -> float:
    """Return a delay made up to a half longer; the noise keeps near the middle, where most real delays are."""
    return seconds * (1.1 + 0.2 * spread(node, *parts))


def on_beat(moment: float, node: str) -> float:
    """Return the first moment from `moment` on at which a node looks at what waits; each has its own second."""
    phase = spread("beat", node)
    return math.ceil(moment - phase) + phase
