"""Running compiled reads over the ports: what `kubectl get`, `describe`, `logs` and the like would print.

No program runs and nothing is written: a read is handed a reader, perhaps a source of usage figures and a rehearser.
"""

from stratus.cluster.kubectl.reads.base import ReadAnswer, UsageOf
from stratus.cluster.kubectl.reads.running import run_command, run_read

__all__ = ["ReadAnswer", "UsageOf", "run_command", "run_read"]
